"""Selections pi(x), or pi(x, y), by a function of the features or by a score.

Every rule here acts on `Points`: those of a feature law in the theory, or a pool's in a simulation
(``model.features.locate(x)``), so that what is predicted is what is run.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from theory.checks import InvalidFieldError, as_fraction, set_fields
from theory.low_dimensional.features import Features, Marks, Points

Array = NDArray[np.float64]
Score = Callable[[Points], Array]
"""A score >= 0, or any real one where it is thresholded, shape [channels, n]: one channel, or two
for labels -1 and +1; affine in ``rest``."""


class Selection(Protocol):
    """What the theory needs of a selection."""

    @property
    def reweight(self) -> bool:
        """Whether a selected sample counts with weight 1/pi."""
        ...

    @property
    def knows_labels(self) -> bool: ...

    def probability(self, points: Points) -> Array:
        """pi at every point: shape [1, n], or [2, n] for labels -1 and +1."""
        ...

    def marks(self, features: Features) -> Marks:
        """Where pi jumps or bends."""
        ...


@dataclass(frozen=True)
class FixedSelection:
    """pi as any function of points, with values in [0, 1].

    function: points to shape [n]. kinks: values of h where it jumps or bends (Gaussian features).
    index_only: whether it depends on the explicit coordinates alone. A function that takes values
    outside [0, 1] is refused where it is used (InvalidFieldError).

    >>> half = FixedSelection(lambda points: 0.5 + 0 * points.rest)
    >>> half.probability(Points(np.ones(1), np.ones((1, 1)), np.zeros(1)))
    array([[0.5]])
    """

    function: Callable[[Points], Array]
    reweight: bool = False
    kinks: tuple[float, ...] = ()
    index_only: bool = True
    knows_labels: bool = False

    def probability(self, points: Points) -> Array:
        pi = np.atleast_2d(np.asarray(self.function(points), dtype=np.float64))
        if not np.all((pi >= 0) & (pi <= 1)):
            bad = pi[~((pi >= 0) & (pi <= 1))][0]
            raise InvalidFieldError("selection.function", float(bad), "a probability in [0, 1]")
        return np.broadcast_to(pi, (len(pi), len(points.weight)))

    def marks(self, features: Features) -> Marks:
        del features
        return Marks(self.kinks, affine=self.index_only)


def random_selection(fraction: float, reweight: bool = False) -> FixedSelection:
    """pi = fraction, in (0, 1], for every sample.

    >>> random_selection(0.5).reweight
    False
    """
    constant = as_fraction("fraction", fraction)
    return FixedSelection(lambda points: np.full(len(points.weight), constant), reweight)


@dataclass(frozen=True)
class RootSelection:
    """pi = min(1, c sqrt(score)): unbiased rules, reweighted by default."""

    score: Score
    constant: float
    kinks: tuple[float, ...] = ()
    reweight: bool = True
    knows_labels: bool = False

    def probability(self, points: Points) -> Array:
        root = np.sqrt(np.maximum(self.score(points), 0))
        if np.isinf(self.constant):
            return np.ones_like(root)
        return np.minimum(1.0, self.constant * root)

    def marks(self, features: Features) -> Marks:
        del features
        if np.isinf(self.constant):
            return Marks(self.kinks)
        level = 1 / self.constant**2
        return Marks(self.kinks, level=lambda points: self.score(points) - level, affine=False)


@dataclass(frozen=True)
class ThresholdSelection:
    """pi = 1 where score > threshold, ``tie`` where it is equal (to rounding), 0 below."""

    score: Score
    threshold: float
    kinks: tuple[float, ...] = ()
    tie: float = 0.0
    reweight: bool = False
    knows_labels: bool = False

    def probability(self, points: Points) -> Array:
        if self.threshold == -np.inf:
            return np.ones((1 + self.knows_labels, len(points.weight)))
        excess = self.score(points) - self.threshold
        tied = np.abs(excess) <= TIE * max(abs(self.threshold), 1e-300)
        return np.where(tied, self.tie, (excess > 0).astype(np.float64))

    def marks(self, features: Features) -> Marks:
        del features
        if np.isinf(self.threshold):
            return Marks(self.kinks)
        return Marks(self.kinks, level=lambda points: self.score(points) - self.threshold)


TIE = 1e-11
"""Scores closer to the threshold, relative to it, are tied."""


def largest(weight: Array, score: Array, fraction: float) -> Array:
    """pi in [0, 1] with E pi = fraction that keeps the largest scores, the last ones in part.

    >>> largest(np.array([0.5, 0.5]), np.array([1.0, 2.0]), 0.75)
    array([0.5, 1. ])
    """
    order = np.argsort(-score, kind="stable")
    before = np.concatenate([[0.0], np.cumsum(weight[order])[:-1]])
    chosen = np.empty_like(weight)
    with np.errstate(divide="ignore", invalid="ignore"):
        part = np.where(weight[order] > 0, (fraction - before) / weight[order], 0.0)
    chosen[order] = np.clip(part, 0, 1)
    return chosen


@dataclass(frozen=True)
class TableSelection:
    """pi at the points of a weighted sample, one number each in [0, 1]; simulates on them only."""

    probabilities: Array
    reweight: bool = False
    knows_labels: bool = False

    def __post_init__(self) -> None:
        pi = np.asarray(self.probabilities, dtype=np.float64)
        if pi.ndim != 1 or not np.all((pi >= 0) & (pi <= 1)):
            raise InvalidFieldError("selection.probabilities", pi, "probabilities in [0, 1]")
        set_fields(self, probabilities=pi)

    def probability(self, points: Points) -> Array:
        if self.probabilities.shape != points.weight.shape:
            allowed = f"one for each of {len(points.weight)} points"
            raise InvalidFieldError("selection.probabilities", self.probabilities.shape, allowed)
        return self.probabilities[None]

    def marks(self, features: Features) -> Marks:
        del features
        return Marks()
