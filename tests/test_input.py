"""Wrong input is refused on construction, by field, value and allowed range."""

import math
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import theory
from simulate import Plan, estimate
from tests.problems import power_problem
from theory import (
    F1,
    BandSelection,
    GaussianClusters,
    GaussianMixture,
    GivenSurrogate,
    InvalidFieldError,
    PowerSelection,
    Problem,
    Quadrature,
    RandomSelection,
    SingleIndex,
    SmoothedHingeLoss,
    StepLink,
    TabulatedSelection,
    TopSelection,
    TrainedSurrogate,
    sweep,
)

DATA = SingleIndex(F1, 5.0)
CLUSTERS = GaussianClusters((-2.0, 0.0, 2.0), (0.25, 0.5, 0.25), (1.0, 0.0, 1.0))


def problem(**fields: Any) -> Problem:
    defaults: dict[str, Any] = {
        "selection": RandomSelection(0.5),
        "ridge": 0.1,
        "samples_per_dimension": 2.0,
    }
    return Problem(**({"data": DATA} | defaults | fields))


WRONG: list[tuple[Callable[[], object], str, str]] = [
    (lambda: problem(ridge=-0.1), "ridge = -0.1", ">= 0"),
    (lambda: problem(ridge=math.nan), "ridge = nan", ">= 0"),
    (lambda: problem(ridge="small"), "ridge = 'small'", ">= 0"),
    (lambda: problem(ridge=True), "ridge = True", ">= 0"),
    (lambda: problem(samples_per_dimension=0), "samples_per_dimension = 0", "> 0"),
    (lambda: problem(samples_per_dimension=math.inf), "samples_per_dimension = inf", "> 0"),
    (lambda: problem(fit_intercept=1), "fit_intercept = 1", "True or False"),
    (lambda: problem(data="f1"), "data = 'f1'", "SingleIndex"),
    (lambda: problem(selection=0.5), "selection = 0.5", "PowerSelection"),
    (lambda: problem(surrogate=None), "surrogate = None", "PerfectSurrogate"),
    (lambda: problem(loss="logistic"), "loss = 'logistic'", "Loss"),
    (lambda: RandomSelection(0.0), "selection.fraction = 0.0", "(0, 1]"),
    (lambda: RandomSelection(1.01), "selection.fraction = 1.01", "(0, 1]"),
    (lambda: PowerSelection(math.nan, 0.5), "selection.alpha = nan", "finite"),
    (lambda: PowerSelection(1.0, -0.5), "selection.fraction = -0.5", "(0, 1]"),
    (lambda: PowerSelection(1.0, 0.5, reweight=1), "selection.reweight = 1", "True or False"),  # type: ignore[arg-type]
    (lambda: PowerSelection(1.0, 0.5, score_clip=0.0), "selection.score_clip = 0.0", "inf"),
    (lambda: TopSelection("medium", 0.5), "selection.keep = 'medium'", "'hard' or 'easy'"),
    (lambda: TopSelection("hard", math.nan), "selection.fraction = nan", "(0, 1]"),
    (lambda: SingleIndex(F1, -1.0), "data.signal_norm = -1.0", "> 0"),
    (lambda: SingleIndex("logistic"), "data.link = 'logistic'", "LogisticLink"),  # type: ignore[arg-type]
    (lambda: StepLink((0.5, 0.0), (0.1, 0.2, 0.3)), "thresholds = (0.5, 0.0)", "increasing"),
    (lambda: StepLink((), (0.1,)), "thresholds = ()", "one or more"),
    (lambda: StepLink((0.0,), (0.1, 1.2)), "levels[1] = 1.2", "[0, 1]"),
    (lambda: StepLink((0.0,), (0.1,)), "levels = (0.1,)", "one more value"),
    (lambda: StepLink(0.0, (0.1, 0.2)), "thresholds = 0.0", "sequence"),  # type: ignore[arg-type]
    (lambda: BandSelection(2.0, 1.0), "selection.upper = 1.0", "above selection.lower"),
    (lambda: BandSelection(-1.0, 1.0), "selection.lower = -1.0", ">= 0"),
    (lambda: TabulatedSelection((1.0, 0.0), (0.1, 0.2)), "(1.0, 0.0)", "increasing"),
    (lambda: TabulatedSelection((0.0, 1.0), (0.1, 1.2)), "probabilities[1] = 1.2", "[0, 1]"),
    (lambda: TabulatedSelection((0.0, 1.0), (0.1,)), "probabilities", "2 numbers"),
    (lambda: TabulatedSelection((0.0, 1.0), (0.0, 0.0)), "probabilities", "positive somewhere"),
    (lambda: GivenSurrogate(0.0, 0.0), "beta_0 = 0.0", "non-zero"),
    (lambda: GivenSurrogate(1.0, -0.1), "beta_s = -0.1", ">= 0"),
    (lambda: TrainedSurrogate(0.0, 0.1), "surrogate.samples_per_dimension = 0.0", "> 0"),
    (lambda: TrainedSurrogate(1.0, 0.1, data="f1"), "surrogate.data = 'f1'", "SingleIndex"),  # type: ignore[arg-type]
    (lambda: problem(data=CLUSTERS), "surrogate = PerfectSurrogate()", "GivenSurrogate"),
    (lambda: GaussianMixture(0.0), "mean_norm = 0.0", "> 0"),
    (lambda: GaussianMixture(1.0, 1.0), "positive_fraction = 1.0", "(0, 1)"),
    (lambda: GaussianMixture(1.0, label_noise=0.6), "label_noise = 0.6", "[0, 0.5]"),
    (lambda: GaussianClusters((0.0, 1.0), (0.5, 0.6), (0, 1)), "weights = (0.5, 0.6)", "sum to 1"),
    (lambda: SmoothedHingeLoss(0.0), "loss.width = 0.0", "> 0"),
    (lambda: sweep(problem(), {"ridg": [0.1]}), "'ridg'", "one of ridge"),
    (lambda: sweep(problem(), {("ridge", "data.signal_norm"): [(0.1,)]}), "(0.1,)", "2 values"),
    (lambda: Quadrature(order=1), "quadrature.order = 1", ">= 4"),
    (lambda: problem().replace({"rigde": 0.1}), "'rigde'", "ridge"),
    (
        lambda: problem().replace({"selection.alpha": 1.0}),
        "'selection.alpha'",
        "selection.fraction",
    ),
    (lambda: problem().replace({"ridge.x": 1.0}), "'ridge.x'", "a field's name"),
    (lambda: problem(ridge=10**400), "ridge = 1000", ">= 0"),
    (lambda: problem(ridge=10**5000), "ridge = a number of too many digits", ">= 0"),
    (lambda: problem(ridge=np.True_), "ridge = np.True_", ">= 0"),
    (lambda: problem(ridge=jnp.array(True)), "ridge = Array(True", ">= 0"),
    (lambda: problem(ridge=np.array([0.1])), "ridge = array([0.1])", ">= 0"),
    (lambda: problem(ridge=b"1"), "ridge = b'1'", ">= 0"),
    (lambda: problem(ridge=Decimal("NaN")), "ridge = Decimal('NaN')", ">= 0"),
    (lambda: problem(ridge=Decimal("sNaN")), "ridge = Decimal('sNaN')", ">= 0"),
    (lambda: problem(ridge=1j), "ridge = 1j", ">= 0"),
    (lambda: problem(fit_intercept=np.array([True])), "fit_intercept = array", "True or False"),
    (lambda: problem(fit_intercept=np.int64(1)), "fit_intercept = np.int64(1)", "True or False"),
    (lambda: StepLink({0.0}, (0.1, 0.2)), "thresholds = {0.0}", "sequence"),  # type: ignore[arg-type]
    (lambda: StepLink(np.array(0.0), (0.1, 0.2)), "thresholds = array(0.)", "sequence"),  # type: ignore[arg-type]
    (lambda: estimate(problem(), 10, seed=2**128), f"seed = {2**128}", f"<= {2**128 - 1}"),
    (lambda: estimate(problem(), 10, seed=1.5), "seed = 1.5", "whole number"),  # type: ignore[arg-type]
    (lambda: estimate(problem(), 10, repeats=np.True_), "repeats = np.True_", ">= 1"),  # type: ignore[arg-type]
    (lambda: estimate(problem(), 10, repeats=math.inf), "repeats = inf", ">= 1"),  # type: ignore[arg-type]
    (lambda: estimate(problem(), dimension=1), "dimension = 1", ">= 2"),
    (lambda: estimate(problem(), dimension=10, repeats=0), "repeats = 0", ">= 1"),
    (lambda: estimate(problem(), dimension=10, seed=-1), "seed = -1", ">= 0"),
    (lambda: estimate(problem(), dimension=10, test_samples=0), "test_samples = 0", ">= 1"),
]


@pytest.mark.fault(number=4)
@pytest.mark.parametrize(("build", "named", "allowed"), WRONG)
def test_wrong_input_is_named(build: Callable[[], object], named: str, allowed: str) -> None:
    with pytest.raises(InvalidFieldError) as caught:
        build()
    assert named in str(caught.value)
    assert allowed in str(caught.value)


def test_replace_changes_nested_fields_and_checks_them() -> None:
    changed = power_problem().replace({"selection.alpha": 2.0, "ridge": 1.0})
    assert changed.selection == PowerSelection(2.0, 0.5)
    assert changed.ridge == 1.0
    with pytest.raises(InvalidFieldError, match="fraction"):
        power_problem().replace({"selection.fraction": 2.0})


@pytest.mark.fault(number=4)
def test_whole_numbers_stay_exact() -> None:
    """Doubles know no odd numbers beyond 2^53."""
    seeds: list[Any] = [
        2**53,
        2**53 + 1,
        2**64 - 1,
        2**128 - 1,
        np.uint64(2**64 - 1),
        np.array(2**53 + 1),
    ]
    kept = [Plan((problem(),), (10,), 1, seed).seed for seed in seeds]
    assert kept == [int(seed) for seed in seeds]
    assert all(type(seed) is int for seed in kept)
    one, other = (estimate(problem(), 30, 3, seed=2**53 + k).alpha_0.mean for k in (0, 1))
    assert one != other
    assert Plan((problem(),), (20.0,), Decimal(3)).dimensions == (20,)  # type: ignore[arg-type]


@pytest.mark.fault(number=4)
@pytest.mark.parametrize(
    "value",
    [np.float64(0.25), np.float32(0.25), np.array(0.25), jnp.array(0.25), Decimal("0.25"),
     Fraction(1, 4)],
)  # fmt: skip
def test_numbers_of_every_kind_are_taken_as_floats(value: Any) -> None:
    taken = problem(ridge=value)
    assert taken == problem(ridge=0.25)
    assert type(taken.ridge) is float


def test_numpys_and_jaxs_booleans_are_booleans() -> None:
    for value in (np.True_, np.array(True), jnp.array(True)):
        assert problem(fit_intercept=value).fit_intercept is True
    assert StepLink(jnp.array([0.0]), np.array([0.1, 0.2])).levels == (0.1, 0.2)  # type: ignore[arg-type]


def test_a_value_that_jax_traces_is_refused_by_name() -> None:
    with pytest.raises(InvalidFieldError, match="ridge = "):
        jax.grad(lambda ridge: problem(ridge=ridge).ridge)(0.1)


@pytest.mark.parametrize("wrong", [None, 3, "problem", [3]])
def test_what_is_no_problem_is_refused_by_name(wrong: Any) -> None:
    for function in (theory.predict, theory.tune, lambda p: theory.sweep(p, {"ridge": [0.1]})):
        with pytest.raises(theory.InvalidFieldError, match=r"problem.* a Problem"):
            function(wrong)
    with pytest.raises(theory.InvalidFieldError, match="Problem"):
        theory.predict_all(wrong)
