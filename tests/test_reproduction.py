"""Figure 2 at a small size: files, picture, and results that are whole or absent."""

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr

from figures import fraction_panels
from paper_repro import figure_2, validation
from paper_repro.fraction_figure import Scale, agreement
from simulate.files import write_whole
from theory import (
    F1,
    LogisticLoss,
    PowerSelection,
    Prediction,
    Problem,
    SingleIndex,
    predict,
    predict_all,
)

SMALL = Scale(dimension=20, repeats=2)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, xr.Dataset]:
    directory = tmp_path_factory.mktemp("figure-2")
    results, files = figure_2.FIGURE.reproduce(directory, SMALL, seed=3)
    kept = "simulation-p20-x2-seed3"
    assert {f.name for f in files} | {kept} == {f.name for f in directory.iterdir()}
    return directory, results


def test_files_hold_the_same_numbers(run: tuple[Path, xr.Dataset]) -> None:
    directory, results = run
    with xr.open_dataset(directory / "figure-2.nc", engine="h5netcdf") as stored:
        xr.testing.assert_identical(stored.load(), results)
    lines = (directory / "figure-2.csv").read_text().splitlines()
    assert len(lines) == 1 + 330
    manifest = json.loads((directory / "manifest.json").read_text())
    assert manifest["seed"] == 3
    assert manifest["settings"]["samples"] == 46
    assert "jax" in manifest["versions"]


def test_results_are_the_theory_and_a_full_simulation(run: tuple[Path, xr.Dataset]) -> None:
    _, results = run
    assert (results.theory_status == "CONVERGED").all()
    assert np.isfinite(results.simulation_misclassification).all()
    assert results.simulation_failed_fits.sum() == 0
    point = results.sel(column="f1", ridge=0.01, alpha=0.5, fraction=0.3)
    problem = Problem(SingleIndex(F1, 5.0), PowerSelection(0.5, 0.3), 0.01, 6870 / 3000)
    assert float(point.theory_misclassification) == predict(problem).misclassification
    rows = agreement(results)
    assert [(model, ridge) for model, ridge, *_ in rows] == [
        (model, ridge) for model in ("f1", "f2") for ridge in (0.1, 0.01, 0.001)
    ]
    assert all(points == 51 for _, _, points, _, _ in rows)


def test_picture_shows_lines_and_points_without_overlap(run: tuple[Path, xr.Dataset]) -> None:
    _, results = run
    figure = fraction_panels(results, "title", {"f1": "first", "f2": "second"})
    figure.canvas.draw()
    assert len(figure.axes) == 6
    panel = figure.axes[0]
    curves = [
        line
        for line in panel.lines
        if np.size(line.get_xdata()) == 11 and line.get_linestyle() == "-"
    ]
    assert len(curves) == 5
    expected = results.theory_misclassification.sel(column="f1", ridge=0.1, alpha=-1.0)
    np.testing.assert_allclose(np.asarray(curves[0].get_ydata()), 100 * expected)
    assert len(panel.containers) == 5  # error bars
    boxes = [axis.get_tightbbox() for axis in figure.axes]
    frame = figure.bbox
    for i, box in enumerate(boxes):
        assert box is not None
        assert frame.x0 <= box.x0
        assert box.x1 <= frame.x1
        assert frame.y0 <= box.y0
        assert box.y1 <= frame.y1
        assert not any(box.overlaps(other) for other in boxes[i + 1 :] if other is not None)
    plt.close(figure)


def test_interrupted_writing_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "numbers.csv"
    target.write_text("old")

    def interrupted(path: Path) -> None:
        path.write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_whole(target, interrupted)
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_validation_grid_uses_every_kind_about_equally() -> None:
    drawn = validation.problems(64)
    assert len(set(drawn)) == 64
    for field, kinds in (("loss", 4), ("data", 6), ("surrogate", 4), ("selection", 10)):
        counts = Counter(repr(getattr(problem, field)) for problem in drawn)
        assert len(counts) == kinds
        assert min(counts.values()) >= 64 / kinds / 2


def test_validation_passes_where_theory_is_right_and_fails_where_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A few of its problems at a small size, and again with half the ridge in the theory only."""
    few = [p for p in validation.problems(64) if p.loss == LogisticLoss()][:4]
    monkeypatch.setattr(validation, "problems", lambda count: few[:count])
    with ThreadPoolExecutor(1) as executor:
        results, files = validation.validate(tmp_path, 150, 12, 4, executor)
        assert {f.suffix for f in files} == {".nc", ".csv", ".png", ".pdf", ".json"}
        assert results.failed_fits.sum() == 0
        assert float(abs(results.z).max()) < 5

        def of_another_ridge(problems: list[Problem]) -> list[Prediction]:
            return predict_all([p.replace({"ridge": p.ridge / 2}) for p in problems])

        monkeypatch.setattr("paper_repro.validation.predict_all", of_another_ridge)
        wrong, _ = validation.validate(tmp_path, 150, 12, 4, executor)
    assert float(abs(wrong.z).max()) > 8
    plt.close("all")
