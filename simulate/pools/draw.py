"""Draw distinct samples with given inclusion probabilities, by random numbers that rows own.

Every block of BLOCK rows has a stream of Philox random numbers, keyed by the seed and the number of
the block. What is drawn depends on the seed and the probabilities alone: not on batches, partitions
or workers. Memory beside the probabilities is that of one block.
"""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from theory.checks import InvalidFieldError

Array = NDArray[np.float64]
Indices = NDArray[np.intp]
Sampling = Literal["fixed", "poisson"]

BLOCK = 2**16
"""Rows that share a stream of random numbers."""

CERTAIN = 1 - 1e-12
"""Samples with at least this inclusion probability are taken outright."""

WHOLE = 1e-6
"""An expected size this close to a whole number is one, but for rounding."""

ROUNDING = 1e-10
"""The same, relative to the size."""


def as_generator(random_state: Any) -> np.random.Generator:
    """A generator from None, a seed, a Generator (used as it is) or a RandomState."""
    if isinstance(random_state, np.random.RandomState):
        return np.random.default_rng(random_state.randint(2**31, size=4))
    return np.random.default_rng(random_state)


def draw_indices(
    probabilities: Array, sampling: Sampling, generator: np.random.Generator
) -> Indices:
    """Numbers of the samples drawn, increasing and distinct.

    probabilities: pi_i in [0, 1], shape [N]; sample i is drawn with probability pi_i exactly.
    sampling: "poisson" draws every sample independently; "fixed" draws sum pi_i of them, which is
        one of the two nearest whole numbers where it is not whole itself.
    generator: gives the key of all random numbers, two integers.
    Raises ValueError on another ``sampling``.

    >>> draw_indices(np.array([1.0, 0.0, 0.5, 0.5]), "fixed", np.random.default_rng(0)).size
    2
    """
    key = generator.integers(2**64, size=2, dtype=np.uint64)
    if sampling == "poisson":
        chosen = [
            first + np.flatnonzero(_uniforms(key, first, block.size) < block)
            for first, block in _blocks(probabilities)
        ]
        return np.concatenate([np.empty(0, np.intp), *chosen])
    if sampling == "fixed":
        return _systematic(probabilities, key)
    raise InvalidFieldError("sampling", sampling, "'fixed' or 'poisson'")


def _blocks(values: Array) -> list[tuple[int, Array]]:
    return [(first, values[first : first + BLOCK]) for first in range(0, values.size, BLOCK)]


def _uniforms(key: NDArray[np.uint64], first: int, count: int) -> Array:
    """Random numbers of the rows of a block, which begins with row ``first``."""
    counter = np.array([0, first // BLOCK, 0, 0], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(counter=counter, key=key)).random(count)


def _systematic(probabilities: Array, key: NDArray[np.uint64]) -> Indices:
    """Systematic sampling: a comb of spacing 1 over the summed probabilities.

    Blocks come in order and the rows of each in random order, so that a pattern of the rows does
    not meet the comb; every block gives its share, to one.
    """
    uncertain = (probabilities > 0) & (probabilities < CERTAIN)
    sums = [
        float(block[uncertain[first : first + BLOCK]].sum())
        for first, block in _blocks(probabilities)
    ]
    total, scale = float(np.cumsum([0.0, *sums])[-1]), 1.0
    goal = round(total)
    if goal > 0 and abs(total - goal) < WHOLE + ROUNDING * total:
        total, scale = float(goal), goal / total
    counter = np.array([0, 0, 1, 0], dtype=np.uint64)
    start = float(np.random.Generator(np.random.Philox(counter=counter, key=key)).random())
    last = max((k for k, size in enumerate(sums) if size > 0), default=-1)
    chosen, passed, teeth = [np.empty(0, np.intp)], 0.0, 0
    for k, (first, block) in enumerate(_blocks(probabilities)):
        hit = np.flatnonzero(block >= CERTAIN)
        rows = np.flatnonzero(uncertain[first : first + BLOCK])
        if rows.size:
            rows = rows[np.argsort(_uniforms(key, first, block.size)[rows], kind="stable")]
            ends = passed + np.cumsum(scale * block[rows])
            passed = float(ends[-1])
            reached = max(teeth, int(np.ceil((total if k == last else passed) - start)))
            comb = start + np.arange(teeth, reached)
            places = np.minimum(np.searchsorted(ends, comb, side="right"), rows.size - 1)
            hit, teeth = np.sort(np.concatenate([hit, rows[places]])), reached
        chosen.append(first + hit)
    return np.concatenate(chosen)
