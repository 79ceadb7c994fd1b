"""Which selection is best over N/p and the fraction kept, and where it beats the full sample.

A row of the map is one fraction: its optima start from their neighbours along N/p. What bounds a
region is a smooth function that changes its sign there, so that its root is a curve:

- a family of schemes wins where its error minus that of the other families is negative;
- the hardest samples alone are best while the derivative Z of no score inside is above that of the
  threshold: hole = Z - level where the labels' law jumps, as it is largest there;
- the easiest alone, while the sample at the 99.9 % quantile of |t| is kept: far = Z - level there;
- a subset beats the full sample where the error with both ridges tuned is smaller.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.stats import norm

from figures import figure_style, log_ticks, panel_grid, refined, winner_map
from figures.style import POWER_STYLES, SchemeStyle
from paper_repro.claims import Claim
from paper_repro.reproduction import OwnReproduction, Run
from paper_repro.reproductions.settings import LABELS, full_sample
from simulate.running.identity import digest
from simulate.running.kept import kept_answers
from theory import (
    OptimalSelection,
    Problem,
    RandomSelection,
    SingleIndex,
    TopSelection,
    optimal_selection,
    predict,
    predict_all,
    tune,
    tuned_selection,
)
from theory.optimal import paper_schemes

Array = NDArray[np.float64]

RIDGE = 0.01
STEPS = {False: 14, True: 40}
"""Of the map in either direction, in the quick and in the full run."""

BOUNDARY_STEPS = {False: 6, True: 20}
"""N/p at which the boundary with tuned ridges is found."""

SIZES, FRACTIONS = (1.0, 80.0), (0.05, 0.95)

FAMILIES = {"random": (0,), "easy": (1, 2, 6), "hard": (3, 4, 5)}
"""Places among ``paper_schemes``."""

FAR = 0.999
"""The quantile of |score| beyond which a band that leaves samples out is no longer "easiest"."""

WORTH = 1e-3
"""How much better than every family a band must be to be called the winner."""

BRACKET, PRECISE = (0.03, 0.97), 2e-3
"""Fractions between which the boundary with tuned ridges is sought, and its precision."""

STYLES = [
    SchemeStyle(POWER_STYLES[0.0].colour, "o", "random"),
    SchemeStyle(POWER_STYLES[-1.0].colour, "v", "easy samples"),
    SchemeStyle(POWER_STYLES[1.0].colour, "^", "hard samples"),
    SchemeStyle("#F0E442", "s", "a band between, by more than 0.1 points"),
]


class Row(NamedTuple):
    """The optima of one fraction along N/p."""

    labels: str
    fraction: float
    sizes: tuple[float, ...]


class Boundary(NamedTuple):
    """The fraction from which on the optimum beats the full sample, both ridges tuned."""

    labels: str
    size: float


ROW_NAMES = ("schemes", "full_sample", "optimum", "error", "gap", "lower", "hole", "far")
BOUNDARY_NAMES = ("root", "gain_at_many", "gain_at_few", "ridge", "full_ridge")


def parts(full: bool) -> list[Row | Boundary]:
    """The slowest first."""
    sizes = tuple(float(s) for s in np.geomspace(*SIZES, STEPS[full]).round(4))
    fractions = np.linspace(*FRACTIONS, STEPS[full]).round(4)
    boundary = np.geomspace(*SIZES, BOUNDARY_STEPS[full]).round(4)
    return [
        *(Boundary(labels, float(size)) for labels in LABELS for size in boundary),
        *(Row(labels, float(g), sizes) for labels in LABELS for g in fractions),
    ]


def compute(run: Run) -> xr.Dataset:
    """The diagram; every part is kept as it ends."""
    jobs = {digest((*_names(part), *part))[:16]: part for part in parts(run.full)}
    found = kept_answers(
        list(jobs),
        lambda job: _arrays(jobs[job]),
        lambda job: (_arrays, jobs[job]),
        {"setting": digest((RIDGE, BRACKET, PRECISE))},
        None if run.directory is None else run.directory / "parts",
        run.executor,
        run.progress("parts of the phase diagram"),
    )
    return assemble(run.full, [dict(zip(_names(jobs[j]), found[j], strict=True)) for j in jobs])


def _arrays(part: Row | Boundary) -> tuple[Array, ...]:
    """Numbers of a part, in the order of their names."""
    numbers = work(part)
    return tuple(np.asarray(numbers[name], dtype=np.float64) for name in _names(part))


def _names(part: Row | Boundary) -> tuple[str, ...]:
    return ROW_NAMES if isinstance(part, Row) else BOUNDARY_NAMES


def work(part: Row | Boundary) -> Mapping[str, Any]:
    """Numbers of a row, or of a point of the boundary."""
    return _row(part) if isinstance(part, Row) else _boundary(part)


def _problem(labels: str, size: float, fraction: float) -> Problem:
    selection = RandomSelection(fraction)
    return full_sample(labels, size, RIDGE).replace({"selection": selection})


def _row(row: Row) -> dict[str, Any]:
    problems = [_problem(row.labels, size, row.fraction) for size in row.sizes]
    schemes = [
        [p.misclassification for p in predict_all([q.replace({"selection": s}) for q in problems])]
        for s in paper_schemes(row.fraction)
    ]
    whole = predict_all([full_sample(row.labels, size, RIDGE) for size in row.sizes])
    numbers: dict[str, Any] = {
        "schemes": schemes,
        "full_sample": [p.misclassification for p in whole],
    }
    best = None
    for problem in problems:
        best = optimal_selection(problem, near=best)
        for name, value in _described(best).items():
            numbers.setdefault(name, []).append(value)
    return numbers


def _described(best: OptimalSelection) -> dict[str, float]:
    z = best.derivative
    spread = float(z.std())
    first = min((abs(t) for t in best.thresholds), default=0.0)
    deviation = best.prediction.beta_0
    data = best.problem.data
    assert isinstance(data, SingleIndex)
    jumps = [float(jump) for jump in data.link.jumps if jump >= 0]
    inside = max(_just_above(jump, z) for jump in jumps)
    far = float(np.interp(deviation * norm.ppf((1 + FAR) / 2), z.score, z.values))
    kept_at_0 = float(np.interp(0.0, z.score, z.kept.values)) > 0.5
    return {
        "optimum": best.prediction.misclassification,
        "error": best.prediction.error_estimate,
        "gap": best.gap,
        "lower": 0.0 if kept_at_0 else float(2 * norm.cdf(first / deviation) - 1),
        "hole": (inside - best.level) / spread,
        "far": (far - best.level) / spread,
    }


def _just_above(score: float, z: xr.DataArray) -> float:
    """Z right of a jump, on the straight line through the two nearest nodes there."""
    above = z.where(z.score > score, drop=True)[:2]
    slope = float((above[1] - above[0]) / (above.score[1] - above.score[0]))
    return float(above[0]) - slope * (float(above.score[0]) - score)


def _boundary(part: Boundary) -> dict[str, Any]:
    """By bisection: the gain from tuned selection is negative at few samples, positive at many."""
    whole = tune(full_sample(part.labels, part.size, RIDGE))
    tried: dict[float, OptimalSelection] = {}

    def gain(fraction: float) -> float:
        if fraction not in tried:
            last = next(reversed(tried.values()), None)
            problem = _problem(part.labels, part.size, fraction)
            tried[fraction] = tuned_selection(problem, near=last)
        error = tried[fraction].prediction.misclassification
        return whole.prediction.misclassification - error

    low, high = BRACKET
    ends = gain(high), gain(low)
    root = float("nan")
    if ends[0] > 0 > ends[1]:
        root = float(brentq(gain, low, high, xtol=PRECISE))
    return {
        "root": root,
        "gain_at_many": ends[0],
        "gain_at_few": ends[1],
        "ridge": list(tried.values())[-1].problem.ridge,
        "full_ridge": whole.problem.ridge,
    }


def assemble(full: bool, numbers: Sequence[Mapping[str, Any]]) -> xr.Dataset:
    """Over labels, N/p and fraction; the boundary over its own N/p."""
    found = dict(zip(parts(full), numbers, strict=True))
    rows = [p for p in found if isinstance(p, Row)]
    points = [p for p in found if isinstance(p, Boundary)]
    sizes = rows[0].sizes
    fractions = list(dict.fromkeys(row.fraction for row in rows))
    at = list(dict.fromkeys(point.size for point in points))
    dims = ("labels", "samples_per_dimension", "fraction")
    variables: dict[str, Any] = {}
    for name in found[rows[0]]:
        values = np.array(
            [[found[Row(k, g, sizes)][name] for g in fractions] for k in LABELS], dtype=float
        )
        values = np.moveaxis(values, 1, -1)  # the fraction last
        if name == "schemes":
            variables[name] = ((dims[0], "scheme", *dims[1:]), values)
        else:
            variables[name] = (dims, values)
    for name in found[points[0]]:
        values = np.array([[found[Boundary(k, s)][name] for s in at] for k in LABELS], dtype=float)
        variables[f"boundary_{name}"] = ((dims[0], "boundary_size"), values)
    coordinates = {
        "scheme": list(range(len(found[rows[0]]["schemes"]))),
        "labels": list(LABELS),
        "samples_per_dimension": list(sizes),
        "fraction": fractions,
        "boundary_size": at,
    }
    return xr.Dataset(variables, coordinates)


def families(results: xr.Dataset) -> xr.DataArray:
    """The error of the best scheme of every family, finely over N/p and fraction."""
    fine = refined(results.schemes)
    best = [fine.isel(scheme=list(places)).min("scheme") for places in FAMILIES.values()]
    return xr.concat(best, pd.Index(list(FAMILIES), name="family"))


def draw(results: xr.Dataset) -> dict[str, Figure]:
    """Winners, the band's place, and the gain over the full sample, for each label model."""
    with figure_style():
        figure, axes = panel_grid(
            len(LABELS),
            3,
            "Few labels ask for the easiest samples, many for the hardest; between them a band"
            " wins, and beats the full sample\n"
            f"perfect surrogate, ridge λ = {RIDGE:g}, but for the dashed line, where it is tuned"
            " within [1e-4, 10] on both sides; theory",
            panel=(3.7, 3.2),
        )
        for i, labels in enumerate(LABELS):
            at = results.sel(labels=labels)
            _draw_winners(axes[i, 0], at)
            place = _draw_place(axes[i, 1], at)
            gain = _draw_gain(axes[i, 2], at)
            axes[i, 0].set_ylabel(f"{labels} labels\n\nsamples per dimension N/p")
            for axis in axes[i]:
                axis.set(xlim=100 * np.array(FRACTIONS), ylim=SIZES)
                log_ticks(axis, "y", [1, 3, 10, 30, 80])
                axis.grid(visible=False)
        titles = ("who wins", "where the best band begins", "the best band against all samples")
        for axis, title in zip(axes[0], titles, strict=True):
            axis.set_title(title)
        for axis in axes[-1]:
            axis.set_xlabel("fraction of the pool kept (%)")
        figure.colorbar(place, ax=axes[:, 1], shrink=0.6, pad=0.02).set_label(
            "quantile of |score| at its lower end (%)"
        )
        figure.colorbar(gain, ax=axes[:, 2], shrink=0.6, pad=0.02, extend="both").set_label(
            "error of all samples − of the band (points)"
        )
        handles: list[Any] = [Patch(color=s.colour, label=s.label) for s in STYLES]
        handles += [
            Line2D([], [], color="#000000", ls=":", label="middle: easiest alone left of it"),
            Line2D([], [], color="#000000", label="middle: hardest alone right of it"),
            Line2D([], [], color="#000000", label="right: a gain right of it, ridge fixed"),
            Line2D([], [], color="#000000", ls="--", label="right: the same, both ridges tuned"),
        ]
        figure.legend(handles=handles, loc="outside lower center", ncols=4)
    return {"phase-diagram": figure}


def _axes_of(surface: xr.DataArray) -> tuple[Any, Any]:
    return 100 * surface.fraction.values, surface.samples_per_dimension.values


def _draw_winners(axis: Axes, at: xr.Dataset) -> None:
    errors = families(at)
    band = refined(at.optimum) + WORTH
    stacked = np.concatenate([errors.values, band.values[None]])
    winner_map(axis, stacked, *_axes_of(errors), STYLES)


def _draw_place(axis: Axes, at: xr.Dataset) -> Any:
    lower = refined(at.lower)
    x, y = _axes_of(lower)
    colours = LinearSegmentedColormap.from_list(
        "place", [POWER_STYLES[1.0].colour, "#F0E442", POWER_STYLES[-1.0].colour]
    )
    mesh = axis.pcolormesh(
        x, y, 100 * lower.clip(0, 1), cmap=colours, vmin=0, vmax=100, rasterized=True
    )
    for name, line in (("hole", "-"), ("far", ":")):
        surface = refined(at[name]).values
        if surface.min() < 0 < surface.max():
            axis.contour(x, y, surface, levels=[0.0], colors="black", linestyles=line)
    return mesh


def _draw_gain(axis: Axes, at: xr.Dataset) -> Any:
    gain = refined(100 * (at.full_sample - at.optimum))
    x, y = _axes_of(gain)
    mesh = axis.pcolormesh(x, y, gain, cmap="BrBG", vmin=-6, vmax=6, rasterized=True)
    axis.contour(x, y, gain, levels=[0.0], colors="black", linewidths=1.2)
    axis.plot(100 * at.boundary_root, at.boundary_size, color="black", ls="--")
    return mesh


def table(results: xr.Dataset) -> pd.DataFrame:
    """At some N/p: the fractions between which a band wins, and from which it beats all samples."""
    rows = []
    for labels in LABELS:
        at = results.sel(labels=labels)
        for size in results.boundary_size.values:
            near = at.sel(samples_per_dimension=size, method="nearest")
            best = families(at).min("family").sel(samples_per_dimension=size, method="nearest")
            gain = best - refined(at.optimum).sel(samples_per_dimension=size, method="nearest")
            rows.append(
                {
                    "labels": labels,
                    "N/p": size,
                    "easiest below γ": crossing(near, "far"),
                    "hardest above γ": crossing(near, "hole"),
                    "largest gain over the families (points)": 100 * float(gain.max()),
                    "at γ": float(gain.fraction[int(gain.argmax("fraction"))]),
                    "beats all samples above γ, ridges tuned": float(
                        at.boundary_root.sel(boundary_size=size)
                    ),
                }
            )
    return pd.DataFrame(rows).round(3)


def crossing(column: xr.Dataset, name: str) -> float:
    """The last fraction at which a function changes its sign, by linear interpolation; or NaN."""
    values, x = column[name].values, column.fraction.values
    places = np.flatnonzero(np.sign(values[1:]) != np.sign(values[:-1]))
    if len(places) == 0:
        return float("nan")
    k = int(places[-1])
    return float(x[k] - values[k] * (x[k + 1] - x[k]) / (values[k + 1] - values[k]))


def claims(results: xr.Dataset) -> list[Claim]:
    """What is optimal where, and that starting from a neighbour loses nothing."""
    stationary = float((results.gap <= 1e-8).mean())
    basis = (
        f"theory, error at most {float(results.error.max()):.0e}, optimality gap at most"
        f" {float(results.gap.max()):.0e}"
    )
    best = results.schemes.min("scheme")
    gain = best - results.optimum
    found = [
        Claim(
            "The optimum is never worse than a scheme of the paper, anywhere on the map, and"
            " stationary to 1e-8 at 99.9% of it",
            "here",
            f"{results.optimum.size} optima, {stationary:.2%} stationary to 1e-8, gains from"
            f" {100 * float(gain.min()):.4f} to {100 * float(gain.max()):.2f} points",
            basis,
            stationary >= 0.999 and bool((gain > -results.error - 1e-12).all()),
        ),
        _from_neighbours(results, basis),
        _random(results, basis),
    ]
    for labels in LABELS:
        at = results.sel(labels=labels)
        found += [_opening(at, labels, basis), _corner(at, labels, basis)]
        wide = at.boundary_root.dropna("boundary_size")
        positive = bool((at.boundary_gain_at_many > 0).all())
        found.append(
            Claim(
                f"{labels}: with both ridges tuned, a best band beats all samples from some"
                " fraction on, at every N/p here; the largest such fraction lies in between",
                "here",
                ", ".join(
                    f"γ = {float(g):.2f} at N/p = {float(g.boundary_size):.3g}" for g in wide
                ),
                f"theory, roots to {PRECISE:g}",
                positive
                and len(wide) == len(at.boundary_size)
                and 0 < int(wide.argmax("boundary_size")) < len(wide) - 1,
            )
        )
    return found


def _from_neighbours(results: xr.Dataset, basis: str) -> Claim:
    """Some optima again, from all seven starts."""
    every = max(1, results.sizes["fraction"] // 3)
    thin = {"samples_per_dimension": slice(every // 2, None, every)}
    some = results.isel(thin | {"fraction": slice(every // 2, None, every)})
    worst = 0.0
    for labels in LABELS:
        for size in some.samples_per_dimension.values:
            for fraction in some.fraction.values:
                again = optimal_selection(_problem(labels, float(size), float(fraction)))
                point = some.optimum.sel(
                    labels=labels, samples_per_dimension=size, fraction=fraction
                )
                worst = max(worst, float(point) - again.prediction.misclassification)
    return Claim(
        "Starting from a neighbour's optimum loses nothing against seven starts",
        "here",
        f"{some.optimum.size} points, at most {worst:.0e} worse",
        basis,
        worst < 1e-9,
    )


def _random(results: xr.Dataset, basis: str) -> Claim:
    """Random selection is best of the schemes in places, but never of all selections."""
    wins = results.schemes.argmin("scheme") == 0
    lead = (results.schemes.sel(scheme=0) - results.optimum).where(wins)
    return Claim(
        "Where random selection is the best of the paper's schemes, a band beats it by half a"
        " point or more",
        "here",
        f"at {int(wins.sum())} of {wins.size} points; leads from {100 * float(lead.min()):.2f} to"
        f" {100 * float(lead.max()):.2f} points",
        basis,
        bool(wins.any()) and float(lead.min()) >= 0.005,
    )


def _opening(at: xr.Dataset, labels: str, basis: str) -> Claim:
    """The root of ``hole`` is where the hardest alone stop being best."""
    surface = refined(at.hole)
    shown, holds = [], True
    for size in (10.0, 40.0):
        column = surface.sel(samples_per_dimension=size, method="nearest").to_dataset(name="hole")
        size = float(column.samples_per_dimension)
        root = crossing(column, "hole")
        leads = []
        for fraction in (root - 0.05, root + 0.03):
            problem = _problem(labels, size, fraction)
            hardest = predict(problem.replace({"selection": TopSelection("hard", fraction)}))
            best = optimal_selection(problem)
            leads.append(hardest.misclassification - best.prediction.misclassification)
        holds = holds and leads[0] > 1e-6 and abs(leads[1]) < 1e-9
        shown.append(f"N/p = {size:.3g}: γ = {root:.3f}, leads {leads[0]:.0e} and {leads[1]:.0e}")
    return Claim(
        f"{labels}: from a fraction on the hardest alone are optimal; just below it a band is"
        " better (checked at γ + 0.03 and γ − 0.05)",
        "here",
        "; ".join(shown),
        basis,
        holds,
    )


def _corner(at: xr.Dataset, labels: str, basis: str) -> Claim:
    """With the fewest labels the easiest are best, with the most the hardest."""
    few = at.isel(samples_per_dimension=0, fraction=0)
    many = at.isel(samples_per_dimension=-1, fraction=-1)
    return Claim(
        f"{labels}: with the fewest labels the easiest are best, with the most the hardest",
        "here",
        f"lower end of the band at quantile {100 * float(few.lower):.1f} % of |score| and"
        f" {100 * float(many.lower):.1f} %",
        basis,
        float(few.far) < 0 and float(few.hole) > 0 and float(many.hole) < 0,
    )


FIGURE = OwnReproduction(
    name="phase-diagram",
    title="Phase diagram of the optimal selection",
    shows="easy, hard or a band between: what is best over N/p and the fraction kept",
    minutes=(0.8, 3.0),
    run=compute,
    draw=draw,
    table=table,
    claims=claims,
    needs=("optimum", "schemes", "boundary_root"),
)
