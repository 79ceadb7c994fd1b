"""Rules of the optimal-subsampling literature, with labels known and without.

All are pi = min(1, c sqrt(score)), reweighted. With F a quadratic form and l' the slope of the loss
at theta* (y - p for a logistic regression, up to its sign),

    known labels    score = l'(y)^2 x^T F x
    without         score = E[l' ^2 | x] x^T F x   or   E[|l'| | x]^2 x^T F x.

Influence-function sampling (Ting and Brochu 2018) has F = H^-1 Q H^-1; OSMAC (Wang, Zhu and Ma
2018) has F = H^-2 (mMSE, which is Q = I) or F = I (mVc). OSMAC draws with replacement and has no
bound at 1; here every sample is drawn at most once. Without labels the root mean square is best.
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from theory.checks import InvalidFieldError
from theory.low_dimensional.calibrate import root_selection
from theory.low_dimensional.features import Points
from theory.low_dimensional.model import Model, inverse
from theory.low_dimensional.selection import RootSelection

Array = NDArray[np.float64]

Knowledge = Literal["labels", "root mean square", "mean"]
"""What a rule knows of the slope: the label, E[l'^2 | x], or E[|l'| | x]."""


def influence_sampling(
    model: Model,
    fraction: float,
    quadratic: object = "parameters",
    knows: Knowledge = "labels",
) -> RootSelection:
    """Sampling by the size of the influence function, |H^-1 gradient|_Q.

    knows: "labels"; without them "root mean square", which is ``optimal_unbiased``, or "mean".
    Raises InvalidFieldError on other values, and for labels that are not binary where the rule
    needs more than E[l'^2 | x].

    >>> from theory import LogisticLink
    >>> from theory.low_dimensional import BinaryLabels, GaussianFeatures, asymptotic_risk
    >>> model = Model(GaussianFeatures(3, 2.0), BinaryLabels(LogisticLink()))
    >>> rules = [influence_sampling(model, 0.2, knows=k) for k in ("labels", "root mean square")]
    >>> aware, free = [asymptotic_risk(model, rule).rho for rule in rules]
    >>> aware < free
    True
    """
    a = inverse(model.information, "E[H]")
    return _rule(model, fraction, a @ model.quadratic(quadratic) @ a, knows)


def osmac(
    model: Model,
    fraction: float,
    criterion: Literal["mVc", "mMSE"] = "mMSE",
    knows: Knowledge = "labels",
) -> RootSelection:
    """The A- and L-optimal subsampling of logistic regressions, its p being the true one.

    criterion: "mMSE" (F = H^-2) or "mVc" (F = I). knows: "labels" as published, or "mean", with
    |y - p| replaced by its expectation. Raises InvalidFieldError on other values.

    >>> from theory import LogisticLink
    >>> from theory.low_dimensional import BinaryLabels, GaussianFeatures
    >>> model = Model(GaussianFeatures(3, 2.0), BinaryLabels(LogisticLink()))
    >>> round(model.fraction(osmac(model, 0.2, "mVc")), 10)
    0.2
    """
    if criterion == "mMSE":
        a = inverse(model.information, "E[H]")
        form = a @ a
    elif criterion == "mVc":
        form = np.eye(len(model.features.multiplicity))
    else:
        raise InvalidFieldError("criterion", criterion, "'mVc' or 'mMSE'")
    return _rule(model, fraction, form, knows)


def _rule(model: Model, fraction: float, form: Array, knows: Knowledge) -> RootSelection:
    if knows not in ("labels", "root mean square", "mean"):
        raise InvalidFieldError("knows", knows, "'labels', 'root mean square' or 'mean'")
    optimum = model.optimum

    def score(points: Points) -> Array:
        if knows == "root mean square":
            square = model.averages(points, optimum).squared_slope
        else:
            slopes = model.labels.slopes(points.explicit @ optimum)
            square = slopes**2
            if knows == "mean":
                share = model.labels.shares(model.index(points))
                square = (share * np.abs(slopes)).sum(axis=0, keepdims=True) ** 2
        return square * model.features.quadratic(points, form)

    return root_selection(model, score, fraction, knows_labels=knows == "labels")
