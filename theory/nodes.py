"""From a problem to the weighted, labelled nodes that the equations' expectations sum over."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from theory.data import DataModel
from theory.problem import Problem
from theory.quadrature import Quadrature, normal_mixture_rule
from theory.selection import Rule, ScoreLaw, Selection
from theory.surrogate import Score, Surrogate

Array = NDArray[np.float64]


class Nodes(NamedTuple):
    """Quadrature over the explicit features and the label of a selected sample.

    features: shape [n, d], the explicit features times the label y: columns y h and, with an
        intercept, y. The margin of the linear part is features @ coefficients.
    weight: shape [n], probability of the node, its label and of being selected.
    scale: shape [n], the weight S > 0 of a selected sample: 1, or 1/pi when reweighting.
    """

    features: Array
    weight: Array
    scale: Array


@lru_cache(maxsize=1024)
def fitted_rule(data: DataModel, surrogate: Surrogate, selection: Selection) -> Rule:
    """The selection rule with E pi = fraction under the law of the surrogate's score."""
    score = surrogate.score(data)
    law = ScoreLaw(
        means=tuple(score.beta_0 * m + score.intercept for m in data.means),
        weights=data.weights,
        deviation=float(np.hypot(score.beta_0, score.beta_s)),
    )
    return selection.law_rule(law)


def informative_kinks(data: DataModel, score: Score, rule: Rule) -> tuple[float, ...]:
    """Values of h where the label probability or the inclusion probability jumps or bends."""
    return (*data.jumps, *((t - score.intercept) / score.beta_0 for t in rule.kinks))


def labelled_nodes(problem: Problem, quadrature: Quadrature) -> Nodes:
    """Nodes over (h, y) given selection, for a surrogate along e_0."""
    data = problem.data
    score = problem.surrogate.score(data)
    rule = fitted_rule(data, problem.surrogate, problem.selection)
    h, weight = normal_mixture_rule(
        data.means,
        data.weights,
        1.0,
        informative_kinks(data, score, rule),
        quadrature.feature_panels,
        quadrature.order,
    )
    inclusion = rule.probability(score.beta_0 * h + score.intercept)
    positive = data.label_probability(h)
    label = np.repeat([1.0, -1.0], h.size)
    columns = [label * np.tile(h, 2)] + ([label] if problem.fit_intercept else [])
    scale = np.ones_like(h)
    if problem.selection.reweight:
        np.divide(1.0, inclusion, out=scale, where=inclusion > 0)
    return Nodes(
        features=np.stack(columns, axis=1),
        weight=np.concatenate([weight * inclusion * positive, weight * inclusion * (1 - positive)]),
        scale=np.tile(scale, 2),
    )
