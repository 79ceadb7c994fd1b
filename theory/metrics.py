"""Test error and test log loss of a linear classifier, exactly, for the data models of the theory.

A classifier enters through alpha_0 (its coefficient on h), its intercept b, and tau, the norm of
the rest: on test data its output is alpha_0 h + b + tau G with G ~ N(0, 1). The same functions
serve the limit (tau^2 = alpha_s^2 + alpha_perp^2) and a fitted vector (tau is the norm of all but
its first coordinate).
"""

import math
from functools import lru_cache

import numpy as np
from scipy.special import ndtr

from theory.kinds import DataModel
from theory.quadrature import graded_edges, marked_normal_rule

ORDER = 16
"""Gauss-Legendre nodes per panel, unless asked otherwise."""

OUTPUT_MARKS = (-40.0, -20.0, -10.0, -5.0, -2.0, 0.0, 2.0, 5.0, 10.0, 20.0, 40.0)
"""Outputs at which panels end, as log(1 + exp(z)) bends near z = 0."""


def misclassification(
    data: DataModel, alpha_0: float, intercept: float, tau: float, order: int = ORDER
) -> float:
    """P(y (alpha_0 h + b + tau G) < 0), a probability; ties count half.

    = E[f(h) Phi(-(alpha_0 h + b)/tau) + (1 - f(h)) Phi((alpha_0 h + b)/tau)].

    >>> from theory.data import F1, SingleIndex
    >>> round(misclassification(SingleIndex(F1, 5.0), alpha_0=1.0, intercept=0.0, tau=0.0), 12)
    0.05
    >>> round(misclassification(SingleIndex(F1, 5.0), alpha_0=0.0, intercept=0.0, tau=1.0), 12)
    0.5
    """
    marks = error_marks(data, alpha_0, intercept, tau)
    h, weight = marked_normal_rule(data.means, data.weights, 1.0, marks, order)
    output = alpha_0 * h + intercept
    negative = ndtr(-output / tau) if tau > 0 else np.where(output == 0, 0.5, output < 0)
    positive_label = data.label_probability(h)
    return float(weight @ (positive_label * negative + (1 - positive_label) * (1 - negative)))


def log_loss(
    data: DataModel, alpha_0: float, intercept: float, tau: float, order: int = ORDER
) -> float:
    """E log(1 + exp(-y z)) with z = alpha_0 h + b + tau G, in nats.

    As log(1 + exp(-y z)) = log(1 + exp(z)) - z 1{y = 1} and z is a mixture of normals, this takes
    two one-dimensional integrals: E log(1 + exp(z)) - E[f(h) (alpha_0 h + b)].

    >>> from theory.data import F1, SingleIndex
    >>> round(log_loss(SingleIndex(F1, 5.0), 0.0, 0.0, 0.0) - math.log(2), 12)
    0.0
    """
    of_h, of_one = _positive_moments(data, order)
    linear = alpha_0 * of_h + intercept * of_one
    centres = [alpha_0 * m + intercept for m in data.means]
    deviation = math.hypot(alpha_0, tau)
    if deviation == 0:
        return float(np.asarray(data.weights) @ np.logaddexp(0, centres)) - linear
    z, weight = marked_normal_rule(centres, data.weights, deviation, OUTPUT_MARKS, order)
    return float(weight @ np.logaddexp(0, z)) - linear


@lru_cache(maxsize=1024)
def _positive_moments(data: DataModel, order: int) -> tuple[float, float]:
    """E[f(h) h] and E f(h)."""
    h, weight = marked_normal_rule(data.means, data.weights, 1.0, label_marks(data), order)
    positive = weight * data.label_probability(h)
    return float(positive @ h), float(positive.sum())


def error_marks(data: DataModel, alpha_0: float, intercept: float, tau: float) -> list[float]:
    """h at the ends of panels for the misclassification: around bends of f and the boundary."""
    marks = label_marks(data)
    if alpha_0 != 0:
        boundary, width = -intercept / alpha_0, tau / abs(alpha_0)
        marks += [boundary + k * width for k in (-8.0, -4.0, -2.0, 0.0, 2.0, 4.0, 8.0)]
    return marks


def label_marks(data: DataModel) -> list[float]:
    """h at the ends of panels around every jump and bend of f."""
    return [h for curve in data.label_curves for h in graded_edges(curve.bends_blurred())]
