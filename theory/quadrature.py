"""Quadrature rules: composite Gauss-Legendre panels with an edge at every jump and kink.

Two kinds of integral occur in the equations. Those over the informative features have jumps and
kinks at places known beforehand: `normal_mixture_rule` builds nodes for them once per problem.
Those over the Gaussian noise G, inside the equations, are smooth but bend within a width
1/alpha_perp: `gaussian_expectation` evaluates them with as many panels as that width asks for.
"""

import dataclasses
import heapq
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from theory._validation import as_count, as_positive, store

Array = NDArray[np.float64]

NORMAL_RANGE = 8.5
"""Standard deviations kept on each side of a normal law; 2e-17 of its mass lies outside."""

MAX_NOISE_PANELS = 2048
"""Most panels spent on one integral over G; enough for alpha_perp of about 250 by default."""


@dataclass(frozen=True)
class Quadrature:
    """Resolution of every integral in the equations.

    order: Gauss-Legendre nodes per panel (>= 2); doubling it doubles all nodes.
    feature_panels: panels over the informative feature h (>= 1).
    plane_order, plane_panels: nodes per panel (>= 2) over h and G_s, and panels over G_s for every
        h and every unit of beta_s (>= 1), with imperfect surrogates.
    table_panels: panels of the interpolation in z_0 that replaces many integrals over G (>= 1).
    noise_panel_width: width (> 0) of a panel over the noise, in units of the margin
        z = z_0 + alpha_perp G; panels over G are never wider than `MAX_NOISE_WIDTH`.
    Raises ValueError on values outside these ranges.

    >>> Quadrature().refined(2).order == 2 * Quadrature().order
    True
    """

    order: int = 16
    feature_panels: int = 10
    plane_order: int = 10
    plane_panels: int = 5
    table_panels: int = 16
    noise_panel_width: float = 12.0

    def __post_init__(self) -> None:
        store(
            self,
            order=as_count("quadrature.order", self.order, least=2),
            feature_panels=as_count("quadrature.feature_panels", self.feature_panels),
            plane_order=as_count("quadrature.plane_order", self.plane_order, least=2),
            plane_panels=as_count("quadrature.plane_panels", self.plane_panels),
            table_panels=as_count("quadrature.table_panels", self.table_panels),
            noise_panel_width=as_positive("quadrature.noise_panel_width", self.noise_panel_width),
        )

    def coarser(self) -> "Quadrature":
        """The rule on which solutions are approached, and against which errors are judged."""
        return self.refined(0.5)

    def refined(self, factor: float) -> "Quadrature":
        """The same panels with ``factor`` times as many nodes in each."""
        return dataclasses.replace(
            self,
            order=max(2, round(self.order * factor)),
            plane_order=max(2, round(self.plane_order * factor)),
        )


MAX_NOISE_WIDTH = 3.0
"""Widest panel over G, in standard deviations."""


@lru_cache(maxsize=64)
def gauss_legendre(order: int) -> tuple[Array, Array]:
    """Nodes and weights of the Gauss-Legendre rule on [0, 1]."""
    nodes, weights = np.polynomial.legendre.leggauss(order)
    return (nodes + 1) / 2, weights / 2


def panel_rule(edges: Array, order: int) -> tuple[Array, Array]:
    """Composite Gauss-Legendre nodes and weights, ``order`` of them between consecutive ``edges``.

    >>> x, w = panel_rule(np.array([0.0, 1.0, 2.0]), order=4)
    >>> round(float(w @ x**3), 12)
    4.0
    """
    unit_nodes, unit_weights = gauss_legendre(order)
    widths = np.diff(edges)[:, None]
    nodes = edges[:-1, None] + widths * unit_nodes
    return nodes.ravel(), (widths * unit_weights).ravel()


@lru_cache(maxsize=256)
def normal_mixture_edges(
    means: tuple[float, ...], deviation: float, kinks: tuple[float, ...], panels: int
) -> Array:
    """Panel edges for an expectation under normals with the given means and common deviation.

    Every kink inside the range is an edge; then the panel that matters most (its width, discounted
    with distance from the means) is halved until there are ``panels`` panels.
    """
    lower = min(means) - NORMAL_RANGE * deviation
    upper = max(means) + NORMAL_RANGE * deviation
    edges = [lower, *sorted({k for k in kinks if lower < k < upper}), upper]

    def ranked(left: float, right: float) -> tuple[float, float, float]:
        """A panel, the most important ones first."""
        outside = max(0.0, min(max(left - mean, mean - right) for mean in means))
        return (left - right) * math.exp(-((outside / deviation) ** 2) / 8), left, right

    heap = [ranked(left, right) for left, right in pairwise(edges)]
    heapq.heapify(heap)
    while len(heap) < panels:
        _, left, right = heap[0]
        middle = (left + right) / 2
        heapq.heapreplace(heap, ranked(left, middle))
        heapq.heappush(heap, ranked(middle, right))
    return np.array([*sorted(left for _, left, _ in heap), upper])


def normal_mixture_rule(
    means: Sequence[float],
    weights: Sequence[float],
    deviation: float,
    kinks: Iterable[float],
    panels: int,
    order: int,
) -> tuple[Array, Array]:
    """Nodes and probability weights for expectations under a mixture of normals.

    The components share ``deviation``; integrands may jump or bend at ``kinks``.

    >>> x, w = normal_mixture_rule((0.0,), (1.0,), 1.0, kinks=(0.0,), panels=12, order=12)
    >>> round(float(w @ np.abs(x)) - (2 / np.pi) ** 0.5, 12)
    0.0
    """
    edges = normal_mixture_edges(tuple(means), deviation, tuple(kinks), panels)
    nodes, lengths = panel_rule(edges, order)
    standard = (nodes[:, None] - np.asarray(means)) / deviation
    density = np.exp(-(standard**2) / 2) @ np.asarray(weights) / (np.sqrt(2 * np.pi) * deviation)
    return nodes, lengths * density


def gaussian_expectation(
    integrand: Callable[[Any], tuple[Any, ...]],
    count: int,
    shape: tuple[int, ...],
    panel_width: Any,
    order: int,
    kinks: Sequence[Any] = (),
) -> tuple[Any, ...]:
    """E of ``integrand(G)`` over G ~ N(0, 1), inside compiled code.

    integrand: maps nodes of G, shape [order, 1] or [order, *shape], to ``count`` arrays of shape
        [order, *shape].
    panel_width: the width over which the integrand is smooth, in units of G; may be traced. The
        number of panels follows from it, up to `MAX_NOISE_PANELS`.
    kinks: arrays of ``shape``, increasing: where the integrand has a kink or jump; may be traced.
    Returns a tuple of arrays of ``shape``.
    """
    unit_nodes, unit_weights = (jnp.asarray(a)[:, None] for a in gauss_legendre(order))
    panels = noise_panels(panel_width)
    edges = [
        jnp.asarray([-NORMAL_RANGE]),
        *(jnp.clip(kink, -NORMAL_RANGE, NORMAL_RANGE) for kink in kinks),
        jnp.asarray([NORMAL_RANGE]),
    ]
    total: tuple[Any, ...] = (jnp.zeros(shape),) * count
    for lower, upper in pairwise(edges):
        width = (upper - lower) / panels

        def add_panel(k: Any, so_far: Any, lower: Any = lower, width: Any = width) -> Any:
            nodes = lower + width * (k + unit_nodes)
            weights = width * unit_weights * jnp.exp(-(nodes**2) / 2) / jnp.sqrt(2 * jnp.pi)
            values = integrand(nodes)
            if kinks:
                return tuple(
                    s + jnp.sum(weights * v, 0) for s, v in zip(so_far, values, strict=True)
                )
            return tuple(s + weights[:, 0] @ v for s, v in zip(so_far, values, strict=True))

        total = jax.lax.fori_loop(0, panels, add_panel, total)
    return total


def interpolation_table(
    lower: Any, upper: Any, panels: int, order: int
) -> tuple[Any, Callable[[Any, Any], Any]]:
    """Piecewise Chebyshev interpolation on [lower, upper], inside compiled code.

    Returns the nodes, shape [panels * order], and a function from values at the nodes, shape
    [k, panels * order], and points, shape [n], to interpolated values, shape [k, n].
    """
    angles = jnp.pi * (jnp.arange(order) + 0.5) / order
    width = (upper - lower) / panels
    centres = lower + width * (jnp.arange(panels) + 0.5)
    nodes = (centres[:, None] + width / 2 * jnp.cos(angles)).ravel()
    degrees = jnp.arange(order)
    to_coefficients = 2 / order * jnp.cos(degrees[:, None] * angles)
    to_coefficients = to_coefficients.at[0].divide(2)

    def interpolate(values: Any, points: Any) -> Any:
        by_panel = values.reshape(-1, panels, order)
        coefficients = jnp.einsum("dq,kpq->pkd", to_coefficients, by_panel)
        panel = jnp.clip(jnp.floor((points - lower) / width), 0, panels - 1).astype(int)
        local = 2 * (points - centres[panel]) / width
        mine = coefficients[panel]  # [n, k, order]
        high, low = jnp.zeros_like(mine[..., 0]), jnp.zeros_like(mine[..., 0])
        for degree in range(order - 1, 0, -1):
            high, low = mine[..., degree] + 2 * local[:, None] * high - low, high
        return (mine[..., 0] + local[:, None] * high - low).T

    return nodes, interpolate


def noise_panels(panel_width: Any) -> Any:
    """Number of panels over G for integrands smooth over ``panel_width``."""
    wanted = jnp.ceil(2 * NORMAL_RANGE / jnp.minimum(panel_width, MAX_NOISE_WIDTH))
    finite = jnp.where(jnp.isfinite(wanted), wanted, MAX_NOISE_PANELS)
    return jnp.clip(finite, 1, MAX_NOISE_PANELS).astype(int)
