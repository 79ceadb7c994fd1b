"""Figure 7 of the paper: trained surrogates, f1, N/p = 36.9, biased selection."""

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from figures import difference, difference_panels, fraction_panels
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
    ALPHAS,
    FRACTIONS,
    LOW_DIMENSION,
    RIDGES,
    full_sample,
    size,
)
from simulate.experiment import Size
from theory import GivenSurrogate, PowerSelection, Problem, TrainedSurrogate

TRAINED = {
    "weak": TrainedSurrogate(samples_per_dimension=4, ridge=0.037),
    "strong": TrainedSurrogate(samples_per_dimension=8, ridge=0.01),
}
PUBLISHED = {
    "weak": GivenSurrogate(beta_0=1.82, beta_s=0.95),
    "strong": GivenSurrogate(beta_0=2.75, beta_s=0.95),
}
"""Their coefficients as the paper measured them."""

AXES: dict[str, Any] = {
    "surrogate": ["weak", "strong"],
    "coefficients": ["trained", "as published"],
    "ridge": RIDGES,
    "alpha": ALPHAS,
    "fraction": FRACTIONS,
}
COLUMN_TITLES = {
    "weak": "surrogate: 4p labels, ridge 0.037",
    "strong": "surrogate: 8p labels, ridge 0.01",
}


def _problem(
    surrogate: str, coefficients: str, ridge: float, alpha: float, fraction: float
) -> Problem:
    return full_sample("f1", LOW_DIMENSION, ridge).replace(
        {
            "selection": PowerSelection(alpha, fraction),
            "surrogate": (TRAINED if coefficients == "trained" else PUBLISHED)[surrogate],
        }
    )


def _size(coefficients: str, fraction: float, full: bool, **_: Any) -> Size | None:
    return size(LOW_DIMENSION, full, fraction) if coefficients == "trained" else None


def _draw(results: xr.Dataset) -> dict[str, Figure]:
    picture = fraction_panels(
        results.sel(coefficients="trained"),
        "The weaker the ridge, the sooner hard samples win, with either surrogate\n"
        "f1 labels, N/p = 36.9, trained surrogate, biased selection",
        "surrogate",
        COLUMN_TITLES,
        dashed=results.sel(coefficients="as published"),
        dashed_label="theory with the published β (hidden: the same)",
    )
    published = results.sel(coefficients="as published")
    trained = results.sel(coefficients="trained")[["theory_misclassification"]]
    gaps = difference_panels(
        difference(published[["theory_misclassification"]], trained),
        "Published against predicted β: nearly the same errors (f1, N/p = 36.9)",
        "published − predicted β\n(points)",
        [({"surrogate": name}, title) for name, title in COLUMN_TITLES.items()],
    )
    return {"figure-7": picture, "figure-7-coefficients": gaps}


def _claims(results: xr.Dataset) -> list[Claim]:
    trained = results.sel(coefficients="trained")
    published = results.sel(coefficients="as published")
    claims = []
    for name in ("weak", "strong"):
        chosen = trained.sel(surrogate=name)
        wanted = PUBLISHED[name]
        beta = [float(chosen[f"theory_beta_{k}"].values.flat[0]) for k in "0s"]
        off = max(abs(beta[0] - wanted.beta_0), abs(beta[1] - wanted.beta_s))
        claims.append(
            theory_claim(
                "here",
                f"The theory predicts the paper's measured β of the {name} surrogate,"
                f" ({wanted.beta_0:g}, {wanted.beta_s:g}), to within 0.05",
                off < 0.05,
                f"predicted ({beta[0]:.3f}, {beta[1]:.3f})",
                chosen,
            )
        )
    gap = np.maximum(at_most(trained) - at_least(published), at_most(published) - at_least(trained))
    at = trained.surrogate.values, trained.ridge.values
    claims.append(
        theory_claim(
            "here",
            "Predicted and published β lead to the same errors, within 0.5 points, at all"
            f" {gap.size} points ({len(at[0])} surrogates, {len(at[1])} ridges)",
            float(gap.max()) < 0.005,
            f"largest difference {100 * float(gap.max()):.2f} points",
            results,
        )
    )
    for ridge, alpha, fraction in ((0.001, 1.0, 0.6), (0.01, 0.5, 0.8)):
        at_point = {"surrogate": "strong", "ridge": ridge, "alpha": alpha, "fraction": fraction}
        claims += compared(
            trained,
            "paper",
            "A subset chosen by a trained surrogate beats the full sample",
            at_point,
            at_point | {"fraction": 1.0},
            {"strong": "surrogate of 8p labels"},
        )
    return [*claims, agreement_claim(trained)]


FIGURE = Reproduction(
    name="figure-7",
    title="Figure 7: trained surrogates, f1 labels, biased selection",
    shows="a surrogate trained on 4 or 8 labels per dimension: theory predicts its quality too",
    minutes=(0.6, 7),
    axes=AXES,
    problem=_problem,
    size=_size,
    draw=_draw,
    table=lambda results: agreement(results.sel(coefficients="trained"), ["surrogate", "ridge"]),
    claims=_claims,
)
