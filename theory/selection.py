"""Selection schemes: from a score t to the probability pi(t) of entering the subset.

A scheme is a description, derived from `theory.kinds.Selection`. `law_rule` fits its free constant
under the law of the score (theory); `inclusion_probabilities` fits it on realised scores
(simulation). With ``reweight`` a selected sample counts with weight S = 1/pi(t) (unbiased),
otherwise with S = 1.
"""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from theory.checks import (
    InvalidFieldError,
    as_bool,
    as_non_negative,
    as_number,
    as_numbers,
    set_fields,
)
from theory.kinds import FixedFraction, Selection
from theory.quadrature import Bend
from theory.score import Rule, ScoreLaw

Array = NDArray[np.float64]

START_ROUNDING = 1e-12
"""By so much a band may start too late, as 1 - 0.9 is not 0.1."""

BLOCK = 2**16
"""Scores that are looked at at a time where memory matters."""


@dataclass(frozen=True)
class RandomSelection(FixedFraction):
    """pi(t) = fraction, whatever the score.

    ``fraction`` lies in (0, 1]. Raises ValueError otherwise.

    >>> RandomSelection(fraction=0.25).inclusion_probabilities(np.zeros(3))
    array([0.25, 0.25, 0.25])
    """

    fraction: float
    reweight: bool = False

    def law_rule(self, law: ScoreLaw) -> Rule:
        return Rule(lambda t: np.full_like(t, self.fraction))

    def inclusion_probabilities(self, scores: Array) -> Array:
        return np.full(scores.shape, self.fraction)


@dataclass(frozen=True)
class PowerSelection(FixedFraction):
    """pi(t) = min(c [p (1 - p)]^alpha, 1), p = 1/(1 + exp(-t)); eq. 6.1 of the paper.

    alpha: any finite number; > 0 prefers hard (uncertain) samples, < 0 easy ones, 0 is random.
    fraction: E pi(t), in (0, 1]; fixes c.
    reweight: weight 1/pi (unbiased) instead of 1 for a selected sample.
    score_clip: scores are clipped to [-score_clip, score_clip] first (the paper's simulations use
        10); a number > 0, or inf for no clipping.
    Raises ValueError on values outside these ranges.

    >>> scores = np.array([-4.0, -1.0, 0.0, 1.0, 4.0])
    >>> pi = PowerSelection(alpha=1.0, fraction=0.4).inclusion_probabilities(scores)
    >>> round(float(pi.mean()), 12), bool(pi[2] > pi[1] > pi[0])
    (0.4, True)
    """

    alpha: float
    fraction: float
    reweight: bool = False
    score_clip: float = 10.0

    def __post_init__(self) -> None:
        super().__post_init__()
        allowed = "a number > 0, or inf for no clipping"
        clip = math.inf
        if self.score_clip != math.inf:
            clip = as_number("selection.score_clip", self.score_clip, allowed)
        if clip <= 0:
            raise InvalidFieldError("selection.score_clip", self.score_clip, allowed)
        set_fields(self, alpha=as_number("selection.alpha", self.alpha), score_clip=clip)

    def _log_preference(self, t: Array) -> Array:
        """alpha log(p (1 - p)) at the clipped score."""
        size = np.minimum(np.abs(t), self.score_clip)
        return np.asarray(-self.alpha * (size + 2 * np.log1p(np.exp(-size))))

    def _saturation(self, log_c: float) -> float:
        """|t| at which c [p (1 - p)]^alpha = 1; 0 if there is none."""
        # p (1 - p) = 1 / (4 cosh(t / 2)^2) = c^(-1 / alpha)
        cosh = 0.5 * math.exp(min(log_c / (2 * self.alpha), 700.0))
        return 2 * math.acosh(cosh) if cosh > 1 else 0.0

    def _bends(self, saturation: float) -> list[Bend]:
        """log(p (1 - p)) has poles at +-i pi; pi falls steeply from where it is saturated."""
        rate = abs(self.alpha) * math.tanh(saturation / 2)
        steep = [(side * saturation, 6 / rate) for side in (-1, 1)] if rate > 2 else []
        return [(0.0, math.pi), *steep]

    def law_rule(self, law: ScoreLaw) -> Rule:
        if self.alpha == 0 or self.fraction == 1:
            return Rule(lambda t: np.full_like(t, self.fraction))
        clip_kinks = [self.score_clip, -self.score_clip] if self.score_clip < law.largest else []

        def rule(log_c: float) -> Rule:
            saturation = self._saturation(log_c)
            return Rule(
                lambda t: np.exp(np.minimum(log_c + self._log_preference(t), 0.0)),
                (*clip_kinks, saturation, -saturation),
                tuple(self._bends(saturation)),
            )

        def excess(log_c: float) -> float:
            return rule(log_c).expected(law) - self.fraction

        extremes = self._log_preference(np.array([0.0, law.largest]))
        lowest = math.log(self.fraction) - float(extremes.max()) - 1e-9
        highest = -float(extremes.min())
        return rule(float(brentq(excess, lowest, highest, xtol=1e-14, rtol=1e-14)))

    def inclusion_probabilities(self, scores: Array) -> Array:
        return capped_probabilities(self._log_preference(scores), self.fraction)


def capped_probabilities(log_sizes: Array, fraction: float) -> Array:
    """min(c exp(log_sizes_i), 1) with mean ``fraction``, shape [N].

    With the k largest at probability 1, c = (fraction N - k) / (sum of the others); k is the
    smallest number for which no other probability exceeds 1. In logarithms: the smallest sizes may
    be far below the largest.

    >>> capped_probabilities(np.log([1.0, 1.0, 6.0]), fraction=0.5)
    array([0.25, 0.25, 1.  ])
    """
    size = log_sizes.size
    descending = np.sort(log_sizes)[::-1]
    tails = np.logaddexp.accumulate(descending[::-1])[::-1]
    for first in range(0, size, BLOCK):  # little memory, for the largest pools
        block = slice(first, min(first + BLOCK, size))
        left = fraction * size - np.arange(block.start, block.stop)
        log_left = np.log(left, out=np.full(left.size, -np.inf), where=left > 0)
        fits = log_left + descending[block] <= tails[block]
        if fits.any():
            k = int(np.argmax(fits))
            shift = log_left[k] - tails[first + k]
            del descending, tails
            log_probabilities = shift + log_sizes
            np.minimum(log_probabilities, 0.0, out=log_probabilities)
            return np.asarray(np.exp(log_probabilities, out=log_probabilities))
    return np.ones(log_sizes.shape)


@dataclass(frozen=True)
class TopSelection(FixedFraction):
    """Keep a fraction of the samples outright: the hardest, |t| <= tau, or the easiest, |t| >= tau.

    keep: "hard" or "easy"; fraction in (0, 1]. Scores are not clipped. In a simulation exactly
    round(fraction N) samples (at least one) are kept. Raises ValueError on other values.

    >>> TopSelection(keep="hard", fraction=0.5).inclusion_probabilities(np.array([3., -1., 0., 2.]))
    array([0., 1., 1., 0.])
    """

    keep: str
    fraction: float
    reweight: ClassVar[bool] = False  # selected samples have pi = 1

    def __post_init__(self) -> None:
        if self.keep not in ("hard", "easy"):
            raise InvalidFieldError("selection.keep", self.keep, "'hard' or 'easy'")
        super().__post_init__()

    def law_rule(self, law: ScoreLaw) -> Rule:
        if self.fraction == 1:
            return Rule(np.ones_like)
        within = self.fraction if self.keep == "hard" else 1 - self.fraction
        tau = brentq(
            lambda bound: law.probability_within(bound) - within, 0.0, law.largest, xtol=1e-15
        )
        kinks = (-tau, tau)
        if self.keep == "hard":
            return Rule(lambda t: (np.abs(t) <= tau).astype(np.float64), kinks)
        return Rule(lambda t: (np.abs(t) >= tau).astype(np.float64), kinks)

    def inclusion_probabilities(self, scores: Array) -> Array:
        kept = max(1, round(self.fraction * scores.size))
        order = np.argsort(np.abs(scores), kind="stable")
        chosen = order[:kept] if self.keep == "hard" else order[scores.size - kept :]
        probabilities = np.zeros(scores.shape)
        probabilities[chosen] = 1.0
        return probabilities


@dataclass(frozen=True)
class BandSelection(Selection):
    """Keep the samples with lower <= |t| <= upper outright; the fraction follows from the scores.

    0 <= lower < upper, where upper may be inf. Scores are not clipped. Raises ValueError otherwise.

    >>> BandSelection(lower=1.0, upper=2.0).inclusion_probabilities(np.array([3., -1.5, 0., 2.]))
    array([0., 1., 0., 1.])
    """

    lower: float
    upper: float
    reweight: ClassVar[bool] = False  # selected samples have pi = 1

    def __post_init__(self) -> None:
        lower = as_non_negative("selection.lower", self.lower)
        allowed = "a number above selection.lower, or inf"
        upper = math.inf
        if self.upper != math.inf:
            upper = as_number("selection.upper", self.upper, allowed)
        if upper <= lower:
            raise InvalidFieldError("selection.upper", self.upper, allowed)
        set_fields(self, lower=lower, upper=upper)

    @property
    def kinks(self) -> tuple[float, ...]:
        ends = [k for k in (self.lower, self.upper) if 0 < k < math.inf]
        return (*ends, *(-k for k in ends))

    def inclusion_probabilities(self, scores: Array) -> Array:
        size = np.abs(scores)
        return ((size >= self.lower) & (size <= self.upper)).astype(np.float64)


@dataclass(frozen=True)
class QuantileBandSelection(FixedFraction):
    """Keep the samples whose |t| has a quantile between ``start`` and ``start + fraction``.

    fraction in (0, 1]; start in [0, 1 - fraction]: 0 keeps the hardest samples, 1 - fraction the
    easiest. Scores are not clipped. In a simulation exactly round(fraction N) samples (at least
    one) are kept. Raises ValueError on other values.

    >>> band = QuantileBandSelection(start=0.25, fraction=0.5)
    >>> band.inclusion_probabilities(np.array([3.0, -1.0, 0.0, 2.0]))
    array([0., 1., 0., 1.])
    """

    start: float
    fraction: float
    reweight: ClassVar[bool] = False  # selected samples have pi = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        start, most = as_non_negative("selection.start", self.start), 1 - self.fraction
        if start > most + START_ROUNDING:
            allowed = f"a number from 0 to 1 - fraction = {most:g}"
            raise InvalidFieldError("selection.start", self.start, allowed)
        set_fields(self, start=min(start, most))

    def law_rule(self, law: ScoreLaw) -> Rule:
        if self.fraction == 1:
            return Rule(np.ones_like)
        lower, upper = _quantile(law, self.start), _quantile(law, self.start + self.fraction)
        kinks = tuple(k for k in (-upper, -lower, lower, upper) if 0 < abs(k) < math.inf)
        return Rule(
            lambda t: ((np.abs(t) >= lower) & (np.abs(t) <= upper)).astype(np.float64), kinks
        )

    def inclusion_probabilities(self, scores: Array) -> Array:
        kept = max(1, round(self.fraction * scores.size))
        first = min(round(self.start * scores.size), scores.size - kept)
        probabilities = np.zeros(scores.shape)
        probabilities[np.argsort(np.abs(scores), kind="stable")[first : first + kept]] = 1.0
        return probabilities


def _quantile(law: ScoreLaw, probability: float) -> float:
    """The bound with P(|t| <= bound) as given; 0 and inf at the ends."""
    if probability <= 0:
        return 0.0
    if probability >= law.probability_within(law.largest):
        return math.inf
    bound = brentq(lambda b: law.probability_within(b) - probability, 0, law.largest, xtol=1e-15)
    return float(bound)


@dataclass(frozen=True)
class TabulatedSelection(Selection):
    """pi(t), and S(t) if asked, linear between given nodes, constant beyond; the fraction follows.

    scores: two or more strictly increasing finite numbers. probabilities: one for each, in [0, 1],
    not all zero. A jump is two nodes close together. sample_weights: S(t), one for each score,
    finite and > 0, in the place of 1 (or 1/pi). Raises ValueError otherwise.

    >>> rule = TabulatedSelection(scores=(0.0, 1.0), probabilities=(0.2, 1.0))
    >>> [round(float(pi), 12) for pi in rule.inclusion_probabilities(np.array([-3.0, 0.5, 4.0]))]
    [0.2, 0.6, 1.0]
    """

    scores: tuple[float, ...]
    probabilities: tuple[float, ...]
    reweight: bool = False
    sample_weights: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        scores = as_numbers("selection.scores", self.scores)
        probabilities = as_numbers("selection.probabilities", self.probabilities)
        if len(scores) < 2 or any(b <= a for a, b in pairwise(scores)):
            raise InvalidFieldError(
                "selection.scores", self.scores, "two or more strictly increasing numbers"
            )
        if len(probabilities) != len(scores):
            raise InvalidFieldError(
                "selection.probabilities", self.probabilities, f"{len(scores)} numbers"
            )
        for k, probability in enumerate(probabilities):
            if not 0 <= probability <= 1:
                raise InvalidFieldError(
                    f"selection.probabilities[{k}]", probability, "a probability in [0, 1]"
                )
        if max(probabilities) == 0:
            raise InvalidFieldError(
                "selection.probabilities", self.probabilities, "positive somewhere"
            )
        set_fields(
            self,
            scores=scores,
            probabilities=probabilities,
            reweight=as_bool("selection.reweight", self.reweight),
        )
        if self.sample_weights is not None:
            set_fields(self, sample_weights=self._checked_weights(self.sample_weights))

    def _checked_weights(self, given: tuple[float, ...]) -> tuple[float, ...]:
        name = "selection.sample_weights"
        weights = as_numbers(name, given)
        if len(weights) != len(self.scores):
            raise InvalidFieldError(name, given, f"{len(self.scores)} numbers")
        for k, weight in enumerate(weights):
            if not weight > 0:
                raise InvalidFieldError(f"{name}[{k}]", weight, "a finite number > 0")
        if self.reweight:
            raise InvalidFieldError("selection.reweight", True, "False beside sample_weights")
        return tuple(weights)

    @property
    def weighs(self) -> bool:
        return self.reweight or self.sample_weights is not None

    def weights(self, scores: Array, probabilities: Array) -> Array:
        if self.sample_weights is None:
            return super().weights(scores, probabilities)
        return np.interp(scores, self.scores, self.sample_weights)

    @property
    def kinks(self) -> tuple[float, ...]:
        return self.scores

    def inclusion_probabilities(self, scores: Array) -> Array:
        return np.interp(scores, self.scores, self.probabilities)
