"""Time optimal selections and gradients: warm, in processor seconds of one core.

    python benchmarks/optimal.py

Prints, per problem, the optimum's seconds (median of ROUNDS after a first call), its error beside
the best scheme of the paper and the gap; then the seconds of a gradient in all real fields beside
that of one prediction.
"""

import statistics
import time
from collections.abc import Callable

import numpy as np

from theory import (
    F1,
    F2,
    GaussianMixture,
    GivenSurrogate,
    Problem,
    RandomSelection,
    SingleIndex,
    TrainedSurrogate,
    gradient,
    optimal_selection,
    predict,
    predict_all,
)
from theory.optimal import paper_schemes

ROUNDS = 3

F1_DATA, MIXTURE = SingleIndex(F1, 5.0), GaussianMixture(1.5, 0.3, 0.1)
TRAINED = TrainedSurrogate(8.0, 0.01)

PROBLEMS = {
    "f1, N/p 2.29, .8, perfect": Problem(F1_DATA, RandomSelection(0.8), 0.01, 2.29),
    "f1, N/p 2.29, .5, perfect": Problem(F1_DATA, RandomSelection(0.5), 0.01, 2.29),
    "f1, N/p 36.85, .1, perfect": Problem(F1_DATA, RandomSelection(0.1), 0.01, 36.85),
    "f1, N/p 36.85, .5, perfect": Problem(F1_DATA, RandomSelection(0.5), 0.01, 36.85),
    "f2, N/p 5, .3, perfect": Problem(SingleIndex(F2, 5.0), RandomSelection(0.3), 0.01, 5.0),
    "f1, N/p 5, .3, given": Problem(
        F1_DATA, RandomSelection(0.3), 0.01, 5.0, GivenSurrogate(2.75, 0.95)
    ),
    "f1, N/p 5, .3, trained": Problem(F1_DATA, RandomSelection(0.3), 0.01, 5.0, TRAINED),
    "mixture, intercept, perfect": Problem(
        MIXTURE, RandomSelection(0.3), 0.05, 4.0, fit_intercept=True
    ),
    "mixture, intercept, trained": Problem(
        MIXTURE, RandomSelection(0.3), 0.05, 4.0, TRAINED, fit_intercept=True
    ),
}

FIELDS = ("ridge", "samples_per_dimension", "selection.fraction")


def seconds(work: Callable[[], object]) -> float:
    work()
    times = []
    for _ in range(ROUNDS):
        began = time.process_time()
        work()
        times.append(time.process_time() - began)
    return statistics.median(times)


def main() -> None:
    print(f"{'problem':<30} {'seconds':>8} {'optimum':>9} {'schemes':>9} {'gap':>8}  starts agreed")
    for name, problem in PROBLEMS.items():
        took = seconds(lambda problem=problem: optimal_selection(problem))  # type: ignore[misc]
        best = optimal_selection(problem)
        schemes = paper_schemes(best.prediction.fraction)
        others = predict_all(problem.replace({"selection": s}) for s in schemes)
        least = np.nanmin([other.misclassification for other in others])
        error = best.prediction.misclassification
        agreed = f"{best.agreed} of {best.starts}"
        print(f"{name:<30} {took:8.2f} {error:9.5f} {least:9.5f} {best.gap:8.0e}  {agreed}")
    for name, problem in list(PROBLEMS.items())[::3]:
        whole = seconds(lambda problem=problem: gradient(problem, FIELDS))  # type: ignore[misc]
        one = seconds(lambda problem=problem: predict(problem))  # type: ignore[misc]
        print(f"{name:<30} gradient in {len(FIELDS)} fields {whole:.3f} s, prediction {one:.3f} s")


if __name__ == "__main__":
    main()
