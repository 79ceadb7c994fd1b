"""Quadrature over z given the score: the inner integral of the equations.

Given a node, z ~ N(centre, sigma^2) with sigma^2 = (hidden slope)^2 + alpha_perp^2. Where the
proximal map is analytic in a strip, equally spaced z are used: the trapezoid sum of a function that
is analytic in a strip of half-height s has an error of order exp(-2 pi s / step), that of a normal
density of deviation w one of exp(-2 pi^2 (w / step)^2). With one weight S for all samples the same
z serve all nodes. Other losses get Gauss-Legendre panels with edges at the map's kinks.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from theory.labels import LabelCurve
from theory.losses import Loss
from theory.nodes import Nodes
from theory.quadrature import gauss_legendre

Array = NDArray[np.float64]

RANGE = 8.2
"""Standard deviations of z kept on each side; 2e-16 of its law lies outside."""

STEP = 0.74
"""Spacing in units of the narrowest deviation (error 2e-16), at resolution 1."""

STRIP_STEP = 0.18
"""Spacing in units of the strip's half-height (error exp(-2 pi / 0.18) = 7e-16)."""

PANEL = 2.2
"""Widest panel, in units of the narrowest deviation, where the map has kinks."""

MOST_VALUES = 20_000
"""Most values of z at one node; enough for alpha_perp of about 700."""

GLOBAL_GAIN = 12
"""How many normal densities cost as much as one proximal point."""


class OrderParameters(NamedTuple):
    """Coefficients on the explicit features, shape [d], alpha_perp > 0 and mu > 0."""

    coefficients: Array
    alpha_perp: float
    mu: float


class UnresolvableError(ArithmeticError):
    """More than MOST_VALUES of z would be needed: the solution runs away."""


class NoiseResolution(NamedTuple):
    """step: spacing relative to STEP and STRIP_STEP; order: of Gauss-Legendre panels."""

    step: float
    order: int


class NoiseRule(NamedTuple):
    """z: shape [n, m] or [1, m]; weight: probability of z at a node, [n, m] or [1, m].

    centre: E[z] at every node, [n, 1]. is_global: whether all nodes share the same z.
    """

    z: Array
    weight: Array
    centre: Array
    is_global: bool


def noise_rule(
    x: OrderParameters,
    nodes: Nodes,
    curves: tuple[LabelCurve, ...],
    loss: Loss,
    resolution: NoiseResolution,
) -> NoiseRule:
    """Values of z and their probabilities at every node, for order parameters x."""
    hidden = float(nodes.hidden @ x.coefficients)
    sigma = math.hypot(hidden, x.alpha_perp)
    centre = (nodes.known @ x.coefficients)[:, None]
    width = sigma
    if hidden != 0 and any(curve.bends for curve in curves):
        width = x.alpha_perp  # labels depend on u, which z tells up to alpha_perp
    if loss.strip > 0:
        step = resolution.step * min(STEP * width, STRIP_STEP * loss.strip)
        return _spaced(nodes, centre, sigma, step)
    widest = min(PANEL * width, 12.0 * loss.bend_width)
    kinks = [np.asarray(kink, dtype=float) for kink in loss.kinks(nodes.scale / x.mu)]
    return _panelled(centre, sigma, widest, kinks, resolution.order)


def _spaced(nodes: Nodes, centre: Array, sigma: float, step: float) -> NoiseRule:
    """z at equal distances: the same for all nodes where that is cheaper, or around each."""
    reach = RANGE * sigma
    local = 2 * reach / step
    used = centre[nodes.weight > 1e-20] if np.any(nodes.weight > 1e-20) else centre
    low, high = float(used.min()) - reach, float(used.max()) + reach
    shared = (high - low) / step
    if local > MOST_VALUES:
        raise UnresolvableError
    if len(nodes.scale) == 1 and shared <= GLOBAL_GAIN * 2 * local and shared < MOST_VALUES:
        z = np.arange(low, high + step, step)[None, :]
        weight = np.exp(-(((z - centre) / sigma) ** 2) / 2)
        weight *= step / (sigma * math.sqrt(2 * math.pi))
        return NoiseRule(z, weight, centre, is_global=True)
    half = math.ceil(local / 2)
    g = step / sigma * (np.arange(-half, half + 1) + 0.37)
    weight = np.exp(-(g**2) / 2) * (step / (sigma * math.sqrt(2 * math.pi)))
    return NoiseRule(centre + sigma * g, weight[None, :], centre, is_global=False)


def _panelled(
    centre: Array, sigma: float, widest: float, kinks: list[Array], order: int
) -> NoiseRule:
    """Gauss-Legendre panels of z around each node, with edges where a margin +-z is a kink."""
    count = math.ceil(2 * RANGE * sigma / widest)
    if count * order > MOST_VALUES:
        raise UnresolvableError
    base = np.linspace(-RANGE, RANGE, count + 1)
    marks = [
        np.broadcast_to((y * k - centre) / sigma, centre.shape) for k in kinks for y in (1, -1)
    ]
    rows = np.broadcast_to(base, (len(centre), len(base)))
    edges = np.hstack([rows, *(np.clip(m, -RANGE, RANGE) for m in marks)])
    edges.sort(axis=1)
    unit, unit_weights = gauss_legendre(order)
    length = np.diff(edges, axis=1)[:, :, None]
    g = (edges[:, :-1, None] + length * unit).reshape(len(centre), -1)
    weight = (length * unit_weights).reshape(len(centre), -1)
    weight = weight * np.exp(-(g**2) / 2) / math.sqrt(2 * math.pi)
    return NoiseRule(centre + sigma * g, weight, centre, is_global=False)
