"""Draw distinct samples with given inclusion probabilities."""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from theory.checks import InvalidFieldError

Array = NDArray[np.float64]
Indices = NDArray[np.intp]
Sampling = Literal["fixed", "poisson"]

CERTAIN = 1 - 1e-12
"""Samples with at least this inclusion probability are taken outright."""

WHOLE = 1e-6
"""An expected size this close to a whole number is one, but for rounding."""


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
    Raises ValueError on another ``sampling``.

    >>> draw_indices(np.array([1.0, 0.0, 0.5, 0.5]), "fixed", np.random.default_rng(0)).size
    2
    """
    if sampling == "poisson":
        return np.flatnonzero(generator.random(probabilities.size) < probabilities)
    if sampling == "fixed":
        return _systematic(probabilities, generator)
    raise InvalidFieldError("sampling", sampling, "'fixed' or 'poisson'")


def _systematic(probabilities: Array, generator: np.random.Generator) -> Indices:
    """Systematic sampling in random order: a comb of spacing 1 over the summed probabilities."""
    certain = np.flatnonzero(probabilities >= CERTAIN)
    others = generator.permutation(np.flatnonzero((probabilities > 0) & (probabilities < CERTAIN)))
    if not others.size:
        return certain
    ends = np.cumsum(probabilities[others])
    total = float(ends[-1])
    if round(total) > 0 and abs(total - round(total)) < WHOLE:
        ends *= round(total) / total
        total = float(round(total))
    start = float(generator.random())
    comb = start + np.arange(max(0, int(np.ceil(total - start))))
    hit = np.minimum(np.searchsorted(ends, comb, side="right"), others.size - 1)
    return np.sort(np.concatenate([certain, others[hit]]))
