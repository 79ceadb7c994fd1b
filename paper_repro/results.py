"""Result files of a reproduction: written whole or not at all, with a manifest beside them."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import xarray as xr
from matplotlib.figure import Figure

from figures.style import figure_style
from simulate.files import describe_environment, write_whole


def write_results(
    directory: Path, name: str, results: xr.Dataset, figure: Figure, manifest: Mapping[str, Any]
) -> list[Path]:
    """Write NAME.nc, NAME.csv, NAME.png, NAME.pdf and, last, manifest.json; returns their paths."""
    table = results.to_dataframe().reset_index()
    writers: dict[str, Callable[[Path], Any]] = {
        f"{name}.nc": lambda path: results.to_netcdf(path, engine="h5netcdf"),
        f"{name}.csv": lambda path: table.to_csv(path, index=False),
        f"{name}.png": figure.savefig,
        f"{name}.pdf": figure.savefig,
        "manifest.json": lambda path: path.write_text(json.dumps(manifest, indent=2) + "\n"),
    }
    with figure_style():
        for file_name, write in writers.items():
            write_whole(directory / file_name, write)
    return [directory / file_name for file_name in writers]


def describe_run(seed: int, wall_seconds: float, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The manifest: what ran, with which versions and seed, for how long."""
    return {
        "wall_seconds": round(wall_seconds, 1),
        "seed": seed,
        "settings": dict(settings),
        **describe_environment(),
    }
