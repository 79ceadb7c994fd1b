"""Where a simulation's time and memory go: workers, size of the pool, dimension.

    python benchmarks/scaling.py

Prints the speed-up of two workers over one on data sets of figure 2 at p = 1000; then, for growing
p at N/p = 2.29 and growing N at p = 400, seconds per fit, the share of drawing the features, and
the memory that a task takes at its peak, relative to the feature matrix.
"""

import resource
import time
from concurrent.futures import Executor

from threadpoolctl import threadpool_limits

from paper_repro.reproductions import figure_2
from paper_repro.reproductions.settings import HIGH_DIMENSION
from simulate import Plan, process_pool, run
from simulate.sample import Sample
from simulate.task import pool_size, run_task

PROBLEMS = list(
    dict.fromkeys(
        problem
        for problem, size in figure_2.FIGURE.experiment(False).places
        if problem.samples_per_dimension == HIGH_DIMENSION and size is not None
    )
)
SPREAD = tuple(PROBLEMS[::5])


def seconds(plan: Plan, executor: Executor) -> float:
    began = time.perf_counter()
    run(plan, executor=executor)
    return time.perf_counter() - began


def workers() -> None:
    plan = Plan(tuple(PROBLEMS), (1000,), repeats=4)
    took = {}
    for count in (1, 2):
        with process_pool(count) as executor:
            seconds(Plan(SPREAD, (30,), repeats=4), executor)  # starts and compiles
            took[count] = seconds(plan, executor)
        print(f"{count} worker(s): {took[count]:.1f} s for {len(plan.tasks)} tasks", flush=True)
    print(f"speed-up of two workers: {took[1] / took[2]:.2f}")


def one_task(ratio: float, dimension: int) -> tuple[int, float, float, float]:
    """Samples, seconds of the task and of drawing, bytes at the peak; in a fresh process."""
    problems = tuple(p.replace({"samples_per_dimension": ratio}) for p in SPREAD)
    (task,) = Plan(problems, (dimension,), repeats=1).tasks
    samples = pool_size(problems[0], dimension)
    with threadpool_limits(1):
        run_task(task._replace(dimension=30))  # compiles
        before = peak_bytes()
        began = time.perf_counter()
        Sample(problems[0].data, samples, dimension, 0, 0)
        drawing = time.perf_counter() - began
        began = time.perf_counter()
        run_task(task)
        return samples, time.perf_counter() - began, drawing, peak_bytes() - before


def peak_bytes() -> float:
    return 1024.0 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main() -> None:
    workers()
    print("\n      N      p  task s  s per fit  drawing  features MB  peak/features")
    grid = [(6870 / 3000, p) for p in (250, 500, 1000, 2000, 4000)]
    grid += [(ratio, 400) for ratio in (1.0, 10.0, 100.0)]
    for ratio, dimension in grid:
        with process_pool(1) as executor:
            samples, took, drawing, peak = executor.submit(one_task, ratio, dimension).result()
        features = 4.0 * samples * dimension
        print(
            f"{samples:7d} {dimension:6d} {took:7.2f} {took / len(SPREAD):10.4f}"
            f" {drawing / took:8.1%} {features / 1e6:12.1f} {peak / features:14.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
