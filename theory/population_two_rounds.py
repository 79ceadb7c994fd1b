"""Learning in two rounds on real features: what a random sample and a selected one predict.

The equations stand in `theory.population_two_rounds_equations`. Points are tested without
themselves, and halved, as in `theory.population`.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr

from theory.checks import InvalidFieldError, as_bool, as_count, as_instance, as_non_negative
from theory.kinds import Selection
from theory.losses import LogisticLoss, Loss
from theory.population import (
    LEAST_POINTS_PER_DIMENSION,
    Population,
    PopulationPrediction,
    by_larger_ridges,
    effective_number,
    halves_of,
)
from theory.population_curves import Setting as CurveSetting
from theory.population_equations import (
    TOLERANCE,
    Points,
    Rows,
    Setting,
    State,
    log_losses,
)
from theory.population_two_rounds_equations import (
    FirstRound,
    Memory,
    SecondRound,
    SecondSetting,
    first_round,
    influence_of_points,
    left_out,
)
from theory.score import EmptySelectionError
from theory.solver import Status

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class TwoRoundPrediction(PopulationPrediction):
    """What is predicted of a fit to a surrogate's sample and to what it selects from a pool.

    Fields of `PopulationPrediction`, averaged over draws of the surrogate too, and:
    first: what is predicted of the surrogate. samples: N_A, of its labels. reuse: their weight w.
    fraction: mean of pi(t) over points and draws of the surrogate. ridge: relative to N_A +
    pool_size where reuse > 0, to pool_size where it is 0.
    """

    first: PopulationPrediction
    samples: int
    reuse: float
    memory: Memory = field(repr=False)


def predict_population_two_rounds(
    features: ArrayLike,
    labels: ArrayLike,
    selection: Selection,
    pool_size: int,
    ridge: float,
    surrogate_samples: int,
    surrogate_ridge: float,
    reuse: float = 0.0,
    loss: Loss | None = None,
    surrogate_loss: Loss | None = None,
    fit_intercept: bool = True,
    halving: bool | None = None,
) -> TwoRoundPrediction:
    """Test error of a linear model trained on the labels of its surrogate and on selected ones.

    features: shape [n, p], finite. labels: -1 or +1, shape [n].
    selection: a rule of the score, such as PowerSelection(1.0, 0.2).
    pool_size: N_B >= 1, to select from. ridge: >= 0, relative to N_A + N_B, or N_B if reuse is 0.
    surrogate_samples: N_A >= 2, labels bought at random, which train the surrogate (with an
        intercept); surrogate_ridge: >= 0, relative to these. Either may exceed n.
    reuse: w >= 0, the weight of the surrogate's labels in the final fit.
    loss, surrogate_loss: logistic by default. fit_intercept, halving: as in `predict_population`.
    Returns averages over draws of both samples. Raises InvalidFieldError, a ValueError, on other
    values; a point that cannot be solved comes back with a status and NaN.
    Source: see `theory.population_two_rounds_equations`.

    >>> from theory.selection import TopSelection
    >>> x = np.random.default_rng(0).standard_normal((600, 8))
    >>> y = np.where(x[:, 0] + 0.3 * x[:, 1] ** 2 > 0.3, 1.0, -1.0)
    >>> hardest = TopSelection("hard", 0.1)
    >>> without, again = (
    ...     predict_population_two_rounds(x, y, hardest, 300, 0.01, 60, 0.01, reuse=w)
    ...     for w in (0, 1)
    ... )
    >>> again.misclassification < without.misclassification
    True
    """
    population = Population(features, labels, loss, fit_intercept)
    surrogate = PopulationSurrogate(population, surrogate_samples, surrogate_ridge, surrogate_loss)
    return surrogate.predict(selection, pool_size, ridge, reuse, halving)


class PopulationSurrogate:
    """A surrogate that is trained on labels of a population, for many predictions.

    Arguments as in `predict_population_two_rounds`. first: what is predicted of it.

    >>> from theory.selection import PowerSelection
    >>> x = np.random.default_rng(0).standard_normal((400, 4))
    >>> population = Population(x, np.where(x[:, 0] > 0, 1.0, -1.0))
    >>> surrogate = PopulationSurrogate(population, samples=40, ridge=0.01)
    >>> found = surrogate.predict(PowerSelection(1.0, 0.5), 200, 0.01, reuse=1.0)
    >>> found.misclassification < surrogate.first.misclassification, round(found.fraction, 3)
    (True, 0.5)
    """

    def __init__(
        self, population: Population, samples: int, ridge: float, loss: Loss | None = None
    ) -> None:
        as_instance("population", population, Population)
        self.samples = as_count("surrogate_samples", samples, least=2)
        self.ridge = as_non_negative("surrogate_ridge", ridge)
        loss = as_instance("surrogate_loss", LogisticLoss() if loss is None else loss, Loss)
        self._population = own = population
        if not own.fit_intercept or loss != own.points.loss:
            own = Population(own.features, own.labels, loss)
        self._points, n = own.points, own.size
        penalty = np.full(own.dimension + 1, self.ridge)
        penalty[-1] = 0.0
        self._setting = Setting(np.ones(n), np.ones(n), self.samples, penalty)
        self.first = own.predict(np.ones(n), self.samples, self.ridge)
        if self.first.status is Status.CONVERGED:
            self._whole = self._first(np.arange(n))
            halves = halves_of(own.labels, np.zeros(n))
            self._halves = [(rows, self._first(rows)) for rows in halves]

    def _first(self, rows: Rows) -> FirstRound:
        near = self.first.state.of(rows)
        return first_round(self._points.of(rows), self._setting.of(rows), near)

    def predict(
        self,
        selection: Selection,
        pool_size: int,
        ridge: float,
        reuse: float = 0.0,
        halving: bool | None = None,
        start: TwoRoundPrediction | None = None,
    ) -> TwoRoundPrediction:
        """As `predict_population_two_rounds`; start: the prediction of a near setting, to begin
        from."""
        as_instance("selection", selection, Selection)
        if not selection.has_theory:
            raise InvalidFieldError("selection", selection, "a rule of the score alone")
        asked = _Asked(
            selection,
            as_count("pool_size", pool_size),
            as_non_negative("ridge", ridge),
            as_non_negative("reuse", reuse),
        )
        status = self.first.status
        outcome = _nothing(self._population.size)
        if status is Status.CONVERGED:
            try:
                outcome, status = self._solved(asked, start)
            except EmptySelectionError:
                status = Status.EMPTY_SELECTION
        enough = self._points_per_dimension(outcome.part) >= LEAST_POINTS_PER_DIMENSION
        halve = as_bool("halving", enough if halving is None else halving)
        if halve and status is Status.CONVERGED:
            outcome, status = self._halved(asked, outcome)
        return self._prediction(asked, status, outcome, halve)

    def _solved(
        self, asked: "_Asked", start: TwoRoundPrediction | None
    ) -> tuple["_Outcome", Status]:
        near = None
        if start is not None:
            if start.memory.v.shape != (self._population.size,) or start.samples != self.samples:
                raise InvalidFieldError("start", start, "a prediction of this surrogate")
            alike = (start.reuse > 0) == (asked.reuse > 0)
            if start.status is Status.CONVERGED and alike:
                near = start.memory
        outcome = self._reached(self._whole, self._population.points, asked, near)
        return outcome, outcome.status

    def _halved(self, asked: "_Asked", whole: "_Outcome") -> tuple["_Outcome", Status]:
        """Twice the outcome of all points less that of the half to which a point belongs."""
        errors, losses = 2 * whole.errors, 2 * whole.losses
        residual, steps, status = whole.residual, whole.steps, whole.status
        for rows, first in self._halves:
            points = self._population.points.of(rows)
            part = self._reached(first, points, asked, whole.memory.of(rows))
            errors[rows] -= part.errors
            losses[rows] -= part.losses
            residual, steps = float(np.maximum(residual, part.residual)), steps + part.steps
            status = part.status if part.status is not Status.CONVERGED else status
        changed = whole._replace(errors=errors, losses=losses, residual=residual, steps=steps)
        return changed, status

    def _reached(
        self, first: FirstRound, points: Points, asked: "_Asked", start: Memory | None
    ) -> "_Outcome":
        """The outcome from a start; failing that, by way of larger ridges."""

        def solve_at(factor: float, near: Memory | None) -> _Outcome:
            return self._outcome(first, points, asked, factor, near)

        outcome, steps = by_larger_ridges(solve_at, start, bool(asked.ridge))
        return outcome._replace(steps=steps)

    def _outcome(
        self,
        first: FirstRound,
        points: Points,
        asked: "_Asked",
        factor: float,
        start: Memory | None,
    ) -> "_Outcome":
        """Solve, and test every point without itself; add what it does to the others' tests."""
        n, d = points.design.shape
        if not first.found.residual <= TOLERANCE:
            return _nothing(n)
        penalty = np.full(d, factor * asked.ridge)
        penalty[self._population.dimension :] = 0.0
        rule, reweight = first.fitted(asked.selection), asked.selection.reweight
        setting = SecondSetting(rule, reweight, asked.reuse, asked.pool_size, penalty)
        second = SecondRound(first, points, setting)
        found = second.solve(start)
        if not found.residual <= TOLERANCE:
            return _nothing(n)._replace(residual=found.residual, steps=found.steps)
        state = found.state
        margin = left_out(first, second, found)
        deviation = np.sqrt(state.own_variance + state.slope**2 * first.variance)
        t = margin / deviation
        by_margin = -np.exp(-(t**2) / 2) / (math.sqrt(2 * math.pi) * deviation)
        errors = ndtr(-t) + influence_of_points(first, second, found, by_margin)
        losses, by_margin = log_losses(margin, deviation)
        losses += influence_of_points(first, second, found, by_margin)
        f_a, f_b = found.shares
        return _Outcome(
            state,
            State(state.theta, state.v, deviation**2),
            errors,
            losses,
            f_a * asked.reuse + f_b * second.mass,
            float(found.probability.mean()),
            found.residual,
            found.steps,
            Status.CONVERGED,
        )

    def _points_per_dimension(self, part: Array) -> float:
        return float(effective_number(part) / self._population.dimension)

    def _prediction(
        self, asked: "_Asked", status: Status, outcome: "_Outcome", halved: bool
    ) -> TwoRoundPrediction:
        n, p = self._population.size, self._population.dimension
        if status is not Status.CONVERGED:
            outcome = _nothing(n)._replace(residual=outcome.residual, steps=outcome.steps)
        theta = outcome.memory.theta
        solved = status is Status.CONVERGED
        return TwoRoundPrediction(
            misclassification=float(outcome.errors.mean()),
            log_loss=float(outcome.losses.mean()),
            misclassification_sampling_error=float(outcome.errors.std() / math.sqrt(n)),
            log_loss_sampling_error=float(outcome.losses.std() / math.sqrt(n)),
            coefficients=theta[:p] if solved else np.full(p, math.nan),
            intercept=self._population.intercept(theta) if solved else math.nan,
            fraction=outcome.fraction,
            pool_size=asked.pool_size,
            ridge=asked.ridge,
            points_per_dimension=self._points_per_dimension(outcome.part),
            halved=halved,
            residual=outcome.residual,
            steps=outcome.steps,
            status=status,
            point_errors=outcome.errors,
            point_log_losses=outcome.losses,
            state=outcome.state,
            first=self.first,
            samples=self.samples,
            reuse=asked.reuse,
            memory=outcome.memory,
        )


def predict_second_rounds(
    surrogate: PopulationSurrogate,
    settings: Iterable[CurveSetting],
    reuse: float,
    halving: bool | None = None,
) -> Iterator[tuple[CurveSetting, TwoRoundPrediction]]:
    """As `theory.population_curves.predict_settings`, with the surrogate's labels used again.

    Each begins from the solution before it where the selection is the same.
    """
    previous: tuple[CurveSetting, TwoRoundPrediction] | None = None
    for setting in settings:
        near = None
        if previous is not None and previous[0].selection == setting.selection:
            near = previous[1]
        selection, size, ridge = setting
        found = surrogate.predict(selection, size, ridge, reuse, halving, near)
        previous = setting, found
        yield previous


class _Asked(NamedTuple):
    """One setting of the second round."""

    selection: Selection
    pool_size: int
    ridge: float
    reuse: float


class _Outcome(NamedTuple):
    """A solved second round; contributions of points to test error and log loss and their part in
    the fit, shape [n]."""

    memory: Memory
    state: State
    errors: Array
    losses: Array
    part: Array
    fraction: float
    residual: float
    steps: int
    status: Status

    @property
    def near(self) -> Memory | None:
        """What a solve beside it may start from."""
        return self.memory if self.status is Status.CONVERGED else None


def _nothing(size: int) -> _Outcome:
    nan = np.full(size, math.nan)
    memory = Memory(np.empty(0), nan, nan, nan, nan)
    state = State(np.empty(0), nan, nan)
    return _Outcome(memory, state, nan, nan, nan, math.nan, math.nan, 0, Status.NOT_CONVERGED)
