"""Pictures: boundaries are roots, strips change colour at crossings, sweeps of any shape."""

import itertools
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr
from matplotlib.colors import to_hex
from matplotlib.patches import Rectangle
from scipy.optimize import brentq

from figures import POWER_STYLES, describe, figure_style, plot, refined, winner_map
from figures.panels import moved, winner_strip
from paper_repro.reproductions.comparisons import in_words, sentence
from paper_repro.reproductions.settings import LOW_DIMENSION, full_sample
from tests.test_reproduction import assert_nothing_overlaps
from theory import (
    F1,
    F2,
    GaussianMixture,
    InvalidFieldError,
    PowerSelection,
    Problem,
    SingleIndex,
    predict,
    sweep,
)

PROBLEM = Problem(SingleIndex(F1, 5.0), PowerSelection(0.5, 0.5), 0.1, 2.0)


@pytest.fixture(autouse=True)
def _closed() -> Any:
    yield
    plt.close("all")


def test_a_boundary_of_the_map_is_where_two_predictions_are_equal() -> None:
    """The root in the fraction, found by bisection, against the line drawn from a coarse grid."""
    problem = full_sample("f1", 4.0)
    sizes, fractions = [3.0, 3.6, 4.0, 4.5, 5.0], [0.35, 0.42, 0.5, 0.58, 0.65]
    found = [
        sweep(
            problem.replace({"selection": PowerSelection(alpha, 0.5)}),
            {"samples_per_dimension": sizes, "selection.fraction": fractions},
        ).misclassification
        for alpha in (-1.0, 1.0)
    ]
    errors = refined(xr.concat(found, "alpha"))

    def gap(fraction: float) -> float:
        easy, hard = (
            predict(problem.replace({"selection": PowerSelection(alpha, fraction)}))
            for alpha in (-1.0, 1.0)
        )
        return easy.misclassification - hard.misclassification

    root = brentq(gap, 0.35, 0.65, xtol=1e-6)
    _, axis = plt.subplots()
    x, y = errors.fraction.values, errors.samples_per_dimension.values
    winner_map(axis, errors.values, x, y, [POWER_STYLES[-1.0], POWER_STYLES[1.0]])
    lines = [path for part in axis.collections[1::2] for path in part.get_paths()]
    drawn = np.concatenate([path.vertices for path in lines])
    nearest = drawn[np.argsort(abs(drawn[:, 1] - 4.0))[:2], 0]
    assert nearest == pytest.approx([root, root], abs=0.003)


def test_splines_follow_a_smooth_surface_and_no_unsolved_one() -> None:
    grid = {
        "samples_per_dimension": np.geomspace(1, 100, 12),
        "fraction": np.linspace(0.1, 0.9, 12),
    }
    empty = xr.DataArray(np.zeros((12, 12)), grid)

    def surface(at: xr.DataArray) -> xr.DataArray:
        values: xr.DataArray = at + np.sin(np.log(at.samples_per_dimension) - 3 * at.fraction)
        return values

    fine = refined(surface(empty), 50)
    np.testing.assert_allclose(fine, surface(xr.zeros_like(fine)), atol=5e-3)
    broken = surface(empty)
    broken[3, 3] = np.nan
    assert refined(broken, 50).isnull().all()


def test_the_strip_changes_colour_where_lines_cross() -> None:
    x = np.linspace(0, 1, 11)
    styles = [POWER_STYLES[-1.0], POWER_STYLES[1.0]]
    with figure_style():
        _, axis = plt.subplots()
        winner_strip(axis, x, [x, 0.63 - x], styles)  # equal at 0.315
    spans = [
        (p.get_x(), p.get_x() + p.get_width(), p.get_facecolor())
        for p in axis.patches
        if isinstance(p, Rectangle)
    ]
    assert [span[:2] for span in spans] == [
        pytest.approx((0.0, 0.315)),
        pytest.approx((0.315, 1.0)),
    ]
    assert [to_hex(span[2]).upper() for span in spans] == [style.colour for style in styles]


def test_points_are_marked_where_finite_size_moves_them_or_fits_fail() -> None:
    noise = 0.01 * np.random.default_rng(0).normal(size=(3, 30))
    noise -= noise.mean(axis=1, keepdims=True)
    values = 0.2 + noise + np.array([[0.0], [0.02], [0.0]])
    converged = np.ones((3, 30))
    converged[2, 0] = 0
    results = xr.Dataset(
        {
            "theory_misclassification": ("fraction", np.full(3, 0.2)),
            "simulation_misclassification": (("fraction", "data_set"), values),
            "simulation_converged": (("fraction", "data_set"), converged),
        }
    )
    assert moved(results).values.tolist() == [False, True, True]


@pytest.mark.fault(number=6)
def test_values_out_of_order_are_drawn_in_order_and_infinite_ones_named() -> None:
    results = sweep(PROBLEM, {"selection.score_clip": [5.0, np.inf, 2.0, 10.0]})
    figure = plot(results)
    line, alone = figure.axes[0].lines
    assert not len(np.asarray(alone.get_xdata()))
    np.testing.assert_array_equal(np.asarray(line.get_xdata()), [2.0, 5.0, 10.0])
    expected = 100 * results.misclassification.sel(score_clip=[2.0, 5.0, 10.0])
    np.testing.assert_allclose(np.asarray(line.get_ydata()), expected)
    assert "not drawn: score_clip = inf" in figure.get_suptitle()


@pytest.mark.fault(number=6)
def test_a_single_value_is_seen_and_counts_as_no_axis_beside_others() -> None:
    alone = plot(sweep(PROBLEM, {"ridge": [0.1]}))
    assert alone.axes[0].lines[1].get_marker() == "_"
    assert alone.axes[0].lines[1].get_xdata() == [0.1]
    axes = {
        "ridge": [0.1],
        "selection.alpha": [0.0, 1.0],
        "samples_per_dimension": [2.0, 3.0],
        "selection.fraction": [0.4, 0.6],
    }
    figure = plot(sweep(PROBLEM, axes))
    assert len(figure.axes) == 2
    assert "ridge = 0.1" in figure.get_suptitle()
    with pytest.raises(InvalidFieldError, match="one to three") as raised:
        plot(sweep(PROBLEM, axes | {"ridge": [0.1, 0.2]}))
    assert "\n" not in str(raised.value)


def test_long_names_of_panels_do_not_overlap_and_a_row_shares_its_scale() -> None:
    data = [SingleIndex(F1, 5.0), SingleIndex(F2, 5.0), GaussianMixture(1.5, label_noise=0.1)]
    axes: dict[str, Any] = {"ridge": [0.01, 0.1, 1.0], "selection.alpha": [-1.0, 1.0], "data": data}
    figure = plot(sweep(PROBLEM, axes))
    assert_nothing_overlaps(figure)
    assert len({axis.get_ylim() for axis in figure.axes}) == 1
    titles = [axis.title.get_window_extent() for axis in figure.axes]
    assert not any(a.overlaps(b) for a, b in itertools.pairwise(titles))
    words = describe(figure)
    assert words.startswith("Test misclassification. 3 panels: test misclassification (%) against")
    assert "GaussianMixture" in words


def test_a_comparison_is_worded_from_its_labels() -> None:
    better = {"labels": "f1", "samples_per_dimension": LOW_DIMENSION, "alpha": -0.5}
    assert in_words(better) == "f1, N/p = 36.9, α = −0.5"
    worse = better | {"alpha": 1.0, "labels": "f2"}
    assert sentence("So", better, worse, {"f2": "the other"}) == (
        "So: N/p = 36.9: f1, α = −0.5 beats the other, α = 1"
    )
    assert sentence("So", {"ridge": 0.001}, {"ridge": 0.1}) == "So: ridge 0.001 beats ridge 0.1"
