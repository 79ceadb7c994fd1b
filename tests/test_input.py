"""Wrong input is refused on construction, by field, value and allowed range."""

import math
from collections.abc import Callable
from typing import Any

import pytest

from simulate import estimate
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
    (lambda: estimate(problem(), dimension=1), "dimension = 1", ">= 2"),
    (lambda: estimate(problem(), dimension=10, repeats=0), "repeats = 0", ">= 1"),
    (lambda: estimate(problem(), dimension=10, seed=-1), "seed = -1", ">= 0"),
    (lambda: estimate(problem(), dimension=10, test_samples=0), "test_samples = 0", ">= 1"),
]


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
