"""The score t that a surrogate gives to a sample: its coefficients, its law, the rule under it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from theory.checks import InvalidFieldError
from theory.quadrature import NORMAL_RANGE, Bend, graded_edges, marked_normal_rule

if TYPE_CHECKING:
    from theory.kinds import DataModel, Selection

Array = NDArray[np.float64]

CHECKED_SCORES = 257
"""Scores at which a fitted rule must give probabilities."""


class Score(NamedTuple):
    """Coefficients of a linear score t = beta_0 h + beta_s G_s + intercept; beta_s >= 0."""

    beta_0: float
    beta_s: float = 0.0
    intercept: float = 0.0


@dataclass(frozen=True)
class ScoreLaw:
    """Law of the score: a mixture of normals with common standard deviation.

    >>> law = ScoreLaw(means=(0.0,), weights=(1.0,), deviation=2.0)
    >>> round(law.expect(lambda t: t**2), 12)
    4.0
    """

    means: tuple[float, ...]
    weights: tuple[float, ...]
    deviation: float

    @property
    def largest(self) -> float:
        """A bound on |t| that the law exceeds with negligible probability."""
        return max(abs(m) for m in self.means) + NORMAL_RANGE * self.deviation

    def expect(self, function: Callable[[Array], Array], kinks: Sequence[float] = ()) -> float:
        """E of function(t), where the function may jump or bend at ``kinks``."""
        t, weight = marked_normal_rule(self.means, self.weights, self.deviation, kinks, 16)
        return float(weight @ function(t))

    def probability_below(self, bound: float) -> float:
        """P(t <= bound)."""
        means = np.asarray(self.means)
        return float(np.asarray(self.weights) @ ndtr((bound - means) / self.deviation))

    def probability_within(self, bound: float) -> float:
        """P(|t| <= bound)."""
        means = np.asarray(self.means)
        upper = ndtr((bound - means) / self.deviation)
        lower = ndtr((-bound - means) / self.deviation)
        return float(np.asarray(self.weights) @ (upper - lower))


@dataclass(frozen=True)
class Rule:
    """A selection scheme with its constant fixed: pi(t), the scores where it or its slope jumps,
    and those (with a width) where it bends smoothly."""

    probability: Callable[[Array], Array]
    kinks: tuple[float, ...] = ()
    bends: tuple[Bend, ...] = ()

    def outside(self, law: ScoreLaw) -> tuple[float, float] | None:
        """A score and its pi(t) that is no probability, or None where all looked at are."""
        grid = np.linspace(-law.largest, law.largest, CHECKED_SCORES)
        t = np.concatenate([grid, np.asarray(self.kinks, dtype=np.float64)])
        pi = np.broadcast_to(np.asarray(self.probability(t), dtype=np.float64), t.shape)
        wrong = np.flatnonzero(~((pi > -1e-12) & (pi < 1 + 1e-12)))
        return (float(t[wrong[0]]), float(pi[wrong[0]])) if wrong.size else None

    def expected(self, law: ScoreLaw) -> float:
        """E pi(t)."""
        return law.expect(self.probability, (*self.kinks, *graded_edges(self.bends)))


class EmptySelectionError(ValueError):
    """The rule keeps no sample of this data."""


def score_law(data: "DataModel", score: Score) -> ScoreLaw:
    """Law of the score t = beta_0 h + beta_s G_s + b_su."""
    return ScoreLaw(
        means=tuple(score.beta_0 * m + score.intercept for m in data.means),
        weights=data.weights,
        deviation=float(np.hypot(score.beta_0, score.beta_s)),
    )


@lru_cache(maxsize=4096)
def fitted_rule(data: "DataModel", score: Score, selection: "Selection") -> Rule:
    """The selection rule under the law of the score; raises as `checked_rule`."""
    return checked_rule(selection, score_law(data, score))


def checked_rule(selection: "Selection", law: ScoreLaw) -> Rule:
    """The selection rule under a law of the score.

    Raises EmptySelectionError if it keeps nothing, and ValueError if what it gives are no
    probabilities.
    """
    rule = selection.law_rule(law)
    outside = rule.outside(law)
    if outside is not None:
        allowed = f"a rule of probabilities in [0, 1]: at the score {outside[0]:.4g} it gives"
        raise InvalidFieldError("selection", selection, f"{allowed} {outside[1]:.4g}")
    if not rule.expected(law) > 1e-12:
        raise EmptySelectionError(f"{selection} keeps no sample of this data")
    return rule
