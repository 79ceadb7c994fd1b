"""Draw the selected subset and its weights."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from theory.selection import Selection


class Subset(NamedTuple):
    """Indices into the pool and the weights S > 0 of the selected samples, both of shape [n]."""

    indices: NDArray[np.intp]
    weights: NDArray[np.float64]


def draw_subset(
    selection: Selection, scores: NDArray[np.float64], uniforms: NDArray[np.float64]
) -> Subset:
    """Include sample i if its uniform is below pi(t_i), with pi fitted to the realised scores.

    >>> from theory import RandomSelection
    >>> draw_subset(RandomSelection(0.5), np.zeros(3), np.array([0.1, 0.7, 0.4])).indices
    array([0, 2])
    """
    probabilities = selection.inclusion_probabilities(scores)
    indices = np.flatnonzero(uniforms < probabilities)
    if selection.reweight:
        return Subset(indices, 1 / probabilities[indices])
    return Subset(indices, np.ones(indices.size))
