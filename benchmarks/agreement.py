"""Simulation against theory at growing dimension: do z-scores approach a standard normal?

    python benchmarks/agreement.py [--repeats-at-400 R]

For f1 and f2, ridge 0.01, exponents -1, 0, 1 and five fractions at N/p = 2.29, prints per dimension
and quantity the mean gap (simulation - theory), its share of the prediction, and the z-scores' mean
and root mean square when every data set counts once.
"""

import argparse
import math
import os

import numpy as np

from paper_repro.reproductions.settings import HIGH_DIMENSION, LABELS, full_sample
from simulate import estimate_all, process_pool
from theory import PowerSelection, predict_all
from theory.axes import grid, read_axes

AXES = {
    "selection.alpha": [-1.0, 0.0, 1.0],
    "selection.fraction": [0.1, 0.3, 0.5, 0.8, 0.95],
}
QUANTITIES = ("misclassification", "log_loss", "alpha_0", "alpha_perp")


def main() -> None:
    parser = argparse.ArgumentParser(description="Simulation against theory at growing dimension.")
    parser.add_argument("--repeats-at-400", type=int, default=80, help="data sets at p = 400")
    base = parser.parse_args().repeats_at_400
    selection = PowerSelection(0.0, 0.5)
    problems = [
        problem
        for labels in LABELS
        for problem in grid(
            full_sample(labels, HIGH_DIMENSION).replace({"selection": selection}), read_axes(AXES)
        )
    ]
    predictions = predict_all(problems)
    print("    p  sets quantity            mean gap  relative  mean z  rms z")
    with process_pool(os.cpu_count() or 1) as executor:
        for dimension, repeats in ((100, 4 * base), (400, base), (1600, max(base // 4, 2))):
            estimates = estimate_all(problems, dimension, repeats, executor=executor)
            for name in QUANTITIES:
                theory = np.array([getattr(p, name) for p in predictions])
                mean = np.array([getattr(e, name).mean for e in estimates])
                error = np.array([getattr(e, name).standard_error for e in estimates])
                gap = mean - theory
                z = gap / error
                print(
                    f"{dimension:5d} {repeats:5d} {name:<18} {gap.mean():10.5f}"
                    f" {np.mean(gap / theory):9.2%} {z.mean():7.2f} {math.sqrt(np.mean(z**2)):6.2f}"
                )


if __name__ == "__main__":
    main()
