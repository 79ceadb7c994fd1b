"""Draw the selected subset and its weights."""

import math

import numpy as np
from numpy.typing import NDArray

from theory.kinds import FixedFraction, Selection

Array = NDArray[np.float64]

NOISE = 6.0
"""Standard deviations of the number of selected samples that count as sampling noise."""


def draw_weights(selection: Selection, scores: Array, uniforms: Array) -> Array:
    """Weights S_i, shape [N]: sample i is selected if its uniform is below pi(t_i), else S_i = 0.

    pi is fitted to the realised scores. S_i = 1 for a selected sample unless the selection weighs.
    Raises ValueError, naming the selection, if pi is no probability, or if the scheme has a
    ``fraction`` and pi does not sum to it, beyond one sample and sampling noise.

    >>> from theory import RandomSelection
    >>> draw_weights(RandomSelection(0.5, reweight=True), np.zeros(3), np.array([0.1, 0.7, 0.4]))
    array([2., 0., 2.])
    """
    probabilities = np.asarray(selection.inclusion_probabilities(scores), dtype=np.float64)
    _check(selection, probabilities, scores)
    weights = (uniforms < probabilities).astype(np.float64)
    return weights * selection.weights(scores, probabilities) if selection.weighs else weights


def _check(selection: Selection, probabilities: Array, scores: Array) -> None:
    if not np.isfinite(scores).all():
        raise ValueError(f"{np.sum(~np.isfinite(scores))} of {scores.size} scores are not finite")
    if probabilities.shape != scores.shape:
        raise ValueError(
            f"{selection} gives probabilities of shape {probabilities.shape} for scores of shape"
            f" {scores.shape}"
        )
    wrong = ~((probabilities >= 0) & (probabilities <= 1))  # NaN is wrong too
    if wrong.any():
        raise ValueError(
            f"{selection} gives a probability {probabilities[wrong][0]} at the score"
            f" {scores[wrong][0]:g}: it must lie in [0, 1]"
        )
    if not isinstance(selection, FixedFraction):
        return
    fraction = selection.fraction
    noise = math.sqrt(fraction * (1 - fraction) * scores.size)
    if abs(probabilities.sum() - fraction * scores.size) > 1 + NOISE * noise:
        raise ValueError(
            f"{selection} asks for the fraction {fraction:g} and selects"
            f" {probabilities.mean():.4g} of {scores.size} samples"
        )
