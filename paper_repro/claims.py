"""Machine-checked claims: a statement in words, the computed numbers, and whether it holds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray
from scipy import stats

from simulate.compare import mean_and_error, normal_deviates, z_scores

Array = NDArray[np.float64]
Source = Literal["paper", "here"]

CONFIDENCE = 0.99
"""A simulated difference counts if its sign is this certain ..."""

AGREEMENT = 0.999
"""... and theory and simulation disagree if all gaps together are this improbable."""

DETECTION = 0.01
"""Agreement is claimed only where a mean gap of this size, beyond the allowance, would be seen.

One point of misclassification: less cannot be read off the figures.
"""

POWER = 0.95
"""The probability with which it would be seen."""

LEFT_OUT = 0.1
"""Largest share of points that may be left out of an agreement because some fits failed.

The quick Gaussian mixtures need 4 %: 48 of 1212 points, all with 20/80 classes, easy samples and at
most a fifth of the pool, where subsets of 30 to 120 samples can have one class only.
"""

FINITE_SIZE = 0.5
"""The gap, in units of 1/p, that agreement allows: the finite-size figure measures it."""


@dataclass(frozen=True)
class Claim:
    """A verdict.

    source: "paper" for what the paper states, "here" for what this toolkit adds. numbers: what was
    computed. basis: theory with its error and residual, or simulation with its confidence.
    confidence: of a simulated comparison, that its sign is right.
    """

    statement: str
    source: Source
    numbers: str
    basis: str
    holds: bool
    confidence: float | None = None


def theory_claim(
    source: Source, statement: str, holds: bool, numbers: str, points: xr.Dataset
) -> Claim:
    """A claim about predictions at ``points``; none holds where one of these did not converge."""
    solved = bool(np.all(points.theory_status == "CONVERGED"))
    error, residual = (
        float(points[f"theory_{name}"].max()) for name in ("error_estimate", "residual")
    )
    basis = (
        f"theory, error at most {error:.0e}, residual {residual:.0e}"
        if solved
        else "theory: points did not converge"
    )
    return Claim(statement, source, numbers, basis, bool(holds) and solved)


def at_least(points: xr.Dataset) -> xr.DataArray:
    """The smallest misclassification that the error estimates of the predictions allow.

    Predictions are told apart where ``at_most`` of the better is below ``at_least`` of the worse.
    """
    least: xr.DataArray = points.theory_misclassification - points.theory_error_estimate
    return least


def at_most(points: xr.Dataset) -> xr.DataArray:
    """The largest misclassification that the error estimates of the predictions allow."""
    most: xr.DataArray = points.theory_misclassification + points.theory_error_estimate
    return most


def beats(
    results: xr.Dataset,
    source: Source,
    statement: str,
    better: Mapping[str, Any],
    worse: Mapping[str, Any],
) -> list[Claim]:
    """Of two points, one has the smaller error: in theory, and where simulated there as well.

    better, worse: labels of the points. The simulated difference is taken data set by data set,
    and its confidence is that of this comparison alone: ``together`` judges all of a report.
    """
    pair = [results.sel(better), results.sel(worse)]
    errors = [float(point.theory_misclassification) for point in pair]
    judged = [f"theory_{name}" for name in ("status", "error_estimate", "residual")]
    both = xr.concat([point[judged].reset_coords(drop=True) for point in pair], "pair")
    apart = bool(at_most(pair[0]) < at_least(pair[1]))
    claims = [theory_claim(source, statement, apart, _against(errors), both)]
    if all(_is_simulated(point) for point in pair):
        claims.append(_simulated_beats(source, statement, pair))
    return claims


def _simulated_beats(source: Source, statement: str, pair: Sequence[xr.Dataset]) -> Claim:
    good = np.logical_and.reduce([p.simulation_converged.values == 1 for p in pair])
    values = [p.simulation_misclassification.values[good] for p in pair]
    gaps = values[1] - values[0]
    if gaps.size < 2:
        return Claim(statement, source, "fewer than two pairs converged", "simulation", False, 0.0)
    error = gaps.std(ddof=1) / gaps.size**0.5
    worse, better = (np.asarray(v.mean()) for v in reversed(values))
    z = float(np.nan_to_num(z_scores(worse, better, np.asarray(error)), nan=0.0, posinf=np.inf))
    certain = float(stats.t.cdf(z, gaps.size - 1))
    numbers = _against([float(v.mean()) for v in values])
    return Claim(
        statement,
        source,
        f"{numbers}, difference {100 * gaps.mean():.2f} ± {100 * error:.2f} points",
        f"simulation, p = {int(pair[0].simulation_dimension)}, {gaps.size} pairs,"
        f" one-sided confidence {_percentage(certain)}",
        certain > CONFIDENCE,
        certain,
    )


def together(claims: Sequence[Claim]) -> str:
    """How many comparisons are simulated, and what those that hold reach together.

    By Holm's rule: the confidence that not one of these is wrong. It holds however they depend on
    each other, as comparisons on the same data sets do.
    """
    simulated = [claim for claim in claims if claim.confidence is not None]
    chances = np.sort([1 - (claim.confidence or 0) for claim in simulated])
    count, held = len(simulated), sum(claim.holds for claim in simulated)
    wrong = min(1, max(((count - k) * chances[k] for k in range(held)), default=0))
    text = (
        f"{count} comparisons are simulated, each judged with confidence"
        f" {_percentage(CONFIDENCE)} by itself; if none of the differences were real,"
        f" {count * (1 - CONFIDENCE):.2g} would be expected to hold by chance."
    )
    if held:
        text += (
            f" The {held} that hold do so all together with confidence {_percentage(1 - wrong)}"
            " (Holm's rule)."
        )
    return text


def _against(errors: Sequence[float]) -> str:
    return f"{errors[0]:.2%} against {errors[1]:.2%}"


def _percentage(probability: float) -> str:
    return "> 99.99 %" if probability > 0.9999 else f"{100 * probability:.2f} %"


def _is_simulated(point: xr.Dataset) -> bool:
    return "simulation_dimension" in point and bool(point.simulation_dimension > 0)


def agreement(results: xr.Dataset, by: Sequence[str]) -> pd.DataFrame:
    """How far simulation and theory are apart, for every combination of the axes ``by``.

    z: simulation minus theory in standard errors, as normal deviates (a standard error from few
    data sets is itself uncertain). Problems that occur twice count once.
    """
    points = _compared(results)
    rows = []
    for labels, group in points.groupby(list(by), sort=False):
        rows.append(
            {
                **dict(zip(by, labels, strict=True)),
                "points": len(group),
                "rms z": float(np.sqrt(np.mean(group.z**2))),
                "largest |z|": float(group.z.abs().max()),
                "largest gap (points)": float(100 * group.gap.abs().max()),
                "failed fits": int(group.failed.sum()),
            }
        )
    return pd.DataFrame(rows)


def agreement_claim(results: xr.Dataset) -> Claim:
    """Simulation and theory agree, but for noise and FINITE_SIZE/p: at every point, and pooled.

    Pooled: the gap averaged over the points, one number for every data set and p, has mean zero.
    That sees a common shift which no single point would; the claim holds only if for every p it
    would see one of DETECTION beyond the allowance. Points where some fits have no solution (say, a
    subset with one class only) are left out, up to LEFT_OUT, and counted: what remains of them is
    not a fair sample of the data sets.
    """
    compared = _compared(results)
    points = compared[compared.failed == 0]
    unsolved = int((~np.isfinite(points.gap)).sum())
    excess = np.maximum(points.gap.abs() - FINITE_SIZE / points.p, 0)
    z = (excess / points.error).where(excess != 0, 0.0)
    deviates = np.maximum(normal_deviates(z.to_numpy(), points.repeats.to_numpy()), 0)
    pooled = _pooled(results)
    pooled_excess = np.maximum(pooled.gap.abs() - FINITE_SIZE / pooled.p, 0)
    pooled_deviates = normal_deviates(
        (pooled_excess / pooled.error).to_numpy(), pooled.repeats.to_numpy()
    )
    tests = len(points) + len(pooled)
    bound = float(stats.norm.isf((1 - AGREEMENT) / 2 / max(tests, 1)))
    pooled_bound = float(stats.norm.isf((1 - AGREEMENT) / 2 / max(len(pooled), 1)))
    seen = detectable(pooled.error.to_numpy(), pooled.repeats.to_numpy(), len(pooled))
    left_out = len(compared) - len(points)
    share = left_out / max(len(compared), 1)
    means = ", ".join(
        f"{100 * row['gap']:+.2f} ± {100 * row['error']:.2f} (p = {row['p']})"
        for row in pooled.to_dict("records")
    )
    single = detectable(points.error.to_numpy(), points.repeats.to_numpy(), tests)
    limits = ", ".join(
        f"{100 * (FINITE_SIZE / p + limit):.2f} (p = {p})"
        for p, limit in zip(pooled.p, seen, strict=True)
    )
    numbers = [
        f"{len(points)} points, rms z {np.sqrt(np.mean(points.z**2)):.2f}",
        f"mean gap {means} points of misclassification",
        f"largest deviate beyond the allowance {deviates.max(initial=0):.1f} (bound {bound:.1f})",
        f"with probability {POWER:.0%} a mean gap of {limits} points would be seen, and at half of"
        f" the single points one of {100 * (FINITE_SIZE / points.p + single).median():.2f}",
    ]
    if blind := pooled.p[~(seen <= DETECTION)].tolist():
        numbers.append(
            f"too few data sets to see {100 * DETECTION:g} point beyond the allowance at p ="
            f" {', '.join(map(str, blind))}"
        )
    if left_out:
        too_many = f", more than {LEFT_OUT:.0%}" if share > LEFT_OUT else ""
        numbers.append(
            f"{left_out} of {len(compared)} points left out ({share:.1%}{too_many}), where some"
            " fits have no solution"
        )
    if unsolved:
        numbers.append(f"{unsolved} points without theory or simulation")
    return Claim(
        "Theory and simulation agree, up to statistical error and a finite-size gap of"
        f" {FINITE_SIZE}/p",
        "here",
        "; ".join(numbers),
        f"simulation, confidence {_percentage(AGREEMENT)} for all points together, and for the"
        " mean gaps",
        len(pooled) > 0
        and not unsolved
        and not blind
        and share <= LEFT_OUT
        and bool(np.all(deviates <= bound))
        and bool(np.all(pooled_deviates <= pooled_bound)),
    )


def detectable(error: Array, repeats: NDArray[np.int_], tests: int) -> Array:
    """The gap, beyond the allowance, that is found with probability POWER.

    By one of ``tests`` t-tests that are wrong together with probability 1 - AGREEMENT. error:
    standard errors, each from so many data sets; a single data set finds nothing (NaN).
    The noncentral t distribution is approximated as in Abramowitz and Stegun, eq. 26.7.10.
    """
    freedom = np.where(repeats > 1, repeats - 1.0, np.nan)
    critical = stats.t.isf((1 - AGREEMENT) / 2 / max(tests, 1), freedom)
    spread = np.sqrt(1 + critical**2 / (2 * freedom))
    return np.asarray(error * (critical * (1 - 1 / (4 * freedom)) + stats.norm.ppf(POWER) * spread))


def _compared(results: xr.Dataset) -> pd.DataFrame:
    """Every simulated problem once: labels, gap, error, z, repeats, p, failed fits."""
    mean, error = mean_and_error(results)
    columns = xr.Dataset(
        {
            "theory": results.theory_misclassification,
            "gap": mean - results.theory_misclassification,
            "error": error,
            "repeats": (results.simulation_converged == 1).sum("data_set"),
            "p": results.simulation_dimension,
            "failed": (results.simulation_converged == 0).sum("data_set"),
            "wanted": _wanted(results),
        }
    )
    table = columns.to_dataframe().reset_index()
    table = table[table.wanted]
    predicted, spread = table.theory.to_numpy(), table.error.to_numpy()
    z = z_scores(predicted + table.gap.to_numpy(), predicted, spread)
    z = np.where(np.isnan(z) & np.isfinite(spread + predicted), 0.0, z)  # constant, as predicted
    return table.assign(z=normal_deviates(z, table.repeats.to_numpy()))


def _pooled(results: xr.Dataset) -> pd.DataFrame:
    """Mean gap over points with no failed fit, for every p: gap, error over data sets, repeats."""
    whole = _wanted(results) & ~(results.simulation_converged == 0).any("data_set")
    gap = results.simulation_misclassification - results.theory_misclassification
    rows = []
    for p in sorted(set(results.simulation_dimension.values[whole.values].tolist())):
        chosen = gap.where(whole & (results.simulation_dimension == p))
        by_data_set = chosen.mean([d for d in gap.dims if d != "data_set"]).dropna("data_set")
        count = by_data_set.size
        error = float(by_data_set.std(ddof=1)) / count**0.5 if count > 1 else np.nan
        rows.append({"p": p, "gap": float(by_data_set.mean()), "error": error, "repeats": count})
    types = {"p": int, "gap": float, "error": float, "repeats": int}
    return pd.DataFrame(rows, columns=list(types)).astype(types)


def _wanted(results: xr.Dataset) -> xr.DataArray:
    wanted: xr.DataArray = ~results.repeated & (results.simulation_dimension > 0)
    return wanted


def best_scheme_changes(results: xr.Dataset, source: Source, statement: str) -> Claim:
    """In theory, different exponents are best at different fractions (below 1).

    A change counts where the two predictions are told apart. results: over alpha and fraction.
    """
    points = results.sel(fraction=results.fraction < 1)
    winners = points.theory_misclassification.fillna(1).argmin("alpha").values
    best = points.alpha.values[winners]
    changes = [0]
    for k in range(1, len(best)):
        here = points.isel(fraction=k)
        before = here.isel(alpha=winners[changes[-1]])
        if at_most(here.isel(alpha=winners[k])) < at_least(before):
            changes.append(k)
    numbers = ", ".join(
        f"α = {best[k]:g} from γ = {points.fraction.values[k]:g}".replace("-", "−") for k in changes
    )
    return theory_claim(source, statement, len(changes) > 1, f"best: {numbers}", points)
