"""One task of a simulation: one data set, and every problem that shares it.

All of its selections, ridges and label models reuse one draw of the features. Fits to the same
labels run together, as many at a time as the memory rule below allows.
"""

import dataclasses
import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulate.fitting.fit import fit
from simulate.sample import Sample, draw_test_outputs, stream
from simulate.subset import draw_weights
from simulate.surrogate import Labelled, LinearSurrogate, draw_surrogate
from theory.kinds import FixedFraction, Training
from theory.metrics import log_loss, misclassification
from theory.problem import Problem
from theory.quantities import MEASURED

Array = NDArray[np.float64]

COLUMNS = (*MEASURED, "gradient_norm", "converged")
"""What a task returns of a fit: also its gradient norm, relative to that at zero, and success."""

FIT_BYTES = 140
"""Memory that fits running together take, per fit and sample or dimension ..."""

LEAST_BATCH_BYTES = 1 << 25
"""... which may be as much as this, or half of the features."""


class Task(NamedTuple):
    """Which problems to simulate, at which size, on which of the independent data sets.

    places: where the problems stand in the plan.
    """

    problems: tuple[Problem, ...]
    places: tuple[int, ...]
    dimension: int
    seed: int
    number: int
    test_samples: int | None


def pool_size(problem: Problem, dimension: int) -> int:
    """N, the number of samples in the pool."""
    return max(1, round(problem.samples_per_dimension * dimension))


def _scoring(problem: Problem) -> object:
    """Problems that agree in this, and in their data, share their surrogate and its samples."""
    source = problem.surrogate.source(problem.data)
    return dataclasses.replace(source, reuse=0.0) if isinstance(source, Training) else source


def pool_law(problem: Problem) -> tuple[object, ...]:
    """Problems that agree in this share their features: the same law, the same N/p."""
    return problem.data.means, problem.data.weights, problem.samples_per_dimension


def run_task(task: Task) -> Array:
    """Draw, score, select, fit and test; shape [problems, COLUMNS]."""
    first = task.problems[0]
    samples = pool_size(first, task.dimension)
    sample = Sample(first.data, samples, task.dimension, task.seed, task.number)
    scored: dict[tuple[object, object], tuple[LinearSurrogate, Array]] = {}
    for problem in task.problems:
        if (_scoring(problem), problem.data) not in scored:
            generator = stream(task.seed, "surrogate", task.dimension, task.number)
            surrogate = draw_surrogate(problem, task.dimension, generator)
            scores = surrogate.scores(sample.features)
            scored[_scoring(problem), problem.data] = surrogate, scores
    results = np.full((len(task.problems), len(COLUMNS)), np.nan)
    for batch in _batches(task, samples):
        problems = [task.problems[i] for i in batch]
        first = problems[0]
        weights = np.empty((samples, len(problems)))
        drawn: dict[tuple[object, object], int] = {}
        for k, problem in enumerate(problems):
            subset = _scoring(problem), problem.selection
            if (same := drawn.setdefault(subset, k)) < k:
                weights[:, k] = weights[:, same]
                continue
            _, scores = scored[_scoring(problem), problem.data]
            weights[:, k] = draw_weights(problem.selection, scores, sample.selection_uniforms)
        fitted = Labelled(sample.features, sample.labels(first.data))
        fitted_weights = weights
        if any(reused := [problem.reuse for problem in problems]):
            trained_on = scored[_scoring(first), first.data][0].trained_on
            assert trained_on is not None
            fitted = _together(fitted, trained_on)
            again = np.tile(reused, (len(trained_on.labels), 1))
            fitted_weights = np.concatenate([weights, again])
        fits = fit(
            fitted.features,
            fitted.labels,
            fitted_weights,
            len(fitted.labels),
            np.array([problem.ridge for problem in problems]),
            first.loss,
            first.fit_intercept,
        )
        for k, (i, problem) in enumerate(zip(batch, problems, strict=True)):
            surrogate, _ = scored[_scoring(problem), problem.data]
            results[i] = (
                *_measure(problem, fits.coefficients[:, k], fits.intercepts[k], surrogate, task),
                np.count_nonzero(weights[:, k]) / samples,
                surrogate.beta_0,
                surrogate.beta_s,
                fits.gradient_norms[k],
                fits.converged[k] and surrogate.converged,
            )
    return results


def _batches(task: Task, samples: int) -> Iterator[list[int]]:
    """Numbers of the problems to fit together: alike in labels, loss and intercept, and in the
    surrogate's samples where these are fitted too.

    Small subsets come together: samples that none of them selects are then left out of the work.
    """
    spare = max(LEAST_BATCH_BYTES, samples * task.dimension * 2)
    most = max(1, spare // (FIT_BYTES * (samples + task.dimension)))

    groups: dict[object, list[int]] = {}
    for i, problem in enumerate(task.problems):
        own = _scoring(problem) if problem.reuse else None
        groups.setdefault((problem.data, problem.loss, problem.fit_intercept, own), []).append(i)

    def fraction(i: int) -> float:
        selection = task.problems[i].selection
        return selection.fraction if isinstance(selection, FixedFraction) else 1.0

    for alike in groups.values():
        numbers = np.array(sorted(alike, key=fraction))
        for batch in np.array_split(numbers, math.ceil(numbers.size / most)):
            yield batch.tolist()


def _together(pool: Labelled, first: Labelled) -> Labelled:
    """The pool, then the samples that trained the surrogate."""
    return Labelled(
        np.concatenate([pool.features, first.features]),
        np.concatenate([pool.labels, first.labels]),
    )


def _measure(
    problem: Problem, theta: Array, b: float, surrogate: LinearSurrogate, task: Task
) -> tuple[float, ...]:
    """Test errors and order parameters of one fitted model, in the order of MEASURED."""
    alpha_0, b = float(theta[0]), float(b)
    rest = theta[1:]
    tau = float(np.linalg.norm(rest))
    alpha_s = float(rest @ surrogate.error_direction[1:]) if surrogate.beta_s else 0.0
    alpha_perp = math.sqrt(max(tau**2 - alpha_s**2, 0.0))
    model = (problem.data, alpha_0, b, tau)
    if task.test_samples is None:
        errors = misclassification(*model), log_loss(*model)
    else:
        generator = stream(task.seed, "test", task.dimension, task.number)
        labels, outputs = draw_test_outputs(*model, task.test_samples, generator)
        margins = labels * outputs
        errors = (
            float(np.mean(margins < 0) + np.mean(margins == 0) / 2),
            float(np.mean(np.logaddexp(0, -margins))),
        )
    return *errors, alpha_0, alpha_s, alpha_perp, b
