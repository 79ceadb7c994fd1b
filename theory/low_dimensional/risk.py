"""The coefficient rho = lim N E|theta_hat - theta*|^2_Q of a selection.

With G = E[gradient gradient^T | x] and H = E[Hessian | x] at the target, S the weight of a sample,

    rho(S; Q) = Tr(G_S H_S^-1 Q H_S^-1),   G_S = E[S^2 G],   H_S = E[S H],

where E[S^2] = pi or 1/pi and E[S] = pi or 1. Without reweighting, and where E[gradient | x] is not
0, the target is the minimiser theta*(pi) of E[pi loss], and rho is the spread around it.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from theory.checks import InvalidFieldError
from theory.low_dimensional.features import NEGLIGIBLE, Features, GaussianFeatures, Points
from theory.low_dimensional.labels import Averages
from theory.low_dimensional.model import Model, inverse
from theory.low_dimensional.selection import Selection

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Risk:
    """What low-dimensional theory says of one selection.

    rho: lim N E|theta_hat - target|^2_Q. fraction: E pi. target: the limit of the estimate, in the
    explicit coordinates. shift: |target - theta*|^2_Q, which does not vanish with N.
    excess_loss: E[loss] at the target above that at theta*. misclassification: of the target
    (NaN for real labels).
    """

    rho: float
    fraction: float
    target: tuple[float, ...]
    shift: float
    excess_loss: float
    misclassification: float


class Matrices(NamedTuple):
    """H_S and G_S, held."""

    hessian: Array
    gradient: Array


def asymptotic_risk(model: Model, selection: Selection, quadratic: object = "parameters") -> Risk:
    """rho of any selection, with the target it estimates.

    quadratic: Q, "parameters" (identity), "excess loss" (H), or a matrix; (along, across) for
    Gaussian features. Raises SingularInformationError where the selected samples do not determine
    the parameters, InvalidFieldError for probabilities outside [0, 1] or a label-aware rule on real
    labels. Source: section 3 of Kolossov, Montanari and Tandon.

    >>> from theory.low_dimensional import GaussianFeatures, LinearLabels, random_selection
    >>> model = Model(GaussianFeatures(3), LinearLabels(2.0))
    >>> round(asymptotic_risk(model, random_selection(0.5)).rho, 10)
    12.0
    """
    q = model.quadratic(quadratic)
    points = model.points(selection)
    target = model.target(selection, points)
    found = matrices(model, selection, points, target)
    a = inverse(found.hessian)
    rho = model.features.trace(found.gradient @ a @ q @ a)
    moved = target - model.optimum
    k = len(moved)
    plain = model.points()
    u, v = model.index(plain), plain.explicit @ target
    least = model.averages(plain, model.optimum).loss[0]
    excess = float(plain.weight @ (model.averages(plain, target).loss[0] - least))
    return Risk(
        rho=rho,
        fraction=model.fraction(selection, points),
        target=tuple(float(t) for t in target),
        shift=float(moved @ q[:k, :k] @ moved),
        excess_loss=excess,
        misclassification=float(plain.weight @ model.labels.wrong(u, v)),
    )


def matrices(model: Model, selection: Selection, points: Points, theta: Array) -> Matrices:
    """H_S and G_S of a selection at a parameter."""
    averages = model.averages(points, theta, selection.knows_labels)
    pi = selection.probability(points)
    if selection.reweight:
        squares = averages.squared_slope
        if np.any((pi == 0) & (squares > 0) & (points.weight > NEGLIGIBLE)):
            raise InvalidFieldError(
                "selection", "zero", "positive wherever gradients are not 0, to be reweighted"
            )
        hessian = averages.curvature.sum(axis=0)
        quotient = np.divide(squares, pi, out=np.zeros_like(squares), where=pi > 0)
        gradient: Array = quotient.sum(axis=0)
    else:
        hessian = (pi * averages.curvature).sum(axis=0)
        gradient = (pi * averages.squared_slope).sum(axis=0)
    if selection.reweight and isinstance(model.features, GaussianFeatures):
        _check_finite(points, gradient)
    moment = model.features.moment
    return Matrices(moment(points, hessian), moment(points, gradient))


def _check_finite(points: Points, gradient: Array) -> None:
    """Refuse 1/pi that grows so fast that E[G/pi] has its mass where the rule ends."""
    held = points.weight * gradient * (1 + points.explicit[:, 0] ** 2)
    far = np.abs(points.explicit[:, 0]) > TAIL
    if held[far].sum() > 1e-8 * held.sum():
        raise InvalidFieldError(
            "selection", "1/pi", "of slower growth, to be reweighted: E[G/pi] is infinite or nearly"
        )


TAIL = 8.0
"""Standard deviations beyond which a convergent E[G/pi] has next to no mass."""


class Variation(NamedTuple):
    """M = A Q A and B = sym(A Q A G_pi A), with A = H_pi^-1.

    Z_pi(x) = 2 Tr(H B) - Tr(G M), and rho falls at first by E[Z_pi dpi] where pi grows by dpi.
    """

    gradient_form: Array
    hessian_form: Array

    def score(self, features: Features, points: Points, averages: Averages) -> Array:
        """Z_pi at every point, shape [1, n]."""
        b = features.quadratic(points, self.hessian_form)
        m = features.quadratic(points, self.gradient_form)
        return 2 * averages.curvature * b - averages.squared_slope * m


def variation(found: Matrices, q: Array) -> Variation:
    """The matrices of the first variation of rho without reweighting.

    >>> variation(Matrices(2 * np.eye(1), np.eye(1)), np.eye(1))
    Variation(gradient_form=array([[0.25]]), hessian_form=array([[0.125]]))
    """
    a = inverse(found.hessian)
    m = a @ q @ a
    b = m @ found.gradient @ a
    return Variation(m, (b + b.T) / 2)
