"""Low dimension: p fixed, N to infinity. What an optimal subset costs, gains and risks.

Theory: ``theory.low_dimensional``. Risks rho = lim N E|theta_hat - theta*|^2 are lines; simulated
ones, at finite N and with their own fits, are points with one standard error.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from figures.panels import log_ticks, panel_grid
from figures.style import MARKERS, SERIES_COLOURS
from paper_repro.claims import Claim
from paper_repro.reproduction import OwnReproduction
from simulate.low_dimensional import simulate_risk
from theory import LogisticLink, PowerSelection, Problem, SingleIndex, SquaredLoss, predict
from theory.low_dimensional import (
    BinaryLabels,
    GaussianFeatures,
    LinearLabels,
    Model,
    Points,
    Selection,
    asymptotic_risk,
    influence_sampling,
    large_samples,
    minimax_selection,
    optimal_biased,
    optimal_biased_curve,
    optimal_unbiased,
    osmac,
    plug_in_risk,
    random_selection,
    threshold_selection,
)

Array = NDArray[np.float64]

FRACTIONS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
DIMENSIONS = (2, 10)
SIGNALS = (0.5, 4.0)
RULES = ("labels", "root mean square", "mVc labels", "mVc mean")
SURROGATES = ("plug-in", "minimax", "random")
EXPONENTS = (-1.0, 1.0)
SAMPLES_PER_DIMENSION = (2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0)
SUBSET = 0.8
"""The fraction whose gain over the full sample is simulated."""

CERTAIN = 3.0
"""Standard errors within which theory and simulation agree, or beyond which a gain is certain."""


def uneven(dimension: int = 5) -> Model:
    """Least squares with noise of variance 0.2 + h^2."""
    return Model(GaussianFeatures(dimension), LinearLabels(lambda u: 0.2 + u**2))


def mismatched(dimension: int = 5) -> Model:
    """Squared loss on logistic labels."""
    return Model(GaussianFeatures(dimension, 4.0), BinaryLabels(LogisticLink(), SquaredLoss()))


def _central(model: Model, fraction: float) -> Selection:
    def score(points: Points) -> Array:
        return np.asarray(-(points.explicit[:, 0] ** 2)[None])

    return threshold_selection(model, score, fraction)


def compute(full: bool = False, seed: int = 0) -> xr.Dataset:
    """All curves, and the simulated gains of subsets: pools of 5000, 200 of them or 2000."""
    parts = [
        _optima(),
        _gains(2000 if full else 200, 1000 * seed),
        _rules(),
        _surrogates(),
        _reversal(),
    ]
    return xr.merge(parts)


def _optima() -> xr.Dataset:
    shape = (len(DIMENSIONS), len(SIGNALS), len(FRACTIONS))
    values = {name: np.empty(shape) for name in ("unbiased", "biased", "gap")}
    for i, dimension in enumerate(DIMENSIONS):
        for j, signal in enumerate(SIGNALS):
            model = Model(GaussianFeatures(dimension, signal), BinaryLabels(LogisticLink()))
            curve = optimal_biased_curve(model, FRACTIONS[::-1])[::-1]
            values["unbiased"][i, j] = [optimal_unbiased(model, g).rho for g in FRACTIONS]
            values["biased"][i, j] = [best.rho for best in curve]
            values["gap"][i, j] = [best.gap for best in curve]
    axes = {"dimension": list(DIMENSIONS), "signal": list(SIGNALS), "fraction": list(FRACTIONS)}
    return xr.Dataset({k: (tuple(axes), v) for k, v in values.items()}, axes)


def _gains(repeats: int, seed: int) -> xr.Dataset:
    """rho of subsets over that of the full sample; along with simulations at SUBSET and 1.

    Where the loss is mismatched, the direction's: rho across e over the target's square.
    """
    kinds = ("uneven noise", "mismatched loss")
    predicted = np.empty((2, len(FRACTIONS)))
    simulated, error = np.empty((2, 2)), np.empty((2, 2))
    noise, loss = uneven(), mismatched()
    curve = optimal_biased_curve(noise, FRACTIONS[::-1])[::-1]
    predicted[0] = [best.rho for best in curve]
    predicted[1] = [_direction(loss, _central(loss, g)) for g in FRACTIONS]
    for k, fraction in enumerate((SUBSET, 1.0)):
        best = optimal_biased(noise, fraction).selection
        found = simulate_risk(noise, best, samples=5000, repeats=repeats, seed=seed + k)
        simulated[0, k], error[0, k] = found.mean, found.standard_error
        central = _central(loss, fraction)
        (target,) = asymptotic_risk(loss, central).target
        found = simulate_risk(loss, central, (0.0, 1.0), 5000, repeats, seed=seed + 10 + k)
        simulated[1, k] = found.mean / target**2
        error[1, k] = found.standard_error / target**2
    return xr.Dataset(
        {
            "subset": (("kind", "fraction"), predicted),
            "simulated": (("kind", "simulated_fraction"), simulated),
            "simulated_error": (("kind", "simulated_fraction"), error),
        },
        {
            "kind": list(kinds),
            "fraction": list(FRACTIONS),
            "simulated_fraction": [SUBSET, 1.0],
        },
    )


def _direction(model: Model, selection: Selection) -> float:
    risk = asymptotic_risk(model, selection, (0.0, 1.0))
    return risk.rho / risk.target[0] ** 2


def _rules() -> xr.Dataset:
    model = Model(GaussianFeatures(5, 2.0), BinaryLabels(LogisticLink()))
    values = np.empty((len(RULES), len(FRACTIONS)))
    for k, fraction in enumerate(FRACTIONS):
        rules: tuple[Selection, ...] = (
            influence_sampling(model, fraction),
            influence_sampling(model, fraction, knows="root mean square"),
            osmac(model, fraction, "mVc"),
            osmac(model, fraction, "mVc", "mean"),
        )
        values[:, k] = [asymptotic_risk(model, rule).rho for rule in rules]
    axes = {"rule": list(RULES), "fraction": list(FRACTIONS)}
    return xr.Dataset({"rule_rho": (tuple(axes), values)}, axes)


def _surrogates() -> xr.Dataset:
    """Worst rho over two candidates: noise on the one or on the other side of the origin."""
    left, right = (
        Model(GaussianFeatures(2), LinearLabels(_one_sided(side), (0.0,))) for side in (-1, 1)
    )
    values, gap = np.empty((len(SURROGATES), len(FRACTIONS))), np.empty(len(FRACTIONS))
    for k, fraction in enumerate(FRACTIONS):
        best = minimax_selection([left, right], fraction)
        plug_in = max(plug_in_risk(model, left, fraction).rho for model in (left, right))
        plain = asymptotic_risk(left, random_selection(fraction)).rho
        values[:, k], gap[k] = (plug_in, best.worst, plain), best.gap
    axes = {"strategy": list(SURROGATES), "fraction": list(FRACTIONS)}
    return xr.Dataset({"worst": (tuple(axes), values), "minimax_gap": (("fraction",), gap)}, axes)


def _one_sided(side: int) -> Callable[[Array], Array]:
    """Variance 1 on one side of the origin, 1e-4 on the other."""

    def variance(u: Array) -> Array:
        return np.where(side * u > 0, 1.0, 1e-4)

    return variance


def _reversal() -> xr.Dataset:
    data = SingleIndex(LogisticLink(), 2.0)
    shape = (len(EXPONENTS), len(SAMPLES_PER_DIMENSION))
    error, limit = np.empty(shape), np.empty(shape)
    for i, alpha in enumerate(EXPONENTS):
        scheme = PowerSelection(alpha, 0.6)
        tail = large_samples(data, scheme)
        for j, delta in enumerate(SAMPLES_PER_DIMENSION):
            error[i, j] = predict(Problem(data, scheme, 1e-4, delta)).misclassification
            limit[i, j] = tail.misclassification + tail.misclassification_rate / delta
    axes = {"alpha": list(EXPONENTS), "samples_per_dimension": list(SAMPLES_PER_DIMENSION)}
    return xr.Dataset({"high": (tuple(axes), error), "low": (tuple(axes), limit)}, axes)


def draw(results: xr.Dataset) -> dict[str, Figure]:
    """One picture of six panels."""
    figure, axes = panel_grid(
        2, 3, "Low dimension (p fixed, N → ∞): what selection costs, gains and risks", share_y=False
    )
    for axis in axes.flat[:-1]:
        axis.tick_params(labelbottom=True)
    _draw_optima(axes[0, 0], results)
    for axis, kind in zip(axes[0, 1:], results.kind.values, strict=True):
        _draw_gain(axis, results.sel(kind=kind), str(kind))
    for axis, name, by, title in (
        (axes[1, 0], "rule_rho", "rule", "knowing labels (over label-free)"),
        (axes[1, 1], "worst", "strategy", "worst of two candidates (over minimax)"),
    ):
        base = results[name].isel({by: 1})
        for k, series in enumerate(results[name]):
            ratio = series / base
            axis.plot(
                results.fraction,
                ratio,
                color=SERIES_COLOURS[k],
                marker=MARKERS[k],
                ms=3,
                label=str(series[by].values),
            )
        axis.set(title=title, xlabel="γ", ylabel="ratio of ρ", yscale="log")
        axis.legend(fontsize=7)
    last = axes[1, 2]
    last.remove()
    _draw_reversal(figure.add_subplot(2, 3, 6), results)
    return {"low-dimension": figure}


def _draw_optima(axis: Axes, results: xr.Dataset) -> None:
    ratio = results.unbiased / results.biased
    for k, (p, s) in enumerate((p, s) for p in DIMENSIONS for s in SIGNALS):
        curve = ratio.sel(dimension=p, signal=s)
        axis.plot(results.fraction, curve, color=SERIES_COLOURS[k], label=f"p = {p}, s = {s:g}")
    axis.set(title="optimal unbiased over optimal biased", xlabel="γ", ylabel="ratio of ρ")
    axis.legend(fontsize=7)


def _draw_gain(axis: Axes, results: xr.Dataset, title: str) -> None:
    shown = results.sel(fraction=results.fraction >= 0.3)
    axis.plot(shown.fraction, shown.subset, color=SERIES_COLOURS[0], label="theory")
    axis.errorbar(
        results.simulated_fraction,
        results.simulated,
        results.simulated_error,
        fmt="o",
        color=SERIES_COLOURS[1],
        label="simulation, N = 5000",
    )
    axis.set(title=f"a subset beats all: {title}", xlabel="γ", ylabel="ρ")
    axis.legend(fontsize=7)


def _draw_reversal(axis: Axes, results: xr.Dataset) -> None:
    for k, alpha in enumerate(EXPONENTS):
        name = "easy" if alpha < 0 else "hard"
        for line, style in (("high", "-"), ("low", "--")):
            values = 100 * results[line].sel(alpha=alpha)
            label = f"{name}, {'exact' if line == 'high' else 'low-dimensional'}"
            axis.plot(
                results.samples_per_dimension, values, style, color=SERIES_COLOURS[k], label=label
            )
    axis.set(
        title="hard or easy? γ = 0.6",
        xlabel="N/p",
        ylabel="misclassification (%)",
        ylim=(20, 50),
        xscale="log",
    )
    log_ticks(axis, "x", SAMPLES_PER_DIMENSION)
    axis.legend(fontsize=7)


def table(results: xr.Dataset) -> pd.DataFrame:
    """Ratios of risks by fraction."""
    ratio = results.unbiased / results.biased
    columns = {
        f"unbiased / biased, p = {p}, s = {s:g}": ratio.sel(dimension=p, signal=s).values
        for p in DIMENSIONS
        for s in SIGNALS
    }
    free = results.rule_rho.sel(rule="root mean square")
    columns["label-aware / label-free"] = (results.rule_rho.sel(rule="labels") / free).values
    worst = results.worst
    columns["plug-in / minimax"] = (
        worst.sel(strategy="plug-in") / worst.sel(strategy="minimax")
    ).values
    return pd.DataFrame({"fraction": results.fraction.values, **columns})


def claims(results: xr.Dataset) -> list[Claim]:
    """Verdicts, each on the numbers it speaks of."""
    part = results.sel(fraction=results.fraction < 1)
    ratio = part.unbiased / part.biased
    gap = float(results.gap.max())
    found = [
        Claim(
            "In low dimension the optimal unbiased selection is worse than the optimal one without"
            " reweighting, at every fraction below 1, p and signal",
            "paper",
            f"ratio of ρ from {float(ratio.min()):.3f} to {float(ratio.max()):.2f}",
            f"theory, optimality gap at most {gap:.0e}",
            float(ratio.min()) > 1 and gap < 1e-6,
        )
    ]
    found += [_gain_claim(results.sel(kind=kind), str(kind)) for kind in results.kind.values]
    aware = part.rule_rho.sel(rule="labels") / part.rule_rho.sel(rule="root mean square")
    found.append(
        Claim(
            "Knowing the labels lowers the risk of unbiased selection at every fraction below 1",
            "here",
            f"ratio of ρ from {float(aware.min()):.3f} to {float(aware.max()):.3f}",
            "theory",
            float(aware.max()) < 1,
        )
    )
    small = part.sel(fraction=part.fraction <= 0.5).worst
    far = small.sel(strategy="plug-in") / small.sel(strategy="minimax")
    duality = float(results.minimax_gap.max())
    found.append(
        Claim(
            "Plug-in selection is not minimax: with noise on either the left or the right, its"
            " worst risk is more than 5 times the minimax one at every γ ≤ 0.5",
            "paper",
            f"ratio of worst ρ from {float(far.min()):.1f} to {float(far.max()):.1f}",
            f"theory, duality gap at most {duality:.0e}",
            float(far.min()) > 5 and duality <= 1e-6,
        )
    )
    hard, easy = results.high.sel(alpha=1.0), results.high.sel(alpha=-1.0)
    few, many = hard.samples_per_dimension.values[[0, -1]]
    high = float(hard.sel(samples_per_dimension=few) - easy.sel(samples_per_dimension=few))
    low = float(easy.sel(samples_per_dimension=many) - hard.sel(samples_per_dimension=many))
    limits = results.low.sel(samples_per_dimension=many)
    asymptotic = float(limits.sel(alpha=-1.0) - limits.sel(alpha=1.0))
    found.append(
        Claim(
            f"The ranking reverses: at γ = 0.6 easy samples win at N/p = {few:g}, hard ones at"
            f" N/p = {many:g}, as low-dimensional asymptotics say",
            "paper",
            f"easy ahead by {100 * high:.2f} points, hard by {100 * low:.2f}"
            f" (low-dimensional: {100 * asymptotic:.2f})",
            "theory",
            high > 0 and low > 0 and asymptotic > 0,
        )
    )
    return found


def _gain_claim(results: xr.Dataset, kind: str) -> Claim:
    """A subset beats the full sample, in theory and in simulation, and both agree."""
    subset, full = (float(results.subset.sel(fraction=g)) for g in (SUBSET, 1.0))
    seen, error = results.simulated.values, results.simulated_error.values
    z = (seen - np.array([subset, full])) / error
    certain = (seen[1] - seen[0]) / np.hypot(*error)
    return Claim(
        f"A subset beats the full sample ({kind}): γ = {SUBSET:g} against 1",
        "paper",
        f"ρ {subset:.3f} against {full:.3f}; simulated {seen[0]:.3f} ± {error[0]:.3f} against"
        f" {seen[1]:.3f} ± {error[1]:.3f}",
        f"theory, and simulation: largest |z| {np.abs(z).max():.1f}, difference {certain:.1f}"
        " standard errors",
        bool(subset < full and np.abs(z).max() < CERTAIN and certain > CERTAIN),
    )


FIGURE = OwnReproduction(
    name="low-dimension",
    title="Low dimension: what selection costs, gains and risks",
    shows="unbiasedness costs, a subset can beat the full sample, a better surrogate can lose",
    minutes=(0.3, 3.0),
    run=lambda run: compute(run.full, run.seed),
    draw=draw,
    table=table,
    claims=claims,
    needs=("rule_rho", "worst"),
)
