"""Learning from a selected subset of real data: what labelled points of a population predict.

The equations stand in `theory.population_equations`. They see the n labelled points as the whole
population; two corrections undo what follows from that.

*Without the point itself.* A point is tested at the margin of a fit that has not seen it,

    m_i + (h_i / (1 - h_i E kappa)) E r,   h_i = pi_i N V_i / n,

one Newton step from the fit that has (Rad and Maleki 2020).

*Halving.* theta is found from n points, which makes the error too large by a term of order 1/n,
whatever N. Twice the error from all points less that from either half of them is free of it.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr

from theory.checks import InvalidFieldError, as_bool, as_count, as_instance, as_non_negative
from theory.losses import LogisticLoss, Loss
from theory.population_adjoint import error_and_derivative
from theory.population_equations import (
    TOLERANCE,
    Points,
    Rows,
    Setting,
    State,
    influence,
    log_losses,
    responses,
    solve,
)
from theory.solver import Status

Array = NDArray[np.float64]

LEAST_POINTS_PER_DIMENSION = 15.0
"""With fewer effective points per feature, halves of them are too few to be of help."""


RIDGE_FACTORS = (1e5, 1e4, 1e3, 1e2, 10.0, 1.0)
"""Where a prediction fails, it is reached from these multiples of its ridge."""


@dataclass(frozen=True, eq=False)
class PopulationPrediction:
    """What is predicted of a fit to a selected subset of a pool from the population.

    misclassification: test error, a probability. log_loss: test log loss, in nats.
    misclassification_sampling_error, log_loss_sampling_error: standard errors from the finite
        number of labelled points, which predictions from the same points have in common.
    coefficients: mean over pools, shape [p]; intercept: the same (0 without one).
    fraction: expected fraction of the pool that is selected. pool_size: N. ridge: lambda.
    points_per_dimension: effective number of labelled points per feature, (sum w)^2 / sum w^2 / p
        with w = pi_i S_i, their part in the fit: n/p where all have the same.
    halved: whether the bias of finite n was removed.
    residual: of the equations, relative; at most 1e-6 where solved. steps: how many were taken.
    status: how the solve ended. Where it is not CONVERGED the results are NaN.
    point_errors, point_log_losses: what every labelled point contributes, shape [n]: its own test,
        and what its weight in theta does to all tests. Their means are the predictions, their
        spread the sampling errors; differences of two predictions, point by point, judge a gain.
    """

    misclassification: float
    log_loss: float
    misclassification_sampling_error: float
    log_loss_sampling_error: float
    coefficients: Array = field(repr=False)
    intercept: float
    fraction: float
    pool_size: int
    ridge: float
    points_per_dimension: float
    halved: bool
    residual: float
    steps: int
    status: Status
    point_errors: Array = field(repr=False)
    point_log_losses: Array = field(repr=False)
    state: State = field(repr=False)

    @property
    def caution(self) -> str:
        """Why the prediction may be off, and a remedy; empty where nothing is known."""
        if self.points_per_dimension >= LEAST_POINTS_PER_DIMENSION:
            return ""
        return too_few_points(self.points_per_dimension)


def too_few_points(points_per_dimension: float) -> str:
    return (
        f"{points_per_dimension:.1f} labelled points per feature take part in the fit, too"
        f" few: below {LEAST_POINTS_PER_DIMENSION:.0f} the error comes out too large, by one or"
        " more points; label more, or keep fewer features (principal components)"
    )


def effective_number(part: Array) -> float:
    """How many points take part in a fit, from the part of each: (sum w)^2 / sum w^2.

    >>> effective_number(np.array([1.0, 1.0, 0.0]))
    2.0
    """
    total = float(part.sum())
    return total**2 / float(part @ part) if total > 0 else 0.0


class LabelledPoints:
    """Features of n labelled points, completed by a 1 for the intercept, and what is asked of them.

    size: n; dimension: p; design: shape [n, p] or, with an intercept, [n, p + 1].
    """

    def __init__(self, features: ArrayLike, fit_intercept: bool) -> None:
        x = _as_features(features)
        self.size, self.dimension = x.shape
        self.fit_intercept = as_bool("fit_intercept", fit_intercept)
        # Beside an intercept a shift of the features changes nothing; centred they are better
        # conditioned.
        self._centre = x.mean(axis=0) if fit_intercept else np.zeros(self.dimension)
        self.design = np.ones((self.size, self.dimension + self.fit_intercept))
        np.subtract(x, self._centre, out=self.design[:, : self.dimension])

    def setting(
        self,
        inclusion_probabilities: ArrayLike,
        pool_size: int,
        ridge: float,
        weights: ArrayLike | None,
    ) -> Setting:
        """The equations' setting; raises InvalidFieldError on values that they do not take."""
        name = "inclusion_probabilities"
        allowed = f"{self.size} numbers in [0, 1]"
        probability = _as_vector(name, inclusion_probabilities, self.size, allowed)
        if not ((probability >= 0) & (probability <= 1)).all():
            raise InvalidFieldError(name, _range(probability), allowed)
        weight, kept = np.ones(self.size), probability > 0
        if weights is not None:
            allowed = f"{self.size} numbers, finite and > 0 where inclusion_probabilities is > 0"
            given = _as_vector("weights", weights, self.size, allowed)[kept]
            if not (np.isfinite(given) & (given > 0)).all():
                raise InvalidFieldError("weights", _range(given), allowed)
            weight[kept] = given
        penalty = np.full(self.dimension + self.fit_intercept, as_non_negative("ridge", ridge))
        penalty[self.dimension :] = 0.0
        return Setting(probability, weight, as_count("pool_size", pool_size), penalty)

    def points_per_dimension(self, setting: Setting) -> float:
        """The effective number of points in the fit, over p."""
        return float(effective_number(setting.probability * setting.weight) / self.dimension)


class Population(LabelledPoints):
    """Labelled points for many predictions; arguments as in
    `theory.population_classes.predict_population`.

    >>> x = np.random.default_rng(0).standard_normal((400, 4))
    >>> population = Population(x, np.where(x[:, 0] > 0, 1.0, -1.0))
    >>> large = population.predict(np.ones(400), pool_size=200, ridge=0.01)
    >>> small = population.predict(np.ones(400), pool_size=100, ridge=0.01, start=large)
    >>> small.misclassification > large.misclassification
    True
    """

    def __init__(
        self,
        features: ArrayLike,
        labels: ArrayLike,
        loss: Loss | None = None,
        fit_intercept: bool = True,
    ) -> None:
        super().__init__(features, fit_intercept)
        self.labels = _as_labels(labels, self.size)
        loss = as_instance("loss", LogisticLoss() if loss is None else loss, Loss)
        self._points = Points(self.design, self.labels, loss)

    @property
    def points(self) -> Points:
        """Centred features with the intercept's column, labels and loss, as the equations see
        them."""
        return self._points

    @property
    def features(self) -> Array:
        """As given, shape [n, p]."""
        return np.asarray(self.design[:, : self.dimension] + self._centre)

    def intercept(self, theta: Array) -> float:
        """Of the features as given, from coefficients of the centred ones."""
        if not self.fit_intercept:
            return 0.0
        return float(theta[self.dimension] - self._centre @ theta[: self.dimension])

    def predict(
        self,
        inclusion_probabilities: ArrayLike,
        pool_size: int,
        ridge: float,
        weights: ArrayLike | None = None,
        halving: bool | None = None,
        start: Any = None,
    ) -> PopulationPrediction:
        """As `theory.population_classes.predict_population`.

        start: the prediction of a near setting, to begin from.
        """
        setting = self.setting(inclusion_probabilities, pool_size, ridge, weights)
        enough = self.points_per_dimension(setting) >= LEAST_POINTS_PER_DIMENSION
        halve = as_bool("halving", enough if halving is None else halving)
        status = self._selection_status(setting)
        if status is not Status.CONVERGED:
            return self._prediction(setting, status, _nothing(self.size), halve)
        near = None if start is None else self._start(start, setting.pool_size)
        outcome = _reached(self._points, setting, near)
        if halve and outcome.residual <= TOLERANCE:
            outcome = self._halved(setting, outcome)
        if not outcome.residual <= TOLERANCE:
            status = Status.NOT_CONVERGED
        return self._prediction(setting, status, outcome, halve)

    def derivative(
        self,
        prediction: PopulationPrediction,
        inclusion_probabilities: ArrayLike,
        weights: ArrayLike | None = None,
    ) -> Array:
        """Change of the misclassification, without halving, by every pi_i, shape [n].

        prediction: of these probabilities and weights, which stay fixed. Where it is no solution
        the derivatives are NaN. Raises ArithmeticError where the adjoint is not solved.
        Source: `theory.population_adjoint`.

        >>> x = np.random.default_rng(0).standard_normal((400, 4))
        >>> population = Population(x, np.where(x[:, 0] > 0, 1.0, -1.0))
        >>> half = np.full(400, 0.5)
        >>> prediction = population.predict(half, pool_size=200, ridge=0.01)
        >>> bool(population.derivative(prediction, half).sum() < 0)  # more of all is better
        True
        """
        setting = self.setting(
            inclusion_probabilities, prediction.pool_size, prediction.ridge, weights
        )
        if prediction.status is not Status.CONVERGED:
            return np.full(self.size, math.nan)
        return error_and_derivative(self._points, setting, prediction.state)[1]

    def _selection_status(self, setting: Setting) -> Status:
        """Whether the selection can be learned from."""
        kept = setting.probability > 0
        if not kept.any():
            return Status.EMPTY_SELECTION
        if self.fit_intercept and np.ptp(self.labels[kept]) == 0:
            return Status.ONE_CLASS
        return Status.CONVERGED

    def _start(self, start: Any, pool_size: int) -> State | None:
        """The state to begin from: V_i and sigma_i^2 are roughly as 1/N."""
        allowed = "a prediction of this population"
        if not isinstance(start, PopulationPrediction):
            raise InvalidFieldError("start", type(start).__name__, allowed)
        if start.status is not Status.CONVERGED:
            return None
        state, d = start.state, self._points.design.shape[1]
        if state.theta.shape != (d,) or state.v.shape != (self.size,):
            raise InvalidFieldError("start", start, allowed)
        factor = start.pool_size / pool_size
        return State(state.theta, state.v * factor, state.variance * factor)

    def _halved(self, setting: Setting, whole: "_Outcome") -> "_Outcome":
        """Twice the outcome of all points less that of the half to which a point belongs."""
        errors, losses = 2 * whole.errors, 2 * whole.losses
        residual, steps = whole.residual, whole.steps
        for half in halves_of(self.labels, setting.probability):
            part = _reached(self._points.of(half), setting.of(half), whole.state.of(half))
            errors[half] -= part.errors
            losses[half] -= part.losses
            residual, steps = float(np.maximum(residual, part.residual)), steps + part.steps
        return _Outcome(whole.state, errors, losses, residual, steps)

    def _prediction(
        self, setting: Setting, status: Status, outcome: "_Outcome", halved: bool
    ) -> PopulationPrediction:
        if status is not Status.CONVERGED:
            outcome = _nothing(self.size)._replace(residual=outcome.residual, steps=outcome.steps)
        state, n, p = outcome.state, self.size, self.dimension
        coefficients = state.theta[:p] if state.theta.size else np.full(p, math.nan)
        intercept = self.intercept(state.theta) if status is Status.CONVERGED else math.nan
        return PopulationPrediction(
            misclassification=float(outcome.errors.mean()),
            log_loss=float(outcome.losses.mean()),
            misclassification_sampling_error=float(outcome.errors.std() / math.sqrt(n)),
            log_loss_sampling_error=float(outcome.losses.std() / math.sqrt(n)),
            coefficients=coefficients,
            intercept=intercept,
            fraction=float(setting.probability.mean()),
            pool_size=setting.pool_size,
            ridge=float(setting.penalty[0]),
            points_per_dimension=self.points_per_dimension(setting),
            halved=halved,
            residual=outcome.residual,
            steps=outcome.steps,
            status=status,
            point_errors=outcome.errors,
            point_log_losses=outcome.losses,
            state=state,
        )


class _Outcome(NamedTuple):
    """A solved state and every point's contributions to test error and log loss, shape [n]."""

    state: State
    errors: Array
    losses: Array
    residual: float
    steps: int

    @property
    def near(self) -> State | None:
        """What a solve beside it may start from."""
        return self.state if self.residual <= TOLERANCE else None


def _nothing(size: int) -> _Outcome:
    nan = np.full(size, math.nan)
    return _Outcome(State(np.empty(0), nan, nan), nan, nan, math.nan, 0)


def _outcome(points: Points, setting: Setting, start: State | None) -> _Outcome:
    """Solve, and test every point without itself; add what it does to the others' tests."""
    found = solve(points, setting, start)
    state, residual, steps = found.state, found.residual, found.steps
    if not residual <= TOLERANCE:
        return _nothing(len(points.labels))._replace(residual=residual, steps=steps)
    margin, deviation = points.labels * (points.design @ state.theta), np.sqrt(state.variance)
    r = responses(margin, deviation, state.v, setting.weight, points.loss)
    h = setting.probability * setting.pool_size * state.v / len(margin)
    margin += h / (1 - h * r.curvature) * r.slope
    t = margin / deviation
    by_margin = -np.exp(-(t**2) / 2) / (math.sqrt(2 * math.pi) * deviation)
    errors = ndtr(-t) + influence(points, setting, found, r, by_margin)
    losses, by_margin = log_losses(margin, deviation)
    losses += influence(points, setting, found, r, by_margin)
    return _Outcome(state, errors, losses, residual, steps)


def _reached(points: Points, setting: Setting, start: State | None) -> _Outcome:
    """The outcome from a start; failing that, by way of larger ridges."""

    def solve_at(factor: float, near: State | None) -> _Outcome:
        return _outcome(points, setting._replace(penalty=factor * setting.penalty), near)

    outcome, steps = by_larger_ridges(solve_at, start, bool(setting.penalty.any()))
    return outcome._replace(steps=steps)


class Reached(Protocol):
    """Where a solve ended. near: what one beside it may start from; None where unsolved."""

    @property
    def near(self) -> Any: ...

    @property
    def steps(self) -> int: ...


R = TypeVar("R", bound=Reached)


def by_larger_ridges(
    solve_at: Callable[[float, Any], R], start: Any, ridged: bool
) -> tuple[R, int]:
    """The outcome from a start, or else by way of larger ridges, and the steps of all solves.

    solve_at: from a multiple of the ridge, and a start or None. ridged: whether there is a ridge.
    Larger ridges are easier: nearly separable data need it.
    """
    outcome = solve_at(1.0, start)
    if outcome.near is not None:
        return outcome, outcome.steps
    steps, near = outcome.steps, None
    for factor in RIDGE_FACTORS if ridged else (1.0,):
        outcome = solve_at(factor, near)
        near, steps = outcome.near, steps + outcome.steps
    return outcome, steps


def halves_of(labels: NDArray[Any], probability: Array) -> tuple[Rows, Rows]:
    """Two halves of the points, alike in labels and inclusion probabilities."""
    order = np.lexsort((probability, labels))
    first = np.isin(np.arange(len(order)) % 4, (0, 3))
    return np.sort(order[first]), np.sort(order[~first])


def _as_features(features: ArrayLike) -> Array:
    allowed = "an array of finite numbers of shape [n >= 2, p >= 1]"
    try:
        x = np.asarray(features, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        raise InvalidFieldError("features", type(features).__name__, allowed) from None
    if x.ndim != 2 or x.shape[0] < 2 or x.shape[1] < 1:
        raise InvalidFieldError("features.shape", x.shape, allowed)
    if not np.isfinite(x).all():
        raise InvalidFieldError("features", "NaN or infinite somewhere", allowed)
    return x


def _as_labels(labels: ArrayLike, size: int) -> Array:
    allowed = f"{size} numbers, each -1 or +1 (2 y - 1 makes them of 0 and 1)"
    y = _as_vector("labels", labels, size, allowed)
    wrong = y[np.abs(y) != 1]
    if wrong.size:
        raise InvalidFieldError("labels", float(wrong[0]), allowed)
    return y


def _as_vector(name: str, values: ArrayLike, size: int, allowed: str) -> Array:
    try:
        vector = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        raise InvalidFieldError(name, type(values).__name__, allowed) from None
    if vector.shape != (size,):
        raise InvalidFieldError(f"{name}.shape", vector.shape, allowed)
    return vector


def _range(values: Array) -> str:
    return f"numbers from {values.min():.4g} to {values.max():.4g}"
