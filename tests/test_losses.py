"""The proximal map against its defining equation, and derivatives against differences."""

import jax
import numpy as np
import pytest
from scipy.special import expit

from theory.losses import (
    HingeLoss,
    LogisticLoss,
    Loss,
    SmoothedHingeLoss,
    SquaredLoss,
)

LOSS = LogisticLoss()


@pytest.mark.parametrize("eta", 10.0 ** np.arange(-6, 7))
def test_logistic_prox_solves_its_equation(eta: float) -> None:
    size = np.logspace(-8, 7, 400)
    margins = np.concatenate([-size, [0.0], size, -eta * np.linspace(0, 1.5, 301)])
    v = np.asarray(LOSS.prox(margins, eta))
    residual = v - eta * expit(-v) - margins
    terms = np.abs(v) + eta * expit(-v) + np.abs(margins)
    assert np.max(np.abs(residual) / (1 + terms)) < 1e-15
    # The root itself: the residual divided by the slope of the equation.
    error = residual / (1 + eta * expit(v) * expit(-v))
    assert np.max(np.abs(error) / (1 + np.abs(v))) < 1e-12


def test_logistic_loss_terms_are_derivatives() -> None:
    margins = np.linspace(-30, 30, 121)
    slope = jax.vmap(jax.grad(LOSS.value))(margins)
    curvature = (2 * np.cosh(margins / 2)) ** -2.0
    np.testing.assert_allclose(LOSS.slope(margins), slope, rtol=1e-13)
    np.testing.assert_allclose(LOSS.curvature(margins), curvature, rtol=1e-12)


OTHERS: list[Loss] = [SquaredLoss(), SmoothedHingeLoss(0.5), HingeLoss()]


@pytest.mark.parametrize("loss", OTHERS, ids=str)
@pytest.mark.parametrize("eta", [1e-3, 0.3, 1.0, 50.0])
def test_prox_minimises_its_objective(loss: Loss, eta: float) -> None:
    """Against a direct search over a fine grid around the answer."""
    margins = np.linspace(-2 - 2 * eta, 3, 61)
    v = np.asarray(loss.prox(margins, eta))
    least = np.asarray(eta * loss.value(v) + (v - margins) ** 2 / 2)
    for shift in (-1.0, -1e-2, -1e-4, 1e-4, 1e-2, 1.0):
        moved = v + shift
        assert np.all(least <= eta * loss.value(moved) + (moved - margins) ** 2 / 2 + 1e-14)


@pytest.mark.parametrize("loss", [LogisticLoss(), *OTHERS], ids=str)
@pytest.mark.parametrize("eta", [0.1, 3.0])
def test_contraction_is_one_minus_the_slope_of_the_prox(loss: Loss, eta: float) -> None:
    margins = np.linspace(-6.03, 4.04, 40)
    kinks = np.array([float(k) for k in loss.kinks(eta)])
    margins = margins[np.all(np.abs(margins[:, None] - kinks) > 1e-3, axis=1)]
    step = 1e-6
    rise = (loss.prox(margins + step, eta) - loss.prox(margins - step, eta)) / (2 * step)
    found = loss.contraction(loss.prox(margins, eta), margins, eta)
    np.testing.assert_allclose(found, 1 - np.asarray(rise), atol=1e-8)
