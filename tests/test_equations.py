"""The equations against differences of the Lagrangian, second derivatives against theirs."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.problems import power_problem
from theory import (
    F2,
    GaussianMixture,
    GivenSurrogate,
    HingeLoss,
    LogisticLink,
    Problem,
    Quadrature,
    SmoothedHingeLoss,
    SquaredLoss,
    predict,
)
from theory.noise import NoiseResolution, OrderParameters
from theory.prediction import case_of, score_of
from theory.saddle import (
    Moments,
    gradient,
    hessian,
    lagrangian,
    moments,
    stationarity,
)
from theory.solver import make_rule

Array = NDArray[np.float64]

GIVEN = GivenSurrogate(2.75, 0.95)
PROBLEMS = {
    "biased": power_problem(F2, alpha=-0.5, fraction=0.4),
    "reweighted": power_problem(alpha=1.0, fraction=0.3, selection__reweight=True),
    "intercept": power_problem(F2, alpha=1.0, fraction=0.6, fit_intercept=True),
    "imperfect": power_problem(F2, alpha=0.5, surrogate=GIVEN),
    "imperfect, reweighted": power_problem(
        F2, alpha=0.5, surrogate=GIVEN, selection__reweight=True
    ),
    "imperfect, intercept": power_problem(
        LogisticLink(0.5), surrogate=GIVEN, fit_intercept=True, data__signal_norm=2.0
    ),
    "mixture": power_problem(data=GaussianMixture(1.0, 0.3, 0.1), fit_intercept=True),
    "mixture, imperfect": power_problem(
        data=GaussianMixture(1.0, 0.3, 0.1), surrogate=GIVEN, fit_intercept=True
    ),
    "squared": power_problem(loss=SquaredLoss()),
    "hinge": power_problem(loss=HingeLoss()),
    "smoothed hinge": power_problem(loss=SmoothedHingeLoss(0.5), surrogate=GIVEN),
}


class Equations:
    """The equations of a problem on its first panels, at any point (coefficients, a, mu)."""

    def __init__(self, problem: Problem) -> None:
        self.case = case_of(problem, score_of(problem))
        panels = self.case.integrand.panels()
        rule = make_rule(self.case, panels, Quadrature(), 2.0, 0.7)
        self.nodes, self.noise = rule.nodes, rule.noise

    def at(self, point: Array) -> tuple[OrderParameters, Moments]:
        x = OrderParameters(point[:-2], float(point[-2]), float(point[-1]))
        case = self.case
        return x, moments(x, self.nodes, case.integrand.curves, case.loss, self.noise)

    def value(self, point: Array) -> float:
        x = OrderParameters(point[:-2], float(point[-2]), float(point[-1]))
        case = self.case
        curves = case.integrand.curves
        return lagrangian(x, case.setting, self.nodes, curves, case.loss, self.noise)

    def gradient(self, point: Array) -> Array:
        return gradient(*self.at(point), self.case.setting)


def differences(function: object, point: Array, step: float) -> Array:
    """Fourth-order central differences along every coordinate, stacked last."""
    columns = []
    for k in range(point.size):
        e = np.zeros(point.size)
        e[k] = step
        f = [np.asarray(function(point + j * e)) for j in (-2, -1, 1, 2)]  # type: ignore[operator]
        columns.append((f[0] - 8 * f[1] + 8 * f[2] - f[3]) / (12 * step))
    return np.stack(columns, axis=-1)


def some_point(problem: Problem) -> Array:
    explicit = 2 if score_of(problem).beta_s else 1
    coefficients = [0.8, -0.4][:explicit] + [0.3] * problem.fit_intercept
    return np.array([*coefficients, 1.7, 0.2])  # no solution: all must agree everywhere


@pytest.mark.parametrize("name", PROBLEMS)
def test_equations_are_the_gradient_of_the_lagrangian(name: str) -> None:
    problem = PROBLEMS[name]
    equations, point = Equations(problem), some_point(PROBLEMS[name])
    slope = differences(equations.value, point, 1e-3)
    np.testing.assert_allclose(equations.gradient(point), slope, atol=3e-9)
    printed = stationarity(*equations.at(point), equations.case.setting)
    delta, (alpha_perp, _) = problem.samples_per_dimension, point[-2:]
    np.testing.assert_allclose(printed[:-2], slope[:-2], atol=3e-9)
    # dL/dmu = -(alpha_perp^2 - delta E[r^2]/mu^2) / (2 delta)
    np.testing.assert_allclose(printed[-2], -2 * delta * slope[-1], atol=3e-8)
    # dL/dalpha_perp = -alpha_perp (mu - delta (lambda + V)) / delta, by Stein's lemma
    np.testing.assert_allclose(printed[-1], -delta * slope[-2] / alpha_perp, atol=3e-8)


@pytest.mark.parametrize("name", PROBLEMS)
def test_second_derivatives_are_those_of_the_gradient(name: str) -> None:
    equations, point = Equations(PROBLEMS[name]), some_point(PROBLEMS[name])
    x, m = equations.at(point)
    matrix = hessian(x, m, equations.case.setting)
    by_differences = differences(equations.gradient, point, 1e-3)
    np.testing.assert_allclose(matrix, by_differences, rtol=1e-6, atol=3e-7)


@pytest.mark.parametrize("name", ["biased", "imperfect, reweighted", "hinge"])
def test_solution_is_a_saddle(name: str) -> None:
    """L rises in alpha (at the best mu) and falls in mu around the solution."""
    problem = PROBLEMS[name]
    p = predict(problem)
    explicit = [p.alpha_0, p.alpha_s][: 2 if p.beta_s else 1]
    solution = np.array([*explicit, *[p.intercept] * problem.fit_intercept, p.alpha_perp, p.mu])
    equations = Equations(problem)
    matrix = differences(equations.gradient, solution, 1e-3 * p.mu)
    in_mu = matrix[-1, -1]
    in_alpha = matrix[:-1, :-1] - np.outer(matrix[:-1, -1], matrix[-1, :-1]) / in_mu
    assert in_mu < 0
    assert np.linalg.eigvalsh((in_alpha + in_alpha.T) / 2).min() > 0


@pytest.mark.parametrize("name", ["biased", "imperfect, reweighted", "mixture, imperfect"])
def test_moments_are_expectations_over_drawn_samples(name: str) -> None:
    """Against a Monte Carlo sum of the printed integrands, which shares nothing but the prox."""
    problem = PROBLEMS[name]
    score, point = score_of(problem), some_point(PROBLEMS[name])
    generator = np.random.default_rng(5)
    n = 400_000
    means, weights = np.array(problem.data.means), np.array(problem.data.weights)
    h = means[generator.choice(len(means), n, p=weights)] + generator.standard_normal(n)
    g_s, noise = generator.standard_normal((2, n))
    y = np.where(generator.random(n) < problem.data.label_probability(h), 1.0, -1.0)
    rule = Equations(problem).case.one_round.rule
    pi = rule.probability(score.beta_0 * h + score.beta_s * g_s + score.intercept)
    columns = [h, g_s][: 2 if score.beta_s else 1] + [np.ones(n)] * problem.fit_intercept
    features = np.stack(columns, axis=1)
    mu = point[-1]
    margin = y * (features @ point[:-2] + point[-2] * noise)
    scale = 1 / pi if problem.selection.reweight else np.ones(n)
    r = mu * (margin - np.asarray(problem.loss.prox(margin, scale / mu)))
    samples = np.column_stack([(pi * r * y)[:, None] * features, pi * r**2])
    _, m = Equations(problem).at(point)
    exact = np.array([*m.slope_features, m.slope_squared])
    z = (samples.mean(0) - exact) / (samples.std(0) / math.sqrt(n))
    assert np.max(np.abs(z)) < 4


def test_resolutions_of_the_noise_agree() -> None:
    problem = PROBLEMS["imperfect"]
    equations, point = Equations(problem), some_point(problem)
    coarse = equations.at(point)[1]
    equations.noise = NoiseResolution(0.4, 30)
    np.testing.assert_allclose(coarse.mixed, equations.at(point)[1].mixed, atol=1e-13)
