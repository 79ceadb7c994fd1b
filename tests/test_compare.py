"""Comparison of simulation with theory, on numbers whose law is known."""

import dataclasses
import math

import numpy as np
import pytest
from scipy import stats

from simulate import Estimate, Mean, Plan, compare, estimate, run
from simulate.compare import (
    RunningAgreement,
    extrapolate,
    mean_and_error,
    normal_deviates,
    z_scores,
)
from tests.problems import power_problem
from theory import F1, InvalidFieldError, Problem, SingleIndex, TopSelection, predict
from theory.quantities import MEASURED

PREDICTION = predict(power_problem())


def made(dimension: int, gap: float, error: float, repeats: int) -> Estimate:
    """An estimate that lies ``gap`` above every prediction."""
    means = {name: Mean(getattr(PREDICTION, name) + gap, error) for name in MEASURED}
    return Estimate(
        **means, dimension=dimension, samples=2 * dimension, repeats=repeats, failed_fits=0
    )


def test_z_scores_and_p_values_of_one_estimate() -> None:
    agreement = compare(PREDICTION, made(100, gap=0.02, error=0.01, repeats=8))["alpha_0"]
    assert agreement.z[0] == pytest.approx(2.0)
    # One estimate: the p-value is that of Student's test.
    assert agreement.p_value == pytest.approx(2 * stats.t.sf(2.0, 7), rel=1e-9)
    assert math.isnan(agreement.limit.mean)


def test_p_values_are_uniform_where_the_theory_holds() -> None:
    """Data sets drawn around the prediction itself, few of them, at three dimensions."""
    generator = np.random.default_rng(4)
    p_values = []
    for _ in range(300):
        sizes = []
        for dimension in (50, 100, 200):
            draws = generator.normal(0.0, 1.0, 6)
            sizes.append(made(dimension, draws.mean(), draws.std(ddof=1) / 6**0.5, 6))
        p_values.append(compare(PREDICTION, sizes)["alpha_perp"].p_value)
    assert stats.kstest(p_values, "uniform").pvalue > 0.01


def test_the_limit_removes_a_bias_of_order_one_over_p() -> None:
    sizes = [made(p, gap=3 / p, error=0.01 / p**0.5, repeats=50) for p in (50, 100, 400)]
    agreement = compare(PREDICTION, sizes)["misclassification"]
    assert agreement.z[0] > 10
    assert agreement.p_value < 1e-6
    assert agreement.limit.mean == pytest.approx(PREDICTION.misclassification, abs=1e-12)
    assert abs(agreement.limit_z) < 1e-6


def test_the_limits_standard_error_is_that_of_the_fitted_line() -> None:
    generator = np.random.default_rng(0)
    error = np.array([0.3, 0.2, 0.1])
    limits = [
        extrapolate([10, 20, 50], 1 + generator.normal(0, error), error).limit.mean
        for _ in range(4000)
    ]
    claimed = extrapolate([10, 20, 50], np.ones(3), error).limit.standard_error
    assert np.std(limits) == pytest.approx(claimed, rel=0.05)


def test_normal_deviates_far_out_keep_their_sign_and_order() -> None:
    deviates = normal_deviates(np.array([-9.0, -1.0, 1.0, 9.0]), np.array([5, 5, 5, 5]))
    assert np.all(np.diff(deviates) > 0)
    np.testing.assert_allclose(deviates, -deviates[::-1])


@pytest.mark.parametrize(
    ("sizes", "named"),
    [([], "estimates"), ([(50, 5), (50, 5)], "different"), ([(50, 1)], "2 or more")],
)
def test_wrong_estimates_are_named(sizes: list[tuple[int, int]], named: str) -> None:
    with pytest.raises(InvalidFieldError, match=named):
        compare(PREDICTION, [made(p, 0.0, 0.1, repeats) for p, repeats in sizes])


@pytest.mark.fault(number=1)
def test_what_does_not_vary_is_no_disagreement() -> None:
    """Of equal numbers the mean and the standard error are rounding, not exactly 0."""
    problem = Problem(SingleIndex(F1, 5.0), TopSelection("hard", 0.3), 0.1, 2.0)
    for repeats in (2, 7, 50):
        estimated = estimate(problem, 50, repeats, seed=1)
        assert estimated.fraction == Mean(0.3, 0.0)
        agreement = compare(predict(problem), estimated)
        assert set(agreement) == {"misclassification", "log_loss", "alpha_0", "alpha_perp"}
    rounded = dataclasses.replace(estimated, fraction=Mean(0.3 + 6e-17, 4e-18))
    assert "fraction" not in compare(predict(problem), rounded)


@pytest.mark.fault(number=1)
def test_z_scores_where_nothing_varies() -> None:
    mean = np.array([0.3 + 6e-17, 0.3, 0.3, 0.3, 0.0])
    predicted = np.array([0.3, 0.2, 0.4, 0.2, 0.0])
    error = np.array([4e-18, 1e-17, 0.0, 0.05, 0.0])
    np.testing.assert_allclose(
        z_scores(mean, predicted, error), [np.nan, np.inf, -np.inf, 2, np.nan]
    )
    assert np.isnan(z_scores(mean, predicted, np.full(5, np.nan))).all()


@pytest.mark.fault(number=1)
def test_the_mean_of_a_labelled_constant_has_no_error() -> None:
    problem = Problem(SingleIndex(F1, 5.0), TopSelection("hard", 0.3), 0.1, 2.0)
    plan = Plan((problem,), (50,), 7, seed=1)
    values = run(plan)
    mean, error = mean_and_error(plan.dataset(values), "fraction")
    assert abs(float(mean.item()) - 0.3) <= 1e-16
    assert float(error.item()) < 1e-30
    mean, error = mean_and_error(plan.dataset(values))
    expected = values[0, 0, :, 0]
    assert mean.item() == pytest.approx(expected.mean(), rel=1e-12)
    assert error.item() == pytest.approx(expected.std(ddof=1) / 7**0.5, rel=1e-12)


@pytest.mark.fault(number=1)
def test_running_agreement_leaves_out_what_does_not_vary() -> None:
    plan = Plan((power_problem(), power_problem(ridge=0.1)), (50,), 3)
    agreement = RunningAgreement(plan, dict.fromkeys(plan.problems, PREDICTION))
    row = np.zeros((2, 11))
    row[:, -1] = 1
    row[0, 0] = PREDICTION.misclassification
    for k, task in enumerate(plan.tasks):
        row[1, 0] = PREDICTION.misclassification + 0.01 * (k - 1)
        agreement.add(task, row)
    assert agreement.rms() == pytest.approx(0.0, abs=1e-9)
