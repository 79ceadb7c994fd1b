"""The Lagrangian of the paper's Theorem 4 and its stationarity equations.

The fitted model splits into coefficients on the explicit features (alpha_0 on h, and the intercept
b if there is one) and a part of norm alpha_perp in the directions that enter only as noise
G ~ N(0, 1):

    z = z_0 + alpha_perp G,   z_0 = alpha_0 h + b.

In terms of margins (everything multiplied by the label y), with v the proximal point of (S/mu) loss
at z and r = mu (z - v) = S loss'(v), the Lagrangian is

    L(alpha, mu) = (lambda/2) (alpha_0^2 + alpha_perp^2) - mu alpha_perp^2 / (2 delta)
                   + E min_v [ S loss(v) + (mu/2) (z - v)^2 ]

and its saddle point, min over alpha and max over mu >= 0, solves

    lambda alpha_0 + E[r h] = 0                                            (eq. 5.3)
    E[r] = 0                                          (only with an intercept)
    alpha_perp^2 = delta E[r^2] / mu^2                                     (eq. 5.4)
    mu = delta (lambda + V),   V = E[S loss''(v) / (1 + (S/mu) loss''(v))]   (eq. 5.5).

E includes the label and the draw of the subset. Everything here runs inside compiled code.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp

from theory.losses import Loss, proximal_point
from theory.nodes import Nodes
from theory.quadrature import gaussian_expectation


class OrderParameters(NamedTuple):
    """Coefficients on the explicit features, shape [d], alpha_perp > 0 and mu > 0."""

    coefficients: Any
    alpha_perp: Any
    mu: Any


class Setting(NamedTuple):
    """Numbers of the equations beside the nodes: penalty on each coefficient, ridge, N/p."""

    penalty: Any
    ridge: Any
    samples_per_dimension: Any


class Moments(NamedTuple):
    """E[r x] for every explicit feature x (shape [d]), E[r^2] and V."""

    slope_features: Any
    slope_squared: Any
    curvature: Any


def lagrangian(
    x: OrderParameters, nodes: Nodes, setting: Setting, loss: Loss, panel_width: float, order: int
) -> Any:
    """L(alpha, mu), a scalar."""
    v_of = _proximal_points(x, nodes, loss)

    def envelope(noise: Any) -> Any:
        z, v = v_of(noise)
        return (nodes.scale * loss.value(v) + x.mu / 2 * (z - v) ** 2,)

    shape = nodes.weight.shape
    (expected,) = gaussian_expectation(envelope, 1, shape, panel_width / x.alpha_perp, order)
    penalty = setting.penalty @ x.coefficients**2 + setting.ridge * x.alpha_perp**2
    return (
        penalty / 2
        - x.mu * x.alpha_perp**2 / (2 * setting.samples_per_dimension)
        + nodes.weight @ expected
    )


def moments(
    x: OrderParameters, nodes: Nodes, loss: Loss, panel_width: float, order: int
) -> Moments:
    """The expectations in the stationarity equations."""
    v_of = _proximal_points(x, nodes, loss)

    def integrand(noise: Any) -> Any:
        z, v = v_of(noise)
        r = x.mu * (z - v)
        bend = nodes.scale * loss.curvature(v)
        return r, r**2, bend / (1 + bend / x.mu)

    shape = nodes.weight.shape
    r, r_squared, curvature = gaussian_expectation(
        integrand, 3, shape, panel_width / x.alpha_perp, order
    )
    return Moments(
        slope_features=(nodes.weight * r) @ nodes.features,
        slope_squared=nodes.weight @ r_squared,
        curvature=nodes.weight @ curvature,
    )


def stationarity(x: OrderParameters, m: Moments, setting: Setting) -> Any:
    """Left minus right sides of the printed equations, shape [d + 2]."""
    delta = setting.samples_per_dimension
    return jnp.concatenate(
        [
            setting.penalty * x.coefficients + m.slope_features,
            jnp.stack(
                [
                    x.alpha_perp**2 - delta * m.slope_squared / x.mu**2,
                    x.mu - delta * (setting.ridge + m.curvature),
                ]
            ),
        ]
    )


def fixed_point_map(x: OrderParameters, m: Moments, setting: Setting) -> OrderParameters:
    """The map whose fixed points solve the stationarity equations.

    Each coefficient follows from its own equation with E[r x] linearised, slope V; mu and
    alpha_perp follow from theirs directly.
    """
    delta = setting.samples_per_dimension
    mu = delta * (setting.ridge + m.curvature)
    return OrderParameters(
        coefficients=(m.curvature * x.coefficients - m.slope_features)
        / (setting.penalty + m.curvature),
        alpha_perp=jnp.sqrt(delta * m.slope_squared) / mu,
        mu=mu,
    )


def _proximal_points(x: OrderParameters, nodes: Nodes, loss: Loss) -> Any:
    """A function from noise, shape [q], to (z, v), both of shape [q, n]."""
    z_0 = jnp.asarray(nodes.features) @ x.coefficients
    eta = nodes.scale / x.mu

    def points(noise: Any) -> Any:
        z = z_0 + x.alpha_perp * noise[:, None]
        return z, proximal_point(loss, z, eta)

    return points
