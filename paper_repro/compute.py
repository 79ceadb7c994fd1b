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
from simulate.run import Watcher
from simulate.task import COLUMNS, pool_size
from theory import Prediction, Problem, predict_all, tune_ridge
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
    results = xr.Dataset(coords={name: _coordinate(name, v) for name, v in grid.axes.items()})
    dims = tuple(grid.axes)
    shape = tuple(len(values) for values in grid.axes.values())

    def arranged(values: list[Any], **attributes: str) -> xr.Variable:
        return xr.Variable(dims, np.array(values).reshape(shape), attributes)

    for name, (long_name, symbol, unit) in QUANTITIES.items():
        results[f"theory_{name}"] = arranged(
            [getattr(predictions[p], name) for p in grid.problems],
            long_name=long_name,
            symbol=symbol,
            units=unit,
        )
    results["theory_status"] = arranged([predictions[p].status.name for p in grid.problems])
    if "ridge" not in dims or not np.issubdtype(results.ridge.dtype, np.number):
        results["theory_ridge"] = arranged([p.ridge for p in grid.problems], symbol="lambda")
    keys = list(zip(grid.problems, grid.sizes, strict=True))
    results["repeated"] = arranged(_repeated(keys))
    scale = "full" if full else "quick"
    results.attrs = {"title": reproduction.title, "scale": scale, "seed": seed}
    sizes = sorted({size for size in grid.sizes if size is not None})
    if not sizes:
        return results
    watcher = report.expecting(predictions) if report is not None else None
    measured: dict[tuple[Problem, Size | None], Array] = {}
    for size in sizes:
        chosen = tuple(dict.fromkeys(p for p, s in keys if s == size))
        plan = Plan(chosen, (size.dimension,), size.repeats, seed)
        name = f"simulation-{scale}-p{size.dimension}-x{size.repeats}-seed{seed}"
        values = run(plan, directory / name if directory else None, executor, watcher)[0]
        measured.update(((p, size), v) for p, v in zip(chosen, values, strict=True))
    data_sets = max(size.repeats for size in sizes)
    table = np.full((len(keys), data_sets, len(COLUMNS)), np.nan)
    for row, key in zip(table, keys, strict=True):
        if key in measured:
            row[: len(measured[key])] = measured[key]
    results = results.assign_coords(data_set=np.arange(data_sets))
    for k, name in enumerate(COLUMNS):
        long_name, symbol, unit = QUANTITIES.get(name, (name.replace("_", " "), "", "1"))
        attributes = {"long_name": f"simulated {long_name}", "symbol": symbol, "units": unit}
        values = table[..., k].reshape(*shape, data_sets)
        results[f"simulation_{name}"] = xr.Variable((*dims, "data_set"), values, attributes)
    dimensions = [0 if s is None else s.dimension for s in grid.sizes]
    samples = [0 if s is None else pool_size(p, s.dimension) for p, s in keys]
    results["simulation_dimension"] = arranged(dimensions, long_name="dimension p; 0: none")
    results["simulation_samples"] = arranged(samples, long_name="size N of the pool; 0: none")
    return results


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
        best.update(zip(chunk, (problem for problem, _ in tune_ridge(chunk)), strict=True))
        if report is not None:
            report.predicting(len(best), len(free), "tuned ridges")
    problems = [best[problem] if is_tuned else problem for problem, is_tuned in places]
    return dataclasses.replace(grid, problems=problems)


def _repeated(keys: list[tuple[Problem, Size | None]]) -> list[bool]:
    seen: set[tuple[Problem, Size | None]] = set()
    repeated = []
    for key in keys:
        repeated.append(key in seen)
        seen.add(key)
    return repeated


def _coordinate(name: str, values: Any) -> xr.Variable:
    long_name, symbol = PARAMETERS.get(name, (name.replace("_", " "), ""))
    return xr.Variable(name, np.array(values), {"long_name": long_name, "symbol": symbol})
