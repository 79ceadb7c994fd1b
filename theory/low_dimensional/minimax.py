"""Imperfect surrogates: plug-in selections, and minimax ones over candidate label laws.

A plug-in selection is the optimum under the surrogate's law P_su(y | x). A minimax one is best for
the worst of finitely many candidates: with Z_j the unbiased score of candidate j,

    min over pi of max over j of E[Z_j / pi] = max over w of min over pi of E[sum_j w_j Z_j / pi],

w in the simplex. rho is convex in pi and E pi = fraction is linear, so the two sides are equal; the
inner minimum is pi = min(1, c sqrt(sum_j w_j Z_j)), and the rho_j there are its slopes.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import LinearConstraint, brentq, minimize, root

from theory.checks import InvalidFieldError
from theory.low_dimensional.calibrate import root_selection
from theory.low_dimensional.features import Points, WeightedFeatures
from theory.low_dimensional.model import Model
from theory.low_dimensional.optimal import optimal_biased, optimal_unbiased, unbiased_score
from theory.low_dimensional.risk import Risk, asymptotic_risk
from theory.low_dimensional.selection import RootSelection

Array = NDArray[np.float64]

INSIDE = 1e-10
"""Least weight of a candidate in the search; the ends are tried by themselves."""


@dataclass(frozen=True)
class Minimax:
    """A minimax selection: weights of the candidates, rho of each, the worst, and its gap.

    gap: worst rho minus the dual's lower bound, in units of the former; >= 0 up to rounding.
    """

    selection: RootSelection
    weights: tuple[float, ...]
    rhos: tuple[float, ...]
    worst: float
    gap: float


def plug_in_risk(
    model: Model,
    surrogate: Model,
    fraction: float,
    quadratic: object = "parameters",
    kind: Literal["unbiased", "biased"] = "unbiased",
) -> Risk:
    """The risk, under the model, of the selection that is optimal under the surrogate's law.

    surrogate: the same features with other labels (on Gaussian features also another signal norm;
    on a weighted sample any theta). kind: which optimum. Raises InvalidFieldError where the
    feature laws differ, and as the optimal selections do.

    >>> from theory import LogisticLink
    >>> from theory.low_dimensional import BinaryLabels, GaussianFeatures
    >>> truth, guess = (
    ...     Model(GaussianFeatures(2, s), BinaryLabels(LogisticLink())) for s in (1.0, 4.0)
    ... )
    >>> plug_in_risk(truth, guess, 0.2).rho > plug_in_risk(truth, truth, 0.2).rho
    True
    """
    _check_same_features([model, surrogate])
    if kind not in ("unbiased", "biased"):
        raise InvalidFieldError("kind", kind, "'unbiased' or 'biased'")
    optimum = optimal_unbiased if kind == "unbiased" else optimal_biased
    return asymptotic_risk(model, optimum(surrogate, fraction, quadratic).selection, quadratic)


def minimax_selection(
    candidates: Sequence[Model], fraction: float, quadratic: object = "parameters"
) -> Minimax:
    """The reweighted selection whose worst rho over the candidates is least.

    candidates: two or more models of the same features. Raises InvalidFieldError otherwise.

    >>> from theory import LogisticLink
    >>> from theory.low_dimensional import BinaryLabels, GaussianFeatures
    >>> models = [Model(GaussianFeatures(2, s), BinaryLabels(LogisticLink())) for s in (3.0, 3.5)]
    >>> minimax_selection(models, 0.3).gap < 1e-6
    True
    """
    if len(candidates) < 2:
        raise InvalidFieldError("candidates", len(candidates), "two or more models")
    _check_same_features(candidates)
    count = len(candidates)
    ends = [_at(candidates, fraction, quadratic, w) for w in np.eye(count)]
    scale = max(rho for end in ends for rho in end.rhos if rho < math.inf)
    best = min(ends, key=lambda end: end.gap)
    if best.gap > 1e-12:
        inner = _inner_points(candidates, fraction, quadratic, scale)
        best = min([*inner, best], key=lambda m: m.gap)
    return best


def _inner_points(
    candidates: Sequence[Model], fraction: float, quadratic: object, scale: float
) -> list[Minimax]:
    """Weights at which the worst candidates are equally bad."""
    count = len(candidates)

    def at(w: Array) -> Minimax:
        w = np.clip(w, 0, None)
        return _at(candidates, fraction, quadratic, w / w.sum())

    def excess(first: float) -> float:
        rhos = at(np.array([first, 1 - first])).rhos
        return math.log(rhos[0] / rhos[1])

    if count == 2:
        low, high = INSIDE, 1 - INSIDE
        if not excess(low) > 0 > excess(high):
            return []
        first = float(brentq(excess, low, high, xtol=1e-14, rtol=1e-14))
        return [at(np.array([first, 1 - first]))]

    def dual(w: Array) -> tuple[float, Array]:
        rhos = np.array(at(w).rhos)
        return -float(w @ rhos) / scale, -rhos / scale

    rough = minimize(
        dual,
        np.full(count, 1 / count, dtype=np.float64),
        jac=True,
        method="SLSQP",
        bounds=[(INSIDE, 1.0)] * count,
        constraints=LinearConstraint(np.ones(count), 1, 1),
        options={"ftol": 1e-12, "maxiter": 60},
    )
    found = [at(rough.x)]
    active = np.flatnonzero(np.array(found[0].weights) > 1e-6)
    if len(active) == 1 or found[0].gap <= 1e-10:
        return found

    def spread_at(inner: Array) -> Minimax:
        w = np.zeros(count)
        w[active] = [*inner, 1 - inner.sum()]
        return at(w)

    def spread(inner: Array) -> Array:
        rhos = np.array(spread_at(inner).rhos)[active]
        return np.asarray((rhos[:-1] - rhos[-1]) / scale)

    start = np.array(found[0].weights)[active][:-1]
    polished = root(spread, start, tol=1e-12)
    return [*found, spread_at(polished.x)]


def _at(candidates: Sequence[Model], fraction: float, quadratic: object, weights: Array) -> Minimax:
    """The best selection for a mixture of candidates."""
    pairs = zip(weights, candidates, strict=True)
    scores = [(w, unbiased_score(model, quadratic)) for w, model in pairs if w > 0]

    def score(points: Points) -> Array:
        return np.asarray(sum(w * each(points) for w, each in scores))

    rule = root_selection(candidates[0], score, fraction)
    rhos = tuple(_rho(model, rule, quadratic) for model in candidates)
    worst = max(rhos)
    if worst == math.inf:
        return Minimax(rule, tuple(float(w) for w in weights), rhos, worst, math.inf)
    gap = (worst - float(weights @ np.array(rhos))) / worst
    return Minimax(rule, tuple(float(w) for w in weights), rhos, worst, gap)


def _rho(model: Model, rule: RootSelection, quadratic: object) -> float:
    """rho, or infinity where E[G/pi] cannot be told from it."""
    try:
        return asymptotic_risk(model, rule, quadratic).rho
    except InvalidFieldError:
        return math.inf


def _check_same_features(models: Sequence[Model]) -> None:
    first = models[0].features
    for other in (model.features for model in models[1:]):
        same = type(first) is type(other) and first.dimension == other.dimension
        if isinstance(first, WeightedFeatures) and isinstance(other, WeightedFeatures):
            same = np.array_equal(first.values, other.values)
            same &= np.array_equal(np.asarray(first.weights), np.asarray(other.weights))
        if not same:
            raise InvalidFieldError("surrogate", other, f"of the same features, {first}")
