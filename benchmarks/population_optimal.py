"""Is the best band of score quantiles, predicted from a labelled pilot, the best on real pools?

    python benchmarks/population_optimal.py [digits] [shirts] [flights] [--splits 12]

Data sets as in benchmarks/advice.py. On every random split into pilot, pool and test part the
population equations see the pilot and predict, for every ridge, random, power and top-k selection
and bands of |score| quantiles at nine positions; and
`theory.population_optimal` finds the best selection of 20 cells at the ridge of the best band. Then
a surrogate fitted to the pilot scores the pool, every one of these selects from it, a model is
fitted and tested: all on the same pool. Printed are means over splits, and standard errors of their
differences:

- every setting at its best ridge, predicted and measured;
- the choice by each pilot: the gain of its best band, and of its cells, over its best other scheme
  as the pilot predicts it, and as its own pool measures it.
"""

import argparse
import time
from typing import Any

import numpy as np
from advice import FRACTION, TASKS, Task  # type: ignore[import-not-found]  # beside this file
from numpy.typing import NDArray

from simulate.fitting.fit import fit
from simulate.pools.advice import ALPHAS, cross_fitted_scores
from simulate.pools.pool import Pool
from simulate.sample import stream
from theory import LogisticLoss, Population, QuantileBandSelection
from theory.kinds import Selection
from theory.population_curves import Setting, describe, predict_settings, standard_schemes
from theory.population_optimal import optimal_population_selection

Array = NDArray[np.float64]

RIDGES = (0.01, 0.003, 0.001)
BANDS = tuple(QuantileBandSelection(s, FRACTION) for s in np.linspace(0, 1 - FRACTION, 11)[1:-1])
OTHERS = standard_schemes([FRACTION], ALPHAS, reweight=False)
SCHEMES: tuple[Selection, ...] = (*OTHERS, *BANDS)


def one_split(task: Task, pool: Pool, number: int) -> tuple[Array, Array, Array]:
    """Errors predicted and measured, [schemes, ridges] each; of the cells, predicted, measured."""
    parts = task.parts(pool, number)
    x, y = pool.features[parts.surrogate].astype(float), pool.labels[parts.surrogate]
    scores, su_ridge = cross_fitted_scores(x, y, seed=number)
    population = Population(x, y)
    grid = [Setting(s, task.pool, r) for s in SCHEMES for r in RIDGES]
    predicted = np.array(
        [p.misclassification for _, p in predict_settings(population, scores, grid, halving=False)]
    ).reshape(len(SCHEMES), len(RIDGES))
    ridge = int(np.nanargmin(np.nanmin(predicted[len(OTHERS) :], axis=0)))
    best = optimal_population_selection(population, scores, FRACTION, task.pool, RIDGES[ridge])

    surrogate = fit(x, y, np.ones((len(y), 1)), len(y), np.array([su_ridge]), LogisticLoss(), True)
    x, y = pool.features[parts.pool], pool.labels[parts.pool]
    scores = (x @ surrogate.coefficients + surrogate.intercepts)[:, 0].astype(float)
    uniforms = stream(0, "selection", number).random(len(y))
    rank = np.argsort(np.argsort(np.abs(scores), kind="stable"))
    cells = best.probabilities[rank * len(best.probabilities) // len(y)]
    every = [*(scheme.inclusion_probabilities(scores) for scheme in SCHEMES), cells]
    weights = np.column_stack([uniforms < pi for pi in every]).astype(float)
    tried, lines = len(RIDGES), len(weights[0])
    fits = fit(
        x,
        y,
        np.repeat(weights, tried, axis=1),
        len(y),
        np.tile(RIDGES, lines),
        LogisticLoss(),
        fit_intercept=True,
    )
    outputs = pool.features[parts.test] @ fits.coefficients + fits.intercepts
    wrong = pool.labels[parts.test][:, None] * outputs < 0
    measured = wrong.mean(axis=0).reshape(lines, tried)
    cells_errors = np.array([best.prediction.misclassification, measured[-1, ridge]])
    return predicted, measured[:-1], cells_errors


def mean_and_error(values: Array) -> str:
    return f"{100 * values.mean():6.2f} ± {100 * values.std(ddof=1) / len(values) ** 0.5:.2f}"


def chosen(predicted: Array, measured: Array, rows: slice) -> tuple[Array, Array]:
    """What every pilot chooses among these schemes: errors predicted and measured, [splits]."""
    flat = predicted[:, rows].reshape(len(predicted), -1)
    at = np.nanargmin(flat, axis=1), measured[:, rows].reshape(len(predicted), -1)
    splits = np.arange(len(predicted))
    return flat[splits, at[0]], at[1][splits, at[0]]


def report(name: str, task: Task, splits: int) -> None:
    pool, began = task.load(), time.process_time()
    answers: list[Any] = []
    for number in range(splits):
        answers.append(one_split(task, pool, number))
        print(f"  split {number + 1} of {splits}", flush=True)
    predicted, measured, cells = (np.array(part) for part in zip(*answers, strict=True))
    print(f"{name}, {splits} splits, {time.process_time() - began:.0f} s of processor; points")
    print(f"{'scheme':<44}{'ridge':>7}  {'predicted':>14}  {'measured':>14}")
    for k, scheme in enumerate(SCHEMES):
        r = int(np.nanargmin(measured[:, k].mean(axis=0)))
        values = mean_and_error(predicted[:, k, r]), mean_and_error(measured[:, k, r])
        print(f"{describe(scheme):<44}{RIDGES[r]:>7}  {values[0]:>14}  {values[1]:>14}")
    others, bands = slice(len(OTHERS)), slice(len(OTHERS), None)
    by_others = chosen(predicted, measured, others)
    by_bands = chosen(predicted, measured, bands)
    cells_pair = (cells[:, 0], cells[:, 1])
    for title, pair in (("best band", by_bands), ("best cells", cells_pair)):
        gains = [mean_and_error(a - b) for a, b in zip(by_others, pair, strict=True)]
        print(f"gain of the {title} over the best other: predicted {gains[0]}, measured {gains[1]}")
    in_hindsight = [hindsight(measured[:, rows]) for rows in (others, bands)]
    print(f"gain in hindsight: {mean_and_error(in_hindsight[0] - in_hindsight[1])}", flush=True)


def hindsight(measured: Array) -> Array:
    """Errors of the setting that is best on the other half of the splits, [splits]."""
    flat = measured.reshape(len(measured), -1)
    errors = np.empty(len(flat))
    for half in (slice(0, None, 2), slice(1, None, 2)):
        others = np.delete(flat, half, axis=0)
        errors[half] = flat[half, others.mean(axis=0).argmin()]
    return errors


def main() -> None:
    parser = argparse.ArgumentParser(description="Bands of quantiles on real pools.")
    parser.add_argument("tasks", nargs="*", default=list(TASKS), choices=[*TASKS, []])
    parser.add_argument("--splits", type=int, default=12)
    given = parser.parse_args()
    for name in given.tasks:
        report(name, TASKS[name], given.splits)


if __name__ == "__main__":
    main()
