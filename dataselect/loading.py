"""Loading libraries, which do not survive an exception everywhere."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def loaded() -> Iterator[None]:
    """Within, an interrupt ends the process at once, with one line."""
    handler = signal.getsignal(signal.SIGINT)
    listening = (
        handler is signal.default_int_handler
        and threading.current_thread() is threading.main_thread()
    )
    if listening:
        signal.signal(signal.SIGINT, _end)
    try:
        yield
    finally:
        if listening:
            signal.signal(signal.SIGINT, handler)


def _end(number: int, frame: FrameType | None) -> None:
    del number, frame
    os.write(2, b"interrupted: nothing had started\n")
    os._exit(130)
