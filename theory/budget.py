"""How to split a budget of labels between two rounds: learning what to ask, and asking it.

A share of the labels is bought at random from the pool and trains the surrogate; the others are
chosen among the rest of the pool by its scores. The final fit takes both (`theory.two_rounds`). If
one round, whichever, has all the labels, they are bought at random.
"""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.optimize import minimize

from theory.checks import InvalidFieldError, as_number, as_positive
from theory.kinds import FixedFraction
from theory.optimal.outcomes import as_objective
from theory.prediction import ConvergenceError, Prediction, predict_all
from theory.problem import Problem, as_problem
from theory.quantities import described
from theory.selection import RandomSelection
from theory.solver import Status
from theory.surrogate import GivenSurrogate, TrainedSurrogate
from theory.tuning import RANGES, Axis

Array = NDArray[np.float64]

SHARE = "share"

SHORT = {"exponent": "selection.alpha", "reuse": "surrogate.reuse"}
"""Names that stand for a dotted one."""

BOUNDS: dict[str, tuple[float, float]] = {
    SHARE: (0.05, 0.95),
    "ridge": RANGES["ridge"],
    "selection.alpha": RANGES["selection.alpha"],
    "surrogate.reuse": (0.25, 4.0),
    "surrogate.ridge": (1e-3, 10.0),
}
"""Bounds of what is searched without being given any."""

LOGARITHMIC = ("ridge", "surrogate.ridge", "surrogate.reuse")
"""Fields that are searched in logarithms."""

FROM_BUDGET = ("samples_per_dimension", "surrogate.samples_per_dimension", "selection.fraction")
"""Fields that the budget and the share set."""

SHARES, VALUES = 7, {1: 5, 2: 4}
"""Values in the scan: of the share, and of each other field by their number; 3 for more."""

NEAR = 1.01
"""Two valleys of the scan are searched if their errors are nearer than this factor."""

PARABOLAS, RESOLVED = 4, 5e-3
"""Most parabolas along an axis of one line of the scan, and a shift that is worth none."""

STEP, SCALE = 1e-4, 100.0
"""Step of differences, as a part of the bounds' range, and the factor on the error in a search."""


@dataclass(frozen=True)
class BudgetSplit:
    """The best split of a budget of labels, beside buying them all at random.

    problem, prediction: of the best split; prediction.first_stage is the surrogate by itself.
    share: of the labels that are bought at random first. labels_per_dimension: of both rounds.
    random_problem, random_prediction: all labels bought at random, in one round; with the ridge
        tuned as well where that of the split is.
    gain: how much lower the split's error is; where it is not positive, no split beats random.
    curve: over the share, the lowest error found and the fields that it takes.
    at_bounds: what stands at a bound of its search: the best may lie beyond.
    objective: which test error is meant.
    """

    problem: Problem
    prediction: Prediction
    share: float
    labels_per_dimension: float
    random_problem: Problem
    random_prediction: Prediction
    gain: float
    curve: xr.Dataset
    at_bounds: tuple[str, ...]
    objective: str

    @property
    def words(self) -> str:
        """What to do, in one sentence or two."""
        name = self.objective.replace("_", " ")
        best = getattr(self.prediction, self.objective)
        alone = getattr(self.random_prediction, self.objective)
        labels = self.labels_per_dimension
        tuned = "each with its best ridge" if "ridge" in self.curve else "at the same ridge"
        if self.gain <= 0:
            return (
                f"No split beats random: buy all {labels:g} labels per dimension at random"
                f" ({name} {alone:.4f}; the best split found, a share of {self.share:.2f} first,"
                f" reaches {best:.4f}; {tuned})."
            )
        again = self.problem.reuse
        second = "with these again" if again else "without these"
        weight = f" (at weight {again:.3g})" if again not in (0, 1) else ""
        text = (
            f"Buy {self.share:.0%} of the labels at random first ({self.share * labels:.3g} per"
            f" dimension), choose the other {(1 - self.share) * labels:.3g} by their scores, and"
            f" fit {second}{weight}: {name} {best:.4f}, against {alone:.4f} where all are bought"
            f" at random ({tuned})."
        )
        if self.at_bounds:
            text += f" At a bound of the search: {', '.join(self.at_bounds)}."
        return text


class _Budget(NamedTuple):
    """labels, pool: per dimension."""

    problem: Problem
    labels: float
    pool: float

    def split(self, share: float, changes: Mapping[str, Any]) -> Problem:
        """The problem with this share of the labels in the first round."""
        first = share * self.labels
        rest = self.pool - first
        return self.problem.replace(
            {
                "surrogate.samples_per_dimension": first,
                "samples_per_dimension": rest,
                "selection.fraction": min((self.labels - first) / rest, 1.0),
                **changes,
            }
        )

    def at_random(self) -> Problem:
        """All labels in one round, from the whole pool."""
        return self.problem.replace(
            {
                "surrogate": GivenSurrogate(1.0),  # whose scores nothing reads
                "samples_per_dimension": self.pool,
                "selection": RandomSelection(self.labels / self.pool),
            }
        )


def split_budget(
    problem: Problem,
    labels_per_dimension: float,
    pool_per_dimension: float,
    over: Sequence[str] = (SHARE, "ridge"),
    bounds: Mapping[str, tuple[float, float]] | None = None,
    objective: str = "misclassification",
) -> BudgetSplit:
    """The best split of a budget of labels between a random first round and a chosen second one.

    problem: its data, loss, ridge, selection (one that keeps a stated fraction) and trained
        surrogate, with the weight ``reuse`` that its samples have in the final fit. Sizes and
        fraction follow from the budget: a share s of L labels per dimension is bought at random
        from a pool of D, and (1 - s) L of the other D - s L are selected.
    labels_per_dimension: L > 0, of both rounds. pool_per_dimension: D >= L.
    over: "share" and what is tuned beside it: "ridge", "reuse", "exponent", or dotted names of real
        fields, such as "surrogate.ridge". Without "share", it is that of the problem's surrogate.
        The ridge of the random round is tuned if "ridge" is here.
    bounds: (low, high) by name; by default BOUNDS, and needed for other fields. The share lies
        strictly between 0 and 1.
    objective: "misclassification" or "log_loss".
    Raises InvalidFieldError on other values, and ConvergenceError where no split has a solution.
    Source: the equations of `theory.two_rounds`.

    >>> from theory import F1, LogisticLoss, SingleIndex, TopSelection
    >>> surrogate = TrainedSurrogate(samples_per_dimension=1, ridge=0.05, reuse=1)
    >>> problem = Problem(SingleIndex(F1, 5.0), TopSelection("hard", 0.1), 0.01, 10, surrogate)
    >>> split = split_budget(problem, 3, 10, over=["share"], bounds={"share": (0.4, 0.6)})
    >>> split.gain > 0.02, 0.4 < split.share < 0.6
    (True, True)
    """
    budget = _checked(problem, labels_per_dimension, pool_per_dimension)
    objective = as_objective(objective)
    axes = _axes(over, bounds or {})
    fixed = budget.problem.surrogate.samples_per_dimension / budget.labels  # type: ignore[attr-defined]
    if SHARE not in (axis.name for axis in axes) and not 0 < fixed < 1:
        name = "surrogate.samples_per_dimension"
        allowed = f"below labels_per_dimension = {budget.labels:g}: both rounds need labels"
        raise InvalidFieldError(name, fixed * budget.labels, allowed)

    def split(values: Mapping[str, float]) -> Problem:
        others = {name: value for name, value in values.items() if name != SHARE}
        return budget.split(values.get(SHARE, fixed), others)

    search = _Search(split, axes, objective)
    best = search.best()
    ridge = [axis for axis in axes if axis.name == "ridge"]
    alone = _Search(lambda values: budget.at_random().replace(values), ridge, objective).best()
    for found in (best, alone):
        if found.prediction.status is not Status.CONVERGED:
            raise ConvergenceError(found.problem, found.prediction)
    values = [getattr(found.prediction, objective) for found in (alone, best)]
    return BudgetSplit(
        problem=best.problem,
        prediction=best.prediction,
        share=best.values.get(SHARE, fixed),
        labels_per_dimension=budget.labels,
        random_problem=alone.problem,
        random_prediction=alone.prediction,
        gain=float(values[0] - values[1]),
        curve=_curve(search, axes, fixed, values[0]),
        at_bounds=best.at_bounds,
        objective=objective,
    )


def _checked(problem: Problem, labels: float, pool: float) -> _Budget:
    as_problem(problem)
    labels = as_positive("labels_per_dimension", labels)
    pool = as_positive("pool_per_dimension", pool)
    if labels > pool:
        allowed = f"at most pool_per_dimension = {pool:g}"
        raise InvalidFieldError("labels_per_dimension", labels, allowed)
    surrogate = problem.surrogate
    if not isinstance(surrogate, TrainedSurrogate):
        allowed = "a TrainedSurrogate, whose samples are part of the budget"
        raise InvalidFieldError("surrogate", surrogate, allowed)
    if surrogate.data not in (None, problem.data):
        allowed = "None: the labels of both rounds are bought from one pool"
        raise InvalidFieldError("surrogate.data", surrogate.data, allowed)
    if not isinstance(problem.selection, FixedFraction):
        allowed = "one that keeps a stated fraction, such as TopSelection or PowerSelection"
        raise InvalidFieldError("selection", problem.selection, allowed)
    return _Budget(problem, labels, pool)


def _axes(over: Sequence[str], bounds: Mapping[str, tuple[float, float]]) -> list[Axis]:
    names = [over] if isinstance(over, str) else list(over)
    if not names or len(set(names)) < len(names):
        raise InvalidFieldError("over", over, "one or more distinct names of fields")
    for name in bounds:
        if name not in names:
            raise InvalidFieldError("bounds", name, "a name that over holds too")
    axes = []
    for name in sorted(names, key=lambda name: name != SHARE):
        dotted = SHORT.get(name, name)
        if dotted in FROM_BUDGET:
            raise InvalidFieldError("over", name, "a field that the budget does not set")
        if name not in bounds and dotted not in BOUNDS:
            raise InvalidFieldError("bounds", dict(bounds), f"given for {name}")
        low, high = bounds.get(name, BOUNDS.get(dotted, (0.0, 1.0)))
        check = as_positive if dotted in LOGARITHMIC else as_number
        low, high = check(f"bounds[{name!r}][0]", low), check(f"bounds[{name!r}][1]", high)
        if dotted == SHARE:
            for k, value in enumerate((low, high)):
                if not 0 < value < 1:
                    allowed = "a number in (0, 1): at 0 and 1 one of the rounds has no labels"
                    raise InvalidFieldError(f"bounds['share'][{k}]", value, allowed)
        if high <= low:
            raise InvalidFieldError(f"bounds[{name!r}][1]", high, f"a number above {low:g}")
        axes.append(Axis(dotted, low, high, dotted in LOGARITHMIC))
    return axes


class _Found(NamedTuple):
    """Values of the axes with what they lead to; units: the same as parts of their ranges."""

    values: dict[str, float]
    units: tuple[float, ...]
    problem: Problem
    prediction: Prediction
    at_bounds: tuple[str, ...]


class _Search:
    """The lowest error over some axes: a scan, then a descent from its valleys."""

    def __init__(
        self, make: Callable[[Mapping[str, float]], Problem], axes: Sequence[Axis], objective: str
    ) -> None:
        self.make, self.axes, self.objective = make, axes, objective
        self.found: dict[tuple[float, ...], _Found] = {}
        self.grid = [np.linspace(0, 1, self._count(axis)) for axis in axes]
        self.look([tuple(map(float, units)) for units in itertools.product(*self.grid)])

    def _count(self, axis: Axis) -> int:
        others = sum(other.name != SHARE for other in self.axes)
        return SHARES if axis.name == SHARE else VALUES.get(others, 3)

    def look(self, places: Sequence[tuple[float, ...]]) -> None:
        """Predict at places, those that are near each other in turn."""
        new = [units for units in dict.fromkeys(places) if units not in self.found]
        values = [
            {a.name: a.value(u) for a, u in zip(self.axes, units, strict=True)} for units in new
        ]
        problems = [self.make(each) for each in values]
        for units, each, problem, prediction in zip(
            new, values, problems, predict_all(problems), strict=True
        ):
            at = tuple(a.name for a, u in zip(self.axes, units, strict=True) if u in (0, 1))
            self.found[units] = _Found(each, units, problem, prediction, at)

    def error(self, units: tuple[float, ...]) -> float:
        """The test error at a place that was looked at; infinite where there is none."""
        error = float(getattr(self.found[units].prediction, self.objective))
        return error if math.isfinite(error) else math.inf

    def lowest(self, places: Sequence[tuple[float, ...]]) -> _Found:
        """Of some places that were looked at."""
        return self.found[min(places, key=self.error)]

    def best(self) -> _Found:
        """The lowest error after the descents."""
        if self.axes:
            valleys = self._valleys([self.refine(line).units for line in self.lines()])
            for start in [v for v in valleys[:2] if self.error(v) < NEAR * self.error(valleys[0])]:
                self._descend(start)
        return self.lowest(list(self.found))

    def _valleys(self, line: list[tuple[float, ...]]) -> list[tuple[float, ...]]:
        """Places along the first axis that no neighbour is below, the lowest first."""
        errors = [math.inf, *map(self.error, line), math.inf]
        beside = zip(errors, errors[1:], errors[2:], strict=False)
        low = [place for place, (a, b, c) in zip(line, beside, strict=True) if b <= min(a, c)]
        return sorted(low, key=self.error)

    def lines(self) -> list[list[tuple[float, ...]]]:
        """Places of the scan, by their first value."""
        scanned = itertools.product(*self.grid)
        lines = itertools.groupby(sorted(tuple(map(float, u)) for u in scanned), lambda u: u[0])
        return [list(line) for _, line in lines]

    def _descend(self, start: tuple[float, ...]) -> None:
        def value_and_slope(at: Array) -> tuple[float, Array]:
            here = tuple(map(float, at))
            steps = [STEP if u < 0.5 else -STEP for u in here]
            moved = [_moved(here, k, here[k] + step) for k, step in enumerate(steps)]
            self.look([here, *moved])
            error = self.error(here)
            if not math.isfinite(error):
                return SCALE, np.zeros(len(here))
            slopes = [
                (self.error(m) - error) / step if math.isfinite(self.error(m)) else 0.0
                for m, step in zip(moved, steps, strict=True)
            ]
            return error * SCALE, np.array(slopes) * SCALE

        minimize(
            value_and_slope,
            np.array(start),
            jac=True,
            bounds=[(0.0, 1.0)] * len(start),
            method="L-BFGS-B",
            options={"ftol": 1e-7, "gtol": 1e-3, "maxiter": 15},
        )

    def refine(self, line: Sequence[tuple[float, ...]]) -> _Found:
        """The lowest on a line of the scan, after parabolas along every axis but the first."""
        best = self.lowest(line).units
        for _ in range(PARABOLAS):
            for k in range(1, len(self.axes)):
                best = self._along(best, k)
        return self.found[best]

    def _along(self, best: tuple[float, ...], k: int) -> tuple[float, ...]:
        """The lower of a place and the vertex of the parabola through its neighbours on an axis."""
        half = float(self.grid[k][1] - self.grid[k][0]) / 2
        known = [
            units for units in self.found if units[:k] + units[k + 1 :] == best[:k] + best[k + 1 :]
        ]
        if len(known) < 3:
            known = [_moved(best, k, min(max(best[k] + s * half, 0.0), 1.0)) for s in (-1, 0, 1)]
            self.look(known)
        known = sorted(set(known), key=lambda units: units[k])
        best = min(known, key=self.error)
        place = known.index(best)
        if not 0 < place < len(known) - 1:
            return best
        left, right = known[place - 1], known[place + 1]
        rise = [(self.error(side) - self.error(best)) for side in (left, right)]
        run = [best[k] - left[k], right[k] - best[k]]
        bend = rise[0] * run[1] + rise[1] * run[0]
        if not (math.isfinite(bend) and bend > 0):
            return best
        shift = (rise[0] * run[1] ** 2 - rise[1] * run[0] ** 2) / (2 * bend)
        if abs(shift) < RESOLVED:
            return best
        vertex = _moved(best, k, best[k] + shift)
        self.look([vertex])
        return min(best, vertex, key=self.error)


def _moved(units: tuple[float, ...], k: int, value: float) -> tuple[float, ...]:
    """The same place with another value on one axis."""
    return (*units[:k], value, *units[k + 1 :])


def _curve(search: _Search, axes: Sequence[Axis], fixed: float, alone: float) -> xr.Dataset:
    """The lowest error that was found at each share, with what it takes."""
    shares = axes[0].name == SHARE
    best = search.lowest(list(search.found))
    points = [search.refine(line) for line in search.lines()] if shares else []
    points = sorted([*points, best], key=lambda found: found.values.get(SHARE, fixed))
    points = list({found.values.get(SHARE, fixed): found for found in points}.values())
    dataset = xr.Dataset(
        coords={
            SHARE: (
                SHARE,
                [found.values.get(SHARE, fixed) for found in points],
                {"long_name": "share of the labels in the first round", "units": "1"},
            )
        },
        attrs={"random": alone, "source": "asymptotic theory"},
    )
    name = search.objective
    errors = [getattr(found.prediction, name) for found in points]
    dataset[name] = (SHARE, errors, described(name))
    first = [
        math.nan if stage is None else float(getattr(stage, name))
        for stage in (found.prediction.first_stage for found in points)
    ]
    dataset["first_stage"] = (SHARE, first, described(name, prefix="surrogate's"))
    for axis in axes:
        if axis.name != SHARE:
            values = [found.values[axis.name] for found in points]
            dataset[axis.name] = (SHARE, values, described(axis.name.split(".")[-1]))
    return dataset
