"""More than two rounds: what they gain, and how far repeating the two-round theory is off.

    python benchmarks/rounds.py [--dimension P --repeats R]

Simulated on the same draws: two rounds, and three and five of which the later share the pool
equally. The theory is exact for two. "repeated": the theory of two rounds for each later one, the
labels bought before it as if they were one sample at random: so many that a fit to these errs as
the fit to those does, each with the weight that makes them as many as they are. "as if random": the
same for the last round with their true number, at weight 1.
"""

import argparse
import time

import numpy as np
from scipy.optimize import brentq

from simulate import simulate_rounds
from theory import (
    F1,
    F2,
    GaussianMixture,
    PowerSelection,
    Prediction,
    Problem,
    SingleIndex,
    TopSelection,
    TrainedSurrogate,
    predict,
)

SURROGATE = TrainedSurrogate(samples_per_dimension=1.0, ridge=0.05, reuse=1)
BASE = Problem(SingleIndex(F1, 5.0), TopSelection("hard", 0.2), 0.01, 10.0, SURROGATE)
CASES = {
    "f1, hardest": BASE,
    "f1, power 1": BASE.replace({"selection": PowerSelection(1.0, 0.2)}),
    "f1, hardest, pool 30 p": BASE.replace(
        {"samples_per_dimension": 30.0, "selection.fraction": 0.1}
    ),
    "f1, easiest": BASE.replace({"selection": TopSelection("easy", 0.2)}),
    "f2, hardest": BASE.replace({"data": SingleIndex(F2, 5.0)}),
    "mixture, hardest": BASE.replace({"data": GaussianMixture(1.0)}),
}
ROUNDS = (2, 3, 5)


def _labels(problem: Problem, scored: float) -> float:
    fraction = problem.selection.fraction  # type: ignore[attr-defined]
    return float(problem.surrogate.samples_per_dimension + fraction * scored)  # type: ignore[attr-defined]


def _at_random(problem: Problem, labels: float, ridge: float) -> Prediction:
    """A fit to so many labels at random, as the first stage of a problem."""
    changes = {"surrogate.samples_per_dimension": labels, "surrogate.ridge": ridge}
    first = predict(problem.replace(changes)).first_stage
    assert first is not None
    return first


def repeated(problem: Problem, rounds: int, matched: bool) -> float:
    """The error after the last round, of the two-round theory applied round after round."""
    part = problem.samples_per_dimension / (rounds - 1)
    first = problem.surrogate.samples_per_dimension  # type: ignore[attr-defined]
    error = predict(problem.replace({"samples_per_dimension": part})).misclassification
    for k in range(2, rounds):
        scored = part * (k - 1)
        bought = _labels(problem, scored)
        ridge = problem.ridge * (first + scored) / bought  # relative to labels, not to the pool

        def gap(log_m: float, error: float = error, ridge: float = ridge) -> float:
            return _at_random(problem, float(np.exp(log_m)), ridge).misclassification - error

        alike = float(np.exp(brentq(gap, np.log(bought / 5), np.log(bought * 5), xtol=1e-4)))
        number = alike if matched else bought
        # N of the last fit counts the pool scored before; the theory's counts ``number`` for it.
        true, counted = first + scored + part, number + part
        last = problem.replace(
            {
                "samples_per_dimension": part,
                "ridge": problem.ridge * true / counted,
                "surrogate.samples_per_dimension": number,
                "surrogate.ridge": ridge,
                "surrogate.reuse": bought / number,
            }
        )
        error = predict(last).misclassification
    return error


def main() -> None:
    parser = argparse.ArgumentParser(description="More than two rounds.")
    parser.add_argument("--dimension", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    print(f"p = {arguments.dimension}, {arguments.repeats} data sets; errors and gaps in points")
    for name, problem in CASES.items():
        began = time.process_time()
        two = None
        for rounds in ROUNDS:
            found = simulate_rounds(
                problem,
                [1 / (rounds - 1)] * (rounds - 1),
                arguments.dimension,
                arguments.repeats,
                arguments.seed,
            )
            last = 100 * found.misclassification.isel(round=-1).values
            two = last if two is None else two
            mean, error = last.mean(), last.std(ddof=1) / last.size**0.5
            gain, spread = (two - last).mean(), (two - last).std(ddof=1) / last.size**0.5
            theory = [100 * repeated(problem, rounds, matched) for matched in (True, False)]
            print(
                f"{name:24} {rounds} rounds: {mean:.2f} ({error:.2f}), gain on two {gain:+.2f}"
                f" ({spread:.2f});  repeated {theory[0]:.2f}, off {theory[0] - mean:+.2f};  as if"
                f" random {theory[1]:.2f}, off {theory[1] - mean:+.2f}",
                flush=True,
            )
        print(f"{time.process_time() - began:.0f} s of processor time")


if __name__ == "__main__":
    main()
