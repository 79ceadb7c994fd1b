"""Two rounds on real features: the surrogate is trained on N_A labels of the very population, and
these labels may be used again.

As in `theory.population_equations`, n labelled points (x_i, y_i) stand for the population. A sample
A of N_A of them trains theta_1 (loss l_1, penalty Lambda_1); the samples of a pool B of N_B are
kept with pi(t), S = 1 or 1/pi, at their scores t = <theta_1, x>; the final fit is that of
`theory.two_rounds`,

    theta_2 = argmin (1/N) [w sum_A l_2 + sum_B S l_2] + theta^T Lambda_2 theta / 2,
    N = N_A + N_B, or N_B where w = 0.

Over draws of A and B the outputs at a point are jointly normal. In margins, with E_A the mean over
points and draws, E_B the same with pi, f_A = N_A/N, f_B = N_B/N:

    s_1 ~ y <x, theta_1>, s_2 ~ y <x, theta_2>, covariances c_ab = x^T C_ab x,
    V_11 = x^T A_11 x / N_A,   V_22 = x^T A_22 x / N,   V_21 = x^T A_21 x / N_A,
    A:  v_1 = s_1 - V_11 r_1,  v_2 = s_2 - V_21 r_1 - V_22 r_2,  r_1 = l_1'(v_1),  r_2 = w l_2'(v_2)
    B:  v_2 = s_2 - V_22 r_2,  r_2 = S l_2'(v_2),                                  t = y s_1

    A_11 = (Lambda_1 + E_A[k_11 x x^T])^-1,   k_aa = dr_a/ds_a
    A_22 = (Lambda_2 + f_A E_A[k_22 x x^T] + f_B E_B[k_22 x x^T])^-1,   A_21 = -A_22 K_21 A_11
    K_21 = -f_A E_A[V_21 k_11 k_22 x x^T] + f_B E_B[d_1 x x^T]
        with pi d_1 = d(pi r_2)/ds_1: E[pi r_2 (s_1 - m_1)] = c_11 E[pi d_1] + c_12 E[pi k_22]
    Lambda_1 theta_1 + g_1 = 0,   Lambda_2 theta_2 + f_A g_A + f_B g_B = 0,   g = E[y x r]
    M_11 = (E_A[r_1^2 x x^T] - g_1 g_1^T) / N_A
    M_12 = (E_A[r_1 r_2 x x^T] - g_1 g_A^T) / N
    M_22 = (N_A (E_A[r_2^2 x x^T] - g_A g_A^T) + N_B (E_B[r_2^2 x x^T] - g_B g_B^T)) / N^2
    C_11 = A_11 M_11 A_11^T,   C_12 = A_11 M_12 A_22^T + A_11 M_11 A_21^T
    C_22 = A_22 M_22 A_22^T + A_21 M_11 A_21^T + A_22 M_12^T A_21^T + A_21 M_12 A_22^T

The first round is one of `theory.population_equations` by itself. The rule's constant is that at
which the mean of pi over points and over draws of the surrogate is the fraction.

Given s_1, s_2 is normal with mean m_2 + b (s_1 - m_1), b = c_12/c_11, and variance
d^2 = c_22 - b c_12. So an outer sum over s_1, which has its nodes once and for all and panels that
end where the rule jumps or bends, stands around the Gaussian means of one round.

Solved by theta_2 <- theta_2 - A_22 (Lambda_2 theta_2 + f_A g_A + f_B g_B) and the printed right
sides of V_22, V_21, b and d^2, with Anderson's mixing. Source: THEORY.md, section 8.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from theory.kinds import Selection
from theory.losses import Loss, response
from theory.noise import UnresolvableError
from theory.population_equations import (
    MOST_STEPS,
    TOLERANCE,
    Anderson,
    Found,
    Points,
    Rows,
    Setting,
    State,
    responses,
    solve,
)
from theory.population_score import PopulationScoreLaw
from theory.quadrature import gauss_legendre
from theory.score import Rule, checked_rule

Array = NDArray[np.float64]

REACH, STEP = 4.8, 0.96
"""Range and spacing of (s_1 - m_1)/c_11^(1/2) where nothing jumps (left out: 2e-6)."""

WIDEST_PANEL, WIDEST_IN_SCORE, ORDER = 3.2, 4.0, 7
"""Widest panel in standard deviations and in s_1, and its Gauss-Legendre nodes."""

MEMORY = 6
"""Steps that are mixed."""


class FirstRound(NamedTuple):
    """The solved first round: sample size N_A, theta_1, V_11, c_11, A_11, M_11; the means E r_1
    and E k_11 of points, shape [n]."""

    points: Points
    samples: int
    found: Found
    noise: Array
    slope: Array
    curvature: Array

    @property
    def margin(self) -> Array:
        """m_1."""
        return np.asarray(self.points.labels * (self.points.design @ self.found.state.theta))

    @property
    def variance(self) -> Array:
        """c_11."""
        return self.found.state.variance

    @property
    def v(self) -> Array:
        """V_11."""
        return self.found.state.v

    def fitted(self, selection: Selection) -> Rule:
        """The rule, with its constant fixed; raises as `theory.score.checked_rule`."""
        scores = self.points.design @ self.found.state.theta
        return checked_rule(selection, PopulationScoreLaw.of(scores, np.sqrt(self.variance)))


def first_round(points: Points, setting: Setting, start: State | None = None) -> FirstRound:
    """Solve the first round, a random sample of N_A; ``found.residual`` says how it ended."""
    found = solve(points, setting, start)
    margin = points.labels * (points.design @ found.state.theta)
    n, nothing = len(margin), np.full(len(margin), math.nan)
    if not found.residual <= TOLERANCE:
        return FirstRound(points, setting.pool_size, found, found.a, nothing, nothing)
    deviation = np.sqrt(found.state.variance)
    r = responses(margin, deviation, found.state.v, setting.weight, points.loss)
    g = points.design.T @ (points.labels * r.slope) / n
    noise = _gram(points.design, r.slope_squared / n, points.design) - np.outer(g, g)
    noise /= setting.pool_size
    return FirstRound(points, setting.pool_size, found, noise, r.slope, r.curvature)


class SecondSetting(NamedTuple):
    """What is asked of the second round: the rule, whether S = 1/pi, w, N_B and the penalty."""

    rule: Rule
    reweight: bool
    reuse: float
    pool_size: int
    penalty: Array


class Memory(NamedTuple):
    """theta_2, shape [d], and V_22, V_21, b = c_12/c_11 and d^2 = c_22 - b c_12, shape [n]."""

    theta: Array
    v: Array
    v_21: Array
    slope: Array
    own_variance: Array

    def of(self, rows: Rows) -> "Memory":
        return Memory(self.theta, *(values[rows] for values in self[1:]))


class Nodes(NamedTuple):
    """Values of s_1, flat: the point of each, s_1 - m_1, and its probability given the point."""

    point: Rows
    offset: Array
    weight: Array

    def of(self, kept: NDArray[np.bool_]) -> "Nodes":
        return Nodes(self.point[kept], self.offset[kept], self.weight[kept])

    def mean(self, values: Array, count: int) -> Array:
        """E of values given the point, shape [n]."""
        return np.asarray(np.bincount(self.point, self.weight * values, count), dtype=np.float64)


class Means(NamedTuple):
    """Means of each point, shape [n].

    A: E r_2, E r_1 r_2, E r_2^2, E k_22, E k_11 k_22, on the first sample.
    B: E pi r_2, E pi r_2^2, E pi k_22, E pi r_2 (s_1 - m_1), on the pool.
    """

    a_slope: Array
    a_cross: Array
    a_squared: Array
    a_curvature: Array
    a_both: Array
    b_slope: Array
    b_squared: Array
    b_curvature: Array
    b_covariance: Array


class SecondFound(NamedTuple):
    """Where the solver ended: state, A_22, A_21, means, residual (as of ``Found``) and steps.

    shares: f_A and f_B. probability: E pi of each point, shape [n].
    """

    state: Memory
    a_22: Array
    a_21: Array
    means: Means
    shares: tuple[float, float]
    probability: Array
    residual: float
    steps: int


class SecondRound:
    """The equations of the second round after a solved first one.

    points: of the second round, with its own design and loss.
    """

    def __init__(self, first: FirstRound, points: Points, setting: SecondSetting) -> None:
        self.first, self.points, self.setting = first, points, setting
        samples = first.samples if setting.reuse else 0
        self.total = samples + setting.pool_size
        self.shares = samples / self.total, setting.pool_size / self.total
        margin, deviation, y = first.margin, np.sqrt(first.variance), points.labels
        loss = first.points.loss
        self._a = outer_nodes(deviation, _marks(loss, margin, first.v), loss.strip > 0)
        at = self._a.point
        s_1 = margin[at] + self._a.offset
        gap, contraction = response(loss, s_1, first.v[at])
        self._r_1, self._k_11 = gap / first.v[at], contraction / first.v[at]
        kinks = np.array(setting.rule.kinks)[None, :]
        b = outer_nodes(deviation, y[:, None] * kinks - margin[:, None], smooth=True)
        pi = np.asarray(setting.rule.probability(y[b.point] * (margin[b.point] + b.offset)))
        pi = np.broadcast_to(pi, b.offset.shape)
        self._b, self._pi = b.of(pi > 0), pi[pi > 0]
        self.probability = self._b.mean(self._pi, len(y))
        self.mass = self.probability  # E pi S
        if setting.reweight:
            self.mass = self._b.mean(np.ones(len(self._pi)), len(y))

    def means(self, state: Memory) -> Means:
        """The means of all points."""
        n, w = len(self.points.labels), self.setting.reuse
        margin = self.points.labels * (self.points.design @ state.theta)
        deviation, loss, zero = np.sqrt(state.own_variance), self.points.loss, np.zeros(n)
        a_means = (zero,) * 5
        if w:
            nodes, at = self._a, self._a.point
            z = margin[at] + state.slope[at] * nodes.offset - state.v_21[at] * self._r_1
            r = responses(z, deviation[at], state.v[at], np.full(len(z), w), loss)
            a_means = (
                nodes.mean(r.slope, n),
                nodes.mean(self._r_1 * r.slope, n),
                nodes.mean(r.slope_squared, n),
                nodes.mean(r.curvature, n),
                nodes.mean(self._k_11 * r.curvature, n),
            )
        nodes, at, pi = self._b, self._b.point, self._pi
        z = margin[at] + state.slope[at] * nodes.offset
        weight = 1 / pi if self.setting.reweight else np.ones(len(pi))
        r = responses(z, deviation[at], state.v[at], weight, loss)
        return Means(
            *a_means,
            nodes.mean(pi * r.slope, n),
            nodes.mean(pi * r.slope_squared, n),
            nodes.mean(pi * r.curvature, n),
            nodes.mean(pi * r.slope * nodes.offset, n),
        )

    def gradient(self, state: Memory, m: Means) -> Array:
        """Lambda_2 theta_2 + f_A g_A + f_B g_B."""
        f_a, f_b = self.shares
        pull = self.points.labels * (f_a * m.a_slope + f_b * m.b_slope) / len(m.a_slope)
        return np.asarray(self.setting.penalty * state.theta + self.points.design.T @ pull)

    def matrices(self, state: Memory, m: Means) -> tuple[Array, Array]:
        """A_22 and A_21."""
        f_a, f_b = self.shares
        n, c_11 = len(m.a_slope), self.first.variance
        x_1, x_2 = self.first.points.design, self.points.design
        curvature = (f_a * m.a_curvature + f_b * m.b_curvature) / n
        h = np.diag(self.setting.penalty) + _gram(x_2, curvature, x_2)
        np.linalg.cholesky(h)  # raises LinAlgError where it is not definite
        a_22 = np.linalg.inv(h)
        by_score = m.b_covariance / c_11 - state.slope * m.b_curvature
        both = (-f_a * state.v_21 * m.a_both + f_b * by_score) / n
        a_21 = -a_22 @ _gram(x_2, both, x_1) @ self.first.found.a
        return np.asarray(a_22, dtype=np.float64), np.asarray(a_21, dtype=np.float64)

    def covariances(self, m: Means, a_22: Array, a_21: Array) -> tuple[Array, Array]:
        """C_12 and C_22."""
        n, y = len(m.a_slope), self.points.labels
        x_1, x_2, a_11 = self.first.points.design, self.points.design, self.first.found.a
        n_a, n_b = self.shares[0] * self.total, self.setting.pool_size
        g_1 = x_1.T @ (y * self.first.slope) / n
        g_a, g_b = x_2.T @ (y * m.a_slope) / n, x_2.T @ (y * m.b_slope) / n
        m_11 = self.first.noise
        m_12 = np.zeros((len(a_11), len(a_22)))
        if n_a:
            m_12 = (_gram(x_1, m.a_cross / n, x_2) - np.outer(g_1, g_a)) / self.total
        squared = (n_a * m.a_squared + n_b * m.b_squared) / n
        m_22 = _gram(x_2, squared, x_2) - n_a * np.outer(g_a, g_a) - n_b * np.outer(g_b, g_b)
        m_22 /= self.total**2
        c_12 = a_11 @ (m_12 @ a_22 + m_11 @ a_21.T)
        mixed = a_21 @ m_12 @ a_22
        return c_12, a_22 @ m_22 @ a_22 + a_21 @ m_11 @ a_21.T + mixed + mixed.T

    def image(self, state: Memory) -> tuple[Memory, float, Means, Array, Array]:
        """The right sides at a state, the residual there, its means, A_22 and A_21."""
        x_1, x_2, c_11 = self.first.points.design, self.points.design, self.first.variance
        m = self.means(state)
        a_22, a_21 = self.matrices(state, m)
        c_12, c_22 = self.covariances(m, a_22, a_21)
        slope = _forms(x_1, c_12, x_2) / c_11
        new = Memory(
            theta=state.theta - a_22 @ self.gradient(state, m),
            v=_forms(x_2, a_22, x_2) / self.total,
            v_21=_forms(x_2, a_21, x_1) / self.first.samples,
            slope=slope,
            own_variance=np.maximum(_forms(x_2, c_22, x_2) - slope**2 * c_11, 1e-12 * c_11),
        )
        largest = np.sqrt(np.maximum(new.v * self.first.v, 1e-300))
        size = np.sqrt(new.own_variance / c_11) + np.abs(new.slope)
        pulls = self.shares[0] * self.setting.reuse + self.shares[1] * self.mass
        scale = float((pulls * np.linalg.norm(x_2, axis=1)).mean())
        residual = max(
            float(np.linalg.norm(self.gradient(state, m))) / scale,
            float(np.abs(state.v / new.v - 1).max()),
            float((np.abs(state.v_21 - new.v_21) / largest).max()),
            float((np.abs(state.slope - new.slope) / size).max()),
            float((np.abs(state.own_variance - new.own_variance) / (size**2 * c_11)).max()),
        )
        return new, residual, m, a_22, a_21

    def start(self) -> Memory:
        """As if the first sample were a fresh one."""
        f_a, f_b = self.shares
        kept = np.minimum(f_a + f_b * self.probability, 1.0)
        part = f_a * self.setting.reuse + f_b * self.mass
        weight = np.divide(part, kept, out=np.ones(len(kept)), where=kept > 0)
        asked = Setting(kept, np.maximum(weight, 1e-8), self.total, self.setting.penalty)
        state = solve(self.points, asked).state
        nothing = np.zeros(len(kept))
        return Memory(state.theta, state.v, nothing, nothing, state.variance)

    def solve(self, start: Memory | None = None) -> SecondFound:
        """The state that solves the equations, from the given one or a cold start."""
        state = self.start() if start is None else start
        mixing = _Mixing(self)
        residual, steps = math.nan, 0
        try:
            while steps < MOST_STEPS:
                steps += 1
                with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
                    new, residual, m, a_22, a_21 = self.image(state)
                if residual <= TOLERANCE:
                    found = state, a_22, a_21, m
                    return SecondFound(*found, self.shares, self.probability, residual, steps)
                if not math.isfinite(residual):
                    break
                with np.errstate(over="ignore"):
                    state = mixing.next(state, new, residual)
        except (np.linalg.LinAlgError, UnresolvableError, ValueError):
            residual = math.nan
        nan = np.full((1, 1), math.nan)
        nothing = Means(*(self.probability * math.nan,) * len(Means._fields))
        return SecondFound(state, nan, nan, nothing, self.shares, self.probability, residual, steps)


def left_out(first: FirstRound, second: SecondRound, found: SecondFound) -> Array:
    """m_2 of every point in a fit that has not seen it, shape [n].

    One Newton step from the fit that has, of both margins: the second's memory of the first is left
    out with it. With W = [[V_11, 0], [V_21, V_22]], rho = ((N_A/n) E_A r_1,
    (N_A/n) E_A r_2 + (N_B/n) E_B r_2) and its Jacobian K it is (1 - W K)^-1 W rho.
    """
    m, state, n = found.means, found.state, len(found.probability)
    n_a, n_b = first.samples, second.setting.pool_size
    by_score = m.b_covariance / first.variance - state.slope * m.b_curvature
    w, k = np.zeros((2, n, 2, 2))
    w[:, 0, 0], w[:, 1, 0], w[:, 1, 1] = first.v, state.v_21, state.v
    k[:, 0, 0] = n_a * first.curvature / n
    k[:, 1, 0] = (-n_a * state.v_21 * m.a_both + n_b * by_score) / n
    k[:, 1, 1] = (n_a * m.a_curvature + n_b * m.b_curvature) / n
    rho = np.stack([n_a * first.slope, n_a * m.a_slope + n_b * m.b_slope], axis=1) / n
    moved = np.linalg.solve(np.eye(2) - w @ k, w @ rho[:, :, None])[:, 1, 0]
    return np.asarray(second.points.labels * (second.points.design @ state.theta) + moved)


def influence_of_points(
    first: FirstRound, second: SecondRound, found: SecondFound, by_margin: Array
) -> Array:
    """What every point does to a mean over points through theta_1 and theta_2, shape [n].

    As `theory.population_equations.influence`: d theta_2 = -A_22 dg_2 - A_21 dg_1, as
    A_21 = -A_22 K_21 A_11. The rule's constant, V and C are held.
    """
    y, m, (f_a, f_b) = second.points.labels, found.means, found.shares
    x_1, x_2 = first.points.design, second.points.design
    d = x_2.T @ (y * by_margin) / len(y)
    pull = f_a * m.a_slope + f_b * m.b_slope
    values = -y * (pull * (x_2 @ (found.a_22 @ d)) + first.slope * (x_1 @ (found.a_21.T @ d)))
    return np.asarray(values - values.mean())


def outer_nodes(deviation: Array, marks: Array, smooth: bool) -> Nodes:
    """Nodes of s_1 - m_1 ~ N(0, deviation_i^2) with panels that end at the marks of a point.

    marks: shape [n, k]. smooth: whether equally spaced nodes do for points without marks in reach.
    """
    reach = REACH * deviation
    inside = np.abs(marks) < reach[:, None]
    plain = ~inside.any(axis=1) & smooth
    # as `theory.population_equations.STRIP_STEP` asks of a strip of half-height pi
    level = np.ceil(np.log2(np.maximum(deviation, 1.0))).astype(int)
    found = [_spaced(np.flatnonzero(plain & (level == k)), deviation, int(k))
             for k in np.unique(level[plain])]  # fmt: skip
    widest = np.minimum(WIDEST_PANEL * deviation, WIDEST_IN_SCORE)
    count = np.ceil(2 * reach / widest).astype(int)
    for panels in np.unique(count[~plain]):
        rows = np.flatnonzero(~plain & (count == panels))
        found.append(_panelled(rows, deviation, np.where(inside, marks, 0.0), int(panels)))
    merged = [np.concatenate(parts) for parts in zip(*found, strict=True)]
    total = np.bincount(merged[0], merged[2], len(deviation))
    return Nodes(merged[0], merged[1], merged[2] / total[merged[0]])


def _spaced(rows: Rows, deviation: Array, level: int) -> tuple[Rows, Array, Array]:
    step = STEP / 2**level
    half = math.ceil(REACH / step)
    g = step * np.arange(-half, half + 1)
    density = np.tile(np.exp(-(g**2) / 2), len(rows))
    return np.repeat(rows, len(g)), (deviation[rows, None] * g).ravel(), density


def _panelled(rows: Rows, deviation: Array, marks: Array, count: int) -> tuple[Rows, Array, Array]:
    unit, unit_weights = gauss_legendre(ORDER)
    g = np.linspace(-REACH, REACH, count + 1)
    edges = np.sort(np.hstack([deviation[rows, None] * g, marks[rows]]), axis=1)
    length = np.diff(edges, axis=1)
    kept = length > 1e-12 * deviation[rows, None]
    point = np.repeat(np.broadcast_to(rows[:, None], kept.shape)[kept], ORDER)
    offset = (edges[:, :-1][kept][:, None] + length[kept][:, None] * unit).ravel()
    weight = (length[kept][:, None] * unit_weights).ravel()
    return point, offset, weight * np.exp(-((offset / deviation[point]) ** 2) / 2)


def _marks(loss: Loss, margin: Array, v: Array) -> Array:
    """Kinks of the first proximal map, from m_1, shape [n, k]."""
    kinks = [np.broadcast_to(np.asarray(k, dtype=float), v.shape) for k in loss.kinks(v)]
    return np.stack(kinks, axis=1) - margin[:, None] if kinks else np.empty((len(v), 0))


def _gram(left: Array, weight: Array, right: Array) -> Array:
    """sum_i weight_i left_i right_i^T."""
    return np.asarray(left.T @ (weight[:, None] * right))


def _forms(left: Array, form: Array, right: Array) -> Array:
    """left_i^T form right_i, shape [n]."""
    return np.asarray(np.einsum("ij,ij->i", left @ form, right), dtype=np.float64)


class _Mixing:
    """Anderson's mixing of (theta, log V_22, V_21, b, log d^2), each in its own scale."""

    def __init__(self, second: SecondRound) -> None:
        self._second = second
        self._anderson = Anderson(MEMORY)

    def next(self, state: Memory, image: Memory, residual: float) -> Memory:
        point = self._packed(state)
        change = self._packed(image) - point
        scale = np.ones(len(point))
        column = np.linalg.norm(self._second.points.design, axis=0)
        scale[: len(column)] = column / math.sqrt(float(image.own_variance.mean()))
        mixed = self._anderson.next(point, change, residual, scale)
        return self._unpacked(point + 0.7 * change if mixed is None else mixed)

    def _packed(self, state: Memory) -> Array:
        first = self._second.first
        return np.concatenate(
            [
                state.theta,
                np.log(state.v),
                state.v_21 / first.v,
                state.slope,
                np.log(state.own_variance),
            ]
        )

    def _unpacked(self, u: Array) -> Memory:
        d = self._second.points.design.shape[1]
        v, v_21, slope, variance = u[d:].reshape(4, -1)
        return Memory(u[:d], np.exp(v), v_21 * self._second.first.v, slope, np.exp(variance))
