"""Derivatives of the test errors in the fields of a problem, by one adjoint solve.

A field that the equations show (ridge, N/p) has its exact derivative. Any other changes integrals:
its derivative at fixed order parameters is a sixth-order difference of fine quadratures, which
moves their panels along. A trained surrogate's score answers to its own fields, and to the data's,
through its own equations.
"""

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from theory.checks import InvalidFieldError, as_items, near_names
from theory.kinds import Training
from theory.optimal.adjoint import (
    Point,
    equations,
    errors_at,
    multipliers,
    solve_symmetric,
    solved_point,
)
from theory.prediction import score_of
from theory.problem import Problem, as_problem
from theory.score import Score
from theory.selection import RandomSelection
from theory.surrogate import GivenSurrogate, TrainedSurrogate

Array = NDArray[np.float64]

STEP = 2e-3
"""Step of the differences, relative to the value (to 1 where it is 0)."""

STENCILS = tuple(np.arange(7) + first for first in (-3, 0, -6, -1, -2, -4, -5))
"""Steps of the differences: central, or to the side where a field has its bound."""

EXPLICIT = ("ridge", "samples_per_dimension")
"""Fields that the equations show."""

UNITS = {"misclassification": "probability", "log_loss": "nat"}


def gradient(problem: Problem, names: Sequence[str]) -> xr.Dataset:
    """Derivatives of misclassification and log loss in fields of a problem.

    names: dotted names of fields that are real numbers, such as "ridge", "samples_per_dimension",
        "selection.alpha", "data.signal_norm", "surrogate.beta_0"; one-sided at a field's bound.
    Returns both derivatives along the dimension "field", everything else held fixed.
    Raises InvalidFieldError for a name that is no real field of the problem, ConvergenceError where
    the problem has no solution.
    Source: the implicit function theorem for Theorem 4 of the paper; the adjoint is in ``adjoint``.

    >>> from theory import F1, Problem, RandomSelection, SingleIndex
    >>> problem = Problem(SingleIndex(F1, 5.0), RandomSelection(0.5), 0.1, 2.29)
    >>> slopes = gradient(problem, ["ridge", "selection.fraction"])
    >>> [round(float(s), 3) for s in slopes.misclassification]
    [0.017, -0.169]
    """
    as_problem(problem)
    names = as_items("names", names, "a list of names of fields")
    for name in names:
        number_of(problem, name)
    values = gradient_at(solved_point(problem), names)
    variables = {
        objective: ("field", row, {"long_name": f"derivative of {objective}", "units": unit})
        for (objective, unit), row in zip(UNITS.items(), values.T, strict=True)
    }
    return xr.Dataset(variables, {"field": names}, {"problem": repr(problem)})


def gradient_at(point: Point, names: Sequence[str]) -> Array:
    """Derivatives of both test errors at a solved point, shape [names, 2]."""
    adjoint = multipliers(point)
    return np.array([_derivative(point, adjoint, name) for name in names])


def _derivative(point: Point, adjoint: Array, name: str) -> Array:
    problem = point.problem
    surrogate = problem.surrogate
    if name == "ridge" or (name in EXPLICIT and not problem.reuse):
        return np.asarray(adjoint @ _explicit(point, name))
    if problem.reuse:
        return _of_two_rounds(point, adjoint, name)
    if name == "surrogate.beta_s" and point.score.beta_s == 0:
        return np.zeros(2)  # a smooth function of beta_s^2
    moved = np.zeros(2)
    if isinstance(surrogate, TrainedSurrogate):
        moved = adjoint @ _by_score(point, _score_slopes(problem, surrogate, name))
    if not (isinstance(surrogate, TrainedSurrogate) and name.startswith("surrogate.")):
        moved = moved + adjoint @ difference(problem, name, lambda p: _equations(point, p))
    if name.startswith("data."):
        moved = moved + difference(problem, name, lambda p: errors_at(point, p))
    return np.asarray(moved)


def _of_two_rounds(point: Point, adjoint: Array, name: str) -> Array:
    """Where the surrogate's samples are fitted again its whole fit enters, not only its score."""
    problem = point.problem
    moved = adjoint @ difference(problem, name, lambda p: equations(point, p, score_of(p)))
    if name.startswith("data."):
        moved = moved + difference(problem, name, lambda p: errors_at(point, p))
    return np.asarray(moved)


def _explicit(point: Point, name: str) -> Array:
    """The change of the Lagrangian's gradient with a field that it shows."""
    x, delta = point.x, point.case.setting.samples_per_dimension
    change = np.zeros(len(point.at.u))
    if name == "ridge":
        change[:-2] = point.case.features.penalty(1.0) * x.coefficients
        change[-2] = x.alpha_perp
    else:
        change[-2] = x.alpha_perp * x.mu / delta**2
        change[-1] = x.alpha_perp**2 / (2 * delta**2)
    return change


def _by_score(point: Point, slopes: Score) -> Array:
    """The change of the Lagrangian's gradient with a given score that moves along ``slopes``."""
    total = np.zeros(len(point.at.u))
    for name, slope in slopes._asdict().items():
        if slope != 0:
            given = point.problem.replace({"surrogate": GivenSurrogate(*point.score)})
            change = difference(given, f"surrogate.{name}", lambda p: _equations(point, p))
            total += slope * change
    return total


def _equations(point: Point, problem: Problem) -> Array:
    """With a trained surrogate's score held fixed."""
    if isinstance(problem.surrogate, TrainedSurrogate):
        return equations(point, problem, point.score)
    return equations(point, problem, _known_score(problem))


def _known_score(problem: Problem) -> Score:
    surrogate = problem.surrogate
    if isinstance(surrogate, GivenSurrogate):
        return Score(surrogate.beta_0, surrogate.beta_s, surrogate.intercept)
    assert problem.data.true_score is not None
    return problem.data.true_score


def _score_slopes(problem: Problem, surrogate: TrainedSurrogate, name: str) -> Score:
    """Derivatives of a trained surrogate's score in a field of the problem."""
    training = _as_problem(surrogate.source(problem.data))
    if name.startswith("surrogate."):
        name = name.removeprefix("surrogate.")
    elif not name.startswith("data.") or surrogate.data is not None:
        return Score(0.0, 0.0, 0.0)
    point = solved_point(training)
    if name in EXPLICIT:
        change = _explicit(point, name)
    else:
        change = difference(training, name, lambda p: _equations(point, p))
    moved = -solve_symmetric(point, change)
    return Score(
        beta_0=float(moved[0]),
        beta_s=float(moved[-2]),
        intercept=float(moved[-3]) if training.fit_intercept else 0.0,
    )


def _as_problem(training: Training) -> Problem:
    """The same training as a problem that selects everything, whose fields can be varied."""
    return Problem(
        data=training.data,
        selection=RandomSelection(1.0),
        ridge=training.ridge,
        samples_per_dimension=training.samples_per_dimension,
        surrogate=GivenSurrogate(beta_0=1.0),
        loss=training.loss,
        fit_intercept=training.fit_intercept,
    )


def number_of(problem: Problem, name: str) -> float:
    """The value of a real field; InvalidFieldError where the name is not that of one."""
    fields = dict(_real_fields(problem, ""))
    if name not in fields:
        raise InvalidFieldError("field", name, near_names(str(name), sorted(fields)))
    return fields[name]


def _real_fields(instance: Any, path: str) -> Iterator[tuple[str, float]]:
    for field in dataclasses.fields(instance):
        value = getattr(instance, field.name)
        if dataclasses.is_dataclass(value):
            yield from _real_fields(value, f"{path}{field.name}.")
        elif isinstance(value, float) and math.isfinite(value):
            yield path + field.name, value


def difference(problem: Problem, name: str, function: Callable[[Problem], Array]) -> Array:
    """Sixth-order difference of a function of the problem in one of its fields."""
    value = number_of(problem, name)
    step = STEP * (abs(value) or 1.0)
    for offsets in STENCILS:
        weights = _weights(offsets)
        try:
            moved = [problem.replace({name: value + k * step}) for k in offsets]
        except InvalidFieldError:
            continue
        terms = [w * function(p) for w, p in zip(weights, moved, strict=True) if w != 0]
        return np.asarray(sum(terms[1:], terms[0]) / step)
    raise InvalidFieldError(name, value, f"inside its range by {STEP:g} of its value")


def _weights(offsets: NDArray[np.int64]) -> Array:
    """Weights that turn values at these multiples of a step into step times the derivative."""
    powers = np.vander(offsets, increasing=True).T.astype(np.float64)
    weights = np.linalg.solve(powers, np.eye(len(offsets))[1])
    return np.where(np.abs(weights) < 1e-12, 0.0, weights)
