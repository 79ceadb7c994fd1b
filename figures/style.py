"""The plotting vocabulary: one colour, marker and label per selection scheme, in every figure."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont, get_font

from simulate.files import write_whole


class SchemeStyle(NamedTuple):
    """How one selection scheme is drawn."""

    colour: str
    marker: str
    label: str
    hollow: bool = False


POWER_STYLES: dict[float, SchemeStyle] = {
    -1.0: SchemeStyle("#0072B2", "v", "α = −1 (prefers easy)"),
    -0.5: SchemeStyle("#56B4E9", "<", "α = −0.5"),
    0.0: SchemeStyle("#333333", "o", "α = 0 (random)"),
    0.5: SchemeStyle("#E69F00", ">", "α = 0.5"),
    1.0: SchemeStyle("#D55E00", "^", "α = 1 (prefers hard)"),
}
"""Exponents of the power selection: blue for easy, grey for random, orange to red for hard.

The hues are the Okabe-Ito set, told apart under the common colour-vision deficiencies; markers
differ too, so that a black-and-white print stays readable.
"""

TOP_STYLES: dict[str, SchemeStyle] = {
    "hard": SchemeStyle("#CC79A7", "D", "top-k: only the hardest"),
    "easy": SchemeStyle("#009E73", "s", "top-k: only the easiest"),
}
"""The limits of the power selection for large exponents."""

SERIES_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#333333")
MARKERS = ("o", "s", "^", "D", "v", "<", ">")
"""For series other than selection schemes."""

_RC: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.labelsize": 9,
    "axes.grid": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "lines.linewidth": 1.5,
    "savefig.dpi": 160,
    "pdf.fonttype": 42,
    "svg.hashsalt": "data-selection-theory",
}


@contextmanager
def figure_style() -> Iterator[None]:
    """Apply the style sheet within a ``with`` block, leaving the caller's settings alone."""
    with mpl.rc_context(_RC):
        yield


def literal(text: str) -> str:
    """A text that a user wrote, to be drawn as it is: no formula, and a box for what no font has.

    >>> literal("costs in $ or 円")
    'costs in \\\\$ or □'
    """
    font = _characters()
    shown = "".join(c if c == "\n" or ord(c) in font else "□" for c in text).replace("$", r"\$")
    return f" {shown}" if shown.startswith("_") else shown  # a legend leaves out "_..."


@lru_cache(maxsize=1)
def _characters() -> frozenset[int]:
    """Of the font of every figure."""
    return frozenset(get_font(findfont(_RC["font.family"])).get_charmap())


def save_figure(figure: Figure, base: Path) -> list[Path]:
    """Write BASE.png and BASE.pdf in the style sheet's resolution; returns their paths."""
    paths = [base.with_suffix(suffix) for suffix in (".png", ".pdf")]
    with figure_style():
        for path in paths:
            write_whole(path, figure.savefig)
    return paths
