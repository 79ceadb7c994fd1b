"""Advice: from a labelled pilot, which samples of a pool to label next, and what that gains.

The population equations predict the test error of every scheme, fraction and ridge from the pilot
alone. The surrogate is a ridge-penalised logistic (or softmax) fit to the pilot; its scores of the
pilot itself come from fits to the other folds.

With ``reuse`` the final fit sees the pilot's labels again, beside the selected ones. Then scores
and final fit know the same labels, which cross-fitted scores do not: predictions are averages over
draws of a pilot of as many labels (`theory.population_two_rounds`). The pilot at hand is one draw;
that its labels are fixed is no help, as they are also all that is known of the population.

Settings are compared without halving (`theory.population`): twice the error less that of halves
goes astray where few points carry the fit, as with the hardest 15%, and its bias is mostly common
to all settings otherwise. The error of the best one is then predicted with it.

Bands of score quantiles (`theory.population_optimal`) stand beside the schemes of the paper, at a
few positions. More settings are more chances to be deceived by a finite pilot, so that a band is
recommended only where it beats every other setting by more than the standard error of that.

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
from scipy.special import log_softmax

from simulate.fitting.fit import fit
from simulate.fitting.softmax import fit_softmax
from simulate.pools.splits import stratified_order
from simulate.pools.uncertainty import multiclass_scores
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
from theory.population import Population
from theory.population_classes import AnyPrediction, as_classes, make_population
from theory.population_curves import Setting, describe, predict_settings, standard_schemes
from theory.population_two_rounds import (
    PopulationSurrogate,
    TwoRoundPrediction,
    predict_second_rounds,
)
from theory.selection import QuantileBandSelection, RandomSelection, TopSelection
from theory.solver import Status

Array = NDArray[np.float64]
Progress = Callable[[int, int], None]
"""Is told how many settings are predicted, and how many there are."""

RIDGES = (0.1, 0.03, 0.01, 0.003, 0.001)
GAIN_PARTS = 10
"""Parts of the pilot on which a gain is judged, each after a choice by all others."""

ALPHAS = (-1.0, -0.5, 0.5, 1.0, 2.0)
BANDS = (0.1, 0.25, 0.5, 0.75)


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

    def lines(self) -> Iterator[str]:
        """The advice in words, one line a sentence."""
        for name, gain in (
            ("random", self.over_random),
            ("the hardest", self.over_uncertainty),
        ):
            mean, error = 100 * gain.mean, 100 * gain.standard_error
            yield f"gain over {name}: {mean:.2f} ± {error:.2f} points"
        again = f"the pilot's labels (weight {self.reuse:g}) and these, " if self.reuse else ""
        yield (
            f"select by {self.selection}, fit {again}with ridge {self.ridge:g}: error"
            f" {self.misclassification:.2%} ± {self.sampling_error:.2%}"
        )
        if self.caution:
            yield f"caution: {self.caution}"


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
    bands: Sequence[float] = BANDS,
    reweight: bool | None = None,
    surrogate_ridges: Sequence[float] = RIDGES,
    folds: int = 5,
    fit_intercept: bool = True,
    reuse: float = 0.0,
    seed: int = 0,
    progress: Progress | None = None,
) -> Advice:
    """Recommend which samples of a pool to label, from a labelled pilot of the same population.

    features, labels: the pilot, shapes [n, p] and [n]; labels of two classes or more, of any one
    kind. pool_size: N.
    budget or fraction: how many labels of the pool may be bought, or which share of it.
    alphas: exponents of power selection. ridges: of the final fit, relative to N.
    budget_shares: parts of the budget to consider; less can be better.
    bands: positions of bands of |score| quantiles, from 0, the hardest samples, to 1, the easiest;
    none where empty.
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
    (True, 18)
    """
    pool_size = as_count("pool_size", pool_size)
    most = _fraction(pool_size, budget, fraction)
    shares = [
        as_fraction("budget_shares", share) for share in as_items("budget_shares", budget_shares)
    ]
    penalties = [as_non_negative("ridges", ridge) for ridge in as_items("ridges", ridges)]
    alphas = as_numbers("alphas", alphas)
    positions = _positions(bands)
    for name, axis in (("budget_shares", shares), ("ridges", penalties)):
        if not axis:
            raise InvalidFieldError(name, axis, "not empty")
    population = make_population(features, labels, fit_intercept=fit_intercept)
    scores, surrogate_ridge = cross_fitted_scores(
        features, labels, surrogate_ridges, folds, fit_intercept, seed
    )
    again = as_non_negative("reuse", reuse)
    fractions = [share * most for share in shares]
    schemes = considered_schemes(fractions, alphas, positions, reweight)
    grid = list(itertools.starmap(Setting, itertools.product(schemes, [pool_size], penalties)))
    surrogate = None
    if again:
        if not isinstance(population, Population):
            raise InvalidFieldError("reuse", reuse, "0 where there are more than two classes")
        surrogate = PopulationSurrogate(population, population.size, surrogate_ridge)

    def predictions(
        settings: Sequence[Setting], halving: bool | None
    ) -> Iterator[tuple[Setting, AnyPrediction | TwoRoundPrediction]]:
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
    is_band = np.array([isinstance(s.selection, QuantileBandSelection) for s in settings])
    best = settings[_choice(errors, is_band)]
    ((_, expected),) = predictions([best], None)
    return Advice(
        selection=best.selection,
        ridge=best.ridge,
        misclassification=expected.misclassification,
        sampling_error=expected.misclassification_sampling_error,
        over_random=_gain(settings, errors, is_band, _is_random, population.labels),
        over_uncertainty=_gain(settings, errors, is_band, _is_uncertainty, population.labels),
        surrogate_ridge=surrogate_ridge,
        reuse=again,
        scores=scores,
        table=_table(found, settings, errors),
        caution=expected.caution,
    )


def considered_schemes(
    fractions: Sequence[float],
    alphas: Sequence[float] = ALPHAS,
    bands: Sequence[float] = BANDS,
    reweight: bool | None = None,
) -> list[Selection]:
    """What `advise` compares: the standard schemes, and bands of quantiles at every fraction < 1.

    >>> len(considered_schemes([0.3], alphas=[1.0], bands=[0.5], reweight=False))
    5
    """
    places = itertools.product(fractions, bands)
    return [
        *standard_schemes(fractions, alphas, reweight),
        *(QuantileBandSelection(place * (1 - kept), kept) for kept, place in places if kept < 1),
    ]


def cross_fitted_scores(
    features: ArrayLike,
    labels: ArrayLike,
    ridges: Sequence[float] = RIDGES,
    folds: int = 5,
    fit_intercept: bool = True,
    seed: int = 0,
    train_limit: int | None = None,
) -> tuple[Array, float]:
    """Scores of every point by fits to the other folds, and the ridge of these fits.

    Logistic fits, and their logits, for two classes; for more softmax fits, and the largest minus
    the second logit. Folds are alike in labels. The ridge is that of the smallest log loss.
    train_limit: points that a fit may see at most, all of the other folds by default.

    >>> x = np.array([[-3.0], [-2.0], [-1.0], [1.0], [2.0], [3.0]])
    >>> scores, ridge = cross_fitted_scores(x, np.sign(x[:, 0]), ridges=[0.1], folds=3)
    >>> bool((scores * x[:, 0] > 0).all()), ridge
    (True, 0.1)
    """
    x = np.asarray(features, dtype=np.float64)
    classes, members = as_classes(labels, len(x))
    tried = as_numbers("surrogate_ridges", ridges)
    counts = np.bincount(members)
    rare = classes[counts.argmin()]
    allowed = f"a whole number from 2 to {counts.min()}, the points of class {rare}"
    if counts.min() < 2:
        raise InvalidFieldError("labels", f"one point of {rare}", "two or more points of a class")
    if not 2 <= as_count("folds", folds) <= counts.min():
        raise InvalidFieldError("folds", folds, allowed)
    fold = np.empty(len(x), dtype=int)
    generator = np.random.default_rng(as_count("seed", seed, least=0))
    for number in range(len(classes)):
        rows = generator.permutation(np.flatnonzero(members == number))
        fold[rows] = np.arange(len(rows)) % folds
    logits = np.empty((len(tried), len(x), len(classes)))
    for k in range(folds):
        train = fold != k
        if train_limit is not None:
            train = _thinned(train, members, train_limit, generator)
        unseen = np.setdiff1d(np.arange(len(classes)), members[train])
        if unseen.size:
            allowed = f"so many that a surrogate sees class {classes[unseen[0]]}"
            raise InvalidFieldError("surrogate_labels", train_limit, allowed)
        logits[:, fold == k] = _fitted_logits(
            x[train], members[train], len(classes), tried, fit_intercept, x[fold == k]
        )
    losses = -log_softmax(logits, axis=2)[:, np.arange(len(x)), members].mean(axis=1)
    best = int(losses.argmin())
    if len(classes) == 2:
        return logits[best, :, 1] - logits[best, :, 0], tried[best]
    return multiclass_scores(logits[best]), tried[best]


def _fitted_logits(
    x: Array,
    members: NDArray[np.intp],
    classes: int,
    ridges: Sequence[float],
    fit_intercept: bool,
    of: Array,
) -> Array:
    """Logits of some points by fits to others, shape [ridges, points, classes]."""
    count = len(x)
    if classes > 2:
        fits = [
            fit_softmax(x, members, classes, np.ones(count), count, ridge, fit_intercept)
            for ridge in ridges
        ]
        return np.array([of @ f.coefficients + f.intercepts for f in fits])
    y, weights = np.where(members == 1, 1.0, -1.0), np.ones((count, len(ridges)))
    found = fit(x, y, weights, count, np.array(ridges), LogisticLoss(), fit_intercept)
    logit = (of @ found.coefficients + found.intercepts).T
    return np.stack([np.zeros_like(logit), logit], axis=2)


def _thinned(
    train: NDArray[np.bool_],
    members: NDArray[np.intp],
    most: int,
    generator: np.random.Generator,
) -> NDArray[np.bool_]:
    """At most so many of these points, alike in labels."""
    rows = np.flatnonzero(train)
    kept = np.zeros_like(train)
    kept[rows[stratified_order(members[rows], generator)[:most]]] = True
    return kept


def _fraction(pool_size: int, budget: int | None, fraction: float | None) -> float:
    if (budget is None) == (fraction is None):
        raise InvalidFieldError("budget", budget, "given where fraction is not, and only there")
    if fraction is not None:
        return as_fraction("fraction", fraction)
    count = as_count("budget", budget)
    if count > pool_size:
        raise InvalidFieldError("budget", budget, f"at most pool_size = {pool_size}")
    return count / pool_size


def _positions(bands: Sequence[float]) -> list[float]:
    positions = as_numbers("bands", as_items("bands", bands))
    for k, position in enumerate(positions):
        if not 0 <= position <= 1:
            raise InvalidFieldError(f"bands[{k}]", position, "a number in [0, 1]")
    return list(positions)


def _choice(errors: Array, is_band: NDArray[np.bool_]) -> int:
    """The best setting; a band only if it beats all others by more than the standard error.

    errors: what every point contributes, shape [settings, n].
    """
    means = errors.mean(axis=1)
    best = int(means.argmin())
    if not is_band[best] or is_band.all():
        return best
    other = int(np.where(is_band, np.inf, means).argmin())
    gain = errors[other] - errors[best]
    return best if gain.mean() > gain.std() / len(gain) ** 0.5 else other


def _is_random(selection: Selection) -> bool:
    return isinstance(selection, RandomSelection)


def _is_uncertainty(selection: Selection) -> bool:
    if isinstance(selection, TopSelection):
        return selection.keep == "hard"
    return _is_random(selection) and getattr(selection, "fraction", 0) == 1  # all are the same


def _gain(
    settings: list[Setting],
    errors: Array,
    is_band: NDArray[np.bool_],
    is_baseline: Callable[[Selection], bool],
    labels: NDArray[Any],
) -> Gain:
    """Of the chosen setting over the best baseline, on points that had no say in either choice.

    errors: what every point contributes, shape [settings, n].
    """
    baseline = np.flatnonzero([is_baseline(s.selection) for s in settings])
    if not baseline.size:
        return Gain(float("nan"), float("nan"))
    order = np.argsort(labels, kind="stable")
    gains = np.empty(errors.shape[1])
    for part in range(GAIN_PARTS):
        judging = order[part::GAIN_PARTS]
        choosing = np.delete(errors, judging, axis=1)
        rival = baseline[choosing[baseline].mean(axis=1).argmin()]
        gains[judging] = errors[rival, judging] - errors[_choice(choosing, is_band), judging]
    return Gain(float(gains.mean()), float(gains.std() / len(gains) ** 0.5))


def _table(
    found: list[tuple[Setting, AnyPrediction]], settings: list[Setting], errors: Array
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
