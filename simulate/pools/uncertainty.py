"""How unsure a classifier is of a sample, on one scale: a logit of two classes.

    margin            largest minus second logit
    entropy           -sum p log p
    least-confidence  1 - largest p
    gini              1 - sum p^2, the trace of the softmax loss's Hessian

An uncertainty other than the margin becomes the size of the logit at which two classes are as
uncertain, relative to the largest value. So every rule of the score carries over to any number of
classes, and for two all four are |t|.
"""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.special import entr, expit, log_softmax

from theory.checks import InvalidFieldError, as_number, near_names

Array = NDArray[np.float64]

LARGEST = 40.0
"""Equivalent logits are no larger: beyond, a probability is 1 in double precision."""

GRID = np.linspace(0.0, LARGEST, 4001)


def _entropy_logit(p: Array) -> Array:
    share = entr(p).sum(axis=1) / np.log(p.shape[1])
    of_two = (entr(expit(GRID)) + entr(expit(-GRID))) / np.log(2)
    # the entropy falls with the logit; close to e^-t, so that logarithms interpolate well
    return np.asarray(np.interp(-np.log(np.maximum(share, 1e-300)), -np.log(of_two), GRID))


def _confidence_logit(p: Array) -> Array:
    classes = p.shape[1]
    doubt = (p.sum(axis=1) - p.max(axis=1)) * classes / (2 * (classes - 1))
    return np.asarray(np.log(np.maximum((1 - doubt) / np.maximum(doubt, 1e-300), 1.0)))


def _gini_logit(p: Array) -> Array:
    classes = p.shape[1]
    share = (p * (1 - p)).sum(axis=1) * classes / (classes - 1)
    return np.asarray(2 * np.arccosh(1 / np.sqrt(np.clip(share, 1e-300, 1.0))))


UNCERTAINTIES: Mapping[str, Callable[[Array], Array] | None] = {
    "margin": None,
    "entropy": _entropy_logit,
    "least-confidence": _confidence_logit,
    "gini": _gini_logit,
}


def as_uncertainty(name: str) -> str:
    """The name of an uncertainty. Raises InvalidFieldError, a ValueError, on another."""
    if name not in UNCERTAINTIES:
        raise InvalidFieldError("uncertainty", name, near_names(str(name), list(UNCERTAINTIES)))
    return name


def multiclass_scores(logits: Array, uncertainty: str = "margin") -> Array:
    """Scores t >= 0 of samples, shape [N], from logits of K >= 2 classes, shape [N, K].

    uncertainty: a name in ``UNCERTAINTIES``.

    >>> logits = np.log([[0.7, 0.2, 0.1], [0.4, 0.35, 0.25], [1 / 3, 1 / 3, 1 / 3]])
    >>> multiclass_scores(logits).round(2)
    array([1.25, 0.13, 0.  ])
    >>> multiclass_scores(logits, "entropy").round(2)
    array([1.36, 0.3 , 0.  ])
    """
    measure = UNCERTAINTIES[as_uncertainty(uncertainty)]
    if measure is None:
        ordered = np.partition(logits, -2, axis=1)
        return np.asarray(ordered[:, -1] - ordered[:, -2])
    return np.clip(measure(np.exp(log_softmax(logits, axis=1))), 0.0, LARGEST)


def with_floor(probabilities: Array, members: NDArray[np.intp], floor: float) -> Array:
    """Inclusion probabilities with the same sum of which every predicted class has its floor.

    members: numbers of the predicted classes, shape [N]. floor in [0, 1]: of an equal share of the
    samples among the classes that are predicted, which a class gets at least, or all of it where it
    is smaller. Within a class that has less, every probability p becomes p + w (1 - p); within the
    others all shrink by one factor.

    >>> with_floor(np.array([0.9, 0.9, 0.9, 0.9, 0.4]), np.array([0, 0, 0, 0, 1]), 0.5).round(2)
    array([0.75, 0.75, 0.75, 0.75, 1.  ])
    """
    share = as_number("floor", floor, "a number in [0, 1]")
    if not 0 <= share <= 1:
        raise InvalidFieldError("floor", share, "a number in [0, 1]")
    classes, members = np.unique(members, return_inverse=True)
    sizes = np.bincount(members)
    total, sums = float(probabilities.sum()), np.bincount(members, weights=probabilities)
    least = np.minimum(share * total / len(classes), sizes)
    raised = np.zeros(len(classes), dtype=bool)
    scale = 1.0
    for _ in classes:
        low = scale * sums < least * (1 - 1e-12)
        if not (low & ~raised).any():
            break
        raised |= low
        rest = float(sums[~raised].sum())
        scale = max(0.0, total - float(least[raised].sum())) / rest if rest else 0.0
    grown = (least - sums) / np.maximum(sizes - sums, 1e-300)
    own, up = raised[members], np.clip(grown, 0.0, 1.0)[members]
    lifted = probabilities + up * (1 - probabilities)
    # a class may lie above its floor once others were raised, and is then lowered to it
    lower = np.minimum(1.0, least / np.maximum(sums, 1e-300))[members]
    lifted = np.where(sums[members] > least[members], probabilities * lower, lifted)
    return np.where(own, lifted, probabilities * scale)
