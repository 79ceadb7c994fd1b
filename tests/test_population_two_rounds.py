"""Two rounds on real features against the exact theory, real pools, and what defines them."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.problems import NOISY_STEP, labelled_sample
from theory import (
    BandSelection,
    InvalidFieldError,
    LogisticLoss,
    Loss,
    Population,
    PowerSelection,
    Problem,
    RandomSelection,
    SmoothedHingeLoss,
    SquaredLoss,
    Status,
    TopSelection,
    TrainedSurrogate,
    predict,
    predict_population,
)
from theory.kinds import Selection
from theory.population_equations import Points, Setting
from theory.population_score import PopulationScoreLaw
from theory.population_two_rounds import PopulationSurrogate, predict_population_two_rounds
from theory.population_two_rounds_equations import (
    Memory,
    SecondRound,
    SecondSetting,
    first_round,
    left_out,
)

Array = NDArray[np.float64]
HARDEST = TopSelection("hard", 0.2)
RULES = [
    HARDEST,
    TopSelection("easy", 0.3),
    PowerSelection(1.0, 0.3),
    PowerSelection(0.5, 0.4, reweight=True),
    RandomSelection(0.3),
]


def population(n: int, p: int, seed: int = 0, loss: Loss | None = None) -> Population:
    x, y = labelled_sample(n, p, seed)
    return Population(x, y, loss)


# Against the limit for Gaussian features.


@pytest.mark.parametrize(
    ("reuse", "rules"),
    [
        (0.0, [PowerSelection(-1.0, 0.3)]),  # the hardest alone feel finite p
        (1.0, [HARDEST, PowerSelection(1.0, 0.3)]),
        (3.0, [TopSelection("easy", 0.2)]),
    ],
)
def test_isotropic_features_give_the_limit(reuse: float, rules: list[Selection]) -> None:
    p = 32
    x, y = labelled_sample(1600, p, seed=1)
    whole = Population(x, y, fit_intercept=False)
    surrogate = PopulationSurrogate(whole, samples=3 * p, ridge=0.05)
    trained = TrainedSurrogate(3.0, 0.05, reuse=reuse)
    off = []
    for rule in rules:
        exact = predict(Problem(NOISY_STEP, rule, 0.02, 8.0, trained))
        found = surrogate.predict(rule, 8 * p, 0.02, reuse, halving=False)
        error = found.misclassification_sampling_error
        assert found.status is Status.CONVERGED
        assert found.fraction == pytest.approx(getattr(rule, "fraction", 0), abs=1e-5)
        assert abs(found.misclassification - exact.misclassification) < 3 * error < 0.04
        assert abs(found.log_loss - exact.log_loss) < 3 * found.log_loss_sampling_error
        off.append(found.misclassification - exact.misclassification)
    first = predict(Problem(NOISY_STEP, HARDEST, 0.02, 8.0, trained)).first_stage
    assert first is not None
    spread = 3 * surrogate.first.misclassification_sampling_error
    assert abs(surrogate.first.misclassification - first.misclassification) < spread
    assert np.ptp(off) < 0.012  # what the labels' own error moves, it moves alike


# Against pools drawn from the very points, solved in closed form. There are many more points than
# samples: otherwise which points are selected has a noise of its own, that no fresh pool has.


@pytest.mark.parametrize(("rule", "reuse"), [(HARDEST, 2.0), (PowerSelection(0.5, 0.4, True), 1.0)])
def test_mean_and_covariance_of_ridge_regression(rule: Selection, reuse: float) -> None:
    generator = np.random.default_rng(2)
    n, p, n_a, n_b, repeats = 3000, 8, 100, 300, 800
    x, y = labelled_sample(n, p, seed=5)
    penalty = np.full(p, 0.1)
    points = Points(x, y, SquaredLoss())
    first = first_round(points, Setting(np.ones(n), np.ones(n), n_a, penalty))
    asked = SecondSetting(first.fitted(rule), rule.reweight, reuse, n_b, 0.5 * penalty)
    found = SecondRound(first, points, asked).solve()
    assert found.residual < 1e-6

    def ridge_fit(rows: NDArray[np.intp], s: Array, total: int, ridge: Array) -> Array:
        a = x[rows]
        gram = (a.T * s) @ a / total + np.diag(ridge)
        return np.asarray(np.linalg.solve(gram, a.T @ (s * y[rows]) / total))

    outputs = np.empty((repeats, 2, n))
    for k in range(repeats):
        sample, pool = generator.integers(n, size=n_a), generator.integers(n, size=n_b)
        one = ridge_fit(sample, np.ones(n_a), n_a, penalty)
        pi = np.broadcast_to(asked.rule.probability(x[pool] @ one), n_b)
        kept = generator.random(n_b) < pi
        s = kept / np.where(kept & rule.reweight, pi, 1.0)
        rows, weights = np.concatenate([sample, pool]), np.concatenate([np.full(n_a, reuse), s])
        two = ridge_fit(rows, weights, n_a + n_b, 0.5 * penalty)
        outputs[k] = x @ one, x @ two
    state = found.state
    c_11, c_22 = first.variance, state.own_variance + state.slope**2 * first.variance
    shift = (outputs[:, 1].mean(axis=0) - x @ state.theta) / np.sqrt(c_22)
    assert np.sqrt(np.mean(shift**2)) < 0.12  # of a deviation; terms of order 1/N are left
    centred = outputs - outputs.mean(axis=0)
    assert np.mean(centred[:, 1] ** 2 / c_22) == pytest.approx(1, abs=0.08)
    both = np.mean(centred[:, 0] * centred[:, 1], axis=0) / np.sqrt(c_11 * c_22)
    expected = state.slope * np.sqrt(c_11 / c_22)
    assert np.mean(both) == pytest.approx(np.mean(expected), abs=0.04)


# What defines the equations.


def second_round(
    rule: Selection, loss: Loss, reuse: float = 1.5
) -> tuple[SecondRound, Memory, Points]:
    x, y = labelled_sample(150, 5, seed=4)
    points, first_points = Points(x, y, loss), Points(x, y, LogisticLoss())
    penalty = np.full(5, 0.05)
    first = first_round(first_points, Setting(np.ones(150), np.ones(150), 25, penalty))
    asked = SecondSetting(first.fitted(rule), rule.reweight, reuse, 60, 0.5 * penalty)
    second = SecondRound(first, points, asked)
    found = second.solve()
    assert found.residual < 1e-6
    return second, found.state, points


@pytest.mark.parametrize("loss", [LogisticLoss(), SquaredLoss(), SmoothedHingeLoss(0.5)], ids=str)
@pytest.mark.parametrize("rule", RULES, ids=str)
def test_matrices_are_derivatives(rule: Selection, loss: Loss) -> None:
    """1/A_22 is the derivative of the stationarity in theta_2, K_21 that in theta_1."""
    second, state, points = second_round(rule, loss)
    a_22, a_21 = second.matrices(state, second.means(state))
    k_21 = -np.linalg.inv(a_22) @ a_21 @ np.linalg.inv(second.first.found.a)
    step, direction = 1e-4, np.array([0.3, -1.0, 0.5, 0.2, -0.4])

    def gradient(one: float, two: float) -> Array:
        first = second.first
        moved = first.found.state._replace(theta=first.found.state.theta + one * direction)
        there = SecondRound(
            first._replace(found=first.found._replace(state=moved)), points, second.setting
        )
        at = state._replace(theta=state.theta + two * direction)
        return there.gradient(at, there.means(at))

    by_second = (gradient(0, step) - gradient(0, -step)) / (2 * step)
    by_first = (gradient(step, 0) - gradient(-step, 0)) / (2 * step)
    np.testing.assert_allclose(np.linalg.inv(a_22) @ direction, by_second, atol=2e-4, rtol=1e-3)
    np.testing.assert_allclose(k_21 @ direction, by_first, atol=2e-4, rtol=1e-3)


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_nodes_resolve_the_rule(rule: Selection, monkeypatch: pytest.MonkeyPatch) -> None:
    second, state, points = second_round(rule, LogisticLoss())
    coarse = second.means(state)
    module = "theory.population_two_rounds_equations"
    for name, value in (("ORDER", 14), ("WIDEST_PANEL", 1.0), ("REACH", 7.0), ("STEP", 0.4)):
        monkeypatch.setattr(f"{module}.{name}", value)
    fine = SecondRound(second.first, points, second.setting)
    for a, b in zip(coarse, fine.means(state), strict=True):
        np.testing.assert_allclose(a, b, atol=2e-5 * np.abs(b).max())
    share = float(fine.probability.mean())
    assert share == pytest.approx(getattr(rule, "fraction", 0), abs=2e-6)


def test_points_are_tested_without_themselves() -> None:
    second, _, points = second_round(HARDEST, LogisticLoss())
    found = second.solve()
    full = points.labels * (points.design @ found.state.theta)
    inside = left_out(second.first, second, found)
    n, first = len(full), second.first
    exact = []
    for i in range(0, n, 15):
        # the point's own part in either round is taken out
        keep = np.ones(n)
        keep[i] = 1e-9
        alone = first_round(
            first.points, Setting(keep, np.ones(n), first.samples, second.setting.penalty * 2)
        )
        fixed = alone._replace(slope=keep * alone.slope, curvature=keep * alone.curvature)
        other = _Weighted(fixed, points, second.setting, keep)
        exact.append(points.labels[i] * (points.design[i] @ other.solve().state.theta))
    moved, expected = inside[::15] - full[::15], np.array(exact) - full[::15]
    assert np.abs(expected).max() > 0.02
    np.testing.assert_allclose(moved, expected, atol=0.25 * np.abs(expected).max())
    assert np.corrcoef(moved, expected)[0, 1] > 0.97


class _Weighted(SecondRound):
    """Points count with a weight."""

    def __init__(self, first, points, setting, keep) -> None:  # type: ignore[no-untyped-def]
        self.keep = keep
        super().__init__(first, points, setting)

    def means(self, state: Memory):  # type: ignore[no-untyped-def]
        return type(found := super().means(state))(*(self.keep * values for values in found))


def test_many_labels_leave_a_fixed_surrogate() -> None:
    whole = population(500, 6, seed=2)
    surrogate = PopulationSurrogate(whole, samples=10**7, ridge=0.03)
    rule = PowerSelection(1.0, 0.4)
    found = surrogate.predict(rule, 80, 0.02, reuse=0.0, halving=False)
    scores = whole.features @ surrogate.first.coefficients + surrogate.first.intercept
    alone = whole.predict(rule.inclusion_probabilities(scores), 80, 0.02, halving=False)
    assert found.fraction == pytest.approx(0.4, abs=1e-3)
    np.testing.assert_allclose(found.coefficients, alone.coefficients, atol=2e-3)
    np.testing.assert_allclose(found.state.variance, alone.state.variance, rtol=5e-3)


def test_a_random_choice_is_one_round_of_all() -> None:
    """Sample A and a random share of the pool, with the same ridge, are one sample."""
    whole = population(500, 6, seed=3)
    found = PopulationSurrogate(whole, 60, 0.03).predict(
        RandomSelection(0.5), 80, 0.02, reuse=1.0, halving=False
    )
    share = 100 / 140
    one = whole.predict(np.full(500, share), 140, 0.02, halving=False)
    assert found.misclassification == pytest.approx(one.misclassification, abs=2e-4)


def test_law_of_the_score() -> None:
    generator = np.random.default_rng(0)
    means, deviations = generator.normal(size=300), 0.3 + generator.random(300)
    law = PopulationScoreLaw.of(means, deviations)
    draws = means + deviations * generator.standard_normal((4000, 300))
    for rule in (HARDEST, PowerSelection(2.0, 0.2), PowerSelection(-1.0, 0.3)):
        fitted = rule.law_rule(law)
        assert fitted.probability(draws).mean() == pytest.approx(rule.fraction, abs=2e-3)
    assert law.probability_within(1.0) == pytest.approx(np.mean(np.abs(draws) < 1), abs=2e-3)


# Input and other ends.


def test_sampling_error_is_the_spread_over_populations() -> None:
    errors, stated = [], []
    for seed in range(20):
        surrogate = PopulationSurrogate(population(480, 8, seed), 30, 0.05)
        found = surrogate.predict(PowerSelection(1.0, 0.3), 100, 0.05, reuse=1.0, halving=False)
        errors.append(found.misclassification)
        stated.append(found.misclassification_sampling_error)
    assert 0.65 < np.std(errors) / np.mean(stated) < 1.5  # 20 draws tell 16 %


def test_a_near_prediction_starts_the_next() -> None:
    surrogate = PopulationSurrogate(population(300, 6), 40, 0.05)
    cold = surrogate.predict(HARDEST, 100, 0.05, reuse=1.0, halving=False)
    near = surrogate.predict(HARDEST, 100, 0.049, reuse=1.0, halving=False, start=cold)
    again = surrogate.predict(HARDEST, 100, 0.05, reuse=1.0, halving=False, start=near)
    assert near.steps < cold.steps
    assert again.misclassification == pytest.approx(cold.misclassification, abs=1e-5)
    with pytest.raises(InvalidFieldError, match="of this surrogate"):
        PopulationSurrogate(population(300, 6), 41, 0.05).predict(HARDEST, 100, 0.05, start=cold)


def test_input_is_checked() -> None:
    x, y = labelled_sample(60, 3, seed=1)
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"surrogate_samples": 1}, "surrogate_samples"),
        ({"surrogate_ridge": -1.0}, "surrogate_ridge"),
        ({"reuse": -1.0}, "reuse"),
        ({"pool_size": 0}, "pool_size"),
        ({"selection": np.ones(60)}, "selection"),
    ]
    for changes, match in wrong:
        given: dict[str, Any] = {"selection": HARDEST, "pool_size": 50, "ridge": 0.1,
                 "surrogate_samples": 20, "surrogate_ridge": 0.1}  # fmt: skip
        with pytest.raises(InvalidFieldError, match=match):
            predict_population_two_rounds(x, y, **(given | changes))
    one_class = predict_population_two_rounds(x, np.ones(60), HARDEST, 50, 0.1, 20, 0.1)
    assert one_class.status is not Status.CONVERGED
    assert np.isnan(one_class.misclassification)
    with pytest.raises(InvalidFieldError, match="labels"):
        predict_population(x, np.ones(60), np.ones(60), 50, 0.1)


def test_a_rule_that_keeps_nothing_has_a_status() -> None:
    surrogate = PopulationSurrogate(population(200, 4), 40, 0.05)
    nothing = BandSelection(lower=1000.0, upper=np.inf)
    found = surrogate.predict(nothing, 100, 0.05, reuse=1.0)
    assert found.status is Status.EMPTY_SELECTION
    assert np.isnan(found.misclassification)
    band = surrogate.predict(BandSelection(0.2, 1.0), 100, 0.05, reuse=1.0)
    assert band.status is Status.CONVERGED
    assert 0 < band.fraction < 1
