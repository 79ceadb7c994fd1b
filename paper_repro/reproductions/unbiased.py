"""Reweighted (unbiased) against non-reweighted (biased) selection, on the axes of Figure 2.

Influence sampling is the reweighted power selection with alpha = 1/2. Unbiased selection has an
excess error of E[Z/pi]/N with Z(x) = Tr(G H^-1 Q H^-1), which pi = min(1, c sqrt(Z)) minimises. For
a logistic regression that is true, G = p (1 - p) x x^T, so that Z = p (1 - p) x^T H^-1 Q H^-1 x; in
high dimension the quadratic form concentrates, which leaves sqrt(Z) ~ [p (1 - p)]^(1/2). Its p is
that of the score: for f1 and f2, whose labels are not logistic in it, this is a plug-in rule.
"""

from typing import Any

import pandas as pd
import xarray as xr
from matplotlib.figure import Figure

from figures import difference, difference_panels, fraction_panels
from paper_repro.claims import Claim, agreement_claim, at_least, at_most, theory_claim
from paper_repro.reproduction import Reproduction
from paper_repro.reproductions.comparisons import compared
from paper_repro.reproductions.figure_2 import AXES as FIGURE_2_AXES
from paper_repro.reproductions.settings import (
    COLUMN_TITLES,
    HIGH_DIMENSION,
    LABELS,
    LOW_DIMENSION,
    full_sample,
    size,
)
from simulate.experiment import Size
from theory import PowerSelection, Problem

WEIGHTINGS = {"biased": False, "unbiased": True}
AXES: dict[str, Any] = {"weighting": list(WEIGHTINGS), **FIGURE_2_AXES}


def _problem(
    weighting: str,
    labels: str,
    samples_per_dimension: float,
    ridge: float,
    alpha: float,
    fraction: float,
) -> Problem:
    selection = PowerSelection(alpha, fraction, reweight=WEIGHTINGS[weighting])
    return full_sample(labels, samples_per_dimension, ridge).replace({"selection": selection})


def _size(samples_per_dimension: float, fraction: float, full: bool, **_: Any) -> Size | None:
    paper = size(samples_per_dimension, full, fraction)
    return paper if full or paper is None else Size(min(paper.dimension, 200), 30)


def _draw(results: xr.Dataset) -> dict[str, Figure]:
    biased, unbiased = (results.sel(weighting=name) for name in WEIGHTINGS)
    pictures = {
        "unbiased-vs-biased": difference_panels(
            difference(unbiased, biased),
            "Reweighting by 1/π costs where easy samples are preferred (blue, above zero), and pays"
            " where hard ones are and little is kept\n"
            "perfect surrogate; scales differ between panels",
            "unbiased − biased (points)",
            [
                ({"labels": labels, "samples_per_dimension": size_}, f"{labels}, {title}")
                for size_, title in COLUMN_TITLES.items()
                for labels in LABELS
            ],
            {0.5: "α = 0.5 (reweighted: influence sampling)"},
        )
    }
    for labels in LABELS:
        pictures[f"unbiased-{labels}"] = fraction_panels(
            unbiased.sel(labels=labels),
            "Unbiased subsets beat the full sample in high dimension and at weak ridges only\n"
            f"{labels} labels, perfect surrogate, reweighted by 1/π (α = 0.5: influence sampling)",
            "samples_per_dimension",
            COLUMN_TITLES,
        )
    return pictures


def _table(results: xr.Dataset) -> pd.DataFrame:
    """Where unbiasedness costs most, by how much; and the same for influence sampling."""
    error = results.theory_misclassification.sel(fraction=results.fraction < 1)
    rows = []
    for labels in LABELS:
        for size_ in COLUMN_TITLES:
            for ridge in results.ridge.values:
                at = {"labels": labels, "samples_per_dimension": size_, "ridge": ridge}
                panel = 100 * error.sel(at)
                gap = panel.sel(weighting="unbiased") - panel.sel(weighting="biased")
                worst = gap.isel(gap.argmax(["alpha", "fraction"]))
                best = panel.min("alpha")
                unbiased = best.sel(weighting="unbiased") - best.sel(weighting="biased")
                rows.append(
                    {
                        **at,
                        "largest cost of unbiasedness (points)": float(worst),
                        "at α": float(worst.alpha),
                        "at γ": float(worst.fraction),
                        "of influence sampling": float(gap.sel(alpha=0.5).max()),
                        "best unbiased − best biased, largest": float(unbiased.max()),
                        "smallest": float(unbiased.min()),
                    }
                )
    return pd.DataFrame(rows)


def _claims(results: xr.Dataset) -> list[Claim]:
    def against(
        labels: str, size_: float, ridge: float, alpha: float, fraction: float
    ) -> list[dict[str, Any]]:
        values = (labels, size_, ridge, alpha, fraction)
        point = dict(zip(FIGURE_2_AXES, values, strict=True))
        return [{"weighting": name, **point} for name in WEIGHTINGS]

    claims = []
    for labels, size_, ridge, fraction in (
        ("f1", LOW_DIMENSION, 0.001, 0.4),
        ("f2", LOW_DIMENSION, 0.01, 0.5),
    ):
        biased, unbiased = against(labels, size_, ridge, 0.5, fraction)
        claims += compared(
            results,
            "paper",
            "Influence sampling, with the score as logit, is suboptimal: without reweighting the"
            " same probabilities are better",
            biased,
            unbiased,
        )
    biased, unbiased = against("f1", HIGH_DIMENSION, 0.01, -1.0, 0.2)
    claims += compared(
        results,
        "paper",
        "Reweighting costs in high dimension too",
        biased,
        unbiased,
    )
    full = results.isel(alpha=0).sel(weighting="biased", fraction=1.0)
    subsets = results.sel(fraction=results.fraction < 1)
    excess = at_least(subsets.sel(weighting="unbiased")) - at_most(full)
    low = excess.sel(samples_per_dimension=LOW_DIMENSION)
    claims.append(
        theory_claim(
            "here",
            "In low dimension (N/p = 36.9) no unbiased selection beats the full sample, for f1 or"
            " f2, any of the ridges, exponents and fractions",
            float(low.min()) > 0,
            f"smallest excess error {100 * float(low.min()):.3f} points",
            results.sel(samples_per_dimension=LOW_DIMENSION),
        )
    )
    least, most = at_least(subsets).min("alpha"), at_most(subsets).min("alpha")
    cost = float((least.sel(weighting="unbiased") - most.sel(weighting="biased")).max())
    win = float((least.sel(weighting="biased") - most.sel(weighting="unbiased")).max())
    claims.append(
        theory_claim(
            "here",
            "Unbiasedness can cost more than 4 points of error even with the best exponent",
            cost > 0.04,
            f"largest cost {100 * cost:.2f} points",
            results,
        )
    )
    claims.append(
        theory_claim(
            "here",
            "It is not always a loss: where little is kept, reweighting can win by more than"
            " 2 points with the best exponent on either side",
            win > 0.02,
            f"largest gain {100 * win:.2f} points",
            results,
        )
    )
    biased, unbiased = against("f1", HIGH_DIMENSION, 0.001, 1.0, 0.8)
    claims += compared(
        results,
        "here",
        "In high dimension even an unbiased subset can beat the full sample",
        unbiased,
        unbiased | {"fraction": 1.0},
    )
    return [*claims, agreement_claim(results)]


FIGURE = Reproduction(
    name="unbiased-vs-biased",
    title="Unbiased (reweighted) against biased selection",
    shows="reweighting by 1/π, influence sampling too, costs up to several points of error",
    minutes=(2.1, 45),
    axes=AXES,
    problem=_problem,
    size=_size,
    draw=_draw,
    table=_table,
    claims=_claims,
)
