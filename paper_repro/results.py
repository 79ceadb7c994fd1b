"""Result files of a reproduction: written whole or not at all, with a manifest beside them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import xarray as xr
from matplotlib.figure import Figure

from figures.style import save_figure
from simulate.files import describe_environment, write_dataset, write_json, write_whole


def write_results(
    directory: Path, name: str, results: xr.Dataset, figure: Figure, manifest: Mapping[str, Any]
) -> list[Path]:
    """Write NAME.nc, NAME.csv, NAME.png, NAME.pdf and, last, manifest.json; returns their paths."""
    table = results.to_dataframe().reset_index()
    base = directory / name
    write_dataset(base.with_suffix(".nc"), results)
    write_whole(base.with_suffix(".csv"), lambda path: table.to_csv(path, index=False))
    pictures = save_figure(figure, base)
    write_json(directory / "manifest.json", manifest)
    return [
        base.with_suffix(".nc"),
        base.with_suffix(".csv"),
        *pictures,
        directory / "manifest.json",
    ]


def describe_run(seed: int, wall_seconds: float, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The manifest: what ran, with which versions and seed, for how long."""
    return {
        "wall_seconds": round(wall_seconds, 1),
        "seed": seed,
        "settings": dict(settings),
        **describe_environment(),
    }
