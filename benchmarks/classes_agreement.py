"""Ten classes: predicted errors against real pools, fitted by scikit-learn.

    python benchmarks/classes_agreement.py [--labels N] [--components P] [--pools N] [--repeats R]

Fashion-MNIST, whitened principal components. A surrogate of 1,000 labels scores all else; --labels
points are the population that the theory sees; pools are drawn from what is left and tested on
20,000 others. For every N and scheme: real error with its standard error, prediction with its
sampling error, and processor seconds of theory and of the fits. Then the shares of points within .4
points + two sampling errors, of differences of schemes within .6 points, and of pairs, whose real
difference exceeds two standard errors, that are ranked right.
"""

import argparse
import itertools
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from simulate.pools import Whiten
from simulate.pools.tasks import FASHION_DIRECTORY, IDX_FILES, read_idx
from simulate.pools.uncertainty import multiclass_scores
from theory import PowerSelection, RandomSelection, TopSelection
from theory.population_classes import ClassPopulation

Array = NDArray[np.float64]

RIDGE, FRACTION, SURROGATE, TEST = 0.003, 0.3, 1000, 20_000
SCHEMES: dict[str, tuple[Any, str]] = {
    "random": (RandomSelection(FRACTION), "margin"),
    "power -1": (PowerSelection(-1.0, FRACTION), "margin"),
    "power 0.5": (PowerSelection(0.5, FRACTION), "margin"),
    "power 1": (PowerSelection(1.0, FRACTION), "margin"),
    "hardest": (TopSelection("hard", FRACTION), "margin"),
    "easiest": (TopSelection("easy", FRACTION), "margin"),
    "entropy": (PowerSelection(1.0, FRACTION), "entropy"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description="Ten classes against real pools.")
    parser.add_argument("--labels", type=int, default=10_000)
    parser.add_argument("--components", type=int, default=128)
    parser.add_argument("--pools", type=int, nargs="+", default=[1000, 5000, 20_000])
    parser.add_argument("--repeats", type=int, default=10)
    asked = parser.parse_args()
    files = [[read_idx(FASHION_DIRECTORY / name) for name in part] for part in IDX_FILES]
    pixels = np.concatenate([images.reshape(len(images), -1) for images, _ in files])
    labels = np.concatenate([given for _, given in files]).astype(np.intp)
    x = np.asarray(Whiten(asked.components).fit(pixels / 255.0)(pixels / 255.0))
    generator = np.random.default_rng(0)
    order = generator.permutation(len(labels))
    first, pilot, rest = np.split(order, [SURROGATE, SURROGATE + asked.labels])
    surrogate = LogisticRegression(C=1 / (0.01 * SURROGATE), max_iter=500)
    logits = surrogate.fit(x[first], labels[first]).decision_function(x)
    scores = {kind: multiclass_scores(logits, kind) for kind in ("margin", "entropy")}
    population = ClassPopulation(x[pilot], labels[pilot])
    points: dict[tuple[int, str], tuple[Array, Any]] = {}
    for name, (selection, kind) in SCHEMES.items():
        previous = None
        for size in asked.pools:
            begun = time.process_time()
            probability = selection.inclusion_probabilities(scores[kind][pilot])
            found = population.predict(probability, size, RIDGE, start=previous)
            theory, previous = time.process_time() - begun, found
            errors, begun = [], time.process_time()
            for _ in range(asked.repeats):
                rows = generator.permutation(rest)
                pool, test = rows[:size], rows[size : size + TEST]
                pi = selection.inclusion_probabilities(scores[kind][pool])
                kept = pool[generator.random(size) < pi]
                model = LogisticRegression(C=1 / (RIDGE * size), max_iter=500, tol=1e-3)
                errors.append(1 - model.fit(x[kept], labels[kept]).score(x[test], labels[test]))
            points[size, name] = np.array(errors), found
            spread = np.std(errors, ddof=1) / len(errors) ** 0.5
            print(
                f"N={size} {name}: real {np.mean(errors):.4f} ± {spread:.4f}, predicted"
                f" {found.misclassification:.4f} ± {found.misclassification_sampling_error:.4f},"
                f" halved {found.halved}, {found.points_per_dimension:.0f} a feature;"
                f" {found.steps} steps, {theory:.0f} s; fits {time.process_time() - begun:.0f} s",
                flush=True,
            )
    summary(points, asked.pools)


def summary(points: dict[tuple[int, str], tuple[Array, Any]], sizes: list[int]) -> None:
    near, differences, ranks = [], [], []
    for errors, found in points.values():
        allowed = 0.004 + 2 * found.misclassification_sampling_error
        near.append(abs(found.misclassification - errors.mean()) <= allowed)
    for size in sizes:
        for one, other in itertools.combinations(SCHEMES, 2):
            (a, p), (b, q) = points[size, one], points[size, other]
            real, predicted = a.mean() - b.mean(), p.misclassification - q.misclassification
            differences.append(abs(predicted - real) <= 0.006)
            if abs(real) > 2 * np.hypot(a.std(ddof=1), b.std(ddof=1)) / len(a) ** 0.5:
                ranks.append(predicted * real > 0)
    for name, held in (("points", near), ("differences", differences), ("ranks", ranks)):
        print(f"{name}: {sum(held)} of {len(held)} hold")


if __name__ == "__main__":
    main()
