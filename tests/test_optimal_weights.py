"""The best selection with weights: its derivatives, what it gains, and that in simulation."""

import numpy as np
import pytest
from numpy.typing import NDArray

from simulate.fitting.fit import fit
from simulate.subset import draw_weights
from tests.problems import NOISY_STEP
from theory import (
    GaussianMixture,
    GivenSurrogate,
    InvalidFieldError,
    LogisticLoss,
    Problem,
    RandomSelection,
    TabulatedSelection,
    optimal_weights,
    predict,
    tuned_selection,
)
from theory.metrics import misclassification
from theory.optimal.state import Model
from theory.optimal.weights import _Cells

Array = NDArray[np.float64]

FEW = Problem(NOISY_STEP, RandomSelection(0.5), 0.01, 2.29)


@pytest.mark.parametrize("objective", ["misclassification", "log_loss"])
@pytest.mark.parametrize(
    "problem",
    [
        FEW,
        FEW.replace({"surrogate": GivenSurrogate(2.0, 1.0)}),
        Problem(GaussianMixture(1.0, 0.3), RandomSelection(0.5), 0.1, 3.0, fit_intercept=True),
    ],
)
def test_derivatives_are_differences(problem: Problem, objective: str) -> None:
    cells = _Cells(Model(problem, objective), (-1.0, 0.2, 1.5))
    generator = np.random.default_rng(0)
    u = np.concatenate([generator.uniform(0.2, 0.8, 4), generator.uniform(-0.5, 0.5, 4)])
    _, slope = cells.error(u)
    for change in 1e-4 * generator.standard_normal((3, 8)):
        difference = (cells.error(u + change)[0] - cells.error(u - change)[0]) / 2
        assert slope @ change == pytest.approx(difference, rel=1e-4, abs=1e-10)


def test_weights_gain_what_is_simulated() -> None:
    """Few samples: kept are the easier half as without weights, and the easiest weigh most."""
    best, tuned = optimal_weights(FEW), tuned_selection(FEW)
    predicted = best.tuned - best.prediction.misclassification
    assert predicted > 0.008
    assert best.tuned == pytest.approx(tuned.prediction.misclassification)
    assert best.prediction.fraction == pytest.approx(0.5, abs=1e-6)
    assert best.prediction.misclassification == pytest.approx(best.ends[0], abs=1e-7)
    p = 300
    gains = []
    for seed in range(24):
        generator = np.random.default_rng(seed)
        x = generator.standard_normal((round(2.29 * p), p))
        label = NOISY_STEP.label_probability(x[:, 0])
        y = np.where(generator.random(len(x)) < label, 1.0, -1.0)
        uniforms = generator.random(len(x))
        errors = []
        for problem in (tuned.problem, best.problem):
            weights = draw_weights(problem.selection, 5 * x[:, 0], uniforms)[:, None]
            fits = fit(x, y, weights, len(y), np.array([problem.ridge]), LogisticLoss())
            theta = fits.coefficients[:, 0]
            tau = float(np.linalg.norm(theta[1:]))
            errors.append(misclassification(NOISY_STEP, float(theta[0]), 0.0, tau, 20))
        gains.append(errors[0] - errors[1])
    spread = np.std(gains, ddof=1) / len(gains) ** 0.5
    assert abs(np.mean(gains) - predicted) < 3 * spread
    assert np.mean(gains) > 4 * spread


def test_any_other_weights_are_worse() -> None:
    best = optimal_weights(FEW, cells=10)
    selection = best.selection
    assert isinstance(selection, TabulatedSelection)
    assert selection.sample_weights is not None
    for factors in 1 + 0.2 * np.random.default_rng(0).standard_normal((5, 9)):
        weights = np.asarray(selection.sample_weights) * np.repeat(factors, 2)
        other = TabulatedSelection(
            selection.scores, selection.probabilities, sample_weights=tuple(weights)
        )
        changed = predict(FEW.replace({"selection": other})).misclassification
        assert changed >= best.prediction.misclassification - 1e-7


def test_wrong_input_is_refused_by_name() -> None:
    with pytest.raises(InvalidFieldError, match="cells = 1 "):
        optimal_weights(FEW, cells=1)
    with pytest.raises(InvalidFieldError, match="objective"):
        optimal_weights(FEW, "accuracy")
