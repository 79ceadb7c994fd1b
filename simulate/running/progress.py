"""Progress of a run: tasks done, rate, time left, and the running agreement with the theory."""

import time
from collections.abc import Mapping, Sequence
from types import TracebackType

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from simulate.compare import RunningAgreement, root_mean_square
from simulate.running.plan import Plan, cost
from simulate.task import Task
from theory.prediction import Prediction
from theory.problem import Problem

Array = NDArray[np.float64]


ROUNDS = 1.0
"""The time left is said once the tasks after the first took so many times as long as the first.

The first includes the start of the workers, so the pace is counted from its end; and soon after it
others end that ran beside it, so that at once the pace would look too fast.
"""


class ProgressReport:
    """A bar on a terminal; elsewhere a line at every tenth of the tasks. A watcher for ``run``.

    Time left counts every task by its cost, at the pace of this run so far. The root-mean-square z
    of the misclassification is near 1 where simulation and theory agree.
    """

    def __init__(self, console: Console, quiet: bool = False) -> None:
        self._console = console
        self._quiet = quiet
        self._predictions: Mapping[Problem, Prediction] = {}
        self._plans: Sequence[Plan] = ()
        self._agreements: list[RunningAgreement] = []
        self._bar = Progress(
            TextColumn("simulating"),
            BarColumn(),
            TextColumn("{task.description}", markup=False),
            console=console,
        )
        self._row: TaskID | None = None
        self._total = 0
        self._counted: dict[str, int] = {}

    def __enter__(self) -> "ProgressReport":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._row is not None:
            self._bar.stop()

    def expecting(
        self, predictions: Mapping[Problem, Prediction], plans: Sequence[Plan]
    ) -> "ProgressReport":
        """This report, to show the agreement with these predictions and count plans as one."""
        self._predictions, self._plans, self._agreements = predictions, plans, []
        self._total = 0
        return self

    def predicting(self, done: int, total: int, what: str) -> None:
        """Say, at every tenth, how many of these are done."""
        before = self._counted.get(what, 0)
        self._counted[what] = done
        if not self._quiet and done * 10 // total != before * 10 // total:
            self._console.print(f"{done} of {total} {what}", highlight=False)

    def begin(self, plan: Plan, finished: Mapping[Task, Array]) -> None:
        if not self._total:
            plans = self._plans or (plan,)
            self._total, self._done = sum(len(each.tasks) for each in plans), 0
            self._cost_left = sum(cost(task) for each in plans for task in each.tasks)
            self._cost_done = 0.0
            self._began = time.monotonic()
            self._first: tuple[float, int, float] | None = None
        left = plan.left(finished)
        there = len(plan.tasks) - len(left)
        self._done += there
        self._cost_left += sum(cost(task) for task in left) - sum(map(cost, plan.tasks))
        self._cost_done += sum(map(cost, finished))
        if all(problem in self._predictions for problem in plan.problems):
            self._agreements.append(RunningAgreement(plan, self._predictions))
            for task, results in finished.items():
                self._agreements[-1].add(task, results)
        if self._quiet:
            return
        if there:
            self._console.print(f"{self._done} of {self._total} tasks were finished before")
        if self._console.is_terminal and self._cost_left:
            total = self._cost_done + self._cost_left
            if self._row is None:
                self._bar.start()
                self._row = self._bar.add_task(self._describe(), total=total)
            self._bar.update(self._row, completed=self._cost_done, total=total)

    def finish(self, task: Task, results: Array) -> None:
        self._done += 1
        self._cost_left -= cost(task)
        self._cost_done += cost(task)
        if self._first is None:
            self._first = time.monotonic(), self._done, self._cost_done
        if self._agreements:
            self._agreements[-1].add(task, results)
        if self._quiet:
            return
        if self._row is not None:
            description = self._describe()
            self._bar.update(self._row, completed=self._cost_done, description=description)
        elif self._done * 10 // self._total > (self._done - 1) * 10 // self._total:
            self._console.print(self._describe())

    def _describe(self) -> str:
        text = f"{self._done} of {self._total} tasks"
        ended, done, cost_done = self._first or (self._began, self._done, self._cost_done)
        elapsed = time.monotonic() - ended
        if self._done > done and elapsed >= ROUNDS * (ended - self._began):
            rate = 60 * (self._done - done) / elapsed
            left = elapsed * self._cost_left / (self._cost_done - cost_done)
            text += f", {rate:.0f} a minute" if rate >= 10 else f", {rate:.2g} a minute"
            text += f", {duration(left)} left" if self._cost_left else ""
        if np.isfinite(rms := root_mean_square(self._agreements)):
            text += f", rms z {rms:.2f}"
        return text


def duration(seconds: float) -> str:
    """A length of time as people say it.

    >>> duration(50), duration(200), duration(9000)
    ('50 s', '3 min', '2.5 h')
    """
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5970 else f"{seconds / 3600:.1f} h"
