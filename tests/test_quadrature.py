"""Quadrature on integrands with values known from mpmath or in closed form."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from scipy.special import ndtr

from theory.quadrature import (
    Quadrature,
    gaussian_expectation,
    normal_mixture_edges,
    normal_mixture_rule,
)

SMOOTH_SIGMOID = float(
    mpmath.quad(lambda x: mpmath.npdf(x) / (1 + mpmath.exp(-5 * x - 1)), [-12, -2, -0.2, 0, 2, 12])
)

BANK: dict[str, tuple[Callable[[Any], Any], tuple[float, ...], float]] = {
    "one": (np.ones_like, (), 1.0),
    "polynomial": (lambda x: x**4, (), 3.0),
    "cosine": (lambda x: np.cos(3 * x), (), float(np.exp(-4.5))),
    "sigmoid": (lambda x: 1 / (1 + np.exp(-5 * x - 1)), (), SMOOTH_SIGMOID),
    "jump": (lambda x: (x > 0.37).astype(float), (0.37,), float(ndtr(-0.37))),
    "two jumps": (
        lambda x: ((x > -0.1) & (x < 0.1)).astype(float),
        (-0.1, 0.1),
        float(ndtr(0.1) - ndtr(-0.1)),
    ),
    "kink": (np.abs, (0.0,), float(np.sqrt(2 / np.pi))),
    "clipped exponential": (
        lambda x: np.minimum(np.exp(5 * x - 3), 1.0),
        (0.6,),
        float(np.exp(12.5 - 3) * ndtr(0.6 - 5) + ndtr(-0.6)),
    ),
}


@pytest.mark.parametrize("name", BANK)
@pytest.mark.parametrize(
    ("quadrature", "tolerance"), [(Quadrature(), 1e-12), (Quadrature().refined(1.5), 1e-13)]
)
def test_rule_over_a_normal_feature(name: str, quadrature: Quadrature, tolerance: float) -> None:
    function, kinks, exact = BANK[name]
    x, w = normal_mixture_rule(
        (0.0,), (1.0,), 1.0, kinks, quadrature.feature_panels, quadrature.order
    )
    assert w @ function(x) == pytest.approx(exact, rel=tolerance, abs=tolerance)


def test_a_rule_blind_to_a_jump_is_wrong() -> None:
    """The bank would notice missing panel edges."""
    function, _, exact = BANK["jump"]
    x, w = normal_mixture_rule((0.0,), (1.0,), 1.0, (), 12, 16)
    assert abs(w @ function(x) - exact) > 1e-4


def test_rule_over_a_mixture() -> None:
    x, w = normal_mixture_rule((-1.5, 1.5), (0.2, 0.8), 2.0, (0.3,), 16, 16)
    assert w @ x == pytest.approx(0.9, rel=1e-12)
    assert w @ (x > 0.3) == pytest.approx(0.2 * ndtr(-0.9) + 0.8 * ndtr(0.6), rel=1e-12)


def test_edges_hold_every_kink_and_the_asked_number_of_panels() -> None:
    kinks = (0.1, -2.0, 0.1000001, 50.0)
    edges = normal_mixture_edges((0.0,), 1.0, kinks, 12)
    assert edges.size == 13
    assert np.all(np.diff(edges) > 0)
    assert set(kinks[:3]) <= set(edges)


@pytest.mark.parametrize("alpha_perp", [1e-3, 0.5, 3.0, 10.0, 100.0])
def test_noise_expectation_resolves_bends(alpha_perp: float) -> None:
    """E log(1 + exp(z0 + alpha_perp G)), which bends within 1/alpha_perp of G = -z0/alpha_perp."""
    z_0 = np.array([-20.0, 0.0, 0.7])
    quadrature = Quadrature()
    (values,) = gaussian_expectation(
        lambda g: (jnp.logaddexp(0.0, z_0 + alpha_perp * g),),
        1,
        z_0.shape,
        quadrature.noise_panel_width / alpha_perp,
        quadrature.order,
    )
    for z, value in zip(z_0, np.asarray(values), strict=True):
        bend = -z / alpha_perp
        near = [bend + k / alpha_perp for k in (-30, -5, 0, 5, 30)]
        breaks = sorted({b for b in (-10.0, 0.0, 10.0, *near) if -10 <= b <= 10})
        exact = mpmath.quad(
            lambda g, z=z: mpmath.npdf(g) * mpmath.log(1 + mpmath.exp(z + alpha_perp * g)), breaks
        )
        assert value == pytest.approx(float(exact), rel=1e-9, abs=1e-12)
