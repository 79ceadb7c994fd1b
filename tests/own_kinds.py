"""Kinds as a stranger would add them: nothing here is known to the packages."""

from dataclasses import dataclass
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import ndtr

from theory import (
    DataModel,
    FixedFraction,
    LabelCurve,
    Loss,
    Rule,
    Score,
    ScoreLaw,
    Selection,
    SmoothedHingeLoss,
    Steps,
    Training,
)

Array = NDArray[np.float64]


@dataclass(frozen=True)
class SquaredHinge(Loss):
    """value(m) = max(1 - m, 0)^2 / 2."""

    def value(self, margin: Any) -> Any:
        return jnp.maximum(1 - margin, 0) ** 2 / 2

    def slope(self, margin: Any) -> Any:
        return -jnp.maximum(1 - margin, 0)

    def curvature(self, margin: Any) -> Any:
        return jnp.where(margin < 1, 1.0, 0.0)

    def prox(self, margin: Any, eta: Any) -> Any:
        return jnp.where(margin < 1, (margin + eta) / (1 + eta), margin)

    def kinks(self, eta: Any) -> tuple[Any, ...]:
        return (jnp.ones_like(eta),)


@dataclass(frozen=True)
class Lapses:
    """A label model without known steps: a probit that jumps, and lapses at a rate."""

    rate: float = 0.1
    jump: float = 0.2

    @property
    def jumps(self) -> tuple[float, ...]:
        return (0.5,)

    def probability(self, index: Array) -> Array:
        share = (1 - self.jump) * ndtr(index) + self.jump * (index >= 0.5)
        return np.asarray(self.rate / 2 + (1 - self.rate) * share)


@dataclass(frozen=True)
class Cohorts:
    """Two cohorts at +-shift, with labels Phi(h / width) of a width of their own."""

    shift: float
    widths: tuple[float, float]

    @property
    def means(self) -> tuple[float, ...]:
        return (self.shift, -self.shift)

    @property
    def weights(self) -> tuple[float, ...]:
        return (0.4, 0.6)

    @property
    def label_curves(self) -> tuple[LabelCurve, ...]:
        return tuple(_probit_curve(width) for width in self.widths)

    @property
    def true_score(self) -> None:
        return None

    def label_probability(self, h: Array) -> Array:
        h = np.asarray(h)
        density = [
            w * np.exp(-((h - m) ** 2) / 2) for m, w in zip(self.means, self.weights, strict=True)
        ]
        shares = [d * ndtr(h / w) for d, w in zip(density, self.widths, strict=True)]
        return np.asarray(sum(shares) / sum(density))


def _probit_curve(width: float) -> LabelCurve:
    steps = Steps(0.0, (1.0,), (0.0,), (width,))
    return LabelCurve(lambda h: np.asarray(ndtr(h / width)), (0.0,), (width,), steps)


@dataclass(frozen=True)
class Tilted:
    """Sees the truth at an angle."""

    angle: float
    size: float = 2.0

    def source(self, data: DataModel) -> Score:
        del data
        return Score(self.size * float(np.cos(self.angle)), self.size * float(np.sin(self.angle)))


@dataclass(frozen=True)
class HingeTrained:
    """Trained with a loss of its own on the pool's law."""

    samples_per_dimension: float

    def source(self, data: DataModel) -> Training:
        return Training(data, 0.1, self.samples_per_dimension, SmoothedHingeLoss(1.0))


@dataclass(frozen=True)
class NearZero(Selection):
    """pi(t) falls exponentially from 1 at t = 0; no constant."""

    scale: float
    reweight: bool = False

    @property
    def kinks(self) -> tuple[float, ...]:
        return (0.0,)

    def inclusion_probabilities(self, scores: Array) -> Array:
        return np.exp(-np.abs(scores) / self.scale)


@dataclass(frozen=True)
class Highest(FixedFraction):
    """Keep the highest scores."""

    fraction: float

    def law_rule(self, law: ScoreLaw) -> Rule:
        means, weights = np.array(law.means), np.array(law.weights)

        def excess(tau: float) -> float:
            return float(weights @ ndtr((means - tau) / law.deviation)) - self.fraction

        tau = brentq(excess, -law.largest, law.largest, xtol=1e-15)
        return Rule(lambda t: (t >= tau).astype(np.float64), (tau,))

    def inclusion_probabilities(self, scores: Array) -> Array:
        kept = np.argsort(-scores, kind="stable")[: round(self.fraction * scores.size)]
        return np.isin(np.arange(scores.size), kept).astype(np.float64)


@dataclass(frozen=True)
class Stratified(FixedFraction):
    """Keeps the fraction within every tenth sample: not a matter of the score alone."""

    fraction: float

    has_theory: ClassVar[bool] = False

    def law_rule(self, law: ScoreLaw) -> Rule:
        raise NotImplementedError

    def inclusion_probabilities(self, scores: Array) -> Array:
        return np.full(scores.shape, self.fraction)
