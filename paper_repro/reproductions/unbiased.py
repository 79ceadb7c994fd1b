"""Reweighted (unbiased) against non-reweighted (biased) selection, on the axes of Figure 2.

Influence sampling is the reweighted power selection with alpha = 1/2. Unbiased selection has an
excess error of E[Z/pi]/N with Z(x) = Tr(G H^-1 Q H^-1), which pi = min(1, c sqrt(Z)) minimises. For
a logistic regression that is true, G = p (1 - p) x x^T, so that Z = p (1 - p) x^T H^-1 Q H^-1 x; in
high dimension the quadratic form concentrates, which leaves sqrt(Z) ~ [p (1 - p)]^(1/2). Its p is
that of the score: for f1 and f2, whose labels are not logistic in it, this is a plug-in rule. The
true rule knows f = P(y = 1 | x), G = [f (1 - p)^2 + (1 - f) p^2] x x^T, with p the model's own
probability where it fits best on infinitely many samples.
"""

import math
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import expit

from figures import (
    add_legend,
    difference,
    difference_panels,
    figure_style,
    fraction_panels,
    panel_grid,
)
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
from theory import (
    FixedFraction,
    PowerSelection,
    Problem,
    RandomSelection,
    Rule,
    ScoreLaw,
    SingleIndex,
    predict,
)
from theory.selection import capped_probabilities

WEIGHTINGS = {"biased": False, "unbiased": True}
INFLUENCE, OPTIMAL = "true influence", "optimal"
"""The reweighted rule that knows P(y | x), and the best one without weights: whatever alpha."""

AXES: dict[str, Any] = {"weighting": [*WEIGHTINGS, INFLUENCE, OPTIMAL], **FIGURE_2_AXES}

MANY = 1e4
"""N/p that stands for infinitely many samples."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class InfluenceSelection(FixedFraction):
    """pi(t) = min(1, c [f (1 - p)^2 + (1 - f) p^2]^(1/2)), f = P(y = 1 | t), p = sigma(slope h).

    data: whose score is t = signal_norm h. slope: the model's coefficient along h.
    """

    fraction: float
    data: SingleIndex
    slope: float
    reweight: bool = True

    def _log_sizes(self, t: Array) -> Array:
        h = t / self.data.signal_norm
        f, p = self.data.label_probability(h), expit(self.slope * h)
        return np.asarray(np.log(f * (1 - p) ** 2 + (1 - f) * p**2) / 2)

    def law_rule(self, law: ScoreLaw) -> Rule:
        jumps = (0.0, *self.data.link.jumps)

        def rule(log_c: float) -> Rule:
            t = np.linspace(-law.largest, law.largest, 4001)
            excess = log_c + self._log_sizes(t)
            crossed = np.flatnonzero(np.sign(excess[1:]) != np.sign(excess[:-1]))
            ends = [self._crossing(log_c, t[k], t[k + 1]) for k in crossed]
            kinks = tuple(sorted({*jumps, *ends}))
            return Rule(lambda t: np.exp(np.minimum(log_c + self._log_sizes(t), 0.0)), kinks)

        low, high = math.log(self.fraction), math.log(self.fraction) + 10
        log_c = brentq(lambda c: rule(c).expected(law) - self.fraction, low, high, xtol=1e-14)
        return rule(float(log_c))

    def _crossing(self, log_c: float, low: float, high: float) -> float:
        """Where the probability reaches 1, between neighbours."""

        def excess(t: float) -> float:
            return log_c + float(self._log_sizes(np.array([t]))[0])

        return float(brentq(excess, low, high, xtol=1e-14))

    def inclusion_probabilities(self, scores: Array) -> Array:
        return capped_probabilities(self._log_sizes(scores), self.fraction)


@cache
def _slope(labels: str, ridge: float) -> float:
    """Of the model that fits best on infinitely many samples."""
    return predict(full_sample(labels, MANY, ridge)).alpha_0


def _problem(
    weighting: str,
    labels: str,
    samples_per_dimension: float,
    ridge: float,
    alpha: float,
    fraction: float,
) -> Problem:
    selection: FixedFraction
    if weighting == OPTIMAL:
        selection = RandomSelection(fraction)
    elif weighting == INFLUENCE:
        selection = InfluenceSelection(fraction, LABELS[labels], _slope(labels, ridge))
    else:
        selection = PowerSelection(alpha, fraction, reweight=WEIGHTINGS[weighting])
    return full_sample(labels, samples_per_dimension, ridge).replace({"selection": selection})


def _size(
    weighting: str, samples_per_dimension: float, fraction: float, full: bool, **_: Any
) -> Size | None:
    if weighting not in WEIGHTINGS:
        return None
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
    return pictures | {"unbiased-vs-optimal": _against_optimum(results)}


RULES = {
    "biased, best α": "#0072B2",
    "unbiased, best α": "#D55E00",
    "influence, score as logit": "#E69F00",
    "influence, true P(y|x)": "#CC79A7",
}
"""Colours of the rules that the optimum is set against."""


def _rules(results: xr.Dataset) -> dict[str, xr.DataArray]:
    """Errors of RULES, by name, and of the optimum."""
    error = results.theory_misclassification
    best = error.min("alpha")
    found = [
        best.sel(weighting="biased"),
        best.sel(weighting="unbiased"),
        error.sel(weighting="unbiased", alpha=0.5),
        best.sel(weighting=INFLUENCE),
    ]
    return dict(zip(RULES, found, strict=True)) | {OPTIMAL: best.sel(weighting=OPTIMAL)}


def _against_optimum(results: xr.Dataset) -> Figure:
    rules = _rules(results.sel(fraction=results.fraction < 1))
    columns = [(labels, size_) for size_ in COLUMN_TITLES for labels in LABELS]
    with figure_style():
        figure, axes = panel_grid(
            results.sizes["ridge"],
            len(columns),
            "Knowing P(y|x) does not save influence sampling: the optimal selection without weights"
            " beats it everywhere\n"
            "error above that of the optimal selection; theory, perfect surrogate",
            panel=(2.9, 2.2),
            share_y=False,
        )
        for i, ridge in enumerate(results.ridge.values):
            for j, (labels, size_) in enumerate(columns):
                at = {"labels": labels, "samples_per_dimension": size_, "ridge": ridge}
                for name, colour in RULES.items():
                    lead = 100 * (rules[name] - rules[OPTIMAL]).sel(at)
                    axes[i, j].plot(100 * lead.fraction, lead, color=colour, label=name)
                axes[i, j].axhline(0, color="#000000", linewidth=1)
                if i == 0:
                    axes[i, j].set_title(f"{labels}, {COLUMN_TITLES[size_]}")
            axes[i, 0].set_ylabel(f"ridge λ = {ridge:g}\n\nlead (points)")
        for axis in axes[-1]:
            axis.set_xlabel("fraction kept, n/N (%)")
        add_legend(figure, axes[0, 0])
    return figure


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
    return [*claims, *_optimum(results), agreement_claim(results)]


def _optimum(results: xr.Dataset) -> list[Claim]:
    """Against the optimum without weights, nothing wins."""
    subsets = results.sel(fraction=results.fraction < 1)
    most = at_most(subsets.sel(weighting=OPTIMAL)).max("alpha")
    lead = at_least(subsets).min("alpha") - most
    true, plain, unbiased = (lead.sel(weighting=w) for w in (INFLUENCE, "biased", "unbiased"))
    spared = (lead.ridge == 0.001) & (lead.samples_per_dimension > 10) & (lead.fraction <= 0.1)
    found = [
        theory_claim(
            "here",
            "The optimal selection without weights beats influence sampling that knows P(y|x), at"
            " every ridge, N/p and fraction here",
            float(true.min()) > 0,
            f"leads from {100 * float(true.min()):.3f} to {100 * float(true.max()):.2f} points",
            subsets.sel(weighting=[INFLUENCE, OPTIMAL]),
        ),
        theory_claim(
            "here",
            "... and every power selection without weights",
            float(plain.min()) > -1e-9,
            f"leads over the best exponent from {100 * float(plain.min()):.4f} to"
            f" {100 * float(plain.max()):.2f} points",
            subsets.sel(weighting=["biased", OPTIMAL]),
        ),
        theory_claim(
            "here",
            "... and every reweighted one, but where at most a tenth is kept in low dimension at"
            " ridge 0.001, where weights act as a weaker ridge",
            float(unbiased.where(~spared).min()) > -1e-9,
            f"leads over the best exponent from {100 * float(unbiased.where(~spared).min()):.4f} to"
            f" {100 * float(unbiased.max()):.2f} points; where spared from"
            f" {100 * float(unbiased.where(spared).min()):.2f}",
            subsets.sel(weighting=["unbiased", OPTIMAL]),
        ),
    ]
    return found


FIGURE = Reproduction(
    name="unbiased-vs-biased",
    title="Unbiased (reweighted) against biased selection",
    shows="reweighting by 1/π, influence sampling too, costs up to several points of error",
    minutes=(2.1, 45),
    axes=AXES,
    problem=_problem,
    size=_size,
    optimal=lambda weighting, **_: weighting == OPTIMAL,
    draw=_draw,
    table=_table,
    claims=_claims,
)
