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

LARGEST_INTEGER = 2**63 - 1
"""Of a netCDF attribute; larger ones, such as seeds, are written as text."""

RECORDED_PACKAGES = ("data-selection-theory", "numpy", "scipy", "jax", "jaxlib", "xarray")


class StoreError(OSError):
    """A file or store that cannot be used or written; the message says why and what to do."""


def write_whole(path: Path, write: Callable[[Path], Any]) -> None:
    """Call ``write`` on a temporary file in the same directory, then rename it to ``path``.

    Whatever interrupts the writing, ``path`` holds its old content or the whole new one. Raises
    StoreError if it cannot be written, on a full disk for instance.
    """
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(
            dir=path.parent, prefix=f".{path.stem}-", suffix=path.suffix
        )
        os.close(handle)
        temporary = Path(name)
        write(temporary)
        temporary.chmod(0o644)
        temporary.replace(path)
    except OSError as error:
        raise StoreError(
            f"{path} cannot be written ({error.strerror or error}); what was there before is kept:"
            " make room or choose another directory, then start the same command again"
        ) from None
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a manifest, whole."""
    text = json.dumps(content, indent=2) + "\n"
    write_whole(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def write_dataset(path: Path, dataset: xr.Dataset) -> None:
    """Write a labelled dataset as netCDF, whole."""
    attributes = {
        name: str(value) if isinstance(value, int) and value > LARGEST_INTEGER else value
        for name, value in dataset.attrs.items()
    }
    content = dataset.assign_attrs(attributes)
    packed = {
        name: {"compression": "gzip"}
        for name, variable in content.data_vars.items()
        if variable.dtype.kind == "f" and variable.ndim > 0
    }

    def write(temporary: Path) -> None:
        try:
            content.to_netcdf(temporary, engine="h5netcdf", encoding=packed)
        except RuntimeError as error:  # HDF5's own word for a failed write
            raise OSError(str(error)) from error

    write_whole(path, write)


def read_dataset(path: Path) -> xr.Dataset:
    """Read what ``write_dataset`` wrote; raises StoreError if there is no such file, or a bad one.

    >>> read_dataset(Path("nowhere.nc"))
    Traceback (most recent call last):
    ...
    simulate.files.StoreError: nowhere.nc does not exist: run what writes it first
    """
    if not path.exists():
        raise StoreError(f"{path} does not exist: run what writes it first")
    try:
        return xr.load_dataset(path, engine="h5netcdf")
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        why = str(error).partition("\n")[0]
        raise StoreError(
            f"{path} is damaged or not netCDF ({why}): remove it, then run what writes it again"
        ) from None


def describe_environment() -> dict[str, Any]:
    """Command, time, platform and versions, for a manifest."""
    return {
        "command": " ".join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "versions": {package: version(package) for package in RECORDED_PACKAGES},
    }
