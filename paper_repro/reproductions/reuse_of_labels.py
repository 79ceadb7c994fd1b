"""Every rule with and without the surrogate's own labels in the final fit: who fails, and where."""

from collections.abc import Callable
from typing import Any

import pandas as pd
import xarray as xr
from matplotlib.figure import Figure

from figures import (
    POWER_STYLES,
    add_legend,
    caption,
    draw_curve,
    figure_style,
    log_ticks,
    panel_grid,
)
from paper_repro.claims import Claim, agreement_claim, at_least, at_most, theory_claim
from paper_repro.reproduction import Reproduction
from paper_repro.reproductions.comparisons import compared
from paper_repro.reproductions.settings import HIGH_DIMENSION, LABELS, LOW_DIMENSION
from paper_repro.reproductions.top_k import SCHEMES as TOP_SCHEMES
from paper_repro.reproductions.top_k import STYLES as TOP_K_STYLES
from simulate.experiment import Size
from theory import GaussianMixture, PowerSelection, Problem, TrainedSurrogate
from theory.kinds import DataModel

DATA: dict[str, DataModel] = {**LABELS, "mixture": GaussianMixture(1.0)}
TITLES = {"f1": "f1 labels", "f2": "f2 labels", "mixture": "mixture, r = 1"}
MESSAGES = {
    "f1": "Only the hardest is the worst rule alone; beside the surrogate's own labels it is among"
    " the best, but where a fifth to a half of a large pool is kept",
    "f2": "Where labels are nearly random the rule hardly matters: the surrogate's own labels do",
    "mixture": "Alone hard samples fail where little is kept; beside the surrogate's own labels"
    " they win, by a little",
}
"""What is seen, by data."""

RIDGE = 0.01
SCHEMES: dict[str, Callable[[float], Any]] = {
    **TOP_SCHEMES,
    "α = 0.5": lambda fraction: PowerSelection(0.5, fraction),
}
STYLES = {**TOP_K_STYLES, "α = 0.5": POWER_STYLES[0.5]}
REUSE = ("without reuse", "with reuse")
"""Weights 0 and 1 of the surrogate's labels in the final fit."""

FRACTIONS = (0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
SIMULATED = (0.05, 0.1, 0.2, 0.4, 0.8)

AXES: dict[str, Any] = {
    "labels": list(DATA),
    "samples_per_dimension": [LOW_DIMENSION, HIGH_DIMENSION],
    "reuse": list(REUSE),
    "scheme": list(SCHEMES),
    "fraction": FRACTIONS,
}
COLUMNS = {LOW_DIMENSION: "pool 36.9 p", HIGH_DIMENSION: "pool 2.29 p"}


def _problem(
    labels: str, samples_per_dimension: float, reuse: str, scheme: str, fraction: float
) -> Problem:
    surrogate = TrainedSurrogate(2.0, 0.05, reuse=float(REUSE.index(reuse)))
    selection = SCHEMES[scheme](fraction)
    return Problem(DATA[labels], selection, RIDGE, samples_per_dimension, surrogate)


def _size(samples_per_dimension: float, fraction: float, full: bool, **_: Any) -> Size | None:
    if fraction not in SIMULATED:
        return None
    low = samples_per_dimension == LOW_DIMENSION
    if full:
        return Size(400, 40) if low else Size(1000, 40)
    return Size(60, 40) if low else Size(200, 40)


def _draw(results: xr.Dataset) -> dict[str, Figure]:
    return {f"reuse-of-labels-{labels}": _picture(results.sel(labels=labels)) for labels in DATA}


def _picture(results: xr.Dataset) -> Figure:
    """Rows: the size of the pool; columns: without and with the surrogate's labels."""
    with figure_style():
        figure, axes = panel_grid(
            results.sizes["samples_per_dimension"],
            len(REUSE),
            f"{MESSAGES[str(results.labels.values)]}\n"
            f"{TITLES[str(results.labels.values)]}; surrogate of 2 p labels; ridge λ = {RIDGE:g}\n"
            f"{caption(results)}",
            panel=(4.2, 2.9),
            share_y="row",
        )
        for i, size in enumerate(results.samples_per_dimension.values):
            for j, reuse in enumerate(REUSE):
                axis, panel = axes[i, j], results.sel(samples_per_dimension=size, reuse=reuse)
                alone = 100 * float(panel.theory_first_stage.isel(scheme=0, fraction=0))
                axis.axhline(alone, color="#777777", lw=1, ls=":", label="surrogate by itself")
                for scheme, style in STYLES.items():
                    draw_curve(axis, 100 * panel.fraction, panel.sel(scheme=scheme), style)
                axis.set_title(f"{reuse}, {COLUMNS[size]}")
                log_ticks(axis, "x", [5, 10, 20, 40, 100])
            axes[i, 0].set_ylabel("test misclassification (%)")
        for axis in axes[-1]:
            axis.set_xlabel("fraction of the pool kept, n/N (%)")
        add_legend(figure, axes[0, 0])
    return figure


def _table(results: xr.Dataset) -> pd.DataFrame:
    """Error in percent without / with reuse, by data, pool and rule, at some fractions."""
    error = 100 * results.theory_misclassification.sel(fraction=[0.05, 0.1, 0.2, 0.4, 0.8])
    rows = error.to_dataframe().theory_misclassification.unstack("reuse")
    text = rows[REUSE[0]].map("{:.2f}".format) + " / " + rows[REUSE[1]].map("{:.2f}".format)
    table = pd.DataFrame(text.unstack("fraction"))
    return table.rename(columns=lambda fraction: f"γ = {fraction:g}").reset_index()


def _claims(results: xr.Dataset) -> list[Claim]:
    without, reused = REUSE

    def at(labels: str, size: float, reuse: str, scheme: str, fraction: float) -> dict[str, Any]:
        return dict(zip(AXES, (labels, size, reuse, scheme, fraction), strict=True))

    claims = []
    for labels, size, fraction in (
        ("f1", LOW_DIMENSION, 0.1),
        ("f1", HIGH_DIMENSION, 0.4),
        ("mixture", HIGH_DIMENSION, 0.4),
    ):
        for reuse, better, worse, why in (
            (without, "random", "only hardest", "Keeping only the hardest fails"),
            (reused, "only hardest", "random", "Beside the surrogate's labels it wins"),
        ):
            claims += compared(
                results,
                "here",
                why,
                at(labels, size, reuse, better, fraction),
                at(labels, size, reuse, worse, fraction),
            )
    claims += compared(
        results,
        "here",
        "It still fails against random in between, at this ridge",
        at("f1", LOW_DIMENSION, reused, "random", 0.4),
        at("f1", LOW_DIMENSION, reused, "only hardest", 0.4),
    )
    part = results.sel(fraction=results.fraction < 1)
    error = 100 * part.theory_misclassification
    lost = error.sel(scheme="only hardest") - error.sel(scheme="random")
    alone, beside = lost.sel(reuse=without), lost.sel(reuse=reused)
    worst = beside.where(beside == beside.max(), drop=True).coords
    claims.append(
        theory_claim(
            "here",
            "Beside the surrogate's labels the hardest lose at most a point to random selection,"
            " for every data model, pool and fraction",
            float(beside.max()) <= 1,
            f"at most {float(beside.max()):.2f} points ({worst['labels'].values[0]}, N/p ="
            f" {worst['samples_per_dimension'].values[0]:.3g}, γ ="
            f" {worst['fraction'].values[0]:g}) against {float(alone.max()):.2f} without these;"
            f" they lose at {int((beside > 0).sum())} of {beside.size} points, against"
            f" {int((alone > 0).sum())}",
            part,
        )
    )
    once, again = (part.sel(reuse=name) for name in REUSE)
    helps = at_most(again) < at_least(once)
    gain = 100 * (once.theory_misclassification - again.theory_misclassification)
    easy = ["only easiest", "α = −1"]
    others = [name for name in SCHEMES if name not in easy]
    claims.append(
        theory_claim(
            "here",
            "The surrogate's labels help every rule that does not prefer easy samples, at every"
            " fraction",
            bool(helps.sel(scheme=others).all()),
            f"by {float(gain.sel(scheme=others).min()):.2f} to"
            f" {float(gain.sel(scheme=others).max()):.2f} points",
            part.sel(scheme=others),
        )
    )
    hurt = at_most(once) < at_least(again)
    claims.append(
        theory_claim(
            "here",
            "They can hurt rules that prefer easy samples, at this ridge",
            bool(hurt.sel(scheme=easy).any()),
            f"at {int(hurt.sel(scheme=easy).sum())} of {hurt.sel(scheme=easy).size} points, by up"
            f" to {-float(gain.sel(scheme=easy).min()):.2f} points",
            part.sel(scheme=easy),
        )
    )
    claims += compared(
        results,
        "here",
        "They hurt",
        at("mixture", LOW_DIMENSION, without, "only easiest", 0.1),
        at("mixture", LOW_DIMENSION, reused, "only easiest", 0.1),
    )
    return [*claims, agreement_claim(results)]


FIGURE = Reproduction(
    name="reuse-of-labels",
    title="The surrogate's labels, used again",
    shows="only the hardest: the worst rule alone, the best beside the surrogate's own labels",
    minutes=(0.8, 8),
    axes=AXES,
    problem=_problem,
    size=_size,
    draw=_draw,
    table=_table,
    claims=_claims,
)
