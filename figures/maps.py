"""Maps over N/p and the fraction kept: which scheme wins, and how much is gained.

Errors are smooth in log N/p and in the fraction, the best of several is not: each scheme's surface
is interpolated by itself, and compared afterwards, so that boundaries are roots of differences.
"""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray
from scipy.interpolate import RectBivariateSpline

from figures.style import SchemeStyle

Array = NDArray[np.float64]

Y, X = "samples_per_dimension", "fraction"
FINE = 240
"""Steps of a refined surface in each direction: less than the width of a drawn line."""


def refined(surface: xr.DataArray, count: int = FINE) -> xr.DataArray:
    """A smooth function of N/p and fraction on a fine grid, by cubic splines through its values.

    surface: over samples_per_dimension and fraction, at least four of each, and other dimensions.
    NaN anywhere makes the whole surface, of these other labels, NaN.

    >>> grid = {"samples_per_dimension": [1.0, 2.0, 4.0, 8.0], "fraction": [0.1, 0.3, 0.6, 0.9]}
    >>> plane = xr.DataArray(np.zeros((4, 4)), grid) + xr.DataArray(grid["fraction"], dims=X)
    >>> float(refined(plane, 9).sel(fraction=0.5, samples_per_dimension=1.0).round(9))
    0.5
    """
    y, x = np.log(surface[Y].values), surface[X].values
    fine_y, fine_x = (np.linspace(v[0], v[-1], count) for v in (y, x))

    def fill(values: Array) -> Array:
        if not np.isfinite(values).all():
            return np.full((count, count), np.nan)
        return np.asarray(RectBivariateSpline(y, x, values)(fine_y, fine_x))

    fine: xr.DataArray = xr.apply_ufunc(
        fill,
        surface,
        input_core_dims=[[Y, X]],
        output_core_dims=[[Y, X]],
        exclude_dims={Y, X},
        vectorize=True,
    )
    return fine.assign_coords({Y: np.exp(fine_y), X: fine_x})


def winner_map(
    axis: Axes, errors: Array, x: Array, y: Array, styles: Sequence[SchemeStyle]
) -> None:
    """Colour where each scheme has the smallest error; lines where two are equal.

    errors: shape [scheme, y, x], of the schemes in the order of ``styles``; x in percent.
    """
    for k, style in enumerate(styles):
        margin = np.delete(errors, k, axis=0).min(axis=0) - errors[k]
        if np.nanmax(margin) > 0:
            axis.contourf(x, y, margin, levels=[0, np.inf], colors=[style.colour])
            if np.nanmin(margin) < 0:
                axis.contour(x, y, margin, levels=[0.0], colors="white", linewidths=0.8)
    axis.grid(visible=False)


def winner_legend(figure: Figure, styles: Sequence[SchemeStyle]) -> None:
    """The colours of ``winner_map``, below the figure."""
    handles = [Patch(color=style.colour, label=style.label) for style in styles]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))


def gain_map(axis: Axes, x: Array, y: Array, gain: Array, largest: float) -> QuadMesh:
    """Colour a gain, in percentage points: green where positive, brown where negative.

    gain: shape [y, x], on a fine grid; the line is where it vanishes. largest: at which the colours
    saturate.
    """
    mesh = axis.pcolormesh(
        x, y, gain,
        cmap=plt.get_cmap("BrBG"), vmin=-largest, vmax=largest, shading="nearest", rasterized=True,
    )  # fmt: skip
    if np.nanmin(gain) < 0 < np.nanmax(gain):
        axis.contour(x, y, gain, levels=[0.0], colors="black", linewidths=1.2)
    axis.set(xlim=(x[0], x[-1]), ylim=(y[0], y[-1]))
    axis.grid(visible=False)
    return mesh
