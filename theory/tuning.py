"""The ridge, exponent or fraction that serves a problem best, by exact gradients.

A coarse scan of all combinations finds the valleys; from the lowest ones a quasi-Newton method on
the exact gradient goes down to their floors, within the bounds.
"""

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from theory.checks import InvalidFieldError, as_items, as_number, as_positive
from theory.optimal.adjoint import point_at
from theory.optimal.gradient import gradient_at, number_of
from theory.optimal.outcomes import OBJECTIVES, as_objective
from theory.prediction import ConvergenceError, Prediction, predict_all
from theory.problem import Problem, as_problems
from theory.solver import Status

Array = NDArray[np.float64]

Bounds = Mapping[str, tuple[float, float]]

RANGES: dict[str, tuple[float, float]] = {
    "ridge": (1e-4, 10.0),
    "selection.alpha": (-2.0, 2.0),
    "selection.fraction": (0.05, 1.0),
}
"""Bounds of the fields that are tuned without being given any."""

SHORT = {"exponent": "selection.alpha", "fraction": "selection.fraction"}
"""Names that stand for a dotted one."""

LOGARITHMIC = 10.0
"""Positive bounds with this ratio or more are scanned, and searched, in logarithms."""

SCANNED = {1: 11, 2: 7}
"""Values of each field in the scan, by the number of fields; 5 for more."""

MOST_VALLEYS = 3
"""How many valleys of the scan are searched to their floor, the lowest first."""

AT_BOUND = 1e-6
"""Distance from a bound, relative to the range, that counts as being there."""


@dataclass(frozen=True)
class Tuned:
    """A problem with its best fields.

    prediction: of that problem; NaN with its status where no value that was tried has a solution.
    at_bounds: the fields whose best value is a bound: the best may lie beyond.
    valleys: test errors of the valleys that were searched, the lowest first.
    """

    problem: Problem
    prediction: Prediction
    at_bounds: tuple[str, ...]
    valleys: tuple[float, ...]


class Axis(NamedTuple):
    """A field and the interval in which it is searched, perhaps of its logarithm."""

    name: str
    low: float
    high: float
    logarithmic: bool

    def value(self, unit: float) -> float:
        """The field's value at a share of its interval."""
        if unit <= 0 or unit >= 1:
            return self.low if unit <= 0 else self.high
        if self.logarithmic:
            return float(self.low * (self.high / self.low) ** unit)
        return self.low + (self.high - self.low) * unit

    def slope(self, value: float) -> float:
        """d value / d share."""
        return value * math.log(self.high / self.low) if self.logarithmic else self.high - self.low


def tune(
    problem: Problem,
    over: Sequence[str] = ("ridge",),
    bounds: Bounds | None = None,
    objective: str = "misclassification",
) -> Tuned:
    """The values of one or several fields that minimise a test error.

    over: "ridge", "exponent", "fraction", or dotted names of real fields.
    bounds: (low, high) by name as in ``over``; by default RANGES, and needed for other fields.
    objective: "misclassification" or "log_loss", the asymptotic error itself, as a large validation
        set would give.
    Raises InvalidFieldError on other names, bounds or objectives, and ConvergenceError where no
    value has a solution.

    >>> from theory import F1, Problem, RandomSelection, SingleIndex
    >>> tuned = tune(Problem(SingleIndex(F1, 5.0), RandomSelection(1.0), 0.01, 2.29))
    >>> round(tuned.problem.ridge, 3), round(tuned.prediction.misclassification, 4)
    (0.07, 0.2345)
    """
    (tuned,) = tune_all([problem], over, bounds, objective)
    if tuned.prediction.status is not Status.CONVERGED:
        raise ConvergenceError(tuned.problem, tuned.prediction)
    return tuned


def tune_all(
    problems: Iterable[Problem],
    over: Sequence[str] = ("ridge",),
    bounds: Bounds | None = None,
    objective: str = "misclassification",
) -> list[Tuned]:
    """``tune`` for many problems, in order; one that has no solution yields NaN and its status.

    >>> from theory import F1, Problem, RandomSelection, SingleIndex
    >>> problem = Problem(SingleIndex(F1, 5.0), RandomSelection(1.0), 0.01, 2.29)
    >>> [tuned] = tune_all([problem], bounds={"ridge": (0.2, 2.0)})
    >>> tuned.problem.ridge, tuned.at_bounds
    (0.2, ('ridge',))
    """
    objective = as_objective(objective)
    problems = as_problems(problems)
    axes = _axes(over, {} if bounds is None else bounds)
    for problem in problems:
        for axis in axes:
            number_of(problem, axis.name)
    units = np.linspace(0, 1, SCANNED.get(len(axes), 5))
    places = list(itertools.product(range(len(units)), repeat=len(axes)))
    tried = [_with(p, axes, units[list(place)]) for p in problems for place in places]
    found = predict_all(tried)
    shape = (len(units),) * len(axes)
    tuned = []
    for k, problem in enumerate(problems):
        mine = slice(k * len(places), (k + 1) * len(places))
        errors = np.array([getattr(p, objective) for p in found[mine]]).reshape(shape)
        scan = dict(zip(places, zip(tried[mine], found[mine], strict=True), strict=True))
        tuned.append(
            _tuned(problem, axes, units, np.nan_to_num(errors, nan=np.inf), scan, objective)
        )
    return tuned


def _axes(over: Sequence[str], bounds: Bounds) -> list[Axis]:
    allowed = "one or more distinct names of fields"
    names = [over] if isinstance(over, str) else as_items("over", over, allowed)
    text = all(isinstance(name, str) for name in names)
    if not names or not text or len(set(names)) < len(names):
        raise InvalidFieldError("over", names, allowed)
    if not isinstance(bounds, Mapping):
        raise InvalidFieldError("bounds", bounds, "pairs (low, high) by name")
    for name in bounds:
        if name not in names:
            raise InvalidFieldError("bounds", name, "a name that over holds too")
    axes = []
    for name in names:
        dotted = SHORT.get(name, name)
        if name not in bounds and dotted not in RANGES:
            raise InvalidFieldError("bounds", dict(bounds), f"given for {name}")
        pair = as_items(f"bounds[{name!r}]", bounds.get(name, RANGES.get(dotted, (0.0, 1.0))))
        if len(pair) != 2:
            raise InvalidFieldError(f"bounds[{name!r}]", pair, "a pair (low, high)")
        low, high = pair
        check = as_positive if dotted == "ridge" else as_number
        low, high = check(f"bounds[{name!r}][0]", low), check(f"bounds[{name!r}][1]", high)
        if high <= low:
            raise InvalidFieldError(f"bounds[{name!r}][1]", high, f"a number above {low:g}")
        axes.append(Axis(dotted, low, high, low > 0 and high / low >= LOGARITHMIC))
    return axes


def _with(problem: Problem, axes: Sequence[Axis], units: Array) -> Problem:
    return problem.replace({a.name: a.value(float(u)) for a, u in zip(axes, units, strict=True)})


def _valleys(errors: Array) -> list[tuple[int, ...]]:
    """Places that no neighbour, also across corners, is below; the lowest first."""
    padded = np.pad(errors, 1, constant_values=np.inf)
    lowest = np.isfinite(errors)
    for shift in itertools.product((0, 1, 2), repeat=errors.ndim):
        window = tuple(slice(s, s + n) for s, n in zip(shift, errors.shape, strict=True))
        lowest &= errors <= padded[window]
    places = [tuple(int(i) for i in place) for place in np.argwhere(lowest)]
    return sorted(places, key=lambda place: float(errors[place]))[:MOST_VALLEYS]


def _tuned(
    problem: Problem,
    axes: Sequence[Axis],
    units: Array,
    errors: Array,
    scan: Mapping[tuple[int, ...], tuple[Problem, Prediction]],
    objective: str,
) -> Tuned:
    valleys = _valleys(errors)
    if not valleys:
        first, prediction = next(iter(scan.values()))
        return Tuned(first, prediction, (), ())
    floors = [
        _floor(problem, axes, units[list(place)], scan[place], objective) for place in valleys
    ]
    floors.sort(key=lambda floor: float(getattr(floor[1], objective)))
    best, prediction, at = floors[0]
    edge = np.minimum(at, 1 - at) < AT_BOUND
    names = tuple(axis.name for axis, is_edge in zip(axes, edge, strict=True) if is_edge)
    lows = tuple(float(getattr(floor[1], objective)) for floor in floors)
    return Tuned(best, prediction, names, lows)


def _floor(
    problem: Problem,
    axes: Sequence[Axis],
    start: Array,
    known: tuple[Problem, Prediction],
    objective: str,
) -> tuple[Problem, Prediction, Array]:
    """Down from a place of the scan: the best problem that was met, and its place."""
    column = OBJECTIVES.index(objective)
    best = (*known, start)
    names = [axis.name for axis in axes]

    def value_and_slope(units: Array) -> tuple[float, Array]:
        nonlocal best
        at = _with(problem, axes, units)
        (prediction,) = predict_all([at])
        error = float(getattr(prediction, objective))
        if not math.isfinite(error):
            return 1.0, np.zeros(len(axes))
        if error < getattr(best[1], objective):
            best = (at, prediction, units.copy())
        slopes = gradient_at(point_at(at, prediction), names)[:, column]
        chain = [axis.slope(number_of(at, axis.name)) for axis in axes]
        return error * SCALE, slopes * np.array(chain) * SCALE

    minimize(
        value_and_slope,
        start,
        jac=True,
        bounds=[(0.0, 1.0)] * len(axes),
        method="L-BFGS-B",
        options={"ftol": 1e-13, "gtol": 1e-6, "maxiter": 40},
    )
    return best


SCALE = 100.0
"""The error times this is searched: its first step is then neither long nor short."""
