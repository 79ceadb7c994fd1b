"""Sets of scores between thresholds, and the selections that keep them outright."""

import math
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from theory.kinds import Selection
from theory.score import ScoreLaw
from theory.selection import BandSelection, RandomSelection, TabulatedSelection

Array = NDArray[np.float64]

JUMP = 1e-10
"""Width over which a tabulated selection jumps, in deviations of the score."""


class Intervals(NamedTuple):
    """Scores between thresholds: sides alternate, and the lowest scores are kept if ``first``."""

    thresholds: tuple[float, ...]
    first: bool

    def contains(self, t: Array) -> Array:
        """1 for scores that are kept, 0 for others."""
        place = np.searchsorted(np.asarray(self.thresholds), t)
        return np.asarray((place % 2 == 0) == self.first, dtype=np.float64)

    def probability(self, law: ScoreLaw) -> float:
        """P(the score is kept)."""
        return law.expect(self.contains, self.thresholds)

    def parts(self) -> list[tuple[float, float]]:
        """The intervals, from left to right."""
        ends = [-math.inf, *self.thresholds, math.inf]
        return [part for k, part in enumerate(pairwise(ends)) if (k % 2 == 0) == self.first]

    def without_slivers(self, law: ScoreLaw, least: float) -> "Intervals":
        """The same with intervals and gaps of less than this probability closed."""
        kept = list(self.thresholds)
        first = self.first
        while kept:
            ends = [-math.inf, *kept, math.inf]
            masses = [_mass(law, a, b) for a, b in pairwise(ends)]
            smallest = int(np.argmin(masses))
            if masses[smallest] >= least:
                break
            if smallest == 0:
                kept, first = kept[1:], not first
            elif smallest == len(kept):
                kept = kept[:-1]
            else:
                kept = kept[: smallest - 1] + kept[smallest + 1 :]
        return Intervals(tuple(kept), first)

    def is_symmetric(self, tolerance: float) -> bool:
        """Whether -t is kept where t is."""
        t = np.asarray(self.thresholds)
        return len(t) % 2 == 0 and bool(np.all(np.abs(t + t[::-1]) <= tolerance))

    def selection(self, law: ScoreLaw) -> Selection:
        """A BandSelection where the scores are a band in |t|, else a table with jumps."""
        t = self.thresholds
        if not t:
            return RandomSelection(1.0)
        if self.is_symmetric(1e-9 * law.deviation):
            half = [(b - a) / 2 for a, b in zip(t, reversed(t), strict=True)][: len(t) // 2][::-1]
            if len(half) == 1:
                return BandSelection(*((half[0], math.inf) if self.first else (0.0, half[0])))
            if len(half) == 2 and not self.first:
                return BandSelection(half[0], half[1])
        width = JUMP * law.deviation
        scores = [x + side * width / 2 for x in t for side in (-1, 1)]
        left = [(k % 2 == 0) == self.first for k in range(len(t))]
        probabilities = [float(p) for inside in left for p in (inside, not inside)]
        return TabulatedSelection(tuple(scores), tuple(probabilities))


def _mass(law: ScoreLaw, low: float, high: float) -> float:
    means, weights = np.asarray(law.means), np.asarray(law.weights)
    # From the nearer tail: small probabilities are differences of small numbers.
    a, b = (low - means) / law.deviation, (high - means) / law.deviation
    flipped = a > 0
    upper = np.where(flipped, ndtr(-a), ndtr(b))
    lower = np.where(flipped, ndtr(-b), ndtr(a))
    return float(weights @ (upper - lower))
