"""Fits against SciPy, and against what defines them."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

import simulate.fitting.newton
from simulate.fitting.fit import Fits, fit
from theory import HingeLoss, LogisticLoss, SmoothedHingeLoss, SquaredLoss

Array = NDArray[np.float64]


def draw(n: int, p: int, seed: int = 5) -> tuple[Array, Array, Array]:
    """Features, labels, and weights for three fits; a third of the weights is zero."""
    generator = np.random.default_rng(seed)
    x = generator.standard_normal((n, p))
    y = np.where(x[:, 0] + generator.standard_normal(n) > -0.5, 1.0, -1.0)
    weights = generator.uniform(0.5, 3.0, (n, 3)) * (generator.random((n, 3)) < 2 / 3)
    return x, y, weights


def gradient(
    x: Array, y: Array, weights: Array, pool: int, ridge: float, u: Array, b: float
) -> Array:
    """Of the logistic objective in (theta, b), in double precision."""
    pull = -weights * y * expit(-y * (x @ u + b)) / pool
    return np.append(x.T @ pull + ridge * u, pull.sum())


@pytest.mark.parametrize(("n", "p"), [(60, 20), (20, 50)])
@pytest.mark.parametrize("fit_intercept", [False, True])
@pytest.mark.parametrize("ridge", [1.0, 1e-3])
def test_fit_matches_scipy(n: int, p: int, fit_intercept: bool, ridge: float) -> None:
    x, y, weights = draw(n, p)
    pool = 2 * n
    ridges = np.array([ridge, 2 * ridge, ridge])
    fits = fit(x, y, weights, pool, ridges, LogisticLoss(), fit_intercept)
    assert fits.converged.all()
    for k in range(3):

        def objective(u: Array, k: int = k) -> tuple[float, Array]:
            theta, b = u[:p], (u[p] if fit_intercept else 0.0)
            value = weights[:, k] @ np.logaddexp(0, -y * (x @ theta + b)) / pool
            slope = gradient(x, y, weights[:, k], pool, ridges[k], theta, b)
            return float(value + ridges[k] * theta @ theta / 2), slope[: p + fit_intercept]

        best = minimize(
            objective,
            np.zeros(p + fit_intercept),
            jac=True,
            method="BFGS",
            options={"gtol": 1e-10, "maxiter": 5000},
        ).x
        np.testing.assert_allclose(fits.coefficients[:, k], best[:p], rtol=1e-5, atol=1e-7)
        if fit_intercept:
            assert fits.intercepts[k] == pytest.approx(best[p], abs=1e-6)


@pytest.mark.parametrize("single", [True, False])
@pytest.mark.parametrize(("n", "p"), [(900, 300), (150, 400)])
def test_reported_gradient_norms_are_true(n: int, p: int, single: bool) -> None:
    x, y, weights = draw(n, p)
    if single:
        x = x.astype(np.float32)
    ridges = np.array([0.1, 0.01, 0.001])
    fits = fit(x, y, weights, n, ridges, LogisticLoss())
    assert fits.gradient_norms.max() <= 1e-9
    x = x.astype(np.float64)
    for k in range(3):
        at_zero = gradient(x, y, weights[:, k], n, ridges[k], np.zeros(p), 0.0)[:p]
        left = gradient(x, y, weights[:, k], n, ridges[k], fits.coefficients[:, k], 0.0)[:p]
        true = np.linalg.norm(left) / np.linalg.norm(at_zero)
        assert true == pytest.approx(fits.gradient_norms[k], abs=1e-10)


@pytest.mark.parametrize("loss", [LogisticLoss(), SmoothedHingeLoss(0.5), HingeLoss()], ids=str)
def test_fits_do_not_depend_on_their_company(loss: LogisticLoss) -> None:
    x, y, weights = draw(120, 40)
    ridges = np.array([0.1, 0.03, 0.01])
    together = fit(x, y, weights, 120, ridges, loss, True)
    assert together.converged.all()
    for k in range(3):
        rows = weights[:, k] > 0
        one = slice(k, k + 1)
        alone = fit(x[rows], y[rows], weights[rows, one], 120, ridges[one], loss, True)
        gap = np.linalg.norm(alone.coefficients[:, 0] - together.coefficients[:, k])
        assert gap < 2e-6 * np.linalg.norm(alone.coefficients)
        assert alone.intercepts[0] == pytest.approx(together.intercepts[k], abs=1e-5)


@pytest.mark.parametrize(("n", "p"), [(90, 30), (30, 90)])
@pytest.mark.parametrize("fit_intercept", [False, True])
def test_direct_and_iterated_directions_agree(
    n: int, p: int, fit_intercept: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Newton's equations solved by Cholesky's method only, against conjugate gradients."""
    x, y, weights = draw(n, p)
    task = (x, y, weights, n, np.full(3, 0.01), LogisticLoss(), fit_intercept)
    iterated = fit(*task)
    monkeypatch.setattr(simulate.fitting.newton, "LEAST_ITERATIONS", 1)
    monkeypatch.setattr(simulate.fitting.newton, "ITERATIONS_PER_EQUATION", 0)
    direct = fit(*task)
    np.testing.assert_allclose(direct.coefficients, iterated.coefficients, atol=1e-6)
    np.testing.assert_allclose(direct.intercepts, iterated.intercepts, atol=1e-6)


def test_squared_loss_has_its_closed_form() -> None:
    x, y, weights = draw(80, 30)
    fits = fit(x, y, weights, 80, np.full(3, 0.05), SquaredLoss())
    for k in range(3):
        matrix = (x.T * weights[:, k]) @ x / 80 + 0.05 * np.eye(30)
        exact = np.linalg.solve(matrix, x.T @ (weights[:, k] * y) / 80)
        np.testing.assert_allclose(fits.coefficients[:, k], exact, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(("n", "p"), [(60, 15), (40, 60)])
def test_hinge_fit_matches_the_dual_of_the_support_vector_machine(n: int, p: int) -> None:
    """Against the box-constrained dual, solved by SciPy."""
    ridge = 0.05
    x, y, _ = draw(n, p, seed=8)
    gram = (y[:, None] * x) @ (y[:, None] * x).T / ridge

    def dual(a: Array) -> tuple[float, Array]:
        return float(a @ gram @ a / 2 - a.sum()), gram @ a - 1

    best = minimize(
        dual, np.full(n, 0.5 / n), jac=True, method="L-BFGS-B", bounds=[(0, 1 / n)] * n,
        options={"ftol": 1e-15, "gtol": 1e-10, "maxiter": 20000, "maxfun": 40000},
    ).x  # fmt: skip
    exact = x.T @ (y * best) / ridge
    fits = fit(x, y, np.ones((n, 1)), n, np.array([ridge]), HingeLoss())
    assert fits.converged.all()
    assert np.linalg.norm(fits.coefficients[:, 0] - exact) < 1e-5 * np.linalg.norm(exact)


def test_no_samples_give_zero() -> None:
    x, y, _ = draw(10, 4)
    nothing: Fits = fit(x, y, np.zeros((10, 1)), 10, np.array([0.1]), LogisticLoss())
    assert nothing.converged.all()
    assert not nothing.coefficients.any()


def test_an_exact_minimum_without_ridge_has_converged() -> None:
    """Separable data: the smoothed hinge reaches zero, and stays there."""
    x, y = np.array([[2.0], [-2.0], [3.0]]), np.array([1.0, -1.0, 1.0])
    fits = fit(x, y, np.ones((3, 1)), 3, np.array([0.0]), SmoothedHingeLoss(0.5))
    assert fits.gradient_norms[0] == 0
    assert fits.converged.all()
