"""Composite Gauss-Legendre rules with a panel edge at every jump and kink, and the resolution."""

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from theory.checks import as_count, as_positive, set_fields

Array = NDArray[np.float64]

NORMAL_RANGE = 8.5
"""Standard deviations kept on each side of a normal law; 2e-17 of its mass lies outside."""

_HALF = (0.7, 1.4, 2.2, 3.1, 4.1, 5.3, 6.7, 8.5)
NORMAL_EDGES = (*(-e for e in reversed(_HALF)), 0.0, *_HALF)
"""Panels over a standard normal law where nothing asks for narrower ones; 2e-17 lies outside."""

WIDEST_PANEL = 1.4
"""Widest panel over a standard normal law: ten nodes integrate its density to 1e-17."""

BEND_PANEL = 0.8
"""Widest panel at a distance d from a bend of width w, in units of hypot(d, w)."""

GRADED = (0.0, 1.0, 3.0, 9.0, 27.0)
"""Distances from a bend, in its widths, at which panels end where nothing else is known."""

Bend = tuple[float, float]
"""Where a function bends smoothly, and over which width: the distance of its complex poles."""


def graded_edges(bends: Iterable[Bend]) -> tuple[float, ...]:
    """Panel edges around bends, wider with their distance."""
    return tuple(
        centre + side * k * width for centre, width in bends for k in GRADED for side in (-1, 1)
    )


def panel_edges(kinks: Iterable[float], bends: Sequence[Bend]) -> list[float]:
    """Ends of panels over a standard normal law: at each kink, and as near as the bends ask for.

    Between two kinks the panels share the integral of 1/(allowed width) equally.

    >>> len(panel_edges((), ())), len(panel_edges((0.5,), ((0.0, 0.1),)))
    (14, 21)
    """
    near = np.sinh(np.linspace(-6.0, 6.0, 49))
    marks = [np.linspace(-NORMAL_RANGE, NORMAL_RANGE, 103)]
    marks += [np.clip(c + w * near, -NORMAL_RANGE, NORMAL_RANGE) for c, w in bends]
    x = np.sort(np.concatenate(marks))
    density = np.full(x.shape, 1 / WIDEST_PANEL)
    for centre, width in bends:
        np.maximum(density, 1 / (BEND_PANEL * np.hypot(x - centre, width)), out=density)
    steps = np.diff(x) * (density[1:] + density[:-1]) / 2
    panels = np.concatenate([[0.0], np.cumsum(steps)])

    hard = [-NORMAL_RANGE]
    for kink in (*sorted(k for k in kinks if abs(k) < NORMAL_RANGE), NORMAL_RANGE):
        if kink - hard[-1] > 1e-13:  # of kinks closer than rounding only one is kept
            hard.append(kink)
    edges = hard[:1]
    for left, right in pairwise(hard):
        first, last = np.interp([left, right], x, panels)
        count = max(1, int(np.ceil(last - first - 0.05)))
        inner = np.linspace(first, last, count + 1)[1:-1]
        edges += [float(e) for e in np.interp(inner, panels, x)]
        edges.append(right)
    return edges


@dataclass(frozen=True)
class Quadrature:
    """Resolution of every integral in the equations, and the accuracy to reach.

    order: Gauss-Legendre nodes per panel (>= 4).
    noise_step: spacing (> 0) of the values of z at a node, relative to the default.
    tolerance: error (> 0) of misclassification and log loss above which a point is refined.
    smoothness: panels on which the last coefficients of an integrand exceed this share (> 0) of
        the whole are halved.
    Raises ValueError on values outside these ranges.

    >>> Quadrature().refined(2).order == 2 * Quadrature().order
    True
    """

    order: int = 10
    noise_step: float = 1.0
    tolerance: float = 1e-8
    smoothness: float = 1e-4

    def __post_init__(self) -> None:
        set_fields(
            self,
            order=as_count("quadrature.order", self.order, least=4),
            noise_step=as_positive("quadrature.noise_step", self.noise_step),
            tolerance=as_positive("quadrature.tolerance", self.tolerance),
            smoothness=as_positive("quadrature.smoothness", self.smoothness),
        )

    def refined(self, factor: float) -> "Quadrature":
        """The same with ``factor`` times as many nodes in every integral."""
        return dataclasses.replace(
            self,
            order=max(4, round(self.order * factor)),
            noise_step=self.noise_step / factor,
        )


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


def marked_normal_rule(
    means: Sequence[float],
    weights: Sequence[float],
    deviation: float,
    marks: Iterable[float],
    order: int,
) -> tuple[Array, Array]:
    """Nodes and probability weights under a mixture of normals with a common deviation.

    Panels end at `NORMAL_EDGES` around every mean, and at the marks: where integrands jump or bend.

    >>> x, w = marked_normal_rule((0.0,), (1.0,), 1.0, marks=(0.3,), order=16)
    >>> round(float(w @ np.abs(x - 0.3)), 10)
    0.8335224842
    """
    edges = np.add.outer(np.asarray(means), deviation * np.array(NORMAL_EDGES)).ravel()
    low, high = edges.min(), edges.max()
    inside = [mark for mark in marks if low < mark < high]
    nodes, lengths = panel_rule(np.unique(np.concatenate([edges, inside])), order)
    standard = (nodes[:, None] - np.asarray(means)) / deviation
    density = np.exp(-(standard**2) / 2) @ np.asarray(weights) / (np.sqrt(2 * np.pi) * deviation)
    return nodes, lengths * density
