"""Weighted, ridge-penalised fits of linear models to one feature matrix, many at a time.

Newton's method, for all fits in lockstep: their products with the feature matrix become products of
matrices, which a processor does many times faster than as many products with vectors. Fits differ
in weights and ridge; weight 0 leaves a sample out.

Products are in single precision where they give a change: of margins, of gradients. What rounding
may have added up to is followed; where it nears the gradient itself, margins and gradient are
computed anew in double precision.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulate.fitting.design import Array, Design, Single, norms
from simulate.fitting.newton import newton_direction
from theory.losses import Loss, compiled, loss_terms

Columns = NDArray[np.intp]
Terms = Callable[[Array, slice, Columns], tuple[Array, Array, Array]]
"""Value, slope and curvature of the loss at given margins of some samples (rows) and fits."""

GRADIENT_TOLERANCE = 1e-9
"""A fit has converged when its gradient norm has fallen by this factor from that at zero ..."""

STEP_TOLERANCE = 1e-2
"""... and its last step was shorter than this part of the parameter vector.

Without ridge, separable data have no minimum: the gradient vanishes, but the steps do not.
"""

KINK_TOLERANCE = 1e-6
"""For a loss with kinks: distance, relative to the margins, of those from where the slopes hold."""

DAMPING = 0.01
"""Ridge added to Newton's equations, relative to the total weight and to the gradient's decrease.

It keeps them solvable where a loss is flat, and vanishes fast enough to leave Newton's rate.
"""

FORCING = 0.1
"""Newton's equations are solved at least to this relative accuracy."""

ROUNDING = 2e-6
"""Relative error of a product in single precision (generous)."""

SUFFICIENT_DECREASE = 1e-4
SUFFICIENT_FLATTENING = 0.5
"""A step is long enough when the slope along it has fallen by this factor."""

LINE_ROUNDING = 1e-14
"""Relative error of the objective and of the parts of its slope along a line."""

MAX_NEWTON_STEPS = 100
MAX_LINE_STEPS = 40
MAX_MULTIPLIER_STEPS = 60
LARGEST_BATCH = 1 << 16


class Fits(NamedTuple):
    """Fits, one a column: coefficients [p, k]; the rest of shape [k].

    gradient_norms: relative to that at zero. converged: whether the tolerances were met.
    """

    coefficients: Array
    intercepts: Array
    gradient_norms: Array
    converged: NDArray[np.bool_]


def fit(
    features: NDArray[Any],
    labels: Array,
    weights: Array,
    pool_size: int,
    ridges: Array,
    loss: Loss,
    fit_intercept: bool = False,
) -> Fits:
    """Minimise (1/N) sum_i S_ik loss(y_i (<theta_k, x_i> + b_k)) + ridge_k |theta_k|^2 / 2, each k.

    features: shape [n, p], single or double precision. labels: in {-1, +1}, shape [n].
    weights: S_ik >= 0, shape [n, k]. pool_size: N, the size of the full pool.
    ridges: lambda_k >= 0, shape [k]; b_k is not penalised.
    Returns the best points found; ``converged`` is False where a tolerance was missed.

    >>> from theory import LogisticLoss
    >>> x, y = np.array([[1.0], [-1.0]]), np.array([1.0, -1.0])
    >>> fits = fit(x, y, np.ones((2, 2)), 2, np.array([0.1, 0.2]), LogisticLoss())
    >>> theta = fits.coefficients[0]
    >>> np.allclose(1 / (1 + np.exp(theta)), theta * [0.1, 0.2])
    True
    """
    used = np.flatnonzero(weights.any(axis=1))
    if 3 * used.size < len(features):  # the copy is small
        features, labels, weights = features[used], labels[used], weights[used]
    p, count = features.shape[1], weights.shape[1]
    penalty = np.tile(np.asarray(ridges, dtype=np.float64), (p + fit_intercept, 1))
    penalty[p:] = 0.0
    design = Design(features, fit_intercept)
    objective = _Objective(design, labels[:, None], weights / pool_size, penalty)
    u, sizes, converged = (_fit_smooth if loss.smooth else _fit_kinked)(objective, loss)
    return Fits(u[:p], u[p] if fit_intercept else np.zeros(count), sizes, converged)


class _Objective(NamedTuple):
    """What is minimised: the design, labels [n, 1], weights S/N [n, k] and penalties [p, k]."""

    design: Design
    labels: Array
    weights: Array
    penalty: Array

    def of(self, fits: Any) -> "_Objective":
        return self._replace(weights=self.weights[:, fits], penalty=self.penalty[:, fits])

    def pull(self, slope: Array) -> Array:
        """Minus the force of every sample on its output."""
        return self.labels * self.weights * slope

    def scale(self, loss: Loss) -> Array:
        """Gradient norms at zero."""
        pull = self.pull(np.full_like(self.weights, float(loss.slope(0.0))))
        return norms(self.design.rough_adjoint(pull))


def _fit_smooth(objective: _Objective, loss: Loss) -> tuple[Array, Array, NDArray[np.bool_]]:
    """Points, relative gradient norms and success for a loss with a continuous slope."""

    def terms(margins: Array, rows: slice, fits: Columns) -> tuple[Array, Array, Array]:
        del rows, fits
        return loss_terms(loss, margins)

    u, margins = np.zeros_like(objective.penalty), np.zeros_like(objective.weights)
    sizes, settled = _newton(objective, terms, u, margins, objective.scale(loss))
    return u, sizes, (sizes <= GRADIENT_TOLERANCE) & (settled | (sizes == 0))


def _fit_kinked(objective: _Objective, loss: Loss) -> tuple[Array, Array, NDArray[np.bool_]]:
    """The same for a loss with kinks, by the method of multipliers.

    Margins m are allowed to differ from the points z at which the loss is taken. A penalty
    (m - z)^2 / (2 width) leaves a smooth function of m, the envelope of the loss, and multipliers,
    which become the slopes at the kinks, bring m and z together.
    """
    scale = objective.scale(loss)
    u, margins = np.zeros_like(objective.penalty), np.zeros_like(objective.weights)
    multipliers, width = np.zeros_like(margins), np.ones(scale.size)
    sizes, gap = np.zeros(scale.size), np.full(scale.size, np.inf)
    converged = scale == 0
    for _ in range(MAX_MULTIPLIER_STEPS):
        todo = np.flatnonzero(~converged)
        if not todo.size:
            break
        given, at = multipliers[:, todo], width[todo]

        def terms(
            m: Array, rows: slice, fits: Columns, given: Array = given, at: Array = at
        ) -> tuple[Array, Array, Array]:
            return envelope_terms(loss, m, given[rows][:, fits], at[fits])

        part, part_u, part_margins = objective.of(todo), u[:, todo], margins[:, todo]
        sizes[todo], _ = _newton(part, terms, part_u, part_margins, scale[todo])
        u[:, todo], margins[:, todo] = part_u, part_margins
        _, slope, _ = terms(part_margins, slice(None), np.arange(todo.size))
        multipliers[:, todo] = slope
        apart = part.weights * (at * (slope - given)) ** 2  # (m - z)^2
        size = part.weights * (1 + part_margins**2)
        before, gap[todo] = gap[todo], np.sqrt(apart.sum(axis=0) / size.sum(axis=0))
        converged[todo] = (gap[todo] <= KINK_TOLERANCE) & (sizes[todo] <= GRADIENT_TOLERANCE)
        width[todo[gap[todo] > 0.3 * before]] /= 3
    return u, sizes, converged


def _newton(
    objective: _Objective, terms: Terms, u: Array, margins: Array, scale: Array
) -> tuple[Array, NDArray[np.bool_]]:
    """Newton's method for every column from (u, margins), which it changes.

    Returns relative gradient norms, and whether the last step of each was short.
    """
    sizes, settled = np.zeros(scale.size), np.ones(scale.size, dtype=bool)
    stiff = np.zeros(scale.size, dtype=bool)
    todo = np.flatnonzero(scale > 0)
    if not todo.size:
        return sizes, settled
    part = objective.of(todo)
    point = _evaluate(part, terms, margins[:, todo], todo)
    gradient = np.zeros_like(part.penalty)
    error = np.full(todo.size, np.inf)
    for step in range(MAX_NEWTON_STEPS + 1):
        known = np.maximum(norms(gradient), GRADIENT_TOLERANCE * scale[todo])
        doubtful = error > 0.1 * known
        if doubtful.any():
            fits = todo[doubtful]
            some = part.of(doubtful)
            if u[:, fits].any():
                margins[:, fits] = some.labels * some.design.outputs(u[:, fits])
            fresh = _evaluate(some, terms, margins[:, fits], fits)
            old: Any
            for old, new in zip(point, fresh, strict=True):
                old[..., doubtful] = new
            data = some.design.adjoint(some.pull(fresh.slope))
            gradient[:, doubtful] = data + some.penalty * u[:, fits]
            error[doubtful] = 0.0
        sizes[todo] = norms(gradient) / scale[todo]
        left = sizes[todo] > GRADIENT_TOLERANCE
        if step == MAX_NEWTON_STEPS or not left.any():
            break
        if not left.all():
            todo, part, error = todo[left], part.of(left), error[left]
            point, gradient = point.of(left), gradient[:, left]
        size, hard = sizes[todo], stiff[todo]
        direction = newton_direction(
            part.design,
            np.multiply(part.weights, point.curvature, dtype=np.float32),
            part.penalty + DAMPING * size * part.weights.sum(axis=0),
            gradient,
            np.minimum(FORCING, np.maximum(size**0.5, 0.3 * GRADIENT_TOLERANCE / size)),
            hard,
        )
        stiff[todo] = hard
        along = part.labels.astype(np.float32) * part.design.rough_outputs(direction)
        length, reached = _line_search(
            part, terms, point, u[:, todo], margins[:, todo], gradient, direction, along, todo
        )
        change = part.design.rough_adjoint(part.pull(reached.slope - point.slope))
        gradient += change + part.penalty * (length * direction)
        error += ROUNDING * norms(change)
        point = reached
        u[:, todo] += length * direction
        margins[:, todo] += length * along
        moved = length * norms(direction)
        settled[todo] = moved <= STEP_TOLERANCE * norms(u[:, todo])
    return sizes, settled


class _Point(NamedTuple):
    """Terms of the loss where a line search stands.

    value, rate, bend: their sum over samples and its two derivatives along the line, shape [k].
    slope, curvature: shape [n, k].
    """

    value: Array
    rate: Array
    bend: Array
    slope: Array
    curvature: Single

    def of(self, fits: Any) -> "_Point":
        parts: list[Any] = [array[..., fits] for array in self]
        return _Point(*parts)


def _evaluate(
    part: _Objective, terms: Terms, margins: Array, fits: Columns, along: Single | None = None
) -> _Point:
    """The terms at given margins, in batches of rows, with derivatives in direction ``along``."""
    value, rate, bend = np.zeros((3, fits.size))
    slope, curvature = np.empty_like(margins), np.empty(margins.shape, dtype=np.float32)
    height = max(1, LARGEST_BATCH // fits.size)
    for first in range(0, len(margins), height):
        rows = slice(first, first + height)
        v, s, c = terms(margins[rows], rows, fits)
        w = part.weights[rows]
        value += np.einsum("ij,ij->j", w, v)
        if along is not None:
            rate += np.einsum("ij,ij->j", w * s, along[rows])
            bend += np.einsum("ij,ij->j", w * c, along[rows] ** 2)
        slope[rows], curvature[rows] = s, c
    return _Point(value, rate, bend, slope, curvature)


def _line_search(
    part: _Objective,
    terms: Terms,
    start: _Point,
    u: Array,
    margins: Array,
    gradient: Array,
    direction: Array,
    along: Single,
    fits: Columns,
) -> tuple[Array, _Point]:
    """Step lengths at which the objective is lower and much flatter, and the points there.

    Newton's method for the slope along the line, kept inside a bracket of its root.
    """
    p0, p1, p2 = (
        np.einsum("ij,ij->j", part.penalty * a, b)
        for a, b in ((u, u), (u, direction), (direction, direction))
    )
    descent = np.einsum("ij,ij->j", gradient, direction)
    # ``along`` is rounded; the slope at the start, known better, corrects the line for that.
    tilt = descent - np.einsum("ij,ij->j", part.weights * start.slope, along) - p1
    height = start.value + p0 / 2
    highest = height + LINE_ROUNDING * np.abs(height)
    flattest = np.maximum(SUFFICIENT_FLATTENING * np.abs(descent), LINE_ROUNDING * np.abs(p1))
    length, low, high = np.ones(fits.size), np.zeros(fits.size), np.full(fits.size, np.inf)
    reached = _evaluate(part, terms, margins + along, fits, along)
    trial, todo = reached, np.arange(fits.size)
    for _ in range(MAX_LINE_STEPS):
        s = length[todo]
        tilted = p1[todo] + tilt[todo]
        value = trial.value + p0[todo] / 2 + s * tilted + s**2 * p2[todo] / 2
        rate, bend = trial.rate + tilted + s * p2[todo], trial.bend + p2[todo]
        lower = value <= highest[todo] + SUFFICIENT_DECREASE * s * descent[todo]
        left = ~lower | (np.abs(rate) > flattest[todo])
        if not left.any():
            break
        todo, s, lower, rate, bend = todo[left], s[left], lower[left], rate[left], bend[left]
        beyond = (rate > 0) | ~lower
        high[todo[beyond]], low[todo[~beyond]] = s[beyond], s[~beyond]
        bottom, top = low[todo], np.minimum(high[todo], 4 * s)
        guess = s - rate / np.maximum(bend, np.finfo(float).tiny)
        inside = (guess > 0.95 * bottom + 0.05 * top) & (guess < 0.05 * bottom + 0.95 * top)
        length[todo] = np.where(inside, guess, (bottom + top) / 2)
        line = along[:, todo]
        moved = margins[:, todo] + length[todo] * line
        trial = _evaluate(part.of(todo), terms, moved, fits[todo], line)
        whole: Any
        for whole, some in zip(reached, trial, strict=True):
            whole[..., todo] = some
    return length, reached


def envelope_terms(
    loss: Loss, margins: Array, multipliers: Array, width: Array
) -> tuple[Array, Array, Array]:
    """Value, slope and curvature of min_z loss(z) + s (m - z) + (m - z)^2 / (2 width).

    multipliers: s, one for every margin m.
    """
    value, slope, curvature = compiled(_envelope_terms, loss, margins, multipliers, width)
    return value, slope, curvature


def _envelope_terms(loss: Loss, margins: Any, multipliers: Any, width: Any) -> Any:
    shifted = margins + width * multipliers
    z = loss.prox(shifted, width)
    slope = (shifted - z) / width
    value = loss.value(z) + width * (slope**2 - multipliers**2) / 2
    return value, slope, loss.contraction(z, shifted, width) / width
