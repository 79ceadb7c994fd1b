"""A problem as a function of the selection: its equations on scores that are fixed in advance.

With S = 1 the integrands are linear in pi(t) at fixed order parameters, so that nodes in t with
pi = 1 serve every selection. The functional derivative of a test error is the multipliers of the
adjoint applied to what a selected sample of score t adds to the Lagrangian's gradient,

    Z(t) = m . (E[rho x | t], alpha_perp E[kappa | t], E[r^2 | t] / (2 mu^2)),

an average over the clusters that a score may come from.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from theory.checks import InvalidFieldError
from theory.metrics import log_loss, misclassification
from theory.nodes import Geometry, Nodes
from theory.noise import NoiseResolution
from theory.optimal.adjoint import solve_hessian
from theory.optimal.outcomes import classifier, outcome_slopes
from theory.prediction import case_of, score_of
from theory.problem import Problem
from theory.quadrature import gauss_legendre
from theory.saddle import moments
from theory.score import Score, ScoreLaw, score_law
from theory.selection import RandomSelection
from theory.solver import (
    Case,
    Evaluated,
    Rule,
    Status,
    evaluate,
    first_solution,
    newton,
    roughness,
    unpack,
)

Array = NDArray[np.float64]

ORDER = 10
"""Nodes in every panel of the score."""

NARROWEST = 1e-9
"""Panels of the score narrower than this, in its deviations, are merged with their neighbour."""

SOLVED = 1e-9
"""Displacement at which the equations count as solved."""

SMOOTH, MOST_SPLITS, MOST_PANELS = 1e-4, 6, 150
"""Roughness above which a panel is halved, the rounds of it, and how many panels there may be."""

NOISE = NoiseResolution(1.0, ORDER + 2)


class Grid(NamedTuple):
    """Nodes in the score. t, weight (the law of the score): shape [J]. edges: of the panels."""

    t: Array
    weight: Array
    edges: Array


class State(NamedTuple):
    """A selection's solution: packed order parameters, test error and multipliers."""

    at: Evaluated
    error: float
    multipliers: Array


class Model:
    """The equations of a problem for any selection with S = 1, or a weight at every score.

    Raises ConvergenceError if the problem's trained surrogate has no solution.
    """

    def __init__(self, problem: Problem, objective: str) -> None:
        self.problem = problem.replace({"selection": RandomSelection(1.0)})
        self.objective = objective
        self.score: Score = score_of(problem)
        self.case: Case = case_of(self.problem, self.score)
        self.law: ScoreLaw = score_law(problem.data, self.score)

    @property
    def geometry(self) -> Geometry:
        return self.case.one_round.geometry

    def edges(self) -> Array:
        """Ends of panels in the score: those of every component."""
        panels = self.case.integrand.panels()
        shift = self.geometry.score_shift[panels.component]
        slope = self.geometry.score_slope
        return np.unique(
            np.concatenate([shift + slope * panels.left, shift + slope * panels.right])
        )

    @property
    def jumps(self) -> tuple[float, ...]:
        """Scores at which the integrands jump: those of f where nothing is hidden."""
        if self.geometry.hidden[0] != 0:
            return ()
        found = []
        for c, curve in enumerate(self.case.integrand.curves):
            for h, width in curve.bends_blurred():
                if width == 0:
                    xi = (h - self.geometry.offset[c, 0]) / self.geometry.slope[0]
                    found.append(self.geometry.score_shift[c] + self.geometry.score_slope * xi)
        return tuple(sorted(float(t) for t in found))

    def nodes(self, t: Array, weight: Array, scale: Array | None = None) -> Nodes:
        """Nodes at scores t, [components, J] flattened; weight: shape [J], times the density;
        scale: S at every score, shape [J].

        At every score the components share the weight by their densities.
        """
        shift = self.geometry.score_shift[:, None]
        xi = (t - shift) / self.geometry.score_slope
        density = np.asarray(self.case.one_round.weights)[:, None] * np.exp(-(xi**2) / 2)
        density /= math.sqrt(2 * math.pi) * abs(self.geometry.score_slope)
        components = len(shift)
        return Nodes(
            component=np.repeat(np.arange(components), len(t)),
            known=np.repeat(self.geometry.offset, len(t), axis=0)
            + xi.reshape(-1, 1) * self.geometry.slope,
            hidden=self.geometry.hidden,
            weight=(density * weight).ravel(),
            scale=np.ones((1, 1)) if scale is None else np.tile(scale, components)[:, None],
        )

    def grid(self, edges: Array) -> Grid:
        """Gauss-Legendre nodes between the edges, with the probability of each."""
        unit, unit_weights = gauss_legendre(ORDER)
        width = np.diff(edges)[:, None]
        t = (edges[:-1, None] + width * unit).ravel()
        length = (width * unit_weights).ravel()
        weight = self.nodes(t, length).weight.reshape(-1, len(t)).sum(axis=0)
        return Grid(t, weight, edges)

    def rule(self, grid: Grid, pi: Array, scale: Array | None = None) -> Rule:
        """The rule for a selection given at the grid's nodes; unselected ones are left out."""
        _, unit_weights = gauss_legendre(ORDER)
        length = (np.diff(grid.edges)[:, None] * unit_weights).ravel()
        used = pi > 0
        scale = None if scale is None else scale[used]
        return Rule(self.nodes(grid.t[used], (length * pi)[used], scale), ORDER, NOISE)

    def solve(
        self, grid: Grid, pi: Array, start: Array | None, scale: Array | None = None
    ) -> State | None:
        """The solution for a selection given at the grid's nodes; None where there is none."""
        if not np.any(pi > 0):
            return None
        rule = self.rule(grid, pi, scale)
        with np.errstate(all="ignore"):
            at = self._solved(rule, start)
            if at is None:
                return None
            x = unpack(at.u)
            slopes = outcome_slopes(x, self.problem, self.score)
            slope = slopes[0 if self.objective == "misclassification" else 1]
            multipliers = solve_hessian(x, at, self.case, -slope)
        error = self.error(at)
        if not (math.isfinite(error) and np.all(np.isfinite(multipliers))):
            return None
        return State(at, error, multipliers)

    def _solved(self, rule: Rule, start: Array | None) -> Evaluated | None:
        if start is not None:
            at = evaluate(self.case, rule, start)
            if at is not None and at.size < 3:
                at = newton(self.case, rule, at, SOLVED)
                if at.size < SOLVED:
                    return at
        found = first_solution(self.case, rule, None)
        if isinstance(found, Status):
            return None
        at = newton(self.case, rule, found, SOLVED)
        return at if at.size < 1e-6 else None

    def error(self, at: Evaluated) -> float:
        """The test error in question at a solution."""
        c = classifier(unpack(at.u), self.problem, self.score)
        function = misclassification if self.objective == "misclassification" else log_loss
        return function(self.problem.data, c.alpha_0, c.intercept, c.tau)

    def derivative(self, state: State, t: Array, scale: Array | None = None) -> Array:
        """Z at scores t of samples with weights S = scale, shape [J]: dR = E[Z(t) d pi(t)]."""
        x = unpack(state.at.u)
        nodes = self.nodes(t, np.ones(len(t)), scale)
        # Only the shares of the components count; those of far scores must not vanish.
        shares = nodes.weight.reshape(-1, len(t))
        shares = _shares(self, t) if len(shares) > 1 else np.ones_like(shares)
        nodes = nodes._replace(weight=shares.ravel())
        with np.errstate(all="ignore"):
            by_node = moments(x, nodes, self.case.integrand.curves, self.case.loss, NOISE).by_node
        m = state.multipliers
        d = len(m) - 2
        added = by_node[:, :d] @ m[:d]
        added += m[d] * x.alpha_perp * by_node[:, d + 1] + m[d + 1] * by_node[:, d] / (2 * x.mu**2)
        return np.asarray(added.reshape(-1, len(t)).sum(axis=0))

    def roughness(self, grid: Grid, pi: Array, state: State) -> Array:
        """Of the integrands, per panel of the score."""
        tails = roughness(state.at, self.rule(grid, pi))
        return np.asarray(tails.reshape(-1, len(grid.edges) - 1).max(axis=0))


def _shares(model: Model, t: Array) -> Array:
    """The components' probabilities given the score, shape [components, J]."""
    xi = (t - model.geometry.score_shift[:, None]) / model.geometry.score_slope
    log = np.log(np.asarray(model.case.one_round.weights))[:, None] - xi**2 / 2
    shares = np.exp(log - log.max(axis=0))
    return np.asarray(shares / shares.sum(axis=0))


def common_edges(models: Sequence[Model]) -> Array:
    """Ends of panels that serve all models."""
    edges = np.unique(np.concatenate([model.edges() for model in models]))
    return _apart(edges, NARROWEST * models[0].law.deviation)


def _apart(edges: Array, least: float) -> Array:
    kept = np.concatenate([[True], np.diff(edges) > least])
    return np.asarray(edges[kept])


def with_edges(edges: Array, more: Sequence[float]) -> Array:
    """The edges with further ones, which replace those that are too near."""
    inside = np.array([t for t in more if edges[0] < t < edges[-1]])
    if len(inside) == 0:
        return edges
    least = NARROWEST * (edges[-1] - edges[0])
    near = np.abs(edges[1:-1, None] - inside).min(axis=1) < least
    kept = np.concatenate([edges[:1], edges[1:-1][~near], edges[-1:]])
    return np.unique(np.concatenate([kept, inside]))


def same_law(models: Sequence[Model]) -> ScoreLaw:
    """The law of the score that all models share; InvalidFieldError where they do not."""
    law = models[0].law
    own = (*law.means, *law.weights, law.deviation)
    for k, model in enumerate(models[1:], start=1):
        other = (*model.law.means, *model.law.weights, model.law.deviation)
        if len(other) != len(own) or not np.allclose(other, own, rtol=1e-9, atol=1e-12):
            raise InvalidFieldError(
                f"problems[{k}]",
                model.law,
                f"a problem with the score law of problems[0], {law}: one selection by the score"
                " serves problems with one score",
            )
    return law
