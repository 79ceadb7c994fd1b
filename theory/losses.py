"""Losses as functions of the margin m = y (<theta, x> + b), with their proximal maps.

A loss is a small frozen dataclass derived from `Loss`. Its functions are elementwise and written
with jax.numpy, so that they can be compiled and differentiated.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar, cast

import numpy as np

from theory._engine import jax, jnp
from theory.checks import as_positive, set_fields

SMALLEST = 256
"""Fewest elements that a function is compiled for."""


class Loss(ABC):
    """What theory and simulation need of a convex loss of the margin.

    A new loss defines ``value``, ``slope``, ``curvature`` and ``prox``, and ``kinks`` if the
    proximal map has some. It must be hashable: a frozen dataclass is.

    smooth: whether the slope is continuous; if not, the loss defines ``contraction`` too.
    bend_width: the margin over which the proximal map bends between its kinks; infinite where it is
        piecewise linear.
    strip: half the height of the strip of complex margins around the real axis in which the
        proximal map is analytic, for every eta; 0 if unknown or if the map has kinks. Where it is
        known, sums over equally spaced margins replace Gaussian quadrature.
    """

    smooth: ClassVar[bool] = True
    bend_width: ClassVar[float] = 1.0
    strip: ClassVar[float] = 0.0

    @abstractmethod
    def value(self, margin: Any) -> Any:
        """The loss."""

    @abstractmethod
    def slope(self, margin: Any) -> Any:
        """Its derivative in the margin (any subgradient at a kink)."""

    @abstractmethod
    def curvature(self, margin: Any) -> Any:
        """Its second derivative (0 at a kink)."""

    @abstractmethod
    def prox(self, margin: Any, eta: Any) -> Any:
        """The minimiser v of eta value(v) + (v - m)^2 / 2, where v + eta slope(v) = m; eta > 0."""

    def kinks(self, eta: Any) -> tuple[Any, ...]:
        """Margins at which the proximal map has a kink."""
        del eta
        return ()

    def contraction(self, v: Any, margin: Any, eta: Any) -> Any:
        """1 - dv/dm for v = prox(m, eta)."""
        del margin
        bend = eta * self.curvature(v)
        return bend / (1 + bend)


def response(loss: Loss, margin: Any, eta: Any) -> tuple[Any, ...]:
    """m - v and 1 - dv/dm for v = prox(m, eta), of the shape of margin."""
    return compiled(_response, loss, margin, eta)


def _response(loss: Loss, margin: Any, eta: Any) -> tuple[Any, ...]:
    v = loss.prox(margin, eta)
    return margin - v, loss.contraction(v, margin, eta)


def loss_terms(loss: Loss, margin: Any) -> tuple[Any, ...]:
    """Value, slope and curvature of the loss, each of the shape of margin."""
    return compiled(_loss_terms, loss, margin)


def _loss_terms(loss: Loss, margin: Any) -> tuple[Any, ...]:
    return loss.value(margin), loss.slope(margin), loss.curvature(margin)


def compiled(
    function: Callable[..., tuple[Any, ...]], loss: Loss, first: Any, *others: Any
) -> tuple[Any, ...]:
    """function(loss, first, *others), elementwise; every answer has the shape of ``first``.

    Compiled once for each loss and a few sizes: what is asked is padded to the next of them.
    """
    first = np.asarray(first)
    size = first.size
    padded = np.ones((1 + len(others), max(SMALLEST, 1 << (size - 1).bit_length())))
    padded[0, :size] = first.ravel()
    for row, other in zip(padded[1:], others, strict=True):
        if np.size(other) == 1:
            row[:] = np.asarray(other).item()
        else:
            row[:size] = np.broadcast_to(other, first.shape).ravel()
    answers = np.asarray(_jitted(function, loss)(padded))[:, :size]
    return tuple(answers.reshape(len(answers), *first.shape))


@lru_cache(maxsize=128)
def _jitted(function: Callable[..., tuple[Any, ...]], loss: Loss) -> Callable[[Any], Any]:
    """The compiled function of its stacked arguments, for all sizes."""

    def stacked(arguments: Any) -> Any:
        answers = function(loss, *arguments)
        return jnp.stack([jnp.broadcast_to(a, arguments.shape[1:]) for a in answers])

    return cast("Callable[[Any], Any]", jax.jit(stacked))


@dataclass(frozen=True)
class LogisticLoss(Loss):
    """value(m) = log(1 + exp(-m)).

    >>> bool(abs(LogisticLoss().value(0.0) - math.log(2.0)) < 1e-15)
    True
    >>> loss, m, eta = LogisticLoss(), -3.0, 40.0
    >>> v = loss.prox(m, eta)
    >>> bool(abs(v + eta * loss.slope(v) - m) < 1e-12)
    True

    The branch points of v(m) lie where 1 + eta curvature(v) = 0, at Im v = Im m = pi for every eta.
    """

    strip: ClassVar[float] = math.pi

    def value(self, margin: Any) -> Any:
        return jax.nn.softplus(-margin)

    def slope(self, margin: Any) -> Any:
        return -jax.nn.sigmoid(-margin)

    def curvature(self, margin: Any) -> Any:
        e = jnp.exp(-jnp.abs(margin))
        return e / (1 + e) ** 2

    def prox(self, margin: Any, eta: Any) -> Any:
        """Minimiser v of eta log(1 + exp(-v)) + (v - m)^2 / 2, for eta > 0.

        Solutions come in mirrored pairs, v(m) = -v(-m - eta), so v >= 0 is enough. There a start
        taken from v = log(eta / (v - m) - 1) is within 0.6 of the root for every eta up to 1e8, and
        three Halley steps (cubic) reach rounding error: two in single precision, one in double.
        """
        mirrored = margin < -eta / 2
        m = jnp.where(mirrored, -margin - eta, margin)
        v = _halley_step(_coarse_root(m, eta), m, eta)
        return jnp.where(mirrored, -v, v)


def _coarse_root(margin: Any, eta: Any) -> Any:
    """Root v >= 0 of v - eta / (1 + e^v) = margin >= -eta / 2 to single precision."""
    m = jnp.asarray(margin, dtype=jnp.float32)
    eta = jnp.asarray(eta, dtype=jnp.float32)
    above = jnp.maximum(m, 0)
    below = above - m
    e = jnp.exp(-above)
    v = above + jnp.log1p(jnp.maximum(eta - 2 * below, 0) * e / (2 + below + jnp.log1p(eta * e)))
    for _ in range(2):
        v = _halley_step(v, m, eta)
    return v.astype(jnp.float64)


def _halley_step(v: Any, margin: Any, eta: Any) -> Any:
    e = jnp.exp(-v)
    s = e / (1 + e)
    excess = v - margin - eta * s
    bend = eta * s * (1 - s)
    slope = 1 + bend
    return v - excess * slope / (slope**2 + 0.5 * excess * bend * (1 - 2 * s))


@dataclass(frozen=True)
class SquaredLoss(Loss):
    """value(m) = (1 - m)^2 / 2, which is (y - <theta, x> - b)^2 / 2 for labels in {-1, +1}.

    >>> float(SquaredLoss().prox(0.0, 1.0))
    0.5
    """

    bend_width: ClassVar[float] = math.inf
    strip: ClassVar[float] = math.inf

    def value(self, margin: Any) -> Any:
        return (1 - margin) ** 2 / 2

    def slope(self, margin: Any) -> Any:
        return margin - 1

    def curvature(self, margin: Any) -> Any:
        return jnp.ones_like(margin)

    def prox(self, margin: Any, eta: Any) -> Any:
        return (margin + eta) / (1 + eta)


@dataclass(frozen=True)
class SmoothedHingeLoss(Loss):
    """The hinge with its corner rounded by a parabola of the given width > 0.

    With gap = 1 - m: value(m) = 0 for gap <= 0, gap^2 / (2 width) up to gap = width, and
    gap - width/2 above. Raises ValueError on a width that is not positive.

    >>> float(SmoothedHingeLoss(width=0.5).value(0.0))
    0.75
    """

    width: float = 1.0

    bend_width: ClassVar[float] = math.inf

    def __post_init__(self) -> None:
        set_fields(self, width=as_positive("loss.width", self.width))

    def value(self, margin: Any) -> Any:
        gap = jnp.maximum(1 - margin, 0)
        return jnp.where(gap < self.width, gap**2 / (2 * self.width), gap - self.width / 2)

    def slope(self, margin: Any) -> Any:
        return -jnp.clip((1 - margin) / self.width, 0, 1)

    def curvature(self, margin: Any) -> Any:
        gap = 1 - margin
        return jnp.where((gap > 0) & (gap < self.width), 1 / self.width, 0.0)

    def prox(self, margin: Any, eta: Any) -> Any:
        inside = (margin + eta / self.width) / (1 + eta / self.width)
        below = margin < 1 - self.width - eta
        return jnp.where(margin >= 1, margin, jnp.where(below, margin + eta, inside))

    def kinks(self, eta: Any) -> tuple[Any, ...]:
        return 1 - self.width - eta, 1 + jnp.zeros_like(eta)

    def contraction(self, v: Any, margin: Any, eta: Any) -> Any:
        del v
        gap = 1 - margin
        return jnp.where((gap > 0) & (gap < self.width + eta), eta / (self.width + eta), 0.0)


@dataclass(frozen=True)
class HingeLoss(Loss):
    """value(m) = max(1 - m, 0): the support vector machine.

    >>> [float(HingeLoss().prox(m, 0.5)) for m in (0.0, 0.75, 2.0)]
    [0.5, 1.0, 2.0]
    """

    smooth: ClassVar[bool] = False
    bend_width: ClassVar[float] = math.inf

    def value(self, margin: Any) -> Any:
        return jnp.maximum(1 - margin, 0)

    def slope(self, margin: Any) -> Any:
        return jnp.where(margin < 1, -1.0, 0.0)

    def curvature(self, margin: Any) -> Any:
        return jnp.zeros_like(margin)

    def prox(self, margin: Any, eta: Any) -> Any:
        return jnp.maximum(jnp.minimum(margin + eta, 1), margin)

    def kinks(self, eta: Any) -> tuple[Any, ...]:
        return 1 - eta, 1.0

    def contraction(self, v: Any, margin: Any, eta: Any) -> Any:
        del v
        return jnp.where((margin < 1) & (margin > 1 - eta), 1.0, 0.0)
