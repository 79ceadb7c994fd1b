"""Solve the stationarity equations: a damped fixed point, then Newton; a status for every point.

Coarse nodes bring any start close: fixed-point steps, then Newton's method. On the fine nodes
Newton's method, with the Jacobian of the coarse ones, finishes. Everything is compiled once per
shape of the nodes, for a whole batch of problems.
"""

import math
from collections.abc import Sequence
from enum import Enum
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from theory.losses import Loss
from theory.nodes import Nodes
from theory.quadrature import MAX_NOISE_PANELS, Quadrature, noise_panels
from theory.saddle import (
    OrderParameters,
    Resolution,
    Setting,
    fixed_point_map,
    moments,
    stationarity,
)

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


class Case(NamedTuple):
    """One problem to solve: coarse and fine nodes, and the numbers of the equations."""

    coarse: Nodes
    fine: Nodes
    setting: Setting


class Solution(NamedTuple):
    """A solved point: order parameters, largest residual of the printed equations, status."""

    coefficients: Array
    alpha_perp: float
    mu: float
    residual: float
    status: Status


RESIDUAL_TOLERANCE = 1e-10
"""Largest allowed residual of the printed equations, relative to their largest term if above 1."""

QUADRATURE_TOLERANCE = 1e-2
"""Largest allowed change of a packed solution between nodes at half order and at full order.

The error at full order is far smaller: Gaussian rules converge geometrically.
"""

BATCH = 16
"""Problems that one compiled call solves, at most: this bounds its memory."""

LADDER_TOP = 1.0
LADDER_STEP = math.log(10)
"""The ridge from which a failed solve starts again, and the ratio (as a logarithm) of its steps."""

COARSE_TOLERANCE = 1e-9
NEWTON_TOLERANCE = 1e-14
NEWTON_ITERATIONS = 20
MAX_ITERATIONS = 2000


def _pack(x: OrderParameters) -> Any:
    """Coefficients, log alpha_perp, log mu as one vector: positivity is built in."""
    return jnp.concatenate([x.coefficients, jnp.log(jnp.stack([x.alpha_perp, x.mu]))])


def _unpack(u: Any) -> OrderParameters:
    return OrderParameters(u[:-2], jnp.exp(u[-2]), jnp.exp(u[-1]))


@partial(jax.jit, static_argnames=("loss", "quadrature"))
def _solve_batch(
    count: Any, starts: Any, cases: Case, loss: Loss, quadrature: Quadrature
) -> tuple[Any, Any, Any, Any]:
    """``_solve`` for the first ``count`` of BATCH stacked cases, one after the other."""

    def solve_next(k: Any, so_far: Any) -> Any:
        start, *case = jax.tree.map(lambda stacked: stacked[k], (starts, *cases))
        solved = _solve(start, Case(*case), loss, quadrature)
        return jax.tree.map(lambda all_, one: all_.at[k].set(one), so_far, solved)

    empty = jnp.zeros_like(starts), *(jnp.zeros(BATCH) for _ in range(3))
    solved: tuple[Any, Any, Any, Any] = jax.lax.fori_loop(0, count, solve_next, empty)
    return solved


def _solve(start: Any, case: Case, loss: Loss, quadrature: Quadrature) -> tuple[Any, Any, Any, Any]:
    """Packed solution, residual, distance to the coarse one, panels over G."""
    coarse, fine, setting = case

    def resolution(quadrature: Quadrature) -> Resolution:
        return Resolution(quadrature.noise_panel_width, quadrature.order, quadrature.table_panels)

    def displacement(u: Any, nodes: Nodes, quadrature: Quadrature) -> Any:
        x = _unpack(u)
        m = moments(x, nodes, loss, resolution(quadrature))
        return _pack(fixed_point_map(x, m, setting)) - u

    def coarse_displacement(u: Any) -> Any:
        return displacement(u, coarse, quadrature.coarser())

    def panels_for(u: Any) -> Any:
        return noise_panels(quadrature.noise_panel_width * loss.bend_width * jnp.exp(-u[-2]))

    def possible(u: Any) -> Any:
        return jnp.all(jnp.isfinite(u)) & (panels_for(u) < MAX_NOISE_PANELS)

    jacobian = jax.jacfwd(coarse_displacement)
    near = _fixed_point_then_newton(coarse_displacement, jacobian, possible, start)
    u, _, _ = _newton(lambda u: displacement(u, fine, quadrature), jacobian, near)
    x = _unpack(u)
    m = moments(x, fine, loss, resolution(quadrature))
    residual = jnp.max(jnp.abs(stationarity(x, m, setting)))
    moved = jnp.max(jnp.abs(u - near) / (1 + jnp.abs(u)))
    return u, residual, moved, panels_for(u).astype(float)


def _fixed_point_then_newton(displacement: Any, jacobian: Any, possible: Any, start: Any) -> Any:
    """Bring the start closer by fixed-point steps until Newton's method converges from there.

    Gives up where ``possible(u)`` is False: nothing there can be resolved.
    """

    class State(NamedTuple):
        u: Any
        norm: Any
        tolerance: Any
        iteration: Any

    def advance(s: State) -> State:
        near, steps = _damped_fixed_point(displacement, possible, s.u, s.tolerance)
        u, norm, newton_steps = _newton(displacement, jacobian, near)
        converged = norm < COARSE_TOLERANCE
        return State(
            jnp.where(converged, u, near),
            norm,
            s.tolerance / 10,
            s.iteration + steps + newton_steps,
        )

    first = State(start, jnp.inf, jnp.asarray(0.1), jnp.asarray(0))
    last = jax.lax.while_loop(
        lambda s: (s.norm >= COARSE_TOLERANCE) & (s.iteration < MAX_ITERATIONS) & possible(s.u),
        advance,
        first,
    )
    return last.u


def _damped_fixed_point(
    displacement: Any, possible: Any, start: Any, tolerance: Any
) -> tuple[Any, Any]:
    """Iterate u + omega d(u) until |d| is small; omega falls when steps reverse, rises when not."""

    class State(NamedTuple):
        u: Any
        step: Any
        damping: Any
        iteration: Any

    def advance(s: State) -> State:
        u = s.u + s.damping * s.step
        step = displacement(u)
        reversing = step @ s.step < -0.25 * (s.step @ s.step)
        damping = jnp.where(reversing, s.damping / 2, jnp.minimum(1.0, 1.2 * s.damping))
        return State(u, step, damping, s.iteration + 1)

    first = State(start, displacement(start), jnp.asarray(1.0), jnp.asarray(1))
    last = jax.lax.while_loop(
        lambda s: (_size(s.step) > tolerance) & (s.iteration < MAX_ITERATIONS) & possible(s.u),
        advance,
        first,
    )
    return last.u, last.iteration


def _newton(displacement: Any, jacobian: Any, start: Any) -> tuple[Any, Any, Any]:
    """Newton steps on d(u) = 0 until they stop shrinking d; returns the best u, its |d|, steps."""

    class State(NamedTuple):
        u: Any
        step: Any
        iteration: Any
        improving: Any

    def advance(s: State) -> State:
        u = s.u - jnp.linalg.solve(jacobian(s.u), s.step)
        step = displacement(u)
        better = _size(step) < _size(s.step)
        return State(
            jnp.where(better, u, s.u),
            jnp.where(better, step, s.step),
            s.iteration + 1,
            better & (_size(step) > NEWTON_TOLERANCE),
        )

    first = State(start, displacement(start), jnp.asarray(1), jnp.asarray(True))
    last = jax.lax.while_loop(
        lambda s: s.improving & (s.iteration < NEWTON_ITERATIONS), advance, first
    )
    return last.u, _size(last.step), last.iteration


def _size(step: Any) -> Any:
    return jnp.max(jnp.abs(step))


def solve_all(cases: Sequence[Case], loss: Loss, quadrature: Quadrature) -> list[Solution]:
    """Solve at most BATCH problems with nodes of the same shape.

    Never raises for lack of convergence, see ``Solution.status``. Where a cold start fails, the
    ridge is lowered to its value step by step, each solution starting the next.
    """
    colds = [np.zeros(case.setting.penalty.size + 2) for case in cases]
    solutions = [solution for solution, _ in _solve_from(colds, cases, loss, quadrature)]
    return [
        solution
        if solution.status is Status.CONVERGED or not 0 < case.setting.ridge < LADDER_TOP
        else _down_the_ladder(case, loss, quadrature)
        for case, solution in zip(cases, solutions, strict=True)
    ]


def _down_the_ladder(case: Case, loss: Loss, quadrature: Quadrature) -> Solution:
    ridge = case.setting.ridge
    u = np.zeros(case.setting.penalty.size + 2)
    steps = math.ceil(math.log(LADDER_TOP / ridge) / LADDER_STEP)
    for k in range(steps, -1, -1):
        factor = math.exp(k * math.log(LADDER_TOP / ridge) / steps)
        setting = case.setting._replace(
            penalty=case.setting.penalty * factor, ridge=np.float64(ridge * factor)
        )
        step = case._replace(setting=setting)
        ((solution, u),) = _solve_from([u], [step], loss, quadrature)
        if solution.status is not Status.CONVERGED:
            break
    return solution


def _solve_from(
    starts: Sequence[Array], cases: Sequence[Case], loss: Loss, quadrature: Quadrature
) -> list[tuple[Solution, Array]]:
    """One compiled call from packed starts; returns solutions and their packed forms."""
    stacked_starts, stacked = jax.tree.map(
        _stack, (starts[0], cases[0]), *zip(starts, cases, strict=True)
    )
    solved = _solve_batch(len(cases), stacked_starts, stacked, loss, quadrature)
    return [_read(*point) for point in zip(*jax.device_get(solved), strict=True)][: len(cases)]


def _stack(*arrays: Any) -> Array:
    """Arrays of one shape as a stack of BATCH; what is missing is zero."""
    first, *rest = arrays
    result = np.zeros((BATCH, *np.shape(first)))
    for k, array in enumerate(rest):
        result[k] = array
    return result


def _read(u: Array, residual: float, moved: float, panels: float) -> tuple[Solution, Array]:
    alpha_perp, mu = np.exp(u[-2:])
    if panels >= MAX_NOISE_PANELS or moved > QUADRATURE_TOLERANCE:
        status = Status.NOT_RESOLVED
    elif not residual <= RESIDUAL_TOLERANCE * max(1.0, alpha_perp**2, mu):
        status = Status.NOT_CONVERGED
    else:
        status = Status.CONVERGED
    return Solution(u[:-2], float(alpha_perp), float(mu), float(residual), status), u
