"""Result files of a reproduction: written whole or not at all, with a manifest beside them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import xarray as xr
from matplotlib.figure import Figure

from figures.style import save_figure
from simulate.compare import mean_and_error
from simulate.files import describe_environment, write_dataset, write_json, write_whole
from theory.quantities import MEASURED


def write_results(
    directory: Path,
    name: str,
    results: xr.Dataset,
    table: pd.DataFrame,
    manifest: Mapping[str, Any],
) -> list[Path]:
    """Write NAME.nc, NAME.csv (the table) and manifest.json; returns their paths."""
    base = directory / name
    write_dataset(base.with_suffix(".nc"), results)
    csv = base.with_suffix(".csv")
    write_whole(csv, lambda path: table.to_csv(path, index=False, encoding="utf-8"))
    write_json(directory / "manifest.json", manifest)
    return [base.with_suffix(".nc"), csv, directory / "manifest.json"]


def write_pictures(directory: Path, pictures: Mapping[str, Figure]) -> list[Path]:
    """Write every picture as PNG and PDF; returns their paths."""
    return [
        path
        for name, picture in pictures.items()
        for path in save_figure(picture, directory / name)
    ]


def point_table(results: xr.Dataset) -> pd.DataFrame:
    """One row per point; simulated quantities as mean and standard error over data sets."""
    points = results.drop_dims("data_set", errors="ignore")
    if "simulation_converged" in results:
        for name in MEASURED:
            mean, error = mean_and_error(results, name)
            points[f"simulation_{name}"] = mean
            points[f"simulation_{name}_standard_error"] = error
    return points.to_dataframe().reset_index()


def describe_run(seed: int, wall_seconds: float, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The manifest: what ran, with which versions and seed, for how long."""
    return {
        "wall_seconds": round(wall_seconds, 1),
        "seed": seed,
        "settings": dict(settings),
        **describe_environment(),
    }
