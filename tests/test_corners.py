"""Problems at the edges of the ranges, with values from independent computations."""

import math
import pickle
import warnings

import pytest

from simulate import estimate
from tests.problems import power_problem
from theory import (
    F1,
    BandSelection,
    ConvergenceError,
    GaussianClusters,
    GaussianMixture,
    GivenSurrogate,
    HingeLoss,
    InvalidFieldError,
    LogisticLink,
    PowerSelection,
    Problem,
    Quadrature,
    RandomSelection,
    SingleIndex,
    SmoothedHingeLoss,
    SquaredLoss,
    Status,
    TopSelection,
    TrainedSurrogate,
    predict,
    predict_all,
    sweep,
)

STEP = SingleIndex(F1, 5.0)
OFF_CENTRE = Problem(
    GaussianClusters((3.0, 4.0), (0.5, 0.5), (0.0, 1.0)),
    RandomSelection(1.0),
    0.1,
    10.0,
    GivenSurrogate(1.0),
    fit_intercept=True,
)


def test_intercept_on_data_far_from_the_origin() -> None:
    """Values of an independent solver; simulation at p = 400 gives .33991 +- .00033."""
    p = predict(OFF_CENTRE)
    assert p.misclassification == pytest.approx(0.339806, abs=1e-6)
    found = (p.alpha_0, p.intercept, p.alpha_perp)
    assert found == pytest.approx((0.6658, -2.330, 0.4544), abs=1e-3)


def test_three_clusters_far_apart() -> None:
    data = GaussianClusters((-4.0, -3.0, 4.0), (0.3, 0.3, 0.4), (0.2, 0.9, 0.0))
    for ridge in (1e-4, 1e-2, 0.1):
        p = predict(
            Problem(
                data, RandomSelection(0.5), ridge, 20.0, GivenSurrogate(1.0), fit_intercept=True
            )
        )
        if ridge == 0.1:
            found = (p.alpha_0, p.intercept, p.alpha_perp)
            assert found == pytest.approx((-0.3376, -1.202, 0.348), abs=1e-3)


@pytest.mark.parametrize("centre", [2.0, 3.0, 5.0, 7.0])
@pytest.mark.parametrize("ridge", [1e-4, 1e-2, 1.0])
def test_shifted_clusters_equal_centred_ones_in_the_limit_of_their_distance(
    centre: float, ridge: float
) -> None:
    """They all solve; without ridge on the shift the error depends little on it."""
    data = GaussianClusters((centre, centre + 1), (0.5, 0.5), (0.0, 1.0))
    assert predict(OFF_CENTRE.replace({"data": data, "ridge": ridge})).residual < 1e-10


@pytest.mark.fault(number=10)
@pytest.mark.parametrize(
    "problem",
    [
        *(
            Problem(
                GaussianMixture(norm, 0.2, label_noise=0.1),
                RandomSelection(0.5),
                ridge,
                10.0,
                fit_intercept=True,
            )
            for norm in (4.0, 5.0, 7.0)
            for ridge in (1e-3, 0.1, 1.0)
        ),
        OFF_CENTRE.replace({"surrogate": TrainedSurrogate(4.0, 0.01, fit_intercept=True)}),
        *(
            Problem(GaussianMixture(norm), RandomSelection(0.5), 0.1, 2.0, loss=loss)
            for norm, loss in (
                (12.0, SquaredLoss()),
                (20.0, SquaredLoss()),
                (8.0, SmoothedHingeLoss(0.5)),
                (12.0, SmoothedHingeLoss(0.5)),
                (5.0, HingeLoss()),
                (12.0, HingeLoss()),
            )
        ),
    ],
)
def test_mixtures_far_apart_are_solved(problem: Problem) -> None:
    p = predict(problem)
    assert p.residual < 1e-9
    assert p.error_estimate < 1e-8


@pytest.mark.fault(number=10)
def test_well_separated_mixture_has_its_known_solution() -> None:
    p = predict(Problem(GaussianMixture(12.0), RandomSelection(0.5), 0.1, 2.0))
    assert p.alpha_0 == pytest.approx(0.414862, abs=1e-6)


def test_small_beta_with_a_clip_is_resolved() -> None:
    p = predict(
        Problem(STEP, PowerSelection(-3.0, 0.1, False, 2.0), 0.1, 20.0, GivenSurrogate(0.47, 0.3))
    )
    assert p.misclassification == pytest.approx(0.243087, abs=1e-6)


@pytest.mark.fault(number=9)
def test_large_weights_without_clip_are_harmless() -> None:
    for norm, alpha, delta in ((20.0, 1.0, 2.0), (6.0, 2.0, 3.0)):
        problem = Problem(
            SingleIndex(F1, norm), PowerSelection(alpha, 0.3, True, math.inf), 0.1, delta
        )
        p = predict(problem)
        assert p.error_estimate < 1e-8
        if norm == 6.0:
            assert p.misclassification == pytest.approx(0.427, abs=5e-3)  # simulated


def test_an_enormous_signal_takes_no_longer() -> None:
    p = predict(
        Problem(SingleIndex(LogisticLink(), 1e6), PowerSelection(1.0, 0.5, False, 10.0), 0.1, 2.0)
    )
    assert p.fraction == pytest.approx(0.5, abs=1e-9)
    assert p.error_estimate < 1e-8


@pytest.mark.fault(number=8)
@pytest.mark.parametrize(("delta", "expected"), [(100.0, 0.08062033), (200.0, 0.0719475)])
def test_hinge_with_many_samples_per_dimension(delta: float, expected: float) -> None:
    p = predict(Problem(STEP, RandomSelection(0.5), 1e-3, delta, loss=HingeLoss()))
    assert p.misclassification == pytest.approx(expected, abs=1e-7)


def test_one_class_has_no_finite_intercept() -> None:
    data = GaussianClusters((1.0, 2.0), (0.5, 0.5), (1.0, 1.0))
    (p,) = predict_all([OFF_CENTRE.replace({"data": data})])
    assert p.status is Status.ONE_CLASS
    with pytest.raises(ConvergenceError, match="one class"):
        predict(OFF_CENTRE.replace({"data": data}))


def test_a_constant_classifier_is_named_and_simulated() -> None:
    problem = Problem(
        GaussianMixture(0.4, 0.7, label_noise=0.1),
        RandomSelection(1.0),
        3.0,
        200.0,
        loss=HingeLoss(),
        fit_intercept=True,
    )
    (p,) = predict_all([problem])
    assert p.status is Status.CONSTANT_CLASSIFIER
    finite = estimate(problem, dimension=20, repeats=4)
    assert abs(finite.alpha_0.mean) < 1e-6
    assert finite.intercept.mean == pytest.approx(1.0, abs=1e-6)


def test_an_undetermined_intercept_is_named() -> None:
    problem = Problem(
        STEP, TopSelection("easy", 0.1), 9.0, 300.0, loss=SmoothedHingeLoss(0.5), fit_intercept=True
    )
    (p,) = predict_all([problem])
    assert p.status is Status.FLAT_INTERCEPT


def test_failures_stay_at_their_points() -> None:
    good = power_problem()
    cases = {
        Status.NO_SURROGATE: good.replace(
            {"surrogate": TrainedSurrogate(0.5, 0.0), "data": SingleIndex(LogisticLink(), 1.0)}
        ),
        Status.EMPTY_SELECTION: good.replace({"selection": BandSelection(100.0, 200.0)}),
        Status.NO_FINITE_SOLUTION: good.replace(
            {"ridge": 0.0, "samples_per_dimension": 0.5, "selection": RandomSelection(1.0)}
        ),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        *failed, solved = predict_all([*cases.values(), good])
    assert [p.status for p in failed] == list(cases)
    assert all(math.isnan(p.misclassification) for p in failed)
    assert solved.misclassification == pytest.approx(predict(good).misclassification, abs=1e-12)


def test_a_sweep_goes_on_where_a_rule_keeps_nothing() -> None:
    result = sweep(
        power_problem(selection=BandSelection(0.0, 1.0)), {"selection.upper": [1e-14, 1.0]}
    )
    assert list(result.status.values) == ["EMPTY_SELECTION", "CONVERGED"]


def test_a_tiny_fraction_is_answered() -> None:
    (p,) = predict_all([power_problem(fraction=1e-13, alpha=1.0)])
    assert p.status in (Status.EMPTY_SELECTION, Status.CONVERGED)


def test_errors_survive_pickling() -> None:
    with pytest.raises(ConvergenceError) as caught:
        predict(power_problem(selection=BandSelection(100.0, 200.0)))
    again = pickle.loads(pickle.dumps(caught.value))
    assert str(again) == str(caught.value)
    assert again.problem == caught.value.problem
    with pytest.raises(InvalidFieldError) as refused:
        RandomSelection(2.0)
    assert str(pickle.loads(pickle.dumps(refused.value))) == str(refused.value)


STEEP = [
    power_problem(alpha=1.0, fraction=0.4, ridge=1e-3, samples_per_dimension=36.85,
                  selection__reweight=True),
    *(power_problem(LogisticLink(), data__signal_norm=norm) for norm in (50.0, 100.0)),
    power_problem(LogisticLink(), 2.0, 0.05, data__signal_norm=17.0, selection__reweight=True),
    power_problem(alpha=-1000.0, selection__score_clip=math.inf,
                  surrogate=GivenSurrogate(2.75, 0.95)),
    power_problem(loss=SmoothedHingeLoss(0.01)),
]  # fmt: skip


@pytest.mark.parametrize("problem", STEEP)
def test_steep_links_rules_and_losses_are_accurate(problem: Problem) -> None:
    default, finer = predict(problem), predict(problem, Quadrature().refined(4))
    assert abs(default.misclassification - finer.misclassification) <= default.error_estimate
    assert default.error_estimate <= 1e-8
