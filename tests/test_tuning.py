"""The tuned ridge is the minimum that an optimiser finds."""

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from tests.problems import power_problem
from theory import F1, GaussianMixture, RandomSelection, predict, tune_ridge


@pytest.mark.parametrize("alpha", [-1.0, 1.0])
def test_tuned_ridge_is_where_brent_finds_the_minimum(alpha: float) -> None:
    problem = power_problem(F1, alpha, 0.8)
    ((tuned, prediction),) = tune_ridge([problem])
    apart = abs(predict(tuned).misclassification - prediction.misclassification)
    assert apart <= prediction.error_estimate  # they come from different starts

    def error(logarithm: float) -> float:
        return predict(problem.replace({"ridge": 10**logarithm})).misclassification

    around = np.log10(tuned.ridge)
    found = minimize_scalar(error, bounds=(around - 0.5, around + 0.5), method="bounded")
    assert abs(around - found.x) < 0.03
    assert prediction.misclassification == pytest.approx(found.fun, abs=2e-6)


def test_a_best_ridge_beyond_the_bounds_is_the_bound() -> None:
    """For a balanced mixture the class mean, an infinite ridge, is best."""
    problem = power_problem().replace(
        {"data": GaussianMixture(1.0), "selection": RandomSelection(1.0)}
    )
    ((tuned, prediction),) = tune_ridge([problem], low=0.01, high=3.0)
    assert tuned.ridge == pytest.approx(3.0, rel=1e-12)
    larger = predict(problem.replace({"ridge": 30.0}))
    assert larger.misclassification < prediction.misclassification


def test_bounds_are_checked() -> None:
    with pytest.raises(ValueError, match=r"high = 0\.1"):
        tune_ridge([power_problem()], low=0.1, high=0.1)
    with pytest.raises(ValueError, match="low = 0"):
        tune_ridge([power_problem()], low=0.0)
