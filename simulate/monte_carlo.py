"""Monte Carlo estimates of what the theory predicts, from fits to finite samples."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, as_completed
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulate.task import COLUMNS, MEASURED, Task, pool_law, pool_size, run_task
from theory._validation import as_count
from theory.problem import Problem

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Mean:
    """A mean over independent data sets and its standard error (NaN for a single data set)."""

    mean: float
    standard_error: float


@dataclass(frozen=True)
class Estimate:
    """Simulated counterpart of a Prediction, under the same names.

    dimension: p; samples: N, the size of the pool; repeats: independent data sets that count.
    failed_fits: fits that missed their tolerance; they are left out of the means.
    """

    misclassification: Mean
    log_loss: Mean
    alpha_0: Mean
    alpha_s: Mean
    alpha_perp: Mean
    intercept: Mean
    fraction: Mean
    beta_0: Mean
    beta_s: Mean
    dimension: int
    samples: int
    repeats: int
    failed_fits: int


def estimate(
    problem: Problem,
    dimension: int,
    repeats: int = 20,
    seed: int = 0,
    test_samples: int | None = None,
) -> Estimate:
    """Simulate one problem at finite size: draw, score, select, fit, test.

    dimension: p >= 2; the pool has N = round(samples_per_dimension * p) samples.
    repeats: independent data sets, >= 1. seed: a whole number >= 0; fixes every random draw.
    test_samples: size of a sampled test set; None evaluates the test error exactly, as a
        one-dimensional integral over the fitted model.
    Raises ValueError on other values.

    >>> from theory import F1, Problem, RandomSelection, SingleIndex
    >>> problem = Problem(SingleIndex(F1, 5.0), RandomSelection(0.5), 0.1, 2.0)
    >>> result = estimate(problem, dimension=50, repeats=4, seed=1)
    >>> result.samples, result.repeats, 0 < result.misclassification.mean < 0.5
    (100, 4, True)
    """
    return estimate_all([problem], dimension, repeats, seed, test_samples)[0]


def estimate_all(
    problems: Sequence[Problem],
    dimension: int,
    repeats: int = 20,
    seed: int = 0,
    test_samples: int | None = None,
    executor: Executor | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Estimate]:
    """Simulate many problems; those on the same pool share each of its data sets.

    executor: runs the tasks; None runs them here. The numbers do not depend on it.
    progress: called with the tasks done and the number of tasks after each task.
    Other arguments as in ``estimate``. Returns estimates in the order of ``problems``.
    """
    dimension = as_count("dimension", dimension, least=2)
    repeats = as_count("repeats", repeats)
    seed = as_count("seed", seed, least=0)
    if test_samples is not None:
        test_samples = as_count("test_samples", test_samples)

    by_pool: dict[object, list[int]] = {}
    for i, problem in enumerate(problems):
        by_pool.setdefault(pool_law(problem), []).append(i)
    tasks = {
        Task(tuple(problems[i] for i in alike), dimension, seed, number, test_samples): alike
        for number in range(repeats)
        for alike in by_pool.values()
    }
    measured = np.full((len(problems), repeats, len(COLUMNS)), np.nan)
    for done, (task, values) in enumerate(_answers(list(tasks), executor), start=1):
        measured[tasks[task], task.number] = values
        if progress is not None:
            progress(done, len(tasks))
    return [_summary(p, dimension, values) for p, values in zip(problems, measured, strict=True)]


def _answers(tasks: list[Task], executor: Executor | None) -> Iterator[tuple[Task, Array]]:
    if executor is None:
        yield from ((task, run_task(task)) for task in tasks)
        return
    futures = {executor.submit(run_task, task): task for task in tasks}
    for future in as_completed(futures):
        yield futures[future], future.result()


def _summary(problem: Problem, dimension: int, measured: NDArray[np.float64]) -> Estimate:
    """Means and standard errors over the data sets whose fit converged; measured: [repeats, k]."""
    good = measured[measured[:, -1] == 1]
    means: dict[str, Mean] = {}
    for name, column in zip(MEASURED, good.T, strict=False):
        mean = float(column.mean()) if column.size else float("nan")
        error = column.std(ddof=1) / column.size**0.5 if column.size > 1 else float("nan")
        means[name] = Mean(mean, float(error))
    return Estimate(
        **means,
        dimension=dimension,
        samples=pool_size(problem, dimension),
        repeats=len(good),
        failed_fits=len(measured) - len(good),
    )
