"""Confirm optimal selections by simulation, each beside the best power rule of its fraction.

    python benchmarks/optimal_simulated.py [--dimension 800] [--repeats 8] [--only NAME ...]

Both rules select from the same data sets, so that the difference of their test errors has a small
standard error. Prints, per problem, the gain that theory predicts, the measured one with its
standard error, and the deviation in standard errors: within two the optimum is confirmed; where the
predicted gain exceeds four of them, the measured one must be significantly positive.
"""

import argparse

import numpy as np

from simulate import Plan, run
from simulate.task import COLUMNS
from theory import (
    F1,
    F2,
    GaussianMixture,
    GivenSurrogate,
    Problem,
    RandomSelection,
    SingleIndex,
    SquaredLoss,
    TrainedSurrogate,
    optimal_selection,
    predict_all,
)
from theory.optimal import paper_schemes

MIXTURE = GaussianMixture(1.5, 0.3, 0.1)
F1_DATA, F2_DATA = SingleIndex(F1, 5.0), SingleIndex(F2, 5.0)
TRAINED = TrainedSurrogate(8.0, 0.01)

PROBLEMS = {
    "f1": Problem(F1_DATA, RandomSelection(0.4), 0.01, 6.0),
    "f1, all but a few": Problem(F1_DATA, RandomSelection(0.8), 0.01, 2.29),
    "f1, given": Problem(F1_DATA, RandomSelection(0.3), 0.01, 5.0, GivenSurrogate(2.75, 0.95)),
    "f1, trained": Problem(F1_DATA, RandomSelection(0.3), 0.01, 5.0, TRAINED),
    "f1, squared": Problem(F1_DATA, RandomSelection(0.4), 0.01, 4.0, loss=SquaredLoss()),
    "f2": Problem(F2_DATA, RandomSelection(0.4), 0.01, 6.0),
    "mixture": Problem(MIXTURE, RandomSelection(0.3), 0.05, 4.0),
    "mixture, intercept": Problem(MIXTURE, RandomSelection(0.3), 0.05, 4.0, fit_intercept=True),
    "mixture, intercept, trained": Problem(
        MIXTURE, RandomSelection(0.3), 0.05, 4.0, TRAINED, fit_intercept=True
    ),
    "mixture, squared, trained": Problem(
        MIXTURE, RandomSelection(0.4), 0.05, 4.0, TRAINED, SquaredLoss(), fit_intercept=True
    ),
}

POWERS = 5
"""The first of the paper's schemes are random and power selection."""

SEED = 7


def compare(name: str, problem: Problem, dimension: int, repeats: int) -> bool:
    """Print one line; returns whether theory and simulation agree."""
    best = optimal_selection(problem)
    assert isinstance(problem.selection, RandomSelection)
    schemes = paper_schemes(problem.selection.fraction)[:POWERS]
    powers = [problem.replace({"selection": scheme}) for scheme in schemes]
    errors = [p.misclassification for p in predict_all(powers)]
    rival = powers[int(np.nanargmin(errors))]
    predicted = float(np.nanmin(errors)) - best.prediction.misclassification
    measured = run(Plan((best.problem, rival), (dimension,), repeats, SEED))[0]
    error = measured[..., COLUMNS.index("misclassification")]
    gains = error[1] - error[0]
    gain, spread = gains.mean(), gains.std(ddof=1) / repeats**0.5
    z = (gain - predicted) / spread
    due = predicted > 4 * spread
    agrees = abs(z) <= 2 and (not due or gain > 2 * spread)
    print(
        f"{name:<28} {100 * predicted:7.3f} {100 * gain:7.3f} ± {100 * spread:.3f} {z:+6.2f}"
        f"  {'agrees' if agrees else 'DIFFERS'}{', significant' if gain > 2 * spread else ''}",
        flush=True,
    )
    return bool(agrees)


def main() -> None:
    parser = argparse.ArgumentParser(description="Optimal selections, simulated.")
    parser.add_argument("--dimension", type=int, default=800)
    parser.add_argument("--repeats", type=int, default=8)
    parser.add_argument("--only", nargs="*", default=list(PROBLEMS), choices=list(PROBLEMS))
    options = parser.parse_args()
    print(f"{'problem':<28} {'theory':>7} {'measured gain (points)':>18} {'z':>6}")
    agreed = [compare(n, PROBLEMS[n], options.dimension, options.repeats) for n in options.only]
    print(f"{sum(agreed)} of {len(agreed)} agree")


if __name__ == "__main__":
    main()
