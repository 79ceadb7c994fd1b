"""Weighted, ridge-penalised softmax regression."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import log_softmax

Array = NDArray[np.float64]

GRADIENT_TOLERANCE = 1e-7
"""A fit has converged when its gradient norm has fallen by this factor from that at zero."""


class SoftmaxFit(NamedTuple):
    """coefficients: [p, K]; intercepts: [K], which sum to 0; converged: to the tolerance."""

    coefficients: Array
    intercepts: Array
    converged: bool


def fit_softmax(
    features: NDArray[Any],
    members: NDArray[np.intp],
    classes: int,
    weights: Array,
    pool_size: int,
    ridge: float,
    fit_intercept: bool = True,
) -> SoftmaxFit:
    """Minimise (1/N) sum_i S_i (log sum_c exp o_ic - o_i,y_i) + ridge |Theta|^2 / 2.

    Outputs o are X Theta + b.
    features: shape [n, p]. members: class numbers from 0 to classes - 1, shape [n]. weights: S_i >=
    0, shape [n]. pool_size: N. ridge >= 0, on the coefficients of all classes; b is free.
    The same as scikit-learn's LogisticRegression with C = 1/(ridge N). By a Newton method that
    keeps to a trust region (scipy.optimize), with products with the Hessian.

    >>> x, members = np.array([[-1.0], [0.0], [1.0]]), np.array([0, 1, 2])
    >>> found = fit_softmax(x, members, 3, np.ones(3), 3, ridge=0.1)
    >>> found.converged, bool(abs(found.coefficients.sum()) < 1e-8)
    (True, True)
    """
    used = np.flatnonzero(weights)
    x = np.asarray(features[used], dtype=np.float64)
    y, w = members[used], weights[used] / pool_size
    rows, (n, p) = np.arange(used.size), x.shape
    shape = p + fit_intercept, classes
    penalty = np.full((shape[0], 1), ridge)
    penalty[p:] = 0.0
    if fit_intercept:
        x = np.column_stack([x, np.ones(n)])

    def log_probabilities(theta: Array) -> Array:
        return np.asarray(log_softmax(x @ theta.reshape(shape), axis=1))

    def value(theta: Array) -> float:
        table = theta.reshape(shape)
        losses = -log_probabilities(theta)[rows, y]
        return float(w @ losses + (penalty * table**2).sum() / 2)

    def slope(theta: Array) -> Array:
        pull = np.exp(log_probabilities(theta))
        pull[rows, y] -= 1
        return np.asarray(x.T @ (w[:, None] * pull) + penalty * theta.reshape(shape)).ravel()

    def hessian_product(theta: Array, direction: Array) -> Array:
        q = np.exp(log_probabilities(theta))
        along = x @ direction.reshape(shape)
        bent = q * (along - (q * along).sum(axis=1, keepdims=True))
        return np.asarray(x.T @ (w[:, None] * bent) + penalty * direction.reshape(shape)).ravel()

    start = np.zeros(shape).ravel()
    target = GRADIENT_TOLERANCE * float(np.linalg.norm(slope(start)))
    found = minimize(
        value,
        start,
        method="trust-ncg",
        jac=slope,
        hessp=hessian_product,
        options={"gtol": target, "initial_trust_radius": 10.0, "max_trust_radius": 1e6},
    )
    theta = found.x.reshape(shape)
    converged = bool(np.linalg.norm(slope(found.x)) <= 2 * target)
    intercepts = theta[p] - theta[p].mean() if fit_intercept else np.zeros(classes)
    return SoftmaxFit(theta[:p], intercepts, converged)
