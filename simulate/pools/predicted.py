"""What the theory of real features says of a study, from labels that the study does not use.

The population equations (``theory.population``) see a pilot: labelled samples of the same
population, in none of the study's pools or test parts. Its scores come from the surrogates of the
study's own repeats, so that what selects in theory is as strong as what selects in the experiment.
Where the study uses the surrogates' labels again, predictions are averages over draws of these
instead (``theory.population_two_rounds``), as the fit remembers which labels it has seen.
"""

import itertools
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Any, NamedTuple

import cloudpickle
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from simulate.pools.pool import Pool
from simulate.pools.rules import inclusion_probabilities, vary
from simulate.pools.splits import stratified_order
from simulate.pools.studies import GRID, Study, begin_repeat, described, on_one_core
from simulate.running.identity import digest
from simulate.running.kept import Progress, kept_answers
from simulate.sample import stream
from theory.checks import InvalidFieldError, as_count
from theory.population import Population, PopulationPrediction
from theory.population_two_rounds import PopulationSurrogate

Array = NDArray[np.float64]
Predict = Callable[[Any, int, float], PopulationPrediction]
"""Of a rule, a size of the pool and a ridge."""

COLUMNS = (
    "misclassification",
    "misclassification_sampling_error",
    "log_loss",
    "log_loss_sampling_error",
    "ridge",
)


class Parted(NamedTuple):
    """A pool for a study, and a labelled pilot for its theory; no sample is in both."""

    study: Pool
    pilot: Pool


def part_pilot(pool: Pool, size: int, seed: int = 0) -> Parted:
    """Take a stratified pilot of ``size`` samples out of a pool, at random.

    Raises InvalidFieldError where fewer than two samples would be left of either.

    >>> x = np.arange(20.0)[:, None]
    >>> parted = part_pilot(Pool(x, np.resize([1.0, -1.0], 20)), size=6)
    >>> len(parted.study.labels), len(parted.pilot.labels)
    (14, 6)
    """
    most = len(pool.labels) - 2
    if not 2 <= as_count("pilot", size) <= most:
        raise InvalidFieldError("pilot", size, f"a whole number from 2 to {most}")
    order = stratified_order(pool.labels, stream(seed, "surrogate", 0))
    return Parted(pool.take(order[size:]), pool.take(order[:size]))


def predict_study(
    pool: Pool,
    plan: Study,
    pilot: Pool | None = None,
    surrogates: int = 1,
    executor: Executor | None = None,
    progress: Progress | None = None,
    directory: Path | None = None,
) -> xr.Dataset:
    """Predictions of every point of a study of the pool, over (surrogate, scheme, fraction).

    pilot: labelled samples apart from the pool. None, for data too few to be parted: every sample
        of the pool but those of a repeat's surrogate part; then theory and experiments share
        samples, and agree the more. surrogates: of how many of the study's repeats, 1
        to plan.repeats; predictions are averaged over them.
    executor, progress, directory: as of ``simulate.pools.study``.
    Returns theory_misclassification and theory_log_loss, each with its sampling error from the
    finite pilot, which all predictions have in common, and theory_ridge: of several ridges, that
    of least predicted misclassification. NaN where a prediction was not solved; the attribute
    ``caution`` says why predictions may be off.
    Raises as ``study``, and InvalidFieldError where the surrogates' labels are used again and a
    scheme is no rule of the score.

    >>> x = np.random.default_rng(0).normal(size=(400, 2))
    >>> parted = part_pilot(Pool(x, np.sign(x[:, 0])), size=150)
    >>> from simulate.pools.studies import FittedSurrogate, SplitSizes
    >>> plan = Study(
    ...     schemes={"random": "random"},
    ...     fractions=[0.1, 1.0],
    ...     surrogates={"weak": FittedSurrogate(20)},
    ...     sizes=SplitSizes(surrogate=20, test=80),
    ... )
    >>> theory = predict_study(parted.study, plan, parted.pilot)
    >>> bool((theory.theory_misclassification.diff("fraction") < 0).all())
    True
    """
    count = as_count("surrogates", surrogates)
    if count > plan.repeats:
        raise InvalidFieldError("surrogates", count, f"at most {plan.repeats}, the repeats")
    jobs = {
        f"theory-{number}-{label}": (number, label)
        for number in range(count)
        for label in range(len(plan.surrogates))
    }
    packed = cloudpickle.dumps(plan)
    digests = {}
    if directory is not None:
        labelled = None if pilot is None else (pilot.features, pilot.labels)
        digests = {**described(pool, plan), "pilot": digest(labelled)}
    found = kept_answers(
        list(jobs),
        lambda job: predict_repeat(pool, plan, pilot, *jobs[job]),
        lambda job: (on_one_core, predict_repeat, pool, packed, pilot, *jobs[job]),
        digests,
        directory,
        executor,
        progress,
    )
    every = np.stack([found[job][0] for job in jobs])
    means = every.reshape(count, len(plan.surrogates), *every.shape[1:]).mean(axis=0)
    return xr.Dataset(
        {f"theory_{name}": (GRID, means[..., k]) for k, name in enumerate(COLUMNS)},
        plan.coordinates,
        {
            "pilot_labels": int(found[next(iter(jobs))][1][0]),
            "points_per_dimension": float(found[next(iter(jobs))][1][1]),
            "theory_surrogates": count,
            "caution": found[next(iter(jobs))][2].item(),
        },
    )


def predict_repeat(
    pool: Pool, plan: Study, pilot: Pool | None, number: int, label: int
) -> tuple[NDArray[Any], ...]:
    """By one surrogate of one repeat: predictions [schemes, fractions, COLUMNS], the number n of
    labels with n/p, and a caution."""
    parts, prepared, surrogates = begin_repeat(pool, plan, number)
    if pilot is None:
        pilot = pool.take(np.setdiff1d(np.arange(len(pool.labels)), parts.surrogate))
    x = prepared(pilot.features)
    theta, b = surrogates[label]
    scores = x.astype(np.float64) @ theta + b
    population = Population(x, pilot.labels, plan.loss, plan.fit_intercept)
    predict = _second_rounds(population, plan, label) if plan.reuse else None
    results = np.empty((len(plan.schemes), len(plan.fractions), len(COLUMNS)))
    known: dict[bytes, Array] = {}
    near: dict[float, PopulationPrediction] = {}
    for (j, rule), (k, fraction) in itertools.product(
        enumerate(plan.rules), enumerate(plan.fractions)
    ):
        varied = vary(rule, fraction=fraction)
        if predict is not None:
            results[j, k] = _best(plan, [predict(varied, len(parts.pool), r) for r in plan.ridges])
            continue
        pi = inclusion_probabilities(varied, x, scores, pilot.labels)
        weights = rule.weights(scores, pi)
        key = pi.tobytes() + weights.tobytes()
        if key not in known:
            for ridge in plan.ridges:
                near[ridge] = population.predict(
                    pi, len(parts.pool), ridge, weights, start=near.get(ridge)
                )
            known[key] = _best(plan, [near[ridge] for ridge in plan.ridges])
        results[j, k] = known[key]
    labels = np.array([population.size, population.size / population.dimension])
    return results, labels, np.array(next(iter(near.values())).caution if near else "")


def _second_rounds(population: Population, plan: Study, label: int) -> Predict:
    """Predictions of fits that see the labels of a surrogate of the study too."""
    used = list(plan.surrogates.values())[label]
    surrogate = PopulationSurrogate(population, used.samples, used.ridge)
    return lambda rule, size, ridge: surrogate.predict(rule, size, ridge, plan.reuse)


def _best(plan: Study, found: Sequence[PopulationPrediction]) -> Array:
    """COLUMNS of the prediction of least misclassification, of one for each ridge."""
    errors = [prediction.misclassification for prediction in found]
    best = found[int(np.nanargmin(errors)) if np.isfinite(errors).any() else 0]
    return np.array([getattr(best, name) for name in COLUMNS])
