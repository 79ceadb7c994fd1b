"""Packages that only some of the tools for real data need, and errors about data."""

from importlib import import_module
from typing import Any

INSTALL = "pip install 'data-selection-theory[data]'"


class PoolError(ValueError):
    """Data that cannot be used as they are; the message says what to do."""


class MissingPackageError(ImportError):
    """An optional package is not installed; the message holds the command that installs it."""


def require(module: str, purpose: str) -> Any:
    """Import an optional module.

    purpose: what needs it, for the message. Raises MissingPackageError where it is missing.

    >>> require("json", "this example").dumps([1])
    '[1]'
    """
    try:
        return import_module(module)
    except ImportError:
        package = {"sklearn": "scikit-learn"}.get(module.partition(".")[0], module)
        raise MissingPackageError(f"{purpose} needs {package}: {INSTALL}") from None
