"""Predictions over a grid of problems, as a labelled dataset."""

from collections.abc import Sequence

import numpy as np
import xarray as xr

from theory.axes import Axes, frame, grid, read_axes
from theory.prediction import Prediction, predict_all
from theory.problem import Problem, as_problem
from theory.quadrature import Quadrature
from theory.quantities import QUANTITIES, described


def sweep(problem: Problem, axes: Axes, quadrature: Quadrature | None = None) -> xr.Dataset:
    """Predict over every combination of the axes' values.

    problem: the fields that no axis changes.
    axes: values by dotted field name; each becomes a dimension named by the name's last part (by
        more of it where two axes, or an axis and a fitted quantity, would share a name), in the
        order given. A tuple of names takes tuples of values, which vary together along one
        dimension named after all of them. Values that are not numbers are labelled by their text.
    Returns a dataset with every quantity of a Prediction, its unit and symbol, and the problem in
    the attributes. Points that could not be solved are NaN, with the reason in ``status``.
    Raises ValueError, before computing anything, for a field or value that a Problem refuses, and
    for axes without values, or with the same value or field twice.

    >>> from theory import F1, PowerSelection, Problem, SingleIndex
    >>> problem = Problem(SingleIndex(F1, 5.0), PowerSelection(0.0, 0.5), 0.1, 2.29)
    >>> result = sweep(problem, {"selection.alpha": [-1.0, 1.0], "ridge": [0.1, 0.01]})
    >>> dict(result.misclassification.sizes)
    {'alpha': 2, 'ridge': 2}
    """
    found = read_axes(axes)
    predictions = predict_all(grid(as_problem(problem), found), quadrature)
    dataset = frame(found)
    dataset = dataset.assign(labelled(dataset, predictions))
    dataset.attrs = {"problem": repr(problem), "source": "asymptotic theory"}
    return dataset


def labelled(
    frame: xr.Dataset, predictions: Sequence[Prediction], prefix: str = ""
) -> dict[str, xr.Variable]:
    """Every quantity of the predictions, and their status, over the dimensions of a frame.

    A quantity that is a coordinate of the frame is left to it.
    """
    dims, shape = tuple(frame.sizes), tuple(frame.sizes.values())
    variables = {}
    for name in QUANTITIES:
        if prefix + name not in frame.coords:
            values = np.array([getattr(p, name) for p in predictions]).reshape(shape)
            variables[prefix + name] = xr.Variable(dims, values, described(name))
    if any(p.chi_21 for p in predictions):  # the surrogate's samples are fitted again
        first = [
            np.nan if p.first_stage is None else p.first_stage.misclassification
            for p in predictions
        ]
        variables[prefix + "first_stage"] = xr.Variable(
            dims, np.reshape(first, shape), described("first_stage")
        )
    statuses = np.array([p.status.name for p in predictions], dtype=object).reshape(shape)
    variables[prefix + "status"] = xr.Variable(dims, statuses, described("status"))
    return variables
