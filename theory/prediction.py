"""Predictions: order parameters and test errors of the fitted model in the limit."""

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import TypeVar

import numpy as np
from loky import get_reusable_executor
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from theory._engine import require_double_precision
from theory.kinds import DataModel, Training
from theory.loss_checks import refuse_wrong_loss
from theory.machine import cores, interrupts_held_back
from theory.metrics import log_loss, misclassification
from theory.nodes import Integrand, integrand, training_integrand
from theory.noise import OrderParameters
from theory.problem import Problem, as_problem, as_problems
from theory.quadrature import Quadrature
from theory.saddle import Setting
from theory.score import EmptySelectionError, Score
from theory.solver import Case, Status, solve
from theory.two_rounds import TwoRounds, two_rounds, two_rounds_setting

Array = NDArray[np.float64]
T = TypeVar("T")

CHUNK = 64
"""Most problems that are solved in turn, each from the solution before it."""

MORE = 6
"""Nodes per panel that the test errors get beyond those of the equations."""

WORTH_WORKERS = 64
"""Fewer problems than this are solved in this process: others take a second or two to start."""

IDLE = 300
"""Seconds after which idle worker processes end."""


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
    error_estimate, log_loss_error_estimate: how far misclassification and log loss may be from the
        exact solution, by a finer rule; above the asked accuracy where that could not be reached.
    residual: largest residual of the printed equations at the solution.
    status: how the solve ended. Where it is not CONVERGED the results are NaN.
    chi_21: how the outputs on the surrogate's own samples answer to the slope of its loss there, in
        the final fit; 0 where this does not use them again (see `theory.two_rounds`).
    first_stage: the same of a trained surrogate by itself, tested on data of its own law; None for
        other surrogates. The two fits overlap by alpha_0 beta_0 + alpha_s beta_s.
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
    error_estimate: float
    log_loss_error_estimate: float
    residual: float
    status: Status
    chi_21: float = 0.0
    first_stage: "Prediction | None" = None


class ConvergenceError(RuntimeError):
    """A single prediction could not be computed; the message says why and what to try."""

    def __init__(self, problem: Problem | Training, prediction: Prediction) -> None:
        self.problem = problem
        self.prediction = prediction
        super().__init__(
            f"{prediction.status.value} (residual {prediction.residual:.1e} at {problem})"
        )

    def __reduce__(self) -> tuple[type["ConvergenceError"], tuple[Problem | Training, Prediction]]:
        return ConvergenceError, (self.problem, self.prediction)


def predict(problem: Problem, quadrature: Quadrature | None = None) -> Prediction:
    """Solve the equations for one problem.

    quadrature: resolution of the integrals and accuracy to reach, by default 1e-8.
    Raises ConvergenceError, naming a remedy, if the equations could not be solved, and ValueError
    for a loss or selection that is not what it says: see `simulate.check_kind`.
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
    require_double_precision()
    prediction, _ = _predict(as_problem(problem), quadrature or Quadrature())
    if prediction.status is not Status.CONVERGED:
        raise ConvergenceError(problem, prediction)
    return prediction


def predict_all(
    problems: Iterable[Problem], quadrature: Quadrature | None = None
) -> list[Prediction]:
    """Predictions of many problems, in order, on all cores; each point starts from its neighbour.

    A problem that could not be solved does not stop the others: it yields NaN and its status.

    >>> from theory import F1, Problem, RandomSelection, SingleIndex
    >>> data = SingleIndex(F1, signal_norm=5.0)
    >>> grid = [Problem(data, RandomSelection(g), 0.1, 2.29) for g in (0.5, 1.0)]
    >>> half, full = predict_all(grid)
    >>> half.misclassification > full.misclassification
    True
    """
    quadrature = quadrature or Quadrature()
    problems = as_problems(problems)
    work = partial(_predict_chunk, quadrature=quadrature)
    if len(problems) < WORTH_WORKERS:
        return work(problems)
    # Some take longer than others: two chunks or more for each core.
    rounds = max(2, math.ceil(len(problems) / (CHUNK * cores())))
    return on_all_cores(work, problems, rounds)


def on_all_cores(
    work: Callable[[list[Problem]], list[T]], problems: Sequence[Problem], rounds: int
) -> list[T]:
    """What is found of every problem, in order, in so many chunks of neighbours for each core.

    Processes, not threads: half the time goes to small arrays, which hold the interpreter. With one
    core all is done here.
    """
    count = cores()
    if count == 1:
        return work(list(problems))
    size = math.ceil(len(problems) / (rounds * count))
    chunks = [list(problems[first : first + size]) for first in range(0, len(problems), size)]
    with interrupts_held_back():  # as this process decides what an interrupt does
        pool = get_reusable_executor(count, timeout=IDLE, initializer=_keep_to_one_thread)
        found = pool.map(work, chunks)
    return list(itertools.chain.from_iterable(found))


def _keep_to_one_thread() -> None:
    """In a worker: no threads of linear algebra, whose small arrays make them wait for each other.

    As a function of this module it runs after NumPy has been loaded; before, it has no effect.
    """
    threadpool_limits(1)


def _predict_chunk(problems: list[Problem], quadrature: Quadrature) -> list[Prediction]:
    """One problem after the other; each starts from the solution before it."""
    require_double_precision()
    predictions = []
    packed = None
    for problem in problems:
        prediction, packed = _predict(problem, quadrature, packed)
        predictions.append(prediction)
    return predictions


def _predict(
    problem: Problem, quadrature: Quadrature, start: Array | None = None
) -> tuple[Prediction, Array | None]:
    if not problem.selection.has_theory:
        return _unsolved(Status.NO_THEORY), None
    source = problem.surrogate.source(problem.data)
    first = None
    if isinstance(source, Score):
        score = source
    else:
        first = _trained_on(source, quadrature)
        if first.status is not Status.CONVERGED:
            unsolved = _unsolved(_as_surrogate(first.status))
            return dataclasses.replace(unsolved, first_stage=first), None
        score = _score_of(first)
    try:
        case = case_of(problem, score, quadrature)
    except EmptySelectionError:
        prediction, packed = _unsolved(Status.EMPTY_SELECTION, score, fraction=0.0), None
    else:
        prediction, packed = _predict_case(case, problem.data, score, quadrature, start)
    if first is not None:
        prediction = dataclasses.replace(prediction, first_stage=first)
    return prediction, packed


def _predict_case(
    case: Case, data: DataModel, score: Score, quadrature: Quadrature, start: Array | None
) -> tuple[Prediction, Array | None]:
    """Solve, and test on samples of ``data``; and the packed solution."""
    features = case.integrand.geometry.features

    def outcomes(x: OrderParameters, order: int) -> tuple[float, float]:
        c = features.read(x.coefficients)
        tau = math.hypot(c.alpha_s, x.alpha_perp)
        return (
            misclassification(data, c.alpha_0, c.intercept, tau, order + MORE),
            log_loss(data, c.alpha_0, c.intercept, tau, order + MORE),
        )

    with np.errstate(all="ignore"):  # what overflows is judged by its result
        solution, packed = solve(case, quadrature, outcomes, start)
    if solution.status is not Status.CONVERGED:
        return _unsolved(solution.status, score, solution.fraction, solution.residual), None
    prediction = Prediction(
        misclassification=solution.outcomes[0],
        log_loss=solution.outcomes[1],
        **features.read(solution.x.coefficients)._asdict(),
        alpha_perp=solution.x.alpha_perp,
        mu=solution.x.mu,
        fraction=solution.fraction,
        beta_0=score.beta_0,
        beta_s=score.beta_s,
        error_estimate=solution.error_estimates[0],
        log_loss_error_estimate=solution.error_estimates[1],
        residual=solution.residual,
        status=solution.status,
    )
    if isinstance(case.integrand, TwoRounds):
        chi_21 = case.integrand.chi_21(solution.x)
        prediction = dataclasses.replace(prediction, chi_21=chi_21)
    return prediction, packed


def _as_surrogate(status: Status) -> Status:
    """What a problem's status is where its surrogate ends with ``status``."""
    unsolved = (Status.NOT_CONVERGED, Status.NOT_RESOLVED)
    return status if status in unsolved else Status.NO_SURROGATE


def case_of(problem: Problem, score: Score, quadrature: Quadrature | None = None) -> Case:
    """What the solver needs of a problem; raises EmptySelectionError if nothing is selected.

    quadrature: of the surrogate's own training, where its samples are used again.
    """
    source = problem.surrogate.source(problem.data)
    if isinstance(source, Score) or source.reuse == 0:
        return _case(integrand(problem, score), problem)
    refuse_wrong_loss(problem.loss)
    mu = _trained_on(source, quadrature or Quadrature()).mu
    outer = two_rounds(problem, source, score, mu)
    return Case(outer, two_rounds_setting(problem, source, outer.geometry.features), problem.loss)


def _case(outer: Integrand, task: Problem | Training) -> Case:
    refuse_wrong_loss(task.loss)
    penalty = outer.geometry.features.penalty(task.ridge)
    setting = Setting(penalty, task.ridge, task.samples_per_dimension)
    return Case(outer, setting, task.loss)


_UNKNOWN = Score(math.nan, math.nan, math.nan)


def _unsolved(
    status: Status,
    score: Score = _UNKNOWN,
    fraction: float = math.nan,
    residual: float = math.nan,
) -> Prediction:
    """NaN for everything that was not found."""
    others = ("status", "first_stage")
    names = [field.name for field in dataclasses.fields(Prediction) if field.name not in others]
    values = dict.fromkeys(names, math.nan)
    values.update(fraction=fraction, beta_0=score.beta_0, beta_s=score.beta_s, residual=residual)
    return Prediction(status=status, first_stage=None, **values)


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
    source = problem.surrogate.source(problem.data)
    if isinstance(source, Score):
        return source
    trained = _trained_on(source, quadrature or Quadrature())
    if trained.status is not Status.CONVERGED:
        raise ConvergenceError(source, trained)
    return _score_of(trained)


def _score_of(trained: Prediction) -> Score:
    """What a trained surrogate scores by."""
    return Score(trained.alpha_0, trained.alpha_perp, trained.intercept)


def _trained_on(training: Training, quadrature: Quadrature) -> Prediction:
    """Of the training alone, however its samples are used again."""
    if training.reuse:
        training = dataclasses.replace(training, reuse=0.0)
    return _trained(training, quadrature)


@lru_cache(maxsize=256)
def _trained(training: Training, quadrature: Quadrature) -> Prediction:
    """Solved once for all problems with this surrogate, also where it fails."""
    case = _case(training_integrand(training), training)
    prediction, _ = _predict_case(case, training.data, _UNKNOWN, quadrature, None)
    return prediction
