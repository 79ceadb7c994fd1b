"""Error after selection against the quality of the surrogate, theory end to end."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.figure import Figure

from figures import (
    POWER_STYLES,
    TOP_STYLES,
    add_legend,
    caption,
    draw_curve,
    figure_style,
    panel_grid,
)
from paper_repro.claims import Claim, agreement_claim, beats, theory_claim
from paper_repro.reproduction import Grid, Reproduction, Size
from paper_repro.settings import COLUMN_TITLES, HIGH_DIMENSION, LOW_DIMENSION, full_sample, size
from theory import (
    F1,
    PerfectSurrogate,
    PowerSelection,
    Problem,
    RandomSelection,
    SingleIndex,
    TopSelection,
    TrainedSurrogate,
)
from theory.metrics import misclassification

SURROGATE_RIDGE = 0.03
PERFECT = np.inf
SIMULATED_FRACTION = 0.3
SCHEMES: dict[str, Callable[[float], Any]] = {
    "easiest": lambda fraction: PowerSelection(-1.0, fraction),
    "random": RandomSelection,
    "hard": lambda fraction: PowerSelection(0.5, fraction),
    "hardest": lambda fraction: PowerSelection(1.0, fraction),
    "top": lambda fraction: TopSelection("hard", fraction),
}
STYLES = {
    "easiest": POWER_STYLES[-1.0],
    "random": POWER_STYLES[0.0],
    "hard": POWER_STYLES[0.5],
    "hardest": POWER_STYLES[1.0],
    "top": TOP_STYLES["hard"],
}
AXES: dict[str, list[Any]] = {
    "samples_per_dimension": [LOW_DIMENSION, HIGH_DIMENSION],
    "scheme": list(SCHEMES),
    "fraction": [0.1, 0.3, 0.5, 0.8],
    "surrogate": [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, PERFECT],
}


def _problem(
    samples_per_dimension: float, scheme: str, fraction: float, surrogate: float
) -> Problem:
    perfect = scheme == "random" or surrogate == PERFECT  # random selection looks at no score
    return full_sample("f1", samples_per_dimension).replace(
        {
            "selection": SCHEMES[scheme](fraction),
            "surrogate": PerfectSurrogate()
            if perfect
            else TrainedSurrogate(surrogate, SURROGATE_RIDGE),
        }
    )


def _size(samples_per_dimension: float, fraction: float, full: bool) -> Size | None:
    return size(samples_per_dimension, full) if fraction == SIMULATED_FRACTION else None


def _grid(full: bool) -> Grid:
    return Grid.over(
        AXES,
        _problem,
        lambda samples_per_dimension, fraction, **_: _size(samples_per_dimension, fraction, full),
    )


def _draw(results: xr.Dataset) -> dict[str, Figure]:
    trained = np.isfinite(results.surrogate.values)
    x = np.where(trained, results.surrogate.values, 2 * results.surrogate.values[trained].max())
    with figure_style():
        figure, axes = panel_grid(
            results.sizes["samples_per_dimension"],
            results.sizes["fraction"],
            "A better surrogate can choose worse: error after selection against the surrogate's"
            f" training set\nf1, ridge λ = 0.01, surrogate's ridge {SURROGATE_RIDGE};"
            f"  {caption(results)}",
            panel=(2.9, 2.5),
            share_y=False,
        )
        for i, size_ in enumerate(results.samples_per_dimension.values):
            for j, fraction in enumerate(results.fraction.values):
                axis = axes[i, j]
                panel = results.sel(samples_per_dimension=size_, fraction=fraction)
                for scheme, style in STYLES.items():
                    curve = panel.sel(scheme=scheme)
                    draw_curve(axis, x[trained], curve.isel(surrogate=trained), style)
                    draw_curve(axis, x[~trained], curve.isel(surrogate=~trained), style, "_", "")
                axis.set_xscale("log")
                axis.set_xticks(x[1::2], [f"{v:g}" for v in x[1:-1:2]] + ["perfect"])
                axis.set_xticks([], minor=True)
                if i == 0:
                    axis.set_title(f"γ = {fraction:g}")
            axes[i, 0].set_ylabel(f"{COLUMN_TITLES[size_]}\n\ntest misclassification (%)")
        for axis in axes[-1]:
            axis.set_xlabel("surrogate's samples per dimension N_su/p")
        add_legend(figure, axes[0, list(results.fraction.values).index(SIMULATED_FRACTION)])
    return {"weak-vs-strong-surrogate": figure}


def _table(results: xr.Dataset) -> pd.DataFrame:
    """The surrogates: coefficients and own error; and the best of them for every scheme."""
    rows = []
    data = SingleIndex(F1, 5.0)
    for surrogate in results.surrogate.values:
        at = results.sel(surrogate=surrogate, scheme="hardest").isel(
            samples_per_dimension=0, fraction=0
        )
        beta_0, beta_s = float(at.theory_beta_0), float(at.theory_beta_s)
        own = misclassification(data, beta_0, 0.0, max(beta_s, 1e-9))
        row = {
            "N_su/p": "perfect" if surrogate == PERFECT else f"{surrogate:g}",
            "β_0": beta_0,
            "β_s": beta_s,
            "own error (%)": 100 * own,
        }
        for size_ in results.samples_per_dimension.values:
            error = results.theory_misclassification.sel(
                samples_per_dimension=size_, surrogate=surrogate, fraction=SIMULATED_FRACTION
            )
            for scheme in ("hard", "hardest", "top"):
                label = f"{STYLES[scheme].label}, N/p = {size_:.3g} (%)"
                row[label] = 100 * float(error.sel(scheme=scheme))
        rows.append(row)
    return pd.DataFrame(rows)


def _claims(results: xr.Dataset) -> list[Claim]:
    claims = []
    for size_, scheme, fraction, weaker, stronger in (
        (LOW_DIMENSION, "hardest", 0.3, 32.0, PERFECT),
        (LOW_DIMENSION, "hard", 0.1, 0.5, PERFECT),
        (LOW_DIMENSION, "top", 0.3, 0.5, 4.0),
        (HIGH_DIMENSION, "hardest", 0.3, 1.0, PERFECT),
        (HIGH_DIMENSION, "top", 0.3, 1.0, PERFECT),
    ):
        names = ["perfect" if s == PERFECT else f"{s:g}p labels" for s in (weaker, stronger)]
        claims += beats(
            results.sel(samples_per_dimension=size_, scheme=scheme, fraction=fraction),
            f"The weaker surrogate wins: {STYLES[scheme].label}, N/p = {size_:.3g},"
            f" γ = {fraction:g}: {names[0]} beats {names[1]}",
            {"surrogate": weaker},
            {"surrogate": stronger},
        )
    best = results.theory_misclassification.min("scheme")
    for size_ in results.samples_per_dimension.values:
        error = best.sel(samples_per_dimension=size_, fraction=0.5)
        strongest, weak = float(error.sel(surrogate=PERFECT)), float(error.sel(surrogate=4.0))
        claims.append(
            theory_claim(
                f"With the best of these schemes, N/p = {size_:.3g} and γ = 0.5, a surrogate of 4p"
                " labels is within 3 points of the perfect one",
                weak - strongest < 0.03,
                f"{weak:.2%} against {strongest:.2%}",
                results.sel(samples_per_dimension=size_, fraction=0.5),
                "here",
            )
        )
    return [*claims, agreement_claim(results)]


FIGURE = Reproduction(
    name="weak-vs-strong-surrogate",
    title="Weak against strong surrogates",
    shows="error after selection against the surrogate's quality; weaker surrogates can win",
    minutes=(1, 10),
    grid=_grid,
    draw=_draw,
    table=_table,
    claims=_claims,
)
