"""The command line, as ``python -m dataselect``: an interrupt while it loads is one line too."""

import os
import signal
from types import FrameType


def main() -> None:
    """Load the command line and run it."""
    handler = signal.getsignal(signal.SIGINT)
    listening = handler is signal.default_int_handler
    if listening:
        signal.signal(signal.SIGINT, _end)
    from dataselect.command_line import main as run
    from simulate.running.interrupts import kept_interrupts

    with kept_interrupts():
        if listening:
            signal.signal(signal.SIGINT, handler)
        run()


def _end(number: int, frame: FrameType | None) -> None:
    """End at once: libraries that are being loaded do not survive an exception everywhere."""
    del number, frame
    os.write(2, b"interrupted: nothing had started\n")
    os._exit(130)


if __name__ == "__main__":
    main()
