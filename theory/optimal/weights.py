"""The selection and the weights of the selected that the theory finds best together.

pi(t) and S(t) are constant on cells of the score, of equal probability. The test error's derivative
in pi(t) is Z(t; S(t)) of `theory.optimal.state`. As Z(t; S) is what samples of score t and weight S
add to the equations, through the multipliers, the derivative in S(t) is pi(t) dZ/dS, a difference
at one score. Both go to sequential quadratic programming (SciPy's SLSQP), from several starts.

S times c is a ridge divided by c: free weights choose the ridge as well, and compare with
``tuned_selection``.
"""

import math
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq, minimize

from theory.checks import as_count
from theory.optimal.intervals import JUMP
from theory.optimal.outcomes import as_objective
from theory.optimal.state import Grid, Model, State, common_edges, with_edges
from theory.optimal.tuned import tuned_selection
from theory.prediction import ConvergenceError, Prediction, predict_all
from theory.problem import Problem, as_problem
from theory.score import ScoreLaw, fitted_rule
from theory.selection import TabulatedSelection
from theory.solver import Status

Array = NDArray[np.float64]

CELLS = 40
"""Cells of the score."""

LOG_RANGE = 9.0
"""Logarithms of weights lie within this of zero."""

MIXED = 0.1
"""Share of random selection in a start: what is 0 has no derivative in its weight."""

STEP = 1e-4
"""Relative step of the derivative in a weight."""

NOTHING = 1e-7
"""Probabilities below this are zero."""

PRECISION, MOST_STEPS = 1e-9, 200

UNITS = 1e3
"""The error is minimised in these units; SLSQP's own scale is 1."""


@dataclass(frozen=True)
class OptimalWeights:
    """The best selection with weights, on cells of the score.

    selection: probabilities and weights. problem: the problem with it. prediction: of that.
    tuned: the error of the best selection without weights, with the ridge that is best for it.
    ends: the errors at which the starts ended, the best first.
    """

    selection: TabulatedSelection = field(repr=False)
    problem: Problem = field(repr=False)
    prediction: Prediction
    objective: str
    tuned: float
    ends: tuple[float, ...]


def optimal_weights(
    problem: Problem, objective: str = "misclassification", cells: int = CELLS
) -> OptimalWeights:
    """The pi(t) and S(t) > 0 that together minimise a test error at the problem's fraction.

    problem: its own selection gives the fraction only. objective: "misclassification" or
        "log_loss". cells: >= 2, of the score, on each of which pi and S are constant.
    The error is not convex: the best of several starts is given.
    Raises InvalidFieldError on other arguments, EmptySelectionError where the problem selects
    nothing, and ConvergenceError where what was found has no solution.
    Source: see above; first-order conditions of Theorem 4 of the paper in pi and S.

    >>> from theory import F1, Problem, RandomSelection, SingleIndex
    >>> problem = Problem(SingleIndex(F1, 5.0), RandomSelection(0.5), 0.01, 2.29)
    >>> best = optimal_weights(problem, cells=20)
    >>> round(best.tuned, 3), round(best.prediction.misclassification, 3)
    (0.239, 0.231)
    """
    objective = as_objective(objective)
    model = Model(as_problem(problem), objective)
    cells = as_count("cells", cells, least=2)
    fraction = min(fitted_rule(problem.data, model.score, problem.selection).expected(model.law), 1)
    tuned = tuned_selection(problem, objective=objective)
    ends = tuple(_quantile(model.law, k / cells) for k in range(1, cells))
    search = _Cells(model, ends)
    share = search.share
    kept = search.mean(tuned.selection.inclusion_probabilities(search.grid.t))
    level = math.log(problem.ridge / tuned.problem.ridge) if problem.ridge > 0 else 0.0
    level = float(np.clip(level, -LOG_RANGE, LOG_RANGE))
    found = []
    for mixed in (MIXED, 1.0):
        start = (1 - mixed) * kept * fraction / (share @ kept) + mixed * fraction
        for weight in dict.fromkeys((level, 0.0)):
            found.append(search.descend(np.clip(start, 0, 1), weight, fraction))
    found.sort(key=lambda end: end.error)
    best = found[0]
    selection = _selection(best, ends, JUMP * model.law.deviation)
    answer = problem.replace({"selection": selection})
    (prediction,) = predict_all([answer])
    if prediction.status is not Status.CONVERGED:
        raise ConvergenceError(answer, prediction)
    return OptimalWeights(
        selection,
        answer,
        prediction,
        objective,
        float(getattr(tuned.prediction, objective)),
        tuple(end.error for end in found),
    )


class _End(NamedTuple):
    """Where a start ended: the error, and pi and S of every cell."""

    error: float
    probabilities: Array
    weights: Array


class _Cells:
    """The test error as a function of pi and log S on cells between given scores."""

    def __init__(self, model: Model, ends: tuple[float, ...]) -> None:
        self.model = model
        self.grid: Grid = model.grid(with_edges(common_edges([model]), ends))
        self.cell = np.searchsorted(np.asarray(ends), self.grid.t)
        self.count = len(ends) + 1
        self.share = self.sums(np.ones(len(self.grid.t)))
        self._near: State | None = None

    def sums(self, values: Array) -> Array:
        """E[values; cell] of every cell."""
        each = self.grid.weight * values
        return np.asarray(np.bincount(self.cell, each, minlength=self.count), dtype=np.float64)

    def mean(self, values: Array) -> Array:
        """E[values | cell] of every cell."""
        return self.sums(values) / self.share

    def error(self, u: Array) -> tuple[float, Array]:
        """The test error and its derivatives in (pi, log S), shape [2 cells]."""
        pi = np.clip(u[: self.count], 0, 1)[self.cell]
        weight = np.exp(u[self.count :])[self.cell]
        pi = np.where(pi < NOTHING, 0.0, pi)
        start = None if self._near is None else self._near.at.u
        state = self.model.solve(self.grid, pi, start, weight)
        if state is None:
            return 1.0, np.zeros(2 * self.count)
        self._near = state
        below, z, above = (
            self.model.derivative(state, self.grid.t, weight * (1 + step))
            for step in (-STEP, 0.0, STEP)
        )
        by_weight = pi * (above - below) / (2 * STEP)
        return state.error, np.concatenate([self.sums(z), self.sums(by_weight)])

    def descend(self, pi: Array, level: float, fraction: float) -> _End:
        """From pi and one weight for all to a stationary point."""
        self._near = None

        def scaled(u: Array) -> tuple[float, Array]:
            error, slope = self.error(u)
            return UNITS * error, UNITS * slope

        budget = np.concatenate([self.share, np.zeros(self.count)])
        constraint: Any = {
            "type": "eq",
            "fun": lambda u: budget @ u - fraction,
            "jac": lambda _: budget,
        }
        options: Any = {"maxiter": MOST_STEPS, "ftol": UNITS * PRECISION}
        answer: Any = minimize(
            scaled,
            np.concatenate([pi, np.full(self.count, level)]),
            jac=True,
            method="SLSQP",
            bounds=[(0.0, 1.0)] * self.count + [(-LOG_RANGE, LOG_RANGE)] * self.count,
            constraints=constraint,
            options=options,
        )
        pi = np.clip(answer.x[: self.count], 0, 1)
        return _End(answer.fun / UNITS, pi, np.exp(answer.x[self.count :]))


def _selection(end: _End, ends: tuple[float, ...], width: float) -> TabulatedSelection:
    """With jumps at the ends of cells; where nothing is kept the weight is 1."""
    pi = np.where(end.probabilities < NOTHING, 0.0, end.probabilities)
    weight = np.where(pi > 0, end.weights, 1.0)
    cells = [side for k in range(len(ends)) for side in (k, k + 1)]
    return TabulatedSelection(
        tuple(t + side * width / 2 for t in ends for side in (-1, 1)),
        tuple(map(float, pi[cells])),
        sample_weights=tuple(map(float, weight[cells])),
    )


def _quantile(law: ScoreLaw, probability: float) -> float:
    def excess(t: float) -> float:
        return law.probability_below(t) - probability

    return float(brentq(excess, -law.largest, law.largest, xtol=1e-14))
