"""Surrogate models: the linear score t = beta_0 h + beta_s G_s + b_su given to every sample.

G_s ~ N(0, 1) is the coordinate of x along e_s, the direction of the surrogate's error: the part of
the surrogate orthogonal to e_0.
"""

import dataclasses
from dataclasses import dataclass

from theory.checks import (
    InvalidFieldError,
    as_bool,
    as_non_negative,
    as_number,
    as_positive,
    set_fields,
)
from theory.kinds import DataModel, Training, as_kind
from theory.losses import LogisticLoss, Loss
from theory.score import Score


@dataclass(frozen=True)
class PerfectSurrogate:
    """The surrogate that knows the truth: its score is the true logit or index, linear in h.

    Data whose true logit is not linear in h (clusters) have no perfect surrogate.
    """

    def source(self, data: DataModel) -> Score:
        if data.true_score is None:
            raise InvalidFieldError(
                "surrogate",
                self,
                "GivenSurrogate or TrainedSurrogate where the true logit is not linear",
            )
        return data.true_score


@dataclass(frozen=True)
class GivenSurrogate:
    """A surrogate with known coefficients: t = beta_0 h + beta_s G_s + intercept.

    beta_0, intercept: finite numbers; beta_s: a number >= 0; beta_0 and beta_s not both zero.
    Raises ValueError on other values.

    >>> GivenSurrogate(beta_0=2.75, beta_s=0.95)
    GivenSurrogate(beta_0=2.75, beta_s=0.95, intercept=0.0)
    """

    beta_0: float
    beta_s: float = 0.0
    intercept: float = 0.0

    def __post_init__(self) -> None:
        set_fields(
            self,
            beta_0=as_number("surrogate.beta_0", self.beta_0),
            beta_s=as_non_negative("surrogate.beta_s", self.beta_s),
            intercept=as_number("surrogate.intercept", self.intercept),
        )
        if self.beta_0 == 0 and self.beta_s == 0:
            raise InvalidFieldError(
                "surrogate.beta_0", self.beta_0, "non-zero where beta_s = 0: the score is constant"
            )

    def source(self, data: DataModel) -> Score:
        del data
        return Score(self.beta_0, self.beta_s, self.intercept)


@dataclass(frozen=True)
class TrainedSurrogate:
    """A linear classifier trained on its own labelled samples, independent of the pool.

    samples_per_dimension: N_su/p > 0. ridge: lambda_su >= 0, relative to the mean loss.
    fit_intercept: whether it has an intercept.
    data: the law of its samples; None for that of the pool. Another law may differ in anything but
        the direction e_0.
    loss: its own training loss, logistic by default, whatever that of the final fit.
    reuse: the weight w, a finite number >= 0, of each of its samples in the final fit, which then
        minimises (1/N) [w sum_su loss + sum_i S_i loss] + (ridge/2) |theta|^2 with
        N = N_su + (size of the pool). With 0, the default, the final fit does not see them, and N
        is the size of the pool.
    Its coefficients (beta_0, beta_s) are (alpha_0, alpha_perp) of the same theory, with every
    sample kept; a simulation really fits it. Raises ValueError on other values.

    >>> TrainedSurrogate(samples_per_dimension=8, ridge=0.01, reuse=1).reuse
    1.0
    """

    samples_per_dimension: float
    ridge: float
    fit_intercept: bool = False
    data: DataModel | None = None
    loss: Loss = dataclasses.field(default_factory=LogisticLoss)
    reuse: float = 0.0

    def __post_init__(self) -> None:
        if self.data is not None:
            as_kind("surrogate.data", self.data, DataModel, "SingleIndex, GaussianMixture")
        as_kind("surrogate.loss", self.loss, Loss, "LogisticLoss")
        set_fields(
            self,
            samples_per_dimension=as_positive(
                "surrogate.samples_per_dimension", self.samples_per_dimension
            ),
            ridge=as_non_negative("surrogate.ridge", self.ridge),
            fit_intercept=as_bool("surrogate.fit_intercept", self.fit_intercept),
            reuse=as_non_negative("surrogate.reuse", self.reuse),
        )

    def source(self, data: DataModel) -> Training:
        return Training(
            data=data if self.data is None else self.data,
            ridge=self.ridge,
            samples_per_dimension=self.samples_per_dimension,
            loss=self.loss,
            fit_intercept=self.fit_intercept,
            reuse=self.reuse,
        )
