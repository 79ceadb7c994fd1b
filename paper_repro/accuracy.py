"""Predictions against themselves at four times the nodes, on random problems of every kind."""

import math
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from theory import (
    F1,
    F2,
    BandSelection,
    GaussianClusters,
    GaussianMixture,
    GivenSurrogate,
    HingeLoss,
    LogisticLink,
    LogisticLoss,
    Loss,
    PerfectSurrogate,
    PowerSelection,
    Prediction,
    ProbitLink,
    Problem,
    Quadrature,
    RandomSelection,
    SingleIndex,
    SmoothedHingeLoss,
    SquaredLoss,
    Status,
    TabulatedSelection,
    TopSelection,
    TrainedSurrogate,
    predict_all,
)

NAME = "accuracy"

EXPLAINED = (
    Status.CONVERGED,
    Status.NO_FINITE_SOLUTION,
    Status.NO_SURROGATE,
    Status.ONE_CLASS,
    Status.CONSTANT_CLASSIFIER,
    Status.FLAT_INTERCEPT,
    Status.EMPTY_SELECTION,
)
"""Ends that answer the problem: a solution, or that there is none and why."""

FINER = 4
"""How many times more nodes the reference has in every integral."""

CHUNK = 64


def random_problems(count: int, seed: int) -> list[Problem]:
    """Problems over every kind and the ranges that the theory promises to cover.

    N/p in [0.2, 500], ridge in [1e-6, 10], exponents in [-3, 3] and +-1000, fractions in [0.01, 1],
    signal norms in [0.1, 100], clips 10, 2 and none, centres within +-7, beta within [0.1, 20].
    """
    generator = np.random.default_rng(seed)
    return [_random_problem(generator) for _ in range(count)]


def _random_problem(generator: np.random.Generator) -> Problem:
    def between(low: float, high: float) -> float:
        """A number in [low, high], its logarithm uniform."""
        return float(np.exp(generator.uniform(math.log(low), math.log(high))))

    def index() -> SingleIndex:
        links = (F1, F2, LogisticLink(float(generator.uniform(-1, 1))), ProbitLink())
        return SingleIndex(links[generator.integers(4)], between(0.1, 100))

    def mixture() -> GaussianMixture:
        share, noise = generator.uniform(0.05, 0.95), generator.choice([0.0, 0.1])
        return GaussianMixture(between(0.2, 7), float(share), float(noise))

    def clusters() -> GaussianClusters:
        k = int(generator.integers(2, 4))
        weights = generator.dirichlet(np.full(k, 3.0))
        centres, shares = generator.uniform(-7, 7, k), generator.uniform(0, 1, k)
        return GaussianClusters(tuple(centres), tuple(weights / weights.sum()), tuple(shares))

    fraction = between(0.01, 1)
    reweight = bool(generator.integers(2))
    alpha = float(
        generator.choice([generator.uniform(-3, 3), 1000.0, -1000.0], p=[0.9, 0.05, 0.05])
    )
    clip = float(generator.choice([10.0, 2.0, math.inf]))
    lower = between(0.05, 2)
    nodes = np.sort(generator.uniform(-4, 4, 4))
    selections = (
        RandomSelection(fraction, reweight),
        PowerSelection(alpha, fraction, reweight, clip),
        PowerSelection(alpha, fraction, reweight, clip),
        TopSelection(str(generator.choice(["hard", "easy"])), fraction),
        BandSelection(lower, float(generator.choice([3 * lower, math.inf]))),
        TabulatedSelection(tuple(nodes), tuple(generator.uniform(0.05, 1, 4)), reweight),
    )
    losses: tuple[Loss, ...] = (
        LogisticLoss(),
        LogisticLoss(),
        SquaredLoss(),
        HingeLoss(),
        SmoothedHingeLoss(float(generator.choice([0.01, 0.5]))),
    )
    data = (index, index, mixture, clusters)[generator.integers(4)]()
    surrogates = (
        PerfectSurrogate() if data.true_score is not None else GivenSurrogate(1.0),
        GivenSurrogate(between(0.1, 20), between(0.1, 20), float(generator.uniform(-1, 1))),
        TrainedSurrogate(between(0.5, 30), between(1e-3, 1), bool(generator.integers(2))),
    )
    return Problem(
        data=data,
        selection=selections[generator.integers(len(selections))],
        surrogate=surrogates[generator.integers(len(surrogates))],
        loss=losses[generator.integers(len(losses))],
        ridge=between(1e-6, 10),
        samples_per_dimension=between(0.2, 500),
        fit_intercept=bool(generator.integers(2)),
    )


def check_accuracy(
    problems: Sequence[Problem], progress: Callable[[int, int], None] | None = None
) -> pd.DataFrame:
    """Every problem with its status, error estimate, and error against FINER times the nodes.

    progress: called with the problems done and their number.
    """
    rows = []
    for first in range(0, len(problems), CHUNK):
        chunk = problems[first : first + CHUNK]
        pairs = zip(
            predict_all(chunk), predict_all(chunk, Quadrature().refined(FINER)), strict=True
        )
        for problem, pair in zip(chunk, pairs, strict=True):
            rows.append(_row(problem, *pair))
            if progress is not None:
                progress(len(rows), len(problems))
    return pd.DataFrame(rows)


def _row(problem: Problem, default: Prediction, finer: Prediction) -> dict[str, object]:
    return {
        "problem": repr(problem),
        "status": default.status.name,
        "explained": default.status in EXPLAINED,
        "misclassification": default.misclassification,
        "error_estimate": default.error_estimate,
        "error": abs(default.misclassification - finer.misclassification),
        "log_loss_error_estimate": default.log_loss_error_estimate,
        "log_loss_error": abs(default.log_loss - finer.log_loss),
    }


def summary(table: pd.DataFrame) -> dict[str, float]:
    """Shares and quantiles of an accuracy table.

    explained: share that converged or truly has no solution. honest: share of the solved whose
    error is at most its estimate. median ratio: of estimate to error, errors below rounding counted
    as 2e-16. largest estimate, largest error: of the misclassification.
    """
    both = table[(table.status == "CONVERGED") & table.error.notna()]
    ratio = both.error_estimate / both.error.clip(lower=2e-16)
    return {
        "problems": len(table),
        "explained": float(table.explained.mean()),
        "compared": len(both),
        "honest": float((both.error <= both.error_estimate).mean()),
        "honest log loss": float((both.log_loss_error <= both.log_loss_error_estimate).mean()),
        "median ratio": float(ratio.median()),
        "largest estimate": float(both.error_estimate.max()),
        "largest error": float(both.error.max()),
        "above 1e-8": int((both.error_estimate > 1e-8).sum()),
        **{f"status {name}": count for name, count in Counter(table.status).items()},
    }
