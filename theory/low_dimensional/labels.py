"""Label laws with a loss: what the gradient and the Hessian of the loss are on average.

The loss depends on theta through v = <theta, x>, so that G(x) = g x x^T and H(x) = c x x^T with
g = E[(dl/dv)^2 | x] and c = E[d2l/dv2 | x]; m = E[dl/dv | x] vanishes at theta* where the loss is
consistent for every x.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, ndtr

from theory.checks import InvalidFieldError, as_positive, set_fields
from theory.data import LogisticLink, ProbitLink, SingleIndex
from theory.kinds import Link
from theory.losses import LogisticLoss, Loss, SquaredLoss, loss_terms
from theory.quadrature import Bend

Array = NDArray[np.float64]


class Averages(NamedTuple):
    """g, c, m and the loss itself at points, times the label's probability: [channels, n] each.

    One channel where labels are averaged out; two, for y = -1 and +1, where they are told apart.
    """

    squared_slope: Array
    curvature: Array
    slope: Array
    loss: Array


class Labels(ABC):
    """Law of the label given u = <theta_0, x>, with the loss that is trained."""

    @abstractmethod
    def averages(self, u: Array, v: Array, by_label: bool = False) -> Averages:
        """Averages at index u and linear predictor v, each of shape [n]."""

    def shares(self, u: Array) -> Array:
        """Probabilities of labels -1 and +1, shape [2, n]."""
        raise InvalidFieldError("selection", "knows labels", "label-free for real labels")

    def slopes(self, v: Array) -> Array:
        """dl/dv for labels -1 and +1, shape [2, n]."""
        raise InvalidFieldError("selection", "knows labels", "label-free for real labels")

    @property
    def jumps(self) -> tuple[float, ...]:
        """Values of u where the law jumps."""
        return ()

    def bends(self, scale: float) -> tuple[Bend, ...]:
        """Where, and over which width, averages bend as functions of h = u / scale."""
        return ((0.0, 1 / scale),)

    @abstractmethod
    def wrong(self, u: Array, v: Array) -> Array:
        """Probability that the sign of v is not the label; NaN where there are no classes."""


@dataclass(frozen=True)
class LinearLabels(Labels):
    """y = u + sqrt(variance(u)) noise with noise of mean 0 and variance 1; loss (y - v)^2 / 2.

    variance: a number > 0, or a function of u with values > 0. variance_jumps: where that
    function jumps. Raises InvalidFieldError on other values.

    >>> LinearLabels(2.0).averages(np.zeros(1), np.zeros(1)).squared_slope
    array([[2.]])
    """

    variance: float | Callable[[Array], Array] = 1.0
    variance_jumps: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if not callable(self.variance):
            set_fields(self, variance=as_positive("labels.variance", self.variance))

    @property
    def jumps(self) -> tuple[float, ...]:
        return self.variance_jumps

    def variances(self, u: Array) -> Array:
        """Var(y | u), elementwise."""
        given = self.variance(u) if callable(self.variance) else self.variance
        values = np.broadcast_to(np.asarray(given, dtype=np.float64), u.shape)
        if not np.all(values > 0):
            raise InvalidFieldError("labels.variance", float(np.min(values)), "> 0 everywhere")
        return values

    def averages(self, u: Array, v: Array, by_label: bool = False) -> Averages:
        if by_label:
            self.shares(u)
        square = (self.variances(u) + (v - u) ** 2)[None]
        return Averages(square, np.ones_like(square), (v - u)[None], square / 2)

    def wrong(self, u: Array, v: Array) -> Array:
        del v
        return np.full(u.shape, np.nan)


@dataclass(frozen=True)
class BinaryLabels(Labels):
    """y in {-1, +1} with P(y = +1 | u) = link(u), and an analytic loss of the margin y v.

    link: LogisticLink, ProbitLink, StepLink or one's own. loss: LogisticLoss (default) or
    SquaredLoss; losses with kinks have no such asymptotics here. Raises InvalidFieldError.

    >>> from theory import LogisticLink
    >>> float(BinaryLabels(LogisticLink()).averages(np.zeros(1), np.zeros(1)).curvature[0, 0])
    0.25
    """

    link: Link
    loss: Loss = field(default_factory=LogisticLoss)

    def __post_init__(self) -> None:
        if not isinstance(self.link, Link):
            raise InvalidFieldError("labels.link", self.link, "a Link")
        if not isinstance(self.loss, Loss) or not self.loss.strip > 0:
            raise InvalidFieldError("labels.loss", self.loss, "LogisticLoss or SquaredLoss")

    @property
    def jumps(self) -> tuple[float, ...]:
        return self.link.jumps

    def bends(self, scale: float) -> tuple[Bend, ...]:
        curve = SingleIndex(self.link, scale).label_curves[0]
        smooth = [bend for bend in curve.bends_blurred() if bend[1] > 0]
        return (*smooth, (0.0, 1 / scale))

    def shares(self, u: Array) -> Array:
        positive = self.link.probability(u)
        negative = 1 - positive
        if isinstance(self.link, LogisticLink):  # without the loss of digits in the tail
            negative = expit(-u - self.link.intercept)
        if isinstance(self.link, ProbitLink):
            negative = ndtr(-u)
        return np.stack([negative, positive])

    def slopes(self, v: Array) -> Array:
        _, slope, _ = _margin_functions(self.loss, np.stack([-v, v]))
        return np.asarray(slope * np.array([[-1.0], [1.0]]))

    def averages(self, u: Array, v: Array, by_label: bool = False) -> Averages:
        share = self.shares(u)
        value, slope, curvature = _margin_functions(self.loss, np.stack([-v, v]))
        sign = np.array([[-1.0], [1.0]])
        parts = (share * slope**2, share * curvature, share * sign * slope, share * value)
        return Averages(*(a if by_label else a.sum(axis=0, keepdims=True) for a in parts))

    def wrong(self, u: Array, v: Array) -> Array:
        positive = self.link.probability(u)
        return np.where(v == 0, 0.5, np.where(v > 0, 1 - positive, positive))


def _margin_functions(loss: Loss, margin: Array) -> Array:
    """Value, slope and curvature of the loss, shape [3, *margin.shape].

    In NumPy for the losses known here, which are asked for on thousands of small arrays; others
    are compiled, for few sizes.
    """
    if isinstance(loss, LogisticLoss):
        right = expit(margin)
        wrong = expit(-margin)
        return np.stack([np.logaddexp(0, -margin), -wrong, right * wrong])
    if isinstance(loss, SquaredLoss):
        return np.stack([(1 - margin) ** 2 / 2, margin - 1, np.ones_like(margin)])
    return np.stack(loss_terms(loss, margin))
