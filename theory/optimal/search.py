"""The selection that minimises the largest test error of one or several models.

Conditional gradient: the errors are linear in pi to first order, R_k + E[Z_k (s - pi)], and their
largest is minimised over 0 <= s <= 1, E s = fraction by a linear program; for one model it keeps
the scores of smallest Z. A line search moves towards s. The gap between the largest error and the
linear program's value is 0 at a stationary selection alone; for convex R it bounds what is missing.

At a stationary selection pi = 1{sum_k w_k Z_k <= q} with the program's multipliers w and q. Z is
a combination of few analytic functions, so that ties have no probability: the optimum keeps
intervals of scores outright. Their thresholds solve sum_k w_k Z_k(t) = q together with
E pi = fraction and equal errors where w_k > 0, and are refined as unknowns of these equations.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog, root
from scipy.special import ndtr

from theory.kinds import Selection
from theory.optimal.intervals import Intervals
from theory.optimal.smooth import minimise_largest
from theory.optimal.state import (
    MOST_PANELS,
    MOST_SPLITS,
    SMOOTH,
    Grid,
    Model,
    State,
    common_edges,
    with_edges,
)
from theory.score import ScoreLaw
from theory.selection import TopSelection

Array = NDArray[np.float64]

MOST_STEPS, MOST_HALVINGS = 6, 8
"""Steps of the conditional gradient from one start, and shortenings of one step."""

SMALL_GAP = 1e-5
"""Gap at which the conditional gradient stops: the thresholds are then refined."""

HEAVY, LEAST_HEAVY = 0.5, 0.03
"""Panels of the score hold at most this share of the fraction, unless they hold the latter."""

MOST_CORRECTIONS, MOST_ATOMS = 15, 12
"""Rounds of the fully corrective method, and how many vertices it holds."""

SLIVER = 1e-8
"""Probability of an interval, or of a gap, that counts as none."""

EVALUATIONS = 12
"""Of the conditions for thresholds, per unknown, after which their solver is lost."""

ACTIVE = 1e-7
"""Weight of a model above which its error is the largest."""


class Target(NamedTuple):
    """What is asked: E pi = fraction, or any E pi up to it."""

    fraction: float
    at_most: bool = False


class Program(NamedTuple):
    """Answer of the linear program: s, its value, weights of the models, the level q of Z."""

    s: Array
    value: float
    weights: Array
    level: float


class Iterate(NamedTuple):
    """A selection at the nodes of a grid, its solutions, and the gap."""

    grid: Grid
    pi: Array
    states: tuple[State, ...]
    program: Program

    @property
    def errors(self) -> Array:
        return np.array([state.error for state in self.states])

    @property
    def worst(self) -> float:
        return float(self.errors.max())

    @property
    def gap(self) -> float:
        return max(self.worst - self.program.value, 0.0)


def solve_all(
    models: Sequence[Model], grid: Grid, pi: Array, starts: Sequence[State] | None
) -> tuple[State, ...] | None:
    """Solutions of all models, or None where one has none."""
    states = []
    for k, model in enumerate(models):
        state = model.solve(grid, pi, None if starts is None else starts[k].at.u)
        if state is None:
            return None
        states.append(state)
    return tuple(states)


def iterate(
    models: Sequence[Model], grid: Grid, pi: Array, states: tuple[State, ...], target: Target
) -> Iterate:
    """The selection with its linear program."""
    z = np.array([m.derivative(s, grid.t) for m, s in zip(models, states, strict=True)])
    errors = np.array([state.error for state in states])
    return Iterate(grid, pi, states, linear_program(grid, errors, z, pi, target))


def linear_program(grid: Grid, errors: Array, z: Array, pi: Array, target: Target) -> Program:
    """Minimise the largest of R_k + E[Z_k (s - pi)] over admissible s."""
    if len(errors) == 1:
        s, level = lowest(grid.weight, z[0], target)
        value = errors[0] + grid.weight @ (z[0] * (s - pi))
        return Program(s, float(value), np.ones(1), level)
    solve: Any = linprog  # its stubs have multipliers that may be missing
    scale = float(np.abs(z).max())
    rows = np.hstack([z * grid.weight / scale, -np.ones((len(z), 1))])
    right = ((z * grid.weight) @ pi - errors) / scale
    kept = np.append(grid.weight, 0.0)[None, :]
    cost = np.append(np.zeros(len(pi)), 1.0)
    bounds = [*([(0.0, 1.0)] * len(pi)), (None, None)]
    if target.at_most:
        rows, right = np.vstack([rows, kept]), np.append(right, target.fraction)
        found = solve(cost, rows, right, bounds=bounds, method="highs")
        multiplier = found.ineqlin.marginals[-1]
    else:
        equal = (kept, np.array([target.fraction]))
        found = solve(cost, rows, right, *equal, bounds=bounds, method="highs")
        multiplier = found.eqlin.marginals[0]
    weights = np.maximum(-np.asarray(found.ineqlin.marginals)[: len(z)], 0.0)
    s = np.clip(found.x[:-1], 0.0, 1.0)
    return Program(s, float(found.fun) * scale, weights / weights.sum(), float(multiplier) * scale)


def lowest(weight: Array, z: Array, target: Target) -> tuple[Array, float]:
    """Keep the nodes of smallest Z up to the fraction; the last one in part."""
    order = np.argsort(z, kind="stable")
    before = np.concatenate([[0.0], np.cumsum(weight[order])[:-1]])
    safe = np.maximum(weight[order], 1e-300)
    kept = np.clip((target.fraction - before) / safe, 0.0, 1.0)
    if target.at_most:
        kept[z[order] >= 0] = 0.0
    s = np.empty_like(z)
    s[order] = kept
    if target.at_most and weight @ s < target.fraction * (1 - 1e-9):
        return s, 0.0
    return s, float(z[order][np.flatnonzero(kept > 0)[-1]])


def first_grid(models: Sequence[Model], fraction: float) -> tuple[Grid, tuple[State, ...] | None]:
    """A grid on which the integrands are smooth for a random selection, and its solutions."""
    grid = models[0].grid(common_edges(models))
    for _ in range(MOST_SPLITS):
        masses = grid.weight.reshape(len(grid.edges) - 1, -1).sum(axis=1)
        heavy = masses > max(HEAVY * fraction, LEAST_HEAVY)
        if not heavy.any():
            break
        grid = _halved(models, grid, heavy)
    pi = np.full(len(grid.t), fraction)
    states = solve_all(models, grid, pi, None)
    for _ in range(MOST_SPLITS):
        if states is None:
            break
        tails = np.max(
            [m.roughness(grid, pi, s) for m, s in zip(models, states, strict=True)], axis=0
        )
        rough = tails > SMOOTH
        if not rough.any() or len(grid.edges) + rough.sum() > MOST_PANELS:
            break
        grid = _halved(models, grid, rough)
        pi = np.full(len(grid.t), fraction)
        states = solve_all(models, grid, pi, states)
    return grid, states


def _halved(models: Sequence[Model], grid: Grid, which: NDArray[np.bool_]) -> Grid:
    middles = ((grid.edges[1:] + grid.edges[:-1]) / 2)[which]
    return models[0].grid(np.sort(np.concatenate([grid.edges, middles])))


def scheme_at(grid: Grid, scheme: Selection, law: ScoreLaw, fraction: float) -> Array:
    """A scheme's probabilities at the nodes; the last node that top-k keeps is kept in part."""
    if isinstance(scheme, TopSelection):
        size = np.abs(grid.t)
        pi, _ = lowest(grid.weight, size if scheme.keep == "hard" else -size, Target(fraction))
        return pi
    return np.clip(scheme.law_rule(law).probability(grid.t), 0.0, 1.0)


def descend(models: Sequence[Model], at: Iterate, target: Target) -> Iterate:
    """Conditional gradient with a line search on the largest error."""
    for _ in range(MOST_STEPS):
        if at.gap < SMALL_GAP:
            break
        share = 1.0
        moved = None
        for _ in range(MOST_HALVINGS):
            pi = at.pi + share * (at.program.s - at.pi)
            states = solve_all(models, at.grid, pi, at.states)
            if states is None:
                share /= 4
                continue
            worst = max(state.error for state in states)
            if worst < at.worst - 0.05 * share * at.gap:
                moved = iterate(models, at.grid, pi, states, target)
                break
            # Where a parabola through both values, with slope -gap, has its minimum.
            curved = max(worst - at.worst + share * at.gap, 1e-300)
            share = float(np.clip(share**2 * at.gap / (2 * curved), 0.05 * share, 0.6 * share))
        if moved is None:
            break
        at = moved
    return at


def correct(
    models: Sequence[Model], at: Iterate, target: Target, gap: float = SMALL_GAP
) -> Iterate:
    """Fully corrective conditional gradient: the best mixture of all vertices met so far.

    Where plain steps zigzag. The error depends on pi through a few integrals, so that few vertices
    are enough.
    """
    atoms = [at.pi]
    for _ in range(MOST_CORRECTIONS):
        if at.gap < gap:
            break
        atoms = [*atoms[-MOST_ATOMS:], at.program.s]
        mixed = np.array(atoms)
        last = [at.states]

        def errors(share: Array, mixed: Array = mixed, at: Iterate = at, last: Any = last) -> Any:
            pi = np.clip(share @ mixed, 0.0, 1.0)
            states = solve_all(models, at.grid, pi, last[0])
            if states is None:
                return None
            last[0] = states
            z = [m.derivative(s, at.grid.t) for m, s in zip(models, states, strict=True)]
            slopes = (np.array(z) * at.grid.weight) @ mixed.T
            return np.array([state.error for state in states]), slopes

        n = len(atoms)
        # The current point is a mixture of the atoms: itself, as the last but one.
        start = np.zeros(n)
        start[n - 2] = 1.0
        share = minimise_largest(errors, start, [(0.0, 1.0)] * n, np.ones(n), 1.0)
        pi = np.clip(share @ mixed, 0.0, 1.0)
        states = solve_all(models, at.grid, pi, at.states)
        if states is None or max(s.error for s in states) >= at.worst:
            break
        at = iterate(models, at.grid, pi, states, target)
        atoms = [*(a for a, w in zip(atoms, share, strict=True) if w > 1e-9), at.pi]
    return at


def intervals_of(models: Sequence[Model], at: Iterate) -> Intervals:
    """Where sum_k w_k Z_k is below its level."""

    def excess(t: Array) -> Array:
        pairs = zip(models, at.states, at.program.weights, strict=True)
        total = sum((w * m.derivative(s, t) for m, s, w in pairs), np.zeros(len(t)))
        return np.asarray(total - at.program.level)

    t = at.grid.t
    below = excess(t) < 0
    crossings = np.flatnonzero(below[1:] != below[:-1])
    low, high = t[crossings].copy(), t[crossings + 1].copy()
    for _ in range(12):
        middle = (low + high) / 2
        if len(middle) == 0:
            break
        same = (excess(middle) < 0) == below[crossings]
        low, high = np.where(same, middle, low), np.where(same, high, middle)
    found = Intervals(tuple(float(x) for x in (low + high) / 2), bool(below[0]))
    return found.without_slivers(models[0].law, SLIVER)


class Thresholds(NamedTuple):
    """Unknown thresholds among all: those at a jump of Z stay there.

    symmetric: whether only the positive half is unknown.
    """

    intervals: Intervals
    pinned: NDArray[np.bool_]
    symmetric: bool

    @property
    def free(self) -> Array:
        t = np.asarray(self.intervals.thresholds)[~self.pinned]
        return t[len(t) // 2 :] if self.symmetric else t

    def at(self, free: Array) -> Intervals:
        """The intervals with these values of the unknown thresholds."""
        t = np.asarray(self.intervals.thresholds, dtype=np.float64).copy()
        t[~self.pinned] = np.concatenate([-free[::-1], free]) if self.symmetric else free
        return Intervals(tuple(float(x) for x in t), self.intervals.first)


def refine(
    models: Sequence[Model], at: Iterate, intervals: Intervals, target: Target
) -> tuple[Intervals, Iterate] | None:
    """Thresholds as unknowns of the stationarity conditions, from an approximate solution.

    None where no solution was found near.
    """
    law = models[0].law
    edges = at.grid.edges
    jumps = np.array(sorted({t for model in models for t in model.jumps}))
    thresholds = np.asarray(intervals.thresholds)
    pinned = np.zeros(len(thresholds), dtype=bool)
    if len(jumps) and len(thresholds):
        nearest = jumps[np.abs(thresholds[:, None] - jumps).argmin(axis=1)]
        pinned = np.abs(thresholds - nearest) < 1e-3 * law.deviation
        thresholds = np.where(pinned, nearest, thresholds)
    intervals = Intervals(tuple(float(x) for x in thresholds), intervals.first)
    symmetric = intervals.is_symmetric(1e-3 * law.deviation) and len(thresholds) > 0
    symmetric = symmetric and all(abs(m + n) < 1e-12 for m, n in _pairs(law.means))
    unknown = Thresholds(intervals, pinned, symmetric)
    active = [int(k) for k in np.flatnonzero(at.program.weights > ACTIVE)]
    constrained = not (target.at_most and at.program.level >= 0)
    scale = max(
        float(np.std([m.derivative(s, at.grid.t) for m, s in zip(models, at.states, strict=True)])),
        1e-300,
    )
    n = len(unknown.free)
    last: list[tuple[State, ...]] = [at.states]

    # Z is a smooth function of t^2 where it is even: so is its root, also where a hole opens at 0.
    def inner(free: Array) -> Array:
        return np.asarray((free / law.deviation) ** (2 if symmetric else 1))

    def outer(v: Array) -> Array:
        return np.asarray(law.deviation * (np.sqrt(np.maximum(v, 0.0)) if symmetric else v))

    def solved(free: Array) -> tuple[Intervals, Grid, Array, tuple[State, ...] | None]:
        here = unknown.at(free)
        ordered = Intervals(tuple(sorted(here.thresholds)), here.first)
        grid = models[0].grid(with_edges(edges, ordered.thresholds))
        pi = ordered.contains(grid.t)
        return ordered, grid, pi, solve_all(models, grid, pi, last[0])

    def residual(v: Array) -> Array:
        free = outer(v[:n])
        _, grid, pi, states = solved(free)
        if states is None:
            return np.full(len(v), 1e3)
        last[0] = states
        weights = np.zeros(len(models))
        weights[active[1:]] = v[n + constrained :]
        weights[active[0]] = 1 - weights.sum()
        level = v[n] if constrained else 0.0
        z = sum((weights[k] * models[k].derivative(states[k], free) for k in active), np.zeros(n))
        parts = [z / scale - level]
        if constrained:
            parts.append(np.array([grid.weight @ pi / target.fraction - 1]))
        errors = np.array([states[k].error for k in active])
        parts.append((errors[1:] - errors[0]) / scale)
        return np.concatenate(parts)

    if n:
        options: Any = {"xtol": 1e-11, "eps": 1e-10, "maxfev": EVALUATIONS * (n + 2)}
        start = np.concatenate(
            [
                inner(unknown.free),
                [at.program.level / scale] if constrained else [],
                at.program.weights[active[1:]],
            ]
        )
        found = root(residual, start, method="hybr", options=options)
        if not np.max(np.abs(found.fun)) < 1e-6:
            last[0] = at.states
            start[:n] = inner(_walked(models, unknown, solved, target))
            found = root(residual, start, method="hybr", options=options)
        if not np.max(np.abs(found.fun)) < 1e-6:
            return None
        free = outer(found.x[:n])
    else:
        free = unknown.free
    final, grid, pi, states = solved(free)
    whole = final.without_slivers(law, SLIVER)
    if len(whole.thresholds) < len(final.thresholds):
        return refine(models, at, whole, target)
    if states is None or final.thresholds != unknown.at(free).thresholds:
        return None
    return final, iterate(models, grid, pi, states, target)


def _walked(
    models: Sequence[Model], unknown: Thresholds, solved: Callable[[Array], Any], target: Target
) -> Array:
    """Thresholds nearer to the optimum, by descent: where the equations' own solver gets lost.

    In the law's cumulative probabilities c the fraction is a sum of +-c, with slopes of the errors
    +-Z, the sign that of the threshold's side.
    """
    law = models[0].law
    free = unknown.free
    n = len(free)
    every = np.asarray(unknown.intervals.thresholds)
    place = np.searchsorted(every, free)
    side = np.where((place % 2 == 0) == unknown.intervals.first, 1.0, -1.0)
    reach = law.largest
    table = np.linspace(-reach, reach, 20_001)
    below = np.array([_cumulative(law, t) for t in (table[0], table[-1])])
    cumulative = np.array([_cumulative(law, float(t)) for t in table])
    share = side * (2.0 if unknown.symmetric else 1.0)

    def scores(c: Array) -> Array:
        return np.interp(c, cumulative, table)

    def errors(c: Array) -> tuple[Array, Array] | None:
        t = np.sort(scores(c))
        _, _, _, states = solved(t)
        if states is None:
            return None
        z = np.array([m.derivative(s, t) for m, s in zip(models, states, strict=True)])
        return np.array([state.error for state in states]), z * share

    start = np.array([_cumulative(law, float(t)) for t in free])
    kept = unknown.intervals.probability(law)
    to = float(share @ start) + target.fraction - kept
    return scores(minimise_largest(errors, start, [(below[0], below[1])] * n, share, to))


def _cumulative(law: ScoreLaw, t: float) -> float:
    means = np.asarray(law.means)
    return float(np.asarray(law.weights) @ ndtr((t - means) / law.deviation))


def _pairs(means: Sequence[float]) -> list[tuple[float, float]]:
    return list(zip(sorted(means), sorted(means, reverse=True), strict=True))
