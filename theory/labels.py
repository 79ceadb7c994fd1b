"""Label probabilities as the equations use them: as curves over h, averaged over a Gaussian."""

import math
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from theory.quadrature import NORMAL_RANGE, Bend, gauss_legendre

Array = NDArray[np.float64]


class Steps(NamedTuple):
    """base + sum_j heights[j] Phi((x - centres[j]) / widths[j]), a function of x; widths >= 0."""

    base: float
    heights: tuple[float, ...]
    centres: tuple[float, ...]
    widths: tuple[float, ...]


SATURATED = 8.4
"""|x| beyond which Phi(x) is 0 or 1 to 2e-17."""

SMOOTHING_NODES = 80
"""Gauss-Hermite nodes that average a smooth label probability without known steps."""

SMOOTHING_PANELS, SMOOTHING_ORDER = 12, 12
"""Gauss-Legendre panels, and nodes in each, beside the edges at its jumps where it has some."""


class LabelCurve(NamedTuple):
    """P(y = +1 | h) within one component of the law of h.

    bends, bend_widths: where it changes, and over which width; width 0 is a jump. steps: the same
    function as a sum of probit steps, or None.

    >>> LabelCurve.constant(0.2).probability(np.zeros(2))
    array([0.2, 0.2])
    """

    probability: Callable[[Array], Array]
    bends: tuple[float, ...] = ()
    bend_widths: tuple[float, ...] = ()
    steps: Steps | None = None

    @classmethod
    def constant(cls, probability: float) -> "LabelCurve":
        """The same probability everywhere, as within a class."""
        return cls(lambda h: np.full_like(h, probability), steps=Steps(probability, (), (), ()))

    def bends_blurred(self, deviation: float = 0.0) -> tuple[Bend, ...]:
        """Every bend with its width where f is averaged over a Gaussian of this deviation."""
        return tuple(
            (centre, math.hypot(width, deviation))
            for centre, width in zip(self.bends, self.bend_widths, strict=True)
        )

    def smoothed(self, mean: Array, deviation: float) -> tuple[Array, Array, Array]:
        """F(m) = E f(m + deviation xi) for xi ~ N(0, 1), and its first two derivatives in m.

        Without deviation F = f, and the derivatives, which nothing asks for, are given as 0.
        """
        if deviation == 0:
            return self.probability(mean), np.zeros(mean.shape), np.zeros(mean.shape)
        if self.steps is None:
            return self._smoothed_numerically(mean, deviation)
        value = np.full(mean.size, self.steps.base)
        first, second = np.zeros(mean.size), np.zeros(mean.size)
        for height, centre, width in zip(*self.steps[1:], strict=True):
            reach = math.hypot(width, deviation)
            x = (mean.ravel() - centre) / reach
            value += height * (x > 0)
            near = np.flatnonzero(np.abs(x) < SATURATED)
            x = x[near]
            density = np.exp(-(x**2) / 2)
            density *= height / (math.sqrt(2 * math.pi) * reach)
            value[near] += height * np.copysign(ndtr(-np.abs(x)), -x)
            first[near] += density
            second[near] -= density * x / reach
        return value.reshape(mean.shape), first.reshape(mean.shape), second.reshape(mean.shape)

    def _smoothed_numerically(self, mean: Array, deviation: float) -> tuple[Array, Array, Array]:
        value, first, second = (np.zeros(mean.shape) for _ in range(3))
        for x, w in self._smoothing_rule(mean, deviation):
            f = self.probability(mean + deviation * x)
            value += w * f
            first += w * x / deviation * f
            second += w * (x**2 - 1) / deviation**2 * f
        return value, first, second

    def _smoothing_rule(self, mean: Array, deviation: float) -> Iterator[tuple[Any, Any]]:
        """xi and its weights: the same for all means, or panels that end where f jumps."""
        jumps = [c for c, width in zip(self.bends, self.bend_widths, strict=True) if width == 0]
        if not jumps:
            xi, weight = np.polynomial.hermite_e.hermegauss(SMOOTHING_NODES)
            yield from zip(xi, weight / weight.sum(), strict=True)
            return
        base = np.linspace(-NORMAL_RANGE, NORMAL_RANGE, SMOOTHING_PANELS + 1)
        edges = [np.full(mean.shape, edge) for edge in base]
        edges += [np.clip((c - mean) / deviation, -NORMAL_RANGE, NORMAL_RANGE) for c in jumps]
        for left, right in pairwise(np.sort(edges, axis=0)):
            for unit, w in zip(*gauss_legendre(SMOOTHING_ORDER), strict=True):
                x = left + (right - left) * unit
                density = np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi)
                yield x, w * (right - left) * density
