"""Executors: worker processes of this machine that can be replaced, and a cluster's."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing.connection import wait
from typing import Any


class LocalProcesses(Executor):
    """Worker processes (spawned). Where one dies, ``renew`` replaces them all."""

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._pools = [self._new_pool()]

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        return self._pools[-1].submit(function, *args, **kwargs)

    def renew(self) -> None:
        """New workers, after the old ones broke."""
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


def _prepare_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what an interrupt does
    threading.Thread(target=_end_with_the_parent, daemon=True).start()


def _end_with_the_parent() -> None:
    """A parent that is killed stops nobody; without it the work is for nothing."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


@contextmanager
def process_pool(workers: int) -> Iterator[LocalProcesses]:
    """Worker processes (spawned); an exception stops them at once.

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

    Needs the extra ``cluster``. A task whose worker dies is run again by Dask.
    """
    try:
        from distributed import Client
    except ImportError:
        raise ModuleNotFoundError(
            "a cluster needs Dask: pip install 'data-selection-theory[cluster]'"
        ) from None
    with Client(scheduler) as client:  # type: ignore[no-untyped-call]
        yield client.get_executor()
