"""Reproduce a figure into a directory: results first, then pictures from them."""

import json
import time
from concurrent.futures import Executor
from pathlib import Path

import matplotlib.pyplot as plt
import xarray as xr

from figures import describe
from paper_repro.reproduction import AnyReproduction
from paper_repro.results import describe_run, write_pictures, write_results
from simulate.experiment import Report
from simulate.files import read_dataset, write_json


def reproduce(
    reproduction: AnyReproduction,
    directory: Path,
    full: bool,
    seed: int = 0,
    executor: Executor | None = None,
    report: Report | None = None,
) -> tuple[xr.Dataset, list[Path]]:
    """Compute a figure, write its results and draw it; returns the results and the files.

    Finished tasks are kept in the directory: the same call again goes on where it was stopped.
    """
    began = time.perf_counter()
    results = reproduction.compute(full, seed, directory, executor, report)
    manifest = describe_run(
        seed, time.perf_counter() - began, {"figure": reproduction.name, "scale": results.scale}
    )
    files = write_results(
        directory, reproduction.name, results, reproduction.rows(results), manifest
    )
    return results, [*files, *draw(reproduction, directory, results)]


def load_results(reproduction: AnyReproduction, directory: Path) -> xr.Dataset:
    """Results as ``reproduce`` wrote them.

    Raises FileNotFoundError if it has not, and ValueError for another version's axes or quantities.
    """
    path = directory / f"{reproduction.name}.nc"
    if not path.exists():
        raise FileNotFoundError(
            f"{path} does not exist: run dataselect reproduce {reproduction.name} first"
        )
    results = read_dataset(path)
    differing = reproduction.differing(results)
    if differing:
        raise ValueError(
            f"{path} was written by another version (its {differing[0]}): run"
            f" dataselect reproduce {reproduction.name} again"
        )
    return results


def draw(reproduction: AnyReproduction, directory: Path, results: xr.Dataset) -> list[Path]:
    """Draw the figure's pictures from its results, as PNG and PDF; returns the files.

    The manifest names the pictures, in their order, and describes them.
    """
    pictures = reproduction.draw(results)
    words = {name: describe(picture) for name, picture in pictures.items()}
    try:
        files = write_pictures(directory, pictures)
    finally:
        for picture in pictures.values():
            plt.close(picture)
    path = directory / "manifest.json"
    shown = {"pictures": list(pictures), "descriptions": words}
    write_json(path, {**json.loads(path.read_text(encoding="utf-8")), **shown})
    return files
