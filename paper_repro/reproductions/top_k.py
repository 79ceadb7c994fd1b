"""Keeping only the hardest samples: where it fails, against power selection and random."""

from collections.abc import Callable
from typing import Any

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
from paper_repro.claims import (
    Claim,
    agreement,
    agreement_claim,
    at_least,
    at_most,
    theory_claim,
)
from paper_repro.reproduction import Reproduction
from paper_repro.reproductions.comparisons import compared
from paper_repro.reproductions.settings import (
    COLUMN_TITLES,
    FRACTIONS,
    HIGH_DIMENSION,
    LABELS,
    LOW_DIMENSION,
    full_sample,
    size,
)
from theory import PowerSelection, Problem, RandomSelection, TopSelection

SCHEMES: dict[str, Callable[[float], Any]] = {
    "only easiest": lambda fraction: TopSelection("easy", fraction),
    "α = −1": lambda fraction: PowerSelection(-1.0, fraction),
    "random": RandomSelection,
    "α = 1": lambda fraction: PowerSelection(1.0, fraction),
    "only hardest": lambda fraction: TopSelection("hard", fraction),
}
STYLES = {
    "only easiest": TOP_STYLES["easy"],
    "α = −1": POWER_STYLES[-1.0],
    "random": POWER_STYLES[0.0],
    "α = 1": POWER_STYLES[1.0],
    "only hardest": TOP_STYLES["hard"],
}
AXES: dict[str, Any] = {
    "labels": list(LABELS),
    "samples_per_dimension": [LOW_DIMENSION, HIGH_DIMENSION],
    "scheme": list(SCHEMES),
    "fraction": FRACTIONS,
}


def _problem(labels: str, samples_per_dimension: float, scheme: str, fraction: float) -> Problem:
    selection = SCHEMES[scheme](fraction)
    return full_sample(labels, samples_per_dimension).replace({"selection": selection})


def _draw(results: xr.Dataset) -> dict[str, Figure]:
    with figure_style():
        figure, axes = panel_grid(
            results.sizes["labels"],
            results.sizes["samples_per_dimension"],
            "Keeping only the hardest fails where little is kept, and can win where much is\n"
            f"perfect surrogate, biased selection, ridge λ = 0.01\n{caption(results)}",
            panel=(4.2, 2.8),
            share_y=False,
        )
        for i, labels in enumerate(results.labels.values):
            for j, size_ in enumerate(results.samples_per_dimension.values):
                axis = axes[i, j]
                panel = results.sel(labels=labels, samples_per_dimension=size_)
                full = 100 * float(panel.theory_misclassification.sel(fraction=1.0)[0])
                axis.axhline(full, color="#777777", linewidth=1, linestyle=":", label="full sample")
                for scheme, style in STYLES.items():
                    draw_curve(axis, 100 * panel.fraction, panel.sel(scheme=scheme), style)
                axis.set_title(f"{labels} labels, {COLUMN_TITLES[size_]}")
            axes[i, 0].set_ylabel("test misclassification (%)")
        for axis in axes[-1]:
            axis.set_xlabel("fraction of the pool kept, n/N (%)")
        add_legend(figure, axes[0, 0])
    return {"top-k-failure": figure}


def _claims(results: xr.Dataset) -> list[Claim]:
    claims = []
    for labels, size_, fraction, other in (
        ("f1", HIGH_DIMENSION, 0.3, "random"),
        ("f1", HIGH_DIMENSION, 0.3, "α = 1"),
        ("f1", LOW_DIMENSION, 0.1, "random"),
        ("f1", LOW_DIMENSION, 0.1, "α = 1"),
        ("f2", HIGH_DIMENSION, 0.3, "random"),
    ):
        where = {"labels": labels, "samples_per_dimension": size_, "fraction": fraction}
        claims += compared(
            results,
            "paper",
            "Keeping only the hardest fails, ridge 0.01",
            where | {"scheme": other},
            where | {"scheme": "only hardest"},
        )
    point = results.sel(labels="f1", samples_per_dimension=LOW_DIMENSION, fraction=0.1)
    worst = float(at_least(point.sel(scheme="only hardest")))
    chance = float(at_most(point.sel(scheme="random")))
    claims.append(
        theory_claim(
            "paper",
            "It can fail badly: f1, N/p = 36.9, ridge 0.01, γ = 0.1 it more than doubles the"
            " error of random selection",
            worst > 2 * chance,
            f"{worst:.2%} against {chance:.2%}",
            point,
        )
    )
    for labels in LABELS:
        at = {
            "labels": labels,
            "samples_per_dimension": LOW_DIMENSION,
            "scheme": "only hardest",
        }
        claims += compared(
            results,
            "here",
            "Keeping only the hardest beats the full sample where much is kept, ridge 0.01",
            at | {"fraction": 0.7},
            at | {"fraction": 1.0},
        )
    return [*claims, agreement_claim(results)]


def _table(results: xr.Dataset) -> pd.DataFrame:
    return agreement(results, ["labels", "samples_per_dimension", "scheme"])


FIGURE = Reproduction(
    name="top-k-failure",
    title="Only the hardest samples: failure of top-k selection",
    shows="keeping only the hardest can be worse than twice the error of random selection",
    minutes=(0.25, 6),
    axes=AXES,
    problem=_problem,
    size=size,
    draw=_draw,
    table=_table,
    claims=_claims,
)
