"""Draw the selected subset and its weights."""

import numpy as np
from numpy.typing import NDArray

from theory.kinds import Selection

Array = NDArray[np.float64]


def draw_weights(selection: Selection, scores: Array, uniforms: Array) -> Array:
    """Weights S_i, shape [N]: sample i is selected if its uniform is below pi(t_i), else S_i = 0.

    pi is fitted to the realised scores. S_i = 1 for a selected sample, or 1/pi with reweighting.

    >>> from theory import RandomSelection
    >>> draw_weights(RandomSelection(0.5, reweight=True), np.zeros(3), np.array([0.1, 0.7, 0.4]))
    array([2., 0., 2.])
    """
    probabilities = selection.inclusion_probabilities(scores)
    weights = (uniforms < probabilities).astype(np.float64)
    if selection.reweight:
        np.divide(weights, probabilities, out=weights, where=weights > 0)
    return weights
