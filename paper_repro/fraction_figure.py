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
from simulate.task import MEASURED
from theory import Problem, RandomSelection
from theory.sweep import QUANTITIES, grid, sweep

Progress = Callable[[int, int], None]

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

    def theory_results(self) -> xr.Dataset:
        """Predictions over label_model, ridge, alpha and fraction, named theory_*."""
        sweeps = [sweep(column.problem, AXES) for column in self.columns.values()]
        labels = xr.Variable("label_model", list(self.columns), {"long_name": "label model"})
        combined = xr.concat(sweeps, labels, combine_attrs="drop")
        return combined.rename({name: f"theory_{name}" for name in combined.data_vars})

    def simulation_results(
        self,
        scale: Scale,
        seed: int,
        executor: Executor | None = None,
        progress: Progress | None = None,
    ) -> xr.Dataset:
        """Means and standard errors over the same dimensions, named simulation_*.

        At fraction 1 all exponents select the full sample: it is fitted once, shown for each.
        """
        full = RandomSelection(1.0)
        canonical = [
            p.replace({"selection": full}) if getattr(p.selection, "fraction", 0) == 1 else p
            for p in self.problems
        ]
        distinct = list(dict.fromkeys(canonical))
        measured = estimate_all(
            distinct, scale.dimension, scale.repeats, seed, executor=executor, progress=progress
        )
        by_problem = dict(zip(distinct, measured, strict=True))
        estimates = [by_problem[p] for p in canonical]
        dims = ["label_model", *(name.rpartition(".")[2] for name in AXES)]
        shape = [len(self.columns), *map(len, AXES.values())]
        return xr.Dataset(
            {
                f"simulation_{name}{suffix}": _simulated(estimates, name, suffix, dims, shape)
                for name in MEASURED
                for suffix in ("", "_standard_error")
            }
        )

    def reproduce(
        self,
        directory: Path,
        scale: Scale,
        seed: int,
        executor: Executor | None = None,
        progress: Progress | None = None,
    ) -> tuple[xr.Dataset, list[Path]]:
        """Compute, draw and write the figure into ``directory``; returns the results and files."""
        began = time.perf_counter()
        results = xr.merge(
            [self.theory_results(), self.simulation_results(scale, seed, executor, progress)],
            combine_attrs="drop",
        )
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
    """Per panel: label model, ridge, points, largest and root-mean-square z-score.

    z = (simulation - theory) / standard error of the misclassification; the full sample, the same
    for every exponent, counts once.
    """
    z = (
        results.simulation_misclassification - results.theory_misclassification
    ) / results.simulation_misclassification_standard_error
    repeated = (results.fraction == 1) & (results.alpha != results.alpha[0])
    z = z.where(~repeated)
    rows = []
    for model in results.label_model.values:
        for ridge in results.ridge.values:
            panel = z.sel(label_model=model, ridge=ridge).values
            panel = panel[np.isfinite(panel)]
            worst, rms = (
                (float(np.abs(panel).max()), float(np.sqrt(np.mean(panel**2))))
                if panel.size
                else (np.nan, np.nan)
            )
            rows.append((str(model), float(ridge), int(panel.size), worst, rms))
    return rows
