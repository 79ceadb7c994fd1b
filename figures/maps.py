"""Maps over two parameters: which scheme wins, and how much is gained."""

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from figures.style import SchemeStyle

Array = NDArray[np.float64]


def winner_map(
    axis: Axes, x: Array, y: Array, winners: NDArray[np.int_], styles: list[SchemeStyle]
) -> None:
    """Colour every point of the grid by the scheme that wins there.

    winners: indices into ``styles``, shape [y, x].
    """
    colours = ListedColormap([style.colour for style in styles])
    axis.pcolormesh(
        x, y, winners, cmap=colours, vmin=-0.5, vmax=len(styles) - 0.5, shading="nearest"
    )
    axis.grid(visible=False)


def winner_legend(figure: Figure, styles: list[SchemeStyle]) -> None:
    """The colours of ``winner_map``, below the figure."""
    handles = [Patch(color=style.colour, label=style.label) for style in styles]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))


def gain_map(axis: Axes, x: Any, y: Any, gain: Array, largest: float) -> QuadMesh:
    """Colour a gain, in percentage points: green where positive, brown where negative.

    Interpolated between the points; the line is where it vanishes. largest: at which the colours
    saturate.
    """
    mesh = axis.pcolormesh(
        x, y, gain, cmap=plt.get_cmap("BrBG"), vmin=-largest, vmax=largest, shading="gouraud"
    )
    if np.nanmin(gain) < 0 < np.nanmax(gain):
        axis.contour(x, y, gain, levels=[0.0], colors="#333333", linewidths=1)
    axis.grid(visible=False)
    return mesh
