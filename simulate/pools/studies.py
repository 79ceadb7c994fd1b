"""A study: real experiments of selecting from a pool, fitting and testing, many at a time.

Every repeat splits the data anew, prepares the features on its pool, fits the surrogates to their
own labels, and then selects, fits and tests as simulations do (``simulate.fitting.fit``), with
penalty and weights relative to the size of the pool. With ``reuse`` the final fit sees the
surrogate's labels too, as in `theory.two_rounds`. All selections of a repeat share their
uniforms, so that schemes compare on equal luck; equal subsets, as all schemes' full sample, are
fitted once.
"""

import pickle
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import cloudpickle
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from simulate.fitting.fit import fit
from simulate.pools.optional import PoolError
from simulate.pools.pool import Features, Pool
from simulate.pools.preparation import Map, Standardise, Step, prepare
from simulate.pools.rules import AnySelection, as_selection, inclusion_probabilities, vary
from simulate.pools.splits import Split, SplitSizes, split
from simulate.running.identity import digest
from simulate.running.kept import Progress, kept_answers
from simulate.sample import stream
from theory.checks import (
    InvalidFieldError,
    as_bool,
    as_count,
    as_fraction,
    as_instance,
    as_items,
    as_non_negative,
    set_fields,
)
from theory.losses import LogisticLoss, Loss
from theory.machine import one_thread

Array = NDArray[np.float64]

COLUMNS = ("misclassification", "log_loss", "fraction", "ridge", "converged")
"""What is measured of every fit: on the test part, of the pool, and of the fit itself."""

GRID = ("surrogate", "scheme", "fraction")
"""The axes of a study."""

FIT_BYTES = 140
BATCH_BYTES = 1 << 28
"""Fits run together while they take no more memory, at FIT_BYTES a sample and fit."""


@dataclass(frozen=True)
class FittedSurrogate:
    """A linear surrogate of the study: logistic, fitted to ``samples`` labels with its own ridge.

    samples: a whole number >= 2, of the surrogate part of a split; a smaller surrogate is fitted to
    some of the labels of a larger one. ridge >= 0. Raises ValueError otherwise.

    >>> FittedSurrogate(samples=100, ridge=0.01)
    FittedSurrogate(samples=100, ridge=0.01)
    """

    samples: int
    ridge: float = 0.01

    def __post_init__(self) -> None:
        set_fields(
            self,
            samples=as_count("surrogate.samples", self.samples, least=2),
            ridge=as_non_negative("surrogate.ridge", self.ridge),
        )


@dataclass(frozen=True)
class Study:
    """Schemes x fractions x surrogates, on ``repeats`` random splits of a pool.

    schemes: rules by label (or names of rules); every one is varied over ``fractions``, in (0, 1].
    surrogates: by label, each no larger than ``sizes.surrogate``. sizes: of the parts of a split.
    ridge: one number >= 0, or several: then every subset has the one of these that misclassifies
        fewest of the validation part (the largest of those that tie), as a practitioner must do.
    reuse: weight, >= 0, of the surrogate's own samples in the final fit; where it is > 0 the ridge
        is relative to their number and the pool's together.
    preparation: steps fitted on the features of the pool part. seed: a whole number >= 0.
    Raises ValueError on other values.
    """

    schemes: Mapping[str, str | AnySelection]
    fractions: Sequence[float]
    surrogates: Mapping[str, FittedSurrogate]
    sizes: SplitSizes
    ridge: float | Sequence[float] = 0.01
    preparation: Sequence[Step] = (Standardise(),)
    loss: Loss = field(default_factory=LogisticLoss)
    fit_intercept: bool = True
    repeats: int = 10
    seed: int = 0
    reuse: float = 0.0

    def __post_init__(self) -> None:
        as_instance("sizes", self.sizes, SplitSizes)
        for name, table in (("schemes", self.schemes), ("surrogates", self.surrogates)):
            if not isinstance(table, Mapping) or not table:
                raise InvalidFieldError(name, table, "one or more, by label")
        given = as_items("fractions", self.fractions)
        fractions = tuple(as_fraction("fractions", value) for value in given)
        if not fractions or len(set(fractions)) < len(fractions):
            raise InvalidFieldError("fractions", fractions, "one or more distinct numbers")
        schemes = {str(label): as_selection(rule) for label, rule in self.schemes.items()}
        for rule in schemes.values():
            vary(rule, fraction=fractions[0])
        for surrogate in self.surrogates.values():
            as_instance("surrogates", surrogate, FittedSurrogate)
            if surrogate.samples > self.sizes.surrogate:
                allowed = f"at most {self.sizes.surrogate}, the surrogate part of a split"
                raise InvalidFieldError("surrogate.samples", surrogate.samples, allowed)
        ridges = self.ridge if isinstance(self.ridge, Sequence) else (self.ridge,)
        ridges = tuple(sorted(as_non_negative("ridge", value) for value in ridges))
        if not ridges or len(set(ridges)) < len(ridges):
            raise InvalidFieldError("ridge", self.ridge, "one number, or several distinct ones")
        if len(ridges) > 1 and self.sizes.validation == 0:
            allowed = ">= 1 to choose among several ridges"
            raise InvalidFieldError("sizes.validation", 0, allowed)
        set_fields(
            self,
            schemes=schemes,
            fractions=fractions,
            surrogates=dict(self.surrogates),
            ridge=ridges,
            preparation=tuple(self.preparation),
            fit_intercept=as_bool("fit_intercept", self.fit_intercept),
            repeats=as_count("repeats", self.repeats),
            seed=as_count("seed", self.seed, least=0),
            reuse=as_non_negative("reuse", self.reuse),
        )

    @property
    def rules(self) -> list[AnySelection]:
        return [as_selection(rule) for rule in self.schemes.values()]

    @property
    def coordinates(self) -> dict[str, list[Any]]:
        """The labels of the axes of GRID."""
        labels = list(self.surrogates), list(self.schemes), list(self.fractions)
        return dict(zip(GRID, labels, strict=True))

    @property
    def ridges(self) -> Array:
        return np.atleast_1d(np.asarray(self.ridge, dtype=np.float64))


def study(
    pool: Pool,
    plan: Study,
    executor: Executor | None = None,
    progress: Progress | None = None,
    directory: Path | None = None,
) -> xr.Dataset:
    """Run a study; every repeat is one task.

    executor: any with the standard interface, such as ``process_pool(workers)``; None runs here.
        The numbers do not depend on it. progress: is called after every repeat, with how many are
        finished and how many there are.
    directory: keeps every repeat as it ends; the same call again goes on where this one was
        stopped, and one with more repeats adds to them.
    Returns, over (surrogate, scheme, fraction, data_set): misclassification and log_loss on the
    test part, kept_fraction of the pool (the surrogate's labels not counted), ridge, converged (1
    where the fit met its tolerance; a subset of one class has no fit without ridge); and over
    (surrogate, data_set): surrogate_misclassification. The attribute reuse is the weight of the
    surrogate's labels. Repeats share one finite set of data: their spread is that over random
    splits of it, less than that over fresh data.
    Raises PoolError where the data are too few or cannot be prepared, and StoreError where the
    directory holds another plan's or pool's results, or such of other numerics.

    >>> x = np.random.default_rng(0).normal(size=(200, 2))
    >>> plan = Study(
    ...     schemes={"random": "random", "hard": "hard"},
    ...     fractions=[0.3, 1.0],
    ...     surrogates={"weak": FittedSurrogate(20)},
    ...     sizes=SplitSizes(surrogate=20, test=80),
    ...     repeats=2,
    ... )
    >>> dict(study(Pool(x, np.sign(x[:, 0])), plan).misclassification.sizes)
    {'surrogate': 1, 'scheme': 2, 'fraction': 2, 'data_set': 2}
    """
    numbers = {f"repeat-{number}": number for number in range(plan.repeats)}
    packed = cloudpickle.dumps(plan)  # with rules that workers could not import
    found = kept_answers(
        list(numbers),
        lambda job: run_repeat(pool, plan, numbers[job]),
        lambda job: (on_one_core, run_repeat, pool, packed, numbers[job]),
        described(pool, plan) if directory is not None else {},
        directory,
        executor,
        progress,
    )
    values = np.stack([found[job][0] for job in numbers], axis=-2)
    errors = np.stack([found[job][1] for job in numbers], axis=-1)
    grid = (*GRID, "data_set")
    measured = {name: (grid, values[..., k]) for k, name in enumerate(COLUMNS)}
    measured["kept_fraction"] = measured.pop("fraction")
    return xr.Dataset(
        {**measured, "surrogate_misclassification": (("surrogate", "data_set"), errors)},
        coords={**plan.coordinates, "data_set": np.arange(plan.repeats)},
        attrs={
            "pool": pool.name,
            "samples": len(pool.labels),
            "seed": plan.seed,
            "reuse": plan.reuse,
        },
    )


def described(pool: Pool, plan: Study) -> dict[str, str]:
    """Digests of what the results of one repeat depend on."""
    order = list(plan.schemes), list(plan.surrogates)
    return {
        "plan": digest((replace(plan, repeats=1), order)),
        "pool": digest((pool.features, pool.labels)),
    }


def on_one_core(work: Any, pool: Pool, packed: bytes, *arguments: Any) -> Any:
    """Call work(pool, plan, ...) in a worker, which shares the machine."""
    with one_thread():
        return work(pool, pickle.loads(packed), *arguments)


class Repeat(NamedTuple):
    """One split, the map fitted on the features of its pool part, and its surrogates."""

    parts: Split
    prepared: Map
    surrogates: list[tuple[Array, float]]


def begin_repeat(pool: Pool, plan: Study, number: int) -> Repeat:
    """Split, prepare and fit the surrogates."""
    parts = split(pool.labels, plan.sizes, stream(plan.seed, "features", number))
    prepared = prepare(plan.preparation, pool.features[parts.pool])
    surrogates = []
    for surrogate in plan.surrogates.values():
        rows = parts.surrogate[: surrogate.samples]
        x = prepared(pool.features[rows])
        surrogates.append(_fit_surrogate(x, pool.labels[rows], surrogate))
    return Repeat(parts, prepared, surrogates)


def run_repeat(pool: Pool, plan: Study, number: int) -> tuple[Array, Array]:
    """One split: results [surrogates, schemes, fractions, COLUMNS] and errors of the surrogates."""
    parts, prepared, surrogates = begin_repeat(pool, plan, number)
    x, test = prepared(pool.features[parts.pool]), prepared(pool.features[parts.test])
    y, test_labels = pool.labels[parts.pool], pool.labels[parts.test]
    validation = prepared(pool.features[parts.validation]) if parts.validation.size else None
    uniforms = stream(plan.seed, "selection", number).random(len(y))
    shape = len(plan.surrogates), len(plan.schemes), len(plan.fractions)
    errors = np.empty(shape[0])
    subsets: dict[bytes, list[tuple[int, int, int]]] = {}
    size, samples = len(y), [s.samples if plan.reuse else 0 for s in plan.surrogates.values()]
    again = parts.surrogate[: max(samples)]
    if again.size:
        x = np.concatenate([x, prepared(pool.features[again])])
        y = np.concatenate([y, pool.labels[again]])
    for i, (theta, b) in enumerate(surrogates):
        scores = x[:size].astype(np.float64) @ theta + b
        errors[i] = _errors(test_labels * (test @ theta + b))[0]
        for j, k in np.ndindex(shape[1:]):
            rule, fraction = plan.rules[j], plan.fractions[k]
            weights = np.zeros(len(y))
            weights[:size] = _draw_weights(rule, fraction, x[:size], scores, y[:size], uniforms)
            weights[size : size + samples[i]] = plan.reuse
            subsets.setdefault(weights.tobytes(), []).append((i, j, k))
    results = np.full((*shape, len(COLUMNS)), np.nan)
    for batch in _batches(list(subsets), len(y) + x.shape[1], plan.ridges.size):
        weights = np.column_stack([np.frombuffer(subset) for subset in batch])
        # what is minimised, times N / N_pool: relative to the pool and the labels used again
        totals = np.array([1 + samples[subsets[subset][0][0]] / size for subset in batch])
        fits = fit(
            x,
            y,
            np.repeat(weights, plan.ridges.size, axis=1),
            size,
            np.outer(totals, plan.ridges).ravel(),
            plan.loss,
            plan.fit_intercept,
        )
        chosen = np.arange(len(batch)) * plan.ridges.size
        if validation is not None and plan.ridges.size > 1:
            outputs = validation @ fits.coefficients + fits.intercepts
            chosen += _best(outputs, pool.labels[parts.validation], plan.ridges.size)
        outputs = test @ fits.coefficients[:, chosen] + fits.intercepts[chosen]
        for n, (subset, c) in enumerate(zip(batch, chosen, strict=True)):
            measured = (
                *_errors(test_labels * outputs[:, n]),
                np.count_nonzero(weights[:size, n]) / size,
                plan.ridges[c % plan.ridges.size],
                fits.converged[c],
            )
            for cell in subsets[subset]:
                results[cell] = measured
    return results, errors


def _draw_weights(
    rule: AnySelection, fraction: float, x: Features, scores: Array, labels: Array, uniforms: Array
) -> Array:
    """S_i of the samples that are selected, 0 of the others, shape [N]."""
    pi = inclusion_probabilities(vary(rule, fraction=fraction), x, scores, labels)
    kept = uniforms < pi
    return np.where(kept, rule.weights(scores, pi), 0.0)


def _fit_surrogate(x: Features, y: Array, surrogate: FittedSurrogate) -> tuple[Array, float]:
    if np.unique(y).size < 2:
        raise PoolError(
            f"the {y.size} labels of the surrogate are of one class only: give it more samples"
        )
    ridge = np.array([surrogate.ridge])
    fits = fit(x, y, np.ones((y.size, 1)), y.size, ridge, LogisticLoss(), fit_intercept=True)
    return fits.coefficients[:, 0], float(fits.intercepts[0])


def _batches(subsets: list[bytes], size: int, ridges: int) -> Iterator[list[bytes]]:
    """Subsets to fit together; small ones come together, for what none selects costs nothing."""
    ordered = sorted(subsets, key=lambda subset: np.count_nonzero(np.frombuffer(subset)))
    most = max(1, BATCH_BYTES // (FIT_BYTES * size * ridges))
    for first in range(0, len(ordered), most):
        yield ordered[first : first + most]


def _best(outputs: Array, labels: Array, ridges: int) -> NDArray[np.intp]:
    """Which ridge has the smallest validation error, the largest of equals."""
    wrong = _wrong(labels[:, None] * outputs).mean(axis=0).reshape(-1, ridges)
    return np.asarray(ridges - 1 - np.argmin(wrong[:, ::-1], axis=1))


def _wrong(margins: Array) -> Array:
    return np.asarray((margins < 0) + 0.5 * (margins == 0))


def _errors(margins: Array) -> tuple[float, float]:
    return float(_wrong(margins).mean()), float(np.logaddexp(0, -margins).mean())
