"""The constant of a rule, from the fraction it is to keep."""

import math

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from theory.checks import InvalidFieldError, as_fraction
from theory.low_dimensional.features import GaussianFeatures, Marks, Points
from theory.low_dimensional.model import Model
from theory.low_dimensional.selection import RootSelection, Score, ThresholdSelection, largest

Array = NDArray[np.float64]

ROUNDS = 30
"""Most times that points are placed anew around the kinks of a rule."""


BINS = 32
"""Parts of the law of |x - h e|^2 at every h, for a first guess."""


def root_selection(
    model: Model,
    score: Score,
    fraction: float,
    reweight: bool = True,
    knows_labels: bool = False,
) -> RootSelection:
    """pi = min(1, c sqrt(score)) with E pi = fraction under the model.

    fraction: in (0, 1], and below the probability of a positive score. Raises InvalidFieldError.

    >>> from theory.low_dimensional import GaussianFeatures, LinearLabels
    >>> model = Model(GaussianFeatures(2), LinearLabels())
    >>> rule = root_selection(model, lambda x: (x.explicit[:, 0] ** 2 + x.rest)[None], 0.1)
    >>> round(model.fraction(rule), 10)
    0.1
    """
    fraction = as_fraction("fraction", fraction)

    def rule(c: float) -> RootSelection:
        return RootSelection(score, c, model.kinks, reweight, knows_labels)

    if fraction == 1:
        return rule(math.inf)
    points = model.points(marks=Marks(bins=BINS))
    c = 0.0
    for _ in range(ROUNDS):
        before, c = c, _root_constant(model, score, fraction, knows_labels, points)
        if not isinstance(model.features, GaussianFeatures) or abs(c - before) <= 1e-12 * c:
            break
        points = model.points(rule(c))
    return rule(c)


def _root_constant(
    model: Model, score: Score, fraction: float, knows_labels: bool, points: Points
) -> float:
    """c at these points: with the saturated ones known, E pi is linear in c."""
    root = np.sqrt(np.maximum(score(points), 0))
    share = model.labels.shares(model.index(points)) if knows_labels else np.ones((1, 1))
    weight = np.broadcast_to(points.weight * share, root.shape)
    if fraction >= float(weight[root > 0].sum()) - 1e-12:
        raise InvalidFieldError(
            "fraction", fraction, "below the probability of a positive score, or 1"
        )
    c = fraction / float((weight * root).sum())
    for _ in range(200):
        saturated = c * root >= 1
        left = fraction - float(weight[saturated].sum())
        before, c = c, left / float((weight * root)[~saturated].sum())
        if abs(c - before) <= 1e-15 * c:
            break
    return c


def threshold_selection(
    model: Model, score: Score, fraction: float, knows_labels: bool = False
) -> ThresholdSelection:
    """pi = 1 where score > tau, with E pi = fraction; randomised on ties of a weighted sample.

    >>> from theory.low_dimensional import GaussianFeatures, LinearLabels
    >>> model = Model(GaussianFeatures(2), LinearLabels())
    >>> rule = threshold_selection(model, lambda x: (x.explicit[:, 0] ** 2 + x.rest)[None], 0.1)
    >>> round(rule.threshold, 9) == round(-2 * math.log(0.1), 9)
    True
    """
    fraction = as_fraction("fraction", fraction)
    if fraction == 1:
        return ThresholdSelection(score, -math.inf, model.kinks, knows_labels=knows_labels)
    points = model.points(marks=Marks(bins=BINS))
    values = score(points)
    share = model.labels.shares(model.index(points)) if knows_labels else np.ones((1, 1))
    weight = np.broadcast_to(points.weight * share, values.shape).ravel()
    flat = values.ravel()
    chosen = largest(weight, flat, fraction)
    tau = float(flat[(chosen > 0) & (weight > 0)].min())

    def rule(tau: float, tie: float = 0.0) -> ThresholdSelection:
        return ThresholdSelection(score, tau, model.kinks, tie, knows_labels=knows_labels)

    if not isinstance(model.features, GaussianFeatures):
        above, tied = model.fraction(rule(tau)), model.fraction(rule(tau, 1.0))
        return rule(tau, min(1.0, max(0.0, (fraction - above) / (tied - above))))

    def excess(tau: float) -> float:
        return model.fraction(rule(tau)) - fraction

    width = 1e-3 * (float(np.abs(flat[weight > 1e-12]).max()) + 1e-300)
    low, high = tau - width, tau + width
    while excess(low) < 0:
        low -= width
        width *= 2
    while excess(high) > 0:
        high += width
        width *= 2
    return rule(float(brentq(excess, low, high, xtol=1e-15 * max(1.0, abs(tau)), rtol=1e-14)))
