"""Surrogate models: the linear score t = beta_0 h + beta_s G_s + b_su given to every sample.

G_s ~ N(0, 1) is the coordinate of x along the part of the surrogate orthogonal to e_0.
"""

from dataclasses import dataclass
from typing import NamedTuple

from theory.data import DataModel


class Score(NamedTuple):
    """Coefficients of the score t = beta_0 h + beta_s G_s + intercept."""

    beta_0: float
    beta_s: float
    intercept: float


@dataclass(frozen=True)
class PerfectSurrogate:
    """The surrogate that knows the truth: its score is the true index, t = <theta_0, x>.

    >>> from theory.data import F1, SingleIndex
    >>> PerfectSurrogate().score(SingleIndex(F1, signal_norm=5.0))
    Score(beta_0=5.0, beta_s=0.0, intercept=0.0)
    """

    def score(self, data: DataModel) -> Score:
        return Score(beta_0=data.signal_norm, beta_s=0.0, intercept=0.0)


Surrogate = PerfectSurrogate
