"""The derivative by inclusion probabilities, and the selections that it leads to."""

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.problems import NOISY_STEP, labelled_sample
from theory import (
    BandSelection,
    HingeLoss,
    InvalidFieldError,
    LogisticLoss,
    Loss,
    Population,
    Problem,
    QuantileBandSelection,
    RandomSelection,
    SmoothedHingeLoss,
    SquaredLoss,
    Status,
    TopSelection,
    optimal_selection,
    population_equations,
    predict,
)
from theory.population_adjoint import response_slopes
from theory.population_optimal import PopulationUnsolvedError, optimal_population_selection

Array = NDArray[np.float64]

LOSSES = (LogisticLoss(), SquaredLoss(), SmoothedHingeLoss(), HingeLoss())


@pytest.mark.parametrize("loss", LOSSES)
def test_slopes_of_the_responses_are_differences(loss: Loss) -> None:
    generator = np.random.default_rng(1)
    m, s, v, w = generator.uniform(0.2, 2.0, (4, 20)) - [[1.0], [0], [0], [0]]

    def values(m: Array, s: Array, v: Array) -> Array:
        return response_slopes(m, np.sqrt(s), v, w, loss).value

    h = 1e-4
    slopes = response_slopes(m, np.sqrt(s), v, w, loss)
    for k, found in enumerate((slopes.by_margin, slopes.by_variance, slopes.by_v)):
        shift = h * np.eye(3)[k]
        above, below = (
            values(m + c * shift[0], s + c * shift[1], v + c * shift[2]) for c in (1, -1)
        )
        np.testing.assert_allclose(found, (above - below) / (2 * h), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("reweight", [False, True])
def test_derivative_is_that_of_the_error(
    loss: Loss, reweight: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Along random directions, with points that are never selected among them."""
    monkeypatch.setattr(population_equations, "TOLERANCE", 1e-12)
    x, y = labelled_sample(300, 5)
    generator = np.random.default_rng(0)
    pi = generator.uniform(0.1, 0.8, 300)
    weights = 1 / pi if reweight else None
    population = Population(x, y, loss)

    def error(pi: Array) -> float:
        return population.predict(pi, 100, 0.01, weights, halving=False).misclassification

    pi[:40] = 0.0
    derivative = population.derivative(population.predict(pi, 100, 0.01, weights), pi, weights)
    for _ in range(3):
        change = 1e-4 * generator.standard_normal(300) * (pi > 0)
        expected = (error(pi + change) - error(pi - change)) / 2
        assert derivative @ change == pytest.approx(expected, rel=2e-4, abs=1e-10)
    into = np.where(pi == 0, 1e-4, 0.0)
    if not reweight:  # the weight of a point that is never selected counts as 1
        expected = (4 * error(pi + into) - error(pi + 2 * into) - 3 * error(pi)) / 2
        assert derivative @ into == pytest.approx(expected, rel=1e-3)


def test_derivative_is_that_of_the_exact_theory() -> None:
    """Gaussian features: as a function of the score it is Z(t) of `theory.optimal`."""
    p, delta, fraction = 40, 10, 0.3
    problem = Problem(NOISY_STEP, RandomSelection(fraction), 0.01, delta, fit_intercept=True)
    best = optimal_selection(problem)
    x, y = labelled_sample(8000, p)
    t = 5 * x[:, 0]
    pi = best.selection.inclusion_probabilities(t)
    population = Population(x, y)
    prediction = population.predict(pi, delta * p, 0.01, halving=False)
    z = population.derivative(prediction, pi) * population.size
    exact = np.interp(t, best.derivative.score.values, best.derivative.values)
    inside = np.abs(t) < 2.5 * 5
    cells = np.searchsorted(np.quantile(np.abs(t[inside]), np.linspace(0, 1, 9)[1:-1]), np.abs(t))
    means, errors, wanted = (
        np.array([f(z[inside & (cells == k)]) for k in range(8)])
        for f in (np.mean, lambda a: np.std(a) / len(a) ** 0.5, len)
    )
    wanted = np.array([exact[inside & (cells == k)].mean() for k in range(8)])
    assert np.corrcoef(means, wanted)[0, 1] > 0.95
    assert np.all(np.abs(means - wanted) < 4 * errors + 0.15 * np.abs(wanted))


def test_best_band_is_that_of_the_exact_theory() -> None:
    p, delta, fraction, ridge = 30, 10, 0.3, 0.01
    problem = Problem(NOISY_STEP, RandomSelection(fraction), ridge, delta, fit_intercept=True)
    exact = optimal_selection(problem)
    x, y = labelled_sample(3000, p)
    best = optimal_population_selection(Population(x, y), 5 * x[:, 0], fraction, delta * p, ridge)
    mine = predict(problem.replace({"selection": best.band})).misclassification
    hard = predict(problem.replace({"selection": TopSelection("hard", fraction)}))
    assert mine < exact.prediction.misclassification + 0.002
    assert hard.misclassification > mine + 0.01
    assert best.prediction.misclassification <= best.band_prediction.misclassification + 0.001
    assert best.probabilities.mean() == pytest.approx(fraction)
    assert 0 <= best.gap < 0.01
    assert np.all((best.probabilities >= 0) & (best.probabilities <= 1))


def test_quantile_band() -> None:
    scores = np.random.default_rng(0).standard_normal(1000)
    for keep, start in (("hard", 0.0), ("easy", 0.8)):
        band = QuantileBandSelection(start, 0.2)
        np.testing.assert_array_equal(
            band.inclusion_probabilities(scores),
            TopSelection(keep, 0.2).inclusion_probabilities(scores),
        )
        same = [predict(Problem(NOISY_STEP, s, 0.01, 5.0)) for s in (band, TopSelection(keep, 0.2))]
        assert same[0].misclassification == pytest.approx(same[1].misclassification, abs=1e-9)
    # |t| = 5 |h|: the middle half of a normal law's absolute values.
    ends = 5 * np.array([0.3186393639643752, 1.1503493803760083])
    same = [
        predict(Problem(NOISY_STEP, s, 0.01, 5.0))
        for s in (QuantileBandSelection(0.25, 0.5), BandSelection(*ends))
    ]
    assert same[0].misclassification == pytest.approx(same[1].misclassification, abs=1e-9)
    assert QuantileBandSelection(0.1, 0.9).start <= 1 - 0.9
    for start in (0.51, -0.1, np.nan):
        with pytest.raises(InvalidFieldError, match=r"selection\.start"):
            QuantileBandSelection(start, 0.5)


def test_wrong_input_is_refused_by_name() -> None:
    x, y = labelled_sample(60, 3)
    population = Population(x, y)
    for changes, name in (
        ({"scores": x[:5, 0]}, "scores.shape"),
        ({"fraction": 0.0}, "fraction"),
        ({"cells": 1}, "cells"),
        ({"cells": 61}, "cells"),
    ):
        arguments = {"scores": x[:, 0], "fraction": 0.5, "pool_size": 50, "ridge": 0.1, **changes}
        with pytest.raises(InvalidFieldError) as caught:
            optimal_population_selection(population, **arguments)  # type: ignore[arg-type]
        assert caught.value.field == name


def test_what_has_no_solution_says_so() -> None:
    x, y = labelled_sample(40, 60)
    population = Population(x, y)
    with pytest.raises(PopulationUnsolvedError, match="ridge 0"):
        optimal_population_selection(population, x[:, 0], 0.5, 50, 0.0)
    unsolved = population.predict(np.zeros(40), 50, 0.1)
    assert unsolved.status is Status.EMPTY_SELECTION
    assert np.isnan(population.derivative(unsolved, np.zeros(40))).all()
