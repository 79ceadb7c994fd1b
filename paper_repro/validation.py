"""Simulation against theory on problems over every kind of data, surrogate, scheme and loss."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, as_completed
from pathlib import Path

import numpy as np
import xarray as xr

from figures import z_score_plot
from paper_repro.results import describe_run, write_pictures, write_results
from simulate import Estimate, estimate_all
from simulate.compare import z_scores
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
    Prediction,
    Problem,
    RandomSelection,
    SingleIndex,
    SmoothedHingeLoss,
    SquaredLoss,
    TabulatedSelection,
    TopSelection,
    TrainedSurrogate,
    predict_all,
)
from theory.machine import one_thread

NAME = "validation"
QUANTITIES = ("misclassification", "alpha_0", "alpha_s", "alpha_perp")

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


def validate(
    directory: Path,
    dimension: int,
    repeats: int,
    count: int,
    executor: Executor,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[xr.Dataset, list[Path]]:
    """Predict and simulate every problem, each from a seed of its own; write results and plot.

    progress: called with the problems done and their number. Finished ones are kept.
    """
    began = time.perf_counter()
    drawn = problems(count)
    futures = {
        executor.submit(_both, problem, dimension, repeats, seed, directory): seed
        for seed, problem in enumerate(drawn)
    }
    answers: dict[int, tuple[Prediction, Estimate]] = {}
    for done, future in enumerate(as_completed(futures), start=1):
        answers[futures[future]] = future.result()
        if progress is not None:
            progress(done, len(futures))
    predictions, estimates = zip(*(answers[k] for k in range(len(drawn))), strict=True)
    simulated = [[getattr(e, q) for q in QUANTITIES] for e in estimates]
    theory = np.array([[getattr(p, q) for q in QUANTITIES] for p in predictions])
    mean = np.array([[m.mean for m in row] for row in simulated])
    error = np.array([[m.standard_error for m in row] for row in simulated])
    dims = ("problem", "quantity")
    results = xr.Dataset(
        {
            "theory": (dims, theory),
            "simulation": (dims, mean),
            "standard_error": (dims, error),
            "z": (dims, z_scores(mean, theory, error)),
            "failed_fits": ("problem", [e.failed_fits for e in estimates]),
        },
        coords={"problem": [repr(p) for p in drawn], "quantity": list(QUANTITIES)},
        attrs={"title": "Simulation against theory", "dimension": dimension, "repeats": repeats},
    )
    figure = z_score_plot(
        results.z, f"{len(drawn)} problems of every kind: p = {dimension}, {repeats} data sets each"
    )
    settings = {"dimension": dimension, "data_sets": repeats, "problems": len(drawn)}
    manifest = describe_run(0, time.perf_counter() - began, settings)
    files = write_results(directory, NAME, results, manifest)
    return results, [*files, *write_pictures(directory, {NAME: figure})]


def _both(
    problem: Problem, dimension: int, repeats: int, seed: int, directory: Path
) -> tuple[Prediction, Estimate]:
    """Theory (NaN if it fails) and simulation, which is kept, of one problem."""
    store = directory / f"simulation-p{dimension}-x{repeats}" / f"problem-{seed}"
    with one_thread():
        (prediction,) = predict_all([problem])
        (estimate,) = estimate_all([problem], dimension, repeats, seed, store=store)
    return prediction, estimate
