"""What the machine grants this process: cores, and the threads of its linear algebra."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import loky
from threadpoolctl import threadpool_limits


def cores() -> int:
    """Cores that this process may use: of the machine, its affinity and its cgroup's quota.

    The variable LOKY_MAX_CPU_COUNT lowers it further.

    >>> cores() >= 1
    True
    """
    return max(1, int(loky.cpu_count()))


class _OneThread:
    """Counts who needs linear algebra on one thread: the setting belongs to the whole process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._limits = None

    def enter(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._limits = threadpool_limits(1)
            self._inside += 1

    def leave(self) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0 and self._limits is not None:
                self._limits.restore_original_limits()
                self._limits = None


_one_thread = _OneThread()


@contextmanager
def one_thread() -> Iterator[None]:
    """Within, linear algebra keeps to one thread; the last thread to leave restores the setting."""
    _one_thread.enter()
    try:
        yield
    finally:
        _one_thread.leave()


@contextmanager
def interrupts_held_back() -> Iterator[None]:
    """Within, an interrupt waits; processes started within never see one of the terminal.

    Their parent decides what an interrupt does, from before they have loaded anything.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
