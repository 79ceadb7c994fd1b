"""The command line, as ``python -m dataselect``: an interrupt while it loads is one line too."""

from dataselect.loading import loaded


def main() -> None:
    """Load the command line and run it."""
    with loaded():
        from dataselect.command_line import main as run
    run()


if __name__ == "__main__":
    main()
