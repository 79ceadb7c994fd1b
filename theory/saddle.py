"""The Lagrangian of the paper's Theorem 4 and its stationarity equations.

The fitted model splits into coefficients on the explicit features x (alpha_0 on h; alpha_s on G_s,
the coordinate along the surrogate's error e_s; the intercept b on 1) and a part of norm alpha_perp
in the directions that enter only as noise G ~ N(0, 1):

    z_0 = alpha_0 h + alpha_s G_s + b,   z = z_0 + alpha_perp G.

In terms of margins (everything multiplied by the label y), with v the proximal point of
(S/mu) loss at z and r = mu (z - v) = S loss'(v), the Lagrangian is

    L(alpha, mu) = (lambda/2) (alpha_0^2 + alpha_s^2 + alpha_perp^2) - mu alpha_perp^2 / (2 delta)
                   + E min_v [ S loss(v) + (mu/2) (z - v)^2 ]

and its saddle point, min over alpha and max over mu >= 0, solves

    lambda alpha_0 + E[r h] = 0                                               (eq. 5.3)
    lambda alpha_s + E[r G_s] = 0
    E[r] = 0                                             (only with an intercept)
    alpha_perp^2 = delta E[r^2] / mu^2                                        (eq. 5.4)
    mu = delta (lambda + V),   V = E[S loss''(v) / (1 + (S/mu) loss''(v))]    (eq. 5.5)
                                 = E[mu (1 - dv/dz)] for any loss.

E includes the label and the draw of the subset. Everything here runs inside compiled code.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp

from theory.losses import Loss, proximal_point
from theory.nodes import Nodes
from theory.quadrature import gaussian_expectation, interpolation_table


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


class Resolution(NamedTuple):
    """Of the integrals over G: panel width in units of z, nodes per panel; and table panels."""

    panel_width: float
    order: int
    table_panels: int


class Moments(NamedTuple):
    """E[r x] for every explicit feature x (shape [d]), E[r^2] and V."""

    slope_features: Any
    slope_squared: Any
    curvature: Any


def lagrangian(
    x: OrderParameters, nodes: Nodes, setting: Setting, loss: Loss, resolution: Resolution
) -> Any:
    """L(alpha, mu), a scalar."""

    def envelope(z: Any, v: Any, scale: Any) -> tuple[Any, ...]:
        return (scale * loss.value(v) + x.mu / 2 * (z - v) ** 2,)

    (expected,) = _over_noise(envelope, 1, x, nodes, loss, resolution)
    penalty = setting.penalty @ x.coefficients**2 + setting.ridge * x.alpha_perp**2
    return (
        penalty / 2
        - x.mu * x.alpha_perp**2 / (2 * setting.samples_per_dimension)
        + nodes.weight @ expected
    )


def moments(x: OrderParameters, nodes: Nodes, loss: Loss, resolution: Resolution) -> Moments:
    """The expectations in the stationarity equations."""

    def integrand(z: Any, v: Any, scale: Any) -> tuple[Any, ...]:
        r = x.mu * (z - v)
        return r, r**2, x.mu * loss.contraction(v, z, scale / x.mu)

    r, r_squared, curvature = _over_noise(integrand, 3, x, nodes, loss, resolution)
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


def _over_noise(
    integrand: Callable[[Any, Any, Any], tuple[Any, ...]],
    count: int,
    x: OrderParameters,
    nodes: Nodes,
    loss: Loss,
    resolution: Resolution,
) -> Any:
    """E over G of ``integrand(z, v, S)`` at every node; ``count`` arrays of shape [n].

    With one scale for all nodes the result is a function of z_0 alone. Where nodes outnumber the
    table's, it is computed there and interpolated.
    """
    z_0 = jnp.asarray(nodes.features) @ x.coefficients
    scale = jnp.asarray(nodes.scale)
    tabulated = scale.size == 1 and z_0.size > resolution.table_panels * resolution.order
    if tabulated:
        margin = 1e-6 + 1e-9 * jnp.max(jnp.abs(z_0))
        at, interpolate = interpolation_table(
            jnp.min(z_0) - margin,
            jnp.max(z_0) + margin,
            resolution.table_panels,
            resolution.order,
        )
    else:
        at = z_0
    eta = scale / x.mu

    def of_noise(noise: Any) -> tuple[Any, ...]:
        z = at + x.alpha_perp * noise
        return integrand(z, proximal_point(loss, z, eta), scale)

    panel_width = resolution.panel_width * loss.bend_width / x.alpha_perp
    kinks = [(kink - at) / x.alpha_perp for kink in loss.kinks(eta)]
    values = gaussian_expectation(of_noise, count, at.shape, panel_width, resolution.order, kinks)
    return interpolate(jnp.stack(values), z_0) if tabulated else values
