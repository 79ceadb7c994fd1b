"""Sweeps: labels, order, attributes, and points that fail."""

import itertools
import sys
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import Any

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from tests.problems import power_problem
from theory import (
    F1,
    F2,
    GivenSurrogate,
    InvalidFieldError,
    LogisticLink,
    Problem,
    RandomSelection,
    SingleIndex,
    SmoothedHingeLoss,
    StepLink,
    predict,
    sweep,
)
from theory.axes import frame, grid, read_axes


def test_sweep_is_labelled_and_equals_single_predictions() -> None:
    axes = {"selection.alpha": [-0.5, 1.0], "selection.fraction": [0.3, 0.7], "ridge": [0.1]}
    result = sweep(power_problem(), axes)
    assert dict(result.misclassification.sizes) == {"alpha": 2, "fraction": 2, "ridge": 1}
    for alpha in (-0.5, 1.0):
        for fraction in (0.3, 0.7):
            single = predict(power_problem(alpha=alpha, fraction=fraction, ridge=0.1))
            point = result.sel(alpha=alpha, fraction=fraction, ridge=0.1)
            for name in ("misclassification", "log_loss", "alpha_0", "alpha_perp", "mu"):
                assert float(point[name]) == pytest.approx(getattr(single, name), rel=1e-12)
    assert (result.status == "CONVERGED").all()
    assert "PowerSelection" in result.attrs["problem"]
    assert result.log_loss.attrs["units"] == "nat"
    assert result.alpha.attrs["symbol"] == "alpha"
    assert all({"long_name", "units"} <= set(result[name].attrs) for name in result.coords)


def test_sweep_over_objects_labels_them() -> None:
    result = sweep(power_problem(), {"data.link": [F1, F2]})
    assert list(result.link.values) == [str(F1), str(F2)]


def test_zipped_axes_vary_together() -> None:
    pairs = [(0.1, 0.3), (0.01, 0.7)]
    result = sweep(
        power_problem(), {("ridge", "selection.fraction"): pairs, "selection.alpha": [0.0, 1.0]}
    )
    assert dict(result.misclassification.sizes) == {"ridge_fraction": 2, "alpha": 2}
    assert list(result.ridge.values) == [0.1, 0.01]
    single = predict(power_problem(alpha=1.0, fraction=0.7, ridge=0.01))
    point = result.isel(ridge_fraction=1).sel(alpha=1.0)
    assert float(point.misclassification) == pytest.approx(single.misclassification, rel=1e-12)


def test_sweep_survives_a_point_without_solution() -> None:
    separable = SingleIndex(StepLink((0.0,), (0.0, 1.0)), 1.0)
    problem = Problem(separable, RandomSelection(1.0), 0.1, 1.5)
    result = sweep(problem, {"ridge": [0.1, 0.0]})
    assert result.status.values[0] == "CONVERGED"
    assert result.status.values[1] != "CONVERGED"
    assert np.isnan(result.misclassification.sel(ridge=0.0))
    assert result.misclassification.sel(ridge=0.1) > 0


def test_sweep_refuses_bad_axes_before_computing() -> None:
    with pytest.raises(InvalidFieldError, match=r"fraction = 1\.5"):
        sweep(power_problem(), {"selection.fraction": [0.5, 1.5]})
    with pytest.raises(InvalidFieldError, match=r"selection\.gamma"):
        sweep(power_problem(), {"selection.gamma": [0.5]})


@pytest.mark.fault(number=5)
def test_an_axis_leaves_a_quantity_of_its_name() -> None:
    problem = power_problem(LogisticLink(), fit_intercept=True)
    result = sweep(problem, {"data.link.intercept": [-0.5, 0.5]})
    assert list(result["link.intercept"].values) == [-0.5, 0.5]
    for k, intercept in enumerate((-0.5, 0.5)):
        single = predict(problem.replace({"data.link.intercept": intercept}))
        assert float(result.intercept[k]) == pytest.approx(single.intercept, rel=1e-9)
    given = problem.replace({"surrogate": GivenSurrogate(1.0, 0.5)})
    for dotted, name in (("surrogate.intercept", "intercept"), ("surrogate.beta_0", "beta_0")):
        swept = sweep(given, {dotted: [0.5, 0.7]})
        assert dotted in swept.coords
        assert name in swept.data_vars


def some() -> Any:
    yield from (0.25, 0.5)


@pytest.mark.fault(number=20)
@pytest.mark.parametrize(
    "values",
    [
        some(),
        (0.25, 0.5),
        dict.fromkeys([0.25, 0.5]).keys(),
        np.array([0.25, 0.5]),
        jnp.array([0.25, 0.5]),
        [np.array(0.25), jnp.array(0.5)],
        [Decimal("0.25"), Decimal("0.5")],
        [Fraction(1, 4), Fraction(1, 2)],
        pd.Series([0.25, 0.5]),
        xr.DataArray([0.25, 0.5]),
        np.array([0.25, 0.5], dtype=object),
    ],
    ids=lambda values: type(values).__name__,
)
def test_axes_of_every_kind_are_the_same(values: Any) -> None:
    (axis,) = read_axes({"ridge": values})
    problems = grid(power_problem(), [axis])
    assert problems == [power_problem(ridge=0.25), power_problem(ridge=0.5)]
    coordinates = frame([axis])
    assert coordinates.ridge.dtype == np.float64
    assert list(coordinates.ridge.values) == [0.25, 0.5]


@pytest.mark.fault(number=20)
@pytest.mark.parametrize(
    "pairs",
    [
        zip([0.25, 0.5], [0.375, 0.75], strict=True),
        np.array([[0.25, 0.375], [0.5, 0.75]]),
        jnp.array([[0.25, 0.375], [0.5, 0.75]]),
        [(np.array(0.25), jnp.array(0.375)), [Decimal("0.5"), 0.75]],
        (pair for pair in ((0.25, 0.375), (0.5, 0.75))),
    ],
    ids=lambda pairs: type(pairs).__name__,
)
def test_zipped_axes_of_every_kind_are_the_same(pairs: Any) -> None:
    (axis,) = read_axes({("ridge", "selection.fraction"): pairs})
    coordinates = frame([axis])
    assert list(coordinates.ridge.values) == [0.25, 0.5]
    assert list(coordinates.fraction.values) == pytest.approx([0.375, 0.75], rel=1e-12)
    assert [p.ridge for p in grid(power_problem(), [axis])] == [0.25, 0.5]


@pytest.mark.fault(number=20)
def test_booleans_are_an_axis_of_a_boolean_field_only() -> None:
    result = sweep(power_problem(), {"fit_intercept": [np.True_, np.False_]})
    assert list(result.fit_intercept.values) == [True, False]
    with pytest.raises(InvalidFieldError, match=r"ridge = (np\.)?True"):
        sweep(power_problem(), {"ridge": [np.True_]})


@pytest.mark.fault(number=20)
@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([], r"axes\.ridge = \[\] .*one or more"),
        (0.1, r"axes\.ridge = 0\.1 .*a list"),
        (np.array(0.1), r"axes\.ridge = array\(0\.1\) .*a list"),
        (jnp.array(0.1), r"axes\.ridge = Array\(0\.1.*a list"),
        ("0.1", r"axes\.ridge = '0\.1' .*a list"),
        ({0.1, 0.2}, r"axes\.ridge = \{.*a list"),
        ({0.1: 1}, r"axes\.ridge = \{.*a list"),
        (None, r"axes\.ridge = None .*a list"),
        ([0.1, 0.1], r"axes\.ridge = 0\.1 .*given once"),
        ([0.1, float("nan")], r"axes\.ridge = nan .*a number"),
        (np.ones((2, 2)), r"ridge = \[1\.0, 1\.0\]|given once"),
        (itertools.count(1), r"axes = 1000001 .*at most 1000000 points"),
    ],
    ids=repr,
)
def test_axes_that_are_none_are_refused_by_name(
    values: Any, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        sys.modules["theory.sweep"], "predict_all", None
    )  # before anything is computed
    with pytest.raises(InvalidFieldError, match=said):
        sweep(power_problem(), {"ridge": values})


@pytest.mark.fault(number=20)
def test_too_many_points_are_refused() -> None:
    fractions, ridges = np.linspace(0.1, 1, 2000), np.linspace(0.1, 1, 2000)
    with pytest.raises(InvalidFieldError, match="axes = 4000000"):
        read_axes({"selection.fraction": fractions, "ridge": ridges})


@pytest.mark.fault(number=2)
def test_objects_of_one_text_have_labels_of_their_own() -> None:
    @dataclass(frozen=True)
    class Quiet(SmoothedHingeLoss):
        width: float = field(default=1.0, repr=False)

    (axis,) = read_axes({"loss": [Quiet(0.5), Quiet(1.0), SmoothedHingeLoss(1.0)]})
    text = repr(Quiet(0.5))
    assert list(frame([axis]).loss.values) == [text, f"{text} (2)", "SmoothedHingeLoss(width=1.0)"]


@pytest.mark.fault(number=4)
def test_whole_numbers_of_any_size_are_labels() -> None:
    (axis,) = read_axes({"ridge": [1, 10**30]})
    assert frame([axis]).ridge.dtype == np.float64
    assert frame(read_axes({"ridge": [1, 2]})).ridge.dtype == np.int64
