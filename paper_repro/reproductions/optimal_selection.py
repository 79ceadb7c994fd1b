"""The optimal selection: which scores to keep, and what that gains over the paper's schemes.

Theory: ``theory.optimal``. The optimum keeps intervals of the score; simulated ones are points.
"""

from concurrent.futures import Executor

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.stats import norm

from figures import add_legend, figure_style, panel_grid
from figures.panels import log_ticks
from paper_repro.claims import FINITE_SIZE, Claim
from paper_repro.reproduction import OwnReproduction
from paper_repro.reproductions.settings import (
    COLUMN_TITLES,
    HIGH_DIMENSION,
    LABELS,
    LOW_DIMENSION,
    full_sample,
)
from simulate import estimate_all
from theory import Problem, RandomSelection, Status, optimal_selection, predict_all
from theory.optimal import paper_schemes

FRACTIONS = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
SIMULATED = (0.1, 0.5, 0.8)
RATIOS = (LOW_DIMENSION, HIGH_DIMENSION)
SCHEMES = ("random", "α = −1", "α = −0.5", "α = 0.5", "α = 1", "only hardest", "only easiest")
COLOURS = ("#333333", "#0072B2", "#56B4E9", "#E69F00", "#D55E00", "#CC79A7", "#009E73")
RIDGE = 0.01

DIMENSION = {LOW_DIMENSION: 100, HIGH_DIMENSION: 400}
"""p of the simulations."""

REPEATS = {False: 20, True: 100}

CERTAIN = 3.5
"""Standard errors, beside the finite-size allowance, within which theory and simulation agree."""

ENDS = 4
"""Ends of intervals of |score| that are kept, at most."""


def compute(full: bool, seed: int, executor: Executor | None) -> xr.Dataset:
    """Errors of the optimum, of every scheme and of the full sample; the optimum's intervals."""
    shape = (len(LABELS), len(RATIOS), len(FRACTIONS))
    dims = ("labels", "samples_per_dimension", "fraction")
    found = {name: np.full(shape, np.nan) for name in ("optimum", "error", "gap", "residual")}
    agreed = np.zeros(shape)
    ends = np.full((*shape, ENDS), np.nan)
    schemes = np.full((len(SCHEMES), *shape), np.nan)
    everything = np.full(shape[:2], np.nan)
    simulated, spread = (np.full(shape, np.nan) for _ in range(2))
    for i, labels in enumerate(LABELS):
        for j, ratio in enumerate(RATIOS):
            whole = full_sample(labels, ratio, RIDGE)
            everything[i, j] = predict_all([whole])[0].misclassification
            best: dict[int, Problem] = {}
            for k, fraction in enumerate(FRACTIONS):
                problem = whole.replace({"selection": RandomSelection(fraction)})
                optimum = optimal_selection(problem)
                here = (i, j, k)
                found["optimum"][here] = optimum.prediction.misclassification
                found["error"][here] = optimum.prediction.error_estimate
                found["residual"][here] = optimum.prediction.residual
                found["gap"][here] = optimum.gap
                agreed[here] = optimum.agreed
                sizes = sorted({round(abs(t), 9) for t in optimum.thresholds})[:ENDS]
                ends[here][: len(sizes)] = sizes
                for s, prediction in enumerate(
                    predict_all(
                        [problem.replace({"selection": x}) for x in paper_schemes(fraction)]
                    )
                ):
                    if prediction.status is Status.CONVERGED:
                        schemes[(s, *here)] = prediction.misclassification
                if fraction in SIMULATED:
                    best[k] = optimum.problem
            estimates = estimate_all(
                list(best.values()), DIMENSION[ratio], REPEATS[full], seed, executor=executor
            )
            for k, estimate in zip(best, estimates, strict=True):
                simulated[i, j, k] = estimate.misclassification.mean
                spread[i, j, k] = estimate.misclassification.standard_error
    results = xr.Dataset(
        {name: (dims, values) for name, values in found.items()},
        coords={
            "labels": list(LABELS),
            "samples_per_dimension": list(RATIOS),
            "fraction": list(FRACTIONS),
            "scheme": list(SCHEMES),
        },
    )
    return results.assign(
        agreed=(dims, agreed),
        ends=((*dims, "end"), ends),
        schemes=(("scheme", *dims), schemes),
        full_sample=(dims[:2], everything),
        simulated=(dims, simulated),
        standard_error=(dims, spread),
    )


def draw(results: xr.Dataset) -> dict[str, Figure]:
    """Errors above, kept quantiles of |score| below, for each label model."""
    return {f"optimal-selection-{name}": _picture(results, name) for name in LABELS}


def _picture(results: xr.Dataset, labels: str) -> Figure:
    with figure_style():
        figure, axes = panel_grid(
            2,
            2,
            "The best selection keeps bands of scores: easier ones, the fewer are kept\n"
            f"{labels} labels, perfect surrogate, ridge λ = {RIDGE:g}; lines: theory, points:"
            " simulation of the optimum, ±1 s.e.",
            panel=(4.2, 3.0),
            share_y=False,
        )
        for j, ratio in enumerate(RATIOS):
            point = results.sel(labels=labels, samples_per_dimension=ratio)
            _draw_errors(axes[0, j], point)
            _draw_band(axes[1, j], point)
            axes[0, j].set_title(COLUMN_TITLES[ratio])
            axes[1, j].set_xlabel("fraction of the pool kept, n/N (%)")
        axes[0, 0].set_ylabel("test misclassification (%)")
        axes[1, 0].set_ylabel("kept: quantile of |score| (%)")
        add_legend(figure, axes[0, 0])
    return figure


def _draw_errors(axis: Axes, point: xr.Dataset) -> None:
    percent = 100 * point.fraction
    for name, colour in zip(SCHEMES, COLOURS, strict=True):
        axis.plot(percent, 100 * point.schemes.sel(scheme=name), color=colour, lw=1, label=name)
    axis.plot(percent, 100 * point.optimum, color="#000000", lw=2.4, label="optimal")
    axis.errorbar(
        percent, 100 * point.simulated, 100 * point.standard_error, fmt="o", color="#000000", ms=4
    )
    axis.axhline(100 * float(point.full_sample), color="#777777", ls=":", label="full sample")
    axis.set_yscale("log")
    low, high = 100 * float(point.optimum.min()), 100 * float(point.schemes.max())
    axis.set_ylim(0.93 * low, 1.05 * high)
    log_ticks(axis, "y", [t for t in (8, 10, 15, 20, 25, 30, 35, 40, 45) if 0.93 * low < t < high])


def _draw_band(axis: Axes, point: xr.Dataset) -> None:
    """The intervals that are kept, in quantiles of |score|; the perfect score is s h, h normal."""
    norms = {name: data.signal_norm for name, data in LABELS.items()}
    edges = point.ends.values / norms[str(point.labels.values)]
    quantiles = 100 * (2 * norm.cdf(edges) - 1)
    for fraction, row in zip(point.fraction.values, quantiles, strict=True):
        marks = row[np.isfinite(row)].tolist()
        kept = 100 * fraction
        # An odd number of ends: the first interval starts at 0, or the last has no end.
        if len(marks) % 2:
            marks = [0.0, *marks] if abs(marks[0] - kept) < 1 else [*marks, 100.0]
        for low, high in zip(marks[::2], marks[1::2], strict=True):
            axis.plot([kept, kept], [low, high], color="#0072B2", lw=7, solid_capstyle="butt")
    axis.set_ylim(0, 100)


def table(results: xr.Dataset) -> pd.DataFrame:
    """Error of the optimum, of the best scheme of the paper, and the gain, in percent."""
    best = results.schemes.min("scheme")
    columns = xr.Dataset(
        {
            "optimal (%)": 100 * results.optimum,
            "best scheme (%)": 100 * best,
            "gain (points)": 100 * (best - results.optimum),
            "full sample (%)": 100 * results.full_sample,
        }
    )
    return columns.to_dataframe().reset_index().round(3)


def claims(results: xr.Dataset) -> list[Claim]:
    """What is best, what it gains, and that simulation agrees."""
    basis = (
        f"theory, error at most {float(results.error.max()):.0e}, optimality gap at most"
        f" {float(results.gap.max()):.0e}"
    )
    gain = results.schemes.min("scheme") - results.optimum
    never = bool((gain > -results.error).all())
    found = [
        Claim(
            "The optimum is never worse than a scheme of the paper",
            "here",
            f"gains from {100 * float(gain.min()):.2f} to {100 * float(gain.max()):.2f} points",
            basis,
            never and float(results.gap.max()) <= 1e-8,
        )
    ]
    low = results.sel(labels="f1", samples_per_dimension=LOW_DIMENSION, fraction=0.1)
    best = float(low.schemes.min())
    found.append(
        Claim(
            "f1, N/p = 36.9, γ = 0.1: a band beats every scheme of the paper by 3 points",
            "here",
            f"{float(low.optimum):.2%} against {best:.2%}",
            basis,
            best - float(low.optimum) > 0.03,
        )
    )
    high = results.sel(labels="f1", samples_per_dimension=HIGH_DIMENSION, fraction=0.8)
    found.append(
        Claim(
            "f1, N/p = 2.29: 80 % of the samples, well chosen, beat all of them",
            "here",
            f"{float(high.optimum):.2%} against {float(high.full_sample):.2%}",
            basis,
            float(high.full_sample - high.optimum) > float(high.error),
        )
    )
    dimension = xr.DataArray([DIMENSION[r] for r in RATIOS], dims="samples_per_dimension")
    excess = abs(results.simulated - results.optimum) - FINITE_SIZE / dimension
    z = (excess / results.standard_error).where(results.simulated.notnull())
    largest = float(z.max())
    found.append(
        Claim(
            f"Simulated optima are where the theory says, up to noise and {FINITE_SIZE:g}/p",
            "here",
            f"{int(z.count())} points, largest excess {largest:.1f} standard errors",
            "simulation",
            largest <= CERTAIN,
        )
    )
    return found


FIGURE = OwnReproduction(
    name="optimal-selection",
    title="The optimal selection",
    shows="the best rule keeps a band of scores, and beats every scheme of the paper",
    minutes=(0.7, 3.0),
    run=lambda run: compute(run.full, run.seed, run.executor),
    draw=draw,
    table=table,
    claims=claims,
    needs=("optimum", "schemes"),
)
