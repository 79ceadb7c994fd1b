"""Does the theory of real features meet real experiments? On Fashion-MNIST, 256 random features.

    python benchmarks/real_agreement.py DIRECTORY [--repeats 20] [--draws 1] [--workers 1]

Pools of 1,024, 4,096 and 16,384 shirts and other tops; eight schemes, two surrogates (4 % and 20 %
of the pool's size), a fifth, half and all of the labels; theory from 10,000 labels that no
experiment uses. Prints, for all pools and for each: the share of points at which theory is within
0.3 points and two of its sampling errors of the real mean, that of the pairs of schemes whose
difference it meets to 0.5 points, and that of the pairs, of those that differ by more than two
standard errors, which it ranks right. DIRECTORY keeps finished parts, the results (points.nc) and a
picture of them (points.png).
"""

import argparse
import time
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import xarray as xr
from rich.console import Console

from figures import POWER_STYLES, TOP_STYLES, add_legend, figure_style, panel_grid
from figures.panels import draw_points
from paper_repro.reproduction import Run
from paper_repro.reproductions.real_data import (
    ALPHAS,
    Scale,
    agreement,
    compute_task,
    power_label,
)
from paper_repro.reproductions.real_fashion import TASK
from simulate import process_pool
from simulate.files import write_dataset
from simulate.running.progress import ProgressReport

SCHEMES = (
    "random",
    *(power_label(alpha, reweight=False) for alpha in ALPHAS),
    *(power_label(alpha, reweight=True) for alpha in (0.5, 1.0)),
    "only hardest",
)
POOLS, FRACTIONS, PILOT = (1024, 4096, 16384), (0.2, 0.5, 1.0), 10_000


class Lines(ProgressReport):
    """A line for every finished part."""

    def predicting(self, done: int, total: int, what: str) -> None:
        print(f"{done} of {total} {what}, {time.process_time():.0f} s of processor", flush=True)


def draw(results: xr.Dataset, path: Path) -> None:
    """Theory against real means, with two standard errors of either."""
    styles = [POWER_STYLES[0.0], *(POWER_STYLES[alpha] for alpha in ALPHAS)]
    styles += [POWER_STYLES[alpha]._replace(hollow=True) for alpha in (0.5, 1.0)]
    labels = [style.label for style in styles[:5]]
    labels += [f"α = {alpha:g}, weight 1/π" for alpha in (0.5, 1.0)]
    styles.append(TOP_STYLES["hard"])
    labels.append(TOP_STYLES["hard"].label)
    real = 100 * results.misclassification
    error = real.std("data_set", ddof=1) / results.sizes["data_set"] ** 0.5
    sizes = results.pool_samples.values
    means = 100 * results.theory_misclassification, real.mean("data_set")
    ends = np.array([min(map(np.min, means)) - 0.5, max(map(np.max, means)) + 1])
    with figure_style():
        figure, axes = panel_grid(
            1,
            len(sizes),
            "Shirts against four other tops: theory from 10,000 other labels, and experiments\n"
            f"20 %, 50 % and 100 % kept; {results.sizes['data_set']} splits, ±2 s.e.; shade: two"
            " sampling errors of the labels",
            panel=(3.6, 3.3),
            share_y=True,
        )
        for axis, samples in zip(axes[0], sizes, strict=True):
            for scheme, style, label in zip(SCHEMES, styles, labels, strict=True):
                here = {"pool_samples": samples, "scheme": scheme}
                theory = 100 * results.theory_misclassification.sel(here).values.ravel()
                mean = real.mean("data_set").sel(here).values.ravel()
                spread = 2 * error.sel(here).values.ravel()
                draw_points(axis, theory, mean, spread, style, label)
            common = results.theory_misclassification_sampling_error.sel(pool_samples=samples)
            band = 200 * float(common.mean())
            axis.fill_between(ends, ends - band, ends + band, color="#eeeeee", zorder=0)
            axis.plot(ends, ends, color="#777777", linewidth=1)
            axis.set(title=f"N = {samples}", xlabel="theory (%)", xlim=ends, ylim=ends)
        axes[0, 0].set_ylabel("real test misclassification (%)")
        add_legend(figure, axes[0, 0])
        figure.savefig(path)


def main() -> None:
    parser = argparse.ArgumentParser(description="Theory against real experiments.")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--draws", type=int, default=1)
    parser.add_argument("--workers", type=int, default=1)
    given = parser.parse_args()
    pool = process_pool(given.workers) if given.workers > 1 else nullcontext()
    with pool as executor:
        run = Run(True, 0, given.directory, executor, Lines(Console()))
        scale = Scale(POOLS, FRACTIONS, given.repeats, PILOT, given.draws, SCHEMES)
        results = compute_task(TASK, run, scale)
    write_dataset(given.directory / "points.nc", results)
    draw(results, given.directory / "points.png")
    print("all", agreement(results))
    for samples in POOLS:
        print(f"N = {samples}", agreement(results.sel(pool_samples=[samples])))


if __name__ == "__main__":
    main()
