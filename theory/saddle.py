"""The Lagrangian of the paper's Theorem 4 and its stationarity equations.

The fitted model splits into coefficients on the explicit features x (alpha_0 on h; alpha_s on G_s,
the coordinate along the surrogate's error e_s; the intercept b on 1) and a part of norm alpha_perp
in the directions that enter only as noise G ~ N(0, 1):

    z_0 = alpha_0 h + alpha_s G_s + b,   z = z_0 + alpha_perp G.

With v the proximal point of (S/mu) loss at the margin y z and r = mu (y z - v) = S loss'(v), the
Lagrangian is

    L(alpha, mu) = (lambda/2) (alpha_0^2 + alpha_s^2 + alpha_perp^2) - mu alpha_perp^2 / (2 delta)
                   + E min_v [ S loss(v) + (mu/2) (y z - v)^2 ]

and its saddle point, min over alpha and max over mu >= 0, solves

    lambda alpha_0 + E[r y h] = 0                                             (eq. 5.3)
    lambda alpha_s + E[r y G_s] = 0
    E[r y] = 0                                           (only with an intercept)
    alpha_perp^2 = delta E[r^2] / mu^2                                        (eq. 5.4)
    mu = delta (lambda + V),   V = E[kappa]                                   (eq. 5.5)

with kappa = S loss''(v) / (1 + (S/mu) loss''(v)) = mu (1 - dv/dz) = dr/dz. E includes the label and
the draw of the subset. All second derivatives of L are expectations of the same few functions,
since dr/dmu = kappa r / mu^2: with X = (x, G), writing rho = y r,

    d2L/dalpha dalpha = penalty + E[kappa X X^T],   d2L/dalpha dmu = E[kappa rho X] / mu^2,
    d2L/dmu2 = E[r^2 (kappa / mu - 1)] / mu^3.

A fit that takes the surrogate's own samples again (`theory.two_rounds`) has one coefficient more,
kappa_m on their memory. It counts as noise, alpha_perp^2 becoming alpha_perp^2 + kappa_m^2 wherever
mu / delta is its factor.
"""

import math
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from theory.labels import LabelCurve
from theory.losses import Loss, response
from theory.nodes import Nodes, one_if_equal
from theory.noise import NoiseResolution, NoiseRule, OrderParameters, noise_rule

Array = NDArray[np.float64]

HELD_VALUES = 400_000
"""Values of (xi, z) held at a time; more nodes are taken in turn."""


SINGULAR = 1e8
"""A solution larger than this, relative to the right side and matrix, asks for least squares."""


class Setting(NamedTuple):
    """Numbers of the equations beside the nodes: penalty on each coefficient, ridge, N/p.

    noise: 1 for a coefficient that counts as noise, 0 for others; None where none does.
    """

    penalty: Array
    ridge: float
    samples_per_dimension: float
    noise: Array | None = None


class RoundMoments(NamedTuple):
    """What checks the equations of two rounds: E[k_11 kappa] over the surrogate's samples, where
    k_11 = dr_1/ds_1; E[rho x] and E[kappa] over the pool; and E[rho z]."""

    recalled: float
    pool_slopes: Array
    pool_curvature: float
    along_output: float


class Moments(NamedTuple):
    """The expectations that occur in the equations and in their derivatives.

    slope_features: E[rho x], shape [d]. slope_squared: E[r^2]. curvature: V = E[kappa].
    curvature_matrix: E[kappa X X^T], shape [d + 1, d + 1]. mixed: E[kappa rho X], shape [d + 1].
    mixed_squared: E[kappa r^2]. by_node: E[(rho x, r^2, kappa)] at each node, shape [n, d + 2].
    rounds: more of them, where the surrogate's samples are fitted too.
    """

    slope_features: Array
    slope_squared: float
    curvature: float
    curvature_matrix: Array
    mixed: Array
    mixed_squared: float
    by_node: Array
    rounds: "RoundMoments | None" = None


def lagrangian(
    x: OrderParameters,
    setting: Setting,
    nodes: Nodes,
    curves: tuple[LabelCurve, ...],
    loss: Loss,
    resolution: NoiseResolution,
) -> float:
    """L(alpha, mu)."""
    rule = noise_rule(x, nodes, curves, loss, resolution)
    shift, spread2 = _hidden_law(x, nodes, rule)
    positive, _, _ = _shares(nodes, curves, shift, spread2)
    expected = 0.0
    for label, share in ((1.0, positive), (-1.0, 1 - positive)):
        margin = label * rule.z
        gap, _ = response(loss, margin, nodes.scale / x.mu)
        envelope = nodes.scale * np.asarray(loss.value(margin - gap)) + x.mu / 2 * gap**2
        expected += float((nodes.weight[:, None] * rule.weight * share * envelope).sum())
    penalty = setting.penalty @ x.coefficients**2 + setting.ridge * x.alpha_perp**2
    noise = x.mu * _noise(x, setting) / (2 * setting.samples_per_dimension)
    return float(penalty) / 2 - noise + expected


def _noise(x: OrderParameters, setting: Setting) -> float:
    """alpha_perp^2, and the square of a coefficient that counts as noise."""
    if setting.noise is None:
        return x.alpha_perp**2
    return x.alpha_perp**2 + float(setting.noise @ x.coefficients**2)


def _penalty(x: OrderParameters, setting: Setting) -> Array:
    """Half the second derivative of L in each coefficient, beside its data."""
    if setting.noise is None:
        return setting.penalty
    return np.asarray(setting.penalty - setting.noise * (x.mu / setting.samples_per_dimension))


def stationarity(x: OrderParameters, m: Moments, setting: Setting) -> Array:
    """Left minus right sides of the printed equations, shape [d + 2]."""
    delta = setting.samples_per_dimension
    return np.array(
        [
            *(_penalty(x, setting) * x.coefficients + m.slope_features),
            _noise(x, setting) - delta * m.slope_squared / x.mu**2,
            x.mu - delta * (setting.ridge + m.curvature),
        ]
    )


def gradient(x: OrderParameters, m: Moments, setting: Setting) -> Array:
    """dL/d(coefficients, alpha_perp, mu), shape [d + 2]; zero where the equations hold."""
    delta = setting.samples_per_dimension
    return np.array(
        [
            *(_penalty(x, setting) * x.coefficients + m.slope_features),
            x.alpha_perp * (setting.ridge + m.curvature - x.mu / delta),
            m.slope_squared / (2 * x.mu**2) - _noise(x, setting) / (2 * delta),
        ]
    )


def hessian(x: OrderParameters, m: Moments, setting: Setting) -> Array:
    """Second derivatives of L in (coefficients, alpha_perp, mu), shape [d + 2, d + 2]."""
    delta = setting.samples_per_dimension
    d = len(x.coefficients)
    matrix = np.empty((d + 2, d + 2))
    matrix[: d + 1, : d + 1] = m.curvature_matrix
    matrix[np.arange(d), np.arange(d)] += _penalty(x, setting)
    matrix[d, d] += setting.ridge - x.mu / delta
    matrix[:-1, -1] = m.mixed / x.mu**2
    if setting.noise is not None:
        matrix[:d, -1] -= setting.noise * x.coefficients / delta
    matrix[d, -1] -= x.alpha_perp / delta
    matrix[-1, :-1] = matrix[:-1, -1]
    matrix[-1, -1] = (m.mixed_squared / x.mu - m.slope_squared) / x.mu**3
    return matrix


def fixed_point_map(x: OrderParameters, m: Moments, setting: Setting) -> OrderParameters:
    """The map whose fixed points solve the stationarity equations.

    The coefficients take the Newton step of their own equations, shortened where the curvature is
    small for the slope; mu and alpha_perp follow from theirs directly. In a coefficient that counts
    as noise L is concave, and shortening has the other sign.
    """
    delta = setting.samples_per_dimension
    d = len(x.coefficients)
    mu = delta * (setting.ridge + m.curvature)
    penalty = _penalty(x, setting)
    slope = penalty * x.coefficients + m.slope_features
    shortened = np.abs(slope) / (2 * (1 + np.abs(x.coefficients)))
    noise = np.sqrt(delta * m.slope_squared) / mu
    if setting.noise is not None:
        shortened *= 1 - 2 * setting.noise
        noise *= x.alpha_perp / math.sqrt(_noise(x, setting))  # alpha_perp keeps its share of it
    matrix = m.curvature_matrix[:d, :d] + np.diag(penalty + shortened)
    return OrderParameters(
        coefficients=x.coefficients - solve_small(matrix, slope),
        alpha_perp=float(noise),
        mu=float(mu),
    )


def solve_small(matrix: Array, right: Array) -> Array:
    """The solution of a small system; of least norm where it is singular to rounding."""
    try:
        solution = np.linalg.solve(matrix, right)
    except np.linalg.LinAlgError:
        solution = np.array([np.inf])
    size = np.abs(matrix).max() * np.abs(solution).max()
    if size <= SINGULAR * np.abs(right).max():
        return np.asarray(solution)
    return np.asarray(np.linalg.lstsq(matrix, right, rcond=1e-14)[0])


def moments(
    x: OrderParameters,
    nodes: Nodes,
    curves: tuple[LabelCurve, ...],
    loss: Loss,
    resolution: NoiseResolution,
) -> Moments:
    """The expectations at the order parameters x."""
    if nodes.recall is None:
        return _moments_of(x, nodes, _all_sums(x, nodes, curves, loss, resolution))
    sums: dict[str, Array] = {}
    for label in (0, 1, -1):
        mine = np.flatnonzero(nodes.recall.label == label)
        for name, values in _all_sums(
            x, _of_label(nodes, mine), curves, loss, resolution, label
        ).items():
            sums.setdefault(name, np.empty(len(nodes.weight)))[mine] = values
    found = _moments_of(x, nodes, sums)
    pool = found.by_node[nodes.recall.label == 0].sum(axis=0)
    rounds = RoundMoments(
        recalled=float(nodes.recall.slope @ sums["k"]),
        pool_slopes=pool[:-2],
        pool_curvature=float(pool[-1]),
        along_output=float((nodes.known @ x.coefficients) @ sums["rho"] + sums["rhoz"].sum()),
    )
    return found._replace(rounds=rounds)


def _of_label(nodes: Nodes, mine: NDArray[np.int64]) -> Nodes:
    """Some of the nodes."""
    scale = nodes.scale if len(nodes.scale) == 1 else one_if_equal(nodes.scale[mine])
    return nodes._replace(
        component=nodes.component[mine],
        known=nodes.known[mine],
        weight=nodes.weight[mine],
        scale=scale,
        recall=None,
    )


def _all_sums(
    x: OrderParameters,
    nodes: Nodes,
    curves: tuple[LabelCurve, ...],
    loss: Loss,
    resolution: NoiseResolution,
    label: int = 0,
) -> dict[str, Array]:
    """``_SUMS`` at every node, of as many at a time as may be held."""
    rule = noise_rule(x, nodes, curves, loss, resolution)
    parts = [_sums(x, part, piece, curves, loss, label) for part, piece in _pieces(nodes, rule)]
    if len(parts) == 1:
        return parts[0]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _pieces(nodes: Nodes, rule: NoiseRule) -> list[tuple[Nodes, NoiseRule]]:
    """Nodes and their rule in pieces of at most HELD_VALUES."""
    n, m = len(nodes.weight), rule.z.shape[1]
    if n * m <= HELD_VALUES:
        return [(nodes, rule)]
    count = min(n, -(-n * m // HELD_VALUES))
    cuts = np.linspace(0, n, count + 1).astype(int)

    def of(array: Array, a: int, b: int) -> Array:
        return array if len(array) == 1 else array[a:b]

    return [
        (
            nodes._replace(
                component=nodes.component[a:b],
                known=nodes.known[a:b],
                weight=nodes.weight[a:b],
                scale=of(nodes.scale, a, b),
            ),
            rule._replace(
                z=of(rule.z, a, b), weight=of(rule.weight, a, b), centre=rule.centre[a:b]
            ),
        )
        for a, b in pairwise(cuts)
    ]


def _sums(
    x: OrderParameters,
    nodes: Nodes,
    rule: NoiseRule,
    curves: tuple[LabelCurve, ...],
    loss: Loss,
    label: int,
) -> dict[str, Array]:
    """``_SUMS`` over z and the label at every node, with its weight: each of shape [n].

    label: the only one that counts, or 0 for both.
    With F the positive labels' share given z, a sum over labels is that of the negative ones' terms
    and of F times the difference. u given z has mean c (z - centre), and F varies with it: by
    Stein's lemma E[u F] = c (z - centre) F + a F', where a = cov(u, argument of F).
    """
    minus, plus = _columns(x.mu, rule, nodes.scale / x.mu, loss, label)
    if not np.any(nodes.hidden):
        share = nodes.positive_shares(curves)[:, None]
        sums = _summed(rule.weight, minus, rule)
        sums += share * _summed(rule.weight, plus - minus, rule)
        return _centred(sums * nodes.weight[:, None], _COLUMNS, rule)
    shift, spread2 = _hidden_law(x, nodes, rule)
    c = _hidden_slope(x, nodes)
    share, first, second = _shares(nodes, curves, shift, spread2)
    weight = nodes.weight[:, None] * rule.weight
    plus -= minus
    s = _centred(_summed(weight, minus, rule), _COLUMNS, rule)
    weighted = weight * share
    for name, column in _centred(_summed(weighted, plus, rule), _COLUMNS, rule).items():
        s[name] += column
    s |= {"rho u": c * s["rhoz"], "k u": c * s["kz"], "kz u": c * s["kzz"], "kr u": c * s["krz"]}
    s["k uu"] = c**2 * s["kzz"] + spread2 * s["k"]
    if first.any():
        a = spread2 * nodes.h_hidden
        np.multiply(weight, first, out=weighted)
        columns = plus[[_COLUMNS.index(name) for name in _FIRST]]
        f = _centred(_summed(weighted, columns, rule), _FIRST, rule)
        np.multiply(weight, second, out=weighted)
        (k,) = _summed(weighted, plus[[_COLUMNS.index("k")]], rule).T
        for name, key in (("rho u", "rho"), ("k u", "k"), ("kz u", "kz"), ("kr u", "kr")):
            s[name] += a * f[key]
        s["k uu"] += 2 * a * c * f["kz"] + a**2 * k
    return s


def _hidden_slope(x: OrderParameters, nodes: Nodes) -> float:
    """c, where E[u | z] = c (z - centre)."""
    hidden = float(nodes.hidden @ x.coefficients)
    return hidden / (hidden**2 + x.alpha_perp**2)


def _hidden_law(x: OrderParameters, nodes: Nodes, rule: NoiseRule) -> tuple[Array, float]:
    """Mean and variance of the hidden coordinate u given z."""
    hidden = float(nodes.hidden @ x.coefficients)
    spread2 = x.alpha_perp**2 / (hidden**2 + x.alpha_perp**2)
    return _hidden_slope(x, nodes) * (rule.z - rule.centre), spread2


_COLUMNS = ("rho", "rhoz", "r2", "k", "kz", "kzz", "kr", "krz", "krr")
"""Functions of z that are summed: k is kappa, z is measured from the node's centre."""

_FIRST = ("rho", "k", "kz", "kr")
"""Those whose sums with the hidden coordinate u need F'."""


def _columns(mu: float, rule: NoiseRule, eta: Array, loss: Loss, label: int) -> tuple[Array, Array]:
    """``_COLUMNS`` for labels -1 and +1, shape [9, *z.shape]; 0 for one that does not count."""
    signs = (-1, 1) if label == 0 else (label,)
    margins = np.stack([sign * rule.z for sign in signs])
    gap, contraction = response(loss, margins, eta)
    z = rule.z if rule.is_global else rule.z - rule.centre
    columns = (np.empty if label == 0 else np.zeros)((2, len(_COLUMNS), *rule.z.shape))
    for sign, own_gap, own_contraction in zip(signs, gap, contraction, strict=True):
        rho, rhoz, r2, k, kz, kzz, kr, krz, krr = columns[(1 + sign) // 2]
        np.multiply(own_gap, sign * mu, out=rho)
        np.multiply(rho, z, out=rhoz)
        np.multiply(rho, rho, out=r2)
        np.multiply(own_contraction, mu, out=k)
        np.multiply(k, z, out=kz)
        np.multiply(kz, z, out=kzz)
        np.multiply(k, rho, out=kr)
        np.multiply(kr, z, out=krz)
        np.multiply(kr, rho, out=krr)
    return columns[0], columns[1]


def _summed(weight: Array, columns: Array, rule: NoiseRule) -> Array:
    """Sum of weight times each column over z, per node: shape [n, columns]."""
    if rule.is_global:
        return np.asarray(weight @ columns[:, 0].T)
    if len(weight) == 1:
        return np.asarray(columns @ weight[0]).T
    return np.asarray(np.matmul(columns.transpose(1, 0, 2), weight[:, :, None])[..., 0])


def _centred(sums: Array, names: tuple[str, ...], rule: NoiseRule) -> dict[str, Array]:
    """Sums by name, with powers of z turned into those of z - centre."""
    s = {name: sums[:, k] for k, name in enumerate(names)}
    if rule.is_global:
        c = rule.centre[:, 0]
        if "kzz" in s:
            s["kzz"] = s["kzz"] + c * (c * s["k"] - 2 * s["kz"])
            s["krz"] = s["krz"] - c * s["kr"]
            s["rhoz"] = s["rhoz"] - c * s["rho"]
        s["kz"] = s["kz"] - c * s["k"]
    return s


def _shares(
    nodes: Nodes, curves: tuple[LabelCurve, ...], shift: Array, spread2: float
) -> tuple[Array, Array, Array]:
    """F, F' and F'' at every node and z: P(y = +1) for h = known + slope N(shift, spread2)."""
    slope = nodes.h_hidden
    deviation = abs(slope) * math.sqrt(spread2)
    if len(curves) == 1:
        return curves[0].smoothed(nodes.h[:, None] + slope * shift, deviation)
    shares = np.zeros((3, len(nodes.weight), shift.shape[1]))
    for c, curve in enumerate(curves):
        mine = nodes.component == c
        local = shift if len(shift) == 1 else shift[mine]
        mean = nodes.h[mine][:, None] + slope * local
        shares[:, mine] = curve.smoothed(mean, deviation)
    return shares[0], shares[1], shares[2]


def _moments_of(x: OrderParameters, nodes: Nodes, s: dict[str, Array]) -> Moments:
    """Moments from the sums at every node, with X = (known + hidden u, (z - slope u)/alpha_perp).

    slope: of z in the hidden coordinate u. Without a hidden coordinate there are no sums with u.
    """
    known, direction, a = nodes.known, nodes.hidden, x.alpha_perp
    d, slope = len(direction), float(direction @ x.coefficients)
    by_node = np.empty((len(known), d + 2))
    np.multiply(known, s["rho"][:, None], out=by_node[:, :d])
    by_node[:, d], by_node[:, d + 1] = s["r2"], s["k"]
    matrix = np.empty((d + 1, d + 1))
    matrix[:d, :d] = (known.T * s["k"]) @ known
    noise, mixed = known.T @ s["kz"], known.T @ s["kr"]
    twice, mixed_noise = s["kzz"].sum(), s["krz"].sum()
    if "k u" in s:
        by_node[:, :d] += direction * s["rho u"][:, None]
        across = np.outer(known.T @ s["k u"], direction)
        uu, zu, ru = s["k uu"].sum(), s["kz u"].sum(), s["kr u"].sum()
        matrix[:d, :d] += across + across.T + np.outer(direction, direction) * uu
        noise += direction * (zu - slope * uu) - slope * (known.T @ s["k u"])
        mixed += direction * ru
        twice += slope * (slope * uu - 2 * zu)
        mixed_noise -= slope * ru
    matrix[:d, d] = matrix[d, :d] = noise / a
    matrix[d, d] = twice / a**2
    totals = by_node.sum(axis=0)
    return Moments(
        slope_features=totals[:d],
        slope_squared=float(totals[d]),
        curvature=float(totals[d + 1]),
        curvature_matrix=matrix,
        mixed=np.array([*mixed, mixed_noise / a]),
        mixed_squared=float(s["krr"].sum()),
        by_node=by_node,
    )
