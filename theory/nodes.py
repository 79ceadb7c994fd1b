"""From a problem to panels and nodes over the score, the outer integral of the equations.

Given the cluster c of a sample, its score is t = mean + beta xi with xi ~ N(0, 1), and the explicit
features split into what the score knows and one more coordinate u ~ N(0, 1), orthogonal to it:

    (h, G_s, 1) = known(xi) + hidden u.

With a perfect surrogate, or one without an error direction, nothing is hidden and xi = h - m_c.
The expectation over xi is a sum over panels with edges wherever pi(t) or f jumps or bends;
`Panels.split` halves those that turn out too wide. Labels depend on the cluster and h alone.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from theory.features import Features, H
from theory.kinds import DataModel, FixedFraction, Training
from theory.labels import LabelCurve
from theory.problem import Problem
from theory.quadrature import Bend, gauss_legendre, panel_edges
from theory.score import Rule, Score, fitted_rule

Array = NDArray[np.float64]

HEAVIEST = 1e30
"""Weights above this count as this: the loss's slope then grows with its logarithm only, and what
is selected with a probability below 1e-30 adds nothing."""


class Geometry(NamedTuple):
    """The explicit features and the score, given the component c and xi.

    known = offset[c] + slope xi, beside hidden u: shapes [components, d], [d], [d].
    t = score_shift[c] + score_slope xi.
    """

    features: Features
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


class Recall(NamedTuple):
    """What nodes of a surrogate's own samples have beyond those of the pool, each of shape [n].

    label: the node's only label, -1 or +1; 0 for a node of the pool, which has both.
    slope: dr_1/ds_1 of the surrogate's own fit; 0 for a node of the pool.
    """

    label: Array
    slope: Array


class Nodes(NamedTuple):
    """Quadrature over the components and xi of a selected sample.

    component: shape [n]. known: shape [n, d], in the order of `Features`. hidden: shape [d].
    weight: shape [n], probability of the node and of being selected.
    scale: shape [n, 1], the weight S of a selected sample, 1/pi; or [1, 1], when all have 1.
    recall: where the surrogate's samples are among them.
    """

    component: NDArray[np.int64]
    known: Array
    hidden: Array
    weight: Array
    scale: Array
    recall: Recall | None = None

    @property
    def h(self) -> Array:
        """The known part of h, shape [n]."""
        return self.known[:, H]

    @property
    def h_hidden(self) -> float:
        """The slope of h in the hidden coordinate."""
        return float(self.hidden[H])

    def positive_shares(self, curves: tuple[LabelCurve, ...]) -> Array:
        """P(y = +1) at every node, over the hidden coordinate, shape [n]."""
        shares = np.empty(len(self.weight))
        for c, curve in enumerate(curves):
            mine = self.component == c
            shares[mine], _, _ = curve.smoothed(self.h[mine], abs(self.h_hidden))
        return shares


def one_if_equal(scale: Array) -> Array:
    """Weights S of shape [n, 1], or [1, 1] where all are the same."""
    return scale[:1] if np.all(scale == scale[0]) else scale


class Integrand(NamedTuple):
    """What the outer integral needs of a problem, whatever its resolution.

    weights: of the components. weigh: S by score and probability, or None where S = 1.
    fraction: what the selection says that it keeps, or None.
    """

    geometry: Geometry
    rule: Rule
    curves: tuple[LabelCurve, ...]
    weights: Array
    weigh: Callable[[Array, Array], Array] | None
    fraction: float | None

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
        if self.weigh is not None:
            scale = one_if_equal(np.minimum(self.weigh(t, inclusion), HEAVIEST)[:, None])
        return Nodes(
            component=component,
            known=self.geometry.offset[component] + xi[:, None] * self.geometry.slope,
            hidden=self.geometry.hidden,
            weight=weight,
            scale=scale,
        )

    def selected(self, nodes: Nodes) -> float:
        """E[pi]."""
        return float(nodes.weight.sum())

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
        mean, slope = self.geometry.offset[c, H], self.geometry.slope[H]
        return [
            ((h - mean) / slope, width / abs(slope))
            for h, width in curve.bends_blurred(self.geometry.hidden[H])
        ]


def integrand(problem: Problem, score: Score) -> Integrand:
    """The outer integral of a problem; raises EmptySelectionError."""
    data, selection = problem.data, problem.selection
    features = Features(score.beta_s != 0, problem.fit_intercept)
    return Integrand(
        geometry_of(data, features, score),
        fitted_rule(data, score, selection),
        data.label_curves,
        np.array(data.weights),
        selection.weights if selection.weighs else None,
        selection.fraction if isinstance(selection, FixedFraction) else None,
    )


def training_integrand(training: Training) -> Integrand:
    """The outer integral of a training: over h alone, with every sample kept."""
    data = training.data
    features = Features(False, training.fit_intercept)
    return Integrand(
        geometry_of(data, features, Score(beta_0=1.0)),
        Rule(np.ones_like),
        data.label_curves,
        np.array(data.weights),
        weigh=None,
        fraction=1.0,
    )


def geometry_of(data: DataModel, features: Features, score: Score) -> Geometry:
    """Explicit features and score of samples from a law."""
    means = np.array(data.means)
    along, across, score_slope = 1.0, 0.0, score.beta_0
    if features.has_error_direction:
        score_slope = math.hypot(score.beta_0, score.beta_s)
        along, across = score.beta_0 / score_slope, score.beta_s / score_slope
    return Geometry(
        features=features,
        offset=features.stack(h=means, s=0.0, intercept=1.0),
        slope=features.stack(h=along, s=across, intercept=0.0),
        hidden=features.stack(h=across, s=-along, intercept=0.0),
        score_shift=score.beta_0 * means + score.intercept,
        score_slope=score_slope,
    )
