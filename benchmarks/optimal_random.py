"""Optimal selections of random problems of every kind: gaps, and the paper's schemes beside them.

    python benchmarks/optimal_random.py [--count 200] [--seed 1] [--first 0] [--last COUNT]

Every problem is drawn from the validation's kinds of data, surrogate, loss and intercept, at a
fraction, ridge and N/p of its own. Prints a line for each: processor seconds, the optimum's error
minus that of the best scheme of the paper at the same fraction (never above 0), and the gap; then
how many there are of each outcome, and the seconds' quantiles by kind of loss.
"""

import argparse
import time
from collections import Counter, defaultdict

import numpy as np

from paper_repro import validation
from theory import ConvergenceError, Problem, RandomSelection, Status, optimal_selection
from theory.optimal import paper_schemes
from theory.prediction import predict_all

LARGEST_GAP = 1e-8


def problems(count: int, seed: int) -> list[Problem]:
    """Random problems; their selection gives the fraction only."""
    generator = np.random.default_rng(seed)
    drawn = []
    for problem in validation.problems(count, seed):
        changes = {
            "selection": RandomSelection(float(generator.uniform(0.05, 0.95).__round__(3))),
            "ridge": float(f"{10 ** generator.uniform(-3, 0):.2g}"),
            "samples_per_dimension": float(f"{10 ** generator.uniform(0, 1.7):.3g}"),
        }
        drawn.append(problem.replace(changes))
    return drawn


def outcome(problem: Problem) -> tuple[str, str]:
    """What became of a problem, and its numbers."""
    schemes = paper_schemes(problem.selection.fraction)  # type: ignore[attr-defined]
    others = predict_all(problem.replace({"selection": s}) for s in schemes)
    errors = [o.misclassification for o in others if o.status is Status.CONVERGED]
    try:
        best = optimal_selection(problem)
    except ConvergenceError as error:
        kind = "no solution" if not errors else "failed"
        return kind, f"{error.prediction.status.name}, {len(errors)} schemes solved"
    lead = best.prediction.misclassification - min(errors, default=np.inf)
    allowed = best.prediction.error_estimate + max(o.error_estimate for o in others)
    numbers = f"{lead:+.1e} {best.gap:.0e} {best.agreed} of {best.starts}, {best.failed} failed"
    if lead > allowed:
        return "worse", numbers
    return ("stationary" if best.gap <= LARGEST_GAP else "gap"), numbers


def main() -> None:
    parser = argparse.ArgumentParser(description="Optimal selections of random problems.")
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="number of the first to try")
    parser.add_argument("--last", type=int, help="number after the last to try")
    options = parser.parse_args()
    counts: Counter[str] = Counter()
    seconds: defaultdict[str, list[float]] = defaultdict(list)
    drawn = problems(options.count, options.seed)
    for k, problem in enumerate(drawn[options.first : options.last], options.first):
        began = time.process_time()
        kind, numbers = outcome(problem)
        took = time.process_time() - began
        counts[kind] += 1
        seconds[type(problem.loss).__name__].append(took)
        told = problem if kind in ("worse", "gap", "failed") else type(problem.loss).__name__
        print(f"{k:4d} {took:6.2f} s  {kind:<12} {numbers}  {told}", flush=True)
    print(", ".join(f"{count} {kind}" for kind, count in counts.most_common()))
    for loss, times in seconds.items():
        low, middle, high = np.quantile(times, (0.1, 0.5, 1.0))
        print(f"{loss:<18} {low:.2f} {middle:.2f} {high:.2f} s (10 %, median, largest)")


if __name__ == "__main__":
    main()
