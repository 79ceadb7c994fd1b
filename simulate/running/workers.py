"""Executors: worker processes of this machine that can be replaced, and a cluster's."""

import logging
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from simulate.running.errors import ExecutorError
from theory.machine import interrupts_held_back

UNGUARDED = 79
"""Exit status of a worker that was about to start workers itself, as it imported the program."""

GUARD = (
    "the program starts workers as it is imported, and every worker imports it: put what it runs"
    ' under if __name__ == "__main__":'
)


class LocalProcesses(Executor):
    """Worker processes (spawned). Where one dies, ``renew`` replaces them all."""

    def __init__(self, workers: int) -> None:
        _refuse_in_a_worker()
        main = getattr(sys.modules["__main__"], "__file__", None)
        if main is not None and not Path(main).exists():
            raise ExecutorError(
                f"workers import the program, and {main} is no file: save the program in one and"
                " run that"
            )
        self._workers = workers
        self._started: list[Any] = []
        self._pools = [self._new_pool()]

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        with interrupts_held_back():  # the parent decides what an interrupt does
            future = self._pools[-1].submit(function, *args, **kwargs)
        self._started = self.processes() or self._started
        return future

    def renew(self) -> None:
        """New workers, after the old ones broke; raises ExecutorError if these would break too."""
        for process in self._started:
            process.join(1)
        if any(process.exitcode == UNGUARDED for process in self._started):
            raise ExecutorError(GUARD)
        self._started = []
        self._pools.append(self._new_pool())

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        for pool in self._pools:
            pool.shutdown(wait, cancel_futures=cancel_futures)

    def kill(self) -> None:
        """Stop all workers at once, whatever they run."""
        for process in self.processes():
            process.terminate()
        self.shutdown(cancel_futures=True)

    def processes(self) -> list[Any]:
        """The present workers."""
        return list((self._pools[-1]._processes or {}).values())

    def _new_pool(self) -> ProcessPoolExecutor:
        context = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(self._workers, context, initializer=_prepare_worker)


def _refuse_in_a_worker() -> None:
    """End a process that is still importing the program which started it."""
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        os._exit(UNGUARDED)


def _prepare_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # where interrupts cannot be held back
    threading.Thread(target=_end_with_the_parent, daemon=True).start()


def _end_with_the_parent() -> None:
    """A parent that is killed stops nobody; without it the work is for nothing."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def check_executor(executor: Executor) -> None:
    """Raise ExecutorError for one that would never answer.

    >>> check_executor(ProcessPoolExecutor(1, multiprocessing.get_context("spawn")))
    """
    context = getattr(executor, "_mp_context", None)
    if context is not None and context.get_start_method() == "fork":
        raise ExecutorError(
            "forked workers hang once JAX has run: use process_pool(n), or ProcessPoolExecutor(n,"
            ' mp_context=multiprocessing.get_context("spawn"))'
        )


@contextmanager
def process_pool(workers: int) -> Iterator[LocalProcesses]:
    """Worker processes (spawned); an exception stops them at once.

    Raises ExecutorError where workers could not import the program.

    >>> with process_pool(1) as pool:
    ...     pool.submit(abs, -2).result()
    2
    """
    pool = LocalProcesses(workers)
    try:
        yield pool
    except BaseException:
        pool.kill()
        raise
    pool.shutdown()


@contextmanager
def cluster(scheduler: str) -> Iterator[Executor]:
    """The workers of a Dask scheduler, by its address, such as "tcp://node1:8786".

    Needs the extra ``cluster``. A task whose worker dies is run again by Dask. Raises
    ExecutorError if no scheduler answers there.
    """
    with cluster_client(scheduler) as client:
        yield client.get_executor()


@contextmanager
def cluster_client(scheduler: str) -> Iterator[Any]:
    """A Dask client of a scheduler; as ``cluster``."""
    try:
        from distributed import Client
    except ImportError:
        raise ModuleNotFoundError(
            "a cluster needs Dask: pip install 'data-selection-theory[cluster]'"
        ) from None
    try:
        client = Client(scheduler)  # type: ignore[no-untyped-call]
    except (OSError, ValueError) as error:
        raise ExecutorError(f"no scheduler answers at {scheduler} ({error})") from None
    logger = logging.getLogger("distributed.client")
    level = logger.level
    logger.setLevel(logging.CRITICAL)  # a scheduler that ends is one line, from ``run``
    with ExitStack() as stack:
        stack.callback(logger.setLevel, level)
        stack.enter_context(client)
        yield client


def workers_of_cluster(executor: Executor) -> int | None:
    """How many workers a Dask executor's scheduler has; None for other executors."""
    client = getattr(executor, "_client", None)
    if client is None or not hasattr(client, "scheduler_info"):
        return None
    return len(client.scheduler_info(n_workers=-1)["workers"])
