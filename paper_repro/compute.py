"""Compute a reproduction: predictions and simulations of its problems, as one labelled dataset."""

import dataclasses
from collections.abc import Mapping
from concurrent.futures import Executor
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from paper_repro.reproduction import Grid, Reproduction, Size
from simulate import Plan, run
from simulate.running.run import Watcher
from simulate.task import COLUMNS, pool_size
from theory import Prediction, Problem, predict_all, tune_all
from theory.sweep import PARAMETERS, QUANTITIES

Array = NDArray[np.float64]

CHUNK, TUNED_CHUNK = 512, 64
"""Problems predicted, or tuned, between two reports of progress."""


class Report(Protocol):
    """Is told how a computation proceeds."""

    def predicting(self, done: int, total: int, what: str) -> None:
        """Problems solved so far."""

    def expecting(self, predictions: Mapping[Problem, Prediction]) -> Watcher:
        """A watcher of simulations that knows what the theory predicts."""


def compute(
    reproduction: Reproduction,
    full: bool,
    seed: int = 0,
    directory: Path | None = None,
    executor: Executor | None = None,
    report: Report | None = None,
) -> xr.Dataset:
    """Predictions (theory_*) and per-data-set results (simulation_*) over the axes.

    ``repeated`` marks points whose problem and size came before, such as the full sample, which is
    that of every scheme. ``simulation_dimension`` is p, 0 where nothing was simulated.
    directory: keeps finished tasks; the same call again goes on where this one was stopped.
    """
    grid = _tune(reproduction.grid(full), report)
    predictions = _predict(grid, report)
    scale = "full" if full else "quick"
    results = _theory(grid, predictions)
    results.attrs = {"title": reproduction.title, "scale": scale, "seed": seed}
    if not any(grid.sizes):
        return results
    watcher = report.expecting(predictions) if report is not None else None
    measured: dict[tuple[Problem, Size | None], Array] = {}
    keys = list(zip(grid.problems, grid.sizes, strict=True))
    for size in sorted({size for size in grid.sizes if size is not None}):
        chosen = tuple(dict.fromkeys(problem for problem, s in keys if s == size))
        plan = Plan(chosen, (size.dimension,), size.repeats, seed)
        name = f"simulation-{scale}-p{size.dimension}-x{size.repeats}-seed{seed}"
        values = run(plan, directory / name if directory else None, executor, watcher)[0]
        measured.update(((p, size), v) for p, v in zip(chosen, values, strict=True))
    return results.assign(_simulation(grid, measured))


def _arranged(grid: Grid, values: list[Any], **attributes: str) -> xr.Variable:
    """A value for every point, over the axes."""
    shape = tuple(len(labels) for labels in grid.axes.values())
    return xr.Variable(tuple(grid.axes), np.array(values).reshape(shape), attributes)


def _theory(grid: Grid, predictions: Mapping[Problem, Prediction]) -> xr.Dataset:
    results = xr.Dataset(coords={name: _coordinate(name, v) for name, v in grid.axes.items()})
    for name, (long_name, symbol, unit) in QUANTITIES.items():
        values = [getattr(predictions[p], name) for p in grid.problems]
        results[f"theory_{name}"] = _arranged(
            grid, values, long_name=long_name, symbol=symbol, units=unit
        )
    statuses = [predictions[p].status.name for p in grid.problems]
    results["theory_status"] = _arranged(grid, statuses)
    if any(grid.tuned) or "ridge" not in grid.axes:
        ridges = [p.ridge for p in grid.problems]
        results["theory_ridge"] = _arranged(grid, ridges, long_name="ridge", symbol="lambda")
    results["repeated"] = _arranged(grid, _repeated(grid))
    return results


def _simulation(
    grid: Grid, measured: Mapping[tuple[Problem, Size | None], Array]
) -> dict[str, xr.Variable]:
    """Results over the axes and data_set, NaN where there are none, and their sizes."""
    keys = list(zip(grid.problems, grid.sizes, strict=True))
    data_sets = max(size.repeats for size in grid.sizes if size is not None)
    table = np.full((len(keys), data_sets, len(COLUMNS)), np.nan)
    for row, key in zip(table, keys, strict=True):
        if key in measured:
            row[: len(measured[key])] = measured[key]
    shape = tuple(len(labels) for labels in grid.axes.values())
    variables: dict[str, xr.Variable] = {"data_set": xr.Variable("data_set", np.arange(data_sets))}
    for k, name in enumerate(COLUMNS):
        long_name, symbol, unit = QUANTITIES.get(name, (name.replace("_", " "), "", "1"))
        attributes = {"long_name": f"simulated {long_name}", "symbol": symbol, "units": unit}
        values = table[..., k].reshape(*shape, data_sets)
        variables[f"simulation_{name}"] = xr.Variable((*grid.axes, "data_set"), values, attributes)
    dimensions = [0 if s is None else s.dimension for s in grid.sizes]
    samples = [0 if s is None else pool_size(p, s.dimension) for p, s in keys]
    variables["simulation_dimension"] = _arranged(
        grid, dimensions, long_name="dimension p; 0: none"
    )
    variables["simulation_samples"] = _arranged(
        grid, samples, long_name="size N of the pool; 0: none"
    )
    return variables


def _predict(grid: Grid, report: Report | None) -> dict[Problem, Prediction]:
    distinct = list(dict.fromkeys(grid.problems))
    predictions: dict[Problem, Prediction] = {}
    for first in range(0, len(distinct), CHUNK):
        chunk = distinct[first : first + CHUNK]
        predictions.update(zip(chunk, predict_all(chunk), strict=True))
        if report is not None:
            report.predicting(len(predictions), len(distinct), "predictions")
    return predictions


def _tune(grid: Grid, report: Report | None) -> Grid:
    """The grid with the best ridge wherever it is to be tuned."""
    places = list(zip(grid.problems, grid.tuned, strict=True))
    free = list(dict.fromkeys(problem for problem, is_tuned in places if is_tuned))
    best: dict[Problem, Problem] = {}
    for first in range(0, len(free), TUNED_CHUNK):
        chunk = free[first : first + TUNED_CHUNK]
        best.update(zip(chunk, (tuned.problem for tuned in tune_all(chunk)), strict=True))
        if report is not None:
            report.predicting(len(best), len(free), "tuned ridges")
    problems = [best[problem] if is_tuned else problem for problem, is_tuned in places]
    return dataclasses.replace(grid, problems=problems)


def _repeated(grid: Grid) -> list[bool]:
    seen: set[tuple[Problem, Size | None]] = set()
    repeated = []
    for key in zip(grid.problems, grid.sizes, strict=True):
        repeated.append(key in seen)
        seen.add(key)
    return repeated


def _coordinate(name: str, values: Any) -> xr.Variable:
    long_name, symbol = PARAMETERS.get(name, (name.replace("_", " "), ""))
    return xr.Variable(name, np.array(values), {"long_name": long_name, "symbol": symbol})
