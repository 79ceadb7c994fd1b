"""Identities, limits and published values that the predictions must reproduce."""

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import brentq, minimize
from scipy.special import expit
from scipy.stats import norm

from paper_repro.reproductions import figure_2
from paper_repro.reproductions.settings import ALPHAS, HIGH_DIMENSION, RIDGES, SIMULATED_FRACTIONS
from tests.problems import BOTH_LINKS, DELTA, power_problem
from theory import (
    F1,
    F2,
    BandSelection,
    ConvergenceError,
    GaussianMixture,
    GivenSurrogate,
    LogisticLink,
    PowerSelection,
    Prediction,
    ProbitLink,
    Problem,
    Quadrature,
    RandomSelection,
    SingleIndex,
    Status,
    StepLink,
    TabulatedSelection,
    TopSelection,
    TrainedSurrogate,
    predict,
    predict_all,
)
from theory.axes import grid, read_axes
from theory.kinds import Selection
from theory.prediction import score_of

AXES = {"ridge": RIDGES, "selection.alpha": ALPHAS, "selection.fraction": SIMULATED_FRACTIONS}
FIGURE_2 = [
    problem
    for problem, size in figure_2.FIGURE.experiment(False).places
    if problem.samples_per_dimension == HIGH_DIMENSION and size is not None
]


def assert_same(a: Prediction, b: Prediction, tolerance: float = 1e-9) -> None:
    for name in ("misclassification", "log_loss", "alpha_0", "alpha_perp", "intercept"):
        assert getattr(a, name) == pytest.approx(getattr(b, name), rel=tolerance, abs=tolerance)


def test_every_point_of_figure_2_converges_and_is_resolved() -> None:
    assert len(FIGURE_2) == 330
    default = predict_all(FIGURE_2)
    assert {p.status for p in default} == {Status.CONVERGED}
    assert max(p.residual for p in default) <= 1e-10
    every_third = slice(1, None, 3)  # benchmarks/theory_speed.py doubles all of them
    doubled = predict_all(FIGURE_2[every_third], Quadrature().refined(2))
    moved = [
        abs(a.misclassification - b.misclassification)
        for a, b in zip(default[every_third], doubled, strict=True)
    ]
    assert max(moved) <= 1e-8


@pytest.mark.parametrize("link", BOTH_LINKS)
def test_all_schemes_agree_on_the_full_sample(link: str) -> None:
    data = SingleIndex(BOTH_LINKS[link], 5.0)
    schemes: list[Selection] = [
        RandomSelection(1.0),
        RandomSelection(1.0, reweight=True),
        PowerSelection(1.0, 1.0),
        PowerSelection(-1.0, 1.0, reweight=True),
        TopSelection("hard", 1.0),
        TopSelection("easy", 1.0),
    ]
    reference, *others = predict_all(Problem(data, s, 0.01, DELTA) for s in schemes)
    for other in others:
        assert_same(reference, other)


def test_reweighted_random_selection_is_a_change_of_ridge() -> None:
    fraction, ridge = 0.3, 0.02
    data = SingleIndex(F2, 5.0)
    reweighted = predict(Problem(data, RandomSelection(fraction, reweight=True), ridge, DELTA))
    biased = predict(Problem(data, RandomSelection(fraction), ridge * fraction, DELTA))
    assert_same(reweighted, biased)


def test_exponent_zero_is_random_selection() -> None:
    random = power_problem().replace({"selection": RandomSelection(0.5)})
    assert_same(predict(power_problem(alpha=0.0)), predict(random))


@pytest.mark.parametrize("keep", ["hard", "easy"])
def test_top_selection_ignores_the_scale_of_the_score(keep: str) -> None:
    """The same label probability f(h), described with a five times larger signal norm."""
    selection = TopSelection(keep, 0.3)
    small = SingleIndex(StepLink((-0.1, 0.0, 0.1), F2.levels), 1.0)
    large = SingleIndex(F2, 5.0)
    assert_same(
        predict(Problem(small, selection, 0.01, DELTA)),
        predict(Problem(large, selection, 0.01, DELTA)),
    )


@pytest.mark.parametrize(("keep", "sign"), [("hard", 1.0), ("easy", -1.0)])
def test_top_selection_is_the_limit_of_the_power_rule(keep: str, sign: float) -> None:
    data = SingleIndex(F1, 5.0)
    top = predict(Problem(data, TopSelection(keep, 0.4), 0.01, DELTA)).misclassification
    gaps = []
    for size in (300.0, 3000.0):
        power = PowerSelection(sign * size, 0.4, score_clip=math.inf)
        gaps.append(abs(predict(Problem(data, power, 0.01, DELTA)).misclassification - top))
    assert gaps[0] < 2e-4
    assert gaps[1] < gaps[0] / 5


def test_many_samples_per_dimension_reach_the_population_minimiser() -> None:
    """Against a direct minimisation of the selected population risk that shares no code."""
    problem = power_problem(F2, alpha=0.5, fraction=0.4, ridge=0.05, fit_intercept=False)
    c = _power_constant(0.5, 0.4)

    def risk(theta: np.ndarray[Any, Any]) -> float:
        def integrand(h: float) -> float:
            pi = min(c * (expit(min(5 * abs(h), 10)) * expit(-min(5 * abs(h), 10))) ** 0.5, 1.0)
            f = F2.levels[sum(5 * h >= t for t in F2.thresholds)]
            m = theta[0] * h
            loss = f * np.logaddexp(0, -m) + (1 - f) * np.logaddexp(0, m)
            return float(norm.pdf(h) * pi * loss)

        return _split_integral(integrand) + 0.05 / 2 * float(theta[0]) ** 2

    best = minimize(risk, [0.5], tol=1e-12).x[0]
    gaps = []
    for delta in (1e3, 1e5):
        p = predict(problem.replace({"samples_per_dimension": delta}))
        gaps.append(abs(p.alpha_0 - best))
        assert p.alpha_perp < 3 / math.sqrt(delta)
    assert gaps[1] < 2e-5
    assert gaps[1] < gaps[0] / 20


def _power_constant(alpha: float, fraction: float) -> float:
    def mean(c: float) -> float:
        def integrand(h: float) -> float:
            t = min(5 * abs(h), 10)
            return float(norm.pdf(h) * min(c * (expit(t) * expit(-t)) ** alpha, 1.0))

        return _split_integral(integrand)

    return float(brentq(lambda c: mean(c) - fraction, 1e-3, 1e3, xtol=1e-12))


def _split_integral(integrand: Callable[[float], float]) -> float:
    points = [-9.0, -2.0, -0.5, -0.1, 0.0, 0.1, 0.5, 2.0, 9.0]
    return sum(
        quad(integrand, a, b, epsabs=1e-13, epsrel=1e-11, limit=200)[0] for a, b in pairwise(points)
    )


def test_excess_log_loss_of_a_well_specified_model_is_half_over_delta() -> None:
    """Classical asymptotics: N E[excess log loss] -> p/2 for maximum likelihood."""
    data = SingleIndex(LogisticLink(), 1.5)
    exact = quad(lambda h: norm.pdf(h) * (np.logaddexp(0, -1.5 * h) * expit(1.5 * h) * 2), -10, 10)[
        0
    ]
    for delta, tolerance in ((1e3, 1e-2), (1e5, 2e-4)):
        p = predict(Problem(data, RandomSelection(1.0), 0.0, delta))
        assert delta * (p.log_loss - exact) == pytest.approx(0.5, rel=tolerance)


@pytest.mark.parametrize(
    ("theta", "mu", "b", "sigma"),
    [
        (0.0, 1.50, 3.03, 4.75),
        (0.5, 1.51, 3.12, 4.84),
        (1.0, 1.55, 3.42, 5.13),
        (2.0, 1.75, 4.83, 6.45),
        (2.5, 1.95, 6.26, 7.73),
    ],
)
def test_maximum_likelihood_matches_zhao_sur_candes(
    theta: float, mu: float, b: float, sigma: float
) -> None:
    """Table 13, second set, of Zhao, Sur and Candes (2022): delta = 5, gamma^2 = 5 + theta^2."""
    gamma = math.sqrt(5 + theta**2)
    p = predict(Problem(SingleIndex(LogisticLink(), gamma), RandomSelection(1.0), 0.0, 5.0))
    found = (p.alpha_0 / gamma, 1 / p.mu, p.alpha_perp * math.sqrt(5))
    assert found == pytest.approx((mu, b, sigma), abs=0.01)
    if theta == 0:
        assert found == pytest.approx((1.4994, 3.0269, 4.7436), abs=1e-4)


@pytest.mark.parametrize(
    ("theta", "mu", "b", "sigma", "iota"),
    [
        (0.0, 1.5, 3.03, 4.75, 0.0),
        (0.5, 1.51, 3.13, 4.84, 0.76),
        (1.0, 1.56, 3.45, 5.16, 1.559),
        (2.0, 1.83, 5.47, 7.01, 3.68),
        (2.5, 2.31, 8.96, 10.0, 5.8),
    ],
)
def test_maximum_likelihood_with_intercept_matches_zhao_sur_candes(
    theta: float, mu: float, b: float, sigma: float, iota: float
) -> None:
    """The first set of the same table: P(y = 1 | x) = sigmoid(theta + gamma Z), gamma^2 = 5."""
    data = SingleIndex(LogisticLink(intercept=theta), math.sqrt(5))
    p = predict(Problem(data, RandomSelection(1.0), 0.0, 5.0, fit_intercept=True))
    found = (p.alpha_0 / math.sqrt(5), 1 / p.mu, p.alpha_perp * math.sqrt(5), p.intercept)
    assert found == pytest.approx((mu, b, sigma, iota), abs=0.015)


@pytest.mark.parametrize(
    ("link", "alpha", "fraction", "mean", "error"),
    [
        (F1, 0.0, 1.0, 0.243457, 0.001601),
        (F1, -0.5, 0.05, 0.365795, 0.001191),
        (F1, 1.0, 0.1, 0.464479, 0.000660),
        (F2, 0.0, 1.0, 0.450433, 0.000875),
        (F2, 0.5, 0.8, 0.446914, 0.001101),
        (F2, -1.0, 0.4, 0.464490, 0.001295),
    ],
)
def test_published_simulations(
    link: StepLink, alpha: float, fraction: float, mean: float, error: float
) -> None:
    """Means over 10 data sets published by the authors (granica-ai/DataSelectionICLR2024)."""
    p = predict(power_problem(link, alpha, fraction))
    assert abs(p.misclassification - mean) <= 3.5 * error


@pytest.mark.parametrize(("clip", "expected"), [(10.0, 0.364784), (math.inf, 0.347922)])
def test_clipping_of_the_score_matters(clip: float, expected: float) -> None:
    """Expected values from a brute-force solution (midpoint sums, bisection) sharing no code."""
    problem = power_problem(F1, -0.5, 0.05, ridge=0.1, selection__score_clip=clip)
    assert predict(problem).misclassification == pytest.approx(expected, abs=2e-6)


FIGURE_7_DELTA = 34345 / 932
SURROGATE = GivenSurrogate(2.75, 0.95)


def test_figure_7_with_an_imperfect_surrogate_converges_and_is_resolved() -> None:
    problem = power_problem(F1, samples_per_dimension=FIGURE_7_DELTA, surrogate=SURROGATE)
    points = grid(problem, read_axes(AXES))
    assert len(points) == 165
    default = predict_all(points)
    assert {p.status for p in default} == {Status.CONVERGED}
    assert max(p.residual for p in default) <= 1e-10
    hardest = points[7::16]
    doubled = predict_all(hardest, Quadrature().refined(2))
    moved = [
        abs(a.misclassification - b.misclassification)
        for a, b in zip(default[7::16], doubled, strict=True)
    ]
    assert max(moved) <= 1e-7


def test_trained_surrogate_is_close_to_the_measured_one() -> None:
    """The paper measured (2.75, 0.95) from N_su = 8 p with ridge 0.01."""
    score = score_of(power_problem(F1, surrogate=TrainedSurrogate(8, ridge=0.01)))
    assert (score.beta_0, score.beta_s) == pytest.approx((2.75, 0.95), abs=0.03)


@pytest.mark.parametrize("reweight", [False, True])
def test_a_vanishing_error_direction_changes_nothing(reweight: bool) -> None:
    """beta_s -> 0 in the three-dimensional code is the two-dimensional code."""
    problem = power_problem(F2, alpha=0.5, selection__reweight=reweight)
    exact = predict(problem.replace({"surrogate": GivenSurrogate(2.0)}))
    nearly = predict(problem.replace({"surrogate": GivenSurrogate(2.0, beta_s=1e-7)}))
    assert_same(exact, nearly, tolerance=1e-6)
    assert abs(nearly.alpha_s) < 1e-6


def test_imperfect_surrogates_agree_on_the_full_sample() -> None:
    full = predict(power_problem(F2, fraction=1.0))
    assert_same(full, predict(power_problem(F2, fraction=1.0, surrogate=SURROGATE)))
    reweighted = power_problem(F2, fraction=1.0, surrogate=SURROGATE, selection__reweight=True)
    assert_same(full, predict(reweighted))


def test_top_selection_ignores_the_scale_of_an_imperfect_score() -> None:
    problem = power_problem(F1, selection=TopSelection("easy", 0.3))
    small, large = (
        predict(problem.replace({"surrogate": GivenSurrogate(k * 2.0, k * 0.7)})) for k in (0.1, 9)
    )
    assert_same(small, large, tolerance=1e-8)
    assert small.alpha_s == pytest.approx(large.alpha_s, rel=1e-8)


def test_band_and_table_reproduce_top_selection() -> None:
    top = predict(power_problem(F1, selection=TopSelection("hard", 0.4), surrogate=SURROGATE))
    tau = brentq(lambda t: 2 * norm.cdf(t / math.hypot(2.75, 0.95)) - 1.4, 0, 9, xtol=1e-15)
    band = predict(power_problem(F1, selection=BandSelection(0.0, tau), surrogate=SURROGATE))
    assert band.fraction == pytest.approx(0.4, abs=1e-9)
    assert_same(top, band, tolerance=1e-8)
    scores = (-tau - 1e-9, -tau, tau, tau + 1e-9)
    table = TabulatedSelection(scores, (0.0, 1.0, 1.0, 0.0))
    assert_same(
        top, predict(power_problem(F1, selection=table, surrogate=SURROGATE)), tolerance=1e-6
    )


def test_reweighting_a_table_changes_the_answer() -> None:
    uneven = TabulatedSelection((-1.0, 0.0, 1.0), (0.2, 0.9, 0.4))
    biased = predict(power_problem(F1, selection=uneven))
    unbiased = predict(power_problem(F1, selection=uneven, selection__reweight=True))
    assert biased.fraction == pytest.approx(unbiased.fraction, rel=1e-12)
    assert biased.misclassification != pytest.approx(unbiased.misclassification, abs=1e-3)


CYCLING = [
    *(
        power_problem(
            F1, -1.0, fraction, 0.001, samples_per_dimension=FIGURE_7_DELTA, surrogate=SURROGATE
        )
        for fraction in (0.1, 0.2)
    ),
    power_problem(data=GaussianMixture(1.5), alpha=-0.5, fraction=0.4, samples_per_dimension=3.0),
]
SEPARABLE = Problem(SingleIndex(StepLink((0.0,), (0.0, 1.0)), 1.0), RandomSelection(1.0), 1e-8, 2.0)


@pytest.mark.parametrize(
    "problem",
    [
        *CYCLING,
        *(SEPARABLE.replace({"samples_per_dimension": d}) for d in (0.05, 0.5, 5.0)),
        *(power_problem(F1, ridge=1e-8, samples_per_dimension=d) for d in (0.05, 5.0, 1000.0)),
    ],
)
def test_hard_points_are_solved(problem: Problem) -> None:
    assert predict(problem).residual <= 1e-10


def test_a_small_ridge_on_separable_data_approaches_the_largest_margin() -> None:
    """The direction settles as the norm grows like log(1/ridge)."""
    ridges = (1e-4, 1e-6, 1e-8)
    solved = [predict(SEPARABLE.replace({"ridge": ridge})) for ridge in ridges]
    norms = [math.hypot(p.alpha_0, p.alpha_perp) for p in solved]
    growth = [b - a for a, b in pairwise(norms)]
    assert growth[1] == pytest.approx(growth[0], rel=0.1)
    errors = [p.misclassification for p in solved]
    assert abs(errors[2] - errors[1]) < abs(errors[1] - errors[0])


def test_a_nearly_ridgeless_fit_of_many_separable_samples_is_resolved() -> None:
    p = predict(SEPARABLE.replace({"samples_per_dimension": 1000.0}))
    assert p.residual < 1e-10
    assert p.error_estimate < 1e-8
    # Without noise error times N/p tends to a constant (Sorscher et al. 2022: about 0.5).
    assert 1000 * p.misclassification == pytest.approx(0.5, abs=0.15)


def test_intercept_vanishes_by_symmetry_and_not_otherwise() -> None:
    symmetric = predict(power_problem(F1, fit_intercept=True))
    assert symmetric.intercept == pytest.approx(0.0, abs=1e-12)
    assert_same(symmetric, predict(power_problem(F1)))
    uneven = StepLink((0.0,), (0.05, 0.6))
    assert predict(power_problem(uneven, fit_intercept=True)).intercept < -0.1


@pytest.mark.parametrize("link", [LogisticLink(), ProbitLink()])
def test_smooth_links_are_predicted(link: LogisticLink | ProbitLink) -> None:
    p = predict(power_problem(link, alpha=1.0, fraction=0.8, data__signal_norm=2.0))
    assert p.residual <= 1e-10
    assert 0.1 < p.misclassification < 0.5


def test_separable_data_without_ridge_is_refused_with_a_remedy() -> None:
    data = SingleIndex(StepLink((0.0,), (0.0, 1.0)), 1.0)
    problem = Problem(data, RandomSelection(1.0), 0.0, 1.5)
    with pytest.raises(ConvergenceError, match="ridge"):
        predict(problem)
    failed, fine = predict_all([problem, problem.replace({"ridge": 0.1})])
    assert failed.status is not Status.CONVERGED
    assert math.isnan(failed.misclassification)
    assert fine.status is Status.CONVERGED


def test_a_weak_surrogate_with_broad_errors_is_resolved() -> None:
    """beta_s near 2: the inclusion probability varies over a width 1/beta_s of G_s."""
    problem = power_problem(
        F1, 1.0, 0.3, samples_per_dimension=FIGURE_7_DELTA, surrogate=TrainedSurrogate(0.5, 0.03)
    )
    default = predict(problem)
    assert default.beta_s > 1.9
    assert default.fraction == pytest.approx(0.3, abs=1e-9)
    assert_same(default, predict(problem, Quadrature().refined(2)), 1e-7)
