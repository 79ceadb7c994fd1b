"""Derivatives by the adjoint are those of differences of predictions."""

import numpy as np
import pytest

from tests.problems import power_problem
from theory import (
    F1,
    F2,
    BandSelection,
    GaussianMixture,
    GivenSurrogate,
    HingeLoss,
    InvalidFieldError,
    LogisticLink,
    PowerSelection,
    Problem,
    Quadrature,
    SingleIndex,
    SmoothedHingeLoss,
    SquaredLoss,
    TopSelection,
    TrainedSurrogate,
    gradient,
    predict,
)
from theory.noise import OrderParameters
from theory.optimal.outcomes import classifier, outcome_slopes, outcomes
from theory.score import Score

FINE = Quadrature(order=14, noise_step=0.8, tolerance=1e-11, smoothness=1e-8)

CASES = {
    "perfect": (
        Problem(SingleIndex(F1, 5.0), PowerSelection(0.5, 0.5), 0.01, 2.29),
        (
            "ridge",
            "samples_per_dimension",
            "data.signal_norm",
            "selection.alpha",
            "selection.fraction",
            "selection.score_clip",
        ),
    ),
    "trained, reweighted": (
        Problem(
            SingleIndex(F2, 5.0),
            PowerSelection(-0.5, 0.3, reweight=True),
            0.01,
            5.0,
            TrainedSurrogate(8.0, 0.01),
        ),
        ("data.signal_norm", "surrogate.samples_per_dimension", "surrogate.ridge"),
    ),
    "trained with intercept": (
        Problem(
            GaussianMixture(1.5, 0.3, 0.1),
            TopSelection("hard", 0.3),
            0.05,
            4.0,
            TrainedSurrogate(4.0, 0.1, fit_intercept=True),
            fit_intercept=True,
        ),
        ("data.positive_fraction", "ridge", "selection.fraction"),
    ),
    "trained on other data": (
        Problem(
            SingleIndex(LogisticLink(), 3.0),
            TopSelection("easy", 0.3),
            0.05,
            4.0,
            TrainedSurrogate(4.0, 0.1, data=GaussianMixture(1.0)),
        ),
        ("surrogate.data.mean_norm", "data.signal_norm"),
    ),
    "given": (
        Problem(
            GaussianMixture(1.5, 0.3, 0.1),
            BandSelection(0.5, 2.0),
            0.05,
            4.0,
            GivenSurrogate(2.0, 0.7, 0.3),
            loss=SmoothedHingeLoss(0.5),
        ),
        (
            "surrogate.beta_0",
            "surrogate.beta_s",
            "surrogate.intercept",
            "selection.upper",
            "loss.width",
        ),
    ),
    "squared": (
        Problem(
            SingleIndex(LogisticLink(0.3), 3.0),
            PowerSelection(1.0, 0.3),
            0.02,
            4.0,
            loss=SquaredLoss(),
        ),
        ("data.link.intercept", "ridge", "samples_per_dimension"),
    ),
    "hinge": (
        Problem(SingleIndex(F1, 5.0), PowerSelection(1.0, 0.5), 0.1, 4.0, loss=HingeLoss()),
        ("ridge", "selection.alpha"),
    ),
}


def value(problem: Problem, name: str) -> float:
    found: object = problem
    for part in name.split("."):
        found = getattr(found, part)
    assert isinstance(found, float)
    return found


@pytest.mark.parametrize("case", CASES)
def test_gradient_is_the_difference_of_predictions(case: str) -> None:
    """Each prediction is a solve of its own; fourth-order central differences."""
    problem, names = CASES[case]
    slopes = gradient(problem, names)
    for name in names:
        middle = value(problem, name)
        step = 3e-3 * (abs(middle) or 1.0)

        def at(k: int, name: str = name, middle: float = middle, step: float = step) -> np.ndarray:
            found = predict(problem.replace({name: middle + k * step}), FINE)
            return np.array([found.misclassification, found.log_loss])

        expected = (8 * (at(1) - at(-1)) - (at(2) - at(-2))) / (12 * step)
        got = slopes.sel(field=name)
        scale = max(1.0, float(np.abs(expected).max()))
        assert float(got.misclassification) == pytest.approx(expected[0], abs=1e-6)
        assert float(got.log_loss) == pytest.approx(expected[1], abs=1e-6 * scale)


@pytest.mark.parametrize("data", [SingleIndex(F2, 5.0), GaussianMixture(1.2, 0.3, 0.1)])
def test_slopes_of_test_errors_are_those_of_their_integrals(
    data: SingleIndex | GaussianMixture,
) -> None:
    problem = power_problem(fit_intercept=True).replace({"data": data})
    score = Score(2.0, 1.0, 0.0)

    def errors(v: np.ndarray) -> np.ndarray:
        x = OrderParameters(v[:3], float(v[3]), float(v[4]))
        return outcomes(data, classifier(x, problem, score))

    v = np.array([0.8, 0.4, -0.2, 0.9, 1.3])
    slopes = outcome_slopes(OrderParameters(v[:3], v[3], v[4]), problem, score)
    for k, unit in enumerate(np.eye(5) * 1e-4):
        by_difference = (errors(v + unit) - errors(v - unit)) / 2e-4
        assert slopes[:, k] == pytest.approx(by_difference, abs=2e-8)


def test_a_field_at_its_bound_has_a_one_sided_derivative() -> None:
    problem = power_problem(data=GaussianMixture(1.5, 0.5, 0.0))
    got = float(gradient(problem, ["data.label_noise"]).misclassification[0])
    errors = [
        predict(problem.replace({"data.label_noise": noise}), FINE).misclassification
        for noise in (0.0, 1e-3, 2e-3)
    ]
    assert got == pytest.approx((4 * errors[1] - 3 * errors[0] - errors[2]) / 2e-3, abs=1e-3)


def test_an_error_direction_of_no_weight_has_no_first_order_effect() -> None:
    problem = power_problem(surrogate=GivenSurrogate(5.0))
    assert float(gradient(problem, ["surrogate.beta_s"]).misclassification[0]) == 0
    step = 1e-2
    moved = predict(problem.replace({"surrogate.beta_s": step}), FINE).misclassification
    assert abs(moved - predict(problem, FINE).misclassification) / step < 1e-3


@pytest.mark.parametrize(
    "name", ["rigde", "selection.beta", "loss", "fit_intercept", "surrogate.beta_0", ""]
)
def test_names_that_are_no_real_field_are_refused(name: str) -> None:
    with pytest.raises(InvalidFieldError, match=r"field = .*must be one of "):
        gradient(power_problem(), [name])
