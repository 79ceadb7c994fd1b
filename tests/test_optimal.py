"""The optimal selection: its derivative, its gap, and searches that share no code with it."""

import math

import numpy as np
import pytest
from scipy.optimize import brentq, minimize_scalar

from paper_repro.accuracy import random_problems
from simulate import estimate
from tests.problems import DELTA
from theory import (
    F1,
    F2,
    BandSelection,
    GaussianMixture,
    GivenSurrogate,
    InvalidFieldError,
    PowerSelection,
    Problem,
    RandomSelection,
    SingleIndex,
    SquaredLoss,
    StepLink,
    TabulatedSelection,
    TopSelection,
    TrainedSurrogate,
    gradient,
    optimal_selection,
    predict,
    predict_all,
    recommend,
    robust_selection,
    tuned_selection,
)
from theory.optimal import optimal_problems, paper_schemes
from theory.optimal.intervals import Intervals
from theory.optimal.state import Model
from theory.score import EmptySelectionError, ScoreLaw

NOISY = SingleIndex(StepLink((0.0,), (0.15, 0.85)), 5.0)


def f1_problem(samples_per_dimension: float = DELTA, fraction: float = 0.5) -> Problem:
    return Problem(SingleIndex(F1, 5.0), RandomSelection(fraction), 0.01, samples_per_dimension)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"surrogate": GivenSurrogate(2.75, 0.95)},
        {"data": GaussianMixture(1.2, 0.3, 0.1), "fit_intercept": True, "loss": SquaredLoss()},
        {"data": GaussianMixture(1.2, 0.3), "surrogate": GivenSurrogate(2.0, 1.0, 0.5)},
    ],
)
@pytest.mark.parametrize("objective", ["misclassification", "log_loss"])
def test_functional_derivative_is_that_of_predictions(
    changes: dict[str, object], objective: str
) -> None:
    """Predictions with pi raised on one interval, their order parameters solved anew."""
    problem = f1_problem().replace(changes)
    model = Model(problem, objective)
    law = model.law
    low, high = -0.3 * law.deviation, 0.9 * law.deviation

    def error(extra: float) -> float:
        jumps = (low, low + 1e-9, high, high + 1e-9)
        rule = TabulatedSelection(jumps, (0.5, 0.5 + extra, 0.5 + extra, 0.5))
        return float(getattr(predict(problem.replace({"selection": rule})), objective))

    edges = np.unique(np.concatenate([model.edges(), [low, high]]))
    grid = model.grid(edges)
    state = model.solve(grid, np.full(len(grid.t), 0.5), None)
    assert state is not None
    inside = (grid.t > low) & (grid.t < high)
    expected = (8 * (error(0.01) - error(-0.01)) - (error(0.02) - error(-0.02))) / 0.12
    z = model.derivative(state, grid.t)
    assert float((grid.weight * z)[inside].sum()) == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize(
    ("samples_per_dimension", "fraction", "most"),
    [(2.29, 0.8, 0.23950), (2.29, 0.5, 0.2566), (36.85, 0.1, 0.1594), (36.85, 0.5, 0.08786)],
)
def test_optimum_is_the_best_band_that_a_scan_finds(
    samples_per_dimension: float, fraction: float, most: float
) -> None:
    problem = f1_problem(samples_per_dimension, fraction)
    best = optimal_selection(problem)
    assert best.prediction.misclassification <= most
    assert best.gap <= 1e-8
    assert best.agreed == best.starts == 7
    assert isinstance(best.selection, BandSelection)
    law = ScoreLaw((0.0,), (1.0,), 5.0)

    def band(lower: float) -> BandSelection:
        left = law.probability_within(lower)
        upper = brentq(lambda t: law.probability_within(t) - left - fraction, lower, 60, xtol=1e-13)
        return BandSelection(lower, float(upper))

    def error(lower: float) -> float:
        return predict(problem.replace({"selection": band(lower)})).misclassification

    last = float(brentq(lambda t: law.probability_within(t) - 1 + fraction, 0, 60)) - 1e-9
    coarse = np.linspace(0, last, 15)
    place = int(np.argmin([error(lower) for lower in coarse]))
    around = (coarse[max(place - 1, 0)], coarse[min(place + 1, 14)])
    found = minimize_scalar(error, bounds=around, method="bounded", options={"xatol": 1e-4})
    assert best.prediction.misclassification <= found.fun + 1e-9
    assert best.selection.lower == pytest.approx(found.x, abs=0.02)
    assert best.prediction.fraction == pytest.approx(fraction, abs=1e-9)


def test_thresholds_are_where_the_derivative_meets_its_level() -> None:
    best = optimal_selection(f1_problem())
    model = Model(best.problem, "misclassification")
    z = best.derivative
    kept = z.kept.to_numpy() > 0.5
    assert z.to_numpy()[kept].max() <= best.level + 1e-9
    assert z.to_numpy()[~kept].min() >= best.level - 1e-9
    assert isinstance(best.selection, BandSelection)
    assert best.thresholds[-2:] == pytest.approx((best.selection.lower, best.selection.upper))
    assert "|score| between 2.86 (43.3%) and 9.149 (93.3%)" in best.words
    assert model.law.probability_within(best.selection.lower) == pytest.approx(0.4327, abs=1e-4)


def test_optimum_is_never_worse_than_the_schemes_of_the_paper() -> None:
    """Some of the random problems that accuracy is checked on, of every kind."""
    problems = random_problems(31, seed=7)
    for k in (1, 5, 18, 22, 23, 28):
        best = optimal_selection(problems[k])
        fraction = min(best.prediction.fraction, 1.0)
        others = predict_all(
            problems[k].replace({"selection": scheme}) for scheme in paper_schemes(fraction)
        )
        least = np.nanmin([other.misclassification for other in others])
        assert best.prediction.misclassification <= least + 1e-9
        assert best.gap <= 1e-8


def test_log_loss_is_minimised_on_request() -> None:
    problem = f1_problem(fraction=0.3)
    by_error, by_loss = (optimal_selection(problem, o) for o in ("misclassification", "log_loss"))
    assert by_loss.prediction.log_loss < by_error.prediction.log_loss
    assert by_loss.prediction.misclassification > by_error.prediction.misclassification


def test_without_symmetry_the_selection_is_a_table_with_jumps() -> None:
    problem = Problem(
        GaussianMixture(1.5, 0.3, 0.1), RandomSelection(0.3), 0.05, 4.0, fit_intercept=True
    )
    best = optimal_selection(problem)
    assert isinstance(best.selection, TabulatedSelection)
    assert best.prediction.fraction == pytest.approx(0.3, abs=1e-8)
    assert best.gap <= 1e-8
    # Each threshold is the best one when moved against another at the same fraction.
    law = Model(problem, "misclassification").law
    first = np.asarray(best.thresholds)
    for k in (0, 1):
        for step in (-0.02, 0.02):
            moved = first.copy()
            moved[k] += step
            other = 3 - k

            def excess(t: float, moved: np.ndarray = moved, other: int = other) -> float:
                trial = moved.copy()
                trial[other] = t
                return Intervals(tuple(trial), False).probability(law) - 0.3

            moved[other] = brentq(excess, first[other] - 0.5, first[other] + 0.5, xtol=1e-13)
            rule = Intervals(tuple(moved), False).selection(law)
            worse = predict(problem.replace({"selection": rule})).misclassification
            assert worse > best.prediction.misclassification


def test_fewer_samples_are_chosen_where_they_are_better() -> None:
    """f1 at N/p = 2.29: a subset beats the full sample."""
    full = f1_problem(fraction=1.0)
    best = optimal_selection(full, at_most=True)
    assert best.prediction.fraction < 0.99
    assert best.prediction.misclassification < predict(full).misclassification - 1e-3
    assert best.level == pytest.approx(0.0, abs=1e-9)
    for fraction in (best.prediction.fraction - 0.05, best.prediction.fraction + 0.02):
        other = optimal_selection(f1_problem(fraction=fraction))
        assert other.prediction.misclassification > best.prediction.misclassification


def test_everything_is_kept_at_fraction_one() -> None:
    best = optimal_selection(f1_problem(fraction=1.0))
    assert best.selection == RandomSelection(1.0)
    assert best.words == "Keep every sample."


def test_trained_surrogates_optimum_is_confirmed_by_simulation() -> None:
    problem = Problem(
        SingleIndex(F1, 5.0), RandomSelection(0.3), 0.05, 6.0, TrainedSurrogate(6.0, 0.03)
    )
    best = optimal_selection(problem)
    measured = estimate(best.problem, dimension=200, repeats=30, seed=3).misclassification
    predicted = best.prediction.misclassification
    assert abs(measured.mean - predicted) < 4 * measured.standard_error + 2e-3
    hardest = predict(problem.replace({"selection": TopSelection("hard", 0.3)}))
    assert predicted < hardest.misclassification - 20 * measured.standard_error


def test_robust_selection_is_the_best_band_in_the_worst_case() -> None:
    """Two cases that weigh against each other: equal errors at the optimum."""
    cases = [f1_problem(), Problem(NOISY, RandomSelection(0.5), 0.01, 10.0)]
    best = robust_selection(cases)
    assert best.gap <= 1e-8
    assert sum(best.weights) == pytest.approx(1.0)
    assert min(best.weights) > 0.3
    errors = [prediction.misclassification for prediction in best.predictions]
    assert errors[0] == pytest.approx(errors[1], abs=1e-8)
    assert float(best.plug_in.max("problem").min()) > best.worst + 0.01
    law = ScoreLaw((0.0,), (1.0,), 5.0)

    def worst(lower: float) -> float:
        left = law.probability_within(lower)
        upper = float(brentq(lambda t: law.probability_within(t) - left - 0.5, lower, 60))
        band = BandSelection(lower, upper)
        return max(predict(p.replace({"selection": band})).misclassification for p in cases)

    found = minimize_scalar(worst, bounds=(1.0, 3.0), method="bounded", options={"xatol": 1e-5})
    assert best.worst <= found.fun + 1e-8


def test_problems_that_cannot_share_a_selection_are_refused() -> None:
    with pytest.raises(InvalidFieldError, match=r"problems\[1\] = .*score law"):
        robust_selection([f1_problem(), f1_problem().replace({"data.signal_norm": 4.0})])
    with pytest.raises(InvalidFieldError, match=r"problems\[1\].selection = 0.4.*fraction 0.5"):
        robust_selection([f1_problem(), f1_problem(fraction=0.4)])
    with pytest.raises(InvalidFieldError, match="problems = "):
        robust_selection([])


def test_wrong_questions_are_refused() -> None:
    with pytest.raises(InvalidFieldError, match="objective = 'error'"):
        optimal_selection(f1_problem(), objective="error")
    with pytest.raises(InvalidFieldError, match="at_most = 1"):
        optimal_selection(f1_problem(), at_most=1)  # type: ignore[arg-type]
    with pytest.raises(EmptySelectionError):
        optimal_selection(f1_problem().replace({"selection": BandSelection(100.0, 101.0)}))


def test_recommendation_adds_up() -> None:
    cases = [f1_problem(), Problem(NOISY, RandomSelection(0.5), 0.01, 10.0)]
    advice = recommend(cases[0], cases[1:])
    table = advice.table
    for name, column in (("assumed", 0), ("alternative 1", 1)):
        hardest = cases[column].replace({"selection": TopSelection("hard", 0.5)})
        expected = predict(hardest).misclassification
        assert float(table.loc["hardest", name]) == pytest.approx(expected, abs=1e-9)
    gains = (table.loc["random"] - table.loc["recommended"]).to_numpy()
    assert advice.gain_range == pytest.approx((gains.min(), gains.max()))
    assert advice.gain_over_random == pytest.approx(gains[0])
    assert int(np.argmin(table.to_numpy().max(axis=1))) == 0
    assert isinstance(advice.scheme, RandomSelection | PowerSelection | TopSelection)
    assert f"{advice.gain_over_random:.4f} against random" in advice.words


def test_intervals_and_their_selections_keep_the_same_scores() -> None:
    law = ScoreLaw((0.5, -1.0), (0.4, 0.6), 1.5)
    t = np.linspace(-6, 6, 1001) + 1e-4
    for thresholds, first in [
        ((-2.0, -1.0, 1.0, 2.0), False),
        ((-1.0, 1.0), True),
        ((-1.0, 1.0), False),
        ((0.3,), True),
        ((-2.0, 0.5, 1.5), False),
        ((-2.0, -1.0, 1.0, 2.0), True),
    ]:
        intervals = Intervals(thresholds, first)
        kept = intervals.selection(law).inclusion_probabilities(t)
        assert kept == pytest.approx(intervals.contains(t))
        probability = intervals.selection(law).law_rule(law).expected(law)
        assert intervals.probability(law) == pytest.approx(probability, abs=1e-9)
    assert Intervals((-1.0, 1.0), True).parts() == [(-math.inf, -1.0), (1.0, math.inf)]


def test_slivers_are_closed() -> None:
    law = ScoreLaw((0.0,), (1.0,), 1.0)
    whole = Intervals((-1.0, 0.0, 1e-12, 1.0), False).without_slivers(law, 1e-9)
    assert whole == Intervals((-1.0, 1.0), False)
    assert Intervals((-20.0, 1.0), True).without_slivers(law, 1e-9) == Intervals((1.0,), False)


def test_search_from_a_neighbour_finds_the_same_optimum() -> None:
    near = optimal_selection(f1_problem(fraction=0.5))
    there = f1_problem(fraction=0.45).replace({"samples_per_dimension": 4.0})
    alone, led = optimal_selection(there), optimal_selection(there, near=near)
    assert led.starts == 1
    assert led.prediction.misclassification == pytest.approx(
        alone.prediction.misclassification, abs=1e-12
    )
    assert optimal_problems([there]) == [alone.problem]


def test_hole_that_is_about_to_close_leaves_no_table() -> None:
    """Between nodes the optimum of this problem is the hardest samples alone."""
    problem = Problem(SingleIndex(F2, 5.0), RandomSelection(0.8214), 0.01, 1.87)
    best = optimal_selection(problem)
    hardest = predict(problem.replace({"selection": TopSelection("hard", 0.8214)}))
    assert best.gap < 1e-8
    assert best.prediction.misclassification <= hardest.misclassification + 1e-12
    assert len(best.thresholds) >= 2


def test_tuned_selection_is_stationary_in_the_ridge_too() -> None:
    problem = f1_problem(fraction=0.8)
    best = tuned_selection(problem)
    slope = float(gradient(best.problem, ["ridge"]).misclassification[0]) * best.problem.ridge
    assert abs(slope) < 1e-4
    for ridge in (0.01, 0.1, 0.2):
        other = optimal_selection(problem.replace({"ridge": ridge}))
        assert other.prediction.misclassification > best.prediction.misclassification
    held = tuned_selection(problem, bounds=(0.5, 2.0))
    assert held.problem.ridge == pytest.approx(0.5)
    with pytest.raises(InvalidFieldError, match="bounds"):
        tuned_selection(problem, bounds=(1.0, 0.5))
