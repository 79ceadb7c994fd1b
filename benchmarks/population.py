"""Time predictions for real features, and a curve of them.

    python benchmarks/population.py [--large]

For n labelled points in p dimensions: seconds (wall, and of all processors), steps and the peak of
memory of one prediction alone, with and without halving; then of a curve of 40 settings, and of two
rounds (n = 8,000, p = 128, a surrogate of 512, a pool of 2,048, w = 1). The first prediction, which
compiles, is not counted. --large adds p = 1024.
"""

import argparse
import resource
import time
from collections.abc import Callable
from functools import partial
from typing import TypeVar

import numpy as np

from theory import PowerSelection, TopSelection
from theory.population import Population
from theory.population_curves import learning_curves, standard_schemes
from theory.population_two_rounds import PopulationSurrogate

T = TypeVar("T")


def timed(work: Callable[[], T]) -> tuple[str, T]:
    wall, processor = time.perf_counter(), time.process_time()
    result = work()
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return f"{wall:6.2f} s wall, {processor:6.2f} s processor, peak {peak:.2f} GiB", result


def main() -> None:
    parser = argparse.ArgumentParser(description="Time predictions for real features.")
    parser.add_argument("--large", action="store_true")
    generator = np.random.default_rng(0)
    for n, p in [(10_000, 256), *([(10_000, 1024)] if parser.parse_args().large else [])]:
        u = generator.standard_normal((n, 20))
        x = np.maximum(u @ generator.standard_normal((20, p)) / 20**0.5, 0)
        y = np.where(u[:, 0] + u[:, 1] * u[:, 2] + generator.standard_normal(n) > 0, 1.0, -1.0)
        scores = 2 * u[:, 0] + generator.standard_normal(n)
        population = Population(x, y)
        population.predict(np.ones(n), 4 * p, 1.0, halving=True)
        for selection in standard_schemes([0.3], alphas=[-1.0, 1.0], reweight=False):
            probability = selection.inclusion_probabilities(scores)
            for halving in (False, True):
                work = partial(population.predict, probability, 4 * p, ridge=0.01, halving=halving)
                took, found = timed(work)
                print(f"n={n} p={p} {selection}, halving={halving}: {took}, {found.steps} steps")
    x, population = x[:, :256], Population(x[:, :256], y)
    schemes = standard_schemes([0.1, 0.3], alphas=[-1.0, 1.0], reweight=False)
    took, _ = timed(lambda: learning_curves(population, scores, schemes, [500, 2000], [0.1, 0.01]))
    print(f"n={n} p=256, curve of 40 settings: {took}")
    population = Population(x[:8000, :128], y[:8000])
    took, surrogate = timed(lambda: PopulationSurrogate(population, 512, 0.02))
    print(f"n=8000 p=128, two rounds, the surrogate: {took}")
    for rule in (TopSelection("hard", 0.2), PowerSelection(1.0, 0.2)):
        for halving in (False, True):
            second = partial(surrogate.predict, rule, 2048, 0.01, 1.0, halving=halving)
            took, again = timed(second)
            print(f"n=8000 p=128, two rounds, {rule}, {halving=}: {took}, {again.steps} steps")


if __name__ == "__main__":
    main()
