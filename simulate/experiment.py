"""An experiment: problems on labelled axes, each predicted, simulated at its size, or both.

Sweeps from a file, reproductions of figures and validations are experiments; one function runs
them all and returns one kind of dataset.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from simulate.running.identity import identity
from simulate.running.plan import Plan
from simulate.running.run import Watcher, run
from simulate.running.store import open_results_store
from simulate.task import COLUMNS, pool_size
from theory.checks import InvalidFieldError
from theory.optimal import optimal_problems
from theory.prediction import Prediction, predict_all
from theory.problem import Problem
from theory.quantities import described
from theory.sweep import labelled
from theory.tuning import tune_all

Array = NDArray[np.float64]

CHUNK, TUNED_CHUNK = 512, 64
"""Problems predicted, or tuned, between two reports of progress."""


class Size(NamedTuple):
    """A simulation: dimension p and number of independent data sets.

    offset: added to the experiment's seed; problems with different ones share no draw.
    """

    dimension: int
    repeats: int
    offset: int = 0


@dataclass(frozen=True)
class Experiment:
    """Problems in the order of the product of labelled axes.

    frame: the axes, as a dataset of coordinates only (see ``theory.axes.frame``). An axis named
        ``dimension`` is that of the simulations: theory does not vary along it.
    problems, sizes: one for each point; a size of None is not simulated.
    tuned: whether the ridge of each is to be replaced by the best one; by default none is.
    optimal: whether the selection of each is to be replaced by the best one of its fraction.
    predicted: whether the theory is computed. seed, test_samples: as in a Plan.
    attributes: kept with the results. stores: how names of the simulations' stores begin.
    Raises InvalidFieldError where these do not fit each other, or nothing is left to compute.
    """

    title: str
    frame: xr.Dataset
    problems: tuple[Problem, ...]
    sizes: tuple[Size | None, ...]
    tuned: tuple[bool, ...] = ()
    optimal: tuple[bool, ...] = ()
    predicted: bool = True
    seed: int = 0
    test_samples: int | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)
    stores: str = "simulation"

    def __post_init__(self) -> None:
        points = int(np.prod(list(self.frame.sizes.values()), dtype=int))
        for name in ("problems", "sizes"):
            count = len(getattr(self, name))
            if count != points:
                raise InvalidFieldError(f"experiment.{name}", count, f"{points}, one a point")
        if not self.predicted and not any(self.sizes):
            raise InvalidFieldError("theory", False, "true where nothing is simulated")

    @property
    def places(self) -> list[tuple[Problem, Size | None]]:
        """Every point's problem and size."""
        return list(zip(self.problems, self.sizes, strict=True))

    def plans(self) -> dict[Size, Plan]:
        """What is to be simulated, by size: every problem once."""
        return {
            size: Plan(
                tuple(dict.fromkeys(problem for problem, s in self.places if s == size)),
                (size.dimension,),
                size.repeats,
                self.seed + size.offset,
                self.test_samples,
            )
            for size in sorted({size for size in self.sizes if size is not None})
        }


class Report(Protocol):
    """Is told how an experiment proceeds."""

    def predicting(self, done: int, total: int, what: str) -> None:
        """Problems solved so far."""

    def expecting(
        self, predictions: Mapping[Problem, Prediction], plans: Sequence[Plan]
    ) -> Watcher:
        """A watcher of these simulations that knows what the theory predicts."""


def run_experiment(
    experiment: Experiment,
    directory: Path | None = None,
    executor: Executor | None = None,
    report: Report | None = None,
) -> xr.Dataset:
    """Predictions (theory_*) and per-data-set results (simulation_*) over the axes.

    ``theory_status`` says how every prediction ended; ``repeated`` marks points whose problem and
    size came before, such as the full sample, which is that of every scheme;
    ``simulation_dimension`` is p, 0 where nothing was simulated.
    directory: keeps finished tasks; the same call again goes on where this one was stopped.
    """
    experiment = _tune(_optimise(experiment, report), report)
    predictions = _predict(experiment, report) if experiment.predicted else {}
    results = experiment.frame.copy()
    results.attrs = {
        "title": experiment.title,
        "seed": experiment.seed,
        **experiment.attributes,
    }
    if experiment.predicted:
        results = results.assign(_theory(experiment, predictions))
    results = results.assign(repeated=_arranged(experiment, _repeated(experiment)))
    plans = experiment.plans()
    if not plans:
        return results
    watcher = report.expecting(predictions, list(plans.values())) if report is not None else None
    measured: dict[tuple[Problem, Size | None], Array] = {}
    for size, plan in plans.items():
        name = f"{experiment.stores}-p{size.dimension}-seed{plan.seed}"
        store = directory / name if directory is not None else None
        values = run(plan, store, executor, watcher)[0]
        measured.update(((p, size), v) for p, v in zip(plan.problems, values, strict=True))
    return results.assign(_simulation(experiment, measured))


@contextmanager
def open_results(directory: Path, experiment: Experiment) -> Iterator[None]:
    """The directory of an experiment's results, locked and checked: they may grow, not shrink.

    Raises StoreError where it holds another experiment's, or cannot be used.
    """
    described: dict[str, Any] = {
        "axes": list(experiment.frame.coords),
        "theory": experiment.predicted,
        "problems": [repr(problem) for problem in dict.fromkeys(experiment.problems)],
        "identities": [identity(problem) for problem in dict.fromkeys(experiment.problems)],
    }
    sizes = [size for size in experiment.sizes if size is not None]
    if sizes:
        described["simulation"] = {
            "seed": experiment.seed,
            "test_samples": experiment.test_samples,
            "dimensions": sorted({size.dimension for size in sizes}),
            "data_sets": max(size.repeats for size in sizes),
        }
    with open_results_store(directory, described):
        yield


def _arranged(
    experiment: Experiment, values: Sequence[Any], attributes: Mapping[str, str] | None = None
) -> xr.Variable:
    """A value for every point, over the axes."""
    sizes = experiment.frame.sizes
    shape = tuple(sizes.values())
    return xr.Variable(tuple(sizes), np.array(values).reshape(shape), attributes)


def _theory(
    experiment: Experiment, predictions: Mapping[Problem, Prediction]
) -> dict[str, xr.Variable]:
    """Every predicted quantity, and the ridge where it is no axis, without the axis dimension."""
    every = [predictions[problem] for problem in experiment.problems]
    variables = labelled(experiment.frame, every, prefix="theory_")
    if any(experiment.tuned) or "ridge" not in experiment.frame.coords:
        ridges = [problem.ridge for problem in experiment.problems]
        variables["theory_ridge"] = _arranged(experiment, ridges, described("ridge"))
    if "dimension" in experiment.frame.sizes:
        variables = {name: v.isel(dimension=0) for name, v in variables.items()}
    return variables


def _simulation(
    experiment: Experiment, measured: Mapping[tuple[Problem, Size | None], Array]
) -> dict[str, xr.Variable]:
    """Results over the axes and data_set, NaN where there are none, and their sizes."""
    sizes = experiment.frame.sizes
    data_sets = max(size.repeats for size in experiment.sizes if size is not None)
    table = np.full((len(experiment.problems), data_sets, len(COLUMNS)), np.nan)
    for row, place in zip(table, experiment.places, strict=True):
        if place in measured:
            row[: len(measured[place])] = measured[place]
    variables = {"data_set": xr.Variable("data_set", np.arange(data_sets), described("data_set"))}
    for name, column in zip(COLUMNS, np.moveaxis(table, -1, 0), strict=True):
        values = column.reshape(*sizes.values(), data_sets)
        attributes = described(name, prefix="simulated")
        variables[f"simulation_{name}"] = xr.Variable((*sizes, "data_set"), values, attributes)
    for name, numbers in {
        "dimension": [0 if s is None else s.dimension for s in experiment.sizes],
        "samples": [0 if s is None else pool_size(p, s.dimension) for p, s in experiment.places],
    }.items():
        attributes = described(name, prefix="simulated (0: none)")
        variables[f"simulation_{name}"] = _arranged(experiment, numbers, attributes)
    return variables


def _predict(experiment: Experiment, report: Report | None) -> dict[Problem, Prediction]:
    distinct = list(dict.fromkeys(experiment.problems))
    predictions: dict[Problem, Prediction] = {}
    for first in range(0, len(distinct), CHUNK):
        chunk = distinct[first : first + CHUNK]
        predictions.update(zip(chunk, predict_all(chunk), strict=True))
        if report is not None and len(distinct) > CHUNK:
            report.predicting(len(predictions), len(distinct), "predictions")
    return predictions


def _optimise(experiment: Experiment, report: Report | None) -> Experiment:
    """The experiment with the best selection wherever it is wanted."""
    return _improved(experiment, experiment.optimal, optimal_problems, "optimal selections", report)


def _tune(experiment: Experiment, report: Report | None) -> Experiment:
    """The experiment with the best ridge wherever it is to be tuned."""

    def tuned(problems: Sequence[Problem]) -> list[Problem]:
        return [found.problem for found in tune_all(problems)]

    return _improved(experiment, experiment.tuned, tuned, "tuned ridges", report)


def _improved(
    experiment: Experiment,
    wanted: Sequence[bool],
    improve: Callable[[Sequence[Problem]], list[Problem]],
    what: str,
    report: Report | None,
) -> Experiment:
    """The experiment with better problems in the places where they are wanted."""
    if not any(wanted):
        return experiment
    places = list(zip(experiment.problems, wanted, strict=True))
    free = list(dict.fromkeys(problem for problem, is_wanted in places if is_wanted))
    best: dict[Problem, Problem] = {}
    for first in range(0, len(free), TUNED_CHUNK):
        chunk = free[first : first + TUNED_CHUNK]
        best.update(zip(chunk, improve(chunk), strict=True))
        if report is not None:
            report.predicting(len(best), len(free), what)
    problems = tuple(best[problem] if is_wanted else problem for problem, is_wanted in places)
    return replace(experiment, problems=problems)


def _repeated(experiment: Experiment) -> list[bool]:
    seen: set[tuple[Problem, Size | None]] = set()
    repeated = []
    for place in experiment.places:
        repeated.append(place in seen)
        seen.add(place)
    return repeated
