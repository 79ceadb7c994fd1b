"""How fast finite samples approach the theory: simulation against it from p = 50 to 1600."""

from typing import Any

import pandas as pd
import xarray as xr
from matplotlib.figure import Figure
from scipy import stats

from figures import POWER_STYLES, gap_panel
from figures.style import SchemeStyle
from paper_repro.claims import AGREEMENT, DETECTION, FINITE_SIZE, POWER, Claim
from paper_repro.reproduction import Reproduction
from paper_repro.reproductions.settings import HIGH_DIMENSION, full_sample
from simulate.compare import extrapolate, mean_and_error
from simulate.experiment import Size
from theory import GaussianMixture, PowerSelection, Problem, RandomSelection, TrainedSurrogate

BASE = full_sample("f1", HIGH_DIMENSION)
PROBLEMS = {
    "f1, full sample": BASE,
    "f1, random, γ = 0.5": BASE.replace({"selection": RandomSelection(0.5)}),
    "f1, α = 1, γ = 0.5": BASE.replace({"selection": PowerSelection(1.0, 0.5)}),
    "f1, α = −1, γ = 0.2": BASE.replace({"selection": PowerSelection(-1.0, 0.2)}),
    "f1, α = 0.5 reweighted, γ = 0.5": BASE.replace(
        {"selection": PowerSelection(0.5, 0.5, reweight=True)}
    ),
    "f1, trained surrogate (4p), α = 1, γ = 0.5": BASE.replace(
        {"selection": PowerSelection(1.0, 0.5), "surrogate": TrainedSurrogate(4.0, 0.037)}
    ),
    "mixture r = 1.5, α = 1, γ = 0.5": Problem(
        GaussianMixture(1.5), PowerSelection(1.0, 0.5), 0.01, HIGH_DIMENSION
    ),
}
STYLES = [
    SchemeStyle("#009E73", "X", "full sample"),
    POWER_STYLES[0.0],
    POWER_STYLES[1.0],
    POWER_STYLES[-1.0],
    POWER_STYLES[0.5],
    SchemeStyle("#CC79A7", "P", "trained surrogate"),
    SchemeStyle("#56B4E9", "D", "mixture"),
]
"""Of the problems, in their order: the colours of their schemes where they are perfect and f1."""

SURE = 1.0
"""The gap, in units of 1/p, that the data must rule out: twice the allowance of other figures."""

QUICK = {50: 1200, 100: 800, 200: 400, 400: 200, 800: 60, 1600: 20}
FULL = {50: 1200, 100: 800, 200: 600, 400: 600, 800: 400, 1600: 300}
"""Data sets by dimension p. The limit rests on the largest p, where a few are left to chance; the
slope on the smallest."""

AXES: dict[str, Any] = {"dimension": list(QUICK), "problem": list(PROBLEMS)}


def _draw(results: xr.Dataset) -> dict[str, Figure]:
    limit = results.theory_misclassification
    gaps = results.assign(theory_misclassification=limit)
    gaps.attrs["title"] = (
        "Finite samples approach the theory as 1/p: gap of the test error, N/p = 2.29,"
        " ridge λ = 0.01"
    )
    return {"finite-size": gap_panel(gaps, STYLES)}


def _table(results: xr.Dataset) -> pd.DataFrame:
    """For every problem: gap at the smallest and largest p, and the limit of a + b/p."""
    mean, error = mean_and_error(results)
    gap, error = 100 * (mean - results.theory_misclassification), 100 * error
    p = results.dimension.values
    rows = []
    for name in results.problem.values:
        y, bar = gap.sel(problem=name).values, error.sel(problem=name).values
        limit, slope = extrapolate(p.tolist(), y, bar)
        point = results.sel(problem=name).isel(dimension=0)
        rows.append(
            {
                "problem": name,
                "theory (%)": 100 * float(point.theory_misclassification),
                f"gap at p = {p[0]} (points)": float(y[0]),
                f"gap at p = {p[-1]}": float(y[-1]),
                "limit a": limit.mean,
                "its standard error": limit.standard_error,
                "a in standard errors": limit.mean / limit.standard_error,
                "b": slope.mean / 100,
                "its error": slope.standard_error / 100,
            }
        )
    return pd.DataFrame(rows)


def _claims(results: xr.Dataset) -> list[Claim]:
    table = _table(results)
    bound = float(stats.norm.isf((1 - AGREEMENT) / 2 / len(table)))
    sizes = f"p = {', '.join(map(str, results.dimension.values))}"
    sets = int(results.simulation_converged.notnull().sum()) // len(table)
    basis = f"simulation, {sizes}, {sets} data sets, confidence 99.9 % for all problems together"
    z = table["a in standard errors"]
    seen = (bound + float(stats.norm.ppf(POWER))) * table["its standard error"]
    slope = table["b"].abs()
    excess = (slope - FINITE_SIZE) / table["its error"]
    surely = slope + bound * table["its error"]
    return [
        Claim(
            "Extrapolated to p → ∞ the simulations agree with the theory, for every problem, and a"
            f" limit that is off by {100 * DETECTION:g} point would be seen",
            "here",
            f"|z| of the limit at most {z.abs().max():.1f} (bound {bound:.1f}), standard errors of"
            f" {table['its standard error'].min():.2f} to"
            f" {table['its standard error'].max():.2f} points; with probability {POWER:.0%} a limit"
            f" off by {seen.max():.2f} points would be seen, for every problem",
            basis,
            bool((z.abs() < bound).all() and (seen <= 100 * DETECTION).all()),
        ),
        Claim(
            f"The finite-size gap of the misclassification is surely less than {SURE:g}/p, and"
            f" compatible with less than {FINITE_SIZE}/p, the allowance of the other figures",
            "here",
            f"gap ≈ b/p with |b| at most {slope.max():.2f}, standard errors up to"
            f" {table['its error'].max():.2f}; surely at most {surely.max():.2f}",
            basis,
            bool((excess < bound).all() and (surely < SURE).all()),
        ),
    ]


FIGURE = Reproduction(
    name="finite-size",
    title="Finite-size effects from p = 50 to 1600",
    shows="the gap between simulation and theory vanishes as the dimension grows",
    minutes=(1, 10),
    axes=AXES,
    problem=lambda problem, **_: PROBLEMS[problem],
    size=lambda dimension, full, **_: Size(dimension, (FULL if full else QUICK)[dimension]),
    draw=_draw,
    table=_table,
    claims=_claims,
)
