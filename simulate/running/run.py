"""Run a plan: its unfinished tasks, on any executor, into a store."""

from collections.abc import Iterator, Mapping
from concurrent.futures import BrokenExecutor, Executor, as_completed
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from simulate.running.plan import Plan
from simulate.running.store import open_store
from simulate.running.workers import LocalProcesses
from simulate.task import Task, run_task

Array = NDArray[np.float64]


MAX_DEATHS = 3
"""Local workers are replaced unless they die so often without finishing a task in between."""


class WorkersDiedError(RuntimeError):
    """Workers die whatever is done; the message says what to try."""


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
    Raises StoreError if the store cannot be used (see ``open_store``), and WorkersDiedError if
    workers keep dying.

    >>> from theory import F1, Problem, RandomSelection, SingleIndex
    >>> problem = Problem(SingleIndex(F1, 5.0), RandomSelection(0.5), 0.1, 2.0)
    >>> run(Plan([problem], dimensions=[30], repeats=2)).shape
    (1, 1, 2, 11)
    """
    with ExitStack() as stack:
        kept = stack.enter_context(open_store(store, plan)) if store is not None else None
        numbers = {task: number for number, task in enumerate(plan.tasks)}
        found = kept.finished() if kept is not None else {}
        finished = {plan.tasks[number]: results for number, results in found.items()}
        if watcher is not None:
            watcher.begin(plan, finished)
        left = [task for task in plan.tasks if task not in finished]
        for task, results in _answers(left, executor):
            if kept is not None:
                kept.append(numbers[task], results)
            finished[task] = results
            if watcher is not None:
                watcher.finish(task, results)
        values = plan.collect(finished.items())
        if kept is not None:
            kept.write_dataset(values)
    return values


def _answers(tasks: list[Task], executor: Executor | None) -> Iterator[tuple[Task, Array]]:
    """Results as they come. Where local workers die, new ones take up what is left."""
    if executor is None:
        yield from ((task, run_task(task)) for task in tasks)
        return
    left = dict.fromkeys(tasks)
    deaths = 0
    while left:
        try:
            for task, results in _answers_until_broken(list(left), executor):
                del left[task]
                deaths = 0
                yield task, results
        except BrokenExecutor as error:
            deaths += 1
            if not isinstance(executor, LocalProcesses) or deaths == MAX_DEATHS:
                raise WorkersDiedError(
                    "workers died, perhaps for want of memory: try fewer workers; finished tasks"
                    " are kept if the run has a store"
                ) from error
            executor.renew()


def _answers_until_broken(tasks: list[Task], executor: Executor) -> Iterator[tuple[Task, Array]]:
    futures = {executor.submit(_run_on_one_core, task): task for task in tasks}
    try:
        for future in as_completed(futures):
            yield futures[future], future.result()
    finally:
        for future in futures:
            future.cancel()


def _run_on_one_core(task: Task) -> Array:
    """Workers share the machine: one thread each."""
    with threadpool_limits(1):
        return run_task(task)
