"""Predictions: order parameters and test errors of the fitted model in the limit."""

import math
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from theory.metrics import log_loss, misclassification
from theory.nodes import labelled_nodes
from theory.problem import Problem
from theory.quadrature import Quadrature
from theory.saddle import Setting
from theory.solver import Solution, Status, solve


@dataclass(frozen=True)
class Prediction:
    """What the theory says of one problem; dimensionless unless said otherwise.

    misclassification: test error, a probability.
    log_loss: test log loss, in nats.
    alpha_0, alpha_s, alpha_perp: the fitted model's coefficient along e_0, along the part of the
        surrogate orthogonal to it, and the norm (>= 0) of the rest.
    mu: the multiplier of the Lagrangian, > 0.
    intercept: the fitted intercept b (0 without one).
    fraction: expected fraction of the pool that is selected.
    beta_0, beta_s: the surrogate's coefficients.
    residual: largest residual of the printed equations at the solution.
    status: how the solve ended. Where it is not CONVERGED the results are NaN.
    """

    misclassification: float
    log_loss: float
    alpha_0: float
    alpha_s: float
    alpha_perp: float
    mu: float
    intercept: float
    fraction: float
    beta_0: float
    beta_s: float
    residual: float
    status: Status


class ConvergenceError(RuntimeError):
    """A single prediction could not be computed; the message says why and what to try."""

    def __init__(self, problem: Problem, prediction: Prediction) -> None:
        self.problem = problem
        self.prediction = prediction
        super().__init__(
            f"{prediction.status.value} (residual {prediction.residual:.1e} at {problem})"
        )


def predict(problem: Problem, quadrature: Quadrature | None = None) -> Prediction:
    """Solve the equations for one problem.

    quadrature: resolution of the integrals; the default moves results by less than 1e-8.
    Raises ConvergenceError, naming a remedy, if the equations could not be solved.
    Source: Theorem 4 of the paper (eq. 5.3-5.5).

    >>> from theory import F1, PowerSelection, Problem, SingleIndex, predict
    >>> prediction = predict(
    ...     Problem(
    ...         data=SingleIndex(F1, signal_norm=5.0),
    ...         selection=PowerSelection(alpha=0.5, fraction=0.5),
    ...         ridge=0.01,
    ...         samples_per_dimension=2.29,
    ...     )
    ... )
    >>> round(prediction.misclassification, 4)
    0.3354
    """
    prediction = _predict(problem, quadrature or Quadrature())
    if prediction.status is not Status.CONVERGED:
        raise ConvergenceError(problem, prediction)
    return prediction


def predict_all(
    problems: Iterable[Problem], quadrature: Quadrature | None = None
) -> list[Prediction]:
    """Predictions of many problems, in order, on all cores.

    A problem that could not be solved does not stop the others: it yields NaN and its status.

    >>> from theory import F1, Problem, RandomSelection, SingleIndex
    >>> data = SingleIndex(F1, signal_norm=5.0)
    >>> grid = [Problem(data, RandomSelection(g), 0.1, 2.29) for g in (0.5, 1.0)]
    >>> half, full = predict_all(grid)
    >>> half.misclassification > full.misclassification
    True
    """
    quadrature = quadrature or Quadrature()
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # compiled code releases the interpreter
        return list(pool.map(lambda problem: _predict(problem, quadrature), problems))


def _predict(problem: Problem, quadrature: Quadrature) -> Prediction:
    penalty = [problem.ridge] + ([0.0] if problem.fit_intercept else [])
    setting = Setting(np.array(penalty), problem.ridge, problem.samples_per_dimension)
    solution = solve(
        labelled_nodes(problem, quadrature.refined(0.5)),
        labelled_nodes(problem, quadrature),
        setting,
        problem.loss,
        quadrature,
    )
    return _read(problem, solution)


def _read(problem: Problem, solution: Solution) -> Prediction:
    score = problem.surrogate.score(problem.data)
    alpha_0 = float(solution.coefficients[0])
    intercept = float(solution.coefficients[-1]) if problem.fit_intercept else 0.0
    tau = solution.alpha_perp
    failed = solution.status is not Status.CONVERGED

    def or_nan(value: float) -> float:
        return math.nan if failed else value

    return Prediction(
        misclassification=or_nan(misclassification(problem.data, alpha_0, intercept, tau)),
        log_loss=or_nan(log_loss(problem.data, alpha_0, intercept, tau)),
        alpha_0=or_nan(alpha_0),
        alpha_s=or_nan(0.0),
        alpha_perp=or_nan(solution.alpha_perp),
        mu=or_nan(solution.mu),
        intercept=or_nan(intercept),
        fraction=problem.selection.fraction,
        beta_0=score.beta_0,
        beta_s=score.beta_s,
        residual=solution.residual,
        status=solution.status,
    )
