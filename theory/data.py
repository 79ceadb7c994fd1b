"""Data models: the law of the informative coordinate h and the label probability f(h).

Features are x = h e_0 + (standard normal directions orthogonal to e_0, independent of (h, y)).
The law of h is a finite mixture of unit-variance normals; labels y in {-1, +1} follow
P(y = +1 | x) = f(h). The asymptotic theory needs nothing else of a data model.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, ndtr

from theory._validation import InvalidFieldError, as_numbers, as_positive, store

Array = NDArray[np.float64]


@runtime_checkable
class Link(Protocol):
    """Label probability as a function of the index u = <theta_0, x> = s h."""

    @property
    def jumps(self) -> tuple[float, ...]:
        """Values of u where the label probability jumps."""
        ...

    def probability(self, index: Array) -> Array:
        """P(y = +1 | u), elementwise."""
        ...


@dataclass(frozen=True)
class LogisticLink:
    """P(y = +1 | u) = 1 / (1 + exp(-u)).

    >>> float(LogisticLink().probability(np.array(0.0)))
    0.5
    """

    @property
    def jumps(self) -> tuple[float, ...]:
        return ()

    def probability(self, index: Array) -> Array:
        return np.asarray(expit(index), dtype=np.float64)


@dataclass(frozen=True)
class ProbitLink:
    """P(y = +1 | u) = Phi(u), the standard normal distribution function.

    >>> float(ProbitLink().probability(np.array(0.0)))
    0.5
    """

    @property
    def jumps(self) -> tuple[float, ...]:
        return ()

    def probability(self, index: Array) -> Array:
        return np.asarray(ndtr(index), dtype=np.float64)


@dataclass(frozen=True)
class StepLink:
    """Piecewise constant label probability.

    ``levels[k]`` holds for ``thresholds[k-1] <= u < thresholds[k]``. Thresholds are strictly
    increasing numbers (at least one); levels, one more of them, lie in [0, 1]. The paper's label
    models are ``F1`` and ``F2``. Raises ValueError on anything else.

    >>> StepLink(thresholds=(0.0,), levels=(0.05, 0.95)).probability(np.array([-1.0, 1.0]))
    array([0.05, 0.95])
    """

    thresholds: tuple[float, ...]
    levels: tuple[float, ...]

    def __post_init__(self) -> None:
        thresholds = as_numbers("thresholds", self.thresholds)
        levels = as_numbers("levels", self.levels)
        if not thresholds or any(b <= a for a, b in pairwise(thresholds)):
            raise InvalidFieldError(
                "thresholds", self.thresholds, "one or more strictly increasing numbers"
            )
        if len(levels) != len(thresholds) + 1:
            raise InvalidFieldError(
                "levels", self.levels, f"one more value than thresholds ({len(thresholds) + 1})"
            )
        for k, level in enumerate(levels):
            if not 0 <= level <= 1:
                raise InvalidFieldError(f"levels[{k}]", level, "a probability in [0, 1]")
        store(self, thresholds=thresholds, levels=levels)

    @property
    def jumps(self) -> tuple[float, ...]:
        return self.thresholds

    def probability(self, index: Array) -> Array:
        position = np.searchsorted(np.asarray(self.thresholds), index, side="right")
        return np.asarray(self.levels)[position]


F1 = StepLink(thresholds=(0.0,), levels=(0.05, 0.95))
"""The paper's label model f1: a single noisy step."""

F2 = StepLink(thresholds=(-0.5, 0.0, 0.5), levels=(0.3, 0.05, 0.95, 0.7))
"""The paper's label model f2: noisier labels away from the decision boundary."""


@dataclass(frozen=True)
class SingleIndex:
    """Isotropic Gaussian features x ~ N(0, I_p); labels depend on <theta_0, x> = s h.

    ``link`` gives P(y = +1 | s h); ``signal_norm`` is s = |theta_0| > 0 (dimensionless: features
    have unit variance). Source: Section 2 of the paper. Raises ValueError for a signal norm that
    is not a finite positive number or a link that is no ``Link``.

    >>> float(SingleIndex(link=F1, signal_norm=5.0).label_probability(np.array(0.2)))
    0.95
    """

    link: Link
    signal_norm: float = 1.0

    def __post_init__(self) -> None:
        if not isinstance(self.link, Link):
            raise InvalidFieldError("data.link", self.link, "LogisticLink, ProbitLink or StepLink")
        store(self, signal_norm=as_positive("data.signal_norm", self.signal_norm))

    @property
    def means(self) -> tuple[float, ...]:
        """Means of the unit-variance normal components of h."""
        return (0.0,)

    @property
    def weights(self) -> tuple[float, ...]:
        """Probabilities of the components of h."""
        return (1.0,)

    @property
    def jumps(self) -> tuple[float, ...]:
        """Values of h where the label probability jumps."""
        return tuple(u / self.signal_norm for u in self.link.jumps)

    def label_probability(self, h: Array) -> Array:
        """f(h) = P(y = +1 | h), elementwise, in [0, 1]."""
        return self.link.probability(self.signal_norm * np.asarray(h, dtype=np.float64))


DataModel = SingleIndex
