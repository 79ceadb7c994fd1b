"""JAX, loaded when it is first needed: double precision, and a compilation cache on disk.

``jax`` and ``jnp`` stand for the modules: importing the theory does not wait for them.
"""

import os
from functools import lru_cache
from importlib import import_module
from typing import Any

from platformdirs import user_cache_path


class _Later:
    """A module that is imported, and set up, with its first attribute."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        _set_up()
        return getattr(import_module(self._name), attribute)


jax: Any = _Later("jax")
jnp: Any = _Later("jax.numpy")


@lru_cache(maxsize=1)
def _set_up() -> None:
    """Once: double precision, and the cache unless there is one."""
    settings = import_module("jax").config
    settings.update("jax_enable_x64", True)
    if settings.jax_compilation_cache_dir is None:
        _use_cache(settings)


class PrecisionError(RuntimeError):
    """JAX computes in single precision, in which nothing here can be solved."""


def require_double_precision() -> None:
    """Raise PrecisionError if JAX's double precision was switched off after it was set here."""
    if not jax.config.jax_enable_x64:
        raise PrecisionError(
            "JAX's double precision, which this toolkit sets when it loads JAX, was switched off:"
            ' call jax.config.update("jax_enable_x64", True)'
        )


def _use_cache(settings: Any) -> None:
    """Keep compiled functions on disk, if there is a home: else every process compiles anew."""
    try:
        cache = user_cache_path("data-selection-theory") / f"jax-{import_module('jax').__version__}"
        if not cache.is_absolute():  # "~": neither HOME nor an entry among the passwords
            return
        cache.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError, KeyError):
        return
    if os.access(cache, os.W_OK):
        settings.update("jax_compilation_cache_dir", str(cache))
