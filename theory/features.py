"""The explicit features of a fit: their order, their penalty, and how coefficients are read.

They are h, the coordinate along e_0; s, the coordinate G_s along the surrogate's error e_s, where
it has one; intercept, the constant 1, where one is fitted; and memory, where the surrogate's own
samples are fitted again: see `theory.two_rounds`.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


H = 0
"""h always comes first."""


class Coefficients(NamedTuple):
    """Coefficients by name; 0 for a feature that a fit does not have."""

    alpha_0: float
    alpha_s: float
    intercept: float


@dataclass(frozen=True)
class Features:
    """Which of the explicit features a fit has; h always.

    has_error_direction: whether the score has a part along e_s. has_intercept: whether an
    intercept is fitted. has_memory: whether the surrogate's samples are fitted again.

    >>> Features(has_error_direction=False, has_intercept=True).names
    ('h', 'intercept')
    """

    has_error_direction: bool
    has_intercept: bool
    has_memory: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """The features in the order of every array over them."""
        present = {"h": True, "s": self.has_error_direction, "intercept": self.has_intercept}
        present["memory"] = self.has_memory
        return tuple(name for name, is_present in present.items() if is_present)

    def position(self, name: str) -> int:
        """Where a feature stands; ValueError for one that is not there."""
        return self.names.index(name)

    def stack(self, **values: ArrayLike) -> Array:
        """Values given by a feature's name, in order along a new last axis; absent ones are left
        out.

        >>> Features(False, True).stack(h=[1.0, 2.0], s=5.0, intercept=0.0)
        array([[1., 0.],
               [2., 0.]])
        """
        chosen = [np.asarray(values[name], dtype=np.float64) for name in self.names]
        return np.stack(np.broadcast_arrays(*chosen), axis=-1)

    def penalty(self, ridge: float) -> Array:
        """The ridge on every coefficient but the intercept and that of the memory."""
        return self.stack(h=ridge, s=ridge, intercept=0.0, memory=0.0)

    def read(self, coefficients: Array) -> Coefficients:
        """Coefficients by name."""
        by_name = dict(zip(self.names, coefficients.tolist(), strict=True))
        return Coefficients(by_name["h"], by_name.get("s", 0.0), by_name.get("intercept", 0.0))
