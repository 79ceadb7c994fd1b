"""What a reproduction is: problems on labelled axes, and what is simulated, drawn and claimed."""

import hashlib
import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, as_completed
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
import xarray as xr
from matplotlib.figure import Figure

from paper_repro.claims import Claim
from paper_repro.results import point_table
from simulate.experiment import Experiment, Report, Size, run_experiment
from simulate.files import write_json
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


@dataclass(frozen=True)
class OwnReproduction:
    """A figure that computes in its own way: of real data, or of another theory.

    run: from (full, seed, executor) to its results. Otherwise as a Reproduction.
    """

    name: str
    title: str
    shows: str
    minutes: tuple[float, float]
    run: Callable[[bool, int, Executor | None], xr.Dataset]
    draw: Callable[[xr.Dataset], dict[str, Figure]]
    table: Callable[[xr.Dataset], pd.DataFrame]
    claims: Callable[[xr.Dataset], list[Claim]]
    needs: tuple[str, ...]

    def compute(
        self,
        full: bool,
        seed: int = 0,
        directory: Path | None = None,
        executor: Executor | None = None,
        report: Report | None = None,
    ) -> xr.Dataset:
        """Run it; nothing is kept of a run that was stopped."""
        del directory, report
        scale = "full" if full else "quick"
        return self.run(full, seed, executor).assign_attrs(title=self.title, seed=seed, scale=scale)

    def differing(self, results: xr.Dataset) -> list[str]:
        """How results differ from those that this version computes."""
        return [f"{name} is missing" for name in self.needs if name not in results]

    def rows(self, results: xr.Dataset) -> pd.DataFrame:
        """What is written as CSV."""
        return self.table(results)


@dataclass(frozen=True)
class PartsReproduction:
    """A figure made of parts that are computed one by one, on any executor, and kept.

    parts: from ``full`` to what is to be computed, picklable and told apart by repr. work: the
    numbers of one part, a function of a module. assemble: from ``full`` and the numbers of all
    parts, in their order, to results. Otherwise as a Reproduction.
    """

    name: str
    title: str
    shows: str
    minutes: tuple[float, float]
    parts: Callable[[bool], Sequence[Any]]
    work: Callable[[Any], Mapping[str, Any]]
    assemble: Callable[[bool, Sequence[Mapping[str, Any]]], xr.Dataset]
    draw: Callable[[xr.Dataset], dict[str, Figure]]
    table: Callable[[xr.Dataset], pd.DataFrame]
    claims: Callable[[xr.Dataset], list[Claim]]
    needs: tuple[str, ...]

    def compute(
        self,
        full: bool,
        seed: int = 0,
        directory: Path | None = None,
        executor: Executor | None = None,
        report: Report | None = None,
    ) -> xr.Dataset:
        """Compute the parts that the directory does not hold, and put all together."""
        parts = list(self.parts(full))
        store = None if directory is None else directory / "parts"
        done = {k: kept for k, part in enumerate(parts) if (kept := _kept(store, part)) is not None}
        left = [k for k in range(len(parts)) if k not in done]
        if report is not None and done:
            report.predicting(len(done), len(parts), "parts, computed before")
        for k, numbers in _answers(self.work, parts, left, executor):
            done[k] = numbers
            if store is not None:
                content = {"part": _key(parts[k]), "numbers": numbers}
                write_json(_path(store, parts[k]), content)
            if report is not None and len(done) % max(1, len(parts) // REPORTS) == 0:
                report.predicting(len(done), len(parts), "parts")
        results = self.assemble(full, [done[k] for k in range(len(parts))])
        scale = "full" if full else "quick"
        return results.assign_attrs(title=self.title, seed=seed, scale=scale)

    def differing(self, results: xr.Dataset) -> list[str]:
        """How results differ from those that this version computes."""
        return [f"{name} is missing" for name in self.needs if name not in results]

    def rows(self, results: xr.Dataset) -> pd.DataFrame:
        """What is written as CSV."""
        return self.table(results)


REPORTS = 20
"""How often progress is reported."""


def _answers(
    work: Callable[[Any], Mapping[str, Any]],
    parts: Sequence[Any],
    left: Sequence[int],
    executor: Executor | None,
) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Numbers of parts as they are finished."""
    if executor is None:
        yield from ((k, work(parts[k])) for k in left)
        return
    futures = {executor.submit(work, parts[k]): k for k in left}
    try:
        for future in as_completed(futures):
            yield futures[future], future.result()
    finally:
        for future in futures:
            future.cancel()


def _key(part: Any) -> str:
    """A part's name, which another version of this package does not share."""
    return f"{version('data-selection-theory')}: {part!r}"


def _path(store: Path, part: Any) -> Path:
    return store / f"{hashlib.sha256(_key(part).encode()).hexdigest()[:16]}.json"


def _kept(store: Path | None, part: Any) -> Mapping[str, Any] | None:
    """The numbers of a part that was finished before."""
    if store is None or not _path(store, part).exists():
        return None
    content = json.loads(_path(store, part).read_text())
    return dict(content["numbers"]) if content["part"] == _key(part) else None


AnyReproduction = Reproduction | OwnReproduction | PartsReproduction
