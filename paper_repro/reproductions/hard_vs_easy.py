"""Which exponent wins: hard samples in low dimension, easy ones in high dimension."""

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.figure import Figure

from figures import (
    POWER_STYLES,
    add_legend,
    caption,
    difference,
    draw_curve,
    figure_style,
    log_ticks,
    panel_grid,
    refined,
    winner_legend,
    winner_map,
)
from paper_repro.claims import Claim, agreement_claim, at_least, at_most, theory_claim
from paper_repro.reproduction import Reproduction
from paper_repro.reproductions.comparisons import compared
from paper_repro.reproductions.settings import ALPHAS, full_sample
from simulate.experiment import Size
from theory import PowerSelection, Problem

CUT = 0.3
SIMULATED_SIZES = (1.5, 3.3, 7.5, 17.0, 37.0, 80.0)
"""The fraction, and the N/p along it, at which simulations check the theory."""

AXES: dict[str, Any] = {
    "labels": ["f1", "f2"],
    "samples_per_dimension": sorted({*SIMULATED_SIZES, *np.geomspace(1, 80, 36).round(3).tolist()}),
    "fraction": sorted({0.0625, 0.0875, 0.1125, *np.arange(0.05, 0.96, 0.025).round(4).tolist()}),
    "alpha": ALPHAS,
}


def _problem(labels: str, samples_per_dimension: float, fraction: float, alpha: float) -> Problem:
    selection = PowerSelection(alpha, fraction)
    return full_sample(labels, samples_per_dimension).replace({"selection": selection})


def _size(samples_per_dimension: float, fraction: float, full: bool, **_: Any) -> Size | None:
    if fraction != CUT or samples_per_dimension not in SIMULATED_SIZES:
        return None
    return Size(1000 if full else 200, 20)


def _draw(results: xr.Dataset) -> dict[str, Figure]:
    return {"hard-vs-easy": _map(results), "hard-vs-easy-cut": _cut(results)}


def _map(results: xr.Dataset) -> Figure:
    styles = [POWER_STYLES[alpha] for alpha in ALPHAS]
    with figure_style():
        figure, axes = panel_grid(
            1,
            results.sizes["labels"],
            "Hard samples win at large N/p and fraction, easy ones at small\n"
            "exponent α of the smallest error; theory, perfect surrogate, biased selection,"
            " ridge λ = 0.01",
            panel=(4.2, 3.6),
        )
        for axis, labels in zip(axes[0], results.labels.values, strict=True):
            errors = refined(
                results.theory_misclassification.sel(labels=labels, alpha=list(ALPHAS))
            )
            x, y = 100 * errors.fraction.values, errors.samples_per_dimension.values
            winner_map(axis, errors.values, x, y, styles)
            log_ticks(axis, "y", [1, 3, 10, 30, 80])
            axis.set_title(f"{labels} labels")
            axis.set_xlabel("fraction of the pool kept, n/N (%)")
        axes[0, 0].set_ylabel("samples per dimension N/p")
        winner_legend(figure, styles)
    return figure


def _cut(results: xr.Dataset) -> Figure:
    at_cut = results.sel(fraction=CUT)
    gap = difference(at_cut, at_cut.sel(alpha=0.0))
    with figure_style():
        figure, axes = panel_grid(
            1,
            results.sizes["labels"],
            f"At γ = {CUT:g} hard samples lose to random ones at small N/p and win at large, easy"
            " ones the other way round\n"
            f"ridge λ = 0.01;  {caption(gap)}",
            panel=(4.2, 3.4),
            share_y=False,
        )
        for axis, labels in zip(axes[0], results.labels.values, strict=True):
            axis.axhline(0, color="#777777", linewidth=1, linestyle=":")
            for alpha in ALPHAS:
                if alpha != 0:
                    curve = gap.sel(labels=labels, alpha=alpha)
                    draw_curve(axis, gap.samples_per_dimension, curve, POWER_STYLES[alpha])
            log_ticks(axis, "x", [1, 3, 10, 30, 80])
            axis.set_title(f"{labels} labels")
            axis.set_xlabel("samples per dimension N/p")
        axes[0, 0].set_ylabel("misclassification, minus that of\nrandom selection (points)")
        add_legend(figure, axes[0, 0])
    return figure


def _table(results: xr.Dataset) -> pd.DataFrame:
    """The winning exponent by N/p (rows) and fraction (columns), at some of them."""
    error = results.theory_misclassification.sel(
        samples_per_dimension=[1.0, *SIMULATED_SIZES],
        fraction=[0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9],
    )
    winners = error.alpha[error.argmin("alpha")].drop_vars("alpha").rename("winner")
    table = pd.DataFrame(winners.to_dataframe().winner.unstack("fraction"))
    return table.rename(columns=lambda fraction: f"γ = {fraction:g}").reset_index()


def _claims(results: xr.Dataset) -> list[Claim]:
    claims = []
    hard, easy = results.sel(alpha=[0.5, 1.0]), results.sel(alpha=[-0.5, -1.0])
    gap = hard.theory_misclassification.min("alpha") - easy.theory_misclassification.min("alpha")
    easy_wins = at_most(easy).min("alpha") < at_least(hard).min("alpha")
    hard_wins = at_most(hard).min("alpha") < at_least(easy).min("alpha")
    sign = easy_wins.astype(int) - hard_wins.astype(int)
    for labels in results.labels.values:
        for fraction in (CUT, 0.7):
            column = gap.sel(labels=labels, fraction=fraction)
            signs = sign.sel(labels=labels, fraction=fraction).values
            flips = np.flatnonzero(np.diff(signs))
            bounds = [
                f"{results.samples_per_dimension.values[k + i]:g}" for k in flips for i in (0, 1)
            ]
            claims.append(
                theory_claim(
                    "here",
                    "Easy samples win in high dimension and hard ones in low dimension, with one"
                    f" change: {labels}, γ = {fraction:g}, ridge 0.01",
                    len(flips) == 1 and signs[0] > 0 > signs[-1],
                    f"hard − easy from {100 * float(column[0]):+.2f} to"
                    f" {100 * float(column[-1]):+.2f} points; sign change between N/p ="
                    f" {' and '.join(bounds)}",
                    results.sel(labels=labels, fraction=fraction),
                )
            )
        for size, better, worse in ((1.5, -1.0, 1.0), (80.0, 1.0, -1.0)):
            at = {"labels": str(labels), "samples_per_dimension": size, "fraction": CUT}
            claims += compared(
                results,
                "paper",
                f"{'Hard' if better > 0 else 'Easy'} samples win, ridge 0.01",
                at | {"alpha": better},
                at | {"alpha": worse},
            )
    random = results.sel(alpha=0.0)
    where = {"samples_per_dimension": slice(11.0, None), "fraction": slice(0.3, None)}
    broad = hard.theory_misclassification.min("alpha") - random.theory_misclassification
    beaten = (at_most(hard).min("alpha") < at_least(random)).sel(where)
    claims.append(
        theory_claim(
            "paper",
            "Uncertainty works broadly: at N/p ≥ 11 and γ ≥ 0.3 a hard exponent (0.5 or 1) beats"
            " random selection everywhere, for f1 and f2",
            bool(beaten.all()),
            f"hard − random between {100 * float(broad.sel(where).min()):.2f} and"
            f" {100 * float(broad.sel(where).max()):.2f} points",
            results.sel(where).sel(alpha=[0.0, 0.5, 1.0]),
        )
    )
    few = gap.sel(fraction=0.05)
    claims.append(
        theory_claim(
            "here",
            "Where only 5 % is kept, easy samples win at every N/p up to 80, for f1 and f2",
            bool(easy_wins.sel(fraction=0.05).all()),
            f"hard − easy is at least {100 * float(few.min()):.2f} points",
            results.sel(fraction=0.05),
        )
    )
    return [*claims, agreement_claim(results)]


FIGURE = Reproduction(
    name="hard-vs-easy",
    title="Hard or easy samples? The exponent that wins",
    shows="the sign flip between low and high dimension, as a map over N/p and fraction",
    minutes=(0.9, 7),
    axes=AXES,
    problem=_problem,
    size=_size,
    draw=_draw,
    table=_table,
    claims=_claims,
)
