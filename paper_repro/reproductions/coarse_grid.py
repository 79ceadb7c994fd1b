"""The equations on the coarse grid, and with the stopping rule, of the published theory values.

The values published beside the paper's code solve the same equations by the trapezoid rule on
[-5, 5], with 51 nodes a dimension (perfect surrogate) or 41 (imperfect), a step of 0.2 or 0.25. One
of their one-dimensional rules adds its two end nodes without the normal density. With an imperfect
surrogate they stop a gradient descent once no entry of the gradient exceeds 5e-4.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import expit, ndtr

from theory import LogisticLoss, PowerSelection, Problem
from theory.prediction import score_of

Array = NDArray[np.float64]

LIMIT = 5.0
PERFECT_INTERVALS, IMPERFECT_INTERVALS = 50, 40
GRADIENT_TOLERANCE = 5e-4
LEARNING_RATES = {0.1: (5.0, False), 0.01: (100.0, True), 0.001: (20.0, False)}
"""By ridge: the rate of the published descent, and whether it is divided by the step's number."""

LOGISTIC = LogisticLoss()


class Nodes(NamedTuple):
    """Label times (h, G_s, G), shape [n, 3], and the weight of a selected sample, shape [n]."""

    features: Array
    weight: Array


class Solution(NamedTuple):
    """Order parameters; coefficients are (alpha_0, alpha_s, alpha_perp). iterations: until done."""

    coefficients: Array
    mu: float
    iterations: int


def trapezoid(intervals: int) -> tuple[Array, Array]:
    """Nodes on [-5, 5] and weights times the normal density, which do not quite sum to one."""
    x = np.linspace(-LIMIT, LIMIT, intervals + 1)
    weight = np.full(x.shape, 2 * LIMIT / intervals)
    weight[[0, -1]] /= 2
    return x, weight * np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi)


def line_rule() -> tuple[Array, Array]:
    """The published one-dimensional rule: 5001 nodes, the end ones without the density."""
    x, weight = trapezoid(5000)
    weight[[0, -1]] = LIMIT / 5000
    return x, weight


def _inclusion(problem: Problem, scores: Array, log_constant: float) -> Array:
    assert isinstance(problem.selection, PowerSelection)
    clipped = np.clip(scores, -problem.selection.score_clip, problem.selection.score_clip)
    preference = (expit(clipped) * expit(-clipped)) ** problem.selection.alpha
    return np.asarray(np.minimum(np.exp(log_constant) * preference, 1))


def log_constant(problem: Problem) -> float:
    """log c of pi = min(c [p (1 - p)]^alpha, 1), from the published rule for E pi."""
    assert isinstance(problem.selection, PowerSelection)
    fraction, score = problem.selection.fraction, score_of(problem)
    if score.beta_s:
        x, weight = trapezoid(100)
        scores = (score.beta_0 * x[:, None] + score.beta_s * x).ravel()
        weight = np.outer(weight, weight).ravel()
    else:
        x, weight = line_rule()
        scores = score.beta_0 * x

    def excess(log_c: float) -> float:
        return float(weight @ _inclusion(problem, scores, log_c)) - fraction

    return float(brentq(excess, -40, 40, xtol=1e-13))


def grid_nodes(problem: Problem) -> Nodes:
    """The published product grid: (h, G) or, with an imperfect surrogate, (h, G_s, G)."""
    score = score_of(problem)
    x, w = trapezoid(IMPERFECT_INTERVALS if score.beta_s else PERFECT_INTERVALS)
    side, side_w = (x, w) if score.beta_s else (np.zeros(1), np.ones(1))
    points = np.stack(np.meshgrid(x, side, x, indexing="ij"), axis=-1).reshape(-1, 3)
    weight = np.einsum("i,j,k->ijk", w, side_w, w).ravel()
    scores = score.beta_0 * points[:, 0] + score.beta_s * points[:, 1]
    weight = weight * _inclusion(problem, scores, log_constant(problem))
    positive = problem.data.label_probability(points[:, 0])
    return Nodes(
        np.concatenate([points, -points]),
        np.concatenate([weight * positive, weight * (1 - positive)]),
    )


def _slopes(coefficients: Array, mu: float, nodes: Nodes) -> Array:
    """r = l'(v) at every node."""
    margin = nodes.features @ coefficients
    return np.asarray(LOGISTIC.slope(LOGISTIC.prox(margin, 1 / mu)))


def solve(problem: Problem, nodes: Nodes) -> Solution:
    """The stationary point on the grid, by the damped fixed-point iteration.

    V = E[r G]/alpha_perp, of which the analytic form is an integration by parts that a grid breaks.
    Raises RuntimeError if it does not converge.
    """
    delta, ridge = problem.samples_per_dimension, problem.ridge
    at, mu, damping, last = np.array([1.0, 0.0, 1.0]), 1.0, 1.0, np.inf
    for iteration in range(500):
        r = _slopes(at, mu, nodes)
        moments = (nodes.weight * r) @ nodes.features
        curvature = moments[2] / at[2]
        new_mu = delta * (ridge + curvature)
        new = (curvature * at - moments) / (ridge + curvature)
        new[2] = np.sqrt(delta * (nodes.weight @ r**2)) / new_mu
        size = max(float(np.abs(new - at).max()), abs(np.log(new_mu / mu)))
        if size < 1e-9:
            return Solution(new, float(new_mu), iteration)
        damping = max(0.1, damping / 2) if size > last else min(1.0, 1.1 * damping)
        last = size
        at = at + damping * (new - at)
        mu = float(mu * (new_mu / mu) ** damping)
    raise RuntimeError(f"no convergence on the coarse grid: {problem}")


def descend(problem: Problem, nodes: Nodes) -> Solution:
    """The published gradient descent, from (1, 1, 1), stopped as it was; mu is maximised exactly.

    Raises RuntimeError if it has not stopped after 120 steps.
    """
    rate, decays = LEARNING_RATES[problem.ridge]
    delta = problem.samples_per_dimension
    at, mu = np.ones(3), 1.0
    for iteration in range(120):
        mu = _best_mu(at, nodes, delta, mu)
        gradient = (nodes.weight * _slopes(at, mu, nodes)) @ nodes.features
        gradient += problem.ridge * at - np.array([0, 0, mu * at[2] / delta])
        at = at - rate / (iteration + 1 if decays else 1) * gradient
        if np.abs(gradient).max() < GRADIENT_TOLERANCE:
            return Solution(at, mu, iteration)
    raise RuntimeError(f"the descent has not stopped: {problem}")


def _best_mu(coefficients: Array, nodes: Nodes, delta: float, start: float) -> float:
    """Where alpha_perp^2 = delta E[r^2] / mu^2, at given coefficients."""

    def excess(log_mu: float) -> float:
        r = _slopes(coefficients, np.exp(log_mu), nodes)
        return float(np.log(delta * (nodes.weight @ r**2) / coefficients[2] ** 2) - 2 * log_mu)

    around = np.log(start)
    return float(np.exp(brentq(excess, around - 3, around + 3, xtol=1e-9)))


def grid_misclassification(problem: Problem, solution: Solution) -> float:
    """Test error by the published one-dimensional rule."""
    h, weight = line_rule()
    alpha_0, alpha_s, alpha_perp = solution.coefficients
    certainty = 2 * ndtr(alpha_0 * h / np.hypot(alpha_s, alpha_perp)) - 1
    return float(0.5 - 0.5 * weight @ ((2 * problem.data.label_probability(h) - 1) * certainty))
