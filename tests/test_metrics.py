"""Test error and log loss against closed forms and independent integrals."""

import math

import mpmath
import numpy as np
import pytest
from scipy.special import ndtr
from scipy.stats import norm

from theory import F1, F2, LogisticLink, ProbitLink, SingleIndex, StepLink
from theory.metrics import log_loss, misclassification
from theory.quadrature import panel_rule

MODELS = [(1.0, 0.0, 1.0), (3.0, 0.4, 0.7), (50.0, -1.0, 0.01), (0.2, 0.0, 9.0), (-1.0, 0.3, 2.0)]


@pytest.mark.parametrize(("alpha_0", "intercept", "tau"), MODELS)
def test_misclassification_of_one_step_is_a_bivariate_normal_probability(
    alpha_0: float, intercept: float, tau: float
) -> None:
    """For f = 1{h > 0} the error is P(h > 0, z < 0) + P(h < 0, z > 0)."""
    data = SingleIndex(StepLink((0.0,), (0.0, 1.0)), 1.0)
    norm = math.hypot(alpha_0, tau)
    threshold = -intercept / norm
    both_negative = _bivariate(threshold, alpha_0 / norm)
    error = ndtr(threshold) + 0.5 - 2 * both_negative
    assert misclassification(data, alpha_0, intercept, tau) == pytest.approx(error, abs=1e-11)


def _bivariate(k: float, rho: float) -> float:
    """P(h <= 0, Z <= k) for standard normals with correlation rho."""

    def density(z: mpmath.mpf) -> mpmath.mpf:
        return mpmath.npdf(z) * mpmath.ncdf(-rho * z / mpmath.sqrt(1 - rho**2))

    breaks = sorted({-12.0, -1.0, -0.01, 0.0, 0.01, 1.0, k})
    return float(mpmath.quad(density, [b for b in breaks if b <= k]))


@pytest.mark.parametrize(("alpha_0", "intercept", "tau"), MODELS)
@pytest.mark.parametrize("link", [F2, LogisticLink()])
def test_metrics_match_monte_carlo_free_integrals(
    alpha_0: float, intercept: float, tau: float, link: StepLink | LogisticLink
) -> None:
    """A two-dimensional mid-point sum over (h, G), fine enough for four digits."""
    data = SingleIndex(link, 2.0)
    cells = 4000
    edges = np.linspace(-8, 8, cells + 1)
    h = (edges[1:] + edges[:-1]) / 2
    weight = np.exp(-(h**2) / 2)
    weight /= weight.sum()
    g = np.linspace(-8, 8, 801)
    noise = np.exp(-(g**2) / 2)
    noise /= noise.sum()
    z = alpha_0 * h[:, None] + intercept + tau * g
    f = data.label_probability(h)[:, None]
    error = weight @ (f * (z < 0) + (1 - f) * (z > 0)) @ noise
    loss = weight @ (f * np.logaddexp(0, -z) + (1 - f) * np.logaddexp(0, z)) @ noise
    model = (data, alpha_0, intercept, tau)
    assert misclassification(*model) == pytest.approx(error, abs=2e-3)
    assert log_loss(*model) == pytest.approx(loss, rel=1e-3)


def test_noiseless_classifier() -> None:
    assert misclassification(SingleIndex(F1, 5.0), -2.0, 0.0, 0.0) == pytest.approx(0.95)


@pytest.mark.parametrize("link", [LogisticLink(0.3), ProbitLink()])
@pytest.mark.parametrize("signal_norm", [1.0, 30.0, 100.0, 1e4])
def test_steep_links_are_integrated(link: LogisticLink | ProbitLink, signal_norm: float) -> None:
    """Against panels of 1/40 of the link's width, laid around its bend."""
    data, (alpha_0, b, tau) = SingleIndex(link, signal_norm), (3.0, -0.5, 0.01)
    near = np.linspace(-40, 40, 3201) / signal_norm
    far = np.array([0.05, 0.1, 0.14, 0.15, 0.16, 0.17, 0.18, 0.19, 0.2, 0.3, 0.5, *range(1, 9)])
    around = 1 / 6 + np.linspace(-0.03, 0.03, 101)
    x, w = panel_rule(np.unique(np.concatenate([near, far, -far, around])), 20)
    inside = np.abs(x) < 8
    x, w = x[inside], (w * norm.pdf(x))[inside]
    f, output = data.label_probability(x), alpha_0 * x + b
    wrong = f * norm.cdf(-output / tau) + (1 - f) * norm.cdf(output / tau)
    assert misclassification(data, alpha_0, b, tau) == pytest.approx(w @ wrong, abs=1e-12)
    g, v = np.polynomial.hermite_e.hermegauss(60)  # tau is small: the loss is smooth over it
    losses = np.logaddexp(0, output[:, None] + tau * g) @ (v / v.sum()) - f * output
    assert log_loss(data, alpha_0, b, tau) == pytest.approx(w @ losses, abs=1e-12)
