"""The best selections of a fraction: unbiased, and without reweighting.

Unbiased: rho = E[Z/pi] with Z(x) = Tr(G H^-1 Q H^-1) is least at pi = min(1, c sqrt(Z)).

Without reweighting, where E[gradient | x] = 0: the first variation of rho is -E[Z_pi dpi] with

    Z_pi = -Tr(G A Q A) + 2 Tr(H A Q A G_pi A),   A = H_pi^-1,

so that an optimum keeps the largest Z_pi: pi = 1{Z_pi > tau}, randomised only on ties. Z_pi depends
on pi through H_pi and G_pi alone. A weighted sample is solved by fully corrective conditional
gradients; on Gaussian features these are a start, and the fixed point is then solved for. Where
G = H rho is convex in pi and the gap bounds what an optimum may still gain; otherwise a gap of
zero says that pi is stationary, and several starts are compared.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import root

from theory.checks import InvalidFieldError, as_fraction
from theory.low_dimensional.calibrate import BINS, root_selection, threshold_selection
from theory.low_dimensional.features import Features, GaussianFeatures, Marks, Points
from theory.low_dimensional.labels import Averages
from theory.low_dimensional.model import Model, SingularInformationError, inverse
from theory.low_dimensional.risk import Matrices, Variation, asymptotic_risk, matrices, variation
from theory.low_dimensional.selection import (
    RootSelection,
    Score,
    Selection,
    TableSelection,
    ThresholdSelection,
    largest,
    random_selection,
)

Array = NDArray[np.float64]

GAP = 1e-8
"""Conditional gradients end where the gap, relative to rho, is this small ..."""

ATOMS = 400
"""... or after so many steps."""


FIRST_STEPS = 5
"""Plain steps of the fixed point, where Newton's method fails from a mixture of selections."""


class NotOptimalError(RuntimeError):
    """No selection that meets the optimality conditions was found."""


@dataclass(frozen=True)
class Optimum:
    """A selection with its rho, and by how much its optimality conditions may be missed.

    gap: max over pi' of E[Z_pi (pi' - pi)], in units of rho; >= 0.
    """

    selection: Selection
    rho: float
    fraction: float
    gap: float


def unbiased_score(model: Model, quadratic: object = "parameters") -> Score:
    """Z(x) = Tr(G H^-1 Q H^-1) as a function of points, shape [1, n].

    >>> from theory.low_dimensional import GaussianFeatures, LinearLabels
    >>> score = unbiased_score(Model(GaussianFeatures(2), LinearLabels(3.0)))
    >>> score(Points(np.ones(1), np.ones((1, 1)), np.ones(1))).round(12)
    array([[6.]])
    """
    a = inverse(model.information, "E[H]")
    form = a @ model.quadratic(quadratic) @ a

    def score(points: Points) -> Array:
        square = model.averages(points, model.optimum).squared_slope
        return square * model.features.quadratic(points, form)

    return score


def optimal_unbiased(model: Model, fraction: float, quadratic: object = "parameters") -> Optimum:
    """The reweighted selection of least rho: pi = min(1, c sqrt(Z)).

    fraction: E pi, in (0, 1]. quadratic: as in ``asymptotic_risk``. Raises InvalidFieldError.

    >>> from theory.low_dimensional import GaussianFeatures, LinearLabels
    >>> best = optimal_unbiased(Model(GaussianFeatures(1), LinearLabels()), 0.01)
    >>> round(best.rho * 0.01, 6)  # (E|x|)^2, had pi no bound
    0.63662
    """
    score = unbiased_score(model, quadratic)
    rule = root_selection(model, score, fraction)
    risk = asymptotic_risk(model, rule, quadratic)
    return Optimum(rule, risk.rho, risk.fraction, _unbiased_gap(model, rule))


def _unbiased_gap(model: Model, rule: RootSelection) -> float:
    """max over pi' of E[Z/pi^2 (pi' - pi)]: rho is convex in pi, so this bounds what is left."""
    if math.isinf(rule.constant):
        return 0.0
    points = model.points(rule)
    z, pi = rule.score(points)[0], rule.probability(points)[0]
    gain = np.divide(z, pi**2, out=np.zeros_like(z), where=pi > 0)
    best = largest(points.weight, gain, float(points.weight @ pi))
    held = np.divide(z, pi, out=np.zeros_like(z), where=pi > 0)
    return max(0.0, float(points.weight @ (gain * (best - pi)) / (points.weight @ held)))


class _Setting(NamedTuple):
    features: Features
    points: Points
    averages: Averages
    quadratic: Array

    def matrices(self, pi: Array) -> Matrices:
        moment = self.features.moment
        return Matrices(
            moment(self.points, pi * self.averages.curvature[0]),
            moment(self.points, pi * self.averages.squared_slope[0]),
        )

    def rho(self, found: Matrices) -> float:
        a = inverse(found.hessian)
        return self.features.trace(found.gradient @ a @ self.quadratic @ a)

    def score(self, found: Matrices) -> Array:
        way = variation(found, self.quadratic)
        return np.asarray(way.score(self.features, self.points, self.averages)[0])


def optimal_biased(model: Model, fraction: float, quadratic: object = "parameters") -> Optimum:
    """The selection of least rho without reweighting: pi = 1{Z_pi > tau}.

    The model must be consistent, E[gradient | x] = 0: a well-specified one, or heteroscedastic
    least squares. Raises InvalidFieldError where it is not, SingularInformationError where the
    features do not span their space, NotOptimalError where no stationary selection was found.

    >>> from theory.low_dimensional import GaussianFeatures, LinearLabels
    >>> best = optimal_biased(Model(GaussianFeatures(2), LinearLabels()), 0.5)
    >>> round(best.rho, 6), best.gap < 1e-8  # x^2 > 2 log 2: E[x^2 pi] / 2 = (1 + log 2) / 2
    (2.362464, True)
    """
    return optimal_biased_curve(model, [fraction], quadratic)[0]


def optimal_biased_curve(
    model: Model, fractions: Sequence[float], quadratic: object = "parameters"
) -> list[Optimum]:
    """``optimal_biased`` at many fractions, each started from the one before where that serves.

    >>> from theory.low_dimensional import GaussianFeatures, LinearLabels
    >>> curve = optimal_biased_curve(Model(GaussianFeatures(2), LinearLabels()), [0.25, 0.5])
    >>> curve[0].rho > curve[1].rho
    True
    """
    if not model.is_consistent:
        raise InvalidFieldError(
            "model",
            "E[gradient | x] != 0",
            "consistent for every x: otherwise a selection moves the target",
        )
    q = model.quadratic(quadratic)
    found = []
    near: Array | None = None
    for fraction in fractions:
        fraction = as_fraction("fraction", fraction)
        if fraction == 1:
            rule = random_selection(1.0)
            rho = asymptotic_risk(model, rule, quadratic).rho
            found.append(Optimum(rule, rho, 1.0, 0.0))
        elif isinstance(model.features, GaussianFeatures):
            best, near = _gaussian_optimum(model, fraction, q, near)
            found.append(best)
        else:
            setting = _setting(model, model.points(), q)
            pi, gap = _conditional_gradients(setting, fraction)
            rho = setting.rho(setting.matrices(pi))
            share = float(setting.points.weight @ pi)
            found.append(Optimum(TableSelection(pi), rho, share, gap))
    return found


def _setting(model: Model, points: Points, q: Array) -> _Setting:
    return _Setting(model.features, points, model.averages(points, model.optimum), q)


def _conditional_gradients(setting: _Setting, fraction: float) -> tuple[Array, float]:
    """The best of several starts: pi at the points, and its relative gap."""
    weight = setting.points.weight
    full = setting.score(setting.matrices(np.ones_like(weight)))
    starts = [np.full(weight.shape, fraction)]
    if not np.allclose(setting.averages.squared_slope, setting.averages.curvature, rtol=1e-9):
        starts += [0.9 * largest(weight, full, fraction) + 0.1 * fraction]
        starts += [0.9 * largest(weight, -full, fraction) + 0.1 * fraction]
    ends = [_from_start(setting, fraction, start) for start in starts]
    return min(ends, key=lambda end: setting.rho(setting.matrices(end[0])))


def _from_start(setting: _Setting, fraction: float, start: Array) -> tuple[Array, float]:
    """Fully corrective conditional gradients: the best mixture of all selections met so far."""
    weight = setting.points.weight
    atoms, shares = [start], np.ones(1)
    pi, gap = start, math.inf
    for _ in range(ATOMS):
        now = setting.matrices(pi)
        rho, z = setting.rho(now), setting.score(now)
        atom = largest(weight, z, fraction)
        gap = max(0.0, float(weight @ (z * (atom - pi)))) / rho
        if gap <= GAP:
            break
        atoms = [*(a for a, s in zip(atoms, shares, strict=True) if s > 0), atom]
        shares = _best_mixture(setting, atoms, np.append(shares[shares > 0], 0.0))
        pi = np.clip(np.tensordot(shares, np.array(atoms), 1), 0, 1)
    return pi, gap


def _best_mixture(setting: _Setting, atoms: list[Array], shares: Array) -> Array:
    """Shares, >= 0 with sum 1, of the mixture of selections that has the least rho.

    Newton steps within the simplex; a share that reaches zero stays there.
    """
    mixture = _Mixture(setting, [setting.matrices(atom) for atom in atoms])
    w, free = shares, np.ones(len(shares), dtype=bool)
    value = mixture.value(w)
    for _ in range(MIXTURE_STEPS):
        slope, bend = mixture.derivatives(w)
        slope, bend = slope[free], bend[np.ix_(free, free)]
        centred = np.eye(len(slope)) - 1 / len(slope)
        size, basis = np.linalg.eigh(centred @ bend @ centred)
        size = np.maximum(np.abs(size), 1e-12 * np.abs(size).max() + 1e-12 * value)
        step = np.zeros(len(w))
        step[free] = centred @ (basis @ ((basis.T @ (centred @ -slope)) / size))
        fall = float(slope @ step[free])
        if not fall < -1e-15 * value:
            break
        falling = step < 0
        room = np.divide(-w, step, out=np.full(len(w), np.inf), where=falling)
        length = min(1.0, float(room.min()))
        while length > 1e-10 and mixture.value(w + length * step) > value + 1e-4 * length * fall:
            length /= 2
        stopped = falling & (room <= length * (1 + 1e-12))
        if length <= 1e-10 and not stopped.any():
            break
        w = np.where(stopped, 0.0, np.maximum(w + length * step, 0.0))
        w /= w.sum()
        free &= ~stopped
        value = mixture.value(w)
        if free.sum() == 1:
            break
    return w


MIXTURE_STEPS = 40
"""Most Newton steps towards the best mixture."""


class _Mixture:
    """rho of mixtures of selections, with two derivatives in their shares."""

    def __init__(self, setting: _Setting, each: Sequence[Matrices]) -> None:
        self.setting = setting
        self.hessians = np.array([m.hessian for m in each])
        self.gradients = np.array([m.gradient for m in each])

    def mixed(self, w: Array) -> Matrices:
        return Matrices(np.tensordot(w, self.hessians, 1), np.tensordot(w, self.gradients, 1))

    def value(self, w: Array) -> float:
        try:
            return self.setting.rho(self.mixed(w))
        except SingularInformationError:
            return math.inf

    def traces(self, left: Array, right: Array) -> Array:
        """Tr(left_i right_j)."""
        weighted = left * self.setting.features.multiplicity[:, None]
        turned = right.transpose(0, 2, 1)
        return np.asarray(weighted.reshape(len(left), -1) @ turned.reshape(len(right), -1).T)

    def derivatives(self, w: Array) -> tuple[Array, Array]:
        """Gradient and Hessian; d A = -A H_i A for the inverse A."""
        now = self.mixed(w)
        a = inverse(now.hessian)
        m = a @ self.setting.quadratic @ a
        k = m @ now.gradient @ a
        h, g = self.hessians, self.gradients
        slope = self.traces(g, m[None])[:, 0] - 2 * self.traces(h, k[None])[:, 0]
        crossed = -self.traces(g, a @ h @ m) + self.traces(h, a @ h @ k)
        inner = self.traces(h, m @ h @ (a @ now.gradient @ a))
        return slope, 2 * (crossed + crossed.T + (inner + inner.T) / 2)


def _gaussian_optimum(
    model: Model, fraction: float, q: Array, near: Array | None
) -> tuple[Optimum, Array]:
    """The fixed point of threshold selections, and its unknowns for the next fraction."""
    if near is not None:
        solved = _fixed_point(model, fraction, q, near)
        if solved is not None:
            return solved
    setting = _setting(model, model.points(marks=Marks(bins=BINS)), q)
    pi, _ = _conditional_gradients(setting, fraction)
    start = setting.matrices(pi)
    for _ in range(FIRST_STEPS):
        rule = threshold_selection(model, _score(model, variation(start, q)), fraction)
        scale = setting.rho(start)
        solved = _fixed_point(model, fraction, q, _packed(start, rule.threshold / scale))
        if solved is not None:
            break
        points = model.points(rule)
        start = matrices(model, rule, points, model.optimum)
    if solved is None:
        raise NotOptimalError(f"no stationary selection was found at fraction {fraction:g}")
    return solved


def _packed(found: Matrices, tau: float) -> Array:
    diagonals = [np.diag(found.hessian), np.diag(found.gradient)]
    return np.array([*np.concatenate(diagonals), tau])


def _fixed_point(
    model: Model, fraction: float, q: Array, start: Array
) -> tuple[Optimum, Array] | None:
    """Solve H_pi = H, G_pi = G, E pi = fraction for pi = 1{Z(H, G) > tau rho}; None if it fails."""

    simple = np.array_equal(start[:2], start[2:4])  # G = H: half of the unknowns

    def whole(unknowns: Array) -> Array:
        return np.array([*unknowns[:2], *unknowns]) if simple else unknowns

    def rule(unknowns: Array) -> ThresholdSelection:
        found = Matrices(np.diag(unknowns[:2]), np.diag(unknowns[2:4]))
        way = variation(found, q)
        rho = model.features.trace(found.gradient @ way.gradient_form)
        return ThresholdSelection(_score(model, way), unknowns[4] * rho, model.kinks)

    def measured(selection: ThresholdSelection) -> tuple[Matrices, float]:
        points = model.points(selection)
        found = matrices(model, selection, points, model.optimum)
        return found, model.fraction(selection, points)

    def residual(unknowns: Array) -> Array:
        full = whole(unknowns)
        if min(full[:4]) <= 0:
            return np.full(len(unknowns), 1e3)
        found, share = measured(rule(full))
        ahead = (_packed(found, 0.0) / full - 1)[:4]
        return np.append(ahead[:2] if simple else ahead, share / fraction - 1)

    with np.errstate(all="ignore"):
        solution = root(residual, start[2:] if simple else start, options={"xtol": 1e-11})
    if not np.abs(residual(solution.x)).max() <= 1e-8:
        return None
    unknowns = whole(solution.x)
    selection = rule(unknowns)
    found, share = measured(selection)
    a = inverse(found.hessian)
    rho = model.features.trace(found.gradient @ a @ q @ a)
    gap = _threshold_gap(model, selection, found, q, rho)
    return Optimum(selection, rho, share, gap), unknowns


def _score(model: Model, way: Variation) -> Score:
    def score(points: Points) -> Array:
        return way.score(model.features, points, model.averages(points, model.optimum))

    return score


def _threshold_gap(
    model: Model, rule: ThresholdSelection, found: Matrices, q: Array, rho: float
) -> float:
    """max over pi' of E[Z_pi (pi' - pi)] / rho, with Z_pi that of the selection itself."""
    score = _score(model, variation(found, q))
    points = model.points(rule)
    pi = rule.probability(points)
    share = float((points.weight * pi).sum())
    best = threshold_selection(model, score, share)
    theirs = model.points(best)
    kept = float((theirs.weight * score(theirs) * best.probability(theirs)).sum())
    return max(0.0, (kept - float((points.weight * score(points) * pi).sum())) / rho)
