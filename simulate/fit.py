"""Weighted, ridge-penalised fit of a linear model by a truncated Newton method.

Newton's direction comes from conjugate gradients, which need only products with the feature matrix:
no p x p matrix is formed, and n < p is no special case. The direction is found as accurately as the
distance to the minimum deserves, so that convergence is superlinear.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np
from numpy.typing import NDArray

import theory  # noqa: F401  (sets JAX to double precision)
from theory.losses import Loss

Array = NDArray[np.float64]

GRADIENT_TOLERANCE = 1e-8
"""A fit has converged when its gradient norm has fallen by this factor from that at zero ..."""

STEP_TOLERANCE = 1e-2
"""... and its last step was shorter than this part of the parameter vector.

Without ridge, separable data have no minimum: the gradient vanishes, but the steps do not.
"""

SMOOTHING_WIDTHS = (1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001)
"""A loss with kinks is approached by smoothed ones, ever closer, each started from the last ..."""

ROUGH_TOLERANCE = 1e-3
"""... and all but the last fitted to this tolerance only."""

DAMPING = 0.01
"""Ridge added to Newton's equations, relative to the total weight and to the gradient's decrease.

It keeps them solvable where a loss is flat, and vanishes fast enough to leave Newton's rate.
"""

MAX_NEWTON_STEPS = 100
MAX_CONJUGATE_STEPS = 2000


class Fit(NamedTuple):
    """Coefficients [p], intercept, gradient norm relative to that at zero, and success."""

    coefficients: Array
    intercept: float
    gradient_norm: float
    converged: bool


def fit(
    features: Array,
    labels: Array,
    weights: Array,
    pool_size: int,
    ridge: float,
    loss: Loss,
    fit_intercept: bool = False,
    start: Fit | None = None,
) -> Fit:
    """Minimise (1/N) sum_i S_i loss(y_i (<theta, x_i> + b)) + (ridge/2) |theta|^2.

    features: shape [n, p]; labels in {-1, +1} and weights S_i > 0: both of shape [n].
    pool_size: N, the size of the full pool. ridge: lambda >= 0; b is not penalised.
    loss: one with kinks is rounded within 0.0005 of them.
    start: an earlier fit of the same shape to start from, such as that of a larger ridge.
    Returns the best point found; ``converged`` is False if its gradient missed the tolerance.

    >>> from theory import LogisticLoss
    >>> x, y = np.array([[1.0], [-1.0]]), np.array([1.0, -1.0])
    >>> theta = fit(x, y, np.ones(2), 2, 0.1, LogisticLoss()).coefficients[0]
    >>> bool(abs(1 / (1 + np.exp(theta)) - 0.1 * theta) < 1e-9)
    True
    """
    data = (features, labels, weights, pool_size, ridge)
    *rough, last = dict.fromkeys(loss.smoothed(width) for width in SMOOTHING_WIDTHS)
    for smooth in rough:
        start = _fit_smooth(*data, smooth, fit_intercept, start, ROUGH_TOLERANCE)
    return _fit_smooth(*data, last, fit_intercept, start, GRADIENT_TOLERANCE)


def _fit_smooth(
    features: Array,
    labels: Array,
    weights: Array,
    pool_size: int,
    ridge: float,
    loss: Loss,
    fit_intercept: bool,
    start: Fit | None,
    tolerance: float,
) -> Fit:
    """``fit`` for a loss with a continuous slope, by the truncated Newton method."""
    scaled = weights / pool_size
    p = features.shape[1]

    def linear(u: Array) -> Array:
        """Margins of the parameter vector u = (theta, b)."""
        return labels * (features @ u[:p] + (u[p] if fit_intercept else 0.0))

    def adjoint(r: Array) -> Array:
        r = labels * r
        return np.append(features.T @ r, r.sum()) if fit_intercept else features.T @ r

    penalty = np.full(p + fit_intercept, ridge)
    if fit_intercept:
        penalty[p] = 0.0

    u = np.zeros(p + fit_intercept)
    value, slope, curvature = loss_terms(loss, linear(u))
    scale = float(np.linalg.norm(adjoint(scaled * slope)))
    if scale == 0:
        return Fit(u[:p], 0.0, 0.0, True)
    margins = np.zeros_like(labels)
    if start is not None:
        u = np.append(start.coefficients, start.intercept) if fit_intercept else start.coefficients
        margins = linear(u)
        value, slope, curvature = loss_terms(loss, margins)
    objective = float(scaled @ value + penalty @ u**2 / 2)

    settled = True
    for _ in range(MAX_NEWTON_STEPS):
        gradient = adjoint(scaled * slope) + penalty * u
        size = float(np.linalg.norm(gradient)) / scale
        if size <= tolerance:
            break
        damping = DAMPING * size * float(scaled.sum())
        direction, along = _newton_direction(
            linear,
            adjoint,
            scaled * curvature,
            penalty + damping,
            gradient,
            accuracy=min(0.01, size**0.5),
        )
        descent = float(gradient @ direction)
        step = 1.0
        while True:
            candidate, moved = u + step * direction, margins + step * along
            value, slope, curvature = loss_terms(loss, moved)
            lower = float(scaled @ value + penalty @ candidate**2 / 2)
            rounding = 1e-14 * abs(objective)
            if lower <= objective + 1e-4 * step * descent + rounding or step < 1e-10:
                break
            step /= 2
        u, margins, objective = candidate, moved, lower
        settled = step * np.linalg.norm(direction) <= STEP_TOLERANCE * np.linalg.norm(u)
    gradient = adjoint(scaled * slope) + penalty * u
    size = float(np.linalg.norm(gradient)) / scale
    converged = size <= tolerance and bool(settled)
    return Fit(u[:p], float(u[p]) if fit_intercept else 0.0, size, converged)


def _newton_direction(
    linear: Any, adjoint: Any, curvature: Array, penalty: Array, gradient: Array, accuracy: float
) -> tuple[Array, Array]:
    """Solve (X^T D X + penalty) d = -gradient by conjugate gradients; returns d and its margins."""
    direction = np.zeros_like(gradient)
    along = np.zeros_like(curvature)
    residual = -gradient
    search = residual.copy()
    squared = float(residual @ residual)
    stop = accuracy**2 * squared
    for _ in range(MAX_CONJUGATE_STEPS):
        search_margins = linear(search)
        product = adjoint(curvature * search_margins) + penalty * search
        length = squared / float(search @ product)
        direction += length * search
        along += length * search_margins
        residual -= length * product
        previous, squared = squared, float(residual @ residual)
        if squared <= stop:
            break
        search = residual + (squared / previous) * search
    return direction, along


def loss_terms(loss: Loss, margins: Array) -> tuple[Array, Array, Array]:
    """Value, slope and curvature of the loss at every margin.

    The loss is compiled; margins are padded to a power of two so that few sizes occur.
    """
    padded = np.zeros(1 << max(6, (margins.size - 1).bit_length()))
    padded[: margins.size] = margins
    value, slope, curvature = (np.asarray(a)[: margins.size] for a in _terms(loss, padded))
    return value, slope, curvature


@partial(jax.jit, static_argnums=0)
def _terms(loss: Loss, margins: Any) -> tuple[Any, Any, Any]:
    return loss.value(margins), loss.slope(margins), loss.curvature(margins)
