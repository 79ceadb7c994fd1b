"""Tuned fields are the minima that searches without gradients find."""

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from tests.problems import power_problem
from theory import (
    F1,
    GaussianMixture,
    InvalidFieldError,
    PowerSelection,
    RandomSelection,
    SingleIndex,
    StepLink,
    predict,
    predict_all,
    tune,
    tune_all,
)


@pytest.mark.parametrize("alpha", [-1.0, 1.0])
def test_tuned_ridge_is_where_brent_finds_the_minimum(alpha: float) -> None:
    problem = power_problem(F1, alpha, 0.8)
    tuned = tune(problem)
    apart = abs(predict(tuned.problem).misclassification - tuned.prediction.misclassification)
    assert apart <= tuned.prediction.error_estimate  # they come from different starts

    def error(logarithm: float) -> float:
        return predict(problem.replace({"ridge": 10**logarithm})).misclassification

    around = np.log10(tuned.problem.ridge)
    found = minimize_scalar(error, bounds=(around - 0.5, around + 0.5), method="bounded")
    assert abs(around - found.x) < 0.002
    assert tuned.prediction.misclassification <= found.fun + 1e-10


def test_the_lower_of_two_valleys_is_found() -> None:
    """Exponents: both a preference for easy and one for hard samples beat what lies between."""
    problem = power_problem(F1, 0.0, 0.1, samples_per_dimension=36.85)
    tuned = tune(problem, ["exponent"])
    assert len(tuned.valleys) == 2
    alphas = np.linspace(-2, 2, 41)
    errors = np.array(
        [
            p.misclassification
            for p in predict_all(problem.replace({"selection.alpha": float(a)}) for a in alphas)
        ]
    )
    lowest = np.flatnonzero((errors[1:-1] < errors[:-2]) & (errors[1:-1] < errors[2:])) + 1
    assert len(lowest) == 2
    assert isinstance(tuned.problem.selection, PowerSelection)
    assert abs(tuned.problem.selection.alpha - alphas[errors.argmin()]) <= 0.1
    assert tuned.prediction.misclassification <= errors.min()
    assert tuned.valleys == pytest.approx(sorted(errors[lowest]), abs=3e-4)


def test_two_fields_are_tuned_together() -> None:
    """No step in either field, nor in both, improves on the minimum inside the bounds."""
    problem = power_problem(F1, 0.0, 0.1, samples_per_dimension=36.85)
    tuned = tune(problem, ["exponent", "ridge"], objective="log_loss")
    assert tuned.at_bounds == ()
    best = tuned.problem
    for alpha_step, factor in ((0.05, 1.0), (-0.05, 1.0), (0.0, 1.1), (0.0, 0.9), (0.05, 1.1)):
        assert isinstance(best.selection, PowerSelection)
        moved = best.replace(
            {"selection.alpha": best.selection.alpha + alpha_step, "ridge": best.ridge * factor}
        )
        assert predict(moved).log_loss > tuned.prediction.log_loss


def test_a_best_ridge_beyond_the_bounds_is_the_bound() -> None:
    """For a balanced mixture the class mean, an infinite ridge, is best."""
    problem = power_problem().replace(
        {"data": GaussianMixture(1.0), "selection": RandomSelection(1.0)}
    )
    tuned = tune(problem, bounds={"ridge": (0.01, 3.0)})
    assert tuned.problem.ridge == 3.0
    assert tuned.at_bounds == ("ridge",)
    larger = predict(problem.replace({"ridge": 30.0}))
    assert larger.misclassification < tuned.prediction.misclassification


def test_many_problems_are_tuned_as_one_by_one() -> None:
    noiseless = SingleIndex(StepLink((0.0,), (0.2, 0.8)), 5.0)
    problems = [power_problem(), power_problem(data=noiseless)]
    for tuned, problem in zip(tune_all(problems), problems, strict=True):
        assert tuned.problem.ridge == pytest.approx(tune(problem).problem.ridge, rel=1e-4)


def test_what_is_wrong_is_named() -> None:
    problem = power_problem()
    with pytest.raises(InvalidFieldError, match=r"bounds\['ridge'\]\[1\] = 0\.1"):
        tune(problem, bounds={"ridge": (0.1, 0.1)})
    with pytest.raises(InvalidFieldError, match=r"bounds\['ridge'\]\[0\] = 0"):
        tune(problem, bounds={"ridge": (0.0, 0.1)})
    with pytest.raises(InvalidFieldError, match=r"bounds = .*given for data"):
        tune(problem, ["data.signal_norm"])
    with pytest.raises(InvalidFieldError, match="bounds = 'exponent'"):
        tune(problem, bounds={"exponent": (0.0, 1.0)})
    with pytest.raises(InvalidFieldError, match=r"field = 'selection\.gamma'"):
        tune(problem, ["selection.gamma"], {"selection.gamma": (0.0, 1.0)})
    with pytest.raises(InvalidFieldError, match="over = "):
        tune(problem, [])
    with pytest.raises(InvalidFieldError, match="objective = 'accuracy'"):
        tune(problem, objective="accuracy")
