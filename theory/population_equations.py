"""The population equations: training on pools drawn from a real population of labelled points.

The equations of `theory.saddle` need Gaussian features. What they use is that <theta, x> of a fresh
x is Gaussian over draws of the pool. With that alone, n labelled points (x_i, y_i), inclusion
probabilities pi_i, weights S_i and a penalty matrix Lambda (ridge; 0 for the intercept) predict
training on pools of N samples of the points' population. The fitted coefficients have mean theta
and covariance C over pools:

    m_i = y_i <x_i, theta>,   sigma_i^2 = x_i^T C x_i,   V_i = x_i^T A x_i / N,
    v the proximal point of S_i V_i loss at z = m_i + sigma_i G,   r = (z - v) / V_i = S_i loss'(v),
    kappa = dr/dz = S_i loss''(v) / (1 + S_i V_i loss''(v)),
    g = (1/n) sum pi_i y_i x_i E r,   H = (1/n) sum pi_i E[kappa] x_i x_i^T,
    M = (1/n) sum pi_i E[r^2] x_i x_i^T - g g^T,
    A = (Lambda + H)^-1,   Lambda theta + g = 0,   C = A M A / N,

with E over G ~ N(0, 1). For isotropic Gaussian x and large p, V_i -> 1/mu and x_i^T C x_i less its
part along the signal -> alpha_perp^2. (Cavity argument: Malzahn and Opper 2003, Obuchi and
Kabashima 2019.)

Solved by theta <- theta - A (Lambda theta + g) and the printed right sides of V_i and sigma_i^2,
with Anderson's mixing of the last few steps.
"""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cholesky, get_blas_funcs
from scipy.linalg.lapack import dtrtri
from scipy.special import expit

from theory.losses import LogisticLoss, Loss, response
from theory.noise import UnresolvableError
from theory.quadrature import gauss_legendre

Array = NDArray[np.float64]
Features = NDArray[Any]
"""In double or single precision."""
Rows = NDArray[np.intp]

TOLERANCE = 1e-6
"""Largest allowed residual, see ``Found``."""

ROUGH = 1e-5
"""Down to this residual sums over points are taken in single precision, in half the time."""

MOST_STEPS = 100
MEMORY = 8
"""Steps that are mixed."""

GROWTH = 2.0
"""Where the residual grows by more than this factor, what was remembered is dropped."""

REACH, STEP = 6.2, 0.74
"""Range and spacing of G (the normal law left out: 6e-10)."""

STRIP_STEP = 0.25
"""Spacing of z in units of the strip's half-height, if smaller.

In the trapezoid sum of a normal density times a function analytic in the strip |Im G| < s the two
decays convolve: with w = 2 pi / spacing the error is of order exp(s^2 / 2 - s w) for w > s. Both
spacings together keep it below 1e-9.
"""

MOST_LEVEL = 7
"""Halvings of the spacing; enough for sigma_i of about 130."""

PANEL, ORDER = 1.6, 8
"""Widest panel of G, and its Gauss-Legendre nodes, where the proximal map has no known strip."""

HELD_VALUES = 1 << 17
"""Values of (point, G) or (point, feature) held at a time."""


class Points(NamedTuple):
    """Features, a one last if there is an intercept, shape [n, d]; labels, shape [n]; the loss."""

    design: Features
    labels: Array
    loss: Loss

    def of(self, rows: Rows) -> "Points":
        return Points(self.design[rows], self.labels[rows], self.loss)

    def rounded(self) -> "Points":
        """The same points, features in single precision."""
        return self._replace(design=self.design.astype(np.float32))


class Setting(NamedTuple):
    """What is asked: pi_i, S_i (1 where pi_i = 0), N and the penalty's diagonal, shape [d]."""

    probability: Array
    weight: Array
    pool_size: int
    penalty: Array

    def of(self, rows: Rows) -> "Setting":
        return self._replace(probability=self.probability[rows], weight=self.weight[rows])


class State(NamedTuple):
    """theta, shape [d], and V_i and sigma_i^2, shape [n]."""

    theta: Array
    v: Array
    variance: Array

    def of(self, rows: Rows) -> "State":
        return State(self.theta, self.v[rows], self.variance[rows])


class Responses(NamedTuple):
    """E r, E r^2 and E kappa, shape [n]."""

    slope: Array
    slope_squared: Array
    curvature: Array


class Found(NamedTuple):
    """Where the solver ended, with A there, shape [d, d].

    residual: the largest relative change of V_i and sigma_i^2 in a further step, and the norm of
        Lambda theta + g relative to (1/n) sum pi_i S_i |x_i|; NaN where the equations broke down.
    """

    state: State
    a: Array
    residual: float
    steps: int


def solve(points: Points, setting: Setting, start: State | None = None) -> Found:
    """The state that solves the equations, from the given one or a cold start."""
    kept = np.flatnonzero(setting.probability)
    few = 2 * kept.size < len(points.labels)  # what is not selected only waits for the answer
    active = points.of(kept) if few else points
    asked = setting.of(kept) if few else setting
    nothing = np.full(len(points.labels), math.nan)
    state = State(np.zeros(len(setting.penalty)), nothing, nothing) if start is None else start
    state = state.of(kept) if few else state
    pulls = setting.probability * setting.weight * np.linalg.norm(points.design, axis=1)
    mixing, residual, steps, rough = _Mixing(active.design), math.nan, 0, True
    a = np.full((len(setting.penalty),) * 2, math.nan)
    try:
        if start is None:
            state = cold_start(active, asked, len(points.labels))
        single = active.rounded()
        while steps < MOST_STEPS:
            steps += 1
            try:
                used = single if rough else active
                a, slope, forms = _matrices(used, asked, state, len(points.labels))
            except (np.linalg.LinAlgError, ValueError):  # not definite, or not finite
                if not rough:
                    raise
                rough = False
                continue
            v, variance = _spreads(used.design, forms, setting.pool_size)
            image = State(state.theta - a @ slope, v, variance)
            residual = max(
                float(np.linalg.norm(slope)) / float(pulls.mean()),
                float(np.abs(v / state.v - 1).max()),
                float(np.abs(variance / state.variance - 1).max()),
            )
            if rough and residual <= ROUGH:
                rough = False
            elif not residual > TOLERANCE:
                break
            state = mixing.next(state, image, residual)
        if few:
            v, variance = _spreads(points.design, forms, setting.pool_size)
    except (np.linalg.LinAlgError, UnresolvableError):  # with no ridge or hardly any
        return Found(State(state.theta, nothing, nothing), a, math.nan, steps)
    return Found(State(state.theta, v, variance), a, residual, steps)


def cold_start(points: Points, setting: Setting, count: int) -> State:
    """V_i and sigma_i^2 of a first step from theta = 0, V_i = 0 and sigma_i = 0; count: n."""
    w, loss = setting.weight, points.loss
    slope = w * float(loss.slope(0.0))
    curvature = w * max(float(loss.curvature(0.0)), 0.25)
    at_zero = Responses(slope, slope**2, curvature)
    theta = np.zeros(points.design.shape[1])
    _, _, forms = _assembled(points, setting, theta, at_zero, count)
    return State(theta, *_spreads(points.design, forms, setting.pool_size))


class _Forms(NamedTuple):
    """Upper triangular U, W with A = U U^T and A M A = W^T W; W is of any form if that is singular.

    Products with triangular matrices cost half of those with full ones.
    """

    u: Array
    w: Array
    singular: bool


def _matrices(
    points: Points, setting: Setting, state: State, count: int
) -> tuple[Array, Array, _Forms]:
    """A, Lambda theta + g and their forms; count: n, of which points are those that matter."""
    margin = points.labels * (points.design @ state.theta)
    deviation = np.sqrt(state.variance)
    r = responses(margin, deviation, state.v, setting.weight, points.loss)
    return _assembled(points, setting, state.theta, r, count)


def _assembled(
    points: Points, setting: Setting, theta: Array, r: Responses, count: int
) -> tuple[Array, Array, _Forms]:
    share = setting.probability / count
    g = points.design.T @ (share * points.labels * r.slope)
    h = np.diag(setting.penalty) + _weighted_gram(points.design, share * r.curvature)
    u, _ = dtrtri(cholesky(h))
    a = u @ u.T
    c = a @ (_weighted_gram(points.design, share * r.slope_squared) - np.outer(g, g)) @ a
    try:
        forms = _Forms(u, cholesky((c + c.T) / 2), singular=False)
    except np.linalg.LinAlgError:  # fewer points matter than there are features
        forms = _Forms(u, c, singular=True)
    return a, setting.penalty * theta + g, forms


def influence(
    points: Points, setting: Setting, found: Found, r: Responses, by_margin: Array
) -> Array:
    """What every point does to a mean over points through theta, shape [n]; its mean is 0.

    by_margin: the derivative of what is averaged in m_i, shape [n]. With
    d = (1/n) sum y_i x_i by_margin, from d theta = -A dg: -pi_i y_i E r x_i^T A d, less its mean.
    (What V_i and C do beside it is a tenth of this or less.)
    """
    x, y = points.design, points.labels
    d = x.T @ (y * by_margin) / len(y)
    values = -setting.probability * y * r.slope * (x @ (found.a @ d))
    return np.asarray(values - values.mean())


def _weighted_gram(x: Features, weight: Array) -> Array:
    """sum_i weight_i x_i x_i^T."""
    (syrk,) = get_blas_funcs(("syrk",), (x,))
    total, root = np.zeros((x.shape[1], x.shape[1])), np.sqrt(weight).astype(x.dtype)[:, None]
    for rows in _pieces(len(x), 4 * x.shape[1]):
        total += syrk(1.0, (x[rows] * root[rows]).T)
    return total + np.triu(total, 1).T


def _spreads(x: Features, forms: _Forms, pool_size: int) -> tuple[Array, Array]:
    """V_i and sigma_i^2."""
    (trmm,) = get_blas_funcs(("trmm",), (x,))
    u, w = forms.u.astype(x.dtype), forms.w.astype(x.dtype)
    v, variance = np.empty(len(x)), np.empty(len(x))
    for rows in _pieces(len(x), x.shape[1]):
        half = trmm(1.0, u, x[rows].T, trans_a=True).T
        v[rows] = np.einsum("ij,ij->i", half, half)
        if forms.singular:
            variance[rows] = np.einsum("ij,ij->i", x[rows] @ w, x[rows])
        else:
            half = trmm(1.0, w, x[rows].T).T
            variance[rows] = np.einsum("ij,ij->i", half, half)
    return v / pool_size, np.maximum(variance, np.finfo(float).tiny) / pool_size


def _pieces(count: int, width: int) -> Iterator[slice]:
    height = max(1, 8 * HELD_VALUES // width)
    for first in range(0, count, height):
        yield slice(first, first + height)


class Anderson:
    """Anderson's mixing: the combination of the last steps whose change is smallest.

    memory: how many steps before the last are looked at. What is known is forgotten where a
    residual exceeds the one before it by more than the factor GROWTH.
    """

    def __init__(self, memory: int) -> None:
        self._memory = memory
        self._points: list[Array] = []
        self._changes: list[Array] = []
        self._last = math.inf

    def next(self, point: Array, change: Array, residual: float, scale: Array) -> Array | None:
        """Where to go from a point that a step would change so; None where nothing is known yet.

        scale: by which changes are compared.
        """
        if residual > GROWTH * self._last:
            self._points.clear()
            self._changes.clear()
        self._last = residual
        self._points = [*self._points[-self._memory :], point]
        self._changes = [*self._changes[-self._memory :], change]
        if len(self._points) == 1:
            return None
        d_change, d_point = np.diff(self._changes, axis=0), np.diff(self._points, axis=0)
        shares = np.linalg.lstsq((d_change * scale).T, change * scale, rcond=1e-10)[0]
        return np.asarray(point + change - shares @ (d_point + d_change))


class _Mixing:
    """Anderson's mixing of (theta, log V, log sigma^2), theta in the scale of the outputs."""

    def __init__(self, design: Array) -> None:
        self._column = np.sqrt(np.einsum("ij,ij->j", design, design))
        self._anderson = Anderson(MEMORY)

    def next(self, state: State, image: State, residual: float) -> State:
        point, change = _packed(state), _packed(image) - _packed(state)
        scale = np.ones(len(point))
        scale[: len(self._column)] = self._column / math.sqrt(float(image.variance.mean()))
        mixed = self._anderson.next(point, change, residual, scale)
        return image if mixed is None else _unpacked(mixed, len(state.theta))


def _packed(state: State) -> Array:
    return np.concatenate([state.theta, np.log(state.v), np.log(state.variance)])


def _unpacked(u: Array, d: int) -> State:
    v, variance = np.exp(u[d:]).reshape(2, -1)
    return State(u[:d], v, variance)


def responses(margin: Array, deviation: Array, v: Array, weight: Array, loss: Loss) -> Responses:
    """E r, E r^2 and E kappa for z = margin + deviation G; all arguments of shape [n].

    >>> from theory.losses import SquaredLoss
    >>> one = np.ones(1)
    >>> slope, squared, curvature = responses(0 * one, 2 * one, 3 * one, one, SquaredLoss())
    >>> np.allclose([slope, squared, curvature], [[-1 / 4], [(1 + 4) / 16], [1 / 4]])
    True
    """
    sums = np.empty((3, len(margin)))
    for rows, z, density in noise_rules(margin, deviation, v * weight, loss):
        gap, contraction = response(loss, z, (v * weight)[rows, None])
        sums[0, rows] = (gap * density).sum(axis=1)
        sums[1, rows] = (gap**2 * density).sum(axis=1)
        sums[2, rows] = (contraction * density).sum(axis=1)
    return Responses(sums[0] / v, sums[1] / v**2, sums[2] / v)


def log_losses(margin: Array, deviation: Array) -> tuple[Array, Array]:
    """E log(1 + exp(-(margin + deviation G))), in nats, and its derivative in margin, shape [n].

    >>> loss, slope = log_losses(np.array([-30.0]), np.array([3.0]))
    >>> np.allclose([loss, slope], [[30], [-1]], atol=1e-8)
    True
    """
    result, slope = np.empty_like(margin), np.empty_like(margin)
    for rows, z, density in noise_rules(margin, deviation, deviation, LogisticLoss()):
        result[rows] = (np.logaddexp(0, -z) * density).sum(axis=1)
        slope[rows] = -(expit(-z) * density).sum(axis=1)
    return result, slope


def noise_rules(
    margin: Array, deviation: Array, eta: Array, loss: Loss
) -> Iterator[tuple[Rows, Array, Array]]:
    """Rows of points, their z and its probabilities, of shape [rows, nodes] or [1, nodes].

    Spacings fall by powers of two as the deviation grows, so that few rules serve all points.
    """
    if loss.strip == 0:
        yield from _panelled(margin, deviation, eta, loss)
        return
    wide = STEP * deviation / (STRIP_STEP * loss.strip)
    levels = np.ceil(np.log2(np.maximum(wide, 1.0))).astype(int)
    if levels.max() > MOST_LEVEL:
        raise UnresolvableError
    for level in np.unique(levels):
        step = STEP / 2 ** int(level)
        half = math.ceil(REACH / step)
        g = step * np.arange(-half, half + 1)
        density = np.exp(-(g**2) / 2)
        density /= density.sum()
        for rows in _chunks(np.flatnonzero(levels == level), len(g)):
            yield rows, margin[rows, None] + deviation[rows, None] * g, density[None, :]


def _panelled(
    margin: Array, deviation: Array, eta: Array, loss: Loss
) -> Iterator[tuple[Rows, Array, Array]]:
    """Gauss-Legendre panels of G with edges at the kinks of the proximal map."""
    widest = min(PANEL, 6 * loss.bend_width / float(deviation.max()))
    base = np.linspace(-REACH, REACH, math.ceil(2 * REACH / widest) + 1)
    unit, unit_weights = gauss_legendre(ORDER)
    for rows in _chunks(np.arange(len(margin)), ORDER * (len(base) + 1)):
        kinks = [np.asarray(k, dtype=float) for k in loss.kinks(eta[rows])]
        marks = [(k - margin[rows]) / deviation[rows] for k in kinks]
        edges = np.column_stack([np.tile(base, (len(rows), 1)), *marks])
        edges = np.sort(np.clip(edges, -REACH, REACH), axis=1)
        length = np.diff(edges, axis=1)[:, :, None]
        g = (edges[:, :-1, None] + length * unit).reshape(len(rows), -1)
        density = (length * unit_weights).reshape(len(rows), -1) * np.exp(-(g**2) / 2)
        density /= density.sum(axis=1, keepdims=True)
        yield rows, margin[rows, None] + deviation[rows, None] * g, density


def _chunks(rows: Rows, nodes: int) -> Iterator[Rows]:
    size = max(1, HELD_VALUES // nodes)
    for first in range(0, len(rows), size):
        yield rows[first : first + size]
