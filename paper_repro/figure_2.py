"""Figure 2 of the paper, right column: N/p = 6870/3000, perfect surrogate, biased selection.

Test misclassification against the fraction kept, for power selection with five exponents, three
ridges and the label models f1 and f2; theory as lines, simulation as points.
"""

import time
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from figures import fraction_panels
from paper_repro.results import describe_run, write_results
from simulate import Estimate, estimate_all
from simulate.monte_carlo import MEASURED
from theory import F1, F2, PowerSelection, Problem, SingleIndex, StepLink
from theory.sweep import QUANTITIES, grid, sweep

NAME = "figure-2"
SAMPLES_PER_DIMENSION = 6870 / 3000
SIGNAL_NORM = 5.0
LABEL_MODELS: dict[str, StepLink] = {"f1": F1, "f2": F2}
COLUMN_TITLES = {
    "f1": "f1: one noisy step",
    "f2": "f2: noisier labels away from the boundary",
}
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


QUICK = Scale(dimension=400, repeats=10)
FULL = Scale(dimension=3000, repeats=10)


def base_problem(link: StepLink) -> Problem:
    """The problem that the axes vary."""
    return Problem(
        data=SingleIndex(link, signal_norm=SIGNAL_NORM),
        selection=PowerSelection(alpha=0.0, fraction=1.0),
        ridge=0.01,
        samples_per_dimension=SAMPLES_PER_DIMENSION,
    )


def theory_results() -> xr.Dataset:
    """Predictions over label_model, ridge, alpha and fraction, named theory_*."""
    sweeps = [sweep(base_problem(link), AXES) for link in LABEL_MODELS.values()]
    labels = xr.Variable("label_model", list(LABEL_MODELS), {"long_name": "label model"})
    combined = xr.concat(sweeps, labels, combine_attrs="drop")
    return combined.rename({name: f"theory_{name}" for name in combined.data_vars})


def simulation_results(
    scale: Scale,
    seed: int,
    executor: Executor | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> xr.Dataset:
    """Means and standard errors over label_model, ridge, alpha and fraction, named simulation_*.

    At fraction 1 all exponents select the full sample: it is fitted once and shown for each.
    """
    problems = [p for link in LABEL_MODELS.values() for p in grid(base_problem(link), AXES)]
    canonical = [
        p.replace({"selection.alpha": 0.0}) if p.selection.fraction == 1 else p for p in problems
    ]
    distinct = list(dict.fromkeys(canonical))
    estimates = dict(
        zip(
            distinct,
            estimate_all(
                distinct, scale.dimension, scale.repeats, seed, executor=executor, progress=progress
            ),
            strict=True,
        )
    )
    dims = ["label_model", *(name.rpartition(".")[2] for name in AXES)]
    shape = [len(LABEL_MODELS), *map(len, AXES.values())]
    measured = np.array([estimates[p] for p in canonical], dtype=object)
    return xr.Dataset(
        {
            f"simulation_{name}{suffix}": _simulated(measured, name, suffix, dims, shape)
            for name in MEASURED
            for suffix in ("", "_standard_error")
        }
    )


def _simulated(
    measured: Any, name: str, suffix: str, dims: list[str], shape: list[int]
) -> xr.Variable:
    long_name, symbol, unit = QUANTITIES[name]
    field = "standard_error" if suffix else "mean"

    def read(estimate: Estimate) -> float:
        return float(getattr(getattr(estimate, name), field))

    label = "standard error of the simulated" if suffix else "simulated"
    return xr.Variable(
        dims,
        np.array([read(e) for e in measured]).reshape(shape),
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


def reproduce(
    directory: Path,
    scale: Scale,
    seed: int,
    executor: Executor | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[xr.Dataset, list[Path]]:
    """Compute, draw and write the figure into ``directory``; returns the results and the files."""
    began = time.perf_counter()
    results = xr.merge(
        [theory_results(), simulation_results(scale, seed, executor, progress)],
        combine_attrs="drop",
    )
    samples = round(SAMPLES_PER_DIMENSION * scale.dimension)
    settings = {
        "dimension": scale.dimension,
        "samples": samples,
        "data_sets": scale.repeats,
        "signal_norm": SIGNAL_NORM,
    }
    results.attrs = {
        "title": "Figure 2: theory and simulation",
        "problem": repr(base_problem(F1)),
        "label_models": repr(LABEL_MODELS),
        "seed": seed,
        **settings,
    }
    figure = fraction_panels(
        results,
        "Which samples to keep? N/p = 2.29, perfect surrogate, biased selection",
        COLUMN_TITLES,
        f"lines: theory;  points: simulation, p = {scale.dimension}, N = {samples},"
        f" {scale.repeats} data sets, ±1 standard error",
    )
    wall_seconds = time.perf_counter() - began
    manifest = describe_run(seed, wall_seconds, settings)
    return results, write_results(directory, NAME, results, figure, manifest)
