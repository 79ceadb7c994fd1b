"""The ridge that serves a problem best."""

import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from theory.checks import InvalidFieldError, as_positive
from theory.prediction import Prediction, predict_all
from theory.problem import Problem

Array = NDArray[np.float64]

COARSE_STEP = 0.5
"""Step of the first search, in decades of the ridge."""

REFINEMENTS = 3
"""Each divides the step by three: the last is 0.02 decades, and the error flat within it."""


def tune_ridge(
    problems: Iterable[Problem], low: float = 1e-4, high: float = 10.0
) -> list[tuple[Problem, Prediction]]:
    """Every problem with the ridge that minimises its misclassification, and its prediction.

    low, high: bounds of the ridge, 0 < low < high. A ridge at a bound means that the best one lies
        there or beyond. Half-decade steps find the valley, then its neighbourhood is refined.
    The ridge is tuned to the asymptotic error itself, as a large validation set would.
    Where no ridge can be solved the prediction is NaN, with its status.
    Raises ValueError on other bounds.

    >>> from theory import F1, Problem, RandomSelection, SingleIndex
    >>> problem = Problem(SingleIndex(F1, 5.0), RandomSelection(1.0), 0.01, 2.29)
    >>> ((tuned, prediction),) = tune_ridge([problem])
    >>> round(tuned.ridge, 2), round(prediction.misclassification, 4)
    (0.07, 0.2345)
    """
    low, high = as_positive("low", low), as_positive("high", high)
    if high <= low:
        raise InvalidFieldError("high", high, f"a number above low = {low:g}")
    problems = list(problems)
    least, most = math.log10(low), math.log10(high)
    steps = max(2, round((most - least) / COARSE_STEP))
    tried = np.tile(np.linspace(least, most, steps + 1), (len(problems), 1))
    answers = _predict(problems, tried)
    step = (most - least) / steps
    best = [min(zip(row, found, strict=True), key=_error) for row, found in answers]
    for _ in range(REFINEMENTS):
        step /= 3
        around = np.array([at for at, _ in best])[:, None] + step * np.array([-2, -1, 1, 2])
        answers = _predict(problems, np.clip(around, least, most))
        best = [
            min((kept, *zip(row, found, strict=True)), key=_error)
            for kept, (row, found) in zip(best, answers, strict=True)
        ]
    return [
        (problem.replace({"ridge": float(10**at)}), prediction)
        for problem, (at, prediction) in zip(problems, best, strict=True)
    ]


def _predict(problems: list[Problem], ridges: Array) -> list[tuple[Array, list[Prediction]]]:
    """Decimal logarithms of ridges, shape [problems, ridges], with their predictions."""
    tried = [
        problem.replace({"ridge": float(10**at)})
        for problem, row in zip(problems, ridges, strict=True)
        for at in row
    ]
    found = iter(predict_all(tried))
    return [(row, [next(found) for _ in row]) for row in ridges]


def _error(answer: tuple[float, Prediction]) -> float:
    return float(np.nan_to_num(answer[1].misclassification, nan=np.inf))
