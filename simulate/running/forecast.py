"""What a plan will take, before it starts: tasks, fits, memory and, from a probe, time."""

import time
from dataclasses import dataclass

import numpy as np

from simulate.running.plan import Plan, cost
from simulate.task import LEAST_BATCH_BYTES, Task, pool_law, pool_size, run_task
from theory.machine import one_thread

PROBE_ENTRIES = 4e6
"""Largest feature matrix of the probe."""

PROBE_PROBLEMS = 8

PROCESS_BYTES = 400e6
"""A worker before its first task: Python and the libraries."""


@dataclass(frozen=True)
class Forecast:
    """Of a plan: its tasks and fits; bytes of its largest feature matrix and of a worker at its
    peak; seconds of all tasks on one worker, extrapolated from a small probe."""

    tasks: int
    fits: int
    feature_bytes: float
    worker_bytes: float
    seconds: float


def forecast(plan: Plan) -> Forecast:
    """Time a small sample of the plan's problems and scale it up; takes a few seconds.

    >>> from theory import F1, Problem, RandomSelection, SingleIndex
    >>> problem = Problem(SingleIndex(F1, 5.0), RandomSelection(0.5), 0.1, 2.0)
    >>> expected = forecast(Plan([problem], dimensions=[60], repeats=10))
    >>> expected.tasks, expected.fits, 0 < expected.seconds < 60
    (10, 10, True)
    """
    paces: dict[object, float] = {}
    seconds = 0.0
    feature_bytes = 0.0
    for task in plan.tasks:
        pool = task.dimension, pool_law(task.problems[0])
        if pool not in paces:
            paces[pool] = _seconds_per_cost(task)
        seconds += paces[pool] * cost(task)
        samples = pool_size(task.problems[0], task.dimension)
        feature_bytes = max(feature_bytes, 4.0 * samples * task.dimension)
    return Forecast(
        tasks=len(plan.tasks),
        fits=sum(len(task.problems) for task in plan.tasks),
        feature_bytes=feature_bytes,
        worker_bytes=PROCESS_BYTES + feature_bytes + max(LEAST_BATCH_BYTES, feature_bytes / 2),
        seconds=seconds,
    )


def _seconds_per_cost(task: Task) -> float:
    """Of a few of the task's problems, spread over all, at no more than the probe's size."""
    count = min(PROBE_PROBLEMS, len(task.problems))
    chosen = np.linspace(0, len(task.problems) - 1, count).round().astype(int)
    ratio = task.problems[0].samples_per_dimension
    dimension = max(2, min(task.dimension, int((PROBE_ENTRIES / ratio) ** 0.5)))
    probe = task._replace(
        problems=tuple(task.problems[i] for i in chosen),
        places=tuple(range(count)),
        dimension=dimension,
    )
    with one_thread():
        run_task(probe._replace(dimension=min(dimension, 50)))  # compiles
        began = time.perf_counter()
        run_task(probe)
    return (time.perf_counter() - began) / cost(probe)
