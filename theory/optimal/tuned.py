"""The best selection together with the best ridge."""

import numpy as np
from scipy.optimize import brentq

from theory.checks import InvalidFieldError, as_positive
from theory.optimal.adjoint import point_at
from theory.optimal.gradient import gradient_at
from theory.optimal.outcomes import OBJECTIVES, as_objective
from theory.optimal.selection import OptimalSelection, optimal_selection
from theory.prediction import ConvergenceError
from theory.problem import Problem
from theory.tuning import RANGES

SCANNED = 7
"""Ridges of the scan, equally spaced in logarithms."""

PRECISE = 0.02
"""Relative precision of the ridge: the error is flat at its minimum."""


def tuned_selection(
    problem: Problem,
    bounds: tuple[float, float] = RANGES["ridge"],
    objective: str = "misclassification",
    near: OptimalSelection | None = None,
) -> OptimalSelection:
    """``optimal_selection`` with the ridge that is best for it, within bounds.

    The error of the optimum often has two valleys in the ridge: one with easy samples and a large
    ridge, one with harder samples and a small one. A scan finds them, the lower one is searched.
    near: starts the scan, as in ``optimal_selection``.
    Raises InvalidFieldError on bounds or arguments out of range, ConvergenceError where no ridge
    has a solution.

    >>> from theory import F1, Problem, RandomSelection, SingleIndex
    >>> best = tuned_selection(Problem(SingleIndex(F1, 5.0), RandomSelection(0.8), 0.01, 2.29))
    >>> round(best.problem.ridge, 2), round(best.prediction.misclassification, 4)
    (0.13, 0.233)
    """
    objective = as_objective(objective)
    low, high = (as_positive(f"bounds[{k}]", bound) for k, bound in enumerate(bounds))
    if high <= low:
        raise InvalidFieldError("bounds[1]", high, f"a number above {low:g}")
    found: dict[float, OptimalSelection] = {}
    failure: ConvergenceError | None = None

    def error(log_ridge: float, start: OptimalSelection | None) -> float:
        nonlocal failure
        if log_ridge in found:
            return float(getattr(found[log_ridge].prediction, objective))
        ridge = float(np.clip(np.exp(log_ridge), low, high))
        try:
            best = optimal_selection(problem.replace({"ridge": ridge}), objective, near=start)
        except ConvergenceError as caught:
            failure = caught
            return np.inf
        found[log_ridge] = best
        return float(getattr(best.prediction, objective))

    def slope(log_ridge: float) -> float:
        """Of the optimum's error: what the selection adds vanishes, as it is the best."""
        if not np.isfinite(error(log_ridge, start)):
            return np.nan
        best = found[log_ridge]
        at = point_at(best.problem, best.prediction)
        return float(
            gradient_at(at, ["ridge"])[0, OBJECTIVES.index(objective)] * best.problem.ridge
        )

    scan = np.linspace(np.log(low), np.log(high), SCANNED)
    errors = []
    for log_ridge in scan:
        errors.append(error(float(log_ridge), near))
        near = found.get(float(log_ridge), near)
    k = int(np.argmin(errors))
    if failure is not None and not np.isfinite(errors[k]):
        raise failure
    middle = float(scan[k])
    start = found[middle]
    side = -int(np.sign(slope(middle)))
    if 0 <= k + side < SCANNED and side != 0:
        other = float(scan[k + side])
        if slope(other) * side > 0:
            brentq(slope, middle, other, xtol=PRECISE)
    return min(found.values(), key=lambda best: float(getattr(best.prediction, objective)))
