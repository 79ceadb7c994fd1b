"""Stratified random splits of labelled data."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulate.pools.optional import PoolError
from theory.checks import as_count, set_fields

Indices = NDArray[np.intp]


@dataclass(frozen=True)
class SplitSizes:
    """How many samples have which part; whole numbers >= 0, and test >= 1.

    surrogate: labelled, to train the surrogate; validation: to choose a ridge; test: to measure the
    error; pool: to select from, None for all that are left.

    >>> SplitSizes(surrogate=100, test=500)
    SplitSizes(surrogate=100, test=500, validation=0, pool=None)
    """

    surrogate: int
    test: int
    validation: int = 0
    pool: int | None = None

    def __post_init__(self) -> None:
        pool = self.pool
        set_fields(
            self,
            surrogate=as_count("surrogate", self.surrogate, least=0),
            validation=as_count("validation", self.validation, least=0),
            test=as_count("test", self.test),
            pool=None if pool is None else as_count("pool", pool, least=2),
        )


@dataclass(frozen=True, eq=False)
class Split:
    """Numbers of the samples in each part; no sample is in two."""

    surrogate: Indices
    validation: Indices
    test: Indices
    pool: Indices


def stratified_order(labels: NDArray[np.generic], generator: np.random.Generator) -> Indices:
    """A random order of which every stretch has the classes in proportion, to within one each.

    >>> labels = np.array([0] * 8 + [1] * 4)
    >>> order = stratified_order(labels, np.random.default_rng(0))
    >>> [int(labels[order[k : k + 3]].sum()) for k in range(0, 12, 3)]
    [1, 1, 1, 1]
    """
    classes, members = np.unique(labels, return_inverse=True)
    place = np.empty(len(labels))
    for k in range(classes.size):
        rows = np.flatnonzero(members == k)
        # one sample of the class in each of as many equal parts of the order
        ranks = generator.permutation(rows.size) + generator.random()
        place[rows] = ranks / rows.size
    return np.argsort(place, kind="stable")


def split(labels: NDArray[np.generic], sizes: SplitSizes, generator: np.random.Generator) -> Split:
    """Disjoint stratified parts, at random. Raises PoolError if there are too few samples."""
    parts = (sizes.surrogate, sizes.validation, sizes.test)
    asked = sum(parts) + (sizes.pool or 2)
    if asked > len(labels):
        raise PoolError(
            f"{asked} samples are asked for ({sizes}) and there are {len(labels)}: ask for less"
        )
    order = stratified_order(labels, generator)
    surrogate, validation, test, rest = np.split(order, np.cumsum(parts))
    pool = rest if sizes.pool is None else rest[: sizes.pool]
    return Split(surrogate, validation, test, pool)
