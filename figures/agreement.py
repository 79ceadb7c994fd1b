"""Agreement of simulation with theory: z-scores of many problems at a glance."""

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from scipy.stats import norm

from figures.style import figure_style


def z_score_plot(z: xr.DataArray, title: str) -> Figure:
    """Sorted z-scores of every quantity against the quantiles of a standard normal.

    z: dimensions problem and quantity. Points on the diagonal are what chance alone would give.
    """
    with figure_style():
        count = z.sizes["quantity"]
        figure, axes = plt.subplots(
            1, count, figsize=(2.4 * count + 0.4, 3.1), sharex=True, sharey=True, squeeze=False
        )
        figure.set_layout_engine("constrained")
        for axis, name in zip(axes[0], z["quantity"].values, strict=True):
            values = np.sort(z.sel(quantity=name).values)
            values = values[np.isfinite(values)]
            expected = norm.ppf((np.arange(values.size) + 0.5) / values.size)
            axis.axline((0, 0), slope=1, color="#777777", linewidth=1)
            axis.plot(expected, values, ".", color="#0072B2", markersize=5)
            rms = float(np.sqrt(np.mean(values**2)))
            axis.set_title(f"{name}\nrms z = {rms:.2f}")
            axis.set_xlabel("standard normal quantile")
        axes[0, 0].set_ylabel("(simulation − theory) / standard error")
        figure.suptitle(title, fontsize=11)
    return figure
