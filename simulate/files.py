"""Files are written whole or not at all; every run describes itself."""

import json
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import xarray as xr

RECORDED_PACKAGES = ("data-selection-theory", "numpy", "scipy", "jax", "jaxlib", "xarray")


def write_whole(path: Path, write: Callable[[Path], Any]) -> None:
    """Call ``write`` on a temporary file in the same directory, then rename it to ``path``.

    Whatever interrupts the writing, ``path`` holds its old content or the whole new one.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        write(temporary)
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a manifest, whole."""
    text = json.dumps(content, indent=2) + "\n"
    write_whole(path, lambda temporary: temporary.write_text(text))


def write_dataset(path: Path, dataset: xr.Dataset) -> None:
    """Write a labelled dataset as netCDF, whole."""
    write_whole(path, lambda temporary: dataset.to_netcdf(temporary, engine="h5netcdf"))


def describe_environment() -> dict[str, Any]:
    """Command, time, platform and versions, for a manifest."""
    return {
        "command": " ".join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "versions": {package: version(package) for package in RECORDED_PACKAGES},
    }
