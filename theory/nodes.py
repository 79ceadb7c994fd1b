"""From a problem to panels and nodes over the score, the outer integral of the equations.

Given the cluster c of a sample, its score is t = mean + beta xi with xi ~ N(0, 1), and the explicit
features split into what the score knows and one more coordinate u ~ N(0, 1), orthogonal to it:

    (h, G_s, 1) = known(xi) + hidden u.

With a perfect surrogate, or one without an error direction, nothing is hidden and xi = h - m_c.
The expectation over xi is a sum over panels with edges wherever pi(t) or f jumps or bends;
`Panels.split` halves those that turn out too wide. Labels depend on the cluster and h alone.
"""

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from theory.data import DataModel, LabelCurve, Score
from theory.problem import Problem
from theory.quadrature import Bend, gauss_legendre, panel_edges
from theory.selection import Rule, ScoreLaw, Selection

Array = NDArray[np.float64]

HEAVIEST = 1e30
"""Weights above this count as this: the loss's slope then grows with its logarithm only, and what
is selected with a probability below 1e-30 adds nothing."""


class EmptySelectionError(ValueError):
    """The rule keeps no sample of this data."""


class Geometry(NamedTuple):
    """The explicit features (h first) and the score, given the component c and xi.

    known = offset[c] + slope xi, beside hidden u: shapes [components, d], [d], [d].
    t = score_shift[c] + score_slope xi.
    """

    offset: Array
    slope: Array
    hidden: Array
    score_shift: Array
    score_slope: float


class Panels(NamedTuple):
    """Intervals of xi, each for one component: component [m], left [m], right [m]."""

    component: NDArray[np.int64]
    left: Array
    right: Array

    def split(self, which: NDArray[np.bool_]) -> "Panels":
        """The same with the chosen panels halved."""
        middle = (self.left + self.right)[which] / 2
        return Panels(
            np.concatenate([self.component, self.component[which]]),
            np.concatenate([self.left, middle]),
            np.concatenate(
                [np.where(which, (self.left + self.right) / 2, self.right), self.right[which]]
            ),
        )

    def halved(self) -> "Panels":
        """The same with all panels halved."""
        return self.split(np.ones(self.left.shape, dtype=bool))


class Nodes(NamedTuple):
    """Quadrature over the components and xi of a selected sample.

    component: shape [n]. known: shape [n, d], h first. hidden: shape [d].
    weight: shape [n], probability of the node and of being selected.
    scale: shape [n, 1], the weight S of a selected sample, 1/pi; or [1, 1], when all have 1.
    """

    component: NDArray[np.int64]
    known: Array
    hidden: Array
    weight: Array
    scale: Array

    @property
    def h(self) -> Array:
        """The known part of h, shape [n]."""
        return self.known[:, 0]

    @property
    def h_hidden(self) -> float:
        """The slope of h in the hidden coordinate."""
        return float(self.hidden[0])

    def positive_shares(self, curves: tuple[LabelCurve, ...]) -> Array:
        """P(y = +1) at every node, over the hidden coordinate, shape [n]."""
        shares = np.empty(len(self.weight))
        for c, curve in enumerate(curves):
            mine = self.component == c
            shares[mine], _, _ = curve.smoothed(self.h[mine], abs(self.h_hidden))
        return shares


def score_law(data: DataModel, score: Score) -> ScoreLaw:
    """Law of the score t = beta_0 h + beta_s G_s + b_su."""
    return ScoreLaw(
        means=tuple(score.beta_0 * m + score.intercept for m in data.means),
        weights=data.weights,
        deviation=float(np.hypot(score.beta_0, score.beta_s)),
    )


@lru_cache(maxsize=4096)
def fitted_rule(data: DataModel, score: Score, selection: Selection) -> Rule:
    """The selection rule under the law of the score; EmptySelectionError if it keeps nothing."""
    law = score_law(data, score)
    rule = selection.law_rule(law)
    if not rule.expected(law) > 1e-12:
        raise EmptySelectionError(f"{selection} keeps no sample of this data")
    return rule


class Integrand(NamedTuple):
    """What the outer integral needs of a problem, whatever its resolution."""

    geometry: Geometry
    rule: Rule
    curves: tuple[LabelCurve, ...]
    weights: Array
    reweight: bool

    def nodes(self, panels: Panels, order: int) -> Nodes:
        """``order`` Gauss-Legendre nodes in every panel, [panels, order] flattened."""
        unit, unit_weights = gauss_legendre(order)
        width = (panels.right - panels.left)[:, None]
        xi = (panels.left[:, None] + width * unit).ravel()
        component = np.repeat(panels.component, order)
        density = np.exp(-(xi**2) / 2) / math.sqrt(2 * math.pi)
        t = self.geometry.score_shift[component] + self.geometry.score_slope * xi
        inclusion = self.rule.probability(t)
        weight = (width * unit_weights).ravel() * density * self.weights[component] * inclusion
        scale = np.ones((1, 1))
        if self.reweight:
            positive = inclusion > 0
            scale = np.divide(1.0, inclusion, out=np.ones_like(inclusion), where=positive)[:, None]
            scale = np.minimum(scale, HEAVIEST)
            if np.all(scale == scale[0]):
                scale = scale[:1]
        return Nodes(
            component=component,
            known=self.geometry.offset[component] + xi[:, None] * self.geometry.slope,
            hidden=self.geometry.hidden,
            weight=weight,
            scale=scale,
        )

    def panels(self) -> Panels:
        """The first panels: edges at jumps and kinks of pi and f, and near where they bend."""
        component, left, right = [], [], []
        for c, curve in enumerate(self.curves):
            bends = [*self._bends_of_rule(c), *self._bends_of_labels(c, curve)]
            kinks = [*self._kinks_of_rule(c), *(xi for xi, width in bends if width == 0)]
            edges = panel_edges(kinks, [bend for bend in bends if bend[1] > 0])
            component += [c] * (len(edges) - 1)
            left += edges[:-1]
            right += edges[1:]
        return Panels(np.array(component), np.array(left), np.array(right))

    def _kinks_of_rule(self, c: int) -> list[float]:
        shift, slope = self.geometry.score_shift[c], self.geometry.score_slope
        return [(t - shift) / slope for t in self.rule.kinks]

    def _bends_of_rule(self, c: int) -> list[Bend]:
        shift, slope = self.geometry.score_shift[c], self.geometry.score_slope
        return [((t - shift) / slope, width / abs(slope)) for t, width in self.rule.bends]

    def _bends_of_labels(self, c: int, curve: LabelCurve) -> list[Bend]:
        """Those of f, averaged over the hidden coordinate."""
        mean, slope = self.geometry.offset[c, 0], self.geometry.slope[0]
        return [
            ((h - mean) / slope, width / abs(slope))
            for h, width in curve.bends_blurred(self.geometry.hidden[0])
        ]


def integrand(problem: Problem, score: Score) -> Integrand:
    """The outer integral of a problem; raises EmptySelectionError."""
    data = problem.data
    rule = fitted_rule(data, score, problem.selection)
    means = np.array(data.means)
    zero, one = np.zeros_like(means), np.ones_like(means)
    if score.beta_s == 0:
        columns, slope, hidden, score_slope = [means], [1.0], [0.0], score.beta_0
    else:
        size = math.hypot(score.beta_0, score.beta_s)
        along, across = score.beta_0 / size, score.beta_s / size
        columns, slope, hidden = [means, zero], [along, across], [across, -along]
        score_slope = size
    if problem.fit_intercept:
        columns, slope, hidden = [*columns, one], [*slope, 0.0], [*hidden, 0.0]
    shift = score.beta_0 * means + score.intercept
    geometry = Geometry(
        np.stack(columns, axis=1), np.array(slope), np.array(hidden), shift, score_slope
    )
    return Integrand(
        geometry, rule, data.label_curves, np.array(data.weights), problem.selection.reweight
    )
