"""Test errors as functions of the order parameters, with their slopes in closed form.

With o = alpha_0 h + b and tau^2 = alpha_s^2 + alpha_perp^2 the misclassification is
E[f Phi(-o/tau) + (1 - f) Phi(o/tau)] and the log loss E log(1 + exp(o + tau G)) - E[f o]; the
derivatives of the latter use Stein's lemma, E[G sigma(o + tau G)] = tau E sigma'(o + tau G).
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from theory.checks import InvalidFieldError
from theory.features import Features
from theory.kinds import DataModel
from theory.metrics import (
    OUTPUT_MARKS,
    error_marks,
    label_marks,
    log_loss,
    misclassification,
)
from theory.noise import OrderParameters
from theory.problem import Problem
from theory.quadrature import marked_normal_rule
from theory.score import Score

Array = NDArray[np.float64]

OBJECTIVES = ("misclassification", "log_loss")

ORDER = 20
"""Gauss-Legendre nodes per panel."""


class Classifier(NamedTuple):
    """What of a fitted model decides its test error."""

    alpha_0: float
    alpha_s: float
    intercept: float
    alpha_perp: float

    @property
    def tau(self) -> float:
        return math.hypot(self.alpha_s, self.alpha_perp)


def as_objective(objective: object) -> str:
    """The name of a test error; InvalidFieldError for anything else."""
    if not isinstance(objective, str) or objective not in OBJECTIVES:
        raise InvalidFieldError("objective", objective, "'misclassification' or 'log_loss'")
    return objective


def classifier(x: OrderParameters, problem: Problem, score: Score) -> Classifier:
    """The order parameters by name."""
    named = _features(problem, score).read(x.coefficients)
    return Classifier(*named, alpha_perp=x.alpha_perp)


def _features(problem: Problem, score: Score) -> Features:
    return Features(bool(score.beta_s), problem.fit_intercept, problem.reuse > 0)


def outcomes(data: DataModel, c: Classifier) -> Array:
    """Misclassification and log loss, shape [2]."""
    arguments = (data, c.alpha_0, c.intercept, c.tau, ORDER)
    return np.array([misclassification(*arguments), log_loss(*arguments)])


def outcome_slopes(x: OrderParameters, problem: Problem, score: Score) -> Array:
    """Their derivatives in (coefficients, alpha_perp, mu), shape [2, d + 2]."""
    c = classifier(x, problem, score)
    by_name = np.array([_error_slopes(problem.data, c), _log_loss_slopes(problem.data, c)])
    slopes = np.zeros((2, len(x.coefficients) + 2))
    of_alpha, of_intercept, of_tau = by_name.T
    slopes[:, :-2] = _features(problem, score).stack(
        h=of_alpha, s=of_tau * c.alpha_s / c.tau, intercept=of_intercept, memory=0.0
    )
    slopes[:, -2] = of_tau * c.alpha_perp / c.tau
    return slopes


def _error_slopes(data: DataModel, c: Classifier) -> tuple[float, float, float]:
    """d misclassification / d(alpha_0, b, tau)."""
    marks = error_marks(data, c.alpha_0, c.intercept, c.tau)
    h, weight = marked_normal_rule(data.means, data.weights, 1.0, marks, ORDER)
    output = (c.alpha_0 * h + c.intercept) / c.tau
    density = np.exp(-(output**2) / 2) / (math.sqrt(2 * math.pi) * c.tau)
    each = weight * (1 - 2 * data.label_probability(h)) * density
    return float(each @ h), float(each.sum()), float(-each @ output)


def _log_loss_slopes(data: DataModel, c: Classifier) -> tuple[float, float, float]:
    """d log loss / d(alpha_0, b, tau)."""
    h, weight = marked_normal_rule(data.means, data.weights, 1.0, label_marks(data), ORDER)
    positive = weight * data.label_probability(h)
    deviation = math.hypot(c.alpha_0, c.tau)
    of_alpha, of_intercept, of_tau = -float(positive @ h), -float(positive.sum()), 0.0
    for mean, share in zip(data.means, data.weights, strict=True):
        centre = c.alpha_0 * mean + c.intercept
        z, w = marked_normal_rule((centre,), (1.0,), deviation, OUTPUT_MARKS, ORDER)
        sigma = expit(z)
        first, second = share * float(w @ sigma), share * float(w @ (sigma * expit(-z)))
        of_alpha += mean * first + c.alpha_0 * second
        of_intercept += first
        of_tau += c.tau * second
    return of_alpha, of_intercept, of_tau
