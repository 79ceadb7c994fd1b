"""What a reproduction is: problems on labelled axes, and what is simulated, drawn and claimed."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import xarray as xr
from matplotlib.figure import Figure

from paper_repro.claims import Claim
from paper_repro.results import point_table
from simulate.experiment import Experiment, Report, Size, run_experiment
from simulate.running.kept import Progress
from theory import FixedFraction, Problem, RandomSelection
from theory.axes import coordinate
from theory.quantities import QUANTITIES


def _canonical(problem: Problem) -> Problem:
    """The problem, or the same with random selection where it selects the full sample."""
    full = isinstance(problem.selection, FixedFraction) and problem.selection.fraction == 1
    return problem.replace({"selection": RandomSelection(1.0)}) if full else problem


@dataclass(frozen=True)
class Reproduction:
    """One figure: from its problems to a labelled dataset, pictures, a table and verdicts.

    shows: what to see in it, in one line. minutes: time of the quick and of the full run on two
    cores. axes: labels; for every combination of them, taken by name, ``problem`` is the problem,
    ``size``, which takes ``full`` too, its simulation (at the paper's sizes or small ones) or None,
    ``tuned`` says whether its ridge is to be tuned, and ``optimal`` whether its selection is to be
    the best one of its fraction. draw: pictures by name, the first the most
    telling. table: the numbers to read beside it.
    """

    name: str
    title: str
    shows: str
    minutes: tuple[float, float]
    axes: Mapping[str, Sequence[Any]]
    problem: Callable[..., Problem]
    size: Callable[..., Size | None]
    draw: Callable[[xr.Dataset], dict[str, Figure]]
    table: Callable[[xr.Dataset], pd.DataFrame]
    claims: Callable[[xr.Dataset], list[Claim]]
    tuned: Callable[..., bool] = lambda **labels: False
    optimal: Callable[..., bool] = lambda **labels: False

    def compute(
        self,
        full: bool,
        seed: int = 0,
        directory: Path | None = None,
        executor: Executor | None = None,
        report: Report | None = None,
    ) -> xr.Dataset:
        """Run the figure's experiment."""
        return run_experiment(self.experiment(full, seed), directory, executor, report)

    def differing(self, results: xr.Dataset) -> list[str]:
        """How results differ from those that this version computes."""
        differing = [
            f"axis {name} differs"
            for name, values in self.axes.items()
            if name not in results.coords or results[name].values.tolist() != list(values)
        ]
        missing = [name for name in QUANTITIES if f"theory_{name}" not in results]
        return [*differing, *(f"{name} is missing" for name in missing)]

    def rows(self, results: xr.Dataset) -> pd.DataFrame:
        """What is written as CSV: one row per point."""
        return point_table(results)

    def experiment(self, full: bool, seed: int = 0) -> Experiment:
        """Problems and sizes of every combination of labels."""
        steps = itertools.product(*self.axes.values())
        labels = [dict(zip(self.axes, step, strict=True)) for step in steps]
        coordinates = {name: coordinate(name, name, list(v)) for name, v in self.axes.items()}
        scale = "full" if full else "quick"
        return Experiment(
            title=self.title,
            frame=xr.Dataset(coords=coordinates),
            problems=tuple(_canonical(self.problem(**at)) for at in labels),
            sizes=tuple(self.size(full=full, **at) for at in labels),
            tuned=tuple(self.tuned(**at) for at in labels),
            optimal=tuple(self.optimal(**at) for at in labels),
            seed=seed,
            attributes={"scale": scale},
            stores=f"simulation-{scale}",
        )


class Run(NamedTuple):
    """How a figure is to be computed. directory: where it may keep what is finished."""

    full: bool
    seed: int = 0
    directory: Path | None = None
    executor: Executor | None = None
    report: Report | None = None

    def part(self, name: str) -> Path | None:
        """A directory of its own for a part of the work, at this scale and seed."""
        if self.directory is None:
            return None
        return self.directory / f"{name}-{'full' if self.full else 'quick'}-seed{self.seed}"

    def progress(self, what: str) -> Progress | None:
        """Tells the report how many of these are finished."""
        report = self.report
        return None if report is None else lambda done, total: report.predicting(done, total, what)


@dataclass(frozen=True)
class OwnReproduction:
    """A figure that computes in its own way: of real data, or of another theory.

    run: from how it is to be computed to its results. needs: variables of the results. absent: why
    it cannot run here, such as for want of data, with a remedy; empty where it can. Otherwise as a
    Reproduction.
    """

    name: str
    title: str
    shows: str
    minutes: tuple[float, float]
    run: Callable[[Run], xr.Dataset]
    draw: Callable[[xr.Dataset], dict[str, Figure]]
    table: Callable[[xr.Dataset], pd.DataFrame]
    claims: Callable[[xr.Dataset], list[Claim]]
    needs: tuple[str, ...]
    absent: Callable[[], str] = lambda: ""

    def compute(
        self,
        full: bool,
        seed: int = 0,
        directory: Path | None = None,
        executor: Executor | None = None,
        report: Report | None = None,
    ) -> xr.Dataset:
        """Run it; studies of real data go on where they were stopped."""
        results = self.run(Run(full, seed, directory, executor, report))
        scale = "full" if full else "quick"
        return results.assign_attrs(title=self.title, seed=seed, scale=scale)

    def differing(self, results: xr.Dataset) -> list[str]:
        """How results differ from those that this version computes."""
        return [f"{name} is missing" for name in self.needs if name not in results]

    def rows(self, results: xr.Dataset) -> pd.DataFrame:
        """What is written as CSV."""
        return self.table(results)


AnyReproduction = Reproduction | OwnReproduction
