"""A small simulation beside the page: in a thread, telling how far it is, and to be stopped."""

import threading
from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from figures.explorer.lines import fewer
from figures.explorer.state import State
from simulate import Plan, RunError, run
from simulate.monte_carlo import summarise
from simulate.task import Task

Array = NDArray[np.float64]


class _StoppedError(Exception):
    """The user has stopped the simulation."""


class Simulation:
    """Data sets for the schemes that are drawn, at a few values of the axis; begins at once.

    dimension: p >= 2. repeats: data sets, >= 1. Raises InvalidFieldError where the controls
    describe no problem.

    >>> simulation = Simulation(State(schemes=("random",)), dimension=20, repeats=2)
    >>> simulation.wait()
    >>> simulation.done == simulation.total, len(simulation.points())
    (True, 8)
    """

    def __init__(self, state: State, dimension: int, repeats: int, seed: int = 0) -> None:
        self.state, self.dimension = state, dimension
        values = fewer(state.values)
        self._labels = [(scheme, x) for scheme in state.lines for x in values]
        self._problems = [
            state.problem(scheme).replace({state.field: x}) for scheme, x in self._labels
        ]
        self._plan = Plan(tuple(self._problems), (dimension,), repeats, seed)
        self._results: list[list[Array]] = [[] for _ in self._problems]
        self.done, self.total, self.error = 0, len(self._plan.left({})), ""
        self._asked_to_stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def running(self) -> bool:
        """Whether it is still at work."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """Ask it to end after the task at work; what is finished stays."""
        self._asked_to_stop.set()

    def wait(self) -> None:
        """Return when it has ended."""
        self._thread.join()

    def points(self) -> pd.DataFrame:
        """What is finished: columns scheme, x, mean, standard_error, repeats."""
        rows = []
        for (scheme, x), problem, results in zip(
            self._labels, self._problems, self._results, strict=True
        ):
            if results:
                found = summarise(problem, self.dimension, np.stack(results))
                mean = getattr(found, self.state.quantity)
                rows.append((scheme, x, mean.mean, mean.standard_error, found.repeats))
        return pd.DataFrame(rows, columns=["scheme", "x", "mean", "standard_error", "repeats"])

    def _run(self) -> None:
        try:
            run(self._plan, watcher=self)
        except _StoppedError:
            pass
        except RunError as error:
            self.error = str(error)

    def begin(self, plan: Plan, finished: Mapping[Task, Array]) -> None:
        """As a Watcher of the run."""

    def finish(self, task: Task, results: Array) -> None:
        """Keep the task's results; as a Watcher of the run."""
        for place, row in zip(task.places, results, strict=True):
            self._results[place].append(row)
        self.done += 1
        if self._asked_to_stop.is_set():
            raise _StoppedError
