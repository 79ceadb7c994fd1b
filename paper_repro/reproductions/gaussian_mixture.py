"""The layout of Figure 2 for Gaussian mixtures: balanced, and 20/80 with an intercept."""

from typing import Any

import xarray as xr
from matplotlib.figure import Figure

from figures import fraction_panels
from paper_repro.claims import Claim, agreement, agreement_claim
from paper_repro.reproduction import Reproduction
from paper_repro.reproductions.comparisons import compared
from paper_repro.reproductions.settings import (
    ALPHAS,
    FRACTIONS,
    RIDGES,
    SIMULATED_FRACTIONS,
)
from simulate.experiment import Size
from theory import GaussianMixture, PowerSelection, Problem

SAMPLES_PER_DIMENSION = 3.0
MIXTURES = {
    "r = 1, balanced": GaussianMixture(1.0),
    "r = 1.5, balanced": GaussianMixture(1.5),
    "r = 1, 20/80, intercept": GaussianMixture(1.0, positive_fraction=0.2),
    "r = 1.5, 20/80, intercept": GaussianMixture(1.5, positive_fraction=0.2),
}
CLASSES = {"balanced": list(MIXTURES)[:2], "20-80": list(MIXTURES)[2:]}
MESSAGES = {
    ("balanced", "biased"): "Easy samples win at nearly every fraction, and beat the full sample",
    ("balanced", "unbiased"): "Reweighted, easy samples win up to at least 40 % kept, and gain less"
    " on the full sample",
    ("20-80", "biased"): "With 20/80 classes easy samples fail where little is kept; where much is,"
    " they win at weak ridges only",
    ("20-80", "unbiased"): "Reweighted, easy samples fail where little is kept; a subset beats the"
    " full sample at ridge 0.001 only",
}
"""What is seen, in every panel."""

WEIGHTINGS = {"biased": False, "unbiased": True}
AXES: dict[str, Any] = {
    "weighting": list(WEIGHTINGS),
    "mixture": list(MIXTURES),
    "ridge": RIDGES,
    "alpha": ALPHAS,
    "fraction": FRACTIONS,
}


def _problem(weighting: str, mixture: str, ridge: float, alpha: float, fraction: float) -> Problem:
    data = MIXTURES[mixture]
    return Problem(
        data=data,
        selection=PowerSelection(alpha, fraction, reweight=WEIGHTINGS[weighting]),
        ridge=ridge,
        samples_per_dimension=SAMPLES_PER_DIMENSION,
        fit_intercept=data.positive_fraction != 0.5,
    )


def _size(fraction: float, full: bool, **_: Any) -> Size | None:
    if fraction not in SIMULATED_FRACTIONS:
        return None
    return Size(1000, 10) if full else Size(200, 20)


def _draw(results: xr.Dataset) -> dict[str, Figure]:
    return {
        f"gaussian-mixture-{classes}-{weighting}": fraction_panels(
            results.sel(weighting=weighting, mixture=names),
            f"{MESSAGES[classes, weighting]}\n"
            f"Gaussian mixtures, N/p = 3, perfect surrogate, {weighting} selection",
            "mixture",
            {name: name for name in names},
        )
        for weighting in WEIGHTINGS
        for classes, names in CLASSES.items()
    }


def _claims(results: xr.Dataset) -> list[Claim]:
    def at(
        weighting: str, mixture: str, ridge: float, alpha: float, fraction: float
    ) -> dict[str, Any]:
        return dict(zip(AXES, (weighting, mixture, ridge, alpha, fraction), strict=True))

    claims = []
    for mixture, fraction in (("r = 1, balanced", 0.2), ("r = 1.5, balanced", 0.3)):
        easy = at("biased", mixture, 0.01, -1.0, fraction)
        claims += compared(
            results,
            "here",
            "Easy samples beat the full sample, without any label noise",
            easy,
            easy | {"fraction": 1.0},
        )
        claims += compared(
            results,
            "here",
            "Reweighting them is worse",
            easy,
            easy | {"weighting": "unbiased"},
        )
    for mixture in ("r = 1, 20/80, intercept", "r = 1.5, 20/80, intercept"):
        claims += compared(
            results,
            "here",
            "With 20/80 classes easy samples fail against random selection, α = 0, where little is"
            " kept",
            at("biased", mixture, 0.01, 0.0, 0.2),
            at("biased", mixture, 0.01, -1.0, 0.2),
        )
    return [*claims, agreement_claim(results)]


FIGURE = Reproduction(
    name="gaussian-mixture",
    title="Gaussian mixtures, biased and unbiased selection",
    shows="the layout of Figure 2 for r = 1 and 1.5, balanced and 20/80, both weightings",
    minutes=(0.9, 10),
    axes=AXES,
    problem=_problem,
    size=_size,
    draw=_draw,
    table=lambda results: agreement(results, ["weighting", "mixture", "ridge"]),
    claims=_claims,
)
