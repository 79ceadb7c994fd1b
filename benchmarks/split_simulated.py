"""Best splits of a budget against simulation: gains over all labels at random, paired.

    python benchmarks/split_simulated.py [--dimension P --repeats R]

Every split is the best one of ``split_budget`` (share and ridge, and the ridge of all at random
too). Both are fitted on the same surrogate's samples and the same pool, data set by data set: a
second round at random is one round at random. "confirmed": the simulated gain is within two
standard errors of the predicted one, and above zero by two where that is larger than four.
"""

import argparse
import time

import numpy as np

from simulate import Plan, run
from simulate.task import COLUMNS
from theory import (
    F1,
    F2,
    BudgetSplit,
    GaussianMixture,
    LogisticLink,
    PowerSelection,
    Problem,
    RandomSelection,
    SingleIndex,
    TopSelection,
    TrainedSurrogate,
    split_budget,
)
from theory.kinds import DataModel, Selection

STEP, STEPS = SingleIndex(F1, 5.0), SingleIndex(F2, 5.0)
HARD, POWER = TopSelection("hard", 0.1), PowerSelection(1.0, 0.1)
CASES: list[tuple[str, DataModel, Selection, float, float, tuple[str, ...]]] = [
    ("f1, hardest", STEP, HARD, 3, 10, ("share", "ridge")),
    ("f1, hardest", STEP, HARD, 3, 30, ("share", "ridge")),
    ("f1, hardest", STEP, HARD, 8, 30, ("share", "ridge")),
    ("f1, power 1", STEP, POWER, 3, 10, ("share", "ridge")),
    ("f1, power 1", STEP, POWER, 8, 30, ("share", "ridge")),
    ("f2, hardest", STEPS, HARD, 8, 30, ("share", "ridge")),
    ("logistic link, hardest", SingleIndex(LogisticLink(), 3.0), HARD, 3, 10, ("share", "ridge")),
    ("mixture, hardest, ridge .01", GaussianMixture(1.0), HARD, 3, 10, ("share",)),
    ("mixture, hardest", GaussianMixture(1.0), HARD, 3, 10, ("share", "ridge")),
]


def at_random(split: BudgetSplit) -> Problem:
    """All labels at random, on the pool and the surrogate's samples of the split."""
    fraction = split.problem.selection.fraction  # type: ignore[attr-defined]
    ridge = split.random_problem.ridge
    return split.problem.replace({"selection": RandomSelection(fraction), "ridge": ridge})


def main() -> None:
    parser = argparse.ArgumentParser(description="Best splits against simulation.")
    parser.add_argument("--dimension", type=int, default=400)
    parser.add_argument("--repeats", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    print(f"p = {arguments.dimension}, {arguments.repeats} data sets; gains in points")
    for name, data, selection, labels, pool, over in CASES:
        began = time.process_time()
        surrogate = TrainedSurrogate(labels / 2, 0.05, reuse=1)
        split = split_budget(Problem(data, selection, 0.01, pool, surrogate), labels, pool, over)
        pair = (split.problem, at_random(split))
        plan = Plan(pair, (arguments.dimension,), arguments.repeats, arguments.seed)
        values = run(plan)[0][..., COLUMNS.index("misclassification")]
        gains = 100 * (values[1] - values[0])
        mean, error = float(gains.mean()), float(gains.std(ddof=1)) / gains.size**0.5
        predicted = 100 * split.gain
        z = (mean - predicted) / error
        confirmed = abs(z) <= 2 and (predicted <= 4 * error or mean > 2 * error)
        print(
            f"{name:28} L {labels:g} D {pool:g}: share {split.share:.2f}, error"
            f" {100 * split.prediction.misclassification:.2f} (simulated"
            f" {100 * np.mean(values[0]):.2f}), gain {predicted:+.3f}, simulated {mean:+.3f}"
            f" ({error:.3f}), z {z:+.1f}, confirmed {confirmed},"
            f" {time.process_time() - began:.0f} s",
            flush=True,
        )


if __name__ == "__main__":
    main()
