"""An interrupt is never lost, wherever the program happens to be."""

import _thread
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

AGAIN = 0.05
"""Seconds until an interrupt that was swallowed is raised again."""


def _interrupt() -> None:
    """Interrupt the main thread, also where it waits."""
    main = threading.main_thread().ident
    if hasattr(signal, "pthread_kill") and main is not None:
        signal.pthread_kill(main, signal.SIGINT)
    else:
        _thread.interrupt_main()


@contextmanager
def kept_interrupts() -> Iterator[None]:
    """Within, a KeyboardInterrupt that Python must ignore is raised again a moment later.

    Python prints and drops exceptions out of callbacks of its garbage collector, such as JAX's, and
    out of finalisers.

    >>> with kept_interrupts():
    ...     pass
    """
    before = sys.unraisablehook

    def hook(ignored: Any) -> None:
        if ignored.exc_type is not None and issubclass(ignored.exc_type, KeyboardInterrupt):
            again = threading.Timer(AGAIN, _interrupt)
            again.daemon = True
            again.start()
        else:
            before(ignored)

    sys.unraisablehook = hook
    try:
        yield
    finally:
        sys.unraisablehook = before
