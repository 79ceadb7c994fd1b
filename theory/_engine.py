"""JAX set-up: double precision, and a compilation cache so that a second start is quick."""

import os
from typing import Any

import jax
from platformdirs import user_cache_path

_settings: Any = jax.config
_settings.update("jax_enable_x64", True)

if _settings.jax_compilation_cache_dir is None:
    cache = user_cache_path("data-selection-theory") / f"jax-{jax.__version__}"
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError:
        pass  # no writable home: compile anew in every process
    else:
        if os.access(cache, os.W_OK):
            _settings.update("jax_compilation_cache_dir", str(cache))
