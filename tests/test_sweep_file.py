"""Sweeps declared in TOML: what they hold, what they refuse, and their pictures."""

import os
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr

import dataselect.command_line as dataselect
from figures import plot
from simulate import estimate
from simulate.sweep_file import read_sweep
from theory import (
    F1,
    GivenSurrogate,
    InvalidFieldError,
    PowerSelection,
    Problem,
    SingleIndex,
    predict,
)

EXAMPLES = sorted((Path(__file__).parent.parent / "examples").glob("*.toml"))

SMALL = """
title = "a small sweep"

[problem]
ridge = 0.1
samples_per_dimension = 2.0

[problem.data]
kind = "SingleIndex"
link = "F1"
signal_norm = 5.0

[problem.surrogate]
kind = "GivenSurrogate"
beta_0 = 1.0
beta_s = 0.5

[problem.selection]
kind = "PowerSelection"
alpha = 0.5
fraction = 0.5

[axes]
"selection.fraction" = [0.5, 0.8]
"selection.alpha, ridge" = [[-0.5, 0.1], [0.5, 0.01], [1.0, 0.1]]

[simulation]
dimensions = [30, 60]
data_sets = 5
seed = 3
"""


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "sweep.toml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples_can_be_read(path: Path) -> None:
    declared = read_sweep(path)
    assert declared.plans() or path.stem == "two-rounds"  # theory only
    assert declared.predicted
    assert len(EXAMPLES) == 4


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("sweep")
    dataselect.sweep(written(directory, SMALL), directory / "store", workers=1, quiet=True)
    return directory / "store"


def test_a_store_holds_theory_and_every_data_set(store: Path) -> None:
    results = xr.load_dataset(store / "results.nc", engine="h5netcdf")
    assert dict(results.sizes) == {
        "fraction": 2, "alpha_ridge": 3, "dimension": 2, "data_set": 5,
    }  # fmt: skip
    problem = Problem(
        SingleIndex(F1, 5.0), PowerSelection(0.5, 0.8), 0.01, 2.0, GivenSurrogate(1.0, 0.5)
    )
    here = results.sel(fraction=0.8).isel(alpha_ridge=1)
    assert float(here.ridge) == 0.01
    assert float(here.theory_misclassification) == predict(problem).misclassification
    simulated = here.simulation_misclassification.sel(dimension=60)
    expected = estimate(problem, 60, repeats=5, seed=3).misclassification
    assert float(simulated.mean()) == pytest.approx(expected.mean, rel=1e-6)
    assert float(simulated.std(ddof=1) / 5**0.5) == pytest.approx(expected.standard_error, rel=1e-5)
    assert (results.simulation_converged == 1).all()
    assert results.simulation_gradient_norm.max() <= 1e-9
    assert results.attrs["title"] == "a small sweep"


def test_pictures_of_a_store(store: Path) -> None:
    dataselect.plot(store)
    for name in ("overlay.png", "overlay.pdf", "gap.png", "gap.pdf"):
        assert (store / name).stat().st_size > 5000
    plt.close("all")


def test_overlay_draws_the_results(store: Path) -> None:
    results = xr.load_dataset(store / "results.nc", engine="h5netcdf")
    figure = plot(results, "fraction")
    figure.canvas.draw()
    (axis,) = figure.axes
    lines = [line for line in axis.lines if line.get_linestyle() == "-"]
    assert len(lines) == 3
    expected = 100 * results.theory_misclassification.isel(alpha_ridge=0)
    np.testing.assert_allclose(np.asarray(lines[0].get_ydata()), expected)
    assert len(axis.containers) == 6  # error bars: three series at two dimensions
    box, frame = figure.get_tightbbox(), figure.bbox_inches
    assert box.x0 >= 0
    assert box.x1 <= frame.x1
    plt.close(figure)


def test_theory_alone_and_simulation_alone(tmp_path: Path) -> None:
    theory_only = SMALL[: SMALL.index("[simulation]")]
    dataselect.sweep(written(tmp_path, theory_only), tmp_path / "theory", workers=1, quiet=True)
    results = xr.load_dataset(tmp_path / "theory" / "results.nc", engine="h5netcdf")
    assert "simulation_misclassification" not in results
    assert np.isfinite(results.theory_misclassification).all()
    with pytest.raises(InvalidFieldError, match="simulation"):
        dataselect.simulate(written(tmp_path, theory_only))
    dataselect.simulate(written(tmp_path, SMALL), tmp_path / "simulation", workers=1, quiet=True)
    results = xr.load_dataset(tmp_path / "simulation" / "results.nc", engine="h5netcdf")
    assert "theory_misclassification" not in results
    dataselect.plot(tmp_path / "simulation")
    plt.close("all")


def test_a_plan_is_printed_and_nothing_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    dataselect.sweep(written(tmp_path, SMALL), plan=True, workers=2)
    printed = capsys.readouterr().out
    for words in ("6 problems", "10 tasks, 60 fits", "memory: about", "time: about"):
        assert words in printed
    assert os.listdir(tmp_path) == ["sweep.toml"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[problem]", "[problem", "it must be TOML"),
        ('kind = "PowerSelection"', 'kind = "PowerSelektion"', "one of PowerSelection"),
        ("signal_norm = 5.0", "signal = 5.0", "one of signal_norm"),
        ("samples_per_dimension = 2.0", "", "problem.samples_per_dimension"),
        ("fraction = 0.5", "fraction = 1.5", "selection.fraction = 1.5"),
        ('"selection.fraction"', '"selection.fractoin"', "one of selection.fraction"),
        ("[0.5, 0.8]", "0.5", "a list of one or more values"),
        ("[0.5, 0.01]", "[0.5]", "2 values"),
        ("data_sets = 5", "data_set = 5", "one of simulation|one of data_sets"),
        ("dimensions = [30, 60]", "dimensions = []", "dimensions"),
        ("dimensions = [30, 60]", "dimensions = [30, 30]", "distinct"),
        ("data_sets = 5", "data_sets = 0", "data_sets = 0"),
        ('title = "a small sweep"', "theory = 2", "theory = 2"),
    ],
)
def test_a_wrong_entry_is_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in SMALL
    with pytest.raises(InvalidFieldError, match=message):
        read_sweep(written(tmp_path, SMALL.replace(old, new)))


@pytest.mark.fault(number=21)
def test_a_byte_order_mark_is_no_entry(tmp_path: Path) -> None:
    marked = read_sweep(written(tmp_path, "\ufeff" + SMALL))
    assert marked.problems == read_sweep(written(tmp_path, SMALL)).problems
    (tmp_path / "sweep.toml").write_bytes(SMALL.encode("utf-16"))
    with pytest.raises(InvalidFieldError, match=r"sweep\.toml' .*TOML in UTF-8"):
        read_sweep(tmp_path / "sweep.toml")


@pytest.mark.fault(number=21)
def test_names_of_axes_need_no_quotes(tmp_path: Path) -> None:
    plain = SMALL.replace('"selection.fraction" =', "selection.fraction =")
    assert read_sweep(written(tmp_path, plain)).frame.identical(
        read_sweep(written(tmp_path, SMALL)).frame
    )
    with pytest.raises(InvalidFieldError, match=r"axes\.selection\.fraction = 0\.5 .*a list"):
        read_sweep(written(tmp_path, plain.replace("[0.5, 0.8]", "0.5")))
    nested = SMALL.replace('"selection.fraction" =', "data.link.intercept =").replace(
        'link = "F1"', 'link = {kind = "LogisticLink"}'
    )
    assert "intercept" in str(read_sweep(written(tmp_path, nested)).frame.coords)


@pytest.mark.fault(number=21)
@pytest.mark.parametrize("link", ["F1", "f1", "LogisticLink", "ProbitLink()"])
@pytest.mark.parametrize("loss", ["HingeLoss", "LogisticLoss()", "SquaredLoss"])
def test_objects_without_fields_may_be_strings(tmp_path: Path, link: str, loss: str) -> None:
    text = SMALL.replace('"F1"', f'"{link}"').replace(
        "samples_per", f'loss = "{loss}"\nsamples_per', 1
    )
    problem = read_sweep(written(tmp_path, text)).problems[0]
    assert type(problem.loss).__name__ == loss.removesuffix("()")


@pytest.mark.fault(number=21)
@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("ridge = 0.1", 'ridge = "0.1"', r"ridge = '0\.1' .*a finite number"),
        ("ridge = 0.1", 'ridge = 0.1\nloss = "Hinge"', r"loss = 'Hinge' .*\"HingeLoss\""),
        ("ridge = 0.1", 'ridge = 0.1\nloss = "hingeloss"', r"'hingeloss' .*\"HingeLoss\""),
        ('link = "F1"', 'link = "StepLink"', r'link = .*\{kind = "StepLink", \.\.\.\}'),
        ("ridge = 0.1", 'ridge = 0.1\nloss = "SmoothedHingeLoss(0.5)"', r'\{kind = "SmoothedHinge'),
        ('link = "F1"', 'link = "f3"', r"link = 'f3' .*\"F1\""),
        ('link = "F1"', 'link = "logistic"', r"'logistic' .*\"LogisticLink\""),
        ('title = "a small sweep"', "title = {}", r"title = \{\} .*text"),
        ('title = "a small sweep"', 'title = "a\\u0000b"', r"title = .*text"),
        ("seed = 3", "seed = 3\ntest_samples = 0.5", r"simulation\.test_samples = 0\.5"),
        ("seed = 3", f"seed = {2**128}", r"simulation\.seed = "),
    ],
)  # fmt: skip
def test_strings_for_objects_are_told_how_to_be_written(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    with pytest.raises(InvalidFieldError, match=said):
        read_sweep(written(tmp_path, SMALL.replace(old, new, 1)))
