"""A plan: everything that a Monte Carlo run will compute, as independent tasks."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from simulate.task import COLUMNS, Task, pool_law, pool_size
from theory.checks import InvalidFieldError, as_count, set_fields
from theory.problem import Problem
from theory.quantities import described

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Plan:
    """Problems x dimensions x data sets.

    problems: at least one; those with the same law of features and N/p share every data set.
    dimensions: p, each >= 2. repeats: independent data sets, >= 1, for each dimension.
    seed: a whole number >= 0; fixes every random draw.
    test_samples: size of a sampled test set; None evaluates test errors exactly, as
        one-dimensional integrals over the fitted model.
    Raises ValueError on other values.

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
        problems, dimensions = tuple(self.problems), tuple(self.dimensions)
        if not problems:
            raise InvalidFieldError("problems", problems, "one or more problems")
        dimensions = tuple(as_count("dimension", p, least=2) for p in dimensions)
        if not dimensions or len(set(dimensions)) < len(dimensions):
            raise InvalidFieldError("dimensions", dimensions, "one or more distinct numbers")
        test_samples = self.test_samples
        set_fields(
            self,
            problems=problems,
            dimensions=dimensions,
            repeats=as_count("repeats", self.repeats),
            seed=as_count("seed", self.seed, least=0),
            test_samples=None if test_samples is None else as_count("test_samples", test_samples),
        )

    @cached_property
    def tasks(self) -> tuple[Task, ...]:
        """Independent tasks, data set by data set: every problem of one pool on one data set."""
        by_pool: dict[object, list[int]] = {}
        for i, problem in enumerate(self.problems):
            by_pool.setdefault(pool_law(problem), []).append(i)
        return tuple(
            Task(
                problems=tuple(self.problems[i] for i in alike),
                places=tuple(alike),
                dimension=dimension,
                seed=self.seed,
                number=number,
                test_samples=self.test_samples,
            )
            for number in range(self.repeats)
            for dimension in self.dimensions
            for alike in by_pool.values()
        )

    @cached_property
    def digest(self) -> str:
        """Identifies the plan and the version of the toolkit: what its numbers depend on."""
        text = f"{version('data-selection-theory')} {self!r}"
        return hashlib.sha256(text.encode()).hexdigest()

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
