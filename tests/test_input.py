"""Wrong input is refused on construction, by field, value and allowed range."""

import math
from collections.abc import Callable
from typing import Any

import pytest

from simulate import estimate
from tests.problems import power_problem
from theory import (
    F1,
    InvalidFieldError,
    PowerSelection,
    Problem,
    Quadrature,
    RandomSelection,
    SingleIndex,
    StepLink,
    TopSelection,
)

DATA = SingleIndex(F1, 5.0)


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
    (lambda: Quadrature(order=1), "quadrature.order = 1", ">= 2"),
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
