"""Predictions over a grid of problems, as a labelled dataset."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from theory.checks import InvalidFieldError
from theory.prediction import Prediction, predict_all
from theory.problem import Problem
from theory.quadrature import Quadrature

QUANTITIES: dict[str, tuple[str, str, str]] = {
    "misclassification": ("test misclassification", "R", "probability"),
    "log_loss": ("test log loss", "L_test", "nat"),
    "alpha_0": ("coefficient along e_0", "alpha_0", "1"),
    "alpha_s": ("coefficient along e_s", "alpha_s", "1"),
    "alpha_perp": ("norm of the remaining coefficients", "alpha_perp", "1"),
    "mu": ("Lagrange multiplier", "mu", "1"),
    "intercept": ("fitted intercept", "b", "1"),
    "fraction": ("selected fraction of the pool", "gamma", "1"),
    "beta_0": ("surrogate coefficient along e_0", "beta_0", "1"),
    "beta_s": ("surrogate coefficient along e_s", "beta_s", "1"),
    "error_estimate": ("error estimate of the misclassification", "", "probability"),
    "log_loss_error_estimate": ("error estimate of the log loss", "", "nat"),
    "residual": ("largest residual of the printed equations", "", "1"),
}
"""Reported quantities: long name, symbol in the paper, unit."""

PARAMETERS: dict[str, tuple[str, str]] = {
    "alpha": ("exponent of the power selection", "alpha"),
    "fraction": ("subsampling fraction n/N", "gamma"),
    "ridge": ("ridge", "lambda"),
    "samples_per_dimension": ("samples per dimension N/p", "delta"),
    "signal_norm": ("norm of theta_0", "s"),
    "score_clip": ("bound on the score", ""),
}
"""Axes of a sweep: long name and symbol in the paper; all dimensionless."""


Axes = Mapping[Any, Sequence[Any]]
"""Values by dotted field name, or tuples of values by a tuple of names that vary together."""


def grid(problem: Problem, axes: Axes) -> list[Problem]:
    """Every combination of the axes' values, the last axis varying fastest."""
    changes = [
        [dict(zip(_names(axis), _tuple(axis, value), strict=True)) for value in values]
        for axis, values in axes.items()
    ]
    return [
        problem.replace({name: value for change in combination for name, value in change.items()})
        for combination in itertools.product(*changes)
    ]


def _names(axis: str | tuple[str, ...]) -> tuple[str, ...]:
    return (axis,) if isinstance(axis, str) else tuple(axis)


def _tuple(axis: str | tuple[str, ...], value: Any) -> tuple[Any, ...]:
    """The values of one step along an axis, one for each of its names."""
    if isinstance(axis, str):
        return (value,)
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) != len(axis):
        raise InvalidFieldError("axis", value, f"{len(axis)} values, one each for {axis}")
    return tuple(value)


def sweep(problem: Problem, axes: Axes, quadrature: Quadrature | None = None) -> xr.Dataset:
    """Predict over every combination of the axes' values.

    problem: the fields that no axis changes.
    axes: values by dotted field name; each becomes a dimension named by the name's last part, in
        the order given. A tuple of names takes tuples of values, which vary together along one
        dimension named after all of them. Values that are not numbers are labelled by their text.
    Returns a dataset with every quantity of a Prediction, its unit and symbol, and the problem in
    the attributes. Points that could not be solved are NaN, with the reason in ``status``.
    Raises ValueError, before computing anything, for a field or value that a Problem refuses.

    >>> from theory import F1, PowerSelection, Problem, SingleIndex
    >>> problem = Problem(SingleIndex(F1, 5.0), PowerSelection(0.0, 0.5), 0.1, 2.29)
    >>> result = sweep(problem, {"selection.alpha": [-1.0, 1.0], "ridge": [0.1, 0.01]})
    >>> dict(result.misclassification.sizes)
    {'alpha': 2, 'ridge': 2}
    """
    problems = grid(problem, axes)
    return labelled(problem, axes, predict_all(problems, quadrature))


def frame(axes: Axes) -> xr.Dataset:
    """The coordinates of a sweep; its dimensions, in order, have the sizes of the axes."""
    dims = ["_".join(_short(name) for name in _names(axis)) for axis in axes]
    if len(set(dims)) < len(dims):
        raise InvalidFieldError("axes", list(axes), "axes with distinct last names")
    coordinates: dict[str, xr.Variable] = {}
    for dim, (axis, steps) in zip(dims, axes.items(), strict=True):
        columns = zip(*(_tuple(axis, value) for value in steps), strict=True)
        for name, column in zip(_names(axis), columns, strict=True):
            coordinates[_short(name)] = _coordinate(dim, _short(name), column)
    return xr.Dataset(coords=coordinates)


def labelled(problem: Problem, axes: Axes, predictions: Iterable[Prediction]) -> xr.Dataset:
    """Arrange predictions of ``grid(problem, axes)`` as a labelled dataset."""
    predictions = list(predictions)
    dataset = frame(axes)
    dataset.attrs = {"problem": repr(problem), "source": "asymptotic theory"}
    coordinates = set(dataset.coords)
    dims = list(dataset.sizes)
    shape = list(dataset.sizes.values())
    for name, (long_name, symbol, unit) in QUANTITIES.items():
        if name not in coordinates:
            values = np.array([getattr(p, name) for p in predictions]).reshape(shape)
            attributes = {"long_name": long_name, "symbol": symbol, "units": unit}
            dataset[name] = (dims, values, attributes)
    statuses = np.array([p.status.name for p in predictions], dtype=object).reshape(shape)
    dataset["status"] = (dims, statuses, {"long_name": "how the solve ended"})
    return dataset


def _short(name: str) -> str:
    return name.rpartition(".")[2]


def _coordinate(dim: str, name: str, values: Sequence[Any]) -> xr.Variable:
    numeric = all(isinstance(v, int | float | np.number) for v in values)
    labels = np.array([float(v) if numeric else str(v) for v in values])
    long_name, symbol = PARAMETERS.get(name, (name, ""))
    return xr.Variable((dim,), labels, {"long_name": long_name, "symbol": symbol, "units": "1"})
