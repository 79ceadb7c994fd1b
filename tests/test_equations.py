"""The stationarity equations against automatic differentiation of the Lagrangian."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.problems import power_problem
from theory import (
    F2,
    GaussianMixture,
    GivenSurrogate,
    HingeLoss,
    Problem,
    Quadrature,
    SmoothedHingeLoss,
    SquaredLoss,
    predict,
)
from theory.nodes import Nodes, labelled_nodes
from theory.prediction import score_of
from theory.saddle import (
    OrderParameters,
    Resolution,
    Setting,
    lagrangian,
    moments,
    stationarity,
)

QUADRATURE = Quadrature()
RESOLUTION = Resolution(QUADRATURE.noise_panel_width, QUADRATURE.order, QUADRATURE.table_panels)
GIVEN = GivenSurrogate(2.75, 0.95)
PROBLEMS = {
    "biased": power_problem(F2, alpha=-0.5, fraction=0.4),
    "reweighted": power_problem(alpha=1.0, fraction=0.3, selection__reweight=True),
    "intercept": power_problem(F2, alpha=1.0, fraction=0.6, fit_intercept=True),
    "imperfect": power_problem(F2, alpha=0.5, surrogate=GIVEN),
    "imperfect, reweighted": power_problem(
        F2, alpha=0.5, surrogate=GIVEN, selection__reweight=True
    ),
    "mixture": power_problem(data=GaussianMixture(1.0, 0.3, 0.1), fit_intercept=True),
    "squared": power_problem(loss=SquaredLoss()),
    "hinge": power_problem(loss=HingeLoss()),
    "smoothed hinge": power_problem(loss=SmoothedHingeLoss(0.5), surrogate=GIVEN),
}


def value_at(problem: Problem, packed: jax.Array) -> jax.Array:
    x = OrderParameters(packed[:-2], packed[-2], packed[-1])
    value: jax.Array = lagrangian(
        x,
        nodes_of(problem),
        setting_of(problem),
        problem.loss,
        RESOLUTION,
    )
    return value


def nodes_of(problem: Problem) -> Nodes:
    return labelled_nodes(problem, score_of(problem), QUADRATURE)


def explicit(problem: Problem) -> int:
    """Number of penalised explicit coefficients: alpha_0, and alpha_s if there is an e_s."""
    return 2 if score_of(problem).beta_s else 1


def setting_of(problem: Problem) -> Setting:
    penalty = [problem.ridge] * explicit(problem) + [0.0] * problem.fit_intercept
    return Setting(np.array(penalty), problem.ridge, problem.samples_per_dimension)


@pytest.mark.parametrize("name", PROBLEMS)
def test_equations_are_the_gradient_of_the_lagrangian(name: str) -> None:
    problem = PROBLEMS[name]
    coefficients = [0.8, -0.4][: explicit(problem)] + [0.3] * problem.fit_intercept
    alpha_perp, mu = 1.7, 0.2  # not a solution: the equations must agree everywhere
    packed = jnp.array([*coefficients, alpha_perp, mu])
    gradient = np.asarray(jax.jit(jax.jacfwd(lambda u: value_at(problem, u)))(packed))
    x = OrderParameters(packed[:-2], packed[-2], packed[-1])
    m = moments(x, nodes_of(problem), problem.loss, RESOLUTION)
    printed = np.asarray(stationarity(x, m, setting_of(problem)))
    delta = problem.samples_per_dimension
    np.testing.assert_allclose(printed[:-2], gradient[:-2], atol=1e-11)
    # dL/dmu = -(alpha_perp^2 - delta E[r^2]/mu^2) / (2 delta)
    np.testing.assert_allclose(printed[-2], -2 * delta * gradient[-1], atol=1e-10)
    # dL/dalpha_perp = -alpha_perp (mu - delta (lambda + V)) / delta, by Stein's lemma
    np.testing.assert_allclose(printed[-1], -delta * gradient[-2] / alpha_perp, atol=1e-10)


@pytest.mark.parametrize("name", ["biased", "imperfect, reweighted", "hinge"])
def test_solution_is_a_saddle(name: str) -> None:
    """L rises in alpha (at the best mu) and falls in mu around the solution."""
    problem = PROBLEMS[name]
    p = predict(problem)
    solution = [p.alpha_0, p.alpha_s][: explicit(problem)]
    solution += [p.intercept] * problem.fit_intercept + [p.alpha_perp, p.mu]
    hessian = np.asarray(
        jax.jit(jax.jacfwd(jax.jacfwd(lambda u: value_at(problem, u))))(jnp.array(solution))
    )
    in_mu = hessian[-1, -1]
    in_alpha = hessian[:-1, :-1] - np.outer(hessian[:-1, -1], hessian[-1, :-1]) / in_mu
    assert in_mu < 0
    assert np.linalg.eigvalsh((in_alpha + in_alpha.T) / 2).min() > 0
