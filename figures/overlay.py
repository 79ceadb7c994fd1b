"""Theory as lines, simulation as points with error bars, on a grid of panels."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from figures.style import POWER_STYLES, figure_style


def fraction_panels(
    results: xr.Dataset, title: str, column_titles: Mapping[str, str], subtitle: str = ""
) -> Figure:
    """Misclassification against the subsampling fraction: ridges in rows, problems in columns.

    results: variables ``theory_misclassification`` and, optionally,
        ``simulation_misclassification`` with ``simulation_misclassification_standard_error``, over
        the dimensions column, ridge, alpha and fraction; alphas are keys of
        `figures.style.POWER_STYLES`.
    column_titles: a title for every column.
    Error bars are one standard error. Percentages on both axes.
    """
    ridges, models = results.ridge.values, results.column.values
    with figure_style():
        figure, axes = plt.subplots(
            len(ridges),
            len(models),
            figsize=(3.6 * len(models) + 0.4, 2.35 * len(ridges) + 1.2),
            sharex=True,
            squeeze=False,
            layout="constrained",
        )
        for i, ridge in enumerate(ridges):
            for j, model in enumerate(models):
                _draw_panel(axes[i, j], results.sel(ridge=ridge, column=model))
                if i == 0:
                    axes[i, j].set_title(column_titles[model])
            axes[i, 0].set_ylabel(f"ridge λ = {ridge:g}\n\ntest misclassification (%)")
        for axis in axes[-1]:
            axis.set_xlabel("fraction of the pool kept, n/N (%)")
        handles, labels = axes[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=3)
        figure.suptitle(f"{title}\n{subtitle}" if subtitle else title, fontsize=11)
    return figure


def _draw_panel(axis: Axes, panel: xr.Dataset) -> None:
    """One panel; dimensions alpha and fraction are left."""
    percent = 100 * panel.fraction.values
    full = panel.sel(fraction=1.0, method="nearest", tolerance=1e-12).isel(alpha=0)
    full_error = 100 * float(full.theory_misclassification)
    axis.axhline(full_error, color="#777777", linewidth=1, linestyle=":", label="full sample")
    for alpha in panel.alpha.values:
        style = POWER_STYLES[float(alpha)]
        curve = panel.sel(alpha=alpha)
        axis.plot(percent, 100 * curve.theory_misclassification, color=style.colour)
        if "simulation_misclassification" in panel:
            axis.errorbar(
                percent,
                100 * curve.simulation_misclassification,
                yerr=100 * curve.simulation_misclassification_standard_error,
                color=style.colour,
                marker=style.marker,
                markersize=4,
                linestyle="none",
                elinewidth=1,
                label=style.label,
            )
        else:
            axis.plot([], [], color=style.colour, label=style.label)
    axis.set_xticks(np.arange(0, 101, 20))
