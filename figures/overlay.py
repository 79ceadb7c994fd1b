"""Test error against the fraction kept, in the layout of the paper's Figure 2."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from figures.panels import add_legend, caption, draw_curve, panel_grid, winner_strip
from figures.style import POWER_STYLES, figure_style


def fraction_panels(
    results: xr.Dataset,
    title: str,
    columns: str,
    column_titles: Mapping[Any, str],
    dashed: xr.Dataset | None = None,
    dashed_label: str = "",
) -> Figure:
    """Misclassification against the subsampling fraction: ridges in rows, problems in columns.

    results: theory_misclassification and, where simulated, simulation_*, over the dimensions
        ridge, alpha, fraction, ``columns`` (and data_set); alphas are keys of
        `figures.style.POWER_STYLES`.
    columns, column_titles: a dimension, and a title for every value of it to draw.
    dashed: other predictions over the same dimensions, drawn as dashed lines.
    Error bars are one standard error. Percentages on both axes. The strip on top of a panel has the
    colour of the exponent with the smallest predicted error.
    """
    with figure_style():
        figure, axes = panel_grid(
            results.sizes["ridge"],
            len(column_titles),
            f"{title}\nstrip on top: the best exponent;  {caption(results)}",
        )
        percent = 100 * results.fraction.values
        for i, ridge in enumerate(results.ridge.values):
            for j, (column, heading) in enumerate(column_titles.items()):
                axis = axes[i, j]
                at = {columns: column, "ridge": ridge}
                panel = results.sel(at)
                full = 100 * float(panel.theory_misclassification.sel(fraction=1.0)[0])
                axis.axhline(full, color="#777777", linewidth=1, linestyle=":", label="full sample")
                for alpha in panel.alpha.values:
                    style = POWER_STYLES[float(alpha)]
                    draw_curve(axis, percent, panel.sel(alpha=alpha), style)
                    if dashed is not None:
                        other = dashed.sel(at | {"alpha": alpha}).theory_misclassification
                        axis.plot(percent, 100 * other, "--", color=style.colour, linewidth=1)
                if dashed is not None:
                    axis.plot([], [], "--", color="#333333", linewidth=1, label=dashed_label)
                below = panel.sel(fraction=panel.fraction < 1).theory_misclassification
                winner_strip(
                    axis,
                    100 * below.fraction,
                    below.transpose("alpha", "fraction").values,
                    [POWER_STYLES[float(alpha)] for alpha in panel.alpha.values],
                )
                axis.set_xticks(np.arange(0, 101, 20))
                if i == 0:
                    axis.set_title(heading)
            axes[i, 0].set_ylabel(f"ridge λ = {ridge:g}\n\ntest misclassification (%)")
        for axis in axes[-1]:
            axis.set_xlabel("fraction of the pool kept, n/N (%)")
        add_legend(figure, axes[0, 0])
    return figure


def difference_panels(
    gap: xr.Dataset,
    title: str,
    y_label: str,
    columns: Sequence[tuple[Mapping[str, Any], str]],
    labels: Mapping[float, str] | None = None,
) -> Figure:
    """Differences of misclassification against the subsampling fraction, below the full sample.

    gap: as from ``figures.difference``, over ridge (in rows), alpha, fraction, and what ``columns``
        select: labels of a column with its title.
    labels: of exponents that are not to be called as everywhere.
    """
    with figure_style():
        figure, axes = panel_grid(
            gap.sizes["ridge"],
            len(columns),
            f"{title}\n{caption(gap)}",
            panel=(2.9, 2.3),
            share_y=False,
        )
        for i, ridge in enumerate(gap.ridge.values):
            for j, (at, heading) in enumerate(columns):
                axis = axes[i, j]
                axis.axhline(0, color="#777777", linewidth=1, linestyle=":")
                for alpha in gap.alpha.values:
                    curve = gap.sel({**at, "ridge": ridge, "alpha": alpha})
                    curve = curve.sel(fraction=curve.fraction < 1)
                    label = (labels or {}).get(float(alpha))
                    style = POWER_STYLES[float(alpha)]
                    draw_curve(axis, 100 * curve.fraction, curve, style, label=label)
                if i == 0:
                    axis.set_title(heading)
            axes[i, 0].set_ylabel(f"ridge λ = {ridge:g}\n\n{y_label}")
        for axis in axes[-1]:
            axis.set_xlabel("fraction kept, n/N (%)")
        add_legend(figure, axes[0, 0], most=5)
    return figure
