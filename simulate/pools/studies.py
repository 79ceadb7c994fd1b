"""A study: real experiments of selecting from a pool, fitting and testing, many at a time.

Every repeat splits the data anew, prepares the features on its pool, fits the surrogates to their
own labels, and then selects, fits and tests as simulations do (``simulate.fitting.fit``), with
penalty and weights relative to the size of the pool. All selections of a repeat share their
uniforms, so that schemes compare on equal luck.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, as_completed
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from simulate.fitting.fit import fit
from simulate.pools.optional import PoolError
from simulate.pools.pool import Features, Pool
from simulate.pools.preparation import Standardise, Step, prepare
from simulate.pools.rules import AnySelection, as_selection, inclusion_probabilities, vary
from simulate.pools.splits import SplitSizes, split
from simulate.running.workers import check_executor
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
Progress = Callable[[int, int], None]
"""Is told how many repeats are finished, and how many there are."""

COLUMNS = ("misclassification", "log_loss", "fraction", "ridge", "converged")
"""What is measured of every fit: on the test part, of the pool, and of the fit itself."""

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
        )

    @property
    def rules(self) -> list[AnySelection]:
        return [as_selection(rule) for rule in self.schemes.values()]

    @property
    def ridges(self) -> Array:
        return np.atleast_1d(np.asarray(self.ridge, dtype=np.float64))


def study(
    pool: Pool,
    plan: Study,
    executor: Executor | None = None,
    progress: Progress | None = None,
) -> xr.Dataset:
    """Run a study; every repeat is one task.

    executor: any with the standard interface, such as ``process_pool(workers)``; None runs here.
        The numbers do not depend on it. progress: is called after every repeat.
    Returns, over (surrogate, scheme, fraction, data_set): misclassification and log_loss on the
    test part, kept_fraction of the pool, ridge, converged (1 where the fit met its tolerance; a
    subset of one class has no fit without ridge); and over (surrogate, data_set):
    surrogate_misclassification. Repeats share one finite set of data: their spread is that over
    random splits of it, less than that over fresh data.
    Raises PoolError where the data are too few or cannot be prepared.

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
    results: dict[int, tuple[Array, Array]] = {}
    for number, result in _answers(pool, plan, executor):
        results[number] = result
        if progress is not None:
            progress(len(results), plan.repeats)
    values = np.stack([results[k][0] for k in range(plan.repeats)], axis=-2)
    errors = np.stack([results[k][1] for k in range(plan.repeats)], axis=-1)
    grid = ("surrogate", "scheme", "fraction", "data_set")
    measured = {name: (grid, values[..., k]) for k, name in enumerate(COLUMNS)}
    measured["kept_fraction"] = measured.pop("fraction")
    return xr.Dataset(
        {**measured, "surrogate_misclassification": (("surrogate", "data_set"), errors)},
        coords={
            "surrogate": list(plan.surrogates),
            "scheme": list(plan.schemes),
            "fraction": list(plan.fractions),
            "data_set": np.arange(plan.repeats),
        },
        attrs={"pool": pool.name, "samples": len(pool.labels), "seed": plan.seed},
    )


def _answers(
    pool: Pool, plan: Study, executor: Executor | None
) -> Iterator[tuple[int, tuple[Array, Array]]]:
    if executor is None:
        yield from ((number, run_repeat(pool, plan, number)) for number in range(plan.repeats))
        return
    check_executor(executor)
    futures = {executor.submit(_run_on_one_core, pool, plan, k): k for k in range(plan.repeats)}
    try:
        for future in as_completed(futures):
            yield futures[future], future.result()
    finally:
        for future in futures:
            future.cancel()


def _run_on_one_core(pool: Pool, plan: Study, number: int) -> tuple[Array, Array]:
    with one_thread():
        return run_repeat(pool, plan, number)


def run_repeat(pool: Pool, plan: Study, number: int) -> tuple[Array, Array]:
    """One split: results [surrogates, schemes, fractions, COLUMNS] and errors of the surrogates."""
    parts = split(pool.labels, plan.sizes, stream(plan.seed, "features", number))
    prepared = prepare(plan.preparation, pool.features[parts.pool])
    x, test = prepared(pool.features[parts.pool]), prepared(pool.features[parts.test])
    y, test_labels = pool.labels[parts.pool], pool.labels[parts.test]
    validation = prepared(pool.features[parts.validation]) if parts.validation.size else None
    uniforms = stream(plan.seed, "selection", number).random(len(y))
    shape = len(plan.surrogates), len(plan.schemes), len(plan.fractions)
    probabilities = np.empty((*shape, len(y)))
    errors = np.empty(shape[0])
    for i, surrogate in enumerate(plan.surrogates.values()):
        rows = parts.surrogate[: surrogate.samples]
        theta, b = _fit_surrogate(prepared(pool.features[rows]), pool.labels[rows], surrogate)
        scores = x.astype(np.float64) @ theta + b
        errors[i] = _errors(test_labels * (test @ theta + b))[0]
        for j, rule in enumerate(plan.rules):
            for k, fraction in enumerate(plan.fractions):
                varied = vary(rule, fraction=fraction)
                probabilities[i, j, k] = inclusion_probabilities(varied, x, scores, y)
    results = np.full((*shape, len(COLUMNS)), np.nan)
    rules = plan.rules
    for cells in _batches(shape, len(y) + x.shape[1], plan.ridges.size):
        weights = np.zeros((len(y), len(cells)))
        for column, (i, j, k) in zip(weights.T, cells, strict=True):
            pi = probabilities[i, j, k]
            kept = uniforms < pi
            column[kept] = 1 / pi[kept] if rules[j].reweight else 1.0
        fits = fit(
            x,
            y,
            np.repeat(weights, plan.ridges.size, axis=1),
            len(y),
            np.tile(plan.ridges, len(cells)),
            plan.loss,
            plan.fit_intercept,
        )
        chosen = np.arange(len(cells)) * plan.ridges.size
        if validation is not None and plan.ridges.size > 1:
            outputs = validation @ fits.coefficients + fits.intercepts
            chosen += _best(outputs, pool.labels[parts.validation], plan.ridges.size)
        outputs = test @ fits.coefficients[:, chosen] + fits.intercepts[chosen]
        for n, (cell, c) in enumerate(zip(cells, chosen, strict=True)):
            results[cell] = (
                *_errors(test_labels * outputs[:, n]),
                np.count_nonzero(weights[:, n]) / len(y),
                plan.ridges[c % plan.ridges.size],
                fits.converged[c],
            )
    return results, errors


def _fit_surrogate(x: Features, y: Array, surrogate: FittedSurrogate) -> tuple[Array, float]:
    if np.unique(y).size < 2:
        raise PoolError(
            f"the {y.size} labels of the surrogate are of one class only: give it more samples"
        )
    ridge = np.array([surrogate.ridge])
    fits = fit(x, y, np.ones((y.size, 1)), y.size, ridge, LogisticLoss(), fit_intercept=True)
    return fits.coefficients[:, 0], float(fits.intercepts[0])


def _batches(shape: tuple[int, int, int], size: int, ridges: int) -> Iterator[list[Any]]:
    """Cells to fit together; small subsets come together, for what none selects costs nothing."""
    cells = sorted(np.ndindex(shape), key=lambda cell: cell[2])
    most = max(1, BATCH_BYTES // (FIT_BYTES * size * ridges))
    for first in range(0, len(cells), most):
        yield cells[first : first + most]


def _best(outputs: Array, labels: Array, ridges: int) -> NDArray[np.intp]:
    """Which ridge has the smallest validation error, the largest of equals."""
    wrong = _wrong(labels[:, None] * outputs).mean(axis=0).reshape(-1, ridges)
    return np.asarray(ridges - 1 - np.argmin(wrong[:, ::-1], axis=1))


def _wrong(margins: Array) -> Array:
    return np.asarray((margins < 0) + 0.5 * (margins == 0))


def _errors(margins: Array) -> tuple[float, float]:
    return float(_wrong(margins).mean()), float(np.logaddexp(0, -margins).mean())
