"""Predictions: order parameters and test errors of the fitted model in the limit."""

import itertools
import math
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from theory.data import DataModel, Score
from theory.losses import Loss
from theory.metrics import log_loss, misclassification
from theory.nodes import labelled_nodes
from theory.problem import Problem
from theory.quadrature import Quadrature
from theory.saddle import Setting
from theory.selection import RandomSelection
from theory.solver import BATCH, Case, Solution, Status, solve_all
from theory.surrogate import GivenSurrogate, TrainedSurrogate


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
    (prediction,) = _predict_batch([problem], quadrature or Quadrature())
    if prediction.status is not Status.CONVERGED:
        raise ConvergenceError(problem, prediction)
    return prediction


def predict_all(
    problems: Iterable[Problem], quadrature: Quadrature | None = None
) -> list[Prediction]:
    """Predictions of many problems, in order, in batches on all cores.

    A problem that could not be solved does not stop the others: it yields NaN and its status.

    >>> from theory import F1, Problem, RandomSelection, SingleIndex
    >>> data = SingleIndex(F1, signal_norm=5.0)
    >>> grid = [Problem(data, RandomSelection(g), 0.1, 2.29) for g in (0.5, 1.0)]
    >>> half, full = predict_all(grid)
    >>> half.misclassification > full.misclassification
    True
    """
    quadrature = quadrature or Quadrature()
    problems = list(problems)
    cores = os.cpu_count() or 1
    size = max(1, min(BATCH, len(problems) // (8 * cores)))  # some batches take longer than others
    batches = [problems[first : first + size] for first in range(0, len(problems), size)]
    with ThreadPoolExecutor(cores) as pool:  # compiled code releases the interpreter
        predicted = pool.map(lambda batch: _predict_batch(batch, quadrature), batches)
        return list(itertools.chain.from_iterable(predicted))


def _predict_batch(problems: list[Problem], quadrature: Quadrature) -> list[Prediction]:
    """Predictions of at most BATCH problems; those alike are solved in one compiled call."""
    scores = [score_of(problem, quadrature) for problem in problems]
    cases = [_case(p, score, quadrature) for p, score in zip(problems, scores, strict=True)]
    alike: dict[tuple[Loss, object], list[int]] = {}
    for k, (problem, case) in enumerate(zip(problems, cases, strict=True)):
        shapes = tuple(np.shape(array) for nodes in case[:2] for array in nodes)
        alike.setdefault((problem.loss, shapes), []).append(k)
    solutions: dict[int, Solution] = {}
    for (loss, _), group in alike.items():
        solved = solve_all([cases[k] for k in group], loss, quadrature)
        solutions.update(zip(group, solved, strict=True))
    return [
        _read(problem, scores[k], float(cases[k].fine.weight.sum()), solutions[k])
        for k, problem in enumerate(problems)
    ]


def _case(problem: Problem, score: Score, quadrature: Quadrature) -> Case:
    fine = labelled_nodes(problem, score, quadrature)
    penalty = np.full(fine.features.shape[1], problem.ridge)
    if problem.fit_intercept:
        penalty[-1] = 0.0
    setting = Setting(penalty, problem.ridge, problem.samples_per_dimension)
    return Case(labelled_nodes(problem, score, quadrature.coarser()), fine, setting)


def score_of(problem: Problem, quadrature: Quadrature | None = None) -> Score:
    """The surrogate's score for the problem's data; a trained surrogate's is itself predicted.

    Raises ConvergenceError if the trained surrogate has no finite solution.

    >>> from theory import F1, Problem, RandomSelection, SingleIndex, TrainedSurrogate
    >>> surrogate = TrainedSurrogate(samples_per_dimension=8, ridge=0.01)
    >>> problem = Problem(SingleIndex(F1, 5.0), RandomSelection(0.5), 0.1, 2.0, surrogate)
    >>> score = score_of(problem)
    >>> round(score.beta_0, 2), round(score.beta_s, 2)
    (2.74, 0.93)
    """
    surrogate = problem.surrogate
    if isinstance(surrogate, GivenSurrogate):
        return Score(surrogate.beta_0, surrogate.beta_s, surrogate.intercept)
    if isinstance(surrogate, TrainedSurrogate):
        return _trained_score(surrogate, surrogate.data or problem.data, quadrature)
    if problem.data.true_score is None:
        raise AssertionError("a Problem refuses a perfect surrogate where there is none")
    return problem.data.true_score


@lru_cache(maxsize=256)
def _trained_score(
    surrogate: TrainedSurrogate, data: DataModel, quadrature: Quadrature | None
) -> Score:
    training = Problem(
        data=data,
        selection=RandomSelection(1.0),
        ridge=surrogate.ridge,
        samples_per_dimension=surrogate.samples_per_dimension,
        surrogate=GivenSurrogate(beta_0=1.0),  # nothing is selected
        fit_intercept=surrogate.fit_intercept,
    )
    trained = predict(training, quadrature)
    return Score(trained.alpha_0, trained.alpha_perp, trained.intercept)


def _read(problem: Problem, score: Score, fraction: float, solution: Solution) -> Prediction:
    alpha_0 = float(solution.coefficients[0])
    alpha_s = float(solution.coefficients[1]) if score.beta_s else 0.0
    intercept = float(solution.coefficients[-1]) if problem.fit_intercept else 0.0
    tau = math.hypot(alpha_s, solution.alpha_perp)
    failed = solution.status is not Status.CONVERGED

    def or_nan(value: float) -> float:
        return math.nan if failed else value

    return Prediction(
        misclassification=or_nan(misclassification(problem.data, alpha_0, intercept, tau)),
        log_loss=or_nan(log_loss(problem.data, alpha_0, intercept, tau)),
        alpha_0=or_nan(alpha_0),
        alpha_s=or_nan(alpha_s),
        alpha_perp=or_nan(solution.alpha_perp),
        mu=or_nan(solution.mu),
        intercept=or_nan(intercept),
        fraction=fraction,
        beta_0=score.beta_0,
        beta_s=score.beta_s,
        residual=solution.residual,
        status=solution.status,
    )
