"""Problems of two rounds: speed, agreement with simulation, and a fuzz of errors and statuses.

    python benchmarks/two_rounds.py speed
    python benchmarks/two_rounds.py agreement [--dimension P --repeats R]
    python benchmarks/two_rounds.py fuzz [--problems N]

speed: points per second of processor time on one core, with the surrogate's samples fitted again
and without, and the time of a best split. agreement: z-scores of settings over every kind, with
the norms of p - 1 and p - 2 coordinates that a simulation has scaled to the limit's. fuzz: shares
that are solved or truly have no solution, and of honest error estimates.
"""

import argparse
import math
import time

import numpy as np

from paper_repro.accuracy import check_accuracy, random_problems, summary
from simulate import compare, estimate_all
from theory import (
    F1,
    F2,
    BandSelection,
    GaussianClusters,
    GaussianMixture,
    LogisticLink,
    LogisticLoss,
    Loss,
    PowerSelection,
    Prediction,
    ProbitLink,
    Problem,
    RandomSelection,
    SingleIndex,
    SmoothedHingeLoss,
    SquaredLoss,
    Status,
    TopSelection,
    TrainedSurrogate,
    predict_all,
    split_budget,
)
from theory.kinds import DataModel, Selection
from theory.prediction import CHUNK

STEP, STEPS = SingleIndex(F1, 5.0), SingleIndex(F2, 5.0)
CLUSTERS = GaussianClusters((-2.0, 0.5, 3.0), (0.3, 0.4, 0.3), (0.0, 0.7, 1.0), 0.05)
HARD, EASY = TopSelection("hard", 0.25), TopSelection("easy", 0.25)
POWER = PowerSelection(1.0, 0.3)


def setting(
    data: DataModel,
    selection: Selection,
    weight: float = 1.0,
    final: Loss | None = None,
    first: Loss | None = None,
    intercept: bool = False,
    bought: float = 1.5,
    trained_on: DataModel | None = None,
) -> Problem:
    """A pool of 5 samples per dimension beside the surrogate's."""
    own = TrainedSurrogate(bought, 0.05, intercept, trained_on, first or LogisticLoss(), weight)
    return Problem(data, selection, 0.02, 5.0, own, final or LogisticLoss(), intercept)


SQUARED, HINGE = SquaredLoss(), SmoothedHingeLoss(0.5)
SETTINGS = [
    setting(STEP, HARD),
    setting(STEP, HARD, 3.0),
    setting(STEP, EASY, 2.0),
    setting(STEP, POWER, 0.5),
    setting(STEP, PowerSelection(-1.0, 0.3), 3.0),
    setting(STEP, PowerSelection(0.5, 0.3, reweight=True), 2.0),
    setting(STEP, RandomSelection(0.3), 3.0),
    setting(STEP, BandSelection(0.3, 1.2), 2.0),
    setting(STEPS, HARD, 2.0),
    setting(STEPS, POWER),
    setting(SingleIndex(LogisticLink(0.5), 2.0), HARD, 2.0, intercept=True),
    setting(SingleIndex(ProbitLink(), 2.0), EASY, 0.3),
    setting(GaussianMixture(1.0), PowerSelection(-1.0, 0.3), 2.0),
    setting(GaussianMixture(1.0, 0.3), HARD, 3.0, intercept=True),
    setting(GaussianMixture(1.5, 0.4, 0.1), EASY, intercept=True),
    setting(CLUSTERS, HARD, 2.0, intercept=True),
    setting(CLUSTERS, POWER, 0.5, intercept=True),
    setting(STEP, HARD, 2.0, SQUARED),
    setting(STEP, POWER, 2.0, SQUARED, SQUARED),
    setting(STEP, HARD, 2.0, LogisticLoss(), SQUARED),
    setting(STEP, EASY, 2.0, HINGE),
    setting(STEP, HARD, 2.0, HINGE, HINGE),
    setting(STEP, HARD, 2.0, LogisticLoss(), HINGE),
    setting(GaussianMixture(1.0), PowerSelection(-0.5, 0.3, True), 2.0, SQUARED, SQUARED),
    setting(STEP, HARD, 2.0, trained_on=STEPS, bought=3.0),
    setting(STEP, HARD, 2.0, trained_on=GaussianMixture(1.0), bought=2.0),
]


def at_finite_size(prediction: Prediction, dimension: int) -> dict[str, float]:
    """Norms of p - 1 and p - 2 coordinates, as far as sizes of order 1/p are known."""
    return {
        "beta_s": prediction.beta_s * math.sqrt((dimension - 1) / dimension),
        "alpha_perp": prediction.alpha_perp * math.sqrt((dimension - 2) / dimension),
    }


def agreement(dimension: int, repeats: int) -> None:
    predictions = predict_all(SETTINGS)
    names = ("misclassification", "log_loss", "alpha_0", "alpha_s", "alpha_perp", "beta_s")
    print(f"p = {dimension}, {repeats} data sets\n" + "  ".join(names))
    scores = []
    for seed, (problem, prediction) in enumerate(zip(SETTINGS, predictions, strict=True)):
        (found,) = estimate_all([problem], dimension, repeats, seed=seed)
        agreed = compare(prediction, found)
        row = []
        for name in names:
            mean = getattr(found, name)
            moved = at_finite_size(prediction, dimension).get(name, agreed[name].predicted)
            row.append((mean.mean - moved) / mean.standard_error)
        scores.append(row)
        error = found.misclassification
        print(
            "  ".join(f"{z:5.1f}" for z in row),
            f" {prediction.misclassification:.4f} {error.mean:.4f}({error.standard_error:.4f})",
            problem,
            flush=True,
        )
    z = np.array(scores)
    print(
        "root mean square:", dict(zip(names, np.sqrt(np.mean(z**2, axis=0)).round(2), strict=True))
    )
    print("beyond 3:", dict(zip(names, (np.abs(z) > 3).sum(axis=0).tolist(), strict=True)))


def random_two_rounds(count: int, seed: int) -> list[Problem]:
    """Problems of every kind, each with a surrogate whose samples are fitted again."""
    generator = np.random.default_rng([seed, 18])

    def between(low: float, high: float) -> float:
        return float(np.exp(generator.uniform(math.log(low), math.log(high))))

    losses: tuple[Loss, ...] = (LogisticLoss(), LogisticLoss(), SQUARED, HINGE)
    found = []
    for problem in random_problems(count, seed):
        surrogate = TrainedSurrogate(
            between(0.2, 30),
            between(1e-3, 1),
            bool(generator.integers(2)),
            loss=losses[generator.integers(4)],
            reuse=between(0.1, 10),
        )
        found.append(problem.replace({"surrogate": surrogate}))
    return found


def fuzz(count: int, seed: int) -> None:
    began = time.process_time()
    table = check_accuracy(random_two_rounds(count, seed))
    print(table.status.value_counts().to_string())
    for name, value in summary(table).items():
        print(f"{name:18} {value:.4g}")
    print(f"{time.process_time() - began:.0f} s of processor time")
    solved = table[table.status == Status.CONVERGED.name]
    worse = solved[~(solved.error <= solved.error_estimate)]
    for row in [*table[~table.explained].itertuples(), *worse.itertuples()]:
        print(row.status, row.error, row.error_estimate, row.problem)


def speed() -> None:
    fractions, ridges = np.linspace(0.1, 1, CHUNK // 4), (0.1, 0.03, 0.01, 0.003)
    for label, selection in {"power 1": POWER, "hardest": HARD, "reweighted": POWER}.items():
        base = setting(STEP, selection).replace({"samples_per_dimension": 8.0})
        if label == "reweighted":
            base = base.replace({"selection.reweight": True})
        points = [
            base.replace({"ridge": ridge, "selection.fraction": float(fraction)})
            for ridge in ridges
            for fraction in fractions
        ]
        for weight in (1.0, 2.0, 0.0):
            problems = [point.replace({"surrogate.reuse": weight}) for point in points][:-1]
            predict_all(problems[::8])
            began = time.process_time()
            predict_all(problems)  # one short of what is worth worker processes
            rate = len(problems) / (time.process_time() - began)
            print(f"{label:12} reuse {weight:g}: {rate:4.0f} points/s on one core", flush=True)
    for repeat in ("first", "second"):
        began = time.process_time()
        split = split_budget(setting(STEP, HARD), 3.0 + (repeat == "second"), 10.0)
        print(f"{repeat} split: {time.process_time() - began:.2f} s: {split.words}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Problems of two rounds.")
    parser.add_argument("what", choices=("speed", "agreement", "fuzz"))
    parser.add_argument("--dimension", type=int, default=400)
    parser.add_argument("--repeats", type=int, default=60)
    parser.add_argument("--problems", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.what == "speed":
        speed()
    elif arguments.what == "agreement":
        agreement(arguments.dimension, arguments.repeats)
    else:
        fuzz(arguments.problems, arguments.seed)


if __name__ == "__main__":
    main()
