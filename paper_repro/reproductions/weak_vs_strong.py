"""Error after selection against the quality of the surrogate, theory end to end."""

import dataclasses
import math
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
    log_ticks,
    panel_grid,
)
from figures.style import SchemeStyle
from paper_repro.claims import Claim, agreement_claim, at_least, at_most, theory_claim
from paper_repro.reproduction import Reproduction
from paper_repro.reproductions.comparisons import compared
from paper_repro.reproductions.settings import (
    COLUMN_TITLES,
    HIGH_DIMENSION,
    LOW_DIMENSION,
    full_sample,
    size,
)
from simulate.experiment import Size
from theory import (
    F1,
    GivenSurrogate,
    PerfectSurrogate,
    PowerSelection,
    Problem,
    RandomSelection,
    SingleIndex,
    TopSelection,
    TrainedSurrogate,
)
from theory.metrics import misclassification
from theory.prediction import score_of

SIMULATED_SURROGATES = ("0.5", "1", "2", "4", "8", "16", "32")
TRAINED = {
    f"{n:g}": TrainedSurrogate(n, ridge=0.03)
    for n in (round(0.5 * 2 ** (k / 4), 3) for k in range(25))
}
"""By the surrogate's own samples per dimension N_su/p; the simulated ones are among them."""

STRONGEST, RESCALED, PERFECT = "32", "rescaled", "perfect"
"""The strongest trained surrogate; the perfect direction with the scale of that one; perfection."""

SHOWN = (*SIMULATED_SURROGATES, RESCALED, PERFECT)

SIMULATED_FRACTION = 0.3
SCHEMES: dict[str, Callable[[float], Any]] = {
    "easiest": lambda fraction: PowerSelection(-1.0, fraction),
    "random": RandomSelection,
    "hard": lambda fraction: PowerSelection(0.5, fraction),
    "hardest": lambda fraction: PowerSelection(1.0, fraction),
    "top": lambda fraction: TopSelection("hard", fraction),
    "optimal": RandomSelection,
}
"""The optimal one starts as its fraction alone."""

STYLES = {
    "easiest": POWER_STYLES[-1.0],
    "random": POWER_STYLES[0.0],
    "hard": POWER_STYLES[0.5],
    "hardest": POWER_STYLES[1.0],
    "top": TOP_STYLES["hard"],
    "optimal": SchemeStyle("#000000", "*", "optimal for this surrogate"),
}
NAMES = {
    **{scheme: style.label for scheme, style in STYLES.items()},
    **{name: f"a surrogate of {name}p labels" for name in SIMULATED_SURROGATES},
    RESCALED: f"the perfect direction at the scale of {STRONGEST}p labels",
    PERFECT: "the perfect one",
}
"""What claims call schemes and surrogates."""

AXES: dict[str, list[Any]] = {
    "samples_per_dimension": [LOW_DIMENSION, HIGH_DIMENSION],
    "scheme": list(SCHEMES),
    "fraction": [0.1, 0.3, 0.5, 0.8],
    "surrogate": [*TRAINED, RESCALED, PERFECT],
}


def _problem(samples_per_dimension: float, scheme: str, fraction: float, surrogate: str) -> Problem:
    problem = full_sample("f1", samples_per_dimension)
    if scheme != "random":  # random selection looks at no score
        problem = problem.replace({"surrogate": _surrogate(surrogate, problem)})
    return problem.replace({"selection": SCHEMES[scheme](fraction)})


def _surrogate(name: str, problem: Problem) -> Any:
    if name == PERFECT:
        return PerfectSurrogate()
    if name == RESCALED:
        score = score_of(problem.replace({"surrogate": TRAINED[STRONGEST]}))
        return GivenSurrogate(math.hypot(score.beta_0, score.beta_s))
    return TRAINED[name]


def _size(
    samples_per_dimension: float, fraction: float, surrogate: str, full: bool, **_: Any
) -> Size | None:
    if fraction != SIMULATED_FRACTION or surrogate not in SHOWN:
        return None
    return size(samples_per_dimension, full)


def _draw(results: xr.Dataset) -> dict[str, Figure]:
    count = len(TRAINED)
    x = np.array([*map(float, TRAINED), 80.0, 200.0])
    with figure_style():
        figure, axes = panel_grid(
            results.sizes["samples_per_dimension"],
            results.sizes["fraction"],
            "Given a scheme, a stronger surrogate can choose worse (a line that rises); with the"
            " best scheme, or the optimal selection, it does not\n"
            "f1, ridge λ = 0.01, surrogate's ridge 0.03; scales differ between panels\n"
            "★: the true direction, at the scale (norm of β) of the surrogate with N_su/p = 32;"
            " perfect: at its own scale; dashed: on to these two\n"
            f"{caption(results)}",
            panel=(3.0, 2.5),
            share_y=False,
        )
        for i, size_ in enumerate(results.samples_per_dimension.values):
            for j, fraction in enumerate(results.fraction.values):
                axis = axes[i, j]
                panel = results.sel(samples_per_dimension=size_, fraction=fraction)
                for scheme, style in STYLES.items():
                    curve = panel.sel(scheme=scheme)
                    draw_curve(axis, x[:count], curve.isel(surrogate=slice(count)), style)
                    beyond = curve.isel(surrogate=slice(count - 1, None))
                    draw_curve(axis, x[count - 1 :], beyond, style, "--", "")
                axis.axvline(float(STRONGEST), color="#bbbbbb", linewidth=0.8)
                log_ticks(axis, "x", [0.5, 2, 8, 32])
                axis.set_xticks(
                    [0.5, 2, 8, 32, *x[count:]], ["0.5", "2", "8", "32", "★", "perfect"]
                )
                if i == 0:
                    axis.set_title(f"γ = {fraction:g}")
            axes[i, 0].set_ylabel(f"{COLUMN_TITLES[size_]}\n\ntest misclassification (%)")
        for axis in axes[-1]:
            axis.set_xlabel("surrogate's labels per dimension N_su/p")
        add_legend(figure, axes[0, list(results.fraction.values).index(SIMULATED_FRACTION)])
    return {"weak-vs-strong-surrogate": figure}


def _table(results: xr.Dataset) -> pd.DataFrame:
    """The surrogates: coefficients and own error; and the best of them for every scheme."""
    rows = []
    data = SingleIndex(F1, 5.0)
    for surrogate in SHOWN:
        at = results.sel(surrogate=surrogate, scheme="hardest").isel(
            samples_per_dimension=0, fraction=0
        )
        beta_0, beta_s = float(at.theory_beta_0), float(at.theory_beta_s)
        own = misclassification(data, beta_0, 0.0, max(beta_s, 1e-9))
        row = {
            "N_su/p": surrogate,
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
        (LOW_DIMENSION, "hardest", 0.3, STRONGEST, PERFECT),
        (LOW_DIMENSION, "hard", 0.1, "0.5", PERFECT),
        (LOW_DIMENSION, "top", 0.3, "0.5", "4"),
        (HIGH_DIMENSION, "hardest", 0.3, "1", PERFECT),
        (HIGH_DIMENSION, "top", 0.3, "1", PERFECT),
    ):
        at = {"samples_per_dimension": size_, "scheme": scheme, "fraction": fraction}
        random = float(results.theory_misclassification.sel(at | {"scheme": "random"})[0])
        claims += [
            dataclasses.replace(claim, numbers=f"{claim.numbers}; random selection {random:.2%}")
            for claim in compared(
                results,
                "paper",
                "A weaker surrogate can win",
                at | {"surrogate": weaker},
                at | {"surrogate": stronger},
                NAMES,
            )
        ]
    at = {"samples_per_dimension": LOW_DIMENSION, "scheme": "hardest", "fraction": 0.3}
    claims += compared(
        results,
        "here",
        "The scale of the score matters, not only its direction",
        at | {"surrogate": RESCALED},
        at | {"surrogate": PERFECT},
        NAMES,
    )
    claims += _under_optimal_selection(results)
    trained = results.sel(surrogate=[*SIMULATED_SURROGATES, PERFECT])
    trained = trained.sel(scheme=trained.scheme != "optimal")
    least, most = at_least(trained).min("scheme"), at_most(trained).min("scheme")
    rise = most - least.shift(surrogate=1)
    claims.append(
        theory_claim(
            "here",
            "With the best of these schemes a better surrogate is never worse by more than 0.01"
            " points, at any N/p and fraction here",
            float(rise.max()) < 1e-4,
            f"largest rise from one surrogate to the next better {100 * float(rise.max()):.4f}"
            " points",
            trained,
        )
    )
    for size_ in results.samples_per_dimension.values:
        half = {"samples_per_dimension": size_, "fraction": 0.5}
        strongest = float(least.sel(half | {"surrogate": PERFECT}))
        weak = float(most.sel(half | {"surrogate": "4"}))
        claims.append(
            theory_claim(
                "here",
                f"With the best of these schemes, N/p = {size_:.3g} and γ = 0.5, a surrogate of 4p"
                " labels loses less than 3 points to the perfect one",
                weak - strongest < 0.03,
                f"{weak:.2%} against {strongest:.2%}",
                results.sel(half),
            )
        )
    return [*claims, agreement_claim(results)]


def _under_optimal_selection(results: xr.Dataset) -> list[Claim]:
    """No better surrogate loses, and the score's scale does not matter."""
    optimal = results.sel(scheme="optimal", surrogate=[*TRAINED, PERFECT])
    rise = at_most(optimal) - at_least(optimal).shift(surrogate=1)
    falls = (
        optimal.theory_misclassification.isel(surrogate=0)
        - optimal.sel(surrogate=PERFECT).theory_misclassification
    )
    scales = results.sel(scheme="optimal", surrogate=[RESCALED, PERFECT])
    apart = abs(scales.theory_misclassification.diff("surrogate"))
    apart = apart + scales.theory_error_estimate.sum("surrogate")
    others = results.sel(scheme=results.scheme != "optimal")
    ahead = at_least(others).min("scheme") - at_most(results.sel(scheme="optimal"))
    return [
        theory_claim(
            "here",
            f"Under optimal selection a better surrogate never loses: {len(TRAINED)} trained ones"
            " and the perfect one, any N/p and fraction here",
            float(rise.max()) <= 0,
            f"largest rise from one to the next better {100 * float(rise.max()):.1e} points; from"
            f" the weakest to the perfect one the error falls by {100 * float(falls.min()):.2f} to"
            f" {100 * float(falls.max()):.2f} points",
            optimal,
        ),
        theory_claim(
            "here",
            "Under optimal selection the scale of the score does not matter",
            float(apart.max()) < 1e-7,
            f"largest difference {100 * float(apart.max()):.0e} points",
            scales,
        ),
        theory_claim(
            "here",
            "No scheme beats the optimal selection, with any surrogate here",
            float(ahead.min()) > -1e-9,
            f"leads from {100 * float(ahead.min()):.4f} to {100 * float(ahead.max()):.2f} points",
            results,
        ),
    ]


FIGURE = Reproduction(
    name="weak-vs-strong-surrogate",
    title="Weak against strong surrogates",
    shows="within a scheme weaker surrogates can win; with the optimal selection they do not",
    minutes=(0.4, 5),
    axes=AXES,
    problem=_problem,
    size=_size,
    optimal=lambda scheme, **_: scheme == "optimal",
    draw=_draw,
    table=_table,
    claims=_claims,
)
