"""Does the theory of real features meet real experiments? On Fashion-MNIST, 256 random features.

    python benchmarks/real_agreement.py DIRECTORY [--repeats 20] [--draws 1] [--workers 1]

Pools of 1,024, 4,096 and 16,384 shirts and other tops; eight schemes, two surrogates (4 % and 20 %
of the pool's size), a fifth, half and all of the labels; theory from 10,000 labels that no
experiment uses. Prints, for all pools and for each: the share of points at which theory is within
0.3 points and two of its sampling errors of the real mean, that of the pairs of schemes whose
difference it meets to 0.5 points, and that of the pairs, of those that differ by more than two
standard errors, which it ranks right. DIRECTORY keeps finished parts and the results, points.nc.
"""

import argparse
import time
from contextlib import nullcontext
from pathlib import Path

from rich.console import Console

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
    print("all", agreement(results))
    for samples in POOLS:
        print(f"N = {samples}", agreement(results.sel(pool_samples=[samples])))


if __name__ == "__main__":
    main()
