"""The random streams, and simulation against theory."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit

from simulate import Plan, estimate, estimate_all, process_pool, run
from simulate.sample import Sample, stream
from simulate.subset import draw_weights
from simulate.surrogate import draw_surrogate
from simulate.task import COLUMNS
from tests.problems import power_problem
from theory import (
    F1,
    F2,
    BandSelection,
    GaussianClusters,
    GaussianMixture,
    GivenSurrogate,
    Problem,
    RandomSelection,
    SingleIndex,
    SmoothedHingeLoss,
    SquaredLoss,
    StepLink,
    TabulatedSelection,
    TopSelection,
    TrainedSurrogate,
    predict,
)
from theory.problem import Problem as ProblemType

QUANTITIES = ("misclassification", "log_loss", "alpha_0", "alpha_perp")


def test_a_fit_without_a_minimum_is_reported_and_left_out() -> None:
    separable = SingleIndex(StepLink((0.0,), (0.0, 1.0)), 1.0)
    problem = Problem(separable, RandomSelection(1.0), 0.0, 0.5)
    result = estimate(problem, dimension=20, repeats=2)
    assert (result.failed_fits, result.repeats) == (2, 0)
    assert np.isnan(result.misclassification.mean)


def test_same_seed_same_numbers_and_other_seed_other_numbers() -> None:
    problem = power_problem(F2)
    first, again = (estimate(problem, 40, repeats=3, seed=4) for _ in range(2))
    other = estimate(problem, 40, repeats=3, seed=5)
    assert first == again
    assert first.misclassification != other.misclassification


def test_streams_are_independent() -> None:
    """Distinct purposes, data sets and seeds give uncorrelated uniforms."""
    keys = [
        (seed, purpose, number)
        for seed in (0, 1)
        for purpose in ("features", "labels", "selection", "test")
        for number in (0, 1)
    ]
    size = 20_000
    draws = np.array([stream(s, purpose, k).random(size) for s, purpose, k in keys])  # type: ignore[arg-type]
    correlation = np.corrcoef(draws)
    np.fill_diagonal(correlation, 0)
    assert np.abs(correlation).max() < 5 / np.sqrt(size)


def test_selection_is_not_tied_to_label_noise() -> None:
    sample = Sample(SingleIndex(F1, 5.0), 20_000, 3, seed=0, number=0)
    wrong = sample.labels(SingleIndex(F1, 5.0)) != np.sign(sample.features[:, 0])
    assert wrong.mean() == pytest.approx(0.05, abs=0.006)
    selected = sample.selection_uniforms < 0.5
    assert wrong[selected].mean() == pytest.approx(wrong[~selected].mean(), abs=0.015)


def test_numbers_do_not_depend_on_the_executor() -> None:
    problems = [power_problem(alpha=a, ridge=r) for a in (-1.0, 1.0) for r in (0.1, 0.01)]
    here = estimate_all(problems, 30, repeats=3, seed=1)
    with process_pool(2) as executor:
        there = estimate_all(problems, 30, repeats=3, seed=1, executor=executor)
    for a, b in zip(here, there, strict=True):
        for name in QUANTITIES:
            assert getattr(a, name).mean == pytest.approx(getattr(b, name).mean, rel=1e-6)


def test_sampled_test_error_agrees_with_the_exact_one() -> None:
    problem = power_problem(F2, alpha=0.5, fraction=0.8)
    exact = estimate(problem, 50, repeats=5, seed=2)
    sampled = estimate(problem, 50, repeats=5, seed=2, test_samples=200_000)
    assert sampled.alpha_0 == exact.alpha_0
    assert sampled.misclassification != exact.misclassification
    tolerance = 4 * 0.5 / np.sqrt(5 * 200_000)
    assert abs(sampled.misclassification.mean - exact.misclassification.mean) < tolerance
    assert sampled.log_loss.mean == pytest.approx(exact.log_loss.mean, rel=0.01)


GRID = {
    "f1 easy": power_problem(F1, alpha=-1.0, fraction=0.3),
    "f1 hard": power_problem(F1, alpha=1.0, fraction=0.8, ridge=0.1),
    "f2 random": power_problem(F2, alpha=0.0, fraction=0.5),
    "f2 hard, low ridge": power_problem(F2, alpha=1.0, fraction=0.7, ridge=0.001),
    "reweighted": power_problem(F1, alpha=0.5, fraction=0.5, selection__reweight=True),
    "intercept": power_problem(StepLink((0.0,), (0.05, 0.6)), fit_intercept=True),
    "mixture": power_problem(data=GaussianMixture(1.0, 0.2, 0.1), fit_intercept=True),
    "clusters": power_problem(
        data=GaussianClusters((-3.0, 0.0, 2.0), (0.3, 0.4, 0.3), (0.9, 0.2, 0.8)),
        surrogate=GivenSurrogate(1.0, 0.5, 0.3),
        fit_intercept=True,
    ),
    "given, reweighted": power_problem(
        F2, surrogate=GivenSurrogate(2.75, 0.95), selection__reweight=True
    ),
    "trained elsewhere": power_problem(
        F1, alpha=1.0, surrogate=TrainedSurrogate(4, 0.05, data=SingleIndex(F2, 5.0))
    ),
    "band": power_problem(
        F1, selection=BandSelection(0.5, 4.0), surrogate=GivenSurrogate(2.75, 0.95)
    ),
    "table, squared": power_problem(
        F1,
        selection=TabulatedSelection((-1.0, 0.0, 1.0), (0.2, 0.9, 0.4), reweight=True),
        loss=SquaredLoss(),
    ),
    "smoothed hinge": power_problem(data=GaussianMixture(1.0), loss=SmoothedHingeLoss(0.5)),
}


@pytest.mark.parametrize("name", GRID)
def test_simulation_agrees_with_theory(name: str) -> None:
    """30 data sets at p = 250: within 4.5 standard errors, plus the 1/p bias allowed below."""
    problem: ProblemType = GRID[name]
    theory, simulation = predict(problem), estimate(problem, 250, repeats=30, seed=3)
    assert simulation.failed_fits == 0
    for quantity in (*QUANTITIES, "alpha_s", "intercept", "beta_0", "beta_s"):
        mean = getattr(simulation, quantity)
        predicted = getattr(theory, quantity)
        bias = (abs(predicted) + 1e-9) / 250
        assert abs(mean.mean - predicted) <= 4.5 * mean.standard_error + bias, quantity
    assert simulation.fraction.mean == pytest.approx(theory.fraction, abs=0.01)


def test_the_surrogates_own_samples_are_fitted_again() -> None:
    """At weight 0 the pool alone; else the fit is that of both samples together."""
    surrogate = TrainedSurrogate(2.0, 0.05, reuse=3.0)
    problem = Problem(SingleIndex(F1, 5.0), TopSelection("hard", 0.3), 0.02, 4.0, surrogate)
    plain = problem.replace({"surrogate.reuse": 0.0})
    together = run(Plan((problem, plain), (20,), repeats=1, seed=3))[0, :, 0]
    alone = run(Plan((plain,), (20,), repeats=1, seed=3))[0, 0, 0]
    np.testing.assert_allclose(together[1], alone, rtol=1e-12)

    generator = stream(3, "surrogate", 20, 0)
    own = draw_surrogate(problem, 20, generator)
    assert own.trained_on is not None
    pool = Sample(problem.data, 80, 20, 3, 0)
    weights = draw_weights(problem.selection, own.scores(pool.features), pool.selection_uniforms)
    x = np.concatenate([pool.features, own.trained_on.features]).astype(float)
    y = np.concatenate([pool.labels(problem.data), own.trained_on.labels])
    s = np.concatenate([weights, np.full(40, 3.0)])

    def objective(theta: np.ndarray) -> tuple[float, np.ndarray]:
        margin = y * (x @ theta)
        value = s @ np.logaddexp(0, -margin) / 120 + 0.01 * theta @ theta
        return float(value), 0.02 * theta - x.T @ (s * y * expit(-margin)) / 120

    theta = minimize(objective, np.zeros(20), jac=True, options={"gtol": 1e-9}).x
    assert together[0, COLUMNS.index("alpha_0")] == pytest.approx(theta[0], abs=1e-6)
    along = theta[1:] @ own.error_direction[1:]
    assert together[0, COLUMNS.index("alpha_s")] == pytest.approx(along, abs=1e-6)
