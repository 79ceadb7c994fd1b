"""Interrupted, killed, crowded out: runs lose nothing that was finished, and say what is wrong."""

import json
import multiprocessing
import os
import signal
import sqlite3
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from numpy.typing import NDArray

from simulate import Plan, StoreError, WorkersDiedError, process_pool, run
from simulate.running.store import open_store
from simulate.task import Task
from tests.problems import power_problem
from theory import F2, GaussianMixture, SquaredLoss

Array = NDArray[np.float64]


def small_plan(**changes: Any) -> Plan:
    """Two pools, four problems, eight tasks."""
    problems = [power_problem(alpha=a, ridge=0.1) for a in (-1.0, 1.0)]
    problems += [power_problem(F2, alpha=0.5), power_problem(data=GaussianMixture(1.0))]
    settings: dict[str, Any] = {"dimensions": (20,), "repeats": 4, "seed": 1} | changes
    return Plan(tuple(problems), **settings)


class Watch:
    """Counts tasks, and does something after one of them."""

    def __init__(self, after: int = 0, act: Callable[[], None] = lambda: None) -> None:
        self.found, self.done = 0, 0
        self._after, self._act = after, act

    def begin(self, plan: Plan, finished: Mapping[Task, Array]) -> None:
        self.found = len(finished)

    def finish(self, task: Task, results: Array) -> None:
        self.done += 1
        if self.done == self._after:
            self._act()


@pytest.fixture(scope="module")
def whole() -> Array:
    """The plan run by two workers without interruption."""
    with process_pool(2) as executor:
        return run(small_plan(), executor=executor)


def _run_and_be_killed(store: Path) -> None:
    run(small_plan(), store, watcher=Watch(3, lambda: os.kill(os.getpid(), signal.SIGKILL)))


def test_a_killed_run_resumes_to_the_same_numbers(tmp_path: Path, whole: Array) -> None:
    process = multiprocessing.get_context("spawn").Process(
        target=_run_and_be_killed, args=(tmp_path,)
    )
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    watch = Watch()
    resumed = run(small_plan(), tmp_path, watcher=watch)
    assert (watch.found, watch.done) == (3, 5)
    np.testing.assert_allclose(resumed, whole, rtol=1e-6, atol=1e-9)
    again = Watch()
    assert np.array_equal(run(small_plan(), tmp_path, watcher=again), resumed)
    assert (again.found, again.done) == (8, 0)


def test_numbers_do_not_depend_on_the_number_of_workers_or_an_interruption(
    tmp_path: Path, whole: Array
) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), process_pool(1) as executor:
        run(small_plan(), tmp_path, executor, Watch(2, interrupt))
    watch = Watch()
    with process_pool(1) as executor:
        resumed = run(small_plan(), tmp_path, executor, watch)
    assert watch.found == 2
    assert np.array_equal(resumed, whole)


def test_a_worker_that_dies_is_replaced(whole: Array) -> None:
    with process_pool(2) as executor:

        def kill_one() -> None:
            executor.processes()[0].kill()

        watch = Watch(1, kill_one)
        assert np.array_equal(run(small_plan(), executor=executor, watcher=watch), whole)
        assert watch.done == 8


class Doomed(SquaredLoss):
    """Ends the process that fits it."""

    def slope(self, margin: Any) -> Any:
        os._exit(1)


def test_a_task_that_always_kills_its_worker_is_reported() -> None:
    plan = Plan((power_problem(loss=Doomed()),), (20,), repeats=2)
    with pytest.raises(WorkersDiedError, match="workers died"), process_pool(1) as executor:
        run(plan, executor=executor)


def _start_workers_and_wait(pids: Path) -> None:
    with process_pool(2) as executor:
        list(executor.map(abs, range(2)))
        pids.write_text(" ".join(str(process.pid) for process in executor.processes()))
        time.sleep(600)


def test_workers_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    parent = context.Process(target=_start_workers_and_wait, args=(tmp_path / "pids",))
    parent.start()
    while not (tmp_path / "pids").exists() or not (tmp_path / "pids").read_text():
        time.sleep(0.1)
    parent.kill()
    parent.join()
    workers = (tmp_path / "pids").read_text().split()
    deadline = time.monotonic() + 30
    while any(_runs(pid) for pid in workers):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def _runs(pid: str) -> bool:
    """Whether the process exists and is not a zombie that waits for its parent to look."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_store_without_its_manifest_is_not_taken_for_another_plan(tmp_path: Path) -> None:
    run(small_plan(repeats=1), tmp_path)
    (tmp_path / "manifest.json").unlink()
    with pytest.raises(StoreError, match="another plan"):
        run(small_plan(repeats=1, seed=9), tmp_path)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_a_dask_cluster_with_a_killed_worker_gives_the_same_numbers(
    tmp_path: Path, whole: Array
) -> None:
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None, local_directory=tmp_path
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        workers = client.run(os.getpid)
        watch = Watch(1, lambda: os.kill(next(iter(workers.values())), signal.SIGKILL))
        results = run(small_plan(), tmp_path / "store", client.get_executor(), watch)
        assert watch.done == 8
    assert np.array_equal(results, whole)


def test_a_second_run_on_one_store_is_refused(tmp_path: Path) -> None:
    with (
        open_store(tmp_path, small_plan()),
        pytest.raises(StoreError, match="in use by another run"),
    ):
        run(small_plan(), tmp_path)


@pytest.mark.parametrize(
    ("changes", "named"),
    [({"seed": 2}, "seed"), ({"repeats": 3}, "data_sets"), ({"dimensions": (30,)}, "dimensions")],
)
def test_the_store_of_another_plan_is_refused(
    tmp_path: Path, changes: dict[str, Any], named: str
) -> None:
    with open_store(tmp_path, small_plan()):
        pass
    with pytest.raises(StoreError, match=f"another plan .*{named}.* differs"):
        run(small_plan(**changes), tmp_path)


def damage_a_result(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE result SET results = zeroblob(88) WHERE number = 0")
    connection.close()


def damage_the_file(path: Path) -> None:
    path.write_bytes(b"not a database" + path.read_bytes()[14:])


def cut_the_file(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:5000])


@pytest.mark.parametrize("damage", [damage_a_result, damage_the_file, cut_the_file])
def test_a_damaged_store_is_named(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    plan = small_plan(repeats=1)
    run(plan, tmp_path)
    damage(tmp_path / "tasks.sqlite")
    with pytest.raises(StoreError, match=r"tasks\.sqlite .*remove"):
        run(plan, tmp_path)


def test_a_damaged_manifest_is_named(tmp_path: Path) -> None:
    with open_store(tmp_path, small_plan()):
        pass
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(StoreError, match=r"manifest\.json is damaged"):
        run(small_plan(), tmp_path)


def test_a_full_disk_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = small_plan(repeats=40)
    connect = sqlite3.connect

    def tiny(path: Path) -> sqlite3.Connection:
        connection = connect(path)
        connection.execute("PRAGMA max_page_count = 9")
        return connection

    monkeypatch.setattr(sqlite3, "connect", tiny)
    watch = Watch()
    with pytest.raises(StoreError, match=r"cannot be written .*full.*are kept"):
        run(plan, tmp_path, watcher=watch)
    monkeypatch.undo()
    after = Watch()
    run(plan, tmp_path, watcher=after)
    assert after.found == watch.done > 0
    assert after.found + after.done == 80


def test_a_directory_that_cannot_be_written_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    watch = Watch()
    with pytest.raises(StoreError, match="cannot be written"):
        run(small_plan(), tmp_path / "file" / "store", watcher=watch)
    assert watch.done == 0


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_directory_is_refused_at_once(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    with pytest.raises(StoreError, match="cannot be written"):
        run(small_plan(), tmp_path)


def test_the_manifest_describes_the_plan(tmp_path: Path) -> None:
    plan = small_plan()
    with open_store(tmp_path, plan):
        pass
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert (manifest["seed"], manifest["tasks"], len(manifest["problems"])) == (1, 8, 4)
    assert "numpy" in manifest["versions"]


def test_a_finished_run_leaves_its_labelled_dataset(tmp_path: Path) -> None:
    plan = small_plan(dimensions=(20, 30), repeats=2)
    values = run(plan, tmp_path)
    with xr.open_dataset(tmp_path / "results.nc", engine="h5netcdf") as stored:
        assert stored.simulation_misclassification.dims == ("dimension", "problem", "data_set")
        np.testing.assert_array_equal(stored.simulation_alpha_0, values[..., 2])
        assert list(stored.problem.values) == [repr(p) for p in plan.problems]
        assert (stored.simulation_converged == 1).all()
