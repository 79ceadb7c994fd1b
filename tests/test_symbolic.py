"""The symbolic derivation against the numerical solver, with moments from SciPy's quadrature."""

import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
import sympy as sp
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.special import expit, ndtr
from scipy.stats import norm

from tests.problems import power_problem
from theory import F1, GaussianMixture, PowerSelection, SquaredLoss, predict
from theory import symbolic as s


def test_derived_equations_are_those_of_the_solver() -> None:
    equations = s.stationarity_equations()
    r = sp.Symbol("r", real=True)
    assert equations.alpha_0 == (s.RIDGE * s.ALPHA_0, s.H * r)
    assert equations.alpha_s == (s.RIDGE * s.ALPHA_S, s.G_S * r)
    assert equations.intercept == (0, r)
    # alpha_perp (lambda - mu/delta) + E[r G], and -alpha_perp^2/(2 delta) + E[r^2]/(2 mu^2)
    outside, inside = equations.alpha_perp
    assert sp.simplify(outside - s.ALPHA_PERP * (s.RIDGE - s.MU / s.DELTA)) == 0
    assert inside == s.G * r
    outside, inside = equations.mu
    assert sp.simplify(outside + s.ALPHA_PERP**2 / (2 * s.DELTA)) == 0
    assert sp.simplify(inside - r**2 / (2 * s.MU**2)) == 0
    assert len(equations.latex().splitlines()) == 5


RIDGE, DELTA = 0.05, 2.5


@pytest.mark.parametrize("reweight", [False, True])
@pytest.mark.parametrize("model", ["single index", "mixture"])
def test_solver_equals_the_closed_form_for_the_squared_loss(model: str, reweight: bool) -> None:
    data = {"single index": power_problem(F1).data, "mixture": GaussianMixture(1.2)}[model]
    selection = PowerSelection(0.5, 0.4, reweight=reweight)
    problem = power_problem(
        data=data,
        selection=selection,
        loss=SquaredLoss(),
        ridge=RIDGE,
        samples_per_dimension=DELTA,
    )
    slope = 2.4 if model == "mixture" else 5.0

    def density(h: float) -> float:
        if model == "mixture":
            return float(norm.pdf(h - 1.2) + norm.pdf(h + 1.2)) / 2
        return float(norm.pdf(h))

    def positive(h: float) -> float:
        if model == "mixture":
            return float(expit(2.4 * h))
        return 0.05 if h < 0 else 0.95

    def integral(function: Callable[[float], float], kinks: list[float]) -> float:
        points = sorted({-10.0, -4.0, 0.0, 4.0, 10.0, *kinks})
        parts = [
            quad(lambda h: density(h) * function(h), a, b, epsabs=1e-14, epsrel=1e-12, limit=300)[0]
            for a, b in pairwise(points)
        ]
        return math.fsum(float(part) for part in parts)

    def inclusion(c: float) -> tuple[Callable[[float], float], list[float]]:
        saturation = 2 * math.acosh(max(c / 2, 1.0))  # c sqrt(p (1 - p)) = 1
        kinks = [side * t / slope for t in (10.0, saturation) for side in (-1, 1)]

        def pi(h: float) -> float:
            t = min(abs(slope * h), 10.0)
            return float(min(c / (2 * math.cosh(t / 2)), 1.0))

        return pi, kinks

    c = brentq(lambda c: integral(*inclusion(c)) - 0.4, 0.1, 50, xtol=1e-14)
    pi, kinks = inclusion(c)
    solution = s.squared_loss_solution()

    def effective(h: float, mu: float) -> float:
        """w = pi S / (1 + S/mu)."""
        weight = 1 / pi(h) if reweight else 1.0
        return pi(h) * weight / (1 + weight / mu)

    residual = sp.lambdify((s.MU, s.M_W, s.DELTA, s.RIDGE), solution.mu_equation)
    mu = brentq(
        lambda mu: residual(mu, integral(lambda h: effective(h, mu), kinks), DELTA, RIDGE),
        1e-3,
        50,
        xtol=1e-14,
    )
    if not reweight:
        printed = solution.mu_biased.subs({s.DELTA: DELTA, s.RIDGE: RIDGE, s.GAMMA: 0.4})
        assert float(printed) == pytest.approx(mu, rel=1e-10)

    def w(h: float) -> float:
        return effective(h, mu)

    def label_mean(h: float) -> float:
        return 2 * positive(h) - 1

    moments = {
        s.RIDGE: RIDGE,
        s.M_HH: integral(lambda h: w(h) * h * h, kinks),
        s.M_HS: 0.0,
        s.M_SS: integral(w, kinks),
        s.M_HY: integral(lambda h: w(h) * h * label_mean(h), kinks),
        s.M_SY: 0.0,
    }
    alpha_0 = float(solution.coefficients[s.ALPHA_0].subs(moments))
    error = integral(
        lambda h: w(h) ** 2 / pi(h) * (1 + (alpha_0 * h) ** 2 - 2 * alpha_0 * h * label_mean(h)),
        kinks,
    )
    alpha_perp = math.sqrt(
        solution.alpha_perp_squared.subs(
            {
                s.DELTA: DELTA,
                s.MU: mu,
                s.SQUARED_ERROR: error,
                s.WEIGHT_SQUARED: integral(lambda h: w(h) ** 2 / pi(h), kinks),
            }
        )
    )
    wrong = integral(
        lambda h: (
            positive(h) * ndtr(-alpha_0 * h / alpha_perp)
            + (1 - positive(h)) * ndtr(alpha_0 * h / alpha_perp)
        ),
        [],
    )
    p = predict(problem)
    found = np.array([p.mu, p.alpha_0, p.alpha_perp, p.misclassification])
    np.testing.assert_allclose(found, [mu, alpha_0, alpha_perp, wrong], rtol=1e-10)


def test_mixture_misclassification_is_a_normal_tail() -> None:
    p = predict(power_problem(data=GaussianMixture(1.5)))
    expected = ndtr(-1.5 * p.alpha_0 / math.hypot(p.alpha_0, p.alpha_perp))
    assert p.misclassification == pytest.approx(expected, rel=1e-12)
