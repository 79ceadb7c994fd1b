"""Monte Carlo estimates of what the theory predicts, from fits to finite samples."""

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from simulate.running.plan import Plan
from simulate.running.run import Watcher, run
from simulate.task import COLUMNS, pool_size
from theory.problem import Problem, as_problems
from theory.quantities import MEASURED

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
    repeats: independent data sets, >= 1. seed: a whole number in [0, 2^128); fixes every draw.
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
    store: Path | None = None,
    watcher: Watcher | None = None,
) -> list[Estimate]:
    """Simulate many problems; those on the same pool share each of its data sets.

    executor, store, watcher: as in ``run``. Other arguments as in ``estimate``.
    Returns estimates in the order of ``problems``.
    """
    problems = tuple(as_problems(problems))
    plan = Plan(problems, (dimension,), repeats, seed, test_samples)
    values = run(plan, store, executor, watcher)
    return [summarise(p, dimension, v) for p, v in zip(problems, values[0], strict=True)]


def summarise(problem: Problem, dimension: int, values: Array) -> Estimate:
    """Means and standard errors over data sets; values: shape [repeats, COLUMNS]."""
    good = values[values[:, COLUMNS.index("converged")] == 1]
    means: dict[str, Mean] = {}
    for name in MEASURED:
        column = good[:, COLUMNS.index(name)]
        first = column[0] if column.size else float("nan")
        apart = column - first  # of a constant exactly 0
        mean = first + apart.mean() if column.size else first
        error = apart.std(ddof=1) / column.size**0.5 if column.size > 1 else float("nan")
        means[name] = Mean(float(mean), float(error))
    return Estimate(
        **means,
        dimension=dimension,
        samples=pool_size(problem, dimension),
        repeats=len(good),
        failed_fits=len(values) - len(good),
    )
