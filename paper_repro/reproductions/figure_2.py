"""Figure 2 of the paper: perfect surrogate, biased selection; f1 and f2; N/p = 36.9 and 2.29."""

from typing import Any

import xarray as xr
from matplotlib.figure import Figure

from figures import fraction_panels
from paper_repro.claims import Claim, agreement, agreement_claim, best_scheme_changes
from paper_repro.reproduction import Reproduction
from paper_repro.reproductions.comparisons import compared
from paper_repro.reproductions.settings import (
    ALPHAS,
    COLUMN_TITLES,
    FRACTIONS,
    HIGH_DIMENSION,
    LABELS,
    LOW_DIMENSION,
    RIDGES,
    full_sample,
    size,
)
from theory import PowerSelection, Problem

AXES: dict[str, Any] = {
    "labels": list(LABELS),
    "samples_per_dimension": [LOW_DIMENSION, HIGH_DIMENSION],
    "ridge": RIDGES,
    "alpha": ALPHAS,
    "fraction": FRACTIONS,
}


def _problem(
    labels: str, samples_per_dimension: float, ridge: float, alpha: float, fraction: float
) -> Problem:
    selection = PowerSelection(alpha, fraction)
    return full_sample(labels, samples_per_dimension, ridge).replace({"selection": selection})


def _draw(results: xr.Dataset) -> dict[str, Figure]:
    return {
        f"figure-2-{labels}": fraction_panels(
            results.sel(labels=labels),
            "Hard samples win from some fraction on: the sooner, the weaker the ridge and the"
            f" larger N/p\n{labels} labels, perfect surrogate, biased selection",
            "samples_per_dimension",
            COLUMN_TITLES,
        )
        for labels in LABELS
    }


def _claims(results: xr.Dataset) -> list[Claim]:
    def at(
        labels: str, samples_per_dimension: float, ridge: float, alpha: float, fraction: float
    ) -> dict[str, object]:
        values = (labels, samples_per_dimension, ridge, alpha, fraction)
        return dict(zip(AXES, values, strict=True))

    return [
        *compared(
            results,
            "paper",
            "A subset beats the full sample",
            at("f1", HIGH_DIMENSION, 0.001, 1.0, 0.8),
            at("f1", HIGH_DIMENSION, 0.001, 1.0, 1.0),
        ),
        *compared(
            results,
            "paper",
            "A subset beats the full sample",
            at("f2", LOW_DIMENSION, 0.01, 1.0, 0.5),
            at("f2", LOW_DIMENSION, 0.01, 1.0, 1.0),
        ),
        *compared(
            results,
            "paper",
            "In low dimension hard samples are the ones to keep",
            at("f1", LOW_DIMENSION, 0.01, 1.0, 0.5),
            at("f1", LOW_DIMENSION, 0.01, -1.0, 0.5),
        ),
        *compared(
            results,
            "paper",
            "In high dimension easy samples are",
            at("f1", HIGH_DIMENSION, 0.01, -1.0, 0.5),
            at("f1", HIGH_DIMENSION, 0.01, 1.0, 0.5),
        ),
        *compared(
            results,
            "paper",
            "Keeping the hardest can fail against random selection, α = 0",
            at("f1", HIGH_DIMENSION, 0.01, 0.0, 0.2),
            at("f1", HIGH_DIMENSION, 0.01, 1.0, 0.2),
        ),
        *(
            best_scheme_changes(
                results.sel(labels=labels, samples_per_dimension=size, ridge=0.01),
                "paper",
                f"The best exponent depends on the fraction kept: {labels}, N/p = {size:.3g},"
                " ridge 0.01",
            )
            for labels in LABELS
            for size in (LOW_DIMENSION, HIGH_DIMENSION)
        ),
        agreement_claim(results),
    ]


FIGURE = Reproduction(
    name="figure-2",
    title="Figure 2: perfect surrogate, biased selection",
    shows="the weaker the ridge and the larger N/p, the sooner hard samples win; subsets beat the"
    " full sample",
    minutes=(1.3, 22),
    axes=AXES,
    problem=_problem,
    size=size,
    draw=_draw,
    table=lambda results: agreement(results, ["labels", "samples_per_dimension", "ridge"]),
    claims=_claims,
)
