"""Executors: worker processes of this machine that survive the death of one, and a cluster's."""

import multiprocessing
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any

MAX_DEATHS = 3
"""How often a task is started again because a worker died."""


class LocalProcesses(Executor):
    """Worker processes; where one dies, all are replaced and what they ran is started again.

    A function that was running at ``MAX_DEATHS`` deaths fails with BrokenProcessPool.
    """

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._lock = threading.Lock()
        self._killed = False
        self._pool = self._new_pool()

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        outer: Future[Any] = Future()
        self._start(outer, lambda pool: pool.submit(function, *args, **kwargs), deaths=0)
        return outer

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._pool.shutdown(wait, cancel_futures=cancel_futures)

    def kill(self) -> None:
        """Stop all workers at once, whatever they run."""
        self._killed = True
        for process in list((self._pool._processes or {}).values()):
            process.terminate()
        self._pool.shutdown(cancel_futures=True)

    def _new_pool(self) -> ProcessPoolExecutor:
        context = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(self._workers, context, initializer=_ignore_interrupts)

    def _start(
        self,
        outer: Future[Any],
        submit: Callable[[ProcessPoolExecutor], Future[Any]],
        deaths: int,
    ) -> None:
        with self._lock:
            try:
                inner, pool = submit(self._pool), self._pool
            except BrokenProcessPool:
                self._pool = self._new_pool()
                inner, pool = submit(self._pool), self._pool

        def finish(inner: Future[Any]) -> None:
            error = None if inner.cancelled() else inner.exception()
            if inner.cancelled() or outer.cancelled():
                outer.cancel()
            elif isinstance(error, BrokenProcessPool) and deaths < MAX_DEATHS and not self._killed:
                with self._lock:
                    if self._pool is pool:
                        self._pool = self._new_pool()
                self._start(outer, submit, deaths + 1)
            elif error is not None:
                outer.set_exception(error)
            else:
                outer.set_result(inner.result())

        inner.add_done_callback(finish)


def _ignore_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what an interrupt does


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
