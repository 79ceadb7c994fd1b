"""The command line, as ``python -m dataselect``: an interrupt while it loads is one line too."""

import sys


def main() -> None:
    """Load the command line and run it."""
    try:
        from dataselect.command_line import main as run
    except KeyboardInterrupt:
        print("interrupted: nothing had started", file=sys.stderr)
        sys.exit(130)
    run()


if __name__ == "__main__":
    main()
