"""The stationarity equations against automatic differentiation of the Lagrangian."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.problems import power_problem
from theory import F2, Problem, Quadrature, predict
from theory.nodes import labelled_nodes
from theory.saddle import OrderParameters, Setting, lagrangian, moments, stationarity

QUADRATURE = Quadrature()
PROBLEMS = {
    "biased": power_problem(F2, alpha=-0.5, fraction=0.4),
    "reweighted": power_problem(alpha=1.0, fraction=0.3, selection__reweight=True),
    "intercept": power_problem(F2, alpha=1.0, fraction=0.6, fit_intercept=True),
}


def value_at(problem: Problem, packed: jax.Array) -> jax.Array:
    x = OrderParameters(packed[:-2], packed[-2], packed[-1])
    value: jax.Array = lagrangian(
        x,
        labelled_nodes(problem, QUADRATURE),
        setting_of(problem),
        problem.loss,
        QUADRATURE.noise_panel_width,
        QUADRATURE.order,
    )
    return value


def setting_of(problem: Problem) -> Setting:
    penalty = [problem.ridge] + [0.0] * problem.fit_intercept
    return Setting(np.array(penalty), problem.ridge, problem.samples_per_dimension)


@pytest.mark.parametrize("name", PROBLEMS)
def test_equations_are_the_gradient_of_the_lagrangian(name: str) -> None:
    problem = PROBLEMS[name]
    coefficients = [0.8] + [0.3] * problem.fit_intercept
    alpha_perp, mu = 1.7, 0.2  # not a solution: the equations must agree everywhere
    packed = jnp.array([*coefficients, alpha_perp, mu])
    gradient = np.asarray(jax.jit(jax.jacfwd(lambda u: value_at(problem, u)))(packed))
    x = OrderParameters(packed[:-2], packed[-2], packed[-1])
    nodes = labelled_nodes(problem, QUADRATURE)
    m = moments(x, nodes, problem.loss, QUADRATURE.noise_panel_width, QUADRATURE.order)
    printed = np.asarray(stationarity(x, m, setting_of(problem)))
    delta = problem.samples_per_dimension
    np.testing.assert_allclose(printed[:-2], gradient[:-2], atol=1e-11)
    # dL/dmu = -(alpha_perp^2 - delta E[r^2]/mu^2) / (2 delta)
    np.testing.assert_allclose(printed[-2], -2 * delta * gradient[-1], atol=1e-10)
    # dL/dalpha_perp = -alpha_perp (mu - delta (lambda + V)) / delta, by Stein's lemma
    np.testing.assert_allclose(printed[-1], -delta * gradient[-2] / alpha_perp, atol=1e-10)


@pytest.mark.parametrize("name", PROBLEMS)
def test_solution_is_a_saddle(name: str) -> None:
    """L rises in alpha (at the best mu) and falls in mu around the solution."""
    problem = PROBLEMS[name]
    p = predict(problem)
    solution = [p.alpha_0] + [p.intercept] * problem.fit_intercept + [p.alpha_perp, p.mu]
    hessian = np.asarray(
        jax.jit(jax.jacfwd(jax.jacfwd(lambda u: value_at(problem, u))))(jnp.array(solution))
    )
    in_mu = hessian[-1, -1]
    in_alpha = hessian[:-1, :-1] - np.outer(hessian[:-1, -1], hessian[-1, :-1]) / in_mu
    assert in_mu < 0
    assert np.linalg.eigvalsh((in_alpha + in_alpha.T) / 2).min() > 0
