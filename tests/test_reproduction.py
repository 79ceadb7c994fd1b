"""Figures at a small size: files, pictures, verdicts, and results that are whole or absent."""

import dataclasses
import json
import zlib
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure

from paper_repro import validation
from paper_repro.catalogue import EXPERIMENTS
from paper_repro.reproduce import load_results, reproduce
from paper_repro.reproduction import Reproduction
from paper_repro.reproductions import figure_2, hard_vs_easy
from paper_repro.reproductions.settings import SIMULATED_FRACTIONS
from simulate import Plan
from simulate.experiment import Size, run_experiment
from simulate.files import write_dataset, write_whole
from simulate.task import COLUMNS
from theory import (
    F1,
    LogisticLoss,
    PowerSelection,
    Prediction,
    Problem,
    SingleIndex,
    Status,
    Tuned,
    predict,
    predict_all,
)


def small(reproduction: Reproduction) -> Reproduction:
    """The same figure with simulations that take no time."""

    def size(**labels: Any) -> Size | None:
        return Size(20, 2) if reproduction.size(**labels) else None

    return dataclasses.replace(reproduction, size=size)


THEORY_ONLY = (0.0625, 0.55)
"""Fractions of figure 2 that are not simulated."""


def thinned(reproduction: Reproduction) -> Reproduction:
    """The same figure at the simulated fractions and two more, and every fourth N/p of a map."""
    axes = dict(reproduction.axes)
    kept = (*SIMULATED_FRACTIONS, *THEORY_ONLY)
    if "fraction" in axes:
        axes["fraction"] = [f for f in axes["fraction"] if f in kept]
    sizes = axes.get("samples_per_dimension", ())
    if len(sizes) > 4:
        simulated = hard_vs_easy.SIMULATED_SIZES if reproduction.name == "hard-vs-easy" else ()
        axes["samples_per_dimension"] = sorted({*sizes[::4], *simulated})
    return dataclasses.replace(reproduction, axes=axes)


FIGURE_2 = thinned(figure_2.FIGURE)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, xr.Dataset]:
    directory = tmp_path_factory.mktemp("figure-2")
    results, files = reproduce(small(FIGURE_2), directory, full=False, seed=3)
    kept = "simulation-quick-p20-seed3"
    assert {f.name for f in files} | {kept} == {f.name for f in directory.iterdir()}
    return directory, results


def test_files_hold_the_same_numbers(run: tuple[Path, xr.Dataset]) -> None:
    directory, results = run
    stored = load_results(FIGURE_2, directory)
    xr.testing.assert_identical(stored, results)
    lines = (directory / "figure-2.csv").read_text().splitlines()
    assert len(lines) == 1 + 60 * 13
    assert "simulation_misclassification_standard_error" in lines[0]
    manifest = json.loads((directory / "manifest.json").read_text())
    assert manifest["seed"] == 3
    assert manifest["pictures"] == ["figure-2-f1", "figure-2-f2"]
    for labels in ("f1", "f2"):
        words = manifest["descriptions"][f"figure-2-{labels}"]
        assert words.startswith("Hard samples win from some fraction on")
        assert "6 panels: test misclassification (%) against fraction of the pool kept" in words
    assert "jax" in manifest["versions"]


def test_results_of_another_version_are_refused(
    run: tuple[Path, xr.Dataset], tmp_path: Path
) -> None:
    _, results = run
    path = tmp_path / "figure-2.nc"
    for other, named in (
        (results.isel(alpha=slice(2)), "axis alpha differs"),
        (results.drop_vars("theory_error_estimate"), "error_estimate is missing"),
    ):
        write_dataset(path, other)
        with pytest.raises(ValueError, match=named):
            load_results(FIGURE_2, tmp_path)


def test_results_are_the_theory_and_a_full_simulation(run: tuple[Path, xr.Dataset]) -> None:
    _, results = run
    assert (results.theory_status == "CONVERGED").all()
    simulated = results.drop_sel(fraction=list(THEORY_ONLY))
    assert np.isfinite(simulated.simulation_misclassification).all()
    assert (simulated.simulation_converged == 1).all()
    lines_only = results.sel(fraction=list(THEORY_ONLY))
    assert lines_only.simulation_misclassification.isnull().all()
    assert (lines_only.simulation_dimension == 0).all()
    assert results.repeated.sum() == 4 * 12  # the full sample, of 4 exponents more
    point = results.sel(labels="f1", ridge=0.01, alpha=0.5, fraction=0.3)
    point = point.sel(samples_per_dimension=6870 / 3000)
    problem = Problem(SingleIndex(F1, 5.0), PowerSelection(0.5, 0.3), 0.01, 6870 / 3000)
    alone = predict(problem).misclassification  # in a sweep it starts from its neighbour
    assert float(point.theory_misclassification) == pytest.approx(alone, rel=1e-12)
    assert int(point.simulation_samples) == 46


def test_theory_claims_of_figure_2_hold(run: tuple[Path, xr.Dataset]) -> None:
    claims = [c for c in figure_2.FIGURE.claims(run[1]) if c.basis.startswith("theory")]
    assert len(claims) >= 9
    assert all(claim.holds for claim in claims), [c for c in claims if not c.holds]
    assert {c.statement for c in claims} >= {
        "A subset beats the full sample: f1, N/p = 2.29, ridge 0.001, α = 1: γ = 0.8 beats γ = 1"
    }


def test_picture_shows_lines_and_points(run: tuple[Path, xr.Dataset]) -> None:
    _, results = run
    figure = figure_2.FIGURE.draw(results)["figure-2-f1"]
    assert len(figure.axes) == 6
    panel = figure.axes[0]
    curves = [
        line
        for line in panel.lines
        if np.size(line.get_xdata()) == 13 and line.get_linestyle() == "-"
    ]
    assert len(curves) == 5
    expected = results.theory_misclassification.isel(samples_per_dimension=0)
    expected = expected.sel(labels="f1", ridge=0.1, alpha=-1.0)
    np.testing.assert_allclose(np.asarray(curves[0].get_ydata()), 100 * expected)
    points = [np.size(line.get_xdata()) for line in panel.lines if line.get_linestyle() == "None"]
    assert sum(points) == 5 * 11  # error bars, of filled and of hollow points
    plt.close("all")


def invented_predictions(problems: Iterable[Problem]) -> list[Prediction]:
    """Arbitrary but reproducible numbers, for what only arranges and draws them."""
    answers = []
    for problem in problems:
        draws = np.random.default_rng(zlib.crc32(repr(problem).encode())).uniform(size=10)
        names = [field.name for field in dataclasses.fields(Prediction)]
        numbers: dict[str, Any] = dict(zip(names, draws, strict=False))
        numbers["misclassification"] = 0.1 + 0.3 * draws[0]
        answers.append(
            Prediction(
                **numbers,
                error_estimate=1e-12,
                log_loss_error_estimate=1e-12,
                residual=1e-14,
                status=Status.CONVERGED,
                chi_21=0.1,
            )
        )
    return answers


def invented_run(plan: Plan, *_: Any) -> np.ndarray:
    shape = (len(plan.dimensions), len(plan.problems), plan.repeats, len(COLUMNS))
    values = np.random.default_rng(plan.seed).uniform(0.1, 0.4, shape)
    values[..., COLUMNS.index("converged")] = 1
    return values


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_figure_draws_tabulates_and_claims_from_its_grid(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With invented numbers: they cannot all hold, and nothing overlaps or leaves the page."""
    monkeypatch.setattr("simulate.experiment.predict_all", invented_predictions)
    monkeypatch.setattr("simulate.experiment.run", invented_run)

    def untuned(problems: Iterable[Problem]) -> list[Tuned]:
        return [Tuned(problem, invented_predictions([problem])[0], (), ()) for problem in problems]

    monkeypatch.setattr("simulate.experiment.tune_all", untuned)
    monkeypatch.setattr("simulate.experiment.optimal_problems", list)
    reproduction = thinned(EXPERIMENTS[name])
    for full in (False, True):
        results = run_experiment(reproduction.experiment(full))
    assert not reproduction.table(results).empty
    claims = reproduction.claims(results)
    assert len(claims) >= 2
    assert not all(claim.holds for claim in claims)
    pictures = reproduction.draw(results)
    assert next(iter(pictures)).startswith(name)
    for picture in pictures.values():
        assert_nothing_overlaps(picture)
    plt.close("all")


def assert_nothing_overlaps(figure: Figure) -> None:
    figure.canvas.draw()
    boxes = [axis.get_tightbbox() for axis in figure.axes]
    boxes += [legend.get_window_extent() for legend in figure.legends]
    title = figure.texts[0].get_window_extent()
    frame = figure.bbox
    for i, box in enumerate([*boxes, title]):
        assert box is not None
        assert frame.x0 <= box.x0
        assert box.x1 <= frame.x1
        assert frame.y0 <= box.y0
        assert box.y1 <= frame.y1
        assert not any(box.overlaps(other) for other in [*boxes, title][i + 1 :] if other)


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
        assert (results.simulation_converged == 1).all()
        assert float(abs(validation.deviates(results)).max()) < 5
        assert validation.verdict(results).worst.size == 4

        def of_another_ridge(problems: list[Problem]) -> list[Prediction]:
            return predict_all([p.replace({"ridge": p.ridge / 2}) for p in problems])

        monkeypatch.setattr("simulate.experiment.predict_all", of_another_ridge)
        wrong, _ = validation.validate(tmp_path, 150, 12, 4, executor)
    assert float(abs(validation.deviates(wrong)).max()) > 8
    assert not validation.verdict(wrong).holds
    plt.close("all")
