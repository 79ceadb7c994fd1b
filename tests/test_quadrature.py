"""Quadrature on integrands with values known from mpmath or in closed form."""

from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest
from scipy.special import ndtr

from theory import F2, HingeLoss, LogisticLink, LogisticLoss, ProbitLink, SingleIndex, StepLink
from theory.kinds import Link
from theory.losses import Loss
from theory.nodes import Nodes
from theory.noise import NoiseResolution, OrderParameters, noise_rule
from theory.quadrature import marked_normal_rule, panel_rule

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
@pytest.mark.parametrize(("order", "tolerance"), [(16, 1e-12), (24, 1e-13)])
def test_rule_over_a_normal_feature(name: str, order: int, tolerance: float) -> None:
    function, kinks, exact = BANK[name]
    x, w = marked_normal_rule((0.0,), (1.0,), 1.0, kinks, order)
    assert w @ function(x) == pytest.approx(exact, rel=tolerance, abs=tolerance)


def test_a_rule_blind_to_a_jump_is_wrong() -> None:
    """The bank would notice missing panel edges."""
    function, _, exact = BANK["jump"]
    x, w = marked_normal_rule((0.0,), (1.0,), 1.0, (), 16)
    assert abs(w @ function(x) - exact) > 1e-4


def test_rule_over_a_mixture() -> None:
    x, w = marked_normal_rule((-1.5, 1.5), (0.2, 0.8), 2.0, (0.3,), 16)
    assert w @ x == pytest.approx(0.9, rel=1e-12)
    assert w @ (x > 0.3) == pytest.approx(0.2 * ndtr(-0.9) + 0.8 * ndtr(0.6), rel=1e-12)


@pytest.mark.parametrize("loss", [LogisticLoss(), HingeLoss()])
@pytest.mark.parametrize("alpha_perp", [1e-3, 0.5, 3.0, 10.0, 100.0])
def test_noise_expectation_resolves_bends(alpha_perp: float, loss: Loss) -> None:
    """E log(1 + exp(z0 + alpha_perp G)), which bends within 1/alpha_perp of G = -z0/alpha_perp."""
    z_0 = np.array([-20.0, 0.0, 0.7])
    nodes = Nodes(
        component=np.zeros(3, dtype=np.int64),
        known=z_0[:, None],
        hidden=np.zeros(1),
        weight=np.ones(3),
        scale=np.ones((1, 1)),
    )
    x = OrderParameters(np.ones(1), alpha_perp, 1.0)
    rule = noise_rule(x, nodes, (), loss, NoiseResolution(1.0, 14))
    values = (rule.weight * np.logaddexp(0.0, rule.z)).sum(axis=1)
    for z, value in zip(z_0, values, strict=True):
        bend = -z / alpha_perp
        near = [bend + k / alpha_perp for k in (-30, -5, 0, 5, 30)]
        breaks = sorted({b for b in (-10.0, 0.0, 10.0, *near) if -10 <= b <= 10})
        exact = mpmath.quad(
            lambda g, z=z: mpmath.npdf(g) * mpmath.log(1 + mpmath.exp(z + alpha_perp * g)), breaks
        )
        loose = alpha_perp > 5 and not loss.strip  # its panels are made for the hinge
        assert value == pytest.approx(float(exact), rel=1e-4 if loose else 1e-9, abs=1e-12)


@pytest.mark.parametrize("link", [LogisticLink(0.4), ProbitLink(), F2])
def test_label_probabilities_are_averaged_in_closed_form(link: Link) -> None:
    (curve,) = SingleIndex(link, 3.0).label_curves
    mean, deviation = np.array([-1.0, 0.05, 0.8]), 0.3
    value, first, second = curve.smoothed(mean, deviation)
    for m, *found in zip(mean, value, first, second, strict=True):
        jumps = (np.array(curve.bends) - m) / deviation
        x, w = panel_rule(np.unique([*np.linspace(-12, 12, 60), *jumps]), 20)
        f = curve.probability(m + deviation * x) * w * np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi)
        exact = (f.sum(), (x * f).sum() / deviation, ((x**2 - 1) * f).sum() / deviation**2)
        assert found == pytest.approx(exact, abs=2e-12)
    numerical = curve._replace(steps=None)
    if not isinstance(link, StepLink):
        for a, b in zip(numerical.smoothed(mean, deviation), (value, first, second), strict=True):
            np.testing.assert_allclose(a, b, atol=1e-9)
