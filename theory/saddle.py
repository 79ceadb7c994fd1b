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
"""

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from theory.data import LabelCurve
from theory.losses import Loss, response
from theory.nodes import Nodes
from theory.noise import NoiseResolution, NoiseRule, OrderParameters, noise_rule

Array = NDArray[np.float64]

HELD_VALUES = 400_000
"""Values of (xi, z) held at a time; more nodes are taken in turn."""


class Setting(NamedTuple):
    """Numbers of the equations beside the nodes: penalty on each coefficient, ridge, N/p."""

    penalty: Array
    ridge: float
    samples_per_dimension: float


class Moments(NamedTuple):
    """The expectations that occur in the equations and in their derivatives.

    slope_features: E[rho x], shape [d]. slope_squared: E[r^2]. curvature: V = E[kappa].
    curvature_matrix: E[kappa X X^T], shape [d + 1, d + 1]. mixed: E[kappa rho X], shape [d + 1].
    mixed_squared: E[kappa r^2]. by_node: E[(rho x, r^2, kappa)] at each node, shape [n, d + 2].
    """

    slope_features: Array
    slope_squared: float
    curvature: float
    curvature_matrix: Array
    mixed: Array
    mixed_squared: float
    by_node: Array


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
    plus, minus = _label_moments(nodes, curves, *_hidden_law(x, nodes, rule))
    expected = 0.0
    for label, (share, _, _) in ((1.0, plus), (-1.0, minus)):
        margin = label * rule.z
        gap, _ = response(loss, margin, nodes.scale / x.mu)
        envelope = nodes.scale * np.asarray(loss.value(margin - gap)) + x.mu / 2 * gap**2
        expected += float((nodes.weight[:, None] * rule.weight * share * envelope).sum())
    penalty = setting.penalty @ x.coefficients**2 + setting.ridge * x.alpha_perp**2
    noise = x.mu * x.alpha_perp**2 / (2 * setting.samples_per_dimension)
    return float(penalty) / 2 - noise + expected


def stationarity(x: OrderParameters, m: Moments, setting: Setting) -> Array:
    """Left minus right sides of the printed equations, shape [d + 2]."""
    delta = setting.samples_per_dimension
    return np.array(
        [
            *(setting.penalty * x.coefficients + m.slope_features),
            x.alpha_perp**2 - delta * m.slope_squared / x.mu**2,
            x.mu - delta * (setting.ridge + m.curvature),
        ]
    )


def gradient(x: OrderParameters, m: Moments, setting: Setting) -> Array:
    """dL/d(coefficients, alpha_perp, mu), shape [d + 2]; zero where the equations hold."""
    delta = setting.samples_per_dimension
    return np.array(
        [
            *(setting.penalty * x.coefficients + m.slope_features),
            x.alpha_perp * (setting.ridge + m.curvature - x.mu / delta),
            m.slope_squared / (2 * x.mu**2) - x.alpha_perp**2 / (2 * delta),
        ]
    )


def hessian(x: OrderParameters, m: Moments, setting: Setting) -> Array:
    """Second derivatives of L in (coefficients, alpha_perp, mu), shape [d + 2, d + 2]."""
    delta = setting.samples_per_dimension
    d = len(x.coefficients)
    matrix = np.empty((d + 2, d + 2))
    matrix[: d + 1, : d + 1] = m.curvature_matrix
    matrix[np.arange(d), np.arange(d)] += setting.penalty
    matrix[d, d] += setting.ridge - x.mu / delta
    matrix[:-1, -1] = m.mixed / x.mu**2
    matrix[d, -1] -= x.alpha_perp / delta
    matrix[-1, :-1] = matrix[:-1, -1]
    matrix[-1, -1] = (m.mixed_squared / x.mu - m.slope_squared) / x.mu**3
    return matrix


def fixed_point_map(x: OrderParameters, m: Moments, setting: Setting) -> OrderParameters:
    """The map whose fixed points solve the stationarity equations.

    The coefficients take the Newton step of their own equations, shortened where the curvature is
    small for the slope; mu and alpha_perp follow from theirs directly.
    """
    delta = setting.samples_per_dimension
    d = len(x.coefficients)
    mu = delta * (setting.ridge + m.curvature)
    slope = setting.penalty * x.coefficients + m.slope_features
    shortened = np.abs(slope) / (2 * (1 + np.abs(x.coefficients)))
    matrix = m.curvature_matrix[:d, :d] + np.diag(setting.penalty + shortened)
    return OrderParameters(
        coefficients=x.coefficients - solve_small(matrix, slope),
        alpha_perp=float(np.sqrt(delta * m.slope_squared) / mu),
        mu=float(mu),
    )


def solve_small(matrix: Array, right: Array) -> Array:
    """The solution of a small system; of least norm where it is singular to rounding."""
    return np.asarray(np.linalg.lstsq(matrix, right, rcond=1e-14)[0])


def moments(
    x: OrderParameters,
    nodes: Nodes,
    curves: tuple[LabelCurve, ...],
    loss: Loss,
    resolution: NoiseResolution,
) -> Moments:
    """The expectations at the order parameters x."""
    rule = noise_rule(x, nodes, curves, loss, resolution)
    sums = np.concatenate(
        [_sums(x, part, piece, curves, loss) for part, piece in _pieces(nodes, rule)]
    )
    return _moments_of(x, nodes, sums)


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
) -> Array:
    """``_SUMS`` over z and the label at every node, with its weight: shape [n, sums]."""
    n = len(nodes.weight)
    sums = np.zeros((n, len(_SUMS)))
    both = _columns(x.mu, rule, nodes.scale / x.mu, loss)
    if not np.any(nodes.hidden):
        positive = nodes.positive_shares(curves)
        for columns, share in zip(both, (positive, 1 - positive), strict=True):
            sums[:, :8] += share[:, None] * _summed(rule.weight, columns, rule)
    else:
        labels = _label_moments(nodes, curves, *_hidden_law(x, nodes, rule))
        for columns, (w0, w1, w2) in zip(both, labels, strict=True):
            sums[:, :8] += _summed(rule.weight * w0, columns, rule)
            sums[:, 8:12] += _summed(rule.weight * w1, columns[[0, 2, 3, 5]], rule)
            sums[:, 12:] += _summed(rule.weight * w2, columns[[2]], rule)
    sums *= nodes.weight[:, None]
    if rule.is_global:
        _centre(sums, rule.centre[:, 0])
    return sums


def _hidden_law(x: OrderParameters, nodes: Nodes, rule: NoiseRule) -> tuple[Array, float]:
    """Mean and deviation of the hidden coordinate u given z."""
    hidden = float(nodes.hidden @ x.coefficients)
    variance = hidden**2 + x.alpha_perp**2
    return hidden / variance * (rule.z - rule.centre), x.alpha_perp / float(np.sqrt(variance))


_SUMS = (
    "rho", "r2", "k", "kz", "kzz", "kr", "krz", "krr", "rho u", "k u", "kz u", "kr u", "k uu",
)  # fmt: skip
"""Sums over z: k is kappa, z is measured from the node's centre, u is the hidden coordinate."""


def _columns(mu: float, rule: NoiseRule, eta: Array, loss: Loss) -> tuple[Array, Array]:
    """The first eight of ``_SUMS`` before summing, for both labels; shape [8, *z.shape]."""
    margins = np.stack([rule.z, -rule.z])
    gap, contraction = response(loss, margins, eta)
    z = rule.z if rule.is_global else rule.z - rule.centre
    columns = np.empty((8, *margins.shape))
    rho, r2, k, kz, kzz, kr, krz, krr = columns
    np.multiply(gap, np.array([mu, -mu])[:, None, None], out=rho)
    np.multiply(rho, rho, out=r2)
    np.multiply(contraction, mu, out=k)
    np.multiply(k, z, out=kz)
    np.multiply(kz, z, out=kzz)
    np.multiply(k, rho, out=kr)
    np.multiply(kr, z, out=krz)
    np.multiply(kr, rho, out=krr)
    return columns[:, 0], columns[:, 1]


def _summed(weight: Array, columns: Array, rule: NoiseRule) -> Array:
    """Sum of weight times each column over z, per node: shape [n, columns]."""
    if rule.is_global:
        return np.asarray(weight @ columns[:, 0].T)
    if len(weight) == 1:
        return np.asarray(columns @ weight[0]).T
    return np.stack([np.einsum("nz,nz->n", weight, column) for column in columns], axis=1)


def _centre(sums: Array, c: Array) -> None:
    """Turn sums with powers of z into those with powers of z - c, in place."""
    s = dict(zip(_SUMS, sums.T, strict=True))  # views
    s["kzz"] += c * (c * s["k"] - 2 * s["kz"])
    s["kz"] -= c * s["k"]
    s["krz"] -= c * s["kr"]
    s["kz u"] -= c * s["k u"]


def _label_moments(
    nodes: Nodes, curves: tuple[LabelCurve, ...], shift: Array, spread: float
) -> tuple[tuple[Array, Array, Array], tuple[Array, Array, Array]]:
    """E[u^k 1{y}] given the node and z, for k = 0, 1, 2 and both labels: u ~ N(shift, spread^2)."""
    step = nodes.h_hidden
    levels = [curve.steps.base for curve in curves if curve.steps is not None and not curve.bends]
    if len(levels) == len(curves):  # labels depend on the component alone
        value = np.array(levels)[nodes.component][:, None]
        first = second = np.zeros((1, 1))
    else:
        value, first, second = np.empty((3, len(nodes.weight), shift.shape[1]))
        for c, curve in enumerate(curves):
            mine = nodes.component == c
            local = shift if len(shift) == 1 else shift[mine]
            mean = nodes.h[mine][:, None] + step * local
            value[mine], first[mine], second[mine] = curve.smoothed(mean, abs(step) * spread)
    a = spread**2 * step
    w1 = shift * value + a * first
    squared = shift**2 + spread**2
    w2 = squared * value + 2 * a * shift * first + a**2 * second
    return (value, w1, w2), (1 - value, shift - w1, squared - w2)


def _moments_of(x: OrderParameters, nodes: Nodes, sums: Array) -> Moments:
    """Moments from ``_SUMS`` at every node, with X = (known + hidden u, (z - slope u)/alpha_perp).

    slope: of z in the hidden coordinate u.
    """
    s: dict[str, Array] = dict(zip(_SUMS, sums.T, strict=True))
    known, direction, a = nodes.known, nodes.hidden, x.alpha_perp
    d, slope = len(direction), float(direction @ x.coefficients)
    by_node = np.column_stack(
        [known * s["rho"][:, None] + direction * s["rho u"][:, None], s["r2"], s["k"]]
    )
    totals = by_node.sum(axis=0)
    matrix = np.empty((d + 1, d + 1))
    across = np.outer(known.T @ s["k u"], direction)
    matrix[:d, :d] = (known * s["k"][:, None]).T @ known + across + across.T
    matrix[:d, :d] += np.outer(direction, direction) * s["k uu"].sum()
    noise = known.T @ (s["kz"] - slope * s["k u"])
    noise += direction * (s["kz u"] - slope * s["k uu"]).sum()
    matrix[:d, d] = matrix[d, :d] = noise / a
    twice = s["kzz"] - 2 * slope * s["kz u"] + slope**2 * s["k uu"]
    matrix[d, d] = twice.sum() / a**2
    mixed = known.T @ s["kr"] + direction * s["kr u"].sum()
    mixed_noise = (s["krz"] - slope * s["kr u"]).sum() / a
    return Moments(
        slope_features=totals[:d],
        slope_squared=float(totals[d]),
        curvature=float(totals[d + 1]),
        curvature_matrix=matrix,
        mixed=np.array([*mixed, mixed_noise]),
        mixed_squared=float(s["krr"].sum()),
        by_node=by_node,
    )
