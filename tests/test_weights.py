"""Weights of selected samples as a function of their score."""

import numpy as np
import pytest

from simulate.fitting.fit import fit
from simulate.pools import SubsetSelector
from simulate.subset import draw_weights
from tests.problems import NOISY_STEP
from theory import (
    GaussianMixture,
    GivenSurrogate,
    InvalidFieldError,
    LogisticLoss,
    PowerSelection,
    Problem,
    TabulatedSelection,
    predict,
)
from theory.metrics import misclassification
from theory.score import Score, fitted_rule

HARDER = TabulatedSelection(
    (-8.0, -2.0, 2.0, 8.0), (1.0, 0.2, 0.2, 1.0), sample_weights=(0.1, 4.0, 4.0, 0.1)
)


def test_equal_weights_are_a_ridge() -> None:
    """S = c everywhere is S = 1 with the ridge divided by c."""
    for data in (NOISY_STEP, GaussianMixture(1.0)):
        heavy = TabulatedSelection((-1.0, 1.0), (0.3, 0.8), sample_weights=(4.0, 4.0))
        plain = TabulatedSelection((-1.0, 1.0), (0.3, 0.8))
        one = predict(Problem(data, heavy, 0.04, 3.0))
        other = predict(Problem(data, plain, 0.01, 3.0))
        assert one.misclassification == pytest.approx(other.misclassification, abs=1e-9)


def test_inverse_probabilities_are_reweighting() -> None:
    nodes = np.linspace(-30, 30, 4001)
    power = PowerSelection(0.5, 0.4, reweight=True)
    problem = Problem(NOISY_STEP, power, 0.01, 4.0, GivenSurrogate(2.0, 1.0))
    pi = fitted_rule(NOISY_STEP, Score(2.0, 1.0), power).probability(nodes)
    table = TabulatedSelection(tuple(nodes), tuple(pi), sample_weights=tuple(1 / pi))
    found = predict(problem.replace({"selection": table})).misclassification
    assert found == pytest.approx(predict(problem).misclassification, abs=1e-5)


def test_theory_is_what_is_simulated() -> None:
    p, delta, ridge = 200, 4, 0.02
    exact = predict(Problem(NOISY_STEP, HARDER, ridge, delta)).misclassification
    plain = TabulatedSelection(HARDER.scores, HARDER.probabilities)
    without = predict(Problem(NOISY_STEP, plain, ridge, delta)).misclassification
    errors = []
    for seed in range(24):
        generator = np.random.default_rng(seed)
        x = generator.standard_normal((delta * p, p))
        label = NOISY_STEP.label_probability(x[:, 0])
        y = np.where(generator.random(len(x)) < label, 1.0, -1.0)
        weights = draw_weights(HARDER, 5 * x[:, 0], generator.random(len(x)))
        theta = fit(x, y, weights[:, None], len(y), np.array([ridge]), LogisticLoss()).coefficients[
            :, 0
        ]
        tau = float(np.linalg.norm(theta[1:]))
        errors.append(misclassification(NOISY_STEP, float(theta[0]), 0.0, tau, 20))
    spread = np.std(errors, ddof=1) / len(errors) ** 0.5
    assert abs(np.mean(errors) - exact) < 3 * spread
    assert abs(np.mean(errors) - without) > 3 * spread


def test_a_selector_hands_the_weights_on() -> None:
    generator = np.random.default_rng(0)
    x = generator.standard_normal((400, 3))
    y = np.where(x[:, 0] > 0, 1, -1)
    subset = SubsetSelector(selection=HARDER, random_state=0).fit(x[:100], y[:100]).select(x[100:])
    assert HARDER.sample_weights is not None
    expected = np.interp(subset.scores[subset.indices], HARDER.scores, HARDER.sample_weights)
    np.testing.assert_allclose(subset.weights, expected)


@pytest.mark.parametrize(
    ("weights", "reweight", "field"),
    [
        ((1.0,), False, "selection.sample_weights"),
        ((1.0, 0.0), False, "selection.sample_weights[1]"),
        ((1.0, np.inf), False, "selection.sample_weights[1]"),
        ((1.0, 2.0), True, "selection.reweight"),
    ],
)
def test_wrong_weights_are_refused(weights: tuple[float, ...], reweight: bool, field: str) -> None:
    with pytest.raises(InvalidFieldError) as caught:
        TabulatedSelection((0.0, 1.0), (0.5, 1.0), reweight, weights)
    assert caught.value.field == field
