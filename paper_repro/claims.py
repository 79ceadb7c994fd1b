"""Machine-checked claims: a statement in words, the computed numbers, and whether it holds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
import xarray as xr
from scipy import stats

from simulate.compare import mean_and_error, normal_deviates

Source = Literal["paper", "here"]

RESOLUTION = 1e-7
"""Predictions closer than this are not told apart: what doubling the quadrature's nodes moves."""

CONFIDENCE = 0.99
"""A simulated difference counts if its sign is this certain ..."""

AGREEMENT = 0.999
"""... and theory and simulation disagree if all gaps together are this improbable."""

FINITE_SIZE = 0.5
"""The gap, in units of 1/p, that agreement allows: the finite-size figure measures it."""


@dataclass(frozen=True)
class Claim:
    """A verdict.

    source: "paper" for what the paper states, "here" for what this toolkit adds. numbers: what was
    computed. basis: theory with its residual, or simulation with its confidence.
    """

    statement: str
    source: Source
    numbers: str
    basis: str
    holds: bool


def theory_claim(
    statement: str, holds: bool, numbers: str, points: xr.Dataset, source: Source = "paper"
) -> Claim:
    """A claim about predictions; one that needs a point which did not converge does not hold."""
    solved = bool(np.all(points.theory_status == "CONVERGED"))
    residual = float(points.theory_residual.max())
    basis = f"theory, residual {residual:.0e}" if solved else "theory: points did not converge"
    return Claim(statement, source, numbers, basis, bool(holds) and solved)


def beats(
    results: xr.Dataset,
    statement: str,
    better: Mapping[str, Any],
    worse: Mapping[str, Any],
    source: Source = "paper",
) -> list[Claim]:
    """Of two points, one has the smaller error: in theory, and where simulated there as well.

    better, worse: labels of the points. The simulated difference is taken data set by data set.
    """
    pair = [results.sel(better), results.sel(worse)]
    errors = [float(point.theory_misclassification) for point in pair]
    both = xr.concat(
        [p[["theory_status", "theory_residual"]].reset_coords(drop=True) for p in pair], "pair"
    )
    claims = [
        theory_claim(statement, errors[1] - errors[0] > RESOLUTION, _against(errors), both, source)
    ]
    if all(_is_simulated(point) for point in pair):
        claims.append(_simulated_beats(statement, pair, source))
    return claims


def _simulated_beats(statement: str, pair: Sequence[xr.Dataset], source: Source) -> Claim:
    values = [p.simulation_misclassification.where(p.simulation_converged == 1) for p in pair]
    gaps = values[1].values - values[0].values
    gaps = gaps[np.isfinite(gaps)]
    error = gaps.std(ddof=1) / gaps.size**0.5
    certain = float(stats.t.cdf(gaps.mean() / error, gaps.size - 1))
    numbers = _against([float(v.mean()) for v in values])
    return Claim(
        statement,
        source,
        f"{numbers}, difference {100 * gaps.mean():.2f} ± {100 * error:.2f} points",
        f"simulation, p = {int(pair[0].simulation_dimension)}, {gaps.size} pairs,"
        f" confidence {_percentage(certain)}",
        certain > CONFIDENCE,
    )


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
    """Simulation and theory agree at every simulated point, but for noise and FINITE_SIZE/p.

    Points where some fits have no solution (say, a subset with one class only) are left out, and
    counted: what remains is not a fair sample of the data sets.
    """
    compared = _compared(results)
    points = compared[compared.failed == 0]
    excess = np.maximum(points.gap.abs() - FINITE_SIZE / points.p, 0)
    z = (excess / points.error).where(excess > 0, 0.0)
    deviates = np.maximum(normal_deviates(z.to_numpy(), points.repeats.to_numpy()), 0)
    bound = float(stats.norm.isf((1 - AGREEMENT) / 2 / len(points)))
    sizes = ", ".join(str(p) for p in sorted(set(points.p)))
    left_out = len(compared) - len(points)
    return Claim(
        "Theory and simulation agree, up to statistical error and a finite-size gap of"
        f" {FINITE_SIZE}/p",
        "here",
        f"{len(points)} points: rms z {np.sqrt(np.mean(points.z**2)):.2f},"
        f" largest gap {100 * points.gap.abs().max():.2f} points of misclassification,"
        f" largest deviate beyond the allowance {deviates.max():.1f} (bound {bound:.1f})"
        + (f"; {left_out} points left out, where some fits have no solution" if left_out else ""),
        f"simulation, p = {sizes}, confidence {_percentage(AGREEMENT)} for all points together",
        bool(np.all(deviates <= bound)),
    )


def _compared(results: xr.Dataset) -> pd.DataFrame:
    """Every simulated problem once: labels, gap, error, z, repeats, dimension, failed fits."""
    mean, error = mean_and_error(results)
    good = results.simulation_converged == 1
    columns = xr.Dataset(
        {
            "gap": mean - results.theory_misclassification,
            "error": error,
            "repeats": good.sum("data_set"),
            "p": results.simulation_dimension,
            "failed": (results.simulation_converged == 0).sum("data_set"),
            "wanted": ~results.repeated & (results.simulation_dimension > 0),
        }
    )
    table = columns.to_dataframe().reset_index()
    table = table[table.wanted & (table.repeats >= 2)]
    z = (table.gap / table.error).where(table.error > 0, 0.0)
    return table.assign(z=normal_deviates(z.to_numpy(), table.repeats.to_numpy()))


def best_scheme_changes(results: xr.Dataset, statement: str) -> Claim:
    """In theory, different exponents are best at different fractions (below 1).

    results: over alpha and fraction.
    """
    points = results.sel(fraction=results.fraction < 1)
    best = points.alpha[points.theory_misclassification.fillna(1).argmin("alpha")].values
    changes = [0, *(1 + np.flatnonzero(np.diff(best)))]
    numbers = ", ".join(
        f"α = {best[k]:g} from γ = {points.fraction.values[k]:g}".replace("-", "−") for k in changes
    )
    return theory_claim(statement, len(changes) > 1, f"best: {numbers}", points)
