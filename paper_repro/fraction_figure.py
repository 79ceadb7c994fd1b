"""Figures of test error against the fraction kept: theory as lines, simulation as points.

The layout of the paper's Figure 2: problems in columns, ridges in rows, a colour per exponent of
the power selection.
"""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr

from figures import fraction_panels
from paper_repro.results import describe_run, write_results
from simulate import Estimate, estimate_all
from simulate.run import Watcher
from simulate.task import MEASURED
from theory import Prediction, Problem, RandomSelection, predict_all
from theory.sweep import QUANTITIES, grid, labelled

Watch = Callable[[Mapping[Problem, Prediction]], Watcher]

AXES: dict[str, list[float]] = {
    "ridge": [0.1, 0.01, 0.001],
    "selection.alpha": [-1.0, -0.5, 0.0, 0.5, 1.0],
    "selection.fraction": [0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0],
}


@dataclass(frozen=True)
class Scale:
    """Size of the simulation: dimension p and number of independent data sets."""

    dimension: int
    repeats: int


@dataclass(frozen=True)
class Column:
    """One column of panels: its title and the problem that the axes vary."""

    title: str
    problem: Problem


@dataclass(frozen=True)
class FractionFigure:
    """A figure: its name, title, columns (all with the same N/p) and sizes of the simulation."""

    name: str
    title: str
    shows: str
    columns: Mapping[str, Column]
    quick: Scale
    full: Scale

    @property
    def problems(self) -> list[Problem]:
        """Every problem of the figure, in the order of the results."""
        return [p for column in self.columns.values() for p in grid(column.problem, AXES)]

    @property
    def distinct_problems(self) -> list[Problem]:
        """The same, with the full sample, which is that of every exponent, only once."""
        return list(dict.fromkeys(map(_canonical, self.problems)))

    def theory_results(self, predictions: Mapping[Problem, Prediction]) -> xr.Dataset:
        """Predictions over column, ridge, alpha and fraction, named theory_*."""
        sweeps = [
            labelled(c.problem, AXES, [predictions[_canonical(p)] for p in grid(c.problem, AXES)])
            for c in self.columns.values()
        ]
        labels = xr.Variable("column", list(self.columns), {"long_name": "column of the figure"})
        combined = xr.concat(sweeps, labels, combine_attrs="drop")
        return combined.rename({name: f"theory_{name}" for name in combined.data_vars})

    def simulation_results(
        self,
        scale: Scale,
        seed: int,
        executor: Executor | None = None,
        store: Path | None = None,
        watcher: Watcher | None = None,
    ) -> xr.Dataset:
        """Means and standard errors over the same dimensions, named simulation_*."""
        measured = estimate_all(
            self.distinct_problems,
            scale.dimension,
            scale.repeats,
            seed,
            executor=executor,
            store=store,
            watcher=watcher,
        )
        by_problem = dict(zip(self.distinct_problems, measured, strict=True))
        estimates = [by_problem[_canonical(p)] for p in self.problems]
        dims = ["column", *(name.rpartition(".")[2] for name in AXES)]
        shape = [len(self.columns), *map(len, AXES.values())]
        results = xr.Dataset(
            {
                f"simulation_{name}{suffix}": _simulated(estimates, name, suffix, dims, shape)
                for name in MEASURED
                for suffix in ("", "_standard_error")
            }
        )
        failed = np.array([e.failed_fits for e in estimates]).reshape(shape)
        meaning = {"long_name": "fits that missed their tolerance and were left out", "units": "1"}
        return results.assign(simulation_failed_fits=(dims, failed, meaning))

    def reproduce(
        self,
        directory: Path,
        scale: Scale,
        seed: int,
        executor: Executor | None = None,
        watch: Watch | None = None,
    ) -> tuple[xr.Dataset, list[Path]]:
        """Compute, draw and write the figure into ``directory``; returns the results and files.

        watch: makes a watcher of the simulation from the predictions. Finished tasks are kept in
        the directory: the same call again goes on where this one was stopped.
        """
        began = time.perf_counter()
        distinct = self.distinct_problems
        predictions = dict(zip(distinct, predict_all(distinct), strict=True))
        watcher = watch(predictions) if watch is not None else None
        store = directory / f"simulation-p{scale.dimension}-x{scale.repeats}-seed{seed}"
        simulation = self.simulation_results(scale, seed, executor, store, watcher)
        results = xr.merge([self.theory_results(predictions), simulation], combine_attrs="drop")
        first = next(iter(self.columns.values())).problem
        samples = round(first.samples_per_dimension * scale.dimension)
        settings = {"dimension": scale.dimension, "samples": samples, "data_sets": scale.repeats}
        results.attrs = {
            "title": self.title,
            "problems": "\n".join(f"{k}: {c.problem!r}" for k, c in self.columns.items()),
            "seed": seed,
            **settings,
        }
        figure = fraction_panels(
            results,
            self.title,
            {key: column.title for key, column in self.columns.items()},
            f"lines: theory;  points: simulation, p = {scale.dimension}, N = {samples},"
            f" {scale.repeats} data sets, ±1 standard error",
        )
        manifest = describe_run(seed, time.perf_counter() - began, settings)
        return results, write_results(directory, self.name, results, figure, manifest)


def _canonical(problem: Problem) -> Problem:
    """The problem, or the same with random selection where it selects the full sample."""
    full = getattr(problem.selection, "fraction", 0) == 1
    return problem.replace({"selection": RandomSelection(1.0)}) if full else problem


def _simulated(
    estimates: list[Estimate], name: str, suffix: str, dims: list[str], shape: list[int]
) -> xr.Variable:
    long_name, symbol, unit = QUANTITIES[name]
    field = "standard_error" if suffix else "mean"

    def read(estimate: Estimate) -> float:
        return float(getattr(getattr(estimate, name), field))

    label = "standard error of the simulated" if suffix else "simulated"
    return xr.Variable(
        dims,
        np.array([read(e) for e in estimates]).reshape(shape),
        {"long_name": f"{label} {long_name}", "symbol": symbol, "units": unit},
    )


def agreement(results: xr.Dataset) -> list[tuple[str, float, int, float, float]]:
    """Per panel: column, ridge, points, largest and root-mean-square z-score.

    z = (simulation - theory) / standard error of the misclassification; the full sample, the same
    for every exponent, counts once.
    """
    z = (
        results.simulation_misclassification - results.theory_misclassification
    ) / results.simulation_misclassification_standard_error
    repeated = (results.fraction == 1) & (results.alpha != results.alpha[0])
    z = z.where(~repeated)
    rows = []
    for model in results.column.values:
        for ridge in results.ridge.values:
            panel = z.sel(column=model, ridge=ridge).values
            panel = panel[np.isfinite(panel)]
            worst, rms = (
                (float(np.abs(panel).max()), float(np.sqrt(np.mean(panel**2))))
                if panel.size
                else (np.nan, np.nan)
            )
            rows.append((str(model), float(ridge), int(panel.size), worst, rms))
    return rows
