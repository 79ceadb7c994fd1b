"""JAX set-up: double precision, and a compilation cache so that a second start is quick."""

import os
from typing import Any

import jax
from platformdirs import user_cache_path

_settings: Any = jax.config
_settings.update("jax_enable_x64", True)


class PrecisionError(RuntimeError):
    """JAX computes in single precision, in which nothing here can be solved."""


def require_double_precision() -> None:
    """Raise PrecisionError if JAX's double precision was switched off after it was set here."""
    if not _settings.jax_enable_x64:
        raise PrecisionError(
            "JAX's double precision, which this toolkit sets when it is imported, was switched off:"
            ' call jax.config.update("jax_enable_x64", True)'
        )


def _use_cache() -> None:
    """Keep compiled functions on disk, if there is a home: else every process compiles anew."""
    try:
        cache = user_cache_path("data-selection-theory") / f"jax-{jax.__version__}"
        if not cache.is_absolute():  # "~": neither HOME nor an entry among the passwords
            return
        cache.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError, KeyError):
        return
    if os.access(cache, os.W_OK):
        _settings.update("jax_compilation_cache_dir", str(cache))


if _settings.jax_compilation_cache_dir is None:
    _use_cache()
