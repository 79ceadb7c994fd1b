"""The law of a surrogate's score over a population of points and over draws of the surrogate."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline
from scipy.special import ndtr

from theory.quadrature import panel_rule
from theory.score import ScoreLaw

Array = NDArray[np.float64]

RANGE = 7.0
"""Standard deviations of a point's score that are looked at (left out: 3e-12)."""

SPACING, MOST_SPACINGS = 0.25, 1500
"""Spacing at which the density is kept, in the deviation that one in fifty points falls below; and
the most of them. Deviations of less than NARROWEST spacings are widened to that, for the rule's
constant only."""
NARROWEST = 2.0

PIECE = 1 << 20


@dataclass(frozen=True, eq=False)
class PopulationScoreLaw(ScoreLaw):
    """An equal mixture of normals, each with a deviation of its own.

    >>> law = PopulationScoreLaw.of(np.array([-1.0, 1.0]), np.array([1.0, 2.0]))
    >>> round(law.expect(lambda t: t**2), 5), round(law.expect(np.abs, kinks=[0.0]), 5)
    (3.5, 1.47891)
    """

    deviations: tuple[float, ...] = field(default=())

    @classmethod
    def of(cls, means: Array, deviations: Array) -> "PopulationScoreLaw":
        """The law of scores N(means_i, deviations_i^2)."""
        weights = np.full(len(means), 1 / len(means))
        widest = float(deviations.max())
        return cls(tuple(means), tuple(weights), widest, tuple(deviations))

    @property
    def largest(self) -> float:
        """A bound on |t| that the law exceeds with negligible probability."""
        return float(np.max(np.abs(self.means) + RANGE * np.asarray(self.deviations)))

    @cached_property
    def _density(self) -> tuple[Array, CubicSpline]:
        means, deviations = np.asarray(self.means), np.asarray(self.deviations)
        low, high = np.min(means - RANGE * deviations), np.max(means + RANGE * deviations)
        spacing = SPACING * np.quantile(deviations, 0.02)
        count = int(min(MOST_SPACINGS, max(64, np.ceil((high - low) / spacing))))
        deviations = np.maximum(deviations, NARROWEST * (high - low) / count)
        grid, total = np.linspace(low, high, count + 1), np.zeros(count + 1)
        for rows in np.array_split(np.arange(len(means)), 1 + len(means) * count // PIECE):
            g = (grid - means[rows, None]) / deviations[rows, None]
            total += (np.exp(-(g**2) / 2) / deviations[rows, None]).sum(axis=0)
        return grid, CubicSpline(grid, total / (np.sqrt(2 * np.pi) * len(means)))

    def expect(self, function: Callable[[Array], Array], kinks: Sequence[float] = ()) -> float:
        """E of function(t), where the function may jump or bend at ``kinks``."""
        grid, density = self._density
        inside = [kink for kink in kinks if grid[0] < kink < grid[-1]]
        t, length = panel_rule(np.unique(np.concatenate([grid, inside])), 4)
        weight = length * density(t)
        return float(weight @ function(t) / weight.sum())

    def probability_within(self, bound: float) -> float:
        """P(|t| <= bound)."""
        means, deviations = np.asarray(self.means), np.asarray(self.deviations)
        within = ndtr((bound - means) / deviations) - ndtr((-bound - means) / deviations)
        return float(within.mean())
