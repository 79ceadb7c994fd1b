"""The bridge from high to low dimension: what N/p = delta large makes of the test errors.

As delta grows (ridge -> 0) the fitted model is t e plus noise across e with squared norm
spread/delta, where t is the target and spread = lim N E[(theta_hat across e, one axis)^2]. With
eps = sqrt(spread/delta)/t the error of its direction, and f the label probability in h:

    misclassification, f smooth:      R - R_inf ~ phi(0) f'(0) spread / (t^2 delta)
    misclassification, f jumps at 0:  R - R_inf ~ 2 phi(0)^2 (f(0+) - f(0-)) eps
    log loss, t its minimiser:        L - L_inf ~ E[p (1 - p)] spread / (2 delta),   p = sigma(t h).
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from theory.checks import InvalidFieldError
from theory.data import SingleIndex
from theory.kinds import Selection as Scheme
from theory.losses import LogisticLoss, Loss
from theory.low_dimensional.features import GaussianFeatures, Points
from theory.low_dimensional.labels import BinaryLabels
from theory.low_dimensional.model import Model
from theory.low_dimensional.risk import asymptotic_risk
from theory.low_dimensional.selection import FixedSelection
from theory.score import ScoreLaw

STEP = 1e-3
"""Spacing of the differences that give f'(0), in units of u."""


@dataclass(frozen=True)
class LargeSamples:
    """How the test errors of a high-dimensional problem approach their limits.

    target: t. spread: see above. misclassification, log_loss: the limits R_inf and L_inf.
    misclassification_rate: lim delta^power (R - R_inf). power: 1, or 1/2 where f jumps at 0.
    log_loss_rate: lim delta (L - L_inf); NaN where t does not minimise the log loss.
    """

    target: float
    spread: float
    misclassification: float
    misclassification_rate: float
    power: float
    log_loss_rate: float


def scheme_selection(data: SingleIndex, scheme: Scheme) -> FixedSelection:
    """A selection scheme on the true score of a single-index model, as a function of h.

    >>> from theory import LogisticLink, PowerSelection
    >>> data = SingleIndex(LogisticLink(), 2.0)
    >>> rule = scheme_selection(data, PowerSelection(alpha=1.0, fraction=0.3))
    >>> round(Model(GaussianFeatures(2, 2.0), BinaryLabels(data.link)).fraction(rule), 9)
    0.3
    """
    if scheme.weighs and not scheme.reweight:
        raise InvalidFieldError("selection", scheme, "a selection with weights 1 or 1/pi")
    slope, _, offset = data.true_score
    rule = scheme.law_rule(ScoreLaw((offset,), (1.0,), slope))
    marks = (*rule.kinks, *(c + k * w for c, w in rule.bends for k in (-1.0, -0.3, 0.3, 1.0)))
    kinks = tuple(sorted({(t - offset) / slope for t in marks}))

    def function(points: Points) -> np.ndarray:
        return rule.probability(slope * points.explicit[:, 0] + offset)

    return FixedSelection(function, scheme.reweight, kinks)


def large_samples(data: SingleIndex, scheme: Scheme, loss: Loss | None = None) -> LargeSamples:
    """What ``theory.predict`` tends to for a perfect surrogate, ridge 0 and large delta.

    Raises InvalidFieldError unless P(y = +1 | h) crosses 1/2 at h = 0, where the fitted model's
    sign changes.

    >>> from theory import F1, LogisticLink, RandomSelection
    >>> limit = large_samples(SingleIndex(LogisticLink(), 2.0), RandomSelection(1.0))
    >>> round(limit.target, 9), limit.power
    (2.0, 1.0)
    >>> large_samples(SingleIndex(F1, 2.0), RandomSelection(1.0)).power
    0.5
    """
    model = Model(
        GaussianFeatures(2, data.signal_norm), BinaryLabels(data.link, loss or LogisticLoss())
    )
    selection = scheme_selection(data, scheme)
    risk = asymptotic_risk(model, selection, (0.0, 1.0))
    (target,) = risk.target
    density = 1 / math.sqrt(2 * math.pi)
    left, right = (float(v) for v in data.link.probability(np.array([-1e-12, 1e-12])))
    if not left - 1e-9 <= 0.5 <= right + 1e-9:
        raise InvalidFieldError("data.link", data.link, "1/2 at index 0, and increasing there")
    if right - left > 1e-9:
        power, rate = 0.5, 2 * density**2 * (right - left) * math.sqrt(risk.rho) / target
    else:
        near = data.link.probability(STEP * np.array([-2.0, -1.0, 1.0, 2.0]))
        slope = float(near @ np.array([1.0, -8.0, 8.0, -1.0])) / (12 * STEP)
        power, rate = 1.0, density * slope * data.signal_norm * risk.rho / target**2
    is_least = isinstance(model.labels, BinaryLabels) and abs(target - _least(model)) < 1e-9
    points = model.points()
    p = expit(target * points.explicit[:, 0])
    bend = float(points.weight @ (p * (1 - p)))
    return LargeSamples(
        target=target,
        spread=risk.rho,
        misclassification=risk.misclassification,
        misclassification_rate=rate,
        power=power,
        log_loss_rate=bend * risk.rho / 2 if is_least else math.nan,
    )


def _least(model: Model) -> float:
    """The minimiser of the population log loss."""
    assert isinstance(model.labels, BinaryLabels)
    logistic = model.with_labels(BinaryLabels(model.labels.link))
    return float(logistic.optimum[0])
