"""From a problem to the weighted, labelled nodes that the equations' expectations sum over."""

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from theory._validation import InvalidFieldError
from theory.data import DataModel, Score
from theory.problem import Problem
from theory.quadrature import (
    NORMAL_RANGE,
    Quadrature,
    gauss_legendre,
    normal_mixture_rule,
)
from theory.selection import Rule, ScoreLaw, Selection

Array = NDArray[np.float64]

SHARP_SCORE = 0.4
"""Below this ratio beta_s/|beta_0| the probability of inclusion given h needs panel edges."""


class Nodes(NamedTuple):
    """Quadrature over the explicit features and the label of a selected sample.

    features: shape [n, d], the explicit features times the label y: columns y h, y G_s if the
        surrogate has a component beside e_0, and y if there is an intercept. The margin of the
        linear part is features @ coefficients.
    weight: shape [n], probability of the node, its label and of being selected.
    scale: shape [n], the weight S > 0 of a selected sample, 1/pi; or shape [1], when all have 1.
    """

    features: Array
    weight: Array
    scale: Array


def score_law(data: DataModel, score: Score) -> ScoreLaw:
    """Law of the score t = beta_0 h + beta_s G_s + b_su."""
    return ScoreLaw(
        means=tuple(score.beta_0 * m + score.intercept for m in data.means),
        weights=data.weights,
        deviation=float(np.hypot(score.beta_0, score.beta_s)),
    )


@lru_cache(maxsize=1024)
def fitted_rule(data: DataModel, score: Score, selection: Selection) -> Rule:
    """The selection rule under the law of the score; raises ValueError if it keeps nothing."""
    law = score_law(data, score)
    rule = selection.law_rule(law)
    if law.expect(rule.probability, rule.kinks) < 1e-12:
        raise InvalidFieldError("selection", selection, "a rule that keeps samples of this data")
    return rule


def labelled_nodes(problem: Problem, score: Score, quadrature: Quadrature) -> Nodes:
    """Nodes over (h, G_s, y) given selection; over (h, y) for a score along e_0."""
    rule = fitted_rule(problem.data, score, problem.selection)
    if score.beta_s == 0:
        h, weight = _feature_rule(
            problem.data,
            [(t - score.intercept) / score.beta_0 for t in rule.kinks],
            quadrature.feature_panels,
            quadrature.order,
        )
        explicit = h[:, None]
    else:
        explicit, weight = _plane_rule(problem.data, score, rule, quadrature)
    inclusion = rule.probability(
        explicit @ np.array([score.beta_0, score.beta_s])[: explicit.shape[1]] + score.intercept
    )
    return _with_labels(problem, explicit, weight, inclusion)


def _with_labels(problem: Problem, explicit: Array, weight: Array, inclusion: Array) -> Nodes:
    """Split every node by label; shapes [n, k], [n] and [n]."""
    positive = problem.data.label_probability(explicit[:, 0])
    label = np.repeat([1.0, -1.0], len(explicit))[:, None]
    features = label * np.tile(explicit, (2, 1))
    if problem.fit_intercept:
        features = np.hstack([features, label])
    return Nodes(
        features=features,
        weight=np.concatenate([weight * inclusion * positive, weight * inclusion * (1 - positive)]),
        scale=_reweighting(inclusion) if problem.selection.reweight else np.ones(1),
    )


def _reweighting(inclusion: Array) -> Array:
    """S = 1/pi for both labels; 1 where nothing is selected and the weight is 0."""
    scale = np.divide(1.0, inclusion, out=np.ones_like(inclusion), where=inclusion > 0)
    return np.tile(scale, 2)


def _feature_rule(
    data: DataModel, kinks: list[float], panels: int, order: int
) -> tuple[Array, Array]:
    """Nodes and weights over h, with panel edges at the jumps of f and at ``kinks``."""
    return normal_mixture_rule(
        data.means,
        data.weights,
        1.0,
        (*data.jumps, *kinks),
        panels + len(data.means) - 1,
        order,
    )


def _plane_rule(
    data: DataModel, score: Score, rule: Rule, quadrature: Quadrature
) -> tuple[Array, Array]:
    """Nodes, shape [n, 2], and weights over (h, G_s).

    For every h, the kinks of the inclusion probability are panel edges in G_s. Integrated over G_s
    it is smooth in h, but over a width beta_s/|beta_0|: if that is small, it needs edges too.
    In G_s it varies over a width 1/beta_s, which asks for as many times more panels.
    """
    edges_in_h: list[float] = []
    if score.beta_s < SHARP_SCORE * abs(score.beta_0):
        width = score.beta_s / abs(score.beta_0)
        edges_in_h = [
            (t - score.intercept) / score.beta_0 + k * width for t in rule.kinks for k in (-3, 3)
        ]
    h, weight = _feature_rule(
        data, edges_in_h, quadrature.feature_panels + 8, quadrature.plane_order
    )
    kinks = np.array(rule.kinks)
    in_plane = (kinks - score.beta_0 * h[:, None] - score.intercept) / score.beta_s
    panels = quadrature.plane_panels * max(1, math.ceil(score.beta_s))
    edges = _bisected_edges(in_plane, panels)
    unit_nodes, unit_weights = gauss_legendre(quadrature.plane_order)
    widths = np.diff(edges, axis=1)[:, :, None]
    g = edges[:, :-1, None] + widths * unit_nodes
    density = np.exp(-(g**2) / 2) / np.sqrt(2 * np.pi)
    weights = weight[:, None, None] * widths * unit_weights * density
    explicit = np.stack(np.broadcast_arrays(h[:, None, None], g), axis=-1).reshape(-1, 2)
    return explicit, weights.ravel()


def _bisected_edges(kinks: Array, panels: int) -> Array:
    """Edges of ``panels`` panels (more if there are more kinks) over a standard normal, per row.

    kinks: shape [n, k]. Where kinks lie out of range their edges halve the panels that matter
    most, as in `normal_mixture_edges`.
    """
    rows, count = kinks.shape
    panels = max(panels, count + 1)
    spare = np.full((rows, panels - count), np.inf)
    edges = np.hstack([np.full((rows, 1), -np.inf), np.sort(kinks, axis=1), spare])
    edges = np.clip(edges, -NORMAL_RANGE, NORMAL_RANGE)
    row = np.arange(rows)
    for _ in range(panels - 1):
        left, right = edges[:, :-1], edges[:, 1:]
        empty = left == right
        outside = np.maximum(np.maximum(left, -right), 0.0)
        widest = np.argmax((right - left) * np.exp(-(outside**2) / 8), axis=1)
        middle = (left[row, widest] + right[row, widest]) / 2
        unused = np.clip(np.argmax(empty, axis=1) + 1, 1, panels - 1)
        edges[row, unused] = np.where(empty.any(axis=1), middle, edges[row, unused])
        edges.sort(axis=1)
    return np.asarray(edges)
