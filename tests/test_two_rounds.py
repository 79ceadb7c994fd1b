"""Two rounds: values of an independent solution, the printed equations by a plain rule, limits."""

import math

import numpy as np
import pytest
from scipy.special import expit

from theory import (
    F1,
    BandSelection,
    GaussianMixture,
    InvalidFieldError,
    LogisticLink,
    LogisticLoss,
    Loss,
    PerfectSurrogate,
    PowerSelection,
    Problem,
    RandomSelection,
    Selection,
    SingleIndex,
    SmoothedHingeLoss,
    SquaredLoss,
    Status,
    TopSelection,
    TrainedSurrogate,
    gradient,
    optimal_selection,
    predict,
    predict_all,
    split_budget,
    sweep,
)
from theory.kinds import DataModel
from theory.prediction import case_of, score_of
from theory.quadrature import marked_normal_rule
from theory.score import fitted_rule

STEP = SingleIndex(F1, 5.0)
HARD = TopSelection("hard", 0.25)


def problem_of(
    data: DataModel,
    first: tuple[float, float],
    second: tuple[float, float],
    selection: Selection,
    reuse: float = 1.0,
    losses: tuple[Loss, Loss] = (LogisticLoss(), LogisticLoss()),
    intercept: bool = False,
) -> Problem:
    """first, second: samples per dimension and ridge of each round; losses likewise."""
    surrogate = TrainedSurrogate(*first, intercept, loss=losses[0], reuse=reuse)
    samples, ridge = second
    return Problem(data, selection, ridge, samples, surrogate, losses[1], intercept)


LOGISTIC = SingleIndex(LogisticLink(), 3.0)
POWER, REWEIGHTED = PowerSelection(1.0, 0.3), PowerSelection(0.5, 0.3, reweight=True)
SQUARED = (SquaredLoss(), SquaredLoss())
TABLE = [
    (problem_of(STEP, (2, 0.03), (8, 0.01), POWER), 0.249126286747, 0.166688180869),
    (
        problem_of(STEP, (2, 0.03), (8, 0.01), PowerSelection(-1.0, 0.3)),
        0.249126286747,
        0.215322491996,
    ),
    (
        problem_of(STEP, (1, 0.05), (8, 0.01), TopSelection("hard", 0.2)),
        0.307849076091,
        0.206633367053,
    ),
    (
        problem_of(STEP, (1, 0.05), (8, 0.01), TopSelection("easy", 0.2)),
        0.307849076091,
        0.267769731640,
    ),
    (problem_of(LOGISTIC, (2, 0.02), (6, 0.01), REWEIGHTED), 0.277407345168, 0.236424025688),
    (
        problem_of(GaussianMixture(1.0), (1.5, 0.05), (6, 0.02), PowerSelection(-1.0, 0.3), 0.5),
        0.246203141242,
        0.214815396916,
    ),
    (
        problem_of(GaussianMixture(1.0, 0.3), (1.5, 0.05), (6, 0.02), HARD, intercept=True),
        0.213937548330,
        0.180521675430,
    ),
    (
        problem_of(STEP, (1.5, 0.05), (6, 0.02), HARD, losses=(LogisticLoss(), SquaredLoss())),
        0.272758016558,
        0.197973456851,
    ),
    (
        problem_of(
            GaussianMixture(1.0),
            (1.5, 0.1),
            (6, 0.05),
            PowerSelection(-0.5, 0.3, reweight=True),
            losses=SQUARED,
        ),
        0.282409327332,
        0.238005271808,
    ),
    (
        problem_of(STEP, (2, 0.05), (30, 0.01), TopSelection("hard", 0.1)),
        0.246918896514,
        0.153434322854,
    ),
    (
        problem_of(STEP, (2, 0.05), (30, 0.01), TopSelection("easy", 0.1)),
        0.246918896514,
        0.252514406409,
    ),
    (  # without reuse, and N that counts both samples all the same
        problem_of(STEP, (2, 0.05), (30, 0.01 * 32 / 30), TopSelection("hard", 0.1), 0.0),
        0.246918896514,
        0.335749358821,
    ),
]


@pytest.mark.parametrize(("problem", "first", "second"), TABLE)
def test_published_values(problem: Problem, first: float, second: float) -> None:
    """Of a prototype that shares no code."""
    prediction = predict(problem)
    assert prediction.first_stage is not None
    assert abs(prediction.first_stage.misclassification - first) < 1e-9
    assert abs(prediction.misclassification - second) < 1e-9
    assert prediction.residual < 1e-12
    assert prediction.error_estimate < 1e-10
    if problem.fit_intercept:
        assert abs(prediction.intercept + 0.9006037161) < 1e-9


@pytest.mark.parametrize("intercept", [False, True])
def test_printed_equations_hold_by_a_plain_rule(intercept: bool) -> None:
    """All seven, in three dimensions (h, G_1, G), at a weight where chi_21 matters."""
    data = GaussianMixture(1.0, 0.4, 0.1) if intercept else SingleIndex(LogisticLink(), 2.0)
    problem = problem_of(data, (2, 0.1), (6, 0.05), PowerSelection(0.7, 0.3), 3.0, (
        LogisticLoss(), LogisticLoss()), intercept)  # fmt: skip
    found = predict(problem)
    first, score = found.first_stage, score_of(problem)
    assert first is not None
    assert abs(found.chi_21) > 0.01
    chi_11, chi_21, chi_22 = 1 / first.mu, found.chi_21, 1 / found.mu
    h0, w0 = marked_normal_rule(data.means, data.weights, 1.0, (), 4)
    g0, u0 = np.polynomial.hermite_e.hermegauss(26)
    u0 = u0 / u0.sum()
    h, g_1, g = np.meshgrid(h0, g0, g0, indexing="ij")
    base = w0[:, None, None] * u0[None, :, None] * u0
    pi = fitted_rule(data, score, problem.selection).probability
    sums = dict.fromkeys(
        ("r2h", "r2", "k22", "k21", "m11", "m12", "m22", "along 1", "along 2"), 0.0
    )
    w_a = 3.0
    for y in (1, -1):
        share = data.label_probability(h0)[:, None, None]
        weight = base * (share if y > 0 else 1 - share)
        s_1 = y * (score.beta_0 * h + score.intercept) + score.beta_s * g_1
        s_2 = y * (found.alpha_0 * h + found.intercept) + found.alpha_s * g_1 + found.alpha_perp * g
        v_1 = logistic_prox(s_1, chi_11)
        r_1, k_11 = slope_and_response(v_1, 1.0, chi_11)
        for stage, size in (("A", 2.0), ("B", 6.0)):
            own = weight * size * (1.0 if stage == "A" else pi(y * s_1))
            scale = w_a if stage == "A" else 1.0
            margin = s_2 - chi_21 * r_1 if stage == "A" else s_2
            v_2 = logistic_prox(margin, chi_22 * scale)
            r_2, k_22 = slope_and_response(v_2, scale, chi_22)
            sums["r2h"] += float(np.sum(own * r_2 * y * h))
            sums["r2"] += float(np.sum(own * r_2 * y))
            sums["k22"] += float(np.sum(own * k_22))
            sums["m22"] += float(np.sum(own * r_2**2))
            sums["along 2"] += float(np.sum(own * r_2 * v_2))
            if stage == "A":
                sums["k21"] -= chi_21 * float(np.sum(own * k_11 * k_22))
                sums["m11"] += float(np.sum(own * r_1**2))
                sums["m12"] += float(np.sum(own * r_1 * r_2))
                past = v_1 - y * (score.beta_0 * h + score.intercept)
            else:
                stein = float(np.sum(own * r_2 * g_1) - found.alpha_s * np.sum(own * k_22))
                sums["k21"] += stein / score.beta_s
                past = score.beta_s * g_1
            sums["along 1"] += float(np.sum(own * r_2 * past))
    ridge = 8.0 * problem.ridge
    chi = np.array([[chi_11, 0.0], [chi_21, chi_22]])
    m = np.array([[sums["m11"], sums["m12"]], [sums["m12"], sums["m22"]]])
    covariance = chi @ m @ chi.T
    norm2 = found.alpha_0**2 + found.alpha_s**2 + found.alpha_perp**2
    residuals = [
        1 / chi_22 - ridge - sums["k22"],
        chi_21 + chi_11 * chi_22 * sums["k21"],
        covariance[0, 0] - score.beta_s**2,
        covariance[0, 1] - score.beta_s * found.alpha_s,
        covariance[1, 1] - found.alpha_s**2 - found.alpha_perp**2,
        ridge * found.alpha_0 + sums["r2h"],
        sums["r2"] if intercept else 0.0,
        ridge * score.beta_s * found.alpha_s + sums["along 1"],
        ridge * norm2 + sums["along 2"],
    ]
    np.testing.assert_allclose(residuals, 0.0, atol=2e-7)


def logistic_prox(margin: np.ndarray, eta: float) -> np.ndarray:
    """By Newton's method from above, where it is monotone after one step."""
    low, high = margin, margin + eta
    v = np.clip(margin, 0.0, None)
    for _ in range(14):
        step = (v - margin - eta * expit(-v)) / (1 + eta * expit(v) * expit(-v))
        v = np.clip(v - step, low, high)
    return np.asarray(v)


def slope_and_response(v: np.ndarray, scale: float, chi: float) -> tuple[np.ndarray, np.ndarray]:
    """r = scale loss'(v) and dr/ds = r' / (1 + chi r')."""
    curvature = scale * expit(v) * expit(-v)
    return -scale * expit(-v), curvature / (1 + chi * curvature)


def test_without_reuse_nothing_changes() -> None:
    plain = Problem(STEP, POWER, 0.01, 8.0, TrainedSurrogate(2.0, 0.03))
    zero = predict(plain.replace({"surrogate.reuse": 0}))
    assert zero == predict(plain)
    assert zero.chi_21 == 0


def test_a_small_weight_is_one_round_with_its_ridge() -> None:
    problem = problem_of(STEP, (2, 0.03), (8, 0.008), HARD, 1e-9)
    one = predict(problem.replace({"surrogate.reuse": 0.0, "ridge": 0.01}))
    assert abs(predict(problem).misclassification - one.misclassification) < 1e-8


def test_everything_kept_is_one_round_with_both_samples() -> None:
    """At weight 1, whatever the surrogate; and theta_1 overlaps with theta_2 all the same."""
    together = predict(Problem(STEP, RandomSelection(1.0), 0.02, 8.0))
    for ridge in (0.03, 0.5):
        found = predict(problem_of(STEP, (2, ridge), (6, 0.02), TopSelection("easy", 1.0)))
        assert abs(found.misclassification - together.misclassification) < 1e-11
        assert abs(found.chi_21) < 1e-10
        assert found.alpha_s > 0.1


def test_random_selection_is_a_smaller_pool() -> None:
    half = predict(problem_of(STEP, (2, 0.03), (8, 0.01), RandomSelection(0.25), 2.0))
    ridge = 0.01 * 10 / 4  # N falls from 10 to 4
    small = predict(problem_of(STEP, (2, 0.03), (2, ridge), RandomSelection(1.0), 2.0))
    assert abs(half.misclassification - small.misclassification) < 1e-11


def test_with_no_pool_the_surrogate_is_fitted_again() -> None:
    problem = problem_of(STEP, (2, 0.03), (1e-5, 0.03), RandomSelection(1.0))
    found = predict(problem)
    assert found.first_stage is not None
    assert abs(found.misclassification - found.first_stage.misclassification) < 1e-6


def test_smoothed_hinges_and_bands_are_solved_to_their_estimates() -> None:
    hinge = SmoothedHingeLoss(0.5)
    problems = [
        problem_of(STEP, (1.5, 0.05), (6, 0.02), selection, weight, losses)
        for selection, weight, losses in (
            (HARD, 2.0, (hinge, LogisticLoss())),
            (BandSelection(0.3, 1.2), 0.5, (LogisticLoss(), hinge)),
            (POWER, 1.0, (hinge, hinge)),
        )
    ]
    for found in predict_all(problems):
        assert found.status is Status.CONVERGED
        assert found.residual < 1e-9
        assert found.error_estimate < 1e-8


def test_exact_gradients() -> None:
    problem = problem_of(STEP, (1.5, 0.05), (6, 0.02), POWER, 2.0)
    names = ["ridge", "surrogate.reuse", "surrogate.samples_per_dimension", "selection.alpha"]
    for name, slope in zip(names, gradient(problem, names).misclassification.values, strict=True):
        value = {"ridge": 0.02, "surrogate.reuse": 2.0, "selection.alpha": 1.0}.get(name, 1.5)
        ends = [predict(problem.replace({name: value * (1 + d)})) for d in (-1e-4, 1e-4)]
        rise = ends[1].misclassification - ends[0].misclassification
        assert math.isclose(slope, rise / (2e-4 * value), rel_tol=1e-5)


def test_sweeps_over_the_weight() -> None:
    problem = problem_of(STEP, (2, 0.05), (30, 0.01), TopSelection("hard", 0.1))
    found = sweep(problem, {"surrogate.reuse": [0.0, 1.0]})
    assert found.misclassification.values[0] > 0.3
    assert found.misclassification.values[1] < 0.16
    np.testing.assert_allclose(found.first_stage, 0.246918896514, atol=1e-9)
    assert "first_stage" not in sweep(problem, {"surrogate.reuse": [0.0]})


@pytest.mark.parametrize("weight", [-1.0, math.inf, math.nan, "1"])
def test_weights_are_refused(weight: object) -> None:
    with pytest.raises(InvalidFieldError, match=r"surrogate.reuse = .* a finite number >= 0"):
        TrainedSurrogate(2.0, 0.05, reuse=weight)  # type: ignore[arg-type]


def test_optimal_selections_say_that_they_know_one_round() -> None:
    problem = problem_of(STEP, (2, 0.05), (8, 0.01), HARD)
    with pytest.raises(InvalidFieldError, match=r"surrogate\.reuse = 1\.0"):
        optimal_selection(problem)
    with pytest.raises(InvalidFieldError, match=r"surrogate\.reuse = 1\.0"):
        _ = case_of(problem, score_of(problem)).one_round


def test_best_split_of_a_budget() -> None:
    """Values of that prototype at a fixed ridge; a curve that the best point completes."""
    problem = problem_of(STEP, (1, 0.05), (9, 0.01), HARD)
    split = split_budget(problem, 3, 10, over=["share"])
    assert abs(split.random_prediction.misclassification - 0.2125) < 5e-5
    assert abs(split.prediction.misclassification - 0.1911) < 5e-5
    assert 0.45 < split.share < 0.55
    assert split.gain == pytest.approx(0.0214, abs=1e-4)
    errors = split.curve.misclassification
    assert float(errors.min()) == split.prediction.misclassification
    again = predict(split.problem)
    assert abs(again.misclassification - split.prediction.misclassification) < 1e-9
    total = split.problem.samples_per_dimension * split.problem.selection.fraction  # type: ignore[attr-defined]
    assert split.share * 3 + total == pytest.approx(3)
    assert "Buy 51% of the labels at random first" in split.words


def test_no_split_may_beat_random() -> None:
    problem = problem_of(STEP, (1, 0.05), (9, 0.01), TopSelection("easy", 0.25))
    split = split_budget(problem, 3, 10, over=["share"], bounds={"share": (0.3, 0.7)})
    assert split.gain < 0
    assert split.words.startswith("No split beats random: buy all 3 labels")


@pytest.mark.parametrize(
    ("changes", "labels", "pool", "options", "message"),
    [
        ({}, 11, 10, {}, "labels_per_dimension = 11.0"),
        ({}, 0, 10, {}, "labels_per_dimension = 0"),
        ({}, 3, 10, {"bounds": {"share": (0.0, 0.5)}}, "one of the rounds has no labels"),
        ({}, 3, 10, {"bounds": {"share": (0.5, 1.0)}}, "one of the rounds has no labels"),
        ({"surrogate.samples_per_dimension": 3.0}, 3, 10, {"over": ["ridge"]}, "both rounds"),
        ({"surrogate": PerfectSurrogate()}, 3, 10, {}, "a TrainedSurrogate"),
        ({"selection": BandSelection(0.1, 1.0)}, 3, 10, {}, "keeps a stated fraction"),
        ({"surrogate.data": GaussianMixture(1.0)}, 3, 10, {}, "bought from one pool"),
        ({}, 3, 10, {"over": ["selection.fraction"]}, "a field that the budget does not set"),
        ({}, 3, 10, {"over": ["share", "data.signal_norm"]}, "given for data.signal_norm"),
        ({}, 3, 10, {"objective": "loss"}, "objective = 'loss'"),
    ],
)
def test_wrong_budgets_are_one_line(
    changes: dict[str, object], labels: float, pool: float, options: dict[str, object], message: str
) -> None:
    problem = problem_of(STEP, (1, 0.05), (9, 0.01), HARD).replace(changes)
    with pytest.raises(InvalidFieldError, match=message):
        split_budget(problem, labels, pool, **options)  # type: ignore[arg-type]
