"""Feature laws: weighted points on which every expectation of the theory is a sum.

All that low-dimensional theory needs of features are matrices E[c(x) x x^T] and quadratic forms
x^T M x. For isotropic Gaussian features and functions c of h = <x, e> and r2 = |x - h e|^2 such
matrices are b e e^T + a (I - e e^T): they are held as diag(b, a) with multiplicities (1, p - 1), so
that one rule over (h, r2) serves any dimension.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammainc, gammaincinv, gammaln, xlogy

from theory.checks import InvalidFieldError, as_count, as_positive, set_fields
from theory.quadrature import NORMAL_RANGE, Bend, gauss_legendre, panel_edges

Array = NDArray[np.float64]

ORDER = 12
"""Gauss-Legendre nodes per panel."""

NEGLIGIBLE = 1e-19
"""Points of less probability are left out."""

STEPS = 9
"""Steps towards a zero of a level."""

_GRID = np.linspace(-NORMAL_RANGE, NORMAL_RANGE, 1201)
"""Values of h between which sign changes of a level are looked for."""


class Points(NamedTuple):
    """Weighted points of a feature law.

    weight: probabilities, shape [n]. explicit: the coordinates on which the linear predictor
    depends, shape [n, k]. rest: squared norm of all other coordinates, shape [n].
    """

    weight: Array
    explicit: Array
    rest: Array


Level = Callable[[Points], Array]
"""A function of points, shape [channels, n], affine in ``rest``; selections jump or bend at its
zeros."""


class Marks(NamedTuple):
    """What a rule over Gaussian features must resolve.

    kinks, bends: of the integrands in h. level: see ``Level``. affine: whether integrands are
    affine in ``rest`` on either side of the level's zeros; conditional means then replace a rule.
    bins: where no level is known yet, so many equal parts of the law of ``rest`` at every h.
    """

    kinks: tuple[float, ...] = ()
    bends: tuple[Bend, ...] = ()
    level: Level | None = None
    affine: bool = True
    bins: int = 0


class Features(ABC):
    """A law of features: points, moments and quadratic forms.

    dimension: p. signal: theta_0 in the explicit coordinates, shape [k]. multiplicity: how often
    each diagonal entry of a held matrix occurs in the p x p matrix.
    """

    dimension: int

    @property
    @abstractmethod
    def signal(self) -> Array: ...

    @property
    @abstractmethod
    def multiplicity(self) -> Array: ...

    @abstractmethod
    def points(self, marks: Marks) -> Points:
        """Points that integrate what the marks describe."""

    @abstractmethod
    def locate(self, x: Array) -> Points:
        """Features of shape [N, p] as points of equal weight."""

    @abstractmethod
    def moment(self, points: Points, values: Array) -> Array:
        """E[values x x^T], as a held matrix."""

    @abstractmethod
    def quadratic(self, points: Points, matrix: Array) -> Array:
        """x^T M x at every point, for a held matrix M."""

    @abstractmethod
    def matrix(self, value: Any) -> Array:
        """A quadratic form given by the user, as a held matrix."""

    def trace(self, matrix: Array) -> float:
        """Trace of the p x p matrix."""
        return float(self.multiplicity @ np.diag(matrix))


@dataclass(frozen=True)
class GaussianFeatures(Features):
    """Isotropic features x ~ N(0, I_p) with theta_0 = signal_norm e, e the first axis.

    dimension: p >= 1. signal_norm: > 0. Quadratic forms Q are given as (along e, across e).
    Raises InvalidFieldError on other values.

    >>> features = GaussianFeatures(dimension=5, signal_norm=2.0)
    >>> points = features.points(Marks())
    >>> np.diag(features.moment(points, np.ones(points.weight.shape))).round(12)
    array([1., 1.])
    """

    dimension: int
    signal_norm: float = 1.0

    def __post_init__(self) -> None:
        set_fields(
            self,
            dimension=as_count("features.dimension", self.dimension),
            signal_norm=as_positive("features.signal_norm", self.signal_norm),
        )

    @property
    def signal(self) -> Array:
        return np.array([self.signal_norm])

    @property
    def multiplicity(self) -> Array:
        return np.array([1.0, self.dimension - 1.0])

    def points(self, marks: Marks) -> Points:
        kinks = [0.0, *marks.kinks]
        bends = list(marks.bends)
        if marks.level is not None:
            kinks += _zeros(lambda h: self._affine(marks.level, h)[0], kinks)
            if not marks.affine:
                bends.append((0.0, 0.05))
        edges = np.array(panel_edges(kinks, bends))
        h, weight = _blunt_rule(edges)
        weight = weight * np.exp(-(h**2) / 2) / math.sqrt(2 * math.pi)
        if self.dimension == 1 or (marks.level is None and marks.affine and not marks.bins):
            return Points(weight, h[:, None], np.full(h.shape, self.dimension - 1.0))
        quantiles = np.arange(1, marks.bins) / max(marks.bins, 1)
        parts = np.asarray(2 * gammaincinv((self.dimension - 1) / 2, quantiles), dtype=np.float64)
        cuts = np.tile(parts[:, None], len(h))
        if marks.level is not None:
            constant, slope = self._affine(marks.level, h)
            with np.errstate(all="ignore"):
                cuts = np.sort(np.nan_to_num(np.clip(-constant / slope, 0, np.inf)), axis=0)
        inner = self._conditional_means if marks.affine else self._inner_rule
        rest, mass = inner(cuts)
        total = mass * weight[:, None]
        kept = total > NEGLIGIBLE
        wide = np.broadcast_to(h[:, None], mass.shape)
        return Points(total[kept], wide[kept][:, None], rest[kept])

    def _affine(self, level: Level | None, h: Array) -> tuple[Array, Array]:
        """Constant and slope of the level in ``rest``, each of shape [channels, n]."""
        assert level is not None
        one = np.ones(len(h))
        constant = level(Points(one, h[:, None], 0 * one))
        if self.dimension == 1:
            return constant, np.zeros_like(constant)
        return constant, level(Points(one, h[:, None], one)) - constant

    def _conditional_means(self, cuts: Array) -> tuple[Array, Array]:
        """Mean and mass of chi-squared(p - 1) between consecutive cuts, shape [n, cuts + 1]."""
        half = (self.dimension - 1) / 2
        ends = [np.zeros(cuts.shape[1]), *cuts, np.full(cuts.shape[1], np.inf)]
        edges = np.array(ends).T / 2
        mass = np.diff(gammainc(half, edges), axis=1)
        first = 2 * half * np.diff(gammainc(half + 1, edges), axis=1)
        mean = np.divide(first, mass, out=np.ones_like(first), where=mass > 0)
        return np.asarray(mean, dtype=np.float64), np.asarray(mass, dtype=np.float64)

    def _inner_rule(self, cuts: Array) -> tuple[Array, Array]:
        """Values and weights of r2 that resolve functions bending at the cuts, by h."""
        freedom = self.dimension - 1
        centre = math.sqrt(freedom)
        low, high = max(0.0, centre - 9.0), centre + 9.0
        base = low + np.linspace(0, 1, 16) * (high - low)
        if low == 0:
            base = np.array([0, 0.01, 0.05, 0.2, 0.6, *np.linspace(1.2, high, 12)])
        edges = np.tile(base, (cuts.shape[1], 1))
        roots = np.clip(np.sqrt(cuts.T), low, high)
        edges = np.sort(np.concatenate([edges, roots], axis=1), axis=1)
        unit, unit_weight = gauss_legendre(ORDER)
        width = np.diff(edges, axis=1)[:, :, None]
        r = edges[:, :-1, None] + width * unit
        log_norm = (freedom / 2 - 1) * math.log(2) + gammaln(freedom / 2)
        density = np.exp(xlogy(freedom - 1, r) - r**2 / 2 - log_norm)
        mass = width * unit_weight * density
        return (r**2).reshape(len(r), -1), mass.reshape(len(r), -1)

    def locate(self, x: Array) -> Points:
        h = x[:, :1]
        return Points(np.full(len(x), 1 / len(x)), h, np.maximum((x**2).sum(1) - h[:, 0] ** 2, 0))

    def _squares(self, points: Points) -> Array:
        """Diagonal of E[x x^T | point], shape [n, 2]."""
        across = points.rest / max(self.dimension - 1, 1) if self.dimension > 1 else 1.0
        return np.stack([points.explicit[:, 0] ** 2, across + 0 * points.rest], axis=1)

    def moment(self, points: Points, values: Array) -> Array:
        return np.diag((points.weight * values) @ self._squares(points))

    def quadratic(self, points: Points, matrix: Array) -> Array:
        return self._squares(points) @ (self.multiplicity * np.diag(matrix))

    def matrix(self, value: Any) -> Array:
        pair = np.asarray(value, dtype=np.float64)
        if pair.shape != (2,) or not np.all(np.isfinite(pair)) or pair.min() < 0:
            raise InvalidFieldError("quadratic", value, "two numbers >= 0: along and across e")
        return np.diag(pair)


@dataclass(frozen=True, eq=False)
class WeightedFeatures(Features):
    """Any weighted sample of features, such as a user's own.

    values: shape [n, p]. theta: theta_0, shape [p]. weights: probabilities, shape [n]; equal ones
    by default. Quadratic forms Q are p x p matrices. Raises InvalidFieldError on other shapes,
    values that are not finite, and weights that are not probabilities.

    >>> features = WeightedFeatures(np.array([[1.0, 0.0], [0.0, 2.0]]), np.array([1.0, 1.0]))
    >>> np.diag(features.moment(features.points(Marks()), np.ones(2)))
    array([0.5, 2. ])
    """

    values: Array
    theta: Array
    weights: Array | None = None

    def __post_init__(self) -> None:
        x = np.asarray(self.values, dtype=np.float64)
        if x.ndim != 2 or not x.size or not np.all(np.isfinite(x)):
            raise InvalidFieldError("features.values", x.shape, "finite numbers of shape [n, p]")
        theta = np.asarray(self.theta, dtype=np.float64)
        if theta.shape != x.shape[1:] or not np.all(np.isfinite(theta)):
            raise InvalidFieldError("features.theta", theta, f"{x.shape[1]} finite numbers")
        weights = np.full(len(x), 1 / len(x)) if self.weights is None else np.asarray(self.weights)
        proper = weights.shape == (len(x),) and bool(np.all(weights >= 0))
        if not proper or abs(weights.sum() - 1) > 1e-9:
            allowed = f"{len(x)} probabilities that sum to 1"
            raise InvalidFieldError("features.weights", weights, allowed)
        set_fields(self, values=x, theta=theta, weights=weights)

    @property
    def dimension(self) -> int:  # type: ignore[override]
        return int(self.values.shape[1])

    @property
    def signal(self) -> Array:
        return self.theta

    @property
    def multiplicity(self) -> Array:
        return np.ones(self.dimension)

    def points(self, marks: Marks) -> Points:
        del marks
        assert self.weights is not None
        return Points(self.weights, self.values, np.zeros(len(self.values)))

    def locate(self, x: Array) -> Points:
        return Points(np.full(len(x), 1 / len(x)), x, np.zeros(len(x)))

    def moment(self, points: Points, values: Array) -> Array:
        return np.asarray((points.explicit.T * (points.weight * values)) @ points.explicit)

    def quadratic(self, points: Points, matrix: Array) -> Array:
        return np.asarray(((points.explicit @ matrix) * points.explicit).sum(axis=1))

    def matrix(self, value: Any) -> Array:
        q = np.asarray(value, dtype=np.float64)
        p = self.dimension
        allowed = f"a symmetric positive semi-definite matrix of shape [{p}, {p}]"
        if q.shape != (p, p) or not np.all(np.isfinite(q)) or not np.allclose(q, q.T):
            raise InvalidFieldError("quadratic", value, allowed)
        if np.linalg.eigvalsh(q)[0] < -1e-12 * max(1.0, np.abs(q).max()):
            raise InvalidFieldError("quadratic", value, allowed)
        return q


def _blunt_rule(edges: Array) -> tuple[Array, Array]:
    """A rule on panels that resolves square roots at both ends of each.

    The substitution 3 t^2 - 2 t^3 turns a square root at an end into an analytic function.
    """
    t, weight = gauss_legendre(ORDER)
    width = np.diff(edges)[:, None]
    nodes = edges[:-1, None] + width * (3 * t**2 - 2 * t**3)
    return nodes.ravel(), (width * (6 * t * (1 - t) * weight)).ravel()


def _zeros(function: Callable[[Array], Array], marks: Sequence[float]) -> list[float]:
    """Sign changes in h of every channel of a function, bracketed by a fine grid."""
    grid = np.unique(np.concatenate([_GRID, np.asarray(marks)]))
    values = function(grid)
    channel, k = np.nonzero(np.diff(np.sign(values), axis=1))
    if not len(k):
        return []
    low, high = grid[k], grid[k + 1]
    at_low, at_high = values[channel, k], values[channel, k + 1]
    own = np.arange(len(k))
    for _ in range(STEPS):  # the Illinois rule, all zeros at once
        middle = high - at_high * (high - low) / (at_high - at_low)
        value = function(middle)[channel, own]
        crossed = np.sign(value) != np.sign(at_high)
        low = np.where(crossed, high, low)
        at_low = np.where(crossed, at_high, at_low / 2)
        high, at_high = middle, np.where(value == 0, np.sign(at_low) * -1e-300, value)
    return [float(h) for h in high]
