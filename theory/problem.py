"""The one description of a problem, read by the theory and by the simulation."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from theory.checks import (
    InvalidFieldError,
    as_bool,
    as_items,
    as_non_negative,
    as_positive,
    near_names,
    set_fields,
)
from theory.kinds import DataModel, Selection, Surrogate, Training, as_kind
from theory.losses import LogisticLoss, Loss
from theory.surrogate import PerfectSurrogate


@dataclass(frozen=True)
class Problem:
    """Data, surrogate, selection, loss, ridge and sample size of one learning task.

    The final model minimises (1/N) sum_i S_i loss(y_i (<theta, x_i> + b)) + (ridge/2) |theta|^2
    over theta (and the intercept b if ``fit_intercept``), with N the size of the *full pool*. Where
    it takes a trained surrogate's samples too, see `TrainedSurrogate`.

    Its parts may be of anybody's classes, if these are what `theory.kinds` asks for.

    data: the law of (x, y).
    surrogate: gives every sample its score.
    selection: turns scores into the subset and its weights S.
    ridge: lambda >= 0, in units of the loss averaged over the full pool.
    samples_per_dimension: delta = N/p > 0.
    loss: the training loss.
    fit_intercept: whether an unpenalised intercept is fitted.
    Raises ValueError, naming the field, the value and what is allowed.

    >>> from theory import SingleIndex, StepLink, PowerSelection, Problem
    >>> problem = Problem(
    ...     data=SingleIndex(StepLink((0.0,), (0.05, 0.95)), signal_norm=5.0),
    ...     selection=PowerSelection(alpha=0.5, fraction=0.5),
    ...     ridge=0.01,
    ...     samples_per_dimension=2.29,
    ... )
    >>> problem.replace({"selection.fraction": 0.25}).selection.fraction
    0.25
    """

    data: DataModel
    selection: Selection
    ridge: float
    samples_per_dimension: float
    surrogate: Surrogate = dataclasses.field(default_factory=PerfectSurrogate)
    loss: Loss = dataclasses.field(default_factory=LogisticLoss)
    fit_intercept: bool = False

    def __post_init__(self) -> None:
        as_kind("data", self.data, DataModel, "SingleIndex, GaussianMixture or GaussianClusters")
        as_kind("surrogate", self.surrogate, Surrogate, "PerfectSurrogate or TrainedSurrogate")
        as_kind("selection", self.selection, Selection, "RandomSelection or PowerSelection")
        as_kind("loss", self.loss, Loss, "LogisticLoss")
        self.surrogate.source(self.data)  # refuses data that it cannot score
        set_fields(
            self,
            ridge=as_non_negative("ridge", self.ridge),
            samples_per_dimension=as_positive("samples_per_dimension", self.samples_per_dimension),
            fit_intercept=as_bool("fit_intercept", self.fit_intercept),
        )

    @property
    def reuse(self) -> float:
        """The weight of a trained surrogate's own samples in the final fit; 0 without any."""
        source = self.surrogate.source(self.data)
        return source.reuse if isinstance(source, Training) else 0.0

    def replace(self, changes: Mapping[str, Any]) -> "Problem":
        """A copy with fields changed by dotted name, such as "ridge" or "selection.alpha"."""
        if not isinstance(changes, Mapping):
            raise InvalidFieldError("changes", changes, "values by dotted name")
        changed: Problem = _replace(self, changes)
        return changed


def as_problem(value: Any, name: str = "problem") -> Problem:
    """Return ``value`` if it is a Problem. Raises ValueError otherwise."""
    if not isinstance(value, Problem):
        raise InvalidFieldError(name, value, "a Problem")
    return value


def as_problems(values: Any) -> list[Problem]:
    """Return several Problems as a list. Raises ValueError for anything else."""
    several = as_items("problems", values, "a list of Problems")
    return [as_problem(value, f"problems[{k}]") for k, value in enumerate(several)]


def _replace(instance: Any, changes: Mapping[str, Any], path: str = "") -> Any:
    names = []
    if dataclasses.is_dataclass(instance):
        names = sorted(field.name for field in dataclasses.fields(instance))
    own: dict[str, Any] = {}
    nested: dict[str, dict[str, Any]] = {}
    for dotted, value in changes.items():
        name, _, rest = str(dotted).partition(".")
        if name not in names:
            allowed = near_names(name, names, path) if names else "a field's name"
            raise InvalidFieldError("field", f"{path}{dotted}", allowed)
        if rest:
            nested.setdefault(name, {})[rest] = value
        else:
            own[name] = value
    for name, inner in nested.items():
        own[name] = _replace(own.get(name, getattr(instance, name)), inner, f"{path}{name}.")
    return dataclasses.replace(instance, **own)
