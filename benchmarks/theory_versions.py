"""Points per second of two checkouts, alternating in one run: the median of later calls.

    git worktree add ../before e440c0f
    python benchmarks/theory_versions.py ../before

Each measurement is a process of its own that solves a kernel's grid four times; the first call,
which compiles, is left out. Ratios are of the medians of ROUNDS such processes.
"""

import os
import statistics
import subprocess
import sys
from pathlib import Path

ROUNDS = 3

HERE = Path(__file__).parent

MEASURE = """
import statistics, time
from theory_speed import KERNELS, predict_all
for name, points in KERNELS.items():
    times = []
    for _ in range(4):
        began = time.perf_counter()
        predict_all(points)
        times.append(time.perf_counter() - began)
    print(name, len(points) / statistics.median(times[1:]), sep=":", flush=True)
"""


def points_per_second(checkout: Path) -> dict[str, float]:
    """Of every kernel of this benchmark, with the theory of a checkout."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURE],
        cwd=HERE,
        env=os.environ | {"PYTHONPATH": str(checkout.resolve())},
        capture_output=True,
        text=True,
        check=True,
    )
    lines = (line.split(":") for line in done.stdout.splitlines())
    return {name: float(rate) for name, rate in lines}


def main(before: Path) -> None:
    now, then = [], []
    for _ in range(ROUNDS):
        then.append(points_per_second(before))
        now.append(points_per_second(HERE.parent))
    for name in now[0]:
        old, new = (statistics.median(rates[name] for rates in rounds) for rounds in (then, now))
        print(f"{name:24}  before {old:7.1f}/s   now {new:7.1f}/s   {new / old:5.2f} x")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
