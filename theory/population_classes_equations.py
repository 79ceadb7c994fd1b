"""The population equations for K classes: softmax regression on pools of a real population.

Those of `theory.population_equations` with vectors in place of numbers. Coefficients are fitted to
the mean of -o_y + log sum_c exp o_c with penalty (ridge / 2) |Theta|^2 on the rows of all classes;
intercepts are free. At the minimum all rows sum to zero, and so do the outputs o = B u, with B an
orthonormal basis of such vectors, shape [K, k], k = K - 1. In u nothing is left undetermined. theta
holds the coefficients of u, feature by feature for every entry:

    m_i = theta^T x_i,  (Sigma_i)_ab = x_i^T C_ab x_i,  (V_i)_ab = x_i^T A_ab x_i / N,
    v the solution of v + S_i V_i l'(v) = z,  z = m_i + Sigma_i^(1/2) G,
    l'(v) = B^T (softmax(B v) - e_y),  l''(v) = B^T (diag q - q q^T) B,  q = softmax(B v),
    r = S_i l'(v),   kappa = (I + S_i l'' V_i)^-1 S_i l'',
    g = (1/n) sum pi_i E[r] (x) x_i,   H = (1/n) sum pi_i E[kappa] (x) x_i x_i^T,
    M = (1/n) sum pi_i E[r r^T] (x) x_i x_i^T - g g^T,
    A = (Lambda + H)^-1,   Lambda theta + g = 0,   C = A M A / N.

For two classes u = (o_1 - o_0) / sqrt(2): the ridge of the logistic fit is half of this one.
Expectations over G are means over a few nodes, turned at random for every point: their errors
average out over points.

Solved as the binary equations are: theta <- theta - A (Lambda theta + g) and the right sides of
Sigma_i and V_i, with Anderson's mixing; first with two pairs of nodes a point, and in single
precision as far as that does.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, cholesky
from scipy.linalg.blas import dgemm, sgemm
from scipy.special import gammaincinv

from theory.noise import UnresolvableError
from theory.population_equations import Features, Rows, Setting

Array = NDArray[np.float64]

TOLERANCE = 1e-4
"""Largest allowed residual: the errors then are within 1e-5 of the solution's, see the tests."""

COARSE = 1e-2
"""Down to this residual there are two pairs of nodes a point."""

MOST_STEPS, MOST_STAGE_STEPS = 60, 25
"""At most, altogether and with one kind of nodes and precision."""

MEMORY = 6
"""Steps that are mixed."""

GROWTH = 3.0
"""Where the residual grows by more than this factor, what was remembered is dropped."""

FARTHEST = 1.0
"""A mixed V_i or Sigma_i is no farther from the plain step's, relative to that."""

PROXIMAL_STEPS = 100
PROXIMAL_TOLERANCE = 1e-3
"""Newton's last step for r is shorter than this, and its error about the square of it.

Steps begin where the last iteration ended, so that r and kappa converge with everything else.
"""

HELD_BYTES = 1 << 25
"""Of matrices, one for every node of some points, or products of features, held at a time."""


class ClassPoints(NamedTuple):
    """Features, a one last if there is an intercept, shape [n, d]; class numbers, shape [n].

    basis: B, shape [K, k]. nodes: of G for every point, `random_nodes`, shape [n, nodes, k].
    """

    design: Features
    members: Rows
    basis: Array
    nodes: NDArray[np.float32]

    def of(self, rows: Rows) -> "ClassPoints":
        return self._replace(
            design=self.design[rows], members=self.members[rows], nodes=self.nodes[rows]
        )

    def rounded(self) -> "ClassPoints":
        """The same points, features in single precision."""
        return self._replace(design=self.design.astype(np.float32))

    def coarse(self) -> "ClassPoints":
        """The same points with two pairs of nodes each."""
        half = self.nodes[:, : self.nodes.shape[1] // 2][:, :2].astype(np.float64)
        half *= math.sqrt(half.shape[2]) / np.linalg.norm(half, axis=2, keepdims=True)
        nodes = np.concatenate([half, -half], axis=1).astype(np.float32)
        return self._replace(nodes=nodes)


class ClassState(NamedTuple):
    """theta, shape [k, d]; upper triangles of V_i and Sigma_i, shape [n, k (k + 1) / 2]."""

    theta: Array
    v: Array
    variance: Array

    def of(self, rows: Rows) -> "ClassState":
        return ClassState(self.theta, self.v[rows], self.variance[rows])


class ClassResponses(NamedTuple):
    """E r, shape [n, k]; E r r^T and E kappa, shape [n, k (k + 1) / 2]."""

    slope: Array
    slope_squared: Array
    curvature: Array


class ClassFound(NamedTuple):
    """Where the solver ended, with A there, shape [k d, k d], and the responses.

    residual: the largest change of a V_i or Sigma_i in a further step, relative to its norm, and
        the norm of Lambda theta + g relative to (1/n) sum pi_i S_i |x_i|; NaN where the equations
        broke down.
    """

    state: ClassState
    a: Array
    responses: ClassResponses
    residual: float
    steps: int


def orthonormal_contrasts(classes: int) -> Array:
    """Orthonormal columns that sum to zero, shape [K, K - 1].

    >>> b = orthonormal_contrasts(4)
    >>> np.allclose(b.T @ b, np.eye(3)), np.allclose(b.sum(axis=0), 0)
    (True, True)
    """
    basis = np.zeros((classes, classes - 1))
    for j in range(1, classes):
        basis[:j, j - 1], basis[j, j - 1] = -1.0, j
        basis[:, j - 1] /= math.sqrt(j * (j + 1))
    return basis


def random_nodes(count: int, dimension: int, pairs: int, seed: int = 0) -> NDArray[np.float32]:
    """Nodes of G for many points, [count, 2 pairs, dimension]; mean 0, sum of variances exact.

    Opposite pairs, orthogonal up to ``dimension`` of them, turned at random; their radii are spread
    over equal parts of the law of |G|.
    """
    generator = np.random.default_rng(seed)
    turns = []
    for _ in range(math.ceil(pairs / dimension)):
        q, r = np.linalg.qr(generator.standard_normal((count, dimension, dimension)))
        turns.append(q.transpose(0, 2, 1) * np.sign(np.einsum("ijj->ij", r))[:, :, None])
    directions = np.concatenate(turns, axis=1)[:, :pairs]
    order = generator.random((count, pairs)).argsort(axis=1)
    squared = 2 * gammaincinv(dimension / 2, (order + generator.random((count, 1))) / pairs)
    squared *= dimension / squared.mean(axis=1, keepdims=True)
    half = (np.sqrt(squared)[:, :, None] * directions).astype(np.float32)
    return np.concatenate([half, -half], axis=1)


def solve_classes(
    points: ClassPoints, setting: Setting, start: ClassState | None = None
) -> ClassFound:
    """The state that solves the equations, from the given one or a cold start."""
    count = len(points.members)
    kept = np.flatnonzero(setting.probability)
    few = 2 * kept.size < count  # what is not selected only waits for the answer
    active = points.of(kept) if few else points
    asked = setting.of(kept) if few else setting
    k, d = points.basis.shape[1], points.design.shape[1]
    nothing = np.full((count, k * (k + 1) // 2), math.nan)
    state = ClassState(np.zeros((k, d)), nothing, nothing) if start is None else start
    state = state.of(kept) if few else state
    norms = np.sqrt(np.einsum("ij,ij->i", points.design, points.design))
    pull = float((setting.probability * setting.weight * norms).mean())
    single = active.rounded()
    stages = [(single.coarse(), COARSE), (single, TOLERANCE), (active, TOLERANCE)]
    r, a = ClassResponses(nothing, nothing, nothing), np.full((k * d, k * d), math.nan)
    residual, steps = math.nan, 0
    try:
        state = first = _cold_start(single, asked, count) if start is None else state
        while stages:
            (used, target), *stages = stages
            mixing, gaps, residual = _Mixing(active.design), Gaps(used), math.inf
            most = min(MOST_STEPS, steps + MOST_STAGE_STEPS)
            while residual > target and steps < most:
                steps += 1
                try:
                    r = responses(used, asked, state, gaps)
                    a, slope, c = _matrices(used, asked, state.theta, r, count)
                except np.linalg.LinAlgError:  # not definite: single precision may not do
                    if not stages:
                        raise
                    state, stages = first, stages[-1:]
                    break
                v, variance = _forms(used.design, a, c, setting.pool_size, k)
                image = ClassState(state.theta - (a @ slope.ravel()).reshape(k, d), v, variance)
                residual = max(
                    float(np.linalg.norm(slope)) / pull,
                    _change(v, state.v),
                    _change(variance, state.variance),
                )
                state = mixing.next(state, image, residual) if residual > target else image
            if target == TOLERANCE and residual <= TOLERANCE:
                break
        if few:
            v, variance = _forms(points.design, a, c, setting.pool_size, k)
    except (np.linalg.LinAlgError, UnresolvableError):  # with no ridge or hardly any
        return ClassFound(ClassState(state.theta, nothing, nothing), a, r, math.nan, steps)
    if few:
        r = _spread_out(r, kept, count)
    return ClassFound(ClassState(state.theta, v, variance), a, r, residual, steps)


def _spread_out(r: ClassResponses, kept: Rows, count: int) -> ClassResponses:
    """Zeros for the points that are not selected, and have no part in anything."""
    whole: list[Array] = []
    for part in r:
        full = np.zeros((count, part.shape[1]))
        full[kept] = part
        whole.append(full)
    return ClassResponses(*whole)


def _cold_start(points: ClassPoints, setting: Setting, count: int) -> ClassState:
    """V_i and Sigma_i of a first step from theta = 0, V_i = 0 and Sigma_i = 0; count: n."""
    classes, k = points.basis.shape
    slope = -setting.weight[:, None] * points.basis[points.members]
    upper = np.triu_indices(k)
    curvature = setting.weight[:, None] * (np.eye(k) / classes)[upper]
    r = ClassResponses(slope, slope[:, upper[0]] * slope[:, upper[1]], curvature)
    theta = np.zeros((k, points.design.shape[1]))
    a, _, c = _matrices(points, setting, theta, r, count)
    return ClassState(theta, *_forms(points.design, a, c, setting.pool_size, k))


class Gaps:
    """l'(v) at every node of every point, kept to begin from; zeros at first."""

    def __init__(self, points: ClassPoints) -> None:
        self.values = np.zeros(points.nodes.shape)


def responses(
    points: ClassPoints, setting: Setting, state: ClassState, gaps: Gaps | None = None
) -> ClassResponses:
    """Means over the nodes of every point. Raises UnresolvableError where Newton's method fails."""
    gaps = Gaps(points) if gaps is None else gaps
    count, k = len(points.members), points.basis.shape[1]
    upper = np.triu_indices(k)
    slope, squared, curvature = np.empty((count, k)), *np.empty((2, count, upper[0].size))
    for rows in pieces(count, 4 * 8 * points.nodes.shape[1] * k * k):
        z, _ = outputs(points, state, rows)
        weight = setting.weight[rows]
        sv = weight[:, None, None] * full(state.v[rows], k)
        w, kappa = _proximal(z, sv, points.members[rows], points.basis, gaps.values[rows])
        slope[rows] = weight[:, None] * w.mean(axis=1)
        second = np.einsum("iqa,iqb->iab", w, w) / w.shape[1]
        squared[rows] = weight[:, None] ** 2 * second[:, upper[0], upper[1]]
        curvature[rows] = weight[:, None] * kappa[:, upper[0], upper[1]]
    return ClassResponses(slope, squared, curvature)


def outputs(points: ClassPoints, state: ClassState, rows: slice) -> tuple[Array, Array]:
    """z at the nodes of some points, shape [rows, nodes, k]; roots of their Sigma_i."""
    k = points.basis.shape[1]
    margin = points.design[rows] @ state.theta.T.astype(points.design.dtype)
    root = np.linalg.cholesky(full(state.variance[rows], k))
    z = margin[:, None, :] + points.nodes[rows] @ root.transpose(0, 2, 1)
    return np.asarray(z, dtype=np.float64), np.asarray(root, dtype=np.float64)


def _proximal(z: Array, sv: Array, members: Rows, basis: Array, gaps: Array) -> tuple[Array, Array]:
    """w = l'(v) with v = z - S V w, which replaces ``gaps``, and the mean of kappa / S over nodes.

    Newton's method on w S V w / 2 + l(z - S V w), whose gradient is S V (w - l'), with shorter
    steps where a full one leads up.
    """
    points, nodes, k = z.shape
    classes = len(basis)
    products = (basis[:, :, None] * basis[:, None, :]).reshape(classes, k * k)
    kappa = np.zeros((points * nodes, k, k))
    w, z = gaps.reshape(-1, k), z.reshape(-1, k)
    owner, own = np.repeat(np.arange(points), nodes), np.repeat(members, nodes)
    todo = np.arange(len(w))
    identity = np.eye(k)
    for _ in range(PROXIMAL_STEPS):
        v_matrix, y, at = sv[owner[todo]], own[todo], w[todo]
        pushed = np.einsum("iab,ib->ia", v_matrix, at)
        value, q = _losses(z[todo] - pushed, y, basis)
        value += np.einsum("ia,ia->i", at, pushed) / 2
        mean = q @ basis
        bend = (q @ products).reshape(-1, k, k) - mean[:, :, None] * mean[:, None, :]
        inverse = np.linalg.inv(identity + bend @ v_matrix)
        gap = mean - basis[y] - at
        step = np.einsum("iab,ib->ia", inverse, gap)
        kappa[todo] = inverse @ bend
        descent = np.einsum("ia,iab,ib->i", gap, v_matrix, step)
        length = _lengths(z[todo], at, step, v_matrix, y, basis, value, descent)
        w[todo] = at + length[:, None] * step
        far = (np.abs(step).max(axis=1) > PROXIMAL_TOLERANCE) | (length < 1)
        todo = todo[far]
        if not todo.size:
            return w.reshape(points, nodes, k), kappa.reshape(points, nodes, k, k).mean(axis=1)
    raise UnresolvableError


def _lengths(
    z: Array,
    at: Array,
    step: Array,
    v_matrix: Array,
    own: Rows,
    basis: Array,
    value: Array,
    descent: Array,
) -> Array:
    """Lengths, 1 or halvings of it, at which the objective has fallen."""
    length = np.ones(len(z))
    long = np.flatnonzero(np.abs(step).max(axis=1) > 0.1)  # shorter steps are safe
    for _ in range(30):
        if not long.size:
            return length
        moved = at[long] + length[long, None] * step[long]
        pushed = np.einsum("iab,ib->ia", v_matrix[long], moved)
        reached = _losses(z[long] - pushed, own[long], basis)[0]
        reached += np.einsum("ia,ia->i", moved, pushed) / 2
        allowed = value[long] - 1e-4 * length[long] * descent[long] + 1e-12 * np.abs(value[long])
        long = long[reached > allowed]
        length[long] /= 2
    raise UnresolvableError


def _losses(v: Array, own: Rows, basis: Array) -> tuple[Array, Array]:
    """Softmax losses and probabilities of the classes."""
    logits = v @ basis.T
    logits -= logits.max(axis=1, keepdims=True)
    q = np.exp(logits)
    total = q.sum(axis=1)
    loss = np.log(total) - logits[np.arange(len(own)), own]
    return loss, q / total[:, None]


def _matrices(
    points: ClassPoints, setting: Setting, theta: Array, r: ClassResponses, count: int
) -> tuple[Array, Array, Array]:
    """A, Lambda theta + g and A M A; count: n, of which points are those that matter."""
    share = (setting.probability / count)[:, None]
    d = points.design.shape[1]
    k = r.slope.shape[1]
    g = (share * r.slope).T @ points.design
    grams = _grams(points.design, share * np.concatenate([r.curvature, r.slope_squared], axis=1))
    pairs = r.curvature.shape[1]
    h = _blocks(grams[:pairs], k, d)
    h[np.diag_indices_from(h)] += np.tile(setting.penalty, k)
    m = _blocks(grams[pairs:], k, d) - np.outer(g, g)
    if not np.isfinite(h).all():
        raise np.linalg.LinAlgError
    a = cho_solve((cholesky(h, overwrite_a=True, check_finite=False), False), np.eye(k * d))
    return a, setting.penalty * theta + g, a @ m @ a


def _blocks(grams: Array, k: int, d: int) -> Array:
    """The symmetric matrix, [k d, k d], of its blocks by row, shape [k (k + 1) / 2, d, d]."""
    matrix = np.empty((k, d, k, d))
    for block, i, j in zip(grams, *np.triu_indices(k), strict=True):
        matrix[i, :, j] = matrix[j, :, i] = block
    return matrix.reshape(k * d, k * d)


def _products(x: Features) -> Iterator[tuple[slice, Features]]:
    """Products of every two features, the upper triangle by row, for some points at a time."""
    d = x.shape[1]
    for rows in pieces(len(x), x.itemsize * d * (d + 1) // 2):
        some, first = x[rows], 0
        z = np.empty((len(some), d * (d + 1) // 2), dtype=x.dtype)
        for i in range(d):
            np.multiply(some[:, i : i + 1], some[:, i:], out=z[:, first : first + d - i])
            first += d - i
        yield rows, z


def _grams(x: Features, weights: Array) -> Array:
    """sum_i weights_ij x_i x_i^T, shape [j, d, d]."""
    d, gemm = x.shape[1], sgemm if x.dtype == np.float32 else dgemm
    total = np.zeros((weights.shape[1], d * (d + 1) // 2))
    for rows, z in _products(x):
        w = weights[rows].astype(x.dtype)
        total += gemm(1.0, w.T, z.T, trans_b=True)
    grams = np.empty((len(total), d, d))
    i, j = np.triu_indices(d)
    grams[:, i, j] = grams[:, j, i] = total
    return grams


def _forms(x: Features, a: Array, c: Array, pool_size: int, k: int) -> tuple[Array, Array]:
    """V_i and Sigma_i."""
    d, pairs = x.shape[1], k * (k + 1) // 2
    i, j = np.triu_indices(d)
    packed = np.empty((d * (d + 1) // 2, 2 * pairs), dtype=x.dtype)
    for first, matrix in ((0, a), (pairs, c)):
        blocks = matrix.reshape(k, d, k, d)
        for n, (p, q) in enumerate(zip(*np.triu_indices(k), strict=True)):
            block = blocks[p, :, q]
            packed[:, first + n] = np.where(i == j, 0.5, 1.0) * (block[i, j] + block[j, i])
    forms = np.empty((len(x), 2 * pairs))
    for rows, z in _products(x):
        forms[rows] = z @ packed
    forms /= pool_size
    return forms[:, :pairs], forms[:, pairs:]


def full(upper: Array, k: int) -> Array:
    """Symmetric matrices, shape [n, k, k], of their upper triangles."""
    matrices = np.empty((len(upper), k, k))
    i, j = np.triu_indices(k)
    matrices[:, i, j] = matrices[:, j, i] = upper
    return matrices


def pieces(count: int, row_bytes: int) -> Iterator[slice]:
    height = max(1, HELD_BYTES // row_bytes)
    for first in range(0, count, height):
        yield slice(first, first + height)


def _change(new: Array, old: Array) -> float:
    return float(np.sqrt(((new - old) ** 2).sum(axis=1) / (old**2).sum(axis=1)).max())


class _Mixing:
    """Anderson's mixing: the combination of the last steps whose change is smallest."""

    def __init__(self, design: Features) -> None:
        self._column = np.sqrt(np.einsum("ij,ij->j", design, design))
        self._forget()

    def _forget(self) -> None:
        self._points: list[Array] = []
        self._changes: list[Array] = []
        self._scales: tuple[Array, ...] = ()
        self._last = math.inf

    def next(self, state: ClassState, image: ClassState, residual: float) -> ClassState:
        if residual > GROWTH * self._last:
            self._forget()
        self._last = residual
        if not self._scales:
            self._scales = self._natural_scales(image)
        point, change = self._packed(state), self._packed(image) - self._packed(state)
        self._points = [*self._points[-MEMORY:], point]
        self._changes = [*self._changes[-MEMORY:], change]
        if len(self._points) == 1:
            return image
        d_change = np.diff(self._changes, axis=0)
        shares = np.linalg.lstsq(d_change @ d_change.T, d_change @ change, rcond=1e-13)[0]
        move = shares @ (np.diff(self._points, axis=0) + d_change)
        ends = np.cumsum([part.size for part in image])[:-1]
        mixed = ClassState(
            *(
                part - piece.reshape(part.shape) / scale
                for part, scale, piece in zip(
                    image, self._scales, np.split(move, ends), strict=True
                )
            )
        )
        try:
            for part, plain in zip(mixed[1:], image[1:], strict=True):
                np.linalg.cholesky(full(part, len(state.theta)))
                if _change(part, plain) > FARTHEST:
                    raise np.linalg.LinAlgError
        except np.linalg.LinAlgError:
            self._forget()
            return image
        return mixed

    def _packed(self, state: ClassState) -> Array:
        parts = [(part * s).ravel() for part, s in zip(state, self._scales, strict=True)]
        return np.concatenate(parts)

    def _natural_scales(self, image: ClassState) -> tuple[Array, ...]:
        """What makes changes of all parts comparable: outputs by their deviation, forms by size."""
        v, variance = (np.sqrt((part**2).sum(axis=1, keepdims=True)) for part in image[1:])
        return self._column / math.sqrt(float(variance.mean())), 1 / v, 1 / variance
