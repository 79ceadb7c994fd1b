"""How the predicted test error of the population equations answers to every inclusion probability.

At a solution of `theory.population_equations` the test error R (mean of Phi(-t_i), every point
tested without itself as in `theory.population`) depends on pi directly and through theta, V_i and
sigma_i^2. With multipliers a (of Lambda theta + g = 0), b_i (of V_i) and c_i (of sigma_i^2),

    P = sum b_i x_i x_i^T / N,   Q = sum c_i x_i x_i^T / N,   D = A Q A,
    F = -A P A - (D M A + A M D),   e = a - 2 D g,

a change of a point's pi_i E r, pi_i E kappa and pi_i E r^2 adds to the Lagrangian

    (y_i x_i^T e E r + x_i^T F x_i E kappa + x_i^T D x_i E r^2) / n

each, so that dR/dpi_i is this plus the direct part, and the multipliers follow from stationarity in
theta, V_i and sigma_i^2. Derivatives of the expectations are expectations again, by Stein's lemma
and dr/dV = -r kappa at fixed z, so that no third derivative of the loss is needed.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import inv
from scipy.sparse.linalg import LinearOperator, gmres
from scipy.special import ndtr

from theory.losses import Loss, response
from theory.population_equations import Points, Setting, State, noise_rules

Array = NDArray[np.float64]

PRECISION = 1e-8
"""Relative residual of the multipliers' equations."""

MOST_SWEEPS = 200


class Slopes(NamedTuple):
    """E r, E kappa and E r^2 (rows) and their derivatives in m_i, V_i and sigma_i^2: [3, n]."""

    value: Array
    by_margin: Array
    by_v: Array
    by_variance: Array


def error_and_derivative(points: Points, setting: Setting, state: State) -> tuple[float, Array]:
    """The test error R at a solution, and dR/dpi_i at fixed weights, shape [n].

    Raises ArithmeticError if the multipliers' equations are not solved.
    """
    x, y = points.design.astype(np.float64), points.labels
    n, pi, size = len(y), setting.probability, setting.pool_size
    margin = y * (x @ state.theta)
    s = response_slopes(margin, np.sqrt(state.variance), state.v, setting.weight, points.loss)
    error, direct = _test_error(margin, state.v, state.variance, pi, size, s)
    g = x.T @ (pi * y * s.value[0]) / n
    a_matrix = inv(np.diag(setting.penalty) + (x * (pi * s.value[1])[:, None]).T @ x / n)
    m = (x * (pi * s.value[2])[:, None]).T @ x / n - np.outer(g, g)

    def added(v_part: Array, variance_part: Array) -> tuple[Array, Array]:
        """What a change of pi_i E r, pi_i E kappa, pi_i E r^2 adds, [3, n]; a."""
        p = (x * v_part[:, None]).T @ x / size
        q = (x * variance_part[:, None]).T @ x / size
        d = a_matrix @ q @ a_matrix
        dma = d @ m @ a_matrix
        f = -a_matrix @ p @ a_matrix - dma - dma.T
        by_h = np.einsum("ij,ij->i", x @ f, x) / n
        by_m = np.einsum("ij,ij->i", x @ d, x) / n
        by_g = -2 * y * (x @ (d @ g)) / n
        pull = pi * (by_g * s.by_margin[0] + by_h * s.by_margin[1] + by_m * s.by_margin[2])
        a = -a_matrix @ (x.T @ (y * (pull + direct.by_margin)))
        return np.array([by_g + y * (x @ a) / n, by_h, by_m]), a

    def image(u: Array) -> Array:
        each, _ = added(u[:n], u[n:])
        v = pi * (each * s.by_v).sum(axis=0) + direct.by_v
        variance = pi * (each * s.by_variance).sum(axis=0) + direct.by_variance
        return np.concatenate([v, variance])

    # V_i and sigma_i^2 differ in size: in relative changes both count alike.
    scale = np.concatenate([state.v, state.variance])
    constant = image(np.zeros(2 * n))

    def residual(u: Array) -> Array:
        return np.asarray(u - scale * (image(u / scale) - constant))

    operator = LinearOperator((2 * n, 2 * n), matvec=residual, dtype=np.float64)
    u, failed = gmres(
        operator, scale * constant, rtol=PRECISION, atol=0.0, restart=50, maxiter=MOST_SWEEPS // 50
    )
    if failed:
        raise ArithmeticError("the adjoint of the population equations is not solved")
    u = u / scale
    each, _ = added(u[:n], u[n:])
    return error, np.asarray((each * s.value).sum(axis=0) + direct.by_probability)


class _Direct(NamedTuple):
    """Derivatives of the mean of Phi(-t_i) at fixed others, [n]."""

    by_margin: Array
    by_v: Array
    by_variance: Array
    by_probability: Array


def _test_error(
    margin: Array, v: Array, variance: Array, pi: Array, size: int, s: Slopes
) -> tuple[float, _Direct]:
    """R and its slopes: t_i = (m_i + u_i E r) / sigma_i, u_i = h_i / (1 - h_i E kappa)."""
    n, deviation = len(margin), np.sqrt(variance)
    h = pi * size * v / n
    u = h / (1 - h * s.value[1])
    t = (margin + u * s.value[0]) / deviation
    by_t = -np.exp(-(t**2) / 2) / (math.sqrt(2 * math.pi) * n)
    by_m = by_t / deviation
    of_h = s.value[0] / (1 - h * s.value[1]) ** 2

    def through(slope: Array) -> Array:
        """Of u_i E r, by E r and E kappa."""
        return np.asarray(u * slope[0] + s.value[0] * u**2 * slope[1])

    return float(ndtr(-t).mean()), _Direct(
        by_margin=by_m * (1 + through(s.by_margin)),
        by_v=by_m * (through(s.by_v) + of_h * pi * size / n),
        by_variance=by_m * through(s.by_variance) - by_t * t / (2 * variance),
        by_probability=by_m * of_h * size * v / n,
    )


def response_slopes(margin: Array, deviation: Array, v: Array, weight: Array, loss: Loss) -> Slopes:
    """E r, E kappa, E r^2 for z = margin + deviation G, with derivatives; all of shape [n].

    >>> from theory.losses import SquaredLoss
    >>> one = np.ones(1)
    >>> slopes = response_slopes(0 * one, 2 * one, 3 * one, one, SquaredLoss())
    >>> np.allclose(slopes.by_v[:, 0], [1 / 16, -1 / 16, -10 / 64])
    True
    """
    sums = np.empty((8, len(margin)))
    for rows, z, density in noise_rules(margin, deviation, v * weight, loss):
        gap, contraction = response(loss, z, (v * weight)[rows, None])
        r, kappa = gap / v[rows, None], contraction / v[rows, None]
        noise = (z - margin[rows, None]) / deviation[rows, None]
        for k, values in enumerate(
            (
                r,
                kappa,
                r**2,
                r * kappa,
                r**2 * kappa,
                kappa * noise,
                r * kappa * noise,
                kappa * (noise**2 - 1),
            )
        ):
            sums[k, rows] = (values * density).sum(axis=1)
    r, kappa, r2, rk, r2k, kg, rkg, kg2 = sums
    of_kappa = kg / deviation  # of E kappa, by Stein's lemma
    return Slopes(
        value=np.array([r, kappa, r2]),
        by_margin=np.array([kappa, of_kappa, 2 * rk]),
        by_v=np.array([-rk, -rkg / deviation, -2 * r2k]),
        by_variance=np.array([of_kappa / 2, kg2 / (2 * deviation**2), rkg / deviation]),
    )
