"""Solve the stationarity equations, with a status and an error bar for every point.

A damped fixed point brings any start close; Newton's method, with the second derivatives of the
Lagrangian, finishes. Where the cold start fails, ridge or N/p is led to its value step by step.
Panels over the score are halved until the integrands are smooth on each. The answer is compared
with that of a finer rule: their difference is the error, and while it is too large the rule is
refined.
"""

import math
from collections.abc import Callable, Iterator
from enum import Enum
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from theory.checks import InvalidFieldError
from theory.features import Features
from theory.losses import Loss
from theory.nodes import Integrand, Nodes, Panels
from theory.noise import NoiseResolution, OrderParameters, UnresolvableError
from theory.quadrature import Quadrature, gauss_legendre
from theory.saddle import (
    Moments,
    Setting,
    fixed_point_map,
    gradient,
    hessian,
    moments,
    solve_small,
    stationarity,
)
from theory.two_rounds import TwoRounds

Array = NDArray[np.float64]


class Status(Enum):
    """How a solve ended; the value says what it means and what to do next."""

    CONVERGED = "converged"
    NOT_CONVERGED = (
        "the equations were not solved to tolerance; try a larger ridge, or check that a finite"
        " solution exists (without ridge, separable data have none)"
    )
    NOT_RESOLVED = (
        "the quadrature cannot resolve the solution; try a larger ridge or a finer Quadrature"
        " (without ridge, separable data have no finite solution)"
    )
    NO_FINITE_SOLUTION = (
        "there is no finite solution: without ridge the loss falls for ever along some direction;"
        " use a ridge > 0"
    )
    ONE_CLASS = (
        "the selected samples have one class only, so that no finite intercept minimises the loss;"
        " fit without intercept, or select samples of both classes"
    )
    CLASS_LEFT_OUT = (
        "the selection leaves out a class, so that no finite intercept minimises the loss; select"
        " samples of every class, or fit without intercept"
    )
    CONSTANT_CLASSIFIER = (
        "the best classifier is constant: all coefficients but the intercept are exactly 0, and its"
        " error is the share of the rarer class; use a loss without a corner, fewer samples per"
        " dimension, or no intercept"
    )
    FLAT_INTERCEPT = (
        "the training loss does not depend on the intercept over a whole interval, so that its"
        " minimum is not unique; use another loss, a smaller ridge, or no intercept"
    )
    EMPTY_SELECTION = (
        "the selection keeps no sample of this data; widen its band or raise its fraction"
    )
    UNFAITHFUL_RULE = (
        "the selection's rule does not keep its fraction, or has jumps or corners that it does not"
        " name: name in Rule.kinks every score at which the probability or its slope jumps"
    )
    NO_THEORY = (
        "the selection has no theory, as it does not decide by the score alone (has_theory is"
        " False); simulate the problem instead, with simulate.estimate"
    )
    NO_SURROGATE = (
        "the surrogate's own equations have no finite solution; train it with a ridge > 0 or on"
        " more samples per dimension"
    )


class Case(NamedTuple):
    """One problem to solve: its outer integral and the numbers of the equations."""

    integrand: Integrand | TwoRounds
    setting: Setting
    loss: Loss

    @property
    def features(self) -> Features:
        """The explicit features."""
        return self.integrand.geometry.features

    @property
    def one_round(self) -> Integrand:
        """The outer integral of a problem that fits no surrogate's samples again; ValueError for
        others."""
        if isinstance(self.integrand, TwoRounds):
            allowed = "0: of two rounds only given selections have a theory"
            raise InvalidFieldError("surrogate.reuse", self.integrand.memory.weight, allowed)
        return self.integrand

    def residuals(self, x: OrderParameters, m: Moments) -> Array:
        """Left minus right sides of all printed equations, also of those that only check."""
        used = stationarity(x, m, self.setting)
        if isinstance(self.integrand, TwoRounds):
            return np.concatenate([used, self.integrand.unused(x, m, self.setting)])
        return used


class Solution(NamedTuple):
    """A solved point: order parameters, largest residual of the printed equations, status.

    fraction: E[pi]. outcomes: the functions that were asked to be accurate, at the solution, with
    their error estimates; empty where there is none.
    """

    x: OrderParameters
    fraction: float
    residual: float
    outcomes: tuple[float, ...]
    error_estimates: tuple[float, ...]
    status: Status


Outcomes = Callable[[OrderParameters, int], tuple[float, ...]]
"""Functions of the order parameters, by quadrature with so many nodes per panel."""

RESIDUAL_TOLERANCE = 1e-10
"""Largest allowed residual of the printed equations, relative to their largest term if above 1."""

LANDING, NEAR, SOLVED = 3e-4, 1e-6, 1e-7
"""Size of the displacement from which one more Newton step is enough: on a coarse rule from a
neighbour's solution and from elsewhere, and on the last rule."""

ROUGH = 1e-2
"""Panels no rougher than this are smooth once halved."""

SHRUNK, COLLAPSED = -9.5, -11.0
"""log alpha_perp below which a fit shrinks to nothing: if it goes on, and in any case."""

MOST_ITERATIONS, MOST_NEWTON = 400, 12
"""Steps of the fixed point from one start, and of one attempt with Newton's method."""

MOST_SPLITS, MOST_PANELS = 14, 600
"""Rounds of halving panels, and how many there may be."""

COARSE_ORDER, COARSE_STEP = 0.7, 1.4
"""Orders and spacings of the coarse rule, relative to the asked ones."""

CHECK_ORDER, CHECK_STEP = 1.25, 0.83
"""The same for the rule that judges the error."""

SAFETY = 10.0
"""The error estimate is this many times the difference of two rules ..."""

ROUNDING = 1.5e-14
"""... plus this, relative to an outcome above 1."""

FINEST = 1e-5
"""The smallest share of the quadrature's smoothness that is tried to reach the accuracy."""

FLAT = 1e-10
"""Second derivative of the loss in the intercept below which it does not depend on it."""

FARTHEST = 10.0
"""A correction beyond this is no correction: the error is then large, whatever it is."""

UNRESOLVED = 1e-3
"""An error estimate above this is no answer."""

UNFAITHFUL, FRACTION_ROUNDING = 1e-6, 1e-11
"""Relative error of the selected fraction above which a rule is refused, and below which the error
is rounding."""

LADDER_TOP, LADDER_BOTTOM, LADDER_STEP = 100.0, 0.05, math.log(5)
"""The ridge and N/p where ladders start, and the largest step of their logarithms."""


class Rule(NamedTuple):
    """Nodes over the score together with the resolution over z."""

    nodes: Nodes
    order: int
    noise: NoiseResolution


class Evaluated(NamedTuple):
    """A packed point with its moments and the displacement of the fixed-point map there."""

    u: Array
    moments: Moments
    step: Array

    @property
    def size(self) -> float:
        return float(np.max(np.abs(self.step)))


def pack(x: OrderParameters) -> Array:
    """Coefficients, log alpha_perp, log mu as one vector: positivity is built in."""
    return np.array([*x.coefficients, math.log(x.alpha_perp), math.log(x.mu)])


def unpack(u: Array) -> OrderParameters:
    return OrderParameters(u[:-2], math.exp(u[-2]), math.exp(u[-1]))


def make_rule(
    case: Case, panels: Panels, quadrature: Quadrature, order: float, step: float
) -> Rule:
    """A rule whose orders and spacings are the asked ones times ``order`` and ``step``."""
    nodes = max(4, round(quadrature.order * order))
    noise = NoiseResolution(step * quadrature.noise_step, nodes + 2)
    return Rule(case.integrand.nodes(panels, nodes), nodes, noise)


def evaluate(case: Case, rule: Rule, u: Array) -> Evaluated | None:
    """The moments at u; None where they are not finite."""
    if not (np.all(np.isfinite(u)) and np.all(np.abs(u[-2:]) < 100) and np.max(np.abs(u)) < 1e8):
        return None
    x = unpack(u)
    try:
        m = moments(x, rule.nodes, case.integrand.curves, case.loss, rule.noise)
    except UnresolvableError:
        return None
    if not (np.all(np.isfinite(m.curvature_matrix)) and m.slope_squared > 0):
        return None
    mapped = fixed_point_map(x, m, case.setting)
    if not (mapped.alpha_perp > 0 and mapped.mu > 0):
        return None
    return Evaluated(u, m, pack(mapped) - u)


def newton_step(case: Case, at: Evaluated) -> Array:
    """The Newton step of the Lagrangian's gradient, in packed variables."""
    x = unpack(at.u)
    scale = np.array([*np.ones(len(x.coefficients)), x.alpha_perp, x.mu])
    matrix = hessian(x, at.moments, case.setting) * scale * scale[:, None]
    slope = gradient(x, at.moments, case.setting) * scale
    # Rows and columns differ by orders of magnitude where little is selected.
    rows = 1 / np.maximum(np.max(np.abs(matrix), axis=1), 1e-300)
    matrix = matrix * rows[:, None]
    columns = 1 / np.maximum(np.max(np.abs(matrix), axis=0), 1e-300)
    return np.asarray(solve_small(matrix * columns, -slope * rows) * columns)


def landing(case: Case, at: Evaluated) -> Array:
    """Where the Newton step leads, a correction cut at FARTHEST."""
    return np.asarray(at.u + np.clip(newton_step(case, at), -FARTHEST, FARTHEST))


def newton(case: Case, rule: Rule, start: Evaluated, target: float) -> Evaluated:
    """Newton steps until the displacement is below ``target`` or shrinks no more.

    A step that does not shrink it is shortened once.
    """
    at = start
    for _ in range(MOST_NEWTON):
        if at.size < target:
            break
        step = newton_step(case, at)
        if not np.all(np.isfinite(step)):
            break
        largest = max(np.max(np.abs(step[-2:])) / 3, 1.0)  # a factor of e^3 at most
        better = None
        for share in (1.0, 0.4) if at.size > SOLVED else (1.0,):
            candidate = evaluate(case, rule, at.u + share * step / largest)
            if candidate is not None and candidate.size < at.size:
                better = candidate
                break
        if better is None:
            break
        at = better
    return at


def approach(case: Case, rule: Rule, start: Array) -> Evaluated | None:
    """From any start to a solution on a coarse rule; the best that was reached, or None."""
    at = evaluate(case, rule, start)
    if at is None:
        return None
    damping, tolerance, spent = 1.0, 0.5, 0
    while spent < MOST_ITERATIONS:
        while at.size > tolerance and spent < MOST_ITERATIONS:
            if at.u[-2] < COLLAPSED and not case.loss.smooth:
                return at
            change = damping * at.step
            change /= max(1.0, float(np.max(np.abs(change[-2:]))) / 3)
            moved = evaluate(case, rule, at.u + change)
            spent += 1
            if moved is None:
                return None
            reversing = moved.step @ at.step < -0.25 * (at.step @ at.step)
            damping = damping / 2 if reversing else min(1.0, 1.2 * damping)
            at = moved
        solved = newton(case, rule, at, NEAR)
        if solved.size < NEAR:
            return solved
        spent += 6
        tolerance = min(tolerance / 5, at.size)
    return at


def solve(
    case: Case,
    quadrature: Quadrature,
    outcomes: Outcomes,
    start: Array | None = None,
) -> tuple[Solution, Array | None]:
    """Solve one problem, ``outcomes`` to the quadrature's tolerance; and the packed point.

    start: a packed guess, such as a neighbour's solution. Never raises for lack of convergence.
    """
    panels = case.integrand.panels()
    if not case.loss.smooth:
        panels = panels.halved()
    coarse = make_rule(case, panels, quadrature, COARSE_ORDER, COARSE_STEP)
    fraction = case.integrand.selected(coarse.nodes)
    if one_class(case, coarse.nodes):
        return _failed(fraction, Status.ONE_CLASS), None
    found = first_solution(case, coarse, start)
    if isinstance(found, Status):  # wide panels may have led astray
        panels = panels.halved()
        coarse = make_rule(case, panels, quadrature, COARSE_ORDER, COARSE_STEP)
        found = first_solution(case, coarse, None)
    if isinstance(found, Status):
        return _failed(fraction, found), None
    finished = _finish(case, panels, coarse, found, quadrature, outcomes)
    if finished is None:
        return _failed(fraction, Status.NOT_RESOLVED), None
    at, fraction, answers, errors, of_rule = finished
    x = unpack(at.u)
    residual = residual_of(case, at)
    status = Status.CONVERGED
    if not solved(case, at):
        status = Status.NOT_CONVERGED
    elif flat_intercept(case, at.moments):
        status = Status.FLAT_INTERCEPT
    elif not of_rule < UNFAITHFUL:
        status = Status.UNFAITHFUL_RULE
    elif not max(errors) < UNRESOLVED:
        status = Status.NOT_RESOLVED
    return Solution(x, fraction, residual, answers, errors, status), at.u


def first_solution(case: Case, rule: Rule, guess: Array | None) -> Evaluated | Status:
    """A solution on a coarse rule, from the first start that leads to one; or why there is none."""
    found = None
    for found, near in _starts(case, rule, guess):
        if found is not None and found.size < near:
            return found
        if is_constant(case, found):
            return Status.CONSTANT_CLASSIFIER
    if case.setting.ridge == 0:
        return Status.NO_FINITE_SOLUTION
    return Status.NOT_CONVERGED if found is not None else Status.NOT_RESOLVED


def residual_of(case: Case, at: Evaluated) -> float:
    """Largest residual of the printed equations."""
    return float(np.max(np.abs(case.residuals(unpack(at.u), at.moments))))


def solved(case: Case, at: Evaluated) -> bool:
    """Whether the residual is within its tolerance."""
    x = unpack(at.u)
    return residual_of(case, at) <= RESIDUAL_TOLERANCE * max(1.0, x.alpha_perp**2, x.mu)


def _finish(
    case: Case,
    panels: Panels,
    coarse: Rule,
    found: Evaluated,
    quadrature: Quadrature,
    outcomes: Outcomes,
) -> tuple[Evaluated, float, tuple[float, ...], tuple[float, ...], float] | None:
    """From a solution on the coarse rule: that of the asked rule, E[pi], outcomes, their errors,
    and the part of these that is the selection rule's.

    The answer is the point where Newton's last step on the asked rule lands. A finer rule judges
    it: its equations give the residual, and one more Newton step its own answer. Where that differs
    by more than the asked accuracy, panels are halved until the integrands are smoother.
    """
    smoothness = quadrature.smoothness
    while True:
        panels, found = refine(case, panels, coarse, found, quadrature, smoothness)
        fine = make_rule(case, panels, quadrature, 1.0, 1.0)
        at = evaluate(case, fine, landing(case, found)) or evaluate(case, fine, found.u)
        if at is None:
            return None
        at = newton(case, fine, at, SOLVED)
        check = make_rule(case, panels, quadrature, CHECK_ORDER, CHECK_STEP)
        judged = evaluate(case, check, landing(case, at)) or evaluate(case, check, at.u)
        if judged is None:
            return None
        here = outcomes(unpack(judged.u), fine.order)
        there = outcomes(unpack(landing(case, judged)), check.order)
        of_rule = rule_error(case, fine.nodes, check.nodes)
        errors = tuple(
            SAFETY * abs(a - b) + ROUNDING * max(1.0, abs(a)) + of_rule
            for a, b in zip(here, there, strict=True)
        )
        reached = max(errors) <= quadrature.tolerance and at.size < SOLVED
        if reached or smoothness < FINEST * quadrature.smoothness:
            if not solved(case, judged):  # the asked rule's own equations are
                judged = evaluate(case, fine, judged.u) or at
            return judged, case.integrand.selected(fine.nodes), here, errors, of_rule
        smoothness /= 100
        coarse = make_rule(case, panels, quadrature, COARSE_ORDER, COARSE_STEP)
        again = evaluate(case, coarse, judged.u)
        if again is None:
            return None
        found = newton(case, coarse, again, NEAR)


def rule_error(case: Case, fine: Nodes, check: Nodes) -> float:
    """Relative error of E[pi]: between two rules, and from the fraction that the selection states.

    Unnamed kinks of pi show here; a fit moves by about as much, relative to its own size.
    """
    found, other = case.integrand.selected(check), case.integrand.selected(fine)
    error = SAFETY * abs(found - other)
    if case.integrand.fraction is not None:
        error += abs(found - case.integrand.fraction)
    return error / found if error > FRACTION_ROUNDING * found else 0.0


def one_class(case: Case, nodes: Nodes) -> bool:
    """Whether an intercept is fitted to selected samples of (numerically) one class."""
    if not case.features.has_intercept or case.setting.ridge == 0:
        return False
    share = float(nodes.weight @ nodes.positive_shares(case.integrand.curves))
    total = float(nodes.weight.sum())
    return not 1e-13 * total < share < (1 - 1e-13) * total


def is_constant(case: Case, at: Evaluated | None) -> bool:
    """Whether the coefficients shrink to 0 with the intercept at a corner of the loss.

    With a corner, the majority's slopes can balance the minority's exactly; then nothing is gained
    by any other coefficient, and alpha_perp = 0 is the minimum, not a root of the equations.
    """
    if at is None or case.loss.smooth or not case.features.has_intercept:
        return False
    shrinking = at.u[-2] < COLLAPSED or (at.u[-2] < SHRUNK and at.step[-2] < -0.01)
    slopes = np.delete(unpack(at.u).coefficients, case.features.position("intercept"))
    return shrinking and bool(np.max(np.abs(slopes)) < 1e-3)


def flat_intercept(case: Case, m: Moments) -> bool:
    """Whether the loss does not depend on the intercept."""
    if not case.features.has_intercept:
        return False
    b = case.features.position("intercept")
    return bool(m.curvature_matrix[b, b] < FLAT)


def _failed(fraction: float, status: Status) -> Solution:
    x = OrderParameters(np.full(3, np.nan), math.nan, math.nan)
    return Solution(x, fraction, math.nan, (), (), status)


def _starts(
    case: Case, rule: Rule, guess: Array | None
) -> Iterator[tuple[Evaluated | None, float]]:
    """Solutions on the coarse rule from one start after the other, better and dearer; and the
    displacement below which each counts as one."""
    d = len(case.setting.penalty)
    if guess is not None and len(guess) == d + 2:
        at = evaluate(case, rule, guess)
        if at is not None and at.size < 3:
            yield newton(case, rule, at, LANDING), LANDING
    yield approach(case, rule, np.zeros(d + 2)), NEAR
    yield up_the_samples(case, rule), NEAR
    yield down_the_ridges(case, rule), NEAR


def down_the_ridges(case: Case, rule: Rule) -> Evaluated | None:
    """Lower the ridge from LADDER_TOP step by step."""
    penalty, ridge = case.setting.penalty, case.setting.ridge
    if not 0 < ridge < LADDER_TOP:
        return None

    def at(log: float) -> Setting:
        factor = math.exp(log) / ridge
        return case.setting._replace(penalty=penalty * factor, ridge=ridge * factor)

    return _ladder(case, rule, at, math.log(LADDER_TOP), math.log(ridge))


def up_the_samples(case: Case, rule: Rule) -> Evaluated | None:
    """Raise N/p from a small value step by step: the noise, which smooths the loss, falls."""
    delta = case.setting.samples_per_dimension
    first = min(LADDER_BOTTOM, LADDER_BOTTOM / max(case.setting.ridge, 1e-3))
    if first >= delta:
        return None

    def at(log: float) -> Setting:
        return case.setting._replace(samples_per_dimension=math.exp(log))

    return _ladder(case, rule, at, math.log(first), math.log(delta))


def _ladder(
    case: Case, rule: Rule, at: Callable[[float], Setting], first: float, last: float
) -> Evaluated | None:
    """Solve along a path of settings, each from the solution before; failed steps are quartered."""
    u = np.zeros(len(case.setting.penalty) + 2)
    position, step, solved = first, math.copysign(LADDER_STEP, last - first), False
    while True:
        here = case._replace(setting=at(position))
        found = evaluate(here, rule, u) if solved else None
        if found is not None:
            found = newton(here, rule, found, NEAR)
        if found is None or found.size >= NEAR:
            found = approach(here, rule, u)
        if found is not None and found.size < NEAR:
            u, solved = found.u, True
            if position == last:
                return found
            step = float(np.clip(1.5 * step, -LADDER_STEP, LADDER_STEP))
        elif not solved or abs(step) < LADDER_STEP / 100:
            return found if position == last else None
        else:
            position -= step
            step /= 4
        position = min(position + step, last) if step > 0 else max(position + step, last)


def refine(
    case: Case,
    panels: Panels,
    rule: Rule,
    at: Evaluated,
    quadrature: Quadrature,
    smoothness: float,
) -> tuple[Panels, Evaluated]:
    """Halve the panels on which the integrands are not smooth, and solve again, until all are."""
    for _ in range(MOST_SPLITS):
        tails = roughness(at, rule)
        rough = tails > smoothness
        if not rough.any() or len(panels.left) + rough.sum() > MOST_PANELS:
            break
        panels = panels.split(rough)
        if tails.max() < ROUGH and smoothness == quadrature.smoothness:
            break
        rule = make_rule(case, panels, quadrature, COARSE_ORDER, COARSE_STEP)
        moved = evaluate(case, rule, at.u)
        if moved is None:
            break  # the caller finds the same on its finer rule
        at = newton(case, rule, moved, NEAR)
        if at.size >= NEAR:  # the coarser panels led astray
            at = approach(case, rule, at.u) or at
    return panels, at


def roughness(at: Evaluated, rule: Rule) -> Array:
    """Per panel: the last two Legendre coefficients of the integrands, relative to the whole."""
    order = rule.order
    contributions = at.moments.by_node.reshape(-1, order, at.moments.by_node.shape[1])
    whole = np.abs(contributions).sum(axis=(0, 1)) + 1e-300
    tail = np.abs(np.einsum("kq,pqc->pkc", _last_coefficients(order), contributions)).sum(axis=1)
    return np.asarray((tail / whole).max(axis=1))


@lru_cache(maxsize=64)
def _last_coefficients(order: int) -> Array:
    """Rows that turn weighted values at the nodes of a panel into its last Legendre coefficients.

    The contributions hold the quadrature weights; times (2k + 1) P_k they are coefficients times
    the panel's length.
    """
    nodes, _ = gauss_legendre(order)
    rows = []
    for k in (order - 2, order - 1):
        unit = np.zeros(k + 1)
        unit[k] = 2 * k + 1
        rows.append(np.polynomial.legendre.legval(2 * nodes - 1, unit))
    return np.array(rows)
