"""Data models: the law of the informative coordinate h and the label probability f(h).

Features are x = h e_0 + (standard normal directions orthogonal to e_0, independent of (h, y)).
The law of h is a finite mixture of unit-variance normals; labels y in {-1, +1} follow
P(y = +1 | x) = f(h). The asymptotic theory needs nothing else of a data model (see `theory.kinds`).
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit, ndtr, softmax

from theory.checks import InvalidFieldError, as_number, as_numbers, as_positive, set_fields
from theory.kinds import Link, ShiftedLink, SmoothableLink, as_kind
from theory.labels import LabelCurve, Steps
from theory.score import Score

Array = NDArray[np.float64]


@lru_cache(maxsize=1)
def _logistic_scales() -> tuple[Array, Array]:
    """Weights and widths of probit steps whose sum is the logistic function to 2e-15.

    A logistic variable is a normal one times twice a Kolmogorov variable (Stefanski 1991); the
    integral over the latter, in its logarithm, is a trapezoid sum.
    """
    k = np.exp(np.linspace(math.log(0.17), math.log(4.5), 28))
    j = np.arange(1, 12)
    x = k[:, None]
    a = (2 * j - 1) ** 2 * np.pi**2 / 8
    small = math.sqrt(2 * np.pi) * (np.exp(-a / x**2) * (2 * a / x**4 - 1 / x**2)).sum(1)
    large = (8 * x * (-1.0) ** (j + 1) * j**2 * np.exp(-2 * j**2 * x**2)).sum(1)
    weights = np.where(k < 1, small, large) * k
    weights /= weights.sum()
    kept = weights > 1e-16
    return weights[kept], 2 * k[kept]


@dataclass(frozen=True)
class LogisticLink:
    """P(y = +1 | u) = 1 / (1 + exp(-u - intercept)), for any finite intercept.

    >>> float(LogisticLink().probability(np.array(0.0)))
    0.5
    """

    intercept: float = 0.0

    def __post_init__(self) -> None:
        set_fields(self, intercept=as_number("link.intercept", self.intercept))

    @property
    def jumps(self) -> tuple[float, ...]:
        return ()

    def probability(self, index: Array) -> Array:
        return np.asarray(expit(index + self.intercept), dtype=np.float64)

    def steps(self) -> Steps:
        weights, widths = _logistic_scales()
        return Steps(0.0, tuple(weights), (-self.intercept,) * len(weights), tuple(widths))


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

    def steps(self) -> Steps:
        return Steps(0.0, (1.0,), (0.0,), (1.0,))


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
        set_fields(self, thresholds=thresholds, levels=levels)

    @property
    def jumps(self) -> tuple[float, ...]:
        return self.thresholds

    def probability(self, index: Array) -> Array:
        position = np.searchsorted(np.asarray(self.thresholds), index, side="right")
        return np.asarray(self.levels)[position]

    def steps(self) -> Steps:
        heights = tuple(b - a for a, b in pairwise(self.levels))
        return Steps(self.levels[0], heights, self.thresholds, (0.0,) * len(heights))


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
        as_kind("data.link", self.link, Link, "LogisticLink, ProbitLink, StepLink")
        set_fields(self, signal_norm=as_positive("data.signal_norm", self.signal_norm))

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

    @property
    def label_curves(self) -> tuple[LabelCurve, ...]:
        """P(y = +1 | h) for the only component of h."""
        return (_index_curve(self),)

    @property
    def true_score(self) -> Score:
        """The true index s h, with the link's own intercept where it has one."""
        offset = self.link.intercept if isinstance(self.link, ShiftedLink) else 0.0
        return Score(self.signal_norm, 0.0, offset)

    def label_probability(self, h: Array) -> Array:
        """f(h) = P(y = +1 | h), elementwise, in [0, 1]."""
        return self.link.probability(self.signal_norm * np.asarray(h, dtype=np.float64))


@lru_cache(maxsize=256)
def _index_curve(data: SingleIndex) -> LabelCurve:
    """f as a function of h, in steps where the link has them."""
    s = data.signal_norm
    if not isinstance(data.link, SmoothableLink):
        jumps = data.jumps
        return LabelCurve(data.label_probability, jumps, (0.0,) * len(jumps), None)
    base, heights, centres, widths = data.link.steps()
    steps = Steps(base, heights, tuple(c / s for c in centres), tuple(w / s for w in widths))
    middle = sorted(widths)[len(widths) // 2]
    bends = tuple(sorted(set(steps.centres)))
    return LabelCurve(data.label_probability, bends, (middle / s,) * len(bends), steps)


@dataclass(frozen=True)
class GaussianMixture:
    """Two Gaussian classes: x ~ N(+r e_0, I) for y = +1 and N(-r e_0, I) for y = -1.

    mean_norm: r > 0, half the distance of the class means in units of their standard deviation.
    positive_fraction: rho = P(y = +1) before label noise, in (0, 1).
    label_noise: probability eta in [0, 0.5] that a label is flipped, independently of x.
    Raises ValueError on values outside these ranges.

    >>> float(GaussianMixture(mean_norm=1.5).label_probability(np.array(0.0)))
    0.5
    """

    mean_norm: float
    positive_fraction: float = 0.5
    label_noise: float = 0.0

    def __post_init__(self) -> None:
        allowed = "a number in (0, 1)"
        rho = as_number("data.positive_fraction", self.positive_fraction, allowed)
        if not 0 < rho < 1:
            raise InvalidFieldError("data.positive_fraction", self.positive_fraction, allowed)
        set_fields(
            self,
            mean_norm=as_positive("data.mean_norm", self.mean_norm),
            positive_fraction=rho,
            label_noise=_as_label_noise(self.label_noise),
        )

    @property
    def means(self) -> tuple[float, ...]:
        """Means of the unit-variance normal components of h."""
        return (self.mean_norm, -self.mean_norm)

    @property
    def weights(self) -> tuple[float, ...]:
        """Probabilities of the components of h."""
        return (self.positive_fraction, 1 - self.positive_fraction)

    @property
    def jumps(self) -> tuple[float, ...]:
        return ()

    @property
    def label_curves(self) -> tuple[LabelCurve, ...]:
        """P(y = +1 | class): constant within a class."""
        return (LabelCurve.constant(1 - self.label_noise), LabelCurve.constant(self.label_noise))

    @property
    def true_score(self) -> Score:
        """The logit of the noiseless label: 2 r h + log(rho / (1 - rho))."""
        return Score(2 * self.mean_norm, 0.0, float(logit(self.positive_fraction)))

    def label_probability(self, h: Array) -> Array:
        """f(h) = P(y = +1 | h), elementwise: Bayes' rule, then label noise."""
        score = self.true_score
        return _with_noise(expit(score.beta_0 * np.asarray(h) + score.intercept), self.label_noise)


@dataclass(frozen=True)
class GaussianClusters:
    """Several unit-variance clusters along e_0, each with its own share of positive labels.

    centres: positions along e_0 (at least one, in standard deviations).
    weights: probabilities of the clusters, > 0, summing to 1.
    positive_fractions: P(y = +1 | cluster), in [0, 1]. With alternating labels along e_0 no linear
        classifier is well specified.
    label_noise: as in a GaussianMixture.
    Raises ValueError on values outside these ranges.

    >>> data = GaussianClusters((-3.0, 0.0, 3.0), (0.25, 0.5, 0.25), (1.0, 0.0, 1.0))
    >>> [round(float(f), 2) for f in data.label_probability(np.array([-3.0, 0.0, 3.0]))]
    [0.98, 0.01, 0.98]
    """

    centres: tuple[float, ...]
    weights: tuple[float, ...]
    positive_fractions: tuple[float, ...]
    label_noise: float = 0.0

    def __post_init__(self) -> None:
        centres = as_numbers("data.centres", self.centres)
        weights = as_numbers("data.weights", self.weights)
        positive = as_numbers("data.positive_fractions", self.positive_fractions)
        if not centres:
            raise InvalidFieldError("data.centres", self.centres, "one or more numbers")
        for name, values in (("weights", weights), ("positive_fractions", positive)):
            if len(values) != len(centres):
                raise InvalidFieldError(f"data.{name}", values, f"{len(centres)} numbers")
        if min(weights) <= 0 or abs(sum(weights) - 1) > 1e-9:
            raise InvalidFieldError("data.weights", weights, "positive numbers that sum to 1")
        if min(positive) < 0 or max(positive) > 1:
            raise InvalidFieldError("data.positive_fractions", positive, "probabilities in [0, 1]")
        set_fields(
            self,
            centres=centres,
            weights=weights,
            positive_fractions=positive,
            label_noise=_as_label_noise(self.label_noise),
        )

    @property
    def means(self) -> tuple[float, ...]:
        """Means of the unit-variance normal components of h."""
        return self.centres

    @property
    def jumps(self) -> tuple[float, ...]:
        return ()

    @property
    def label_curves(self) -> tuple[LabelCurve, ...]:
        """P(y = +1 | cluster): constant within a cluster."""
        return tuple(
            LabelCurve.constant(float(_with_noise(p, self.label_noise)))
            for p in self.positive_fractions
        )

    @property
    def true_score(self) -> None:
        """The true logit is not linear in h: there is no perfect linear surrogate."""
        return

    def label_probability(self, h: Array) -> Array:
        """f(h) = P(y = +1 | h), elementwise: Bayes' rule over clusters, then label noise."""
        log_density = -((np.asarray(h)[..., None] - np.asarray(self.centres)) ** 2) / 2
        posterior = softmax(log_density + np.log(self.weights), axis=-1)
        return _with_noise(posterior @ np.asarray(self.positive_fractions), self.label_noise)


def _as_label_noise(value: float) -> float:
    allowed = "a probability in [0, 0.5]"
    noise = as_number("data.label_noise", value, allowed)
    if not 0 <= noise <= 0.5:
        raise InvalidFieldError("data.label_noise", value, allowed)
    return noise


def _with_noise(probability: Any, noise: float) -> Array:
    return np.asarray((1 - noise) * probability + noise * (1 - probability), dtype=np.float64)
