"""Monte Carlo estimates of what the theory predicts, from fits to finite samples."""

import itertools
import math
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, as_completed
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from simulate.fit import Fit, fit
from simulate.sample import Sample, draw_test_outputs, stream
from simulate.subset import draw_subset
from simulate.surrogate import LinearSurrogate, draw_surrogate
from theory._validation import as_count
from theory.losses import Loss
from theory.metrics import log_loss, misclassification
from theory.problem import Problem


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


MEASURED = tuple(field.name for field in fields(Estimate) if field.type is Mean)
"""What is measured on every fit; names and units as in a Prediction."""


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

    blocks = _blocks(problems)
    tasks = [
        (block, [problems[i] for i in block], dimension, seed, number, test_samples)
        for number in range(repeats)
        for block in blocks
    ]
    measured = np.full((len(problems), repeats, len(MEASURED)), np.nan)
    if executor is None:
        results = (_run_task(task) for task in tasks)
    else:
        futures = as_completed([executor.submit(_run_task, task) for task in tasks])
        results = (future.result() for future in futures)
    for done, (block, number, values) in enumerate(results, start=1):
        measured[block, number] = values
        if progress is not None:
            progress(done, len(tasks))
    return [_summary(p, dimension, values) for p, values in zip(problems, measured, strict=True)]


Task = tuple[list[int], list[Problem], int, int, int, int | None]


SELECTIONS_PER_TASK = 12
"""Selections that one task fits in turn, each for all its ridges."""


def _blocks(problems: Sequence[Problem]) -> list[list[int]]:
    """Indices of problems that one task fits in turn: the same pool, a few selections.

    Problems that share a subset are neighbours, ordered by falling ridge, so that each fit starts
    from the one before.
    """

    def pool(i: int) -> str:
        problem = problems[i]
        return repr((problem.data, problem.surrogate, problem.samples_per_dimension))

    def selection(i: int) -> str:
        return repr(problems[i].selection)

    def order(i: int) -> tuple[str, str, str, bool, float]:
        problem = problems[i]
        loss = repr(problem.loss)
        return pool(i), selection(i), loss, problem.fit_intercept, -problem.ridge

    blocks = []
    for _, same_pool in itertools.groupby(sorted(range(len(problems)), key=order), key=pool):
        groups = [list(group) for _, group in itertools.groupby(same_pool, key=selection)]
        for first in range(0, len(groups), SELECTIONS_PER_TASK):
            chosen = groups[first : first + SELECTIONS_PER_TASK]
            blocks.append(list(itertools.chain.from_iterable(chosen)))
    return blocks


def _run_task(task: Task) -> tuple[list[int], int, NDArray[np.float64]]:
    """Measure one block of problems on one data set; rows of NaN mark fits that failed."""
    block, problems, dimension, seed, number, test_samples = task
    first = problems[0]
    pool_size = _pool_size(first, dimension)
    sample = Sample(first.data, pool_size, dimension, seed, number)
    labels = sample.labels(first.data)
    surrogate = draw_surrogate(first, dimension, stream(seed, "surrogate", number))
    scores = surrogate.scores(sample.features)
    values = np.full((len(problems), len(MEASURED)), np.nan)
    row = 0
    for selection, sharing in itertools.groupby(problems, key=lambda p: p.selection):
        subset = draw_subset(selection, scores, sample.selection_uniforms)
        features = sample.features[subset.indices]
        previous: Fit | None = None
        fitted_alike: tuple[Loss, bool] | None = None
        for problem in sharing:
            if fitted_alike != (problem.loss, problem.fit_intercept):
                previous = None
            fitted_alike = problem.loss, problem.fit_intercept
            previous = fit(
                features,
                labels[subset.indices],
                subset.weights,
                pool_size,
                problem.ridge,
                problem.loss,
                problem.fit_intercept,
                start=previous,
            )
            if previous.converged:
                fraction = subset.indices.size / pool_size
                generator = stream(seed, "test", number)
                measured = _measure(problem, previous, surrogate, fraction, test_samples, generator)
                values[row] = [measured[name] for name in MEASURED]
            row += 1
    return block, number, values


def _pool_size(problem: Problem, dimension: int) -> int:
    return max(1, round(problem.samples_per_dimension * dimension))


def _measure(
    problem: Problem,
    fitted: Fit,
    surrogate: LinearSurrogate,
    fraction: float,
    test_samples: int | None,
    generator: np.random.Generator,
) -> dict[str, float]:
    """The quantities of one fit, by name."""
    alpha_0 = float(fitted.coefficients[0])
    rest = fitted.coefficients.copy()
    rest[0] = 0.0
    tau = float(np.linalg.norm(rest))
    alpha_s = float(rest @ surrogate.error_direction) if surrogate.beta_s else 0.0
    model = (problem.data, alpha_0, fitted.intercept, tau)
    if test_samples is None:
        errors = misclassification(*model), log_loss(*model)
    else:
        labels, outputs = draw_test_outputs(*model, test_samples, generator)
        margins = labels * outputs
        errors = float(np.mean(margins < 0)), float(np.mean(np.logaddexp(0, -margins)))
    return {
        "misclassification": errors[0],
        "log_loss": errors[1],
        "alpha_0": alpha_0,
        "alpha_s": alpha_s,
        "alpha_perp": math.sqrt(max(tau**2 - alpha_s**2, 0.0)),
        "intercept": fitted.intercept,
        "fraction": fraction,
        "beta_0": surrogate.beta_0,
        "beta_s": surrogate.beta_s,
    }


def _summary(problem: Problem, dimension: int, measured: NDArray[np.float64]) -> Estimate:
    """Means and standard errors over the data sets whose fit converged; measured: [repeats, k]."""
    good = measured[~np.isnan(measured[:, 0])]
    means: dict[str, Mean] = {}
    for name, column in zip(MEASURED, good.T, strict=True):
        mean = float(column.mean()) if column.size else float("nan")
        error = column.std(ddof=1) / column.size**0.5 if column.size > 1 else float("nan")
        means[name] = Mean(mean, float(error))
    return Estimate(
        **means,
        dimension=dimension,
        samples=_pool_size(problem, dimension),
        repeats=len(good),
        failed_fits=len(measured) - len(good),
    )
