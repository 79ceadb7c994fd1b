"""Workers, executors, interrupts and progress of a run."""

import gc
import logging
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from rich.console import Console
from threadpoolctl import threadpool_info, threadpool_limits

from simulate import ExecutorError, Plan, TaskError, WorkersDiedError, estimate, process_pool, run
from simulate.running import run as running
from simulate.running import workers
from simulate.running.interrupts import kept_interrupts
from simulate.running.progress import ProgressReport
from simulate.subset import draw_weights
from tests.problems import power_problem
from tests.test_store import small_plan
from theory import FixedFraction, SquaredLoss, predict
from theory._engine import PrecisionError
from theory.machine import cores, one_thread


class StubbornError(Exception):
    """An error that cannot be sent between processes."""

    def __init__(self, first: int, second: int) -> None:
        super().__init__(f"{first} and {second}")


@dataclass(frozen=True)
class FailingLoss(SquaredLoss):
    """Raises an error in every fit."""

    def slope(self, margin: Any) -> Any:
        raise StubbornError(3, 4)


FAILING = Plan((power_problem(), power_problem(alpha=0.25, loss=FailingLoss())), (20,), 1)


def test_an_error_of_a_task_is_named_with_its_problem() -> None:
    with pytest.raises(TaskError, match=r"StubbornError: 3 and 4 .*alpha=0.25.*FailingLoss"):
        run(FAILING)


def test_an_error_in_a_worker_is_no_death_and_local_kinds_can_be_sent() -> None:
    @dataclass(frozen=True)
    class LocalLoss(SquaredLoss):
        pass

    plan = Plan((power_problem(loss=LocalLoss()),), (20,), 1)
    with process_pool(1) as executor:
        there = run(plan, executor=executor)
        with pytest.raises(TaskError, match=r"StubbornError: 3 and 4 .*alpha=0.25.*FailingLoss"):
            run(FAILING, executor=executor)
    np.testing.assert_allclose(there, run(plan), rtol=1e-6, atol=1e-9)


SCRIPT = """
from simulate import Plan, process_pool, run
from theory import F1, Problem, RandomSelection, SingleIndex
plan = Plan([Problem(SingleIndex(F1, 5.0), RandomSelection(0.5), 0.1, 2.0)], [30], 2)
with process_pool(1) as pool:
    run(plan, executor=pool)
"""


@pytest.mark.fault(number=19)
def test_a_program_that_workers_cannot_import_is_told_why(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    file = subprocess.run(
        [sys.executable, str(tmp_path / "script.py")], capture_output=True, text=True, timeout=120
    )
    assert 'put what it runs under if __name__ == "__main__":' in file.stderr.splitlines()[-1]
    read = subprocess.run([sys.executable, "-"], input=SCRIPT, capture_output=True, text=True)
    assert "<stdin> is no file: save the program in one" in read.stderr.splitlines()[-1]


@pytest.mark.fault(number=12)
def test_forked_workers_are_refused() -> None:
    context = multiprocessing.get_context("fork")
    with (
        ProcessPoolExecutor(1, context) as executor,
        pytest.raises(ExecutorError, match=r"forked workers hang .*process_pool"),
    ):
        run(small_plan(), executor=executor)


def threads() -> list[int]:
    return [library["num_threads"] for library in threadpool_info()]


@pytest.mark.fault(number=7)
def test_a_thread_executor_leaves_the_threads_of_linear_algebra_as_they_were() -> None:
    with threadpool_limits(2), ThreadPoolExecutor(2) as executor:
        before = threads()
        run(small_plan(repeats=8), executor=executor)
        assert threads() == before
        first, second = one_thread(), one_thread()
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)  # the first to come leaves before the last
        assert set(threads()) == {1}
        second.__exit__(None, None, None)
        assert threads() == before


@pytest.mark.fault(number=18)
@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity here")
def test_cores_are_those_granted() -> None:
    granted = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(granted)})
        assert cores() == 1
    finally:
        os.sched_setaffinity(0, granted)
    assert 1 <= cores() <= len(granted)


@pytest.mark.fault(number=11)
def test_single_precision_is_named_as_the_cause() -> None:
    settings: Any = jax.config
    settings.update("jax_enable_x64", False)
    try:
        for compute in (predict, lambda problem: estimate(problem, 20, 2)):
            with pytest.raises(PrecisionError, match=r"jax_enable_x64.*True"):
                compute(power_problem())
    finally:
        settings.update("jax_enable_x64", True)


@pytest.mark.fault(number=14)
def test_neither_home_nor_password_entry_is_needed(tmp_path: Path) -> None:
    code = (
        "import os, pwd\n"
        "def unknown(uid): raise KeyError(uid)\n"
        "pwd.getpwuid = unknown\n"
        "for name in ('HOME', 'XDG_CACHE_HOME'): os.environ.pop(name, None)\n"
        "import theory; print(theory.F1.levels)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert os.listdir(tmp_path) == []


@dataclass(frozen=True)
class GivenProbabilities(FixedFraction):
    """A scheme that is wrong."""

    probability: float
    fraction: float = 0.5
    reweight: bool = False

    def law_rule(self, law: Any) -> Any:
        raise NotImplementedError

    def inclusion_probabilities(self, scores: Any) -> Any:
        return np.full(scores.shape, self.probability)


@pytest.mark.fault(number=3)
@pytest.mark.parametrize(
    ("probability", "message"),
    [
        (np.nan, r"probability nan .*\[0, 1\]"),
        (1.5, r"probability 1.5 .*\[0, 1\]"),
        (0.6, r"asks for the fraction 0.5 and selects 0.6 of 2000"),
    ],
)
def test_a_wrong_scheme_is_told(probability: float, message: str) -> None:
    scores = np.linspace(-1, 1, 2000)
    with pytest.raises(ValueError, match=message):
        draw_weights(GivenProbabilities(probability), scores, scores)
    assert draw_weights(GivenProbabilities(0.51), scores, np.abs(scores)).mean() > 0.5
    with pytest.raises(ValueError, match="1 of 2000 scores are not finite"):
        draw_weights(GivenProbabilities(0.5), np.where(scores == 1, np.nan, scores), scores)


def test_the_first_time_left_after_resuming_is_right(monkeypatch: pytest.MonkeyPatch) -> None:
    """900 of 1000 tasks are there; two workers start for 30 s and take 1 s for a task."""
    plan = Plan((power_problem(),), (20,), repeats=1000)
    results = np.zeros((1, 11))
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    said = StringIO()
    with ProgressReport(Console(file=said, width=200)) as report:
        report.begin(plan, dict.fromkeys(plan.tasks[:900], results))
        first = None
        for k, task in enumerate(plan.tasks[900:]):
            now = 31.0 + k // 2
            report.finish(task, results)
            text = report._describe()
            if first is None and "left" in text:
                first = text, (99 - k) / 2
    assert first is not None
    left = float(first[0].split(" s left")[0].split()[-1])
    assert left == pytest.approx(first[1], rel=0.2)


def test_an_interrupt_in_a_callback_of_the_garbage_collector_is_not_lost() -> None:
    def callback(phase: str, info: dict[str, int]) -> None:
        if phase == "start" and waiting:
            waiting.clear()
            signal.raise_signal(signal.SIGINT)

    waiting = [True]
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    gc.callbacks.append(callback)
    try:
        began = time.monotonic()
        with pytest.raises(KeyboardInterrupt), kept_interrupts():  # noqa: PT012
            gc.collect()
            time.sleep(60)
        assert time.monotonic() - began < 30
    finally:
        gc.callbacks.remove(callback)
        signal.signal(signal.SIGINT, handler)


def _mask() -> set[int]:
    return set(signal.pthread_sigmask(signal.SIG_BLOCK, ()))


def test_workers_never_see_an_interrupt_not_even_as_they_load() -> None:
    with process_pool(1) as executor:
        assert signal.SIGINT in executor.submit(_mask).result()
    assert signal.SIGINT not in _mask()


def test_an_interrupt_while_the_command_loads_is_one_line() -> None:
    code = (
        "import builtins, runpy, signal, sys\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "load = builtins.__import__\n"
        "def hit(name, *rest, **named):\n"
        "    if name == 'simulate.files': signal.raise_signal(signal.SIGINT)\n"
        "    return load(name, *rest, **named)\n"
        "builtins.__import__ = hit\n"
        "sys.argv = ['dataselect', 'predict', 'nothing.toml']\n"
        "runpy.run_module('dataselect.__main__', run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (130, "interrupted: nothing had started\n")


class Scheduler(Executor):
    """Answers every task with an error, or with results after a while, as a Dask client does."""

    def __init__(self, error: Exception | None = None, delay: float = 0.0) -> None:
        self._client = self
        self._error, self._delay = error, delay
        self._pool = ThreadPoolExecutor(1)

    def scheduler_info(self, **options: Any) -> dict[str, Any]:
        return {"workers": {}}

    def submit(self, function: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        def answer() -> Any:
            time.sleep(self._delay)
            if self._error is not None:
                raise self._error
            return function(*args)

        return self._pool.submit(answer)


@pytest.mark.fault(number=17)
def test_what_a_cluster_raises_is_one_line() -> None:
    distributed = pytest.importorskip("distributed")
    killed = distributed.scheduler.KilledWorker("task", None, 3)
    with pytest.raises(WorkersDiedError, match=r"died again and again.*fewer threads"):
        run(small_plan(), executor=Scheduler(killed))
    for gone in (distributed.CancelledError("task"), distributed.comm.CommClosedError("closed")):
        with pytest.raises(ExecutorError, match="as when a scheduler ends"):
            run(small_plan(), executor=Scheduler(gone))


@pytest.mark.fault(number=17)
def test_a_cluster_without_workers_is_spoken_of_and_waited_for(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(running, "PATIENCE", 0.05)
    plan = small_plan(repeats=1)
    with caplog.at_level(logging.WARNING):
        values = run(plan, executor=Scheduler(delay=0.3))
    assert np.isfinite(values).all()
    assert caplog.messages == ["the cluster has no workers: waiting for some to join it"]


@pytest.mark.fault(number=17)
def test_a_scheduler_that_does_not_answer_is_one_line() -> None:
    distributed = pytest.importorskip("distributed")
    dask = pytest.importorskip("dask")
    assert distributed
    with (
        dask.config.set({"distributed.comm.timeouts.connect": "0.2s"}),
        pytest.raises(ExecutorError, match=r"no scheduler answers at tcp://127\.0\.0\.1:9 "),
        workers.cluster("tcp://127.0.0.1:9"),
    ):
        pass
