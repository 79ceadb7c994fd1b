"""Time the theory: the first call of a fresh process apart from later ones, for each kernel.

    python benchmarks/theory_speed.py

A fresh process is measured twice, with and without the compilation cache on disk. Then come the
median of later calls, points per second, the largest residual, the change of misclassification
when every quadrature's nodes are doubled, and the peak memory. Reweighted selection is timed on a
part of its grid.
"""

import itertools
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from theory import (
    F1,
    F2,
    GivenSurrogate,
    PowerSelection,
    Problem,
    Quadrature,
    SingleIndex,
    Status,
    predict_all,
)

FRESH = """
import time
began = time.perf_counter()
from theory_speed import KERNELS, predict_all
predict_all(KERNELS[{kernel!r}])
print(time.perf_counter() - began)
"""

AXES: dict[str, tuple[Any, ...]] = {
    "ridge": (0.1, 0.01, 0.001),
    "selection.alpha": (-1.0, -0.5, 0.0, 0.5, 1.0),
    "selection.fraction": (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0),
}

FIGURE_2 = Problem(
    data=SingleIndex(F1, signal_norm=5.0),
    selection=PowerSelection(alpha=0.0, fraction=1.0),
    ridge=0.01,
    samples_per_dimension=6870 / 3000,
)

FIGURE_7 = FIGURE_2.replace(
    {"surrogate": GivenSurrogate(2.75, 0.95), "samples_per_dimension": 34345 / 932}
)


def grid(problem: Problem, axes: dict[str, tuple[Any, ...]]) -> list[Problem]:
    """Every combination of the axes' values."""
    steps = itertools.product(*axes.values())
    return [problem.replace(dict(zip(axes, step, strict=True))) for step in steps]


KERNELS = {
    "perfect (figure 2)": grid(FIGURE_2, {"data.link": (F1, F2), **AXES}),
    "imperfect (figure 7)": grid(FIGURE_7, AXES),
    "imperfect, reweighted": grid(FIGURE_7.replace({"selection.reweight": True}), AXES)[::2],
}


def fresh_process(kernel: str, cache: str) -> float:
    """Seconds from the start of the imports to the last point."""
    done = subprocess.run(
        [sys.executable, "-c", FRESH.format(kernel=kernel)],
        cwd=Path(__file__).parent,
        env=os.environ | {"JAX_COMPILATION_CACHE_DIR": cache},
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout)


def main() -> None:
    for kernel, points in KERNELS.items():
        print(f"{kernel}: {len(points)} points")
        with tempfile.TemporaryDirectory() as cache:
            print(f"  fresh process, nothing compiled  {fresh_process(kernel, cache):8.2f} s")
            print(f"  fresh process, compiled before   {fresh_process(kernel, cache):8.2f} s")
        times = []
        for _ in range(4):
            began = time.perf_counter()
            predictions = predict_all(points)
            times.append(time.perf_counter() - began)
        later = statistics.median(times[1:])
        print(f"  first call in this process       {times[0]:8.2f} s")
        print(f"  median of later calls            {later:8.2f} s, {len(points) / later:.0f}/s")
        failed = sum(p.status is not Status.CONVERGED for p in predictions)
        print(f"  not converged                    {failed:8d}")
        print(f"  largest residual                 {max(p.residual for p in predictions):8.1e}")
        doubled = predict_all(points, Quadrature().refined(2))
        pairs = zip(predictions, doubled, strict=True)
        moved = max(abs(a.misclassification - b.misclassification) for a, b in pairs)
        print(f"  moved by doubled nodes           {moved:8.1e}")
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(f"  peak memory so far               {memory:8.2f} GB", flush=True)


if __name__ == "__main__":
    main()
