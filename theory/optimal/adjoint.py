"""The adjoint of the equations: how test errors answer to any change of the integrals.

At a solution x the Lagrangian's gradient F(x) is zero. A change of a field changes F at fixed x by
dF, moves x by -H^-1 dF with H the Hessian, and a test error R by m . dF with the multipliers
m = -H^-1 dR/dx (H is symmetric), plus what the field does to R at fixed x.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from theory.nodes import Panels
from theory.noise import NoiseResolution, OrderParameters
from theory.optimal.outcomes import classifier, outcome_slopes, outcomes
from theory.prediction import ConvergenceError, Prediction, case_of, predict_all, score_of
from theory.problem import Problem
from theory.quadrature import Quadrature
from theory.saddle import gradient, hessian, solve_small
from theory.score import Score
from theory.solver import (
    Case,
    Evaluated,
    Rule,
    Status,
    evaluate,
    newton,
    pack,
    roughness,
    unpack,
)

Array = NDArray[np.float64]

FINE = Quadrature(order=16, noise_step=0.8, smoothness=1e-9)
"""Resolution of derivatives: differences of its integrals are meant to be accurate."""

MOST_PANELS = 400
"""How many panels there may be."""

CLOSE = 1e-12
"""Displacement at which a solution is refined no more."""


class Point(NamedTuple):
    """A solved problem: its score, its equations and their solution."""

    problem: Problem
    prediction: Prediction
    score: Score
    case: Case
    at: Evaluated

    @property
    def x(self) -> OrderParameters:
        return unpack(self.at.u)


def solved_point(problem: Problem) -> Point:
    """Solve a problem finely; raises ConvergenceError where ``predict`` does."""
    (prediction,) = predict_all([problem])
    if prediction.status is not Status.CONVERGED:
        raise ConvergenceError(problem, prediction)
    return point_at(problem, prediction)


def point_at(problem: Problem, prediction: Prediction) -> Point:
    """The point of a problem from its prediction."""
    score = score_of(problem)
    case = case_of(problem, score)
    coefficients = [prediction.alpha_0]
    if score.beta_s:
        coefficients.append(prediction.alpha_s)
    if problem.fit_intercept:
        coefficients.append(prediction.intercept)
    if problem.reuse:
        assert prediction.first_stage is not None
        response = prediction.chi_21 * prediction.first_stage.mu * score.beta_s
        coefficients.append(prediction.alpha_s - response)
    u = pack(OrderParameters(np.array(coefficients), prediction.alpha_perp, prediction.mu))
    with np.errstate(all="ignore"):
        rule, at = resolved(case, u)
        at = newton(case, rule, at, CLOSE)
    return Point(problem, prediction, score, case, at)


def resolved(case: Case, u: Array) -> tuple[Rule, Evaluated]:
    """Moments at u by panels that are halved until the integrands are smooth on each."""
    panels: Panels = case.integrand.panels()
    noise = NoiseResolution(FINE.noise_step, FINE.order + 2)
    while True:
        rule = Rule(case.integrand.nodes(panels, FINE.order), FINE.order, noise)
        at = evaluate(case, rule, u)
        if at is None:
            raise ArithmeticError("the equations cannot be evaluated at their solution")
        rough = roughness(at, rule) > FINE.smoothness
        if not rough.any() or len(panels.left) + rough.sum() > MOST_PANELS:
            return rule, at
        panels = panels.split(rough)


def equations(point: Point, problem: Problem, score: Score) -> Array:
    """The Lagrangian's gradient of another problem at this point's order parameters."""
    case = case_of(problem, score)
    with np.errstate(all="ignore"):
        _, at = resolved(case, point.at.u)
    return gradient(point.x, at.moments, case.setting)


def errors_at(point: Point, problem: Problem) -> Array:
    """Test errors on another problem's data at this point's order parameters, shape [2]."""
    return outcomes(problem.data, classifier(point.x, point.problem, point.score))


def multipliers(point: Point) -> Array:
    """m = -H^-1 dR/dx for misclassification and log loss, shape [2, d + 2]."""
    slopes = outcome_slopes(point.x, point.problem, point.score)
    return np.array([solve_symmetric(point, -slope) for slope in slopes])


def solve_symmetric(point: Point, right: Array) -> Array:
    """H^-1 right, with the unknowns scaled: they differ by orders of magnitude."""
    return solve_hessian(point.x, point.at, point.case, right)


def solve_hessian(x: OrderParameters, at: Evaluated, case: Case, right: Array) -> Array:
    """H^-1 right at order parameters x."""
    scale = np.array([*np.ones(len(x.coefficients)), x.alpha_perp, x.mu])
    matrix = hessian(x, at.moments, case.setting) * scale * scale[:, None]
    balance = 1 / np.sqrt(np.maximum(np.max(np.abs(matrix), axis=1), 1e-300))
    matrix = matrix * balance * balance[:, None]
    return np.asarray(solve_small(matrix, right * scale * balance) * balance * scale)
