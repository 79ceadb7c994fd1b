"""How many labels a target needs, with samples chosen at random or by a surrogate.

The population equations predict the error of every scheme over the number of labels bought. Random
samples need no surrogate; every other scheme pays for the labels of one first. The pool is of a
given size, or grows with the budget: then the fraction that is labelled is another knob, and the
best one is taken for every budget, as is the best ridge.

Settings are compared without halving and the best is predicted with it, as in advice. The sampling
error of the pilot moves a whole curve up or down: the interval for a number of labels is where the
curve, moved by that much, meets the target.
"""

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

from simulate.fitting.softmax import fit_softmax
from simulate.pools.advice import cross_fitted_scores
from simulate.pools.splits import stratified_order
from theory.checks import (
    InvalidFieldError,
    as_count,
    as_fraction,
    as_items,
    as_non_negative,
    as_number,
    as_numbers,
)
from theory.kinds import Selection
from theory.population_classes import AnyPopulation, AnyPrediction, as_classes, make_population
from theory.population_curves import Setting, predict_settings
from theory.selection import PowerSelection, RandomSelection, TopSelection
from theory.solver import Status

Array = NDArray[np.float64]
Progress = Callable[[int, int], None]
"""Is told how many points of curves are predicted, and how many there are."""

RIDGES = (0.1, 0.03, 0.01, 0.003, 0.001, 0.0003)
"""Relative to the labels that the fit sees."""

ALPHAS = (-1.0, 0.5, 1.0)
FRACTIONS = (0.1, 0.3)
COVERAGE = 0.9
SURROGATE_SHARE = 0.2
"""Of the pilot's labels, those that a surrogate costs, by default."""

LEAST_LABELS = 100
POINTS_PER_DECADE = 3
EXPERIMENT_SHARES = (0.05, 0.1, 0.2, 0.4)
EXPERIMENTS = 5
"""Random subsets of the pilot of every size, to fit and to test on the rest."""


@dataclass(frozen=True, eq=False)
class LabelBudget:
    """Labels that a target needs, by scheme, and what every number of labels buys.

    target: the test error asked for. surrogate_labels: what a surrogate costs, in every number of
        labels below but those of random samples.
    needs: one row a scheme, fewest labels first: labels (NaN where the target is not reached), low
        and high (ends of the 90% interval; infinite where not reached), limit (the lowest error
        predicted), and the fraction, pool size and ridge at the last budget before.
    curve: one row a scheme and budget: labels, misclassification, its sampling_error, fraction,
        pool_size, ridge.
    experiments: real fits to random parts of the pilot: labels, misclassification, standard_error.
    caution: why the predictions may be off, or empty.
    """

    target: float
    surrogate_labels: int
    needs: pd.DataFrame = field(repr=False)
    curve: pd.DataFrame = field(repr=False)
    experiments: pd.DataFrame = field(repr=False)
    caution: str

    def buys(self, labels: int) -> pd.DataFrame:
        """Error by scheme at a number of labels, lowest first; NaN outside a scheme's curve."""
        count = as_count("labels", labels)
        rows = []
        for scheme, part in self.curve.groupby("scheme", sort=False):
            x = np.log(part.labels.to_numpy(dtype=float))
            at = [
                float(np.interp(math.log(count), x, part[name], left=np.nan, right=np.nan))
                for name in ("misclassification", "sampling_error")
            ]
            rows.append({"scheme": scheme, "misclassification": at[0], "sampling_error": at[1]})
        return pd.DataFrame(rows).sort_values("misclassification", ignore_index=True)

    def lines(self) -> Iterator[str]:
        """What ``needs`` says, in words, one line a scheme."""
        for row in self.needs.to_dict("records"):
            labels, low, high = (float(row[name]) for name in ("labels", "low", "high"))
            if math.isnan(labels):
                best = (
                    f"; {COVERAGE:.0%} interval from {low:,.0f} labels"
                    if math.isfinite(low)
                    else ""
                )
                where = f"(limit {row['limit']:.2%})"
                yield f"{row['scheme']}: {self.target:.1%} not reached{best} {where}"
                continue
            above = f"{high:,.0f}" if math.isfinite(high) else "more than was looked at"
            within = "at most " if labels <= row["fewest"] else ""
            yield (
                f"{row['scheme']}: {within}{labels:,.0f} labels"
                f" ({COVERAGE:.0%} interval {low:,.0f} to {above})"
            )


class _Point(NamedTuple):
    scheme: str
    labels: int
    setting: Setting
    prediction: AnyPrediction


def label_budget(
    features: ArrayLike,
    labels: ArrayLike,
    target: float,
    pool_size: int | None = None,
    max_labels: int | None = None,
    *,
    budgets: Sequence[int] | None = None,
    alphas: Sequence[float] = ALPHAS,
    fractions: Sequence[float] = FRACTIONS,
    ridges: Sequence[float] = RIDGES,
    surrogate_labels: int | None = None,
    folds: int = 5,
    fit_intercept: bool = True,
    seed: int = 0,
    progress: Progress | None = None,
) -> LabelBudget:
    """How many labels reach a target, for random samples and every scheme.

    features, labels: the pilot, shapes [n, p] and [n]; labels of two classes or more, of any kind.
    target: the test error to reach, in (0, 1). pool_size: of the pool to choose from; None: as many
    samples as are useful. max_labels: the largest budget, 1,000,000 or the pool size by default.
    budgets: the numbers of labels to look at, by default from 100 on, three a decade; between them
    the error is interpolated.
    alphas: exponents of power selection; the hardest samples are looked at as well. fractions: of a
    growing pool to label. ridges: relative to the labels bought. surrogate_labels: what the
    surrogate costs, by default a fifth of the pilot. folds, seed: of the cross-fitting.
    Raises InvalidFieldError, a ValueError, on other values.

    >>> x = np.random.default_rng(0).standard_normal((400, 3))
    >>> y = np.where(x[:, 0] + np.random.default_rng(1).normal(size=400) > 0, "yes", "no")
    >>> found = label_budget(
    ...     x, y, 0.28, max_labels=1000, alphas=[1.0], fractions=[0.3], ridges=[0.01]
    ... )
    >>> found.surrogate_labels, bool(found.needs.labels.min() < 500)
    (80, True)
    """
    goal = as_number("target", target, "a number in (0, 1)")
    if not 0 < goal < 1:
        raise InvalidFieldError("target", goal, "a number in (0, 1)")
    population = make_population(features, labels, fit_intercept=fit_intercept)
    size = None if pool_size is None else as_count("pool_size", pool_size, least=2)
    most = (size or 1_000_000) if max_labels is None else as_count("max_labels", max_labels)
    if size is not None and most > size:
        raise InvalidFieldError("max_labels", most, f"at most pool_size = {size}")
    cost = _surrogate_labels(surrogate_labels, population.size, folds)
    axis = _budgets(budgets, most)
    shares = [as_fraction("fractions", f) for f in as_items("fractions", fractions)]
    penalties = sorted(
        (as_non_negative("ridges", r) for r in as_items("ridges", ridges)), reverse=True
    )
    for name, given in (("fractions", shares), ("ridges", penalties)):
        if not given:
            raise InvalidFieldError(name, given, "not empty")
    schemes: dict[str, Callable[[float], Selection]] = {"random": RandomSelection}
    for alpha in as_numbers("alphas", alphas):
        schemes[f"power {alpha:g}"] = partial(PowerSelection, alpha)
    schemes["hardest"] = partial(TopSelection, "hard")
    scores, _ = cross_fitted_scores(
        features, labels, folds=folds, fit_intercept=fit_intercept, seed=seed, train_limit=cost
    )
    total, found = len(schemes) * len(axis), list[_Point]()
    for number, (scheme, budget) in enumerate(itertools.product(schemes, axis)):
        bought = budget if scheme == "random" else budget - cost
        if bought >= 2:
            pools = _pools(scheme, bought, size, shares)
            before = found[-1] if found and found[-1].scheme == scheme else None
            point = _best_point(
                population, scores, scheme, budget, schemes[scheme], pools, penalties, before
            )
            found += [] if point is None else [point]
        if progress is not None:
            progress(number + 1, total)
    if not found:
        allowed = "large enough for one solution at least"
        raise InvalidFieldError("ridges", tuple(penalties), allowed)
    curve = pd.DataFrame(
        {
            "scheme": p.scheme,
            "labels": p.labels,
            "misclassification": p.prediction.misclassification,
            "sampling_error": p.prediction.misclassification_sampling_error,
            "fraction": p.setting.selection.fraction,  # type: ignore[attr-defined]
            "pool_size": p.setting.pool_size,
            "ridge": p.setting.ridge,
        }
        for p in found
    )
    cautions = [p.prediction.caution for p in found if p.scheme == "random"]
    return LabelBudget(
        target=goal,
        surrogate_labels=cost,
        needs=_needs(curve, goal),
        curve=curve,
        experiments=_experiments(features, labels, penalties, fit_intercept, seed),
        caution=next(filter(None, cautions), ""),
    )


def _surrogate_labels(given: int | None, size: int, folds: int) -> int:
    most = size - math.ceil(size / as_count("folds", folds, least=2))
    if given is None:
        return min(most, max(2, round(SURROGATE_SHARE * size)))
    count = as_count("surrogate_labels", given, least=2)
    if count > most:
        allowed = f"at most {most}, the pilot without one of {folds} folds"
        raise InvalidFieldError("surrogate_labels", count, allowed)
    return count


def _budgets(given: Sequence[int] | None, most: int) -> list[int]:
    if given is not None:
        axis = sorted({as_count("budgets", b, least=2) for b in as_items("budgets", given)})
        if len(axis) < 2:
            raise InvalidFieldError("budgets", axis, "two or more distinct numbers of labels")
        return axis
    least = min(LEAST_LABELS, max(2, most // 10))
    if most <= least:
        raise InvalidFieldError("max_labels", most, f"> {least}")
    count = 1 + max(1, round(POINTS_PER_DECADE * math.log10(most / least)))
    return sorted({round(b) for b in np.geomspace(least, most, count)})


def _pools(
    scheme: str, bought: int, size: int | None, shares: Sequence[float]
) -> list[tuple[int, float]]:
    """Sizes of pools to choose from, and the fraction that is labelled."""
    if scheme == "random":
        return [(bought, 1.0)]  # the rest of the pool has no part in anything
    if size is not None:
        return [(size, min(1.0, bought / size))]
    return [(max(2, round(bought / f)), f) for f in shares]


def _best_point(
    population: AnyPopulation,
    scores: Array,
    scheme: str,
    budget: int,
    rule: Callable[[float], Selection],
    pools: list[tuple[int, float]],
    ridges: Sequence[float],
    before: _Point | None,
) -> _Point | None:
    """The best setting of a scheme at a budget, predicted; None where none was solved.

    The ridge is looked for downhill, from the best at the budget before.
    """
    tried: dict[tuple[int, int], tuple[float, Setting]] = {}
    near = before.prediction if before is not None else None

    def error(pool: int, number: int) -> float:
        key = pool, number
        if key not in tried:
            nonlocal near
            size, fraction = pools[pool]
            setting = Setting(rule(fraction), size, ridges[number] * fraction)
            ((_, found),) = predict_settings(population, scores, [setting], False, near)
            solved = found.status is Status.CONVERGED
            near = found if solved else near
            tried[key] = (found.misclassification if solved else math.inf), setting
        return tried[key][0]

    first = len(ridges) // 2
    if before is not None:
        share = before.setting.ridge / before.setting.selection.fraction  # type: ignore[attr-defined]
        first = int(np.argmin([abs(r - share) for r in ridges]))
    for pool in range(len(pools)):
        at = first
        while True:
            around = [k for k in (at, at + 1, at - 1) if 0 <= k < len(ridges)]
            best = min(around, key=lambda k: error(pool, k))
            if best == at:
                break
            at = best
        first = at
    lowest, setting = min(tried.values(), key=lambda pair: pair[0])
    if not math.isfinite(lowest):
        return None
    ((_, found),) = predict_settings(population, scores, [setting], None, near)
    return _Point(scheme, budget, setting, found) if found.status is Status.CONVERGED else None


def _needs(curve: pd.DataFrame, target: float) -> pd.DataFrame:
    rows: list[dict[str, Any]] = []
    reach = float(ndtri((1 + COVERAGE) / 2))
    for scheme, part in curve.groupby("scheme", sort=False):
        labels = part.labels.to_numpy(dtype=float)
        errors, spread = part.misclassification.to_numpy(), part.sampling_error.to_numpy()
        crossing = _crossing(labels, errors, target)
        last = part.iloc[min(int((labels < crossing).sum()), len(part) - 1)]
        rows.append(
            {
                "scheme": scheme,
                "labels": crossing if math.isfinite(crossing) else math.nan,
                "low": _crossing(labels, errors - reach * spread, target),
                "high": _crossing(labels, errors + reach * spread, target),
                "limit": float(errors.min()),
                "fewest": labels[0],
                "fraction": last.fraction,
                "pool_size": last.pool_size,
                "ridge": last.ridge,
            }
        )
    return pd.DataFrame(rows).sort_values("labels", ignore_index=True)


def _crossing(labels: Array, errors: Array, target: float) -> float:
    """Labels at which errors first fall to the target, interpolated in their logarithm.

    The smallest number where all lie below; infinite where none does.

    >>> _crossing(np.array([100.0, 10000.0]), np.array([0.3, 0.1]), 0.2)
    1000.0
    """
    below = np.flatnonzero(errors <= target)
    if not below.size:
        return math.inf
    k = int(below[0])
    if k == 0:
        return float(labels[0])
    part = (errors[k - 1] - target) / (errors[k - 1] - errors[k])
    return float(round(labels[k - 1] * (labels[k] / labels[k - 1]) ** part, 6))


def _experiments(
    features: ArrayLike, labels: ArrayLike, ridges: Sequence[float], intercept: bool, seed: int
) -> pd.DataFrame:
    """Errors of softmax fits to random parts of the pilot, on the rest, each at its best ridge."""
    x = np.asarray(features, dtype=np.float64)
    classes, members = as_classes(labels, len(x))
    generator, rows = np.random.default_rng((seed, 1)), []
    half_as_much = 2.0 if len(classes) == 2 else 1.0  # binary ridges are those of one logit
    for share in EXPERIMENT_SHARES:
        count = round(share * len(x))
        errors = []
        for _ in range(EXPERIMENTS):
            order = stratified_order(members, generator)
            train, test = order[:count], order[count:]
            if np.unique(members[train]).size < len(classes):
                break
            wrong = []
            for ridge in ridges:
                fit = fit_softmax(
                    x[train], members[train], len(classes), np.ones(count), count,
                    half_as_much * ridge, intercept,
                )  # fmt: skip
                outputs = x[test] @ fit.coefficients + fit.intercepts
                wrong.append(float((outputs.argmax(axis=1) != members[test]).mean()))
            errors.append(min(wrong))
        if len(errors) == EXPERIMENTS:
            spread = float(np.std(errors, ddof=1) / math.sqrt(EXPERIMENTS))
            rows.append(
                {
                    "labels": count,
                    "misclassification": float(np.mean(errors)),
                    "standard_error": spread,
                }
            )
    return pd.DataFrame(rows, columns=["labels", "misclassification", "standard_error"])
