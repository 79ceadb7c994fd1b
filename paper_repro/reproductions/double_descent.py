"""Double descent: is its peak the rule's doing, or the number of labels'?

The error over the labels in the final fit, for every rule, with the surrogate's labels among them
and without.
"""

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from figures import caption, draw_curve, figure_style, panel_grid
from paper_repro.claims import Claim, agreement_claim, theory_claim
from paper_repro.reproduction import Reproduction
from paper_repro.reproductions.comparisons import compared
from paper_repro.reproductions.top_k import SCHEMES as TOP_SCHEMES
from paper_repro.reproductions.top_k import STYLES
from simulate.experiment import Size
from theory import F1, LogisticLoss, Problem, SingleIndex, SquaredLoss, TrainedSurrogate

BOUGHT, POOL = 0.5, 8.0
"""Samples per dimension of the surrogate and of the pool."""

LOSSES = {"squared loss": SquaredLoss(), "logistic loss": LogisticLoss()}
RIDGES = (1e-4, 0.01, 0.1)
SCHEMES = ("only easiest", "random", "α = 1", "only hardest")
REUSE = ("without reuse", "with reuse")
SIMULATED = (0.6, 1.0, 1.6, 2.4)
FITTED = tuple(sorted({*np.arange(0.6, 1.65, 0.05).round(3).tolist(), 1.8, 2.0, 2.4, 2.8, 3.2}))
"""Labels per dimension in the final fit, the surrogate's among them where these are used again."""

PEAK = 0.05
"""How far from one label per dimension the peak may be: a step of the grid."""

AXES: dict[str, Any] = {
    "loss": list(LOSSES),
    "ridge": RIDGES,
    "reuse": list(REUSE),
    "scheme": list(SCHEMES),
    "fitted": FITTED,
}


def _problem(loss: str, ridge: float, reuse: str, scheme: str, fitted: float) -> Problem:
    weight = float(REUSE.index(reuse))
    fraction = (fitted - weight * BOUGHT) / POOL
    surrogate = TrainedSurrogate(BOUGHT, 0.05, reuse=weight)
    selection = TOP_SCHEMES[scheme](fraction)
    return Problem(SingleIndex(F1, 5.0), selection, ridge, POOL, surrogate, LOSSES[loss])


def _size(fitted: float, full: bool, **_: Any) -> Size | None:
    if fitted not in SIMULATED:
        return None
    return Size(600, 40) if full else Size(150, 30)


def _draw(results: xr.Dataset) -> dict[str, Figure]:
    with figure_style():
        figure, axes = panel_grid(
            len(LOSSES),
            len(RIDGES),
            "The peak is the number of labels' doing, not the rule's: squared loss, weak ridge,"
            " one label per dimension\n"
            f"f1 labels, surrogate of {BOUGHT:g} p labels, pool {POOL:g} p\n{caption(results)}",
            panel=(3.6, 2.8),
            share_y="row",
        )
        for i, loss in enumerate(LOSSES):
            for j, ridge in enumerate(RIDGES):
                axis = axes[i, j]
                axis.axvline(1, color="#777777", lw=1, ls=":")
                for scheme in SCHEMES:
                    for reuse, line in zip(REUSE, ("--", "-"), strict=True):
                        curve = results.sel(loss=loss, ridge=ridge, reuse=reuse, scheme=scheme)
                        label = STYLES[scheme].label if reuse == REUSE[1] else ""
                        draw_curve(axis, curve.fitted, curve, STYLES[scheme], line, label)
                axis.set_title(f"{loss}, ridge λ = {ridge:g}")
            axes[i, 0].set_ylabel("test misclassification (%)")
        for axis in axes[-1]:
            axis.set_xlabel("labels in the final fit, per dimension")
        handles = [
            Line2D([], [], color="#333333", ls=line, label=f"{reuse} of the surrogate's labels")
            for reuse, line in zip(REUSE, ("--", "-"), strict=True)
        ]
        known, labels = axes[0, 0].get_legend_handles_labels()
        named = [(h, text) for h, text in zip(known, labels, strict=True) if text]
        figure.legend(
            handles=[*(h for h, _ in named), *handles],
            labels=[*(text for _, text in named), *(h.get_label() for h in handles)],
            loc="outside lower center",
            ncols=3,
        )
    return {"double-descent": figure}


def _peaks(results: xr.Dataset) -> pd.DataFrame:
    """The highest point of each curve above its left neighbours, and how far it stands out.

    height: in points, above the lowest error at fewer labels; 0 where the error only falls.
    """
    error = 100 * results.theory_misclassification
    rows = []
    for loss in LOSSES:
        for ridge in RIDGES:
            for reuse in REUSE:
                for scheme in SCHEMES:
                    curve = error.sel(loss=loss, ridge=ridge, reuse=reuse, scheme=scheme).values
                    rise = curve - np.minimum.accumulate(curve)
                    top = int(rise.argmax())
                    rows.append(
                        {
                            "loss": loss,
                            "ridge": ridge,
                            "reuse": reuse,
                            "scheme": scheme,
                            "peak at": FITTED[top] if rise[top] > 0 else np.nan,
                            "height (points)": float(rise[top]),
                        }
                    )
    return pd.DataFrame(rows)


def _claims(results: xr.Dataset) -> list[Claim]:
    peaks = _peaks(results)
    weak = peaks[(peaks.loss == "squared loss") & (peaks.ridge == RIDGES[0])]
    strong = peaks[(peaks.loss == "squared loss") & (peaks.ridge == RIDGES[-1])]
    logistic = peaks[peaks.loss == "logistic loss"]
    height = "height (points)"
    squared = results.sel(loss="squared loss")
    claims = [
        theory_claim(
            "here",
            "With the squared loss and a weak ridge the error peaks at one label per dimension, for"
            " every rule, with and without the surrogate's labels",
            bool(((weak["peak at"] - 1).abs() <= PEAK).all()),
            f"peaks at {weak['peak at'].min():g} to {weak['peak at'].max():g} labels per"
            f" dimension, {weak[height].min():.1f} to {weak[height].max():.1f} points high",
            squared.sel(ridge=RIDGES[0]),
        ),
        theory_claim(
            "here",
            f"At ridge {RIDGES[-1]:g} no rule has a peak",
            bool((strong[height] == 0).all()),
            f"the error rises by at most {strong[height].max():.2f} points",
            squared.sel(ridge=RIDGES[-1]),
        ),
        theory_claim(
            "here",
            "With the logistic loss there is none at any of these ridges",
            bool((logistic[height] == 0).all()),
            f"the error rises by at most {logistic[height].max():.2f} points",
            results.sel(loss="logistic loss"),
        ),
    ]
    for scheme in SCHEMES:
        at = {"loss": "squared loss", "ridge": RIDGES[0], "reuse": REUSE[1], "scheme": scheme}
        claims += compared(
            results,
            "here",
            "Fewer labels are better",
            at | {"fitted": 0.6},
            at | {"fitted": 1.0},
        )
    return [*claims, agreement_claim(results)]


FIGURE = Reproduction(
    name="double-descent",
    title="Double descent: the rule's doing, or the number of labels'?",
    shows="the error peaks at one label per dimension whatever the rule, for the squared loss only",
    minutes=(0.9, 8),
    axes=AXES,
    problem=_problem,
    size=_size,
    draw=_draw,
    table=_peaks,
    claims=_claims,
)
