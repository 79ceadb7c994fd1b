"""Two rounds on real features: does the theory meet real pools, and does reuse rescue a rule?

    python benchmarks/reuse_agreement.py [digits] [shirts] [--repeats 60] [--points 8000]
        [--table] [--store results/reuse]

digits: scikit-learn's 1797 (odd against even, 30 whitened components), theory from all of them, as
they are few: pools and theory share samples. shirts: Fashion-MNIST (shirts against four other tops,
48 whitened components), theory from ``points`` labels that no pool or test uses.

Settings: a surrogate of N_A labels, a pool of N_B, a rule and a ridge. Every repeat draws both
anew, fits surrogate and final fit, with the surrogate's labels (w = 1) and without, and tests.
Prints every setting (real mean, its standard error, theory, its sampling error, in points), the
share of settings at which theory is within 0.3 points and two sampling errors of the real mean, and
the shares of pairs of rules, and of pairs with and without reuse, whose difference it meets within
0.5 points and two standard errors of the real difference.

--table: instead, error of every rule without and with reuse, at 5, 10, 20 and 40 % of the pool,
each with the best of four ridges: is the hardest rule rescued by the surrogate's own labels? Either
way the same labels are paid for; random with reuse is one round in which all are bought at random.

"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulate.pools import Pool, load_digits_task, load_fashion_mnist
from simulate.pools.predicted import part_pilot
from simulate.pools.preparation import Standardise, Whiten
from simulate.pools.rules import vary
from simulate.pools.splits import SplitSizes
from simulate.pools.studies import FittedSurrogate, Study, study
from theory import (
    FixedFraction,
    Population,
    PopulationSurrogate,
    PowerSelection,
    RandomSelection,
    Selection,
    TopSelection,
)

Array = NDArray[np.float64]

RULES: dict[str, FixedFraction] = {
    "random": RandomSelection(0.5),
    "power 1": PowerSelection(1.0, 0.5),
    "power 1, 1/pi": PowerSelection(1.0, 0.5, reweight=True),
    "power -1": PowerSelection(-1.0, 0.5),
    "hardest": TopSelection("hard", 0.5),
    "easiest": TopSelection("easy", 0.5),
}
SURROGATE_RIDGE = 0.02
RIDGES, KEPT, VALIDATION = (0.001, 0.003, 0.01, 0.03), (0.05, 0.1, 0.2, 0.4), 300
"""Of the table: ridges, fractions, and the labels that choose among the ridges."""


@dataclass(frozen=True)
class Task:
    """A data set, its settings (N_A, N_B, fraction, ridge), each with all rules, and its tests."""

    load: Callable[[], Pool]
    settings: tuple[tuple[int, int, float, float], ...]
    test: int
    apart: bool


def _digits() -> Pool:
    pool = load_digits_task()
    return pool.mapped(Whiten(30).fit(pool.features))


TASKS = {
    "digits": Task(_digits, ((150, 700, 0.2, 0.01),), 600, False),
    "shirts": Task(
        lambda: load_fashion_mnist(components=48), ((300, 1500, 0.1, 0.01),), 10_000, True
    ),
}


def at_fraction(rule: FixedFraction, fraction: float) -> Selection:
    varied = vary(rule, fraction=fraction)
    assert isinstance(varied, Selection)
    return varied


def plan_of(task: Task, given: Any, setting: tuple[int, int, float, float], reuse: float) -> Study:
    samples, size, fraction, ridge = setting
    return Study(
        schemes=RULES,
        fractions=[fraction],
        surrogates={"surrogate": FittedSurrogate(samples, SURROGATE_RIDGE)},
        sizes=SplitSizes(surrogate=samples, test=task.test, pool=size),
        ridge=ridge,
        preparation=(Standardise(),),
        repeats=given.repeats,
        reuse=reuse,
    )


def agreement(name: str, task: Task, given: Any) -> None:
    whole, pilot = task.load(), None
    if task.apart:
        whole, pilot = part_pilot(whole, given.points)
    known = whole if pilot is None else pilot
    population = Population(Standardise().fit(whole.features)(known.features), known.labels)
    for setting in task.settings:
        samples, size, fraction, ridge = setting
        began = time.process_time()
        surrogate = PopulationSurrogate(population, samples, SURROGATE_RIDGE)
        real, theory = [], []
        for reuse in (0.0, 1.0):
            plan = plan_of(task, given, setting, reuse)
            results = study(whole, plan, directory=given.store / f"{name}-{samples}-{reuse:g}")
            real.append(results.misclassification.values[0, :, 0])
            theory.append(
                [
                    surrogate.predict(at_fraction(rule, fraction), size, ridge, reuse)
                    for rule in RULES.values()
                ]
            )
        first = 100 * results.surrogate_misclassification.values[0]
        print(
            f"{name}: N_A {samples}, N_B {size}, fraction {fraction}, ridge {ridge};"
            f" {given.repeats} pools, {population.size} points,"
            f" {time.process_time() - began:.0f} s of processor\n  surrogate {_mean(first)},"
            f" theory {100 * surrogate.first.misclassification:.2f}",
            flush=True,
        )
        judge(100 * np.array(real), theory)


def judge(real: Array, theory: list[list[Any]]) -> None:
    """real: points, [reuse, rules, repeats]."""
    labels = list(RULES)
    predicted = 100 * np.array([[f.misclassification for f in row] for row in theory])
    sampling = 100 * np.array([[f.misclassification_sampling_error for f in r] for r in theory])
    near = np.abs(real.mean(axis=-1) - predicted) <= 0.3 + 2 * sampling
    for j, label in enumerate(labels):
        for k, word in enumerate(("without", "with")):
            print(
                f"  {label:14} {word:8} real {_mean(real[k, j])}, theory {predicted[k, j]:.2f}"
                f" +- {sampling[k, j]:.2f}, fraction {theory[k][j].fraction:.3f}"
            )
    pairs = [((k, a), (k, b)) for k in (0, 1) for a, b in combinations(range(len(labels)), 2)]
    reuse = [((0, j), (1, j)) for j in range(len(labels))]
    shares = [np.mean([_met(real, predicted, *pair) for pair in some]) for some in (pairs, reuse)]
    print(
        f"  within 0.3 + two sampling errors: {near.sum()} of {near.size};"
        f" differences of rules within 0.5: {shares[0]:.0%} of {len(pairs)}, of reuse and none:"
        f" {shares[1]:.0%} of {len(reuse)}",
        flush=True,
    )


def _met(real: Array, predicted: Array, a: tuple[int, int], b: tuple[int, int]) -> bool:
    difference = real[a] - real[b]
    error = difference.std(ddof=1) / len(difference) ** 0.5
    return bool(abs(difference.mean() - (predicted[a] - predicted[b])) <= 0.5 + 2 * error)


def _mean(values: Array) -> str:
    return f"{values.mean():.2f}({values.std(ddof=1) / len(values) ** 0.5:.2f})"


def table(name: str, task: Task, given: Any) -> None:
    """Rules in rows, without and with reuse in columns; both have paid for the same labels."""
    whole = task.load()
    samples, size, _, _ = task.settings[0]
    sizes = SplitSizes(surrogate=samples, test=task.test, validation=VALIDATION, pool=size)
    real = []
    for reuse in (0.0, 1.0):
        plan = plan_of(task, given, task.settings[0], reuse)
        plan = replace(plan, fractions=KEPT, sizes=sizes, ridge=RIDGES)
        real.append(study(whole, plan, directory=given.store / f"{name}-table-{reuse:g}"))
    first = 100 * real[0].surrogate_misclassification.values[0]
    print(f"{name}: surrogate of {samples} labels, pool of {size}, {given.repeats} pools")
    print(f"  the surrogate alone: {_mean(first)}; without / with reuse of its labels")
    for label in RULES:
        cells = [
            " / ".join(_mean(100 * r.misclassification.values[0, j, k]) for r in real)
            for j in [list(RULES).index(label)]
            for k in range(len(KEPT))
        ]
        print(f"  {label:14} | " + " | ".join(cells), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Theory of two rounds against real pools.")
    parser.add_argument("tasks", nargs="*", default=list(TASKS), metavar="task")
    parser.add_argument("--repeats", type=int, default=60)
    parser.add_argument("--points", type=int, default=8000)
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--store", type=Path, default=Path("results/reuse"))
    given = parser.parse_args()
    for name in given.tasks:
        (table if given.table else agreement)(name, TASKS[name], given)


if __name__ == "__main__":
    main()
