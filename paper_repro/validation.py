"""Simulation against theory on problems over every kind of data, surrogate, scheme and loss."""

import time
from collections.abc import Iterator
from concurrent.futures import Executor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import xarray as xr

from figures import z_score_plot
from paper_repro.results import describe_run, point_table, write_pictures, write_results
from simulate.compare import mean_and_error, z_scores
from simulate.experiment import Experiment, Report, Size, run_experiment
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
    PerfectSurrogate,
    PowerSelection,
    Problem,
    RandomSelection,
    SingleIndex,
    SmoothedHingeLoss,
    SquaredLoss,
    TabulatedSelection,
    TopSelection,
    TrainedSurrogate,
)
from theory.axes import coordinate

NAME = "validation"
QUANTITIES = ("misclassification", "alpha_0", "alpha_s", "alpha_perp")

LARGEST_Z, LARGEST_RMS = 4.0, 1.3
"""What agreement allows: of any z-score, and of a quantity's over all problems."""

DATA = (
    SingleIndex(F1, 5.0),
    SingleIndex(F2, 5.0),
    SingleIndex(LogisticLink(intercept=0.5), 2.0),
    GaussianMixture(1.5),
    GaussianMixture(1.0, positive_fraction=0.3, label_noise=0.1),
    GaussianClusters((-3.0, 0.0, 2.0), (0.3, 0.4, 0.3), (0.9, 0.2, 0.8)),
)
SURROGATES = (
    PerfectSurrogate(),
    GivenSurrogate(1.5, 0.8, 0.2),
    TrainedSurrogate(4, 0.05),
    TrainedSurrogate(2, 0.1, data=SingleIndex(F2, 5.0)),
)
SELECTIONS = (
    RandomSelection(0.5),
    RandomSelection(0.5, reweight=True),
    PowerSelection(-0.5, 0.4),
    PowerSelection(1.0, 0.6),
    PowerSelection(0.5, 0.5, reweight=True),
    TopSelection("hard", 0.6),
    TopSelection("easy", 0.4),
    BandSelection(0.3, 2.5),
    TabulatedSelection((-2.0, 0.0, 1.5), (0.3, 1.0, 0.5)),
    TabulatedSelection((-1.0, 0.0, 1.0), (0.2, 0.9, 0.4), reweight=True),
)
LOSSES = (LogisticLoss(), SquaredLoss(), SmoothedHingeLoss(0.5), HingeLoss())


def problems(count: int = 64, seed: int = 1) -> list[Problem]:
    """Problems drawn without replacement over all combinations, with ridge and N/p drawn too.

    Every surrogate kind, scheme, loss and data model is used about equally often.
    """
    generator = np.random.default_rng(seed)
    sizes = [len(part) for part in (DATA, SURROGATES, SELECTIONS, LOSSES, (False, True))]
    drawn: dict[tuple[int, ...], Problem] = {}
    decks = [_shuffles(size, generator) for size in sizes]
    while len(drawn) < count:
        key = tuple(next(deck) for deck in decks)
        data, surrogate = DATA[key[0]], SURROGATES[key[1]]
        if isinstance(surrogate, PerfectSurrogate) and data.true_score is None:
            continue
        drawn[key] = Problem(
            data=data,
            surrogate=surrogate,
            selection=SELECTIONS[key[2]],
            loss=LOSSES[key[3]],
            fit_intercept=bool(key[4]),
            ridge=float(generator.choice([0.01, 0.03, 0.1])),
            samples_per_dimension=float(generator.choice([1.5, 3.0])),
        )
    return list(drawn.values())


def _shuffles(size: int, generator: np.random.Generator) -> Iterator[int]:
    """The numbers below ``size`` in random order, shuffled anew whenever all have come."""
    while True:
        yield from generator.permutation(size).tolist()


def experiment(dimension: int, repeats: int, count: int) -> Experiment:
    """Every problem predicted and simulated, each from a seed of its own."""
    drawn = problems(count)
    labels = [repr(problem) for problem in drawn]
    return Experiment(
        title="Simulation against theory",
        frame=xr.Dataset(coords={"problem": coordinate("problem", "problem", labels)}),
        problems=tuple(drawn),
        sizes=tuple(Size(dimension, repeats, offset=k) for k in range(count)),
    )


def validate(
    directory: Path,
    dimension: int,
    repeats: int,
    count: int,
    executor: Executor,
    report: Report | None = None,
) -> tuple[xr.Dataset, list[Path]]:
    """Predict and simulate every problem; write results and plot. Finished ones are kept.

    Returns the results, with z-scores of every quantity, and the files.
    """
    began = time.perf_counter()
    results = run_experiment(experiment(dimension, repeats, count), directory, executor, report)
    z = deviates(results)
    results = results.assign({f"z_{name}": z.sel(quantity=name, drop=True) for name in QUANTITIES})
    figure = z_score_plot(
        z, f"{count} problems of every kind: p = {dimension}, {repeats} data sets each"
    )
    settings = {"dimension": dimension, "data_sets": repeats, "problems": count}
    manifest = describe_run(0, time.perf_counter() - began, settings)
    files = write_results(directory, NAME, results, point_table(results), manifest)
    return results, [*files, *write_pictures(directory, {NAME: figure})]


def deviates(results: xr.Dataset) -> xr.DataArray:
    """z-scores over problem and quantity; NaN for constants that are as predicted."""
    columns = []
    for name in QUANTITIES:
        mean, error = mean_and_error(results, name)
        predicted = results[f"theory_{name}"]
        columns.append(mean.copy(data=z_scores(mean.values, predicted.values, error.values)))
    z = xr.concat(columns, xr.Variable("quantity", list(QUANTITIES)))
    return z.transpose("problem", "quantity").rename("z")


class Verdict(NamedTuple):
    """worst: largest |z| of every problem. rms: of every quantity. holds: within both limits."""

    worst: xr.DataArray
    rms: xr.DataArray
    holds: bool


def verdict(results: xr.Dataset) -> Verdict:
    """Whether theory and simulation agree: every problem predicted, no |z| above LARGEST_Z and no
    root-mean-square z above LARGEST_RMS."""
    z = deviates(results)
    worst = abs(z).max("quantity").fillna(0)
    rms = (z**2).mean("problem") ** 0.5
    solved = bool(results.theory_misclassification.notnull().all())
    holds = solved and float(worst.max()) <= LARGEST_Z and float(rms.max()) <= LARGEST_RMS
    return Verdict(worst, rms, holds)
