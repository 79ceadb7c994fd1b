"""What the explorer shows: the values of its controls, and the problems that these mean."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from figures.style import POWER_STYLES, TOP_STYLES, SchemeStyle
from theory import (
    F1,
    F2,
    DataModel,
    GaussianClusters,
    GaussianMixture,
    GivenSurrogate,
    HingeLoss,
    InvalidFieldError,
    Link,
    LogisticLink,
    LogisticLoss,
    Loss,
    PerfectSurrogate,
    PowerSelection,
    ProbitLink,
    Problem,
    RandomSelection,
    Selection,
    SingleIndex,
    SmoothedHingeLoss,
    SquaredLoss,
    Surrogate,
    TopSelection,
    TrainedSurrogate,
)

LINKS: dict[str, Link] = {"f1": F1, "f2": F2, "logistic": LogisticLink(), "probit": ProbitLink()}
"""Label models of a single index, by the names of the data control."""

DATA = (*LINKS, "mixture", "clusters")
LOSSES: dict[str, Loss] = {
    "logistic": LogisticLoss(),
    "squared": SquaredLoss(),
    "smoothed hinge": SmoothedHingeLoss(),
    "hinge": HingeLoss(),
}
SURROGATES = ("perfect", "given", "trained")
QUANTITIES = ("misclassification", "log_loss", "alpha_0", "alpha_s", "alpha_perp")

RANDOM, HARDEST, EASIEST, CHOSEN = "random", "hardest", "easiest", "chosen α"
FIXED_ALPHAS = {"α = −1": -1.0, "α = −0.5": -0.5, "α = 0.5": 0.5, "α = 1": 1.0}
SCHEMES = (RANDOM, *FIXED_ALPHAS, CHOSEN, HARDEST, EASIEST)
CHOSEN_STYLE = SchemeStyle("#8c564b", "P", "chosen α")

STYLES: dict[str, SchemeStyle] = {
    RANDOM: POWER_STYLES[0.0],
    **{name: POWER_STYLES[alpha] for name, alpha in FIXED_ALPHAS.items()},
    CHOSEN: CHOSEN_STYLE,
    HARDEST: TOP_STYLES["hard"],
    EASIEST: TOP_STYLES["easy"],
}

AXES: dict[str, tuple[float, ...]] = {
    "fraction": (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0),
    "ridge": tuple(float(f"{r:.3g}") for r in np.geomspace(1e-3, 1.0, 11)),
    "exponent": tuple(float(a) for a in np.round(np.linspace(-3.0, 3.0, 13), 4)),
    "samples_per_dimension": tuple(float(f"{d:.3g}") for d in np.geomspace(1.0, 60.0, 11)),
}
"""Values along the horizontal axis, by what it shows."""

FIELDS = {"fraction": "selection.fraction", "exponent": "selection.alpha"}
"""Dotted names of axes that are not fields of the problem itself."""


@dataclass(frozen=True)
class State:
    """The values of all controls.

    data: one of DATA. signal: norm of the signal; half the distance of the class means for
    mixtures, of neighbouring centres for clusters. surrogate: one of SURROGATES, with beta_0 and
    beta_s where given, surrogate_samples (per dimension) and surrogate_ridge where trained.
    schemes: of SCHEMES, drawn as lines. exponent: of "chosen α", and of the rule shown.
    shown: the scheme whose rule is shown. x: one of AXES. quantity: one of QUANTITIES.
    tuned: whether every point has its own best ridge. optimal: whether the best selection is a line
    too. Raises InvalidFieldError where a value is none of these.
    """

    data: str = "f1"
    signal: float = 5.0
    samples_per_dimension: float = 2.29
    surrogate: str = "perfect"
    beta_0: float = 2.75
    beta_s: float = 0.95
    surrogate_samples: float = 8.0
    surrogate_ridge: float = 0.01
    schemes: tuple[str, ...] = (RANDOM, "α = −1", "α = 0.5", "α = 1", HARDEST, EASIEST)
    shown: str = "α = 1"
    exponent: float = 2.0
    fraction: float = 0.5
    reweight: bool = False
    ridge: float = 0.01
    tuned: bool = False
    loss: str = "logistic"
    fit_intercept: bool = False
    x: str = "fraction"
    quantity: str = "misclassification"
    optimal: bool = False

    def __post_init__(self) -> None:
        choices = {
            "data": DATA,
            "surrogate": SURROGATES,
            "shown": SCHEMES,
            "loss": tuple(LOSSES),
            "x": tuple(AXES),
            "quantity": QUANTITIES,
        }
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise InvalidFieldError(name, getattr(self, name), f"one of {', '.join(allowed)}")
        for scheme in self.schemes:
            if scheme not in SCHEMES:
                raise InvalidFieldError("schemes", scheme, f"some of {', '.join(SCHEMES)}")

    @property
    def field(self) -> str:
        """The dotted name of what the horizontal axis varies."""
        return FIELDS.get(self.x, self.x)

    @property
    def values(self) -> tuple[float, ...]:
        """The horizontal axis."""
        return AXES[self.x]

    @property
    def lines(self) -> tuple[str, ...]:
        """The schemes that are drawn: only those with an exponent where this is the axis."""
        if self.x != "exponent":
            return self.schemes
        return (CHOSEN,)

    def selection(self, scheme: str) -> Selection:
        """The selection that a scheme's name means here."""
        if scheme == RANDOM:
            return RandomSelection(self.fraction, self.reweight)
        if scheme in (HARDEST, EASIEST):
            keep = "hard" if scheme == HARDEST else "easy"
            return TopSelection(keep, self.fraction)  # reweighted the same
        alpha = FIXED_ALPHAS.get(scheme, self.exponent)
        return PowerSelection(alpha, self.fraction, self.reweight)

    def problem(self, scheme: str) -> Problem:
        """The problem at the current setting. Raises InvalidFieldError where there is none."""
        return Problem(
            data=self._data(),
            selection=self.selection(scheme),
            ridge=self.ridge,
            samples_per_dimension=self.samples_per_dimension,
            surrogate=self._surrogate(),
            loss=LOSSES[self.loss],
            fit_intercept=self.fit_intercept,
        )

    def problems(self, scheme: str) -> list[Problem]:
        """The problem at every value of the horizontal axis."""
        problem = self.problem(scheme)
        return [problem.replace({self.field: value}) for value in self.values]

    def _data(self) -> DataModel:
        if self.data == "mixture":
            return GaussianMixture(mean_norm=self.signal)
        if self.data == "clusters":
            centres = (-2 * self.signal, 0.0, 2 * self.signal)
            return GaussianClusters(centres, (0.25, 0.5, 0.25), (0.9, 0.05, 0.95))
        return SingleIndex(LINKS[self.data], self.signal)

    def _surrogate(self) -> Surrogate:
        if self.surrogate == "given":
            return GivenSurrogate(self.beta_0, self.beta_s)
        if self.surrogate == "trained":
            return TrainedSurrogate(self.surrogate_samples, self.surrogate_ridge)
        return PerfectSurrogate()

    def query(self) -> dict[str, str]:
        """What differs from the defaults, as texts: the parameters of a link."""
        default = State()
        return {
            item.name: _text(getattr(self, item.name))
            for item in dataclasses.fields(self)
            if getattr(self, item.name) != getattr(default, item.name)
        }

    @staticmethod
    def from_query(query: Mapping[str, str | Sequence[str]]) -> "State":
        """The state of a link; what it does not name, or names wrongly, has its default.

        >>> State.from_query(State(data="mixture", ridge=0.1).query()).data
        'mixture'
        >>> State.from_query({"ridge": "much"}) == State()
        True
        """
        state = State()
        for item in dataclasses.fields(State):
            text = query.get(item.name)
            if isinstance(text, str):
                try:
                    value = _value(text, getattr(state, item.name))
                    state = dataclasses.replace(state, **{item.name: value})
                except ValueError:
                    continue
        return state


def _text(value: Any) -> str:
    return ",".join(value) if isinstance(value, tuple) else str(value)


def _value(text: str, like: Any) -> Any:
    """A text as a value of the kind of ``like``."""
    if isinstance(like, bool):
        return text == "True"
    if isinstance(like, tuple):
        return tuple(part for part in text.split(",") if part)
    if isinstance(like, float) and not np.isfinite(float(text)):
        raise ValueError(text)
    return type(like)(text)
