"""Sweeps: labels, order, attributes, and points that fail."""

import numpy as np
import pytest

from tests.problems import power_problem
from theory import F1, F2, InvalidFieldError, RandomSelection, SingleIndex, StepLink, predict, sweep
from theory.problem import Problem


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
