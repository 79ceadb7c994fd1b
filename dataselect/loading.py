"""Loading libraries: they do not survive an exception everywhere, and their names may be hidden."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from types import FrameType

ROOMS = ("theory", "simulate", "figures", "paper_repro")
"""Packages that are installed beside this one, under names that a user's file may have too."""


class HiddenRoomError(ImportError):
    """A file of the user hides one of the toolkit's packages."""


def check_rooms() -> None:
    """Raise HiddenRoomError, naming the file, where a package would not be ours.

    >>> check_rooms()
    """
    home = Path(__file__).resolve().parent.parent
    for room in ROOMS:
        spec = find_spec(room)
        found = spec.origin or next(iter(spec.submodule_search_locations or ()), "") if spec else ""
        if found and home / room not in (Path(found).resolve().parent, Path(found).resolve()):
            raise HiddenRoomError(
                f"{found} hides the package {room} of data-selection-theory: rename it, or run"
                " from another folder"
            )


@contextmanager
def loaded() -> Iterator[None]:
    """Within, an interrupt ends the process at once, with one line; the packages are ours."""
    try:
        check_rooms()
    except HiddenRoomError as error:
        sys.exit(f"error: {error}")
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
