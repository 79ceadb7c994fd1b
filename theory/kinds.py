"""What a problem is made of. A new kind of any of these, in anybody's module, is accepted alike.

=============  ==================================================================================
Link           label probability as a function of the index u
DataModel      the law of h, and the label probability given h
Surrogate      what scores come from: known coefficients, or a training
Selection      from scores to probabilities of being selected; a base class
FixedFraction  the same for selections that keep a stated fraction; a base class
Loss           the training loss, with its proximal map; a base class (`theory.losses`)
=============  ==================================================================================

Link, DataModel and Surrogate are protocols: any class with their members will do. Instances must be
hashable, equal where their fields are, and have a telling repr, as frozen dataclasses do; workers
must be able to import their class. `simulate.check_kind` tests all this, and docs/own-kinds.md has
an example of each.

What they exchange: `Score`, the coefficients of a score; `ScoreLaw`, its law; `Rule`, a selection
with its constant fixed; `LabelCurve`, a label probability with the places where it bends; `Steps`,
the same as a sum of probit steps; `Training`, what a surrogate is trained on.
"""

from abc import ABC, abstractmethod
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from theory.checks import (
    InvalidFieldError,
    as_bool,
    as_fraction,
    as_non_negative,
    as_positive,
    set_fields,
)
from theory.labels import LabelCurve, Steps
from theory.losses import LogisticLoss, Loss
from theory.score import Rule, Score, ScoreLaw

Array = NDArray[np.float64]


@runtime_checkable
class Link(Hashable, Protocol):
    """Label probability as a function of the index u = <theta_0, x> = s h."""

    @property
    def jumps(self) -> tuple[float, ...]:
        """Values of u where the label probability jumps or has a corner."""
        ...

    def probability(self, index: Array) -> Array:
        """P(y = +1 | u), elementwise."""
        ...


@runtime_checkable
class SmoothableLink(Link, Protocol):
    """A link that is a sum of probit steps: its average over a Gaussian has a closed form.

    Any other is averaged numerically, which resolves what it does over a width of about 1.
    """

    def steps(self) -> Steps:
        """The steps, as a function of the index u."""
        ...


@runtime_checkable
class ShiftedLink(Link, Protocol):
    """A link that adds an intercept of its own to the index; a perfect surrogate knows it."""

    @property
    def intercept(self) -> float:
        """What is added to u."""
        ...


@runtime_checkable
class DataModel(Hashable, Protocol):
    """The law of (h, y); directions orthogonal to e_0 are standard normal and independent of it."""

    @property
    def means(self) -> tuple[float, ...]:
        """Means of the unit-variance normal components of h."""
        ...

    @property
    def weights(self) -> tuple[float, ...]:
        """Probabilities of the components of h, > 0, summing to 1."""
        ...

    @property
    def label_curves(self) -> tuple[LabelCurve, ...]:
        """P(y = +1 | h, component) for every component."""
        ...

    @property
    def true_score(self) -> Score | None:
        """What a perfect surrogate scores by; None if the true logit is not linear in h."""
        ...

    def label_probability(self, h: Array) -> Array:
        """f(h) = P(y = +1 | h) over all components, elementwise."""
        ...


@runtime_checkable
class Surrogate(Hashable, Protocol):
    """Where the scores come from."""

    def source(self, data: DataModel) -> "Score | Training":
        """Known coefficients of the score for this data, or what yields them when it is solved
        (theory) or fitted (simulation). Raises ValueError if there is none for this data."""
        ...


class Weighing:
    """What weight selected samples have: 1, or 1/pi with ``reweight``."""

    if TYPE_CHECKING:

        @property
        def reweight(self) -> bool:
            """Whether a selected sample has weight 1/pi, not 1."""

    else:
        reweight = False

    @property
    def weighs(self) -> bool:
        """Whether selected samples may have weights other than 1."""
        return self.reweight

    def weights(self, scores: Array, probabilities: Array) -> Array:
        """S_i of samples if selected, shape [N]; 1 where they never are."""
        del scores
        ones = np.ones_like(probabilities)
        return inverse_where_positive(probabilities) if self.reweight else ones


class Selection(Weighing, ABC):
    """From the scores of a pool to the probability of every sample to be selected.

    A new selection whose probability is a fixed function of the score defines
    ``inclusion_probabilities`` and ``kinks``. One with a constant that depends on the law of the
    score defines ``law_rule``, which fits it in the theory, in place of the default.
    With ``reweight`` (a field, or an attribute of the class; False unless said otherwise) a
    selected sample counts with weight 1/pi instead of 1.

    has_theory: whether the score alone decides, independently for each sample in the limit. If not,
        a problem can be simulated, and `predict` refuses it.
    """

    has_theory: ClassVar[bool] = True

    @abstractmethod
    def inclusion_probabilities(self, scores: Array) -> Array:
        """pi(t_i), with its constant (if any) fitted to the realised scores, shape [N]."""

    @property
    @abstractmethod
    def kinks(self) -> tuple[float, ...]:
        """Scores at which pi or its slope jumps: edges of the quadrature."""

    def law_rule(self, law: ScoreLaw) -> Rule:
        """pi(t), with its constant (if any) fitted under the law of the score."""
        del law
        return Rule(self.inclusion_probabilities, self.kinks)


def inverse_where_positive(probabilities: Array) -> Array:
    """1/pi_i, or 1 where pi_i = 0, shape [N]."""
    ones = np.ones_like(probabilities)
    return np.divide(1.0, probabilities, out=ones, where=probabilities > 0)


class FixedFraction(Selection):
    """A selection that keeps a stated fraction of any pool: E pi(t) = ``fraction``, in (0, 1].

    Its constant depends on the law of the score, so that it defines ``law_rule``, whose rule names
    the kinks, and ``inclusion_probabilities``. The fraction, and ``reweight`` if it is a field,
    are checked on construction.
    """

    if TYPE_CHECKING:

        @property
        def fraction(self) -> float:
            """E pi(t)."""

    def __post_init__(self) -> None:
        set_fields(self, fraction=as_fraction("selection.fraction", self.fraction))
        if "reweight" in vars(self):
            set_fields(self, reweight=as_bool("selection.reweight", self.reweight))

    @property
    def kinks(self) -> tuple[float, ...]:
        """None that do not depend on the law: ``law_rule`` names them."""
        return ()

    @abstractmethod
    def law_rule(self, law: ScoreLaw) -> Rule:
        """pi(t), with its constant fitted under the law of the score."""


def as_kind(name: str, value: Any, kind: type[Any], such_as: str) -> Any:
    """Return ``value`` if it is an instance of a kind; else say what it lacks.

    such_as: examples, for the message. Raises ValueError, also for what cannot be hashed.
    """
    allowed = f"an instance of a {kind.__name__}, such as {such_as}"
    if isinstance(value, type):
        raise InvalidFieldError(name, value, f"{allowed}; this is a class")
    if issubclass(kind, ABC) and not isinstance(value, kind):
        raise InvalidFieldError(name, value, f"{allowed}, or of a class derived from it")
    lacks = [member for member in members(kind) if not hasattr(value, member)]
    if lacks:
        raise InvalidFieldError(name, value, f"{allowed}, or have {', '.join(lacks)}")
    try:
        hash(value)
    except TypeError:
        allowed = "hashable: a frozen dataclass is, if its fields are (tuples, no lists or arrays)"
        raise InvalidFieldError(name, value, allowed) from None
    return value


def members(kind: type[Any]) -> tuple[str, ...]:
    """Names that a kind asks for, those of its bases first."""
    own = [c for c in reversed(kind.__mro__) if c.__module__ == kind.__module__]
    return tuple(dict.fromkeys(n for c in own for n in vars(c) if not n.startswith("_")))


@dataclass(frozen=True)
class Training:
    """Training on labelled samples without selection, as of a surrogate: what is minimised is
    (1/N) sum_i loss(y_i (<theta, x_i> + b)) + (ridge/2) |theta|^2.

    data: the law of the samples, with the same e_0 as the pool. ridge: >= 0.
    samples_per_dimension: > 0. loss: logistic by default. fit_intercept: whether b is fitted.
    reuse: the weight, >= 0, that the same samples have in the final fit, beside the selected ones.
    Raises ValueError on other values.
    """

    data: DataModel
    ridge: float
    samples_per_dimension: float
    loss: Loss = field(default_factory=LogisticLoss)
    fit_intercept: bool = False
    reuse: float = 0.0

    def __post_init__(self) -> None:
        as_kind("training.data", self.data, DataModel, "SingleIndex")
        as_kind("training.loss", self.loss, Loss, "LogisticLoss")
        set_fields(
            self,
            ridge=as_non_negative("training.ridge", self.ridge),
            samples_per_dimension=as_positive(
                "training.samples_per_dimension", self.samples_per_dimension
            ),
            fit_intercept=as_bool("training.fit_intercept", self.fit_intercept),
            reuse=as_non_negative("training.reuse", self.reuse),
        )
