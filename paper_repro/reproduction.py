"""What a reproduction is: problems on labelled axes, and what is simulated, drawn and claimed."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import pandas as pd
import xarray as xr
from matplotlib.figure import Figure

from paper_repro.claims import Claim
from theory import Problem, RandomSelection

PAPER_SIZES = {34345 / 932: 932, 6870 / 3000: 3000}
"""The paper's two settings: dimension p by N/p."""


class Size(NamedTuple):
    """A simulation: dimension p and number of independent data sets."""

    dimension: int
    repeats: int


@dataclass(frozen=True)
class Grid:
    """Problems in the order of the product of labelled axes; each simulated at its size, or not.

    tuned: whether the ridge of each is to be replaced by the best one.
    """

    axes: Mapping[str, Sequence[Any]]
    problems: Sequence[Problem]
    sizes: Sequence[Size | None]
    tuned: Sequence[bool]

    @classmethod
    def over(
        cls,
        axes: Mapping[str, Sequence[Any]],
        problem: Callable[..., Problem],
        size: Callable[..., Size | None] = lambda **labels: None,
        tuned: Callable[..., bool] = lambda **labels: False,
    ) -> "Grid":
        """What the functions say of every combination of labels, which they take by name."""
        labels = [dict(zip(axes, step, strict=True)) for step in itertools.product(*axes.values())]
        return cls(
            axes,
            problems=[_canonical(problem(**at)) for at in labels],
            sizes=[size(**at) for at in labels],
            tuned=[tuned(**at) for at in labels],
        )


def _canonical(problem: Problem) -> Problem:
    """The problem, or the same with random selection where it selects the full sample."""
    full = getattr(problem.selection, "fraction", 0) == 1
    return problem.replace({"selection": RandomSelection(1.0)}) if full else problem


@dataclass(frozen=True)
class Reproduction:
    """One figure: from its problems to a labelled dataset, pictures, a table and verdicts.

    shows: what to see in it, in one line. minutes: time of the quick and of the full run on two
    cores. grid: the problems; True for the paper's sizes, False for small ones. draw: pictures by
    name, the first the most telling. table: the numbers to read beside it.
    """

    name: str
    title: str
    shows: str
    minutes: tuple[float, float]
    grid: Callable[[bool], Grid]
    draw: Callable[[xr.Dataset], dict[str, Figure]]
    table: Callable[[xr.Dataset], pd.DataFrame]
    claims: Callable[[xr.Dataset], list[Claim]]
