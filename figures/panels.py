"""Parts that figures share: grids of panels, curves with points, differences, legends, captions."""

import textwrap
from collections.abc import Sequence
from typing import Any, Literal

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from figures.style import SchemeStyle
from simulate.compare import mean_and_error, normal_deviates

CHARACTERS_PER_INCH = 12.5
"""Of a title, so that its lines fit the figure."""

MOVED_ERRORS, MOVED_POINTS = 2.0, 1.0
"""Standard errors, and points of misclassification, beyond which a point is drawn hollow."""


def panel_grid(
    rows: int,
    columns: int,
    title: str,
    panel: tuple[float, float] = (3.9, 2.6),
    share_y: Any = "col",
) -> tuple[Figure, NDArray[Any]]:
    """A figure of panels, each of the given width and height in inches, under a title."""
    width = panel[0] * columns + 0.6
    height = panel[1] * rows + 0.8 + 0.3 * (title.count("\n") + 1)
    figure, axes = plt.subplots(
        rows,
        columns,
        figsize=(width, height),
        sharex=True,
        sharey=share_y,
        squeeze=False,
        layout="constrained",
    )
    add_title(figure, title)
    return figure, axes


def add_title(figure: Figure, title: str) -> None:
    """A title over the whole figure, in lines that fit."""
    width = round(CHARACTERS_PER_INCH * figure.get_figwidth())
    lines = [textwrap.fill(line, width) for line in title.splitlines() if line]
    figure.suptitle("\n".join(lines), fontsize=11)


def draw_curve(
    axis: Axes,
    x: Any,
    curve: xr.Dataset,
    style: SchemeStyle,
    line: str = "-",
    label: str | None = None,
) -> None:
    """Misclassification in percent: theory as a line, simulated points with one standard error.

    curve: theory_misclassification along x, and simulation_* along x and data_set if simulated.
    """
    label = style.label if label is None else label
    drawn = (
        curve.get("simulation_dimension", xr.zeros_like(curve.theory_misclassification)) > 0
    ).values
    simulated = bool(drawn.any())
    y = 100 * curve.theory_misclassification
    axis.plot(x, y, line, color=style.colour, label=None if simulated else label)
    if simulated:
        mean, error = (100 * part.values for part in mean_and_error(curve))
        off = moved(curve).values
        hollow = style._replace(hollow=True)
        for chosen, look, name in ((drawn & ~off, style, label), (drawn & off, hollow, "")):
            at = np.asarray(x)[chosen]
            if at.size or name:
                draw_points(axis, at, mean[chosen], error[chosen], look, name)


def moved(results: xr.Dataset) -> xr.DataArray:
    """Where finite size moves the simulated error visibly off the limit of large p.

    By more than MOVED_ERRORS standard errors, Student's t taken into account, and MOVED_POINTS; or
    where some fits have no solution, so that what remains is no fair sample.
    """
    mean, error = mean_and_error(results)
    gap = mean - results.theory_misclassification
    good = results.simulation_converged == 1
    z = xr.apply_ufunc(np.divide, gap, error.where(error > 0))
    deviates = xr.apply_ufunc(normal_deviates, z, good.sum("data_set").clip(2))
    failed = (results.simulation_converged == 0).any("data_set")
    off: xr.DataArray = (abs(deviates) > MOVED_ERRORS) & (100 * abs(gap) > MOVED_POINTS) | failed
    return off


def winner_strip(axis: Axes, x: Any, errors: Sequence[Any], styles: Sequence[SchemeStyle]) -> None:
    """A strip along the top of a panel in the colour of the scheme with the smallest error.

    errors: of the schemes in the order of ``styles``, along the increasing x; the colour changes
    where their lines cross.
    """
    x, values = np.asarray(x, dtype=float), np.asarray(errors, dtype=float)
    best = values.argmin(axis=0)
    starts = [float(x[0])]
    changes = np.flatnonzero(np.diff(best))
    for k in changes:
        lead = values[best[k + 1]] - values[best[k]]
        starts.append(float(np.interp(0, -lead[k : k + 2], x[k : k + 2])))
    order = [best[0], *best[changes + 1]]
    axis.margins(y=0.08)
    for winner, left, right in zip(order, starts, [*starts[1:], float(x[-1])], strict=True):
        axis.axvspan(left, right, 0.965, 1, color=styles[winner].colour, linewidth=0)


def difference(results: xr.Dataset, reference: xr.Dataset) -> xr.Dataset:
    """Misclassification minus that of a reference, data set by data set where simulated."""
    gap = xr.Dataset(
        {
            "theory_misclassification": results.theory_misclassification
            - reference.theory_misclassification
        }
    )
    if "simulation_dimension" not in results:
        return gap
    both = (results.simulation_converged == 1) & (reference.simulation_converged == 1)
    return gap.assign(
        simulation_misclassification=results.simulation_misclassification
        - reference.simulation_misclassification,
        simulation_converged=both.astype(float),
        simulation_dimension=results.simulation_dimension,
        simulation_samples=results.simulation_samples,
    )


def draw_points(
    axis: Axes, x: Any, mean: Any, error: Any, style: SchemeStyle, label: str | None = None
) -> None:
    """Points with error bars; hollow ones if the style says so."""
    axis.errorbar(
        x,
        mean,
        yerr=error,
        color=style.colour,
        marker=style.marker,
        markersize=4,
        markerfacecolor="white" if style.hollow else style.colour,
        linestyle="none",
        elinewidth=1,
        label=label,
    )


def add_legend(figure: Figure, axis: Axes, most: int = 4) -> None:
    """A legend below the figure, in as many columns as fit."""
    handles, labels = axis.get_legend_handles_labels()
    if labels:
        columns = int(13 * figure.get_figwidth() / (max(map(len, labels)) + 8))
        count = min(max(columns, 1), most)
        figure.legend(handles, labels, loc="outside lower center", ncols=count)


def caption(results: xr.Dataset) -> str:
    """What lines and points are, and the sizes of the simulation, in words."""
    if "simulation_dimension" not in results:
        return "theory"
    found = np.stack([results.simulation_dimension, results.simulation_samples], axis=-1)
    pairs = sorted({(int(p), int(n)) for p, n in found.reshape(-1, 2) if p})
    p = sorted({p for p, _ in pairs})
    sizes = f"p = {', '.join(map(str, p))}"
    if len(pairs) <= 3:
        sizes = "; ".join(f"p = {p}, N = {n}" for p, n in pairs)
    held = f"({sizes}; {data_sets(results)})".replace(" = ", "\u00a0=\u00a0")
    words = f"lines: theory;  points: simulation {held}, ±1\u00a0s.e."
    if bool(moved(results).any()):
        words += f"\nhollow: moved by finite size (over {MOVED_ERRORS:g} s.e. and"
        words += f" {MOVED_POINTS:g} point, or some fits without a solution)"
    return words


def describe(figure: Figure) -> str:
    """A figure in words, for those who cannot see it: its title, its axes and its panels."""
    title = " ".join(figure.get_suptitle().split("\n")[0].split())
    panels = [
        axis for axis in figure.axes if axis.get_label() != "<colorbar>" and axis.get_visible()
    ]
    across, up = (
        " / ".join(dict.fromkeys(" ".join(text.split()) for text in texts if text))
        for texts in (
            [axis.get_xlabel() for axis in panels],
            [axis.get_ylabel().split("\n\n")[-1] for axis in panels],
        )
    )
    headings = ", ".join(" ".join(axis.get_title().split()) for axis in panels if axis.get_title())
    many = f"{len(panels)} panels" if len(panels) > 1 else "One panel"
    return f"{title}. {many}: {up} against {across}" + (f"; {headings}." if headings else ".")


def data_sets(results: xr.Dataset) -> str:
    """How many data sets the simulated points have, such as "12 to 300 data sets"."""
    counts = results.simulation_converged.notnull().sum("data_set")
    least, most = int(counts.where(counts > 0).min()), int(counts.max())
    return f"{least} data sets" if least == most else f"{least} to {most} data sets"


def log_ticks(axis: Axes, which: Literal["x", "y"], values: Sequence[float]) -> None:
    """A logarithmic axis with ticks at the given values only, written as plain numbers."""
    axis.set(**{f"{which}scale": "log"})
    ticks = axis.xaxis if which == "x" else axis.yaxis
    ticks.set_ticks(list(values), [f"{value:g}" for value in values])
    ticks.set_ticks([], minor=True)
