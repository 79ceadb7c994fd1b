"""Run a plan: its unfinished tasks, on any executor, into a store."""

import logging
import pickle
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future, as_completed
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol, TypeVar

import cloudpickle
import numpy as np
from numpy.typing import NDArray

from simulate.running.errors import ExecutorError, RunError, TaskError, WorkersDiedError
from simulate.running.interrupts import kept_interrupts
from simulate.running.plan import Plan
from simulate.running.store import open_store
from simulate.running.workers import LocalProcesses, check_executor, workers_of_cluster
from simulate.task import Task, run_task
from theory._engine import require_double_precision
from theory.machine import one_thread

Array = NDArray[np.float64]
Job = TypeVar("Job", bound=Hashable)

log = logging.getLogger(__name__)

MAX_DEATHS = 3
"""Local workers are replaced unless they die so often without finishing a task in between."""

PATIENCE = 5.0
"""Seconds without a result after which a cluster without workers is spoken of."""


class Watcher(Protocol):
    """Is told how a run proceeds."""

    def begin(self, plan: Plan, finished: Mapping[Task, Array]) -> None:
        """Before the first task: what the store held already."""

    def finish(self, task: Task, results: Array) -> None:
        """After every task."""


def run(
    plan: Plan,
    store: Path | None = None,
    executor: Executor | None = None,
    watcher: Watcher | None = None,
) -> Array:
    """Results of all tasks, shape [dimensions, problems, repeats, COLUMNS].

    store: directory that keeps every finished task; those it already holds are not run again.
    executor: any with the standard interface, such as ``process_pool(workers)`` or a Dask client's
        ``get_executor()``; None runs in this process. On an executor the numbers do not depend on
        its kind or size; in this process they agree to the tolerance of the fits.
    Raises StoreError if the store cannot be used (see ``open_store``), and RunError, always with
    one line that says why: TaskError if a task raises an error, WorkersDiedError if workers keep
    dying, ExecutorError if the executor cannot work.

    >>> from theory import F1, Problem, RandomSelection, SingleIndex
    >>> problem = Problem(SingleIndex(F1, 5.0), RandomSelection(0.5), 0.1, 2.0)
    >>> run(Plan([problem], dimensions=[30], repeats=2)).shape
    (1, 1, 2, 11)
    """
    require_double_precision()
    if executor is not None:
        check_executor(executor)
    with ExitStack() as stack:
        stack.enter_context(kept_interrupts())
        kept = stack.enter_context(open_store(store, plan)) if store is not None else None
        finished = kept.finished() if kept is not None else {}
        left = plan.left(finished)
        if watcher is not None:
            watcher.begin(plan, finished)
        for task, results in answers(left, executor, _run, _sent):
            if kept is not None:
                kept.append(task, results)
            finished[task] = results
            if watcher is not None:
                watcher.finish(task, results)
        values = plan.collect(finished.items())
        if kept is not None:
            kept.write_dataset(values)
    return values


def answers(
    jobs: Sequence[Job],
    executor: Executor | None,
    here: Callable[[Job], Any],
    sent: Callable[[Job], tuple[Any, ...]],
) -> Iterator[tuple[Job, Any]]:
    """Results of distinct jobs as they come. Where local workers die, new ones take up the rest.

    here: does a job in this process, where there is no executor. sent: what is submitted for a job,
        a function and its arguments. A ValueError of a job is raised as it is.
    Raises RunError as ``run`` does.
    """
    if executor is None:
        yield from ((job, here(job)) for job in jobs)
        return
    left = dict.fromkeys(jobs)
    deaths = 0
    while left:
        try:
            for job, results in _answers_until_broken(list(left), executor, sent):
                del left[job]
                deaths = 0
                yield job, results
        except BrokenExecutor as error:
            deaths += 1
            if not isinstance(executor, LocalProcesses) or deaths == MAX_DEATHS:
                raise WorkersDiedError(
                    "workers died, perhaps for want of memory: try fewer workers; finished tasks"
                    " are kept if the run has a store"
                ) from error
            executor.renew()


def _answers_until_broken(
    jobs: Sequence[Job], executor: Executor, sent: Callable[[Job], tuple[Any, ...]]
) -> Iterator[tuple[Job, Any]]:
    futures: dict[Future[Any], Job] = {}
    try:
        for job in jobs:
            futures[executor.submit(*sent(job))] = job
        _say_if_nobody_works(futures, executor)
        for future in as_completed(futures):
            try:
                results = future.result()
            except (TaskError, ValueError, BrokenExecutor):
                raise
            except Exception as error:
                raise cluster_error(error) from error
            yield futures[future], results
    finally:
        for future in futures:
            future.cancel()


def _say_if_nobody_works(futures: Mapping[Future[Any], Any], executor: Executor) -> None:
    """Say so where a cluster has no workers after a while; it may get some later."""
    if workers_of_cluster(executor) is None:
        return
    try:
        next(as_completed(futures, PATIENCE), None)
    except TimeoutError:
        if workers_of_cluster(executor) == 0:
            log.warning("the cluster has no workers: waiting for some to join it")


def cluster_error(error: Exception) -> RunError:
    """What an executor's own error means."""
    name = type(error).__name__
    if name == "KilledWorker":
        return WorkersDiedError(
            "a task's workers died again and again, perhaps for want of memory: try fewer threads a"
            " worker; finished tasks are kept if the run has a store"
        )
    if isinstance(error, CancelledError | OSError) or "Cancelled" in name:
        return ExecutorError(
            f"the executor gave up its tasks ({name}), as when a scheduler ends: start it, then the"
            " same command again; finished tasks are kept if the run has a store"
        )
    return ExecutorError(f"the executor failed ({name}: {error})")


def _sent(task: Task) -> tuple[Any, ...]:
    return _run_packed, _packed(task)


def _packed(task: Task) -> bytes:
    """A task to be sent, with the classes that workers could not import."""
    try:
        return bytes(cloudpickle.dumps(task))
    except Exception as error:
        raise TaskError(
            f"a task cannot be sent to workers ({type(error).__name__}: {error}):"
            f" {task.problems[0]}"
        ) from error


def _run_packed(data: bytes) -> Array:
    """In a worker, which shares the machine: one thread each."""
    try:
        task = pickle.loads(data)
    except Exception as error:
        raise TaskError(
            f"a worker cannot read its task ({type(error).__name__}: {error}): define its kinds"
            " in a module that workers can import"
        ) from None
    with one_thread():
        return _run(task)


def _run(task: Task) -> Array:
    """Run a task; an error names the problem. As plain text it survives every way back."""
    try:
        return run_task(task)
    except Exception as error:
        problem = _culprit(task)
        raise TaskError(
            f"{type(error).__name__}: {error} (data set {task.number} at p = {task.dimension} of"
            f" {problem})"
        ) from error


def _culprit(task: Task) -> object:
    """The first problem of a failed task that fails by itself."""
    if len(task.problems) > 1:
        for problem in task.problems:
            try:
                run_task(task._replace(problems=(problem,), places=(0,)))
            except Exception:
                return problem
    return task.problems[0]
