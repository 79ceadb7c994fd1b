"""Predictions over a grid of problems, as a labelled dataset."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

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


def grid(problem: Problem, axes: Mapping[str, Sequence[Any]]) -> list[Problem]:
    """Every combination of the axes' values, the last axis varying fastest."""
    names = list(axes)
    return [
        problem.replace(dict(zip(names, values, strict=True)))
        for values in itertools.product(*axes.values())
    ]


def sweep(
    problem: Problem, axes: Mapping[str, Sequence[Any]], quadrature: Quadrature | None = None
) -> xr.Dataset:
    """Predict over every combination of the axes' values.

    problem: the fields that no axis changes.
    axes: values by dotted field name; each becomes a dimension named by the name's last part, in
        the order given. Values that are not numbers are labelled by their text.
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


def labelled(
    problem: Problem, axes: Mapping[str, Sequence[Any]], predictions: Iterable[Prediction]
) -> xr.Dataset:
    """Arrange predictions of ``grid(problem, axes)`` as a labelled dataset."""
    predictions = list(predictions)
    dims = [name.rpartition(".")[2] for name in axes]
    shape = [len(values) for values in axes.values()]
    dataset = xr.Dataset(
        coords={
            dim: _coordinate(dim, values) for dim, values in zip(dims, axes.values(), strict=True)
        },
        attrs={"problem": repr(problem), "source": "asymptotic theory"},
    )
    for name, (long_name, symbol, unit) in QUANTITIES.items():
        if name not in dims:
            values = np.array([getattr(p, name) for p in predictions]).reshape(shape)
            attributes = {"long_name": long_name, "symbol": symbol, "units": unit}
            dataset[name] = (dims, values, attributes)
    statuses = np.array([p.status.name for p in predictions], dtype=object).reshape(shape)
    dataset["status"] = (dims, statuses, {"long_name": "how the solve ended"})
    return dataset


def _coordinate(dim: str, values: Sequence[Any]) -> xr.Variable:
    numeric = all(isinstance(v, int | float | np.number) for v in values)
    labels = np.array([float(v) if numeric else str(v) for v in values])
    long_name, symbol = PARAMETERS.get(dim, (dim, ""))
    return xr.Variable((dim,), labels, {"long_name": long_name, "symbol": symbol, "units": "1"})
