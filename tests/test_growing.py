"""A store may grow, never shrink or change; files that cannot be used are one line."""

import errno
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import dataselect.command_line as dataselect
from simulate import Plan, StoreError, run
from simulate.files import read_dataset, write_dataset
from simulate.task import Task
from tests.problems import power_problem
from tests.test_store import Watch, small_plan
from theory import InvalidFieldError

GROWN: list[dict[str, Any]] = [{"repeats": 6}, {"dimensions": (30, 20)}]


@pytest.mark.parametrize("changes", GROWN)
def test_a_run_grows_without_computing_again(tmp_path: Path, changes: dict[str, Any]) -> None:
    before = run(small_plan(), tmp_path)
    watch = Watch()
    after = run(small_plan(**changes), tmp_path, watcher=watch)
    assert watch.found == 8
    assert watch.done == len(small_plan(**changes).tasks) - 8
    assert np.array_equal(after[-1, :, :4], before[0])
    np.testing.assert_allclose(after, run(small_plan(**changes)), rtol=1e-6, atol=1e-9)
    with xr.open_dataset(tmp_path / "results.nc", engine="h5netcdf") as stored:
        assert stored.sizes["data_set"] == changes.get("repeats", 4)


class Fits(Watch):
    """Counts the fits of finished tasks."""

    fits = 0

    def finish(self, task: Task, results: Any) -> None:
        self.fits += len(task.problems)


def test_a_run_grows_by_problems_in_any_order(tmp_path: Path) -> None:
    old = tuple(power_problem(alpha=a, ridge=0.1) for a in (-1.0, 1.0))
    new = (old[1], power_problem(alpha=0.5, ridge=0.1), old[0])
    before = run(Plan(old, (20,), 3), tmp_path)[0]
    watch = Fits()
    after = run(Plan(new, (20,), 3), tmp_path, watcher=watch)[0]
    assert watch.fits == 3
    assert np.array_equal(after[[2, 0]], before)
    np.testing.assert_allclose(after, run(Plan(new, (20,), 3))[0], rtol=1e-6, atol=1e-9)


def test_a_run_does_not_shrink(tmp_path: Path) -> None:
    run(small_plan(repeats=1), tmp_path)
    whole = small_plan(repeats=1)
    with pytest.raises(StoreError, match=r"problems differs; a plan may grow, not shrink"):
        run(Plan(whole.problems[:2], (20,), 1, seed=1), tmp_path)


SWEEP = """
[problem]
ridge = 0.1
samples_per_dimension = 2.0
data = {kind = "GaussianMixture", mean_norm = 1.0}
selection = {kind = "RandomSelection", fraction = 0.5}
[axes]
ridge = [0.1, 0.2]
"""
SIMULATION = "[simulation]\ndimensions = [20]\ndata_sets = 2\n"


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "sweep.toml"
    path.write_text(text)
    return path


def test_a_sweep_store_is_one_sweep(tmp_path: Path) -> None:
    store = tmp_path / "store"

    def sweep(text: str, command: Any = dataselect.sweep) -> xr.Dataset:
        command(written(tmp_path, text), store, workers=1, quiet=True)
        return read_dataset(store / "results.nc")

    both = sweep(SWEEP + SIMULATION)
    other = [
        (SWEEP.replace("[0.1, 0.2]", "[0.1, 0.3]"), "problems"),
        (SWEEP, "simulation"),
        ("theory = false\n" + SWEEP + SIMULATION, "theory"),
        (SWEEP + SIMULATION.replace("= 2", "= 1"), "data_sets"),
        (SWEEP.replace("ridge = [0.1, 0.2]", '"selection.fraction" = [0.5]'), "axes"),
    ]
    for text, named in other:
        with pytest.raises(StoreError, match=named):
            sweep(text)
    with pytest.raises(StoreError, match="theory"):
        sweep(SWEEP + SIMULATION, dataselect.simulate)
    xr.testing.assert_identical(read_dataset(store / "results.nc"), both)
    grown = sweep(SWEEP.replace("[0.1, 0.2]", "[0.1, 0.2, 0.3]") + SIMULATION.replace("= 2", "= 3"))
    assert (grown.sizes["ridge"], grown.sizes["data_set"]) == (3, 3)
    old = grown.simulation_alpha_0.sel(ridge=[0.1, 0.2], data_set=[0, 1])
    xr.testing.assert_identical(old, both.simulation_alpha_0)


def test_results_of_an_unknown_sweep_are_not_overwritten(tmp_path: Path) -> None:
    store = tmp_path / "store"
    write_dataset(store / "results.nc", xr.Dataset())
    with pytest.raises(StoreError, match="unknown sweep"):
        dataselect.sweep(written(tmp_path, SWEEP), store, workers=1, quiet=True)


def test_an_output_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"file is a file, not a directory: choose another"):
        run(small_plan(), tmp_path / "file")
    with pytest.raises(StoreError, match="is a file"):
        dataselect.sweep(written(tmp_path, SWEEP), tmp_path / "file", workers=1, quiet=True)


@pytest.mark.parametrize("cut", [0, 20, 4000])
def test_a_damaged_netcdf_is_named(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "results.nc"
    write_dataset(path, xr.Dataset({"a": ("x", np.arange(2000.0))}))
    assert read_dataset(path).sizes["x"] == 2000
    path.write_bytes(path.read_bytes()[:cut] or b"text")
    with pytest.raises(StoreError, match=r"results\.nc is damaged .*remove it"):
        dataselect.plot(tmp_path)


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left"), RuntimeError("HDF5")])
def test_a_disk_full_at_the_end_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    before = run(small_plan(repeats=1), tmp_path)
    old = (tmp_path / "results.nc").read_bytes()

    def full(dataset: xr.Dataset, path: Path, **options: Any) -> None:
        del dataset, options
        path.write_bytes(b"a part")
        raise error

    monkeypatch.setattr(xr.Dataset, "to_netcdf", full)
    with pytest.raises(StoreError, match=r"results\.nc cannot be written .*make room"):
        run(small_plan(repeats=2), tmp_path)
    assert (tmp_path / "results.nc").read_bytes() == old
    assert not [name for name in os.listdir(tmp_path) if name.startswith(".results")]
    monkeypatch.undo()
    watch = Watch()
    after = run(small_plan(repeats=2), tmp_path, watcher=watch)
    assert (watch.found, watch.done) == (4, 0)
    assert np.array_equal(after[:, :, :1], before)


@pytest.mark.fault(number=4)
def test_a_seed_of_128_bits_can_be_written(tmp_path: Path) -> None:
    plan = small_plan(repeats=1, seed=2**128 - 1)
    run(plan, tmp_path)
    assert read_dataset(tmp_path / "results.nc").attrs["seed"] == str(2**128 - 1)


def test_absurd_sizes_are_refused_at_once() -> None:
    with pytest.raises(InvalidFieldError, match="repeats = 3000000"):
        Plan((power_problem(),), (20,), repeats=3_000_000)
    with pytest.raises(InvalidFieldError, match="dimension = 10000000 "):
        Plan((power_problem(),), (10**7,), repeats=2)
    most = Plan((power_problem(),), (20,), repeats=100_000)
    assert len(most.tasks) == 100_000
