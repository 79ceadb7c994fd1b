"""The command line as ``python -m dataselect``."""

from dataselect.command_line import main

main()
