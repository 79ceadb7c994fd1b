"""Advice: from a labelled pilot, which samples of a pool to label next, and what that gains.

The population equations predict the test error of every scheme, fraction and ridge from the pilot
alone. The surrogate is a ridge-penalised logistic fit to the pilot; its scores of the pilot itself
come from fits to the other folds.

With ``reuse`` the final fit sees the pilot's labels again, beside the selected ones. Then scores
and final fit know the same labels, which cross-fitted scores do not: predictions are averages over
draws of a pilot of as many labels (`theory.population_two_rounds`). The pilot at hand is one draw;
that its labels are fixed is no help, as they are also all that is known of the population.

Settings are compared without halving (`theory.population`): twice the error less that of halves
goes astray where few points carry the fit, as with the hardest 15%, and its bias is mostly common
to all settings otherwise. The error of the best one is then predicted with it.

The best of many predictions looks better than it is. So a gain is judged on points that had no say
in the choice: the best setting by nine tenths of the pilot is compared on the last, ten times.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from simulate.fitting.fit import fit
from theory.checks import (
    InvalidFieldError,
    as_count,
    as_fraction,
    as_items,
    as_non_negative,
    as_numbers,
)
from theory.kinds import Selection
from theory.losses import LogisticLoss
from theory.population import Population, PopulationPrediction
from theory.population_curves import Setting, describe, predict_settings, standard_schemes
from theory.population_two_rounds import PopulationSurrogate, predict_second_rounds
from theory.selection import RandomSelection, TopSelection
from theory.solver import Status

Array = NDArray[np.float64]
Progress = Callable[[int, int], None]
"""Is told how many settings are predicted, and how many there are."""

RIDGES = (0.1, 0.03, 0.01, 0.003, 0.001)
GAIN_PARTS = 10
"""Parts of the pilot on which a gain is judged, each after a choice by all others."""

ALPHAS = (-1.0, -0.5, 0.5, 1.0, 2.0)


@dataclass(frozen=True)
class Gain:
    """By how much the test error falls, and the standard error of that from the finite pilot."""

    mean: float
    standard_error: float


@dataclass(frozen=True, eq=False)
class Advice:
    """What to label, and what to expect of it.

    selection, ridge: recommended; misclassification: predicted, with its sampling error.
    over_random, over_uncertainty: expected gains over random choice and over the hardest samples
        alone, with as many labels or fewer, each with its own best ridge.
    surrogate_ridge: chosen by the pilot's cross-validated log loss. scores: of the pilot, shape
        [n], cross-fitted. reuse: weight of the pilot's labels in the final fit; where it is > 0 the
        ridge is relative to the pilot and the pool together.
    table: one row a setting, best first: scheme, fraction, ridge, errors (all without halving, see
        above), and the gain over the best random choice, which is not corrected for having been
        picked out.
    caution: why the predictions may be off, or empty.
    """

    selection: Selection
    ridge: float
    misclassification: float
    sampling_error: float
    over_random: Gain
    over_uncertainty: Gain
    surrogate_ridge: float
    reuse: float
    scores: Array = field(repr=False)
    table: pd.DataFrame = field(repr=False)
    caution: str


def advise(
    features: ArrayLike,
    labels: ArrayLike,
    pool_size: int,
    budget: int | None = None,
    fraction: float | None = None,
    *,
    alphas: Sequence[float] = ALPHAS,
    ridges: Sequence[float] = RIDGES,
    budget_shares: Sequence[float] = (0.5, 1.0),
    reweight: bool | None = None,
    surrogate_ridges: Sequence[float] = RIDGES,
    folds: int = 5,
    fit_intercept: bool = True,
    reuse: float = 0.0,
    seed: int = 0,
    progress: Progress | None = None,
) -> Advice:
    """Recommend which samples of a pool to label, from a labelled pilot of the same population.

    features, labels: the pilot, shapes [n, p] and [n], labels -1 or +1. pool_size: N.
    budget or fraction: how many labels of the pool may be bought, or which share of it.
    alphas: exponents of power selection. ridges: of the final fit, relative to N.
    budget_shares: parts of the budget to consider; less can be better.
    reweight: biased (False), unbiased (True) or both (None). surrogate_ridges: relative to the
    pilot. folds: of the cross-fitting, >= 2. seed: fixes the folds. progress: is called after every
    prediction.
    reuse: weight, >= 0, of the pilot's own labels in the final fit. 0: they train the surrogate
        only. 1 is right for who fits to all labels there are: the budget buys others beside them,
        and the ridge is then relative to pilot and pool together. Predictions take longer.
    Raises InvalidFieldError, a ValueError, on values outside these ranges.

    >>> x = np.random.default_rng(1).standard_normal((300, 3))
    >>> y = np.where(x[:, 0] > 0, 1.0, -1.0)
    >>> advice = advise(x, y, pool_size=400, budget=100, alphas=[1.0], ridges=[0.01])
    >>> advice.misclassification < 0.05, len(advice.table)
    (True, 10)
    """
    pool_size = as_count("pool_size", pool_size)
    most = _fraction(pool_size, budget, fraction)
    shares = [
        as_fraction("budget_shares", share) for share in as_items("budget_shares", budget_shares)
    ]
    penalties = [as_non_negative("ridges", ridge) for ridge in as_items("ridges", ridges)]
    alphas = as_numbers("alphas", alphas)
    for name, axis in (("budget_shares", shares), ("ridges", penalties)):
        if not axis:
            raise InvalidFieldError(name, axis, "not empty")
    population = Population(features, labels, fit_intercept=fit_intercept)
    scores, surrogate_ridge = cross_fitted_scores(
        features, labels, surrogate_ridges, folds, fit_intercept, seed
    )
    again = as_non_negative("reuse", reuse)
    schemes = standard_schemes((share * most for share in shares), alphas, reweight)
    grid = list(itertools.starmap(Setting, itertools.product(schemes, [pool_size], penalties)))
    surrogate = PopulationSurrogate(population, population.size, surrogate_ridge) if again else None

    def predictions(
        settings: Sequence[Setting], halving: bool | None
    ) -> Iterator[tuple[Setting, PopulationPrediction]]:
        if surrogate is None:
            return predict_settings(population, scores, settings, halving)
        return predict_second_rounds(surrogate, settings, again, halving)

    found = []
    for answer in predictions(grid, False):
        found.append(answer)
        if progress is not None:
            progress(len(found), len(grid))
    solved = [(s, f) for s, f in found if f.status is Status.CONVERGED]
    if not solved:
        raise InvalidFieldError(
            "ridges", tuple(penalties), "large enough for one solution at least"
        )
    settings = [s for s, _ in solved]
    errors = np.array([f.point_errors for _, f in solved])
    best = settings[int(errors.mean(axis=1).argmin())]
    ((_, expected),) = predictions([best], None)
    return Advice(
        selection=best.selection,
        ridge=best.ridge,
        misclassification=expected.misclassification,
        sampling_error=expected.misclassification_sampling_error,
        over_random=_gain(settings, errors, _is_random, population.labels),
        over_uncertainty=_gain(settings, errors, _is_uncertainty, population.labels),
        surrogate_ridge=surrogate_ridge,
        reuse=again,
        scores=scores,
        table=_table(found, settings, errors),
        caution=expected.caution,
    )


def cross_fitted_scores(
    features: ArrayLike,
    labels: ArrayLike,
    ridges: Sequence[float] = RIDGES,
    folds: int = 5,
    fit_intercept: bool = True,
    seed: int = 0,
) -> tuple[Array, float]:
    """Scores of every point by a logistic fit to the other folds, and the ridge of these fits.

    Folds are alike in labels. The ridge is that of the smallest log loss of the scores.

    >>> x = np.array([[-3.0], [-2.0], [-1.0], [1.0], [2.0], [3.0]])
    >>> scores, ridge = cross_fitted_scores(x, np.sign(x[:, 0]), ridges=[0.1], folds=3)
    >>> bool((scores * x[:, 0] > 0).all()), ridge
    (True, 0.1)
    """
    x, y = np.asarray(features, dtype=np.float64), np.asarray(labels, dtype=np.float64)
    tried = as_numbers("surrogate_ridges", ridges)
    fewest = min(int((y > 0).sum()), int((y < 0).sum()))
    allowed = f"a whole number from 2 to {fewest}, the points of the rarer class"
    if not 2 <= as_count("folds", folds) <= fewest:
        raise InvalidFieldError("folds", folds, allowed)
    fold = np.empty(len(y), dtype=int)
    generator = np.random.default_rng(as_count("seed", seed, least=0))
    for label in (-1.0, 1.0):
        members = generator.permutation(np.flatnonzero(y == label))
        fold[members] = np.arange(len(members)) % folds
    scores = np.empty((len(y), len(tried)))
    for k in range(folds):
        train = fold != k
        count = int(train.sum())
        weights = np.ones((count, len(tried)))
        fits = fit(
            x[train], y[train], weights, count, np.array(tried), LogisticLoss(), fit_intercept
        )
        scores[~train] = x[~train] @ fits.coefficients + fits.intercepts
    best = int(np.logaddexp(0, -y[:, None] * scores).mean(axis=0).argmin())
    return scores[:, best], tried[best]


def _fraction(pool_size: int, budget: int | None, fraction: float | None) -> float:
    if (budget is None) == (fraction is None):
        raise InvalidFieldError("budget", budget, "given where fraction is not, and only there")
    if fraction is not None:
        return as_fraction("fraction", fraction)
    count = as_count("budget", budget)
    if count > pool_size:
        raise InvalidFieldError("budget", budget, f"at most pool_size = {pool_size}")
    return count / pool_size


def _is_random(selection: Selection) -> bool:
    return isinstance(selection, RandomSelection)


def _is_uncertainty(selection: Selection) -> bool:
    if isinstance(selection, TopSelection):
        return selection.keep == "hard"
    return _is_random(selection) and getattr(selection, "fraction", 0) == 1  # all are the same


def _gain(
    settings: list[Setting], errors: Array, is_baseline: Callable[[Selection], bool], labels: Array
) -> Gain:
    """Of the best setting over the best baseline, on points that had no say in either choice.

    errors: what every point contributes, shape [settings, n].
    """
    baseline = np.flatnonzero([is_baseline(s.selection) for s in settings])
    if not baseline.size:
        return Gain(float("nan"), float("nan"))
    order = np.argsort(labels, kind="stable")
    gains = np.empty(errors.shape[1])
    for part in range(GAIN_PARTS):
        judging = order[part::GAIN_PARTS]
        means = np.delete(errors, judging, axis=1).mean(axis=1)
        rival = baseline[means[baseline].argmin()]
        gains[judging] = errors[rival, judging] - errors[means.argmin(), judging]
    return Gain(float(gains.mean()), float(gains.std() / len(gains) ** 0.5))


def _table(
    found: list[tuple[Setting, PopulationPrediction]], settings: list[Setting], errors: Array
) -> pd.DataFrame:
    """One row a setting, solved or not, best first."""
    random = np.flatnonzero([_is_random(s.selection) for s in settings])
    rival = errors[random[errors[random].mean(axis=1).argmin()]] if random.size else np.nan
    rows: list[dict[str, Any]] = []
    for setting, prediction in found:
        gain = rival - prediction.point_errors
        rows.append(
            {
                "scheme": describe(setting.selection),
                "fraction": prediction.fraction,
                "ridge": setting.ridge,
                "misclassification": prediction.misclassification,
                "sampling_error": prediction.misclassification_sampling_error,
                "log_loss": prediction.log_loss,
                "gain_over_random": gain.mean(),
                "gain_standard_error": gain.std() / len(gain) ** 0.5,
                "status": prediction.status.name,
            }
        )
    return pd.DataFrame(rows).sort_values("misclassification", ignore_index=True)
