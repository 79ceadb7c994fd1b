"""Figures of any sweep: theory as lines, simulation as points; and their gap against p."""

import itertools
import textwrap
from collections.abc import Hashable, Iterator, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from figures.panels import (
    CHARACTERS_PER_INCH,
    add_legend,
    add_title,
    data_sets,
    draw_points,
)
from figures.style import (
    MARKERS,
    POWER_STYLES,
    SERIES_COLOURS,
    SchemeStyle,
    figure_style,
    literal,
)
from simulate.compare import extrapolate, mean_and_error
from theory.checks import InvalidFieldError

THEORY, SIMULATION = "theory_misclassification", "simulation_misclassification"
LOGARITHMIC_RANGE = 30.0
"""An axis whose positive values span this ratio is logarithmic."""

MOST_NAMED = 40
"""Problems that the legend of a gap names; more are told by their order."""

GREEK = {"alpha": "α", "gamma": "γ", "delta": "δ", "lambda": "λ"}


def plot(results: xr.Dataset, x: str | None = None) -> Figure:
    """Misclassification over a sweep of one to three axes: along x, in colours, in panels.

    results: as from ``theory.sweep``; or theory_misclassification over the axes, or
        simulation_misclassification (with simulation_converged) over dimension, the axes and
        data_set, or both.
    x: the axis along which to draw; by default a numeric one with the most values.
    Error bars are one standard error. Axes of a single value do not count beside others: the title
    names them, and infinite values of x, which have no place.
    Raises InvalidFieldError for more axes, and for an x that is none of them.

    >>> from theory import F1, PowerSelection, Problem, SingleIndex, sweep
    >>> problem = Problem(SingleIndex(F1, 5.0), PowerSelection(0.0, 0.5), 0.1, 2.29)
    >>> plot(sweep(problem, {"ridge": [0.01, 0.1]})).axes[0].get_xlabel()
    'ridge λ'
    """
    results = _named(results)
    every = _axes_of(results)
    axes_names = [name for name in every if results.sizes[name] > 1 or name == x] or every[:1]
    if not 1 <= len(axes_names) <= 3:
        raise InvalidFieldError(
            "axes",
            ", ".join(axes_names),
            "one to three of several values each: choose along the others first,"
            f" as in results.isel({axes_names[0] if axes_names else 'axis'}=0)",
        )
    x = x or max(axes_names, key=lambda name: (_numeric(results, name), results.sizes[name]))
    if x not in axes_names:
        raise InvalidFieldError("x", x, "one of " + ", ".join(axes_names))
    notes = [_describe(results, name, 0) for name in every if name not in axes_names]
    results = results.isel({name: 0 for name in every if name not in axes_names})
    results, undrawn = _in_order(results, x)
    notes += undrawn
    others = sorted((name for name in axes_names if name != x), key=lambda n: -results.sizes[n])
    others.sort(key=lambda name: name != "alpha")  # the schemes have colours of their own
    panel_name = others[1] if len(others) > 1 else None
    panels = [{panel_name: k} for k in range(results.sizes[panel_name])] if panel_name else [{}]
    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    width, height = (3.9 * columns + 0.6, 2.7 * rows + 1.1) if panel_name else (6.6, 4.6)
    notes += _unsolved(results)
    with figure_style():
        figure, grid = plt.subplots(
            rows,
            columns,
            figsize=(width, height),
            sharex=True,
            sharey="row",
            squeeze=False,
            layout="constrained",
        )
        for axis, choice in zip(grid.flat, panels, strict=False):
            panel = results.isel(choice)
            _draw_panel(axis, panel, x, others[0] if others else None)
            if panel_name:
                axis.set_title(_wrapped(_describe(results, panel_name, choice[panel_name]), 3.6))
        for axis in grid.flat[len(panels) :]:
            axis.set_visible(False)
        for axis in grid.flat[max(0, len(panels) - columns) : len(panels)]:
            axis.tick_params(labelbottom=True)
            axis.set_xlabel(_axis_label(results, x))
        for axis in grid[:, 0]:
            axis.set_ylabel("test misclassification (%)")
        add_legend(figure, grid[0, 0])
        parts = notes + (["lines: theory"] if THEORY in results else [])
        if SIMULATION in results:
            parts.append(f"points: simulation, {_sizes(results)}, ±1 s.e.")
        add_title(figure, _title(results, ";  ".join(parts)))
    return figure


def _named(results: xr.Dataset) -> xr.Dataset:
    """The same, with the predictions of ``theory.sweep`` called as everywhere."""
    plain = THEORY not in results and SIMULATION not in results and "misclassification" in results
    return results.rename({"misclassification": THEORY}) if plain else results


def _in_order(results: xr.Dataset, x: str) -> tuple[xr.Dataset, list[str]]:
    """Sorted along x, without its infinite values; and what is left out, in words."""
    if not _numeric(results, x):
        return results, []
    finite = np.isfinite(results[x].values)
    left_out = [_describe(results, x, k) for k in np.flatnonzero(~finite).tolist()]
    notes = [f"not drawn: {', '.join(left_out)}"] if left_out else []
    return results.isel({x: finite}).sortby(x), notes


def _unsolved(results: xr.Dataset) -> list[str]:
    """How many predictions have no value to draw, in words."""
    failed = int(results[THEORY].isnull().sum()) if THEORY in results else 0
    return [f"{failed} of {results[THEORY].size} predictions did not converge"] if failed else []


def _lone(y: NDArray[Any]) -> NDArray[np.bool_]:
    """Where a value has no neighbour, so that a line does not show it."""
    known = np.pad(np.isfinite(y), 1)
    return np.asarray(known[1:-1] & ~known[:-2] & ~known[2:])


def _wrapped(text: str, inches: float) -> str:
    """In lines that fit a width, broken within long words if they must be."""
    return textwrap.fill(text, round(CHARACTERS_PER_INCH * inches))


def gap_panel(results: xr.Dataset, styles: Sequence[SchemeStyle] | None = None) -> Figure:
    """Simulation minus theory against 1/sqrt(p), a colour per problem, with a fitted a + b/p.

    results: as for ``plot``, with theory and with at least two dimensions.
    styles: colour and marker of every problem; by default told from its axes.
    The points at p = infinity are the limits a that the simulations point to, each with its
    standard error: the theory is right where they are compatible with zero.
    """
    mean, error = mean_and_error(results)
    gap = 100 * (mean - results[THEORY])
    p = results.dimension.values.astype(float)
    problems = list(_combinations(results, _axes_of(results)))
    named = len(problems) <= MOST_NAMED
    with figure_style():
        height = 4.6 + (0.12 * len(problems) if named else 0)
        figure, axis = plt.subplots(figsize=(7.6, height), layout="constrained")
        axis.axhline(0, color="#777777", linewidth=1, linestyle=":")
        for k, (choice, name) in enumerate(problems):
            style = styles[k] if styles else _series_style(results, choice, k, len(problems))
            y, bar = gap.isel(choice).values, 100 * error.isel(choice).values
            limit, slope = extrapolate(p.tolist(), y, bar)
            shift = (k - (len(problems) - 1) / 2) * 0.008 * p.min() ** -0.5
            draw_points(axis, p**-0.5 + shift, y, bar, style, name if named else None)
            x = np.linspace(0, 1.05 * p.min() ** -0.5, 50)
            axis.plot(x, limit.mean + slope.mean * x**2, color=style.colour, linewidth=1, alpha=0.7)
            draw_points(axis, [shift], [limit.mean], [limit.standard_error], style)
        axis.set_xticks([0, *p**-0.5], ["∞", *(f"{v:g}" for v in p)])
        axis.grid(visible=False, axis="x")
        axis.set_xlabel("dimension p (axis linear in 1/√p)")
        axis.set_ylabel("simulation − theory (points)")
        if named:
            add_legend(figure, axis)
        fit = "at ∞: limit a of the fitted a + b/p".replace(" ", "\u00a0")
        legend = f"{_sizes(results)}, ±1\u00a0s.e.;  {fit}"
        if not named:
            legend += f"\n{len(problems)} problems from dark to light, in the order of"
            legend += f" {', '.join(_axes_of(results))}"
        add_title(figure, _title(results, legend))
    return figure


def _axes_of(results: xr.Dataset) -> list[str]:
    name = THEORY if THEORY in results else SIMULATION
    return [str(d) for d in results[name].dims if d not in ("dimension", "data_set")]


def _sizes(results: xr.Dataset) -> str:
    p = ", ".join(f"{v:g}" for v in results.dimension.values)
    return f"p = {p}, {data_sets(results)}"


def _title(results: xr.Dataset, legend: str) -> str:
    return f"{literal(str(results.attrs.get('title', 'Test misclassification')))}\n{legend}"


def _numeric(results: xr.Dataset, name: str) -> bool:
    return name in results.coords and np.issubdtype(results[name].dtype, np.number)


def _positions(results: xr.Dataset, name: str) -> tuple[Any, list[str] | None]:
    """Values along an axis; for one without numbers, places and the labels to put there."""
    if _numeric(results, name):
        return results[name].values, None
    count = results.sizes[name]
    return np.arange(count), [_describe(results, name, k) for k in range(count)]


def _describe(results: xr.Dataset, name: str, k: int) -> str:
    """Coordinates of one step along an axis, such as "ridge = 0.1"; a scheme by its name."""
    if name == "alpha" and (value := float(results.alpha.values[k])) in POWER_STYLES:
        return POWER_STYLES[value].label
    parts = []
    for key, coordinate in results.coords.items():
        if coordinate.dims == (name,):
            value = coordinate.values[k]
            parts.append(f"{key} = {value:g}" if _numeric(results, str(key)) else str(value))
    return literal(", ".join(parts))


def _axis_label(results: xr.Dataset, name: str) -> str:
    if name not in results.coords:
        return name
    label = literal(str(results[name].attrs.get("long_name", name)))
    symbol = str(results[name].attrs.get("symbol", ""))
    return f"{label} {GREEK.get(symbol, symbol)}".rstrip()


def _combinations(
    results: xr.Dataset, names: list[str]
) -> Iterator[tuple[dict[Hashable, int], str]]:
    """Every problem of a sweep as indices, and in words."""
    for steps in itertools.product(*(range(results.sizes[name]) for name in names)):
        choice: dict[Hashable, int] = dict(zip(names, steps, strict=True))
        yield choice, ", ".join(_describe(results, str(n), k) for n, k in choice.items())


def _series_style(
    results: xr.Dataset, choice: dict[Hashable, int], k: int, count: int
) -> SchemeStyle:
    if list(choice) == ["alpha"] and all(float(a) in POWER_STYLES for a in results.alpha.values):
        return POWER_STYLES[float(results.alpha.values[choice["alpha"]])]
    if count <= len(SERIES_COLOURS):
        return SchemeStyle(SERIES_COLOURS[k], MARKERS[k % len(MARKERS)], "")
    return SchemeStyle(plt.get_cmap("viridis")(k / (count - 1)), "o", "")  # type: ignore[arg-type]


def _draw_panel(axis: Axes, panel: xr.Dataset, x: str, colour: str | None) -> None:
    at, labels = _positions(panel, x)
    count = panel.sizes[colour] if colour else 1
    mean, error = mean_and_error(panel) if SIMULATION in panel else (None, None)
    for k in range(count):
        choice: dict[Hashable, int] = {colour: k} if colour else {}
        style = _series_style(panel, choice, k, count)
        name = _wrapped(_describe(panel, colour, k), 5.0) if colour else ""
        if THEORY in panel:
            y = 100 * panel[THEORY].isel(choice)
            label = None if SIMULATION in panel else name
            lone = _lone(y.values)
            axis.plot(at, y, color=style.colour, label=label)
            axis.plot(np.asarray(at)[lone], y[lone], "_", color=style.colour, markersize=16)
        if mean is None or error is None:
            continue
        for d, p in enumerate(panel.dimension.values):
            several = panel.sizes["dimension"] > 1
            here = {**choice, "dimension": d}
            draw_points(
                axis,
                at,
                100 * mean.isel(here),
                100 * error.isel(here),
                style._replace(marker=MARKERS[d % len(MARKERS)]) if several else style,
                ", ".join(part for part in (name, f"p = {p}" if several else "") if part),
            )
    if labels is not None:
        short = [textwrap.fill(label, 24, break_long_words=False) for label in labels]
        axis.set_xticks(at, short, rotation=30, ha="right")
    elif len(at) and at.min() > 0 and at.max() / at.min() >= LOGARITHMIC_RANGE:
        axis.set_xscale("log")
