"""Time the 330 points of figure 2: the first call of a fresh process apart from later ones.

    python benchmarks/theory_speed.py

A fresh process is measured twice, with and without the compilation cache on disk.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from paper_repro import figure_2
from theory import Problem, predict_all

FRESH = """
import time
began = time.perf_counter()
from theory_speed import predict_all, problems
predict_all(problems())
print(time.perf_counter() - began)
"""


def problems() -> list[Problem]:
    """The 330 points of figure 2."""
    return figure_2.FIGURE.problems


def fresh_process(cache: str) -> float:
    """Seconds from the start of the imports to the last of the 330 points."""
    environment = os.environ | {"JAX_COMPILATION_CACHE_DIR": cache}
    done = subprocess.run(
        [sys.executable, "-c", FRESH],
        cwd=Path(__file__).parent,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout)


def main() -> None:
    with tempfile.TemporaryDirectory() as cache:
        print(f"fresh process, nothing compiled:    {fresh_process(cache):6.2f} s")
        print(f"fresh process, compiled before:     {fresh_process(cache):6.2f} s")
    points = problems()
    times = []
    for _ in range(6):
        began = time.perf_counter()
        predictions = predict_all(points)
        times.append(time.perf_counter() - began)
    later = statistics.median(times[1:])
    print(f"this process, first call:           {times[0]:6.2f} s")
    print(
        f"this process, median of later five: {later:6.2f} s  ({len(points) / later:.0f} points/s)"
    )
    print(f"largest residual: {max(p.residual for p in predictions):.1e}")


if __name__ == "__main__":
    main()
