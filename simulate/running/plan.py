"""A plan: everything that a Monte Carlo run will compute, as independent tasks."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from simulate.running.identity import identity
from simulate.task import COLUMNS, Task, pool_law, pool_size
from theory.checks import InvalidFieldError, as_count, as_items, set_fields
from theory.problem import Problem, as_problems
from theory.quantities import described

Array = NDArray[np.float64]

MOST_TASKS = 1_000_000
"""More tasks are refused: their list alone would take minutes and gigabytes."""

MOST_RESULTS = 200_000_000
"""Numbers in the results of a plan, 1.6 GB; more are refused."""

MOST_FEATURES = 2**40
"""Entries of one feature matrix, 4 TB; more are refused."""

LARGEST_SEED = 2**128 - 1


@dataclass(frozen=True)
class Plan:
    """Problems x dimensions x data sets.

    problems: at least one; those with the same law of features and N/p share every data set.
    dimensions: p, each >= 2. repeats: independent data sets, >= 1, for each dimension.
    seed: a whole number in [0, 2^128); fixes every random draw.
    test_samples: size of a sampled test set; None evaluates test errors exactly, as
        one-dimensional integrals over the fitted model.
    Raises ValueError on other values, and on a plan too large to be held in memory.

    >>> from theory import F1, Problem, RandomSelection, SingleIndex
    >>> problem = Problem(SingleIndex(F1, 5.0), RandomSelection(0.5), 0.1, 2.0)
    >>> plan = Plan([problem, problem.replace({"ridge": 0.01})], dimensions=[50, 100], repeats=3)
    >>> len(plan.tasks)
    6
    """

    problems: tuple[Problem, ...]
    dimensions: tuple[int, ...]
    repeats: int = 20
    seed: int = 0
    test_samples: int | None = None

    def __post_init__(self) -> None:
        problems = tuple(as_problems(self.problems))
        given = as_items("dimensions", self.dimensions, "one or more distinct numbers")
        if not problems:
            raise InvalidFieldError("problems", problems, "one or more problems")
        dimensions = tuple(as_count("dimension", p, least=2) for p in given)
        if not dimensions or len(set(dimensions)) < len(dimensions):
            raise InvalidFieldError("dimensions", dimensions, "one or more distinct numbers")
        test_samples = self.test_samples
        set_fields(
            self,
            problems=problems,
            dimensions=dimensions,
            repeats=as_count("repeats", self.repeats),
            seed=as_count("seed", self.seed, least=0, most=LARGEST_SEED),
            test_samples=None if test_samples is None else as_count("test_samples", test_samples),
        )
        self._check_size()

    def _check_size(self) -> None:
        for p in self.dimensions:
            for problem in self.problems:
                if problem.samples_per_dimension * p**2 > MOST_FEATURES:
                    most = math.isqrt(int(MOST_FEATURES / problem.samples_per_dimension))
                    allowed = f"at most {most} at N/p = {problem.samples_per_dimension:g}"
                    raise InvalidFieldError("dimension", p, allowed)
        tasks = len(self.dimensions) * len(self._pools)
        results = len(self.dimensions) * len(self.problems) * len(COLUMNS)
        most = min(MOST_TASKS // tasks, MOST_RESULTS // results)
        if self.repeats > most:
            raise InvalidFieldError(
                "repeats", self.repeats, f"at most {most} in a plan of this size"
            )

    @cached_property
    def _pools(self) -> tuple[tuple[int, ...], ...]:
        """Numbers of the problems that share their pools."""
        by_law: dict[object, list[int]] = {}
        for i, problem in enumerate(self.problems):
            by_law.setdefault(pool_law(problem), []).append(i)
        return tuple(map(tuple, by_law.values()))

    @cached_property
    def tasks(self) -> tuple[Task, ...]:
        """Independent tasks, data set by data set: every problem of one pool on one data set."""
        alike = [(tuple(self.problems[i] for i in places), places) for places in self._pools]
        return tuple(
            Task(problems, places, dimension, self.seed, number, self.test_samples)
            for number in range(self.repeats)
            for dimension in self.dimensions
            for problems, places in alike
        )

    @cached_property
    def identities(self) -> tuple[str, ...]:
        """What the results of each problem depend on, beside the numerics (see ``identity``)."""
        known: dict[Problem, str] = {}
        for problem in self.problems:
            if problem not in known:
                known[problem] = identity(problem)
        return tuple(known[problem] for problem in self.problems)

    def left(self, finished: Iterable[Task]) -> list[Task]:
        """What remains to be run: tasks, or those of their problems that are not finished."""
        found: dict[tuple[int, int], set[int]] = {}
        for task in finished:
            found.setdefault((task.dimension, task.number), set()).update(task.places)
        left = []
        for task in self.tasks:
            done = found.get((task.dimension, task.number), set())
            if done.isdisjoint(task.places):
                left.append(task)
            elif places := tuple(i for i in task.places if i not in done):
                left.append(self._part(task, places))
        return left

    def _part(self, task: Task, places: tuple[int, ...]) -> Task:
        return task._replace(problems=tuple(self.problems[i] for i in places), places=places)

    def collect(self, results: Iterable[tuple[Task, Array]]) -> Array:
        """Results of tasks, shape [dimensions, problems, repeats, COLUMNS]; NaN where missing."""
        shape = (len(self.dimensions), len(self.problems), self.repeats, len(COLUMNS))
        values = np.full(shape, np.nan)
        for task, rows in results:
            values[self.dimensions.index(task.dimension), list(task.places), task.number] = rows
        return values

    def dataset(self, values: Array) -> xr.Dataset:
        """Per-data-set results, labelled: dimensions (dimension, problem, data_set)."""
        names = ("dimension", "problem", "data_set")
        sizes = (len(self.dimensions), len(self.problems), self.repeats)
        result = xr.Dataset(
            coords={
                "problem": [repr(problem) for problem in self.problems],
                "dimension": ("dimension", list(self.dimensions), described("dimension")),
                "data_set": ("data_set", np.arange(self.repeats), described("data_set")),
            }
        )
        result.attrs = {"source": "simulation", "seed": self.seed}
        for name, column in zip(COLUMNS, np.moveaxis(values, -1, 0), strict=True):
            attributes = described(name, prefix="simulated")
            result[f"simulation_{name}"] = (names, column.reshape(sizes), attributes)
        return result


def cost(task: Task) -> float:
    """Relative cost of a task: entries of the features, times fits."""
    samples = pool_size(task.problems[0], task.dimension)
    return float(samples * task.dimension * len(task.problems))
