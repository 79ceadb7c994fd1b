"""How to split a budget of labels: the error against the share bought at random first, the best
share, and what it gains over buying all at random.
"""

import itertools
from typing import NamedTuple

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from figures import POWER_STYLES, TOP_STYLES, add_legend, figure_style, log_ticks, panel_grid
from figures.panels import draw_points
from paper_repro.claims import Claim
from paper_repro.reproduction import OwnReproduction, Run
from paper_repro.reproductions.settings import LABELS
from paper_repro.reproductions.top_k import SCHEMES as TOP_SCHEMES
from simulate import Plan, run
from simulate.task import COLUMNS
from theory import (
    GaussianMixture,
    Problem,
    RandomSelection,
    TrainedSurrogate,
    predict_all,
    split_budget,
)
from theory.kinds import DataModel

DATA: dict[str, DataModel] = {**LABELS, "mixture": GaussianMixture(1.0)}
COLOURS = {"f1": "#D55E00", "f2": "#0072B2", "mixture": "#009E73"}
SCHEMES = ("only hardest", "α = 1")
STYLES = {"only hardest": TOP_STYLES["hard"], "α = 1": POWER_STYLES[1.0]}
RIDGE, FIRST_RIDGE = 0.01, 0.05

CURVES = ("f1", "mixture")
BUDGET, POOL = 3.0, 10.0
SHARES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
SIMULATED = (0.2, 0.5, 0.8)
TUNING = ("ridge 0.01", "best ridge")

BUDGETS = {False: (1.0, 3.0, 8.0), True: (1.0, 1.5, 2.0, 3.0, 5.0, 8.0)}
POOLS = (10.0, 30.0)
"""Labels and pools per dimension of the best splits, at the best ridge."""

SIZE = {False: (200, 60), True: (400, 200)}
"""p and data sets of the simulations."""

CERTAIN = 3.5
"""Standard errors within which simulated gains agree with the theory."""


class Point(NamedTuple):
    """A split at one share, and all labels at random with a ridge of their own."""

    split: Problem
    at_random: Problem


def split_problem(data: str, scheme: str, share: float, labels: float, pool: float) -> Problem:
    """A share of the labels bought at random, the others by the scheme, all fitted."""
    first = share * labels
    selection = TOP_SCHEMES[scheme]((labels - first) / (pool - first))
    surrogate = TrainedSurrogate(first, FIRST_RIDGE, reuse=1)
    return Problem(DATA[data], selection, RIDGE, pool - first, surrogate)


def _points() -> dict[tuple[str, str, str, float], Point]:
    """By data, ridge, scheme and share. All at random is what a second round at random is."""
    points = {}
    for data, scheme, share in itertools.product(CURVES, SCHEMES, SHARES):
        problem = split_problem(data, scheme, share, BUDGET, POOL)
        tuned = split_budget(problem, BUDGET, POOL, over=["ridge"])
        random_ridge = tuned.random_problem.ridge
        for name, split, ridge in zip(
            TUNING, (problem, tuned.problem), (RIDGE, random_ridge), strict=True
        ):
            selection = RandomSelection(problem.selection.fraction)  # type: ignore[attr-defined]
            points[data, name, scheme, share] = Point(
                split, split.replace({"selection": selection, "ridge": ridge})
            )
    return points


def _curves(how: Run) -> xr.Dataset:
    dims = ("data", "tuning", "scheme", "share")
    points = _points()
    every = [problem for point in points.values() for problem in point]
    predictions = np.array(
        [[p.misclassification, p.error_estimate] for p in predict_all(every)]
    ).reshape(len(CURVES), len(TUNING), len(SCHEMES), len(SHARES), 2, 2)
    # the order of the keys is data, scheme, share, tuning
    at = {key: k for k, key in enumerate(points)}
    order = [at[key] for key in itertools.product(CURVES, TUNING, SCHEMES, SHARES)]
    flat = predictions.reshape(len(points), 2, 2)[order]
    shape = len(CURVES), len(TUNING), len(SCHEMES), len(SHARES)
    simulated = {key: point for key, point in points.items() if key[3] in SIMULATED}
    dimension, repeats = SIZE[how.full]
    plan = Plan(
        tuple(dict.fromkeys(p for point in simulated.values() for p in point)),
        (dimension,),
        repeats,
        how.seed,
    )
    values = run(plan, how.part("simulation"), how.executor)[0]
    place = {problem: k for k, problem in enumerate(plan.problems)}
    measured = np.full((len(points), 4), np.nan)
    for key, point in simulated.items():
        pair = [values[place[problem]] for problem in point]
        good = np.logical_and(*(v[:, COLUMNS.index("converged")] == 1 for v in pair))
        errors = [v[good, COLUMNS.index("misclassification")] for v in pair]
        gains = errors[1] - errors[0]
        measured[at[key]] = [
            f for v in (errors[0], gains) for f in (v.mean(), v.std(ddof=1) / v.size**0.5)
        ]
    measured = measured[order]
    names = ("simulated", "standard_error", "simulated_gain", "gain_error")
    return xr.Dataset(
        {
            "error": (dims, flat[:, 0, 0].reshape(shape)),
            "at_random": (dims, flat[:, 1, 0].reshape(shape)),
            "error_estimate": (dims, flat[:, :, 1].max(axis=1).reshape(shape)),
            **{name: (dims, measured[:, k].reshape(shape)) for k, name in enumerate(names)},
        },
        coords={
            "data": list(CURVES),
            "tuning": list(TUNING),
            "scheme": list(SCHEMES),
            "share": list(SHARES),
        },
        attrs={"dimension": dimension, "repeats": repeats},
    )


def _best(how: Run) -> xr.Dataset:
    """Best share and gain of the hardest, over labels and pool, with the ridge tuned."""
    budgets = BUDGETS[how.full]
    every = list(itertools.product(DATA, POOLS, budgets))
    found = np.empty((len(every), 3))
    told = how.progress("best splits")
    for k, (data, pool, labels) in enumerate(every):
        problem = split_problem(data, "only hardest", 0.5, labels, pool)
        split = split_budget(problem, labels, pool)
        found[k] = split.share, split.gain, split.random_prediction.misclassification
        if told is not None:
            told(k + 1, len(every))
    shape = len(DATA), len(POOLS), len(budgets)
    return xr.Dataset(
        {
            name: (("labels", "pool", "budget"), found[:, k].reshape(shape))
            for k, name in enumerate(("best_share", "gain", "random_error"))
        },
        coords={"labels": list(DATA), "pool": list(POOLS), "budget": list(budgets)},
    )


def compute(how: Run) -> xr.Dataset:
    """Errors over the share with simulated points, and the best splits."""
    curves = _curves(how)
    return curves.merge(_best(how)).assign_attrs(curves.attrs)


def draw(results: xr.Dataset) -> dict[str, Figure]:
    """Error against the share; best share and gain against the labels."""
    return {"budget-split": _over_share(results), "budget-split-best": _over_labels(results)}


def _over_share(results: xr.Dataset) -> Figure:
    with figure_style():
        figure, axes = panel_grid(
            len(CURVES),
            len(TUNING),
            "f1: half at random, half chosen is best; mixture: tuning the ridge does more\n"
            f"{BUDGET:g} p labels of a pool of {POOL:g} p, all in the final fit\n"
            f"lines: theory;  points: simulation (p = {results.attrs['dimension']},"
            f" {results.attrs['repeats']} data sets), ±1 s.e.",
            panel=(4.2, 2.7),
            share_y="row",
        )
        for axis, (data, tuning) in zip(axes.flat, itertools.product(CURVES, TUNING), strict=True):
            panel = results.sel(data=data, tuning=tuning)
            axis.axhline(
                100 * float(panel.at_random.mean()),
                color=POWER_STYLES[0.0].colour,
                ls="--",
                label="all at random",
            )
            for scheme in SCHEMES:
                _draw_scheme(axis, panel.sel(scheme=scheme), scheme)
            axis.set_title(f"{data}, {tuning}")
        for axis in axes[:, 0]:
            axis.set_ylabel("test misclassification (%)")
        for axis in axes[-1]:
            axis.set_xlabel("share of the labels bought at random first (%)")
        add_legend(figure, axes[0, 0])
    return figure


def _draw_scheme(axis: Axes, curve: xr.Dataset, scheme: str) -> None:
    style, share = STYLES[scheme], 100 * curve.share
    axis.plot(share, 100 * curve.error, color=style.colour)
    here = np.isfinite(curve.simulated.values)
    draw_points(
        axis,
        share.values[here],
        100 * curve.simulated.values[here],
        100 * curve.standard_error.values[here],
        style,
        style.label,
    )


def _over_labels(results: xr.Dataset) -> Figure:
    with figure_style():
        figure, axes = panel_grid(
            1,
            2,
            "About half first, wherever a split gains; for the mixture none does\n"
            "only the hardest, the ridge tuned on both sides; theory",
            panel=(4.2, 3.2),
            share_y=False,
        )
        for data, pool in itertools.product(DATA, POOLS):
            line = results.sel(labels=data, pool=pool)
            look = {
                "color": COLOURS[data],
                "ls": "-" if pool == max(POOLS) else "--",
                "marker": "o",
                "ms": 4,
                "label": f"{data}, pool {pool:g} p",
            }
            share = 100 * line.best_share.where(line.gain > 0)
            axes[0, 0].plot(line.budget, share, **look)
            axes[0, 1].plot(line.budget, 100 * line.gain, **look)
        axes[0, 0].set_ylabel("best share at random first (%)")
        axes[0, 0].set_ylim(0, 100)
        axes[0, 1].set_ylabel("gain over all at random (points)")
        axes[0, 1].axhline(0, color="#777777", lw=1, ls=":")
        for axis in axes[0]:
            log_ticks(axis, "x", [1, 2, 3, 5, 8])
            axis.set_xlabel("labels per dimension")
        add_legend(figure, axes[0, 1], most=3)
    return figure


def table(results: xr.Dataset) -> pd.DataFrame:
    """Best share and gain by data, pool and labels, with the ridge tuned."""
    columns = xr.Dataset(
        {
            "best share": results.best_share.where(results.gain > 0),
            "gain (points)": 100 * results.gain,
            "all at random (%)": 100 * results.random_error,
        }
    )
    return columns.to_dataframe().reset_index().round(3)


def claims(results: xr.Dataset) -> list[Claim]:
    """Where a split gains, where not, and that simulation agrees."""
    gain = 100 * (results.at_random - results.error)
    basis = f"theory, error at most {float(results.error_estimate.max()):.0e}"
    found = []
    for data, tuning, wins in (
        ("f1", TUNING[0], True),
        ("f1", TUNING[1], True),
        ("mixture", TUNING[0], True),
        ("mixture", TUNING[1], False),
    ):
        curve = gain.sel(data=data, tuning=tuning, scheme="only hardest")
        best = int(curve.argmax("share"))
        most = float(curve[best])
        ahead = "a split beats all at random" if wins else "no split beats all at random"
        found.append(
            Claim(
                f"{data}, {tuning}, only the hardest: {ahead}",
                "here",
                f"at best {most:+.2f} points, at a share of {SHARES[best]:g}",
                basis,
                (most > 0) == wins,
            )
        )
    tuned = 100 * results.gain
    for data, wins in (("f1", True), ("mixture", False)):
        part = tuned.sel(labels=data)
        found.append(
            Claim(
                f"{data}, best ridge: so for every budget and pool",
                "here",
                f"best gains from {float(part.min()):+.2f} to {float(part.max()):+.2f} points",
                "theory",
                bool((part > 0).all()) if wins else bool((part <= 0).all()),
            )
        )
    z = (results.simulated_gain - gain / 100) / results.gain_error
    size, largest = float((z**2).mean()) ** 0.5, float(abs(z).max())
    found.append(
        Claim(
            "Simulated gains are where the theory says, up to noise",
            "here",
            f"{int(z.count())} gains, data set by data set, rms z {size:.2f}, largest |z|"
            f" {largest:.1f} (bound {CERTAIN:g})",
            "simulation",
            largest <= CERTAIN,
        )
    )
    return found


FIGURE = OwnReproduction(
    name="budget-split",
    title="How many labels at random first?",
    shows="the best share of labels to buy at random first, its gain, and where there is none",
    minutes=(1.8, 9.0),
    run=compute,
    draw=draw,
    table=table,
    claims=claims,
    needs=("error", "best_share", "gain"),
)
