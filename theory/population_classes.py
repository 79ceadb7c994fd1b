"""Learning from a selected subset of real data of K classes, predicted from labelled points.

As `theory.population` does for two, with the equations of `theory.population_classes_equations`. A
point is tested at the outputs of a fit that has not seen it,

    m_i + (1 - h_i E kappa)^-1 h_i E r,   h_i = pi_i N V_i / n,

and the bias of finite n is removed by halving.
"""

import math
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import log_softmax, ndtr, softmax

from theory.checks import InvalidFieldError, as_bool, as_count
from theory.losses import LogisticLoss, Loss
from theory.population import (
    LEAST_POINTS_PER_DIMENSION,
    LabelledPoints,
    Population,
    PopulationPrediction,
    by_larger_ridges,
    halves_of,
    too_few_points,
)
from theory.population_classes_equations import (
    TOLERANCE,
    ClassFound,
    ClassPoints,
    ClassState,
    full,
    orthonormal_contrasts,
    outputs,
    pieces,
    random_nodes,
    solve_classes,
)
from theory.population_equations import Rows, Setting
from theory.solver import Status

Array = NDArray[np.float64]

NODE_PAIRS = 8
"""Of every point."""

HANDFUL = 10
"""Labels of a class below which a prediction says so."""


@dataclass(frozen=True, eq=False)
class ClassesPrediction:
    """What is predicted of a softmax fit to a selected subset of a pool from the population.

    classes: the K labels, sorted. misclassification, log_loss (nats) and their sampling errors: as
        in `PopulationPrediction`.
    class_errors: of every class, shape [K]; confusion: the probability that a point of one class
        (row) is taken for another (column), shape [K, K]; both with sampling errors.
    coefficients, intercepts: mean over pools, shapes [K, p] and [K]; each sums to 0 over classes.
    fraction, pool_size, ridge, points_per_dimension, halved, residual, steps, status: as in
        `PopulationPrediction`; a residual is at most 1e-4 where solved.
    point_errors, point_log_losses: contributions of every labelled point, shape [n].
    rare: names of classes with fewer than ten points that take part in the fit.
    """

    classes: NDArray[Any]
    misclassification: float
    log_loss: float
    misclassification_sampling_error: float
    log_loss_sampling_error: float
    class_errors: Array
    class_error_sampling_errors: Array
    confusion: Array = field(repr=False)
    confusion_sampling_errors: Array = field(repr=False)
    coefficients: Array = field(repr=False)
    intercepts: Array = field(repr=False)
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
    rare: tuple[str, ...]
    state: ClassState = field(repr=False)

    @property
    def caution(self) -> str:
        """Why the prediction may be off, and a remedy; empty where nothing is known."""
        reasons = []
        if self.points_per_dimension < LEAST_POINTS_PER_DIMENSION:
            reasons.append(too_few_points(self.points_per_dimension))
        if self.rare:
            reasons.append(
                f"fewer than {HANDFUL} labelled points of {', '.join(self.rare)} take part in the"
                " fit: their errors are hardly known; label more of them, or merge classes"
            )
        return "; ".join(reasons)


class ClassPopulation(LabelledPoints):
    """Labelled points of K >= 2 classes for many predictions.

    features: shape [n, p], finite. labels: of any one kind, shape [n], none missing.
    fit_intercept: whether intercepts, not penalised, are fitted. node_pairs: half the number of
    quadrature nodes of a point.
    The loss is that of softmax regression, the penalty (ridge / 2) |Theta|^2 on the coefficients of
    all classes, as in scikit-learn's LogisticRegression with C = 1/(ridge N). For K = 2 it is
    `Population` with half the ridge.
    Raises InvalidFieldError, a ValueError, on other values.

    >>> x = np.random.default_rng(0).standard_normal((300, 3))
    >>> population = ClassPopulation(x, np.array(["cat", "dog", "cow"])[x.argmax(axis=1)])
    >>> large = population.predict(np.ones(300), pool_size=200, ridge=0.01)
    >>> small = population.predict(np.ones(300), pool_size=50, ridge=0.01, start=large)
    >>> small.misclassification > large.misclassification, small.confusion.shape
    (True, (3, 3))
    """

    def __init__(
        self,
        features: ArrayLike,
        labels: ArrayLike,
        fit_intercept: bool = True,
        node_pairs: int = NODE_PAIRS,
    ) -> None:
        super().__init__(features, fit_intercept)
        self.classes, self.members = as_classes(labels, self.size)
        # What settings are compared and folds are stratified by.
        self.labels = self.members
        k = len(self.classes) - 1
        self._points = ClassPoints(
            self.design,
            self.members,
            orthonormal_contrasts(k + 1),
            random_nodes(self.size, k, as_count("node_pairs", node_pairs)),
        )

    def predict(
        self,
        inclusion_probabilities: ArrayLike,
        pool_size: int,
        ridge: float,
        weights: ArrayLike | None = None,
        halving: bool | None = None,
        start: Any = None,
    ) -> ClassesPrediction:
        """As `predict_population`; start: the prediction of a near setting, to begin from.

        By default halving is off where a class has fewer than ten points in the fit, or its halves
        are not solved.
        """
        setting = self.setting(inclusion_probabilities, pool_size, ridge, weights)
        present = np.bincount(self.members[setting.probability > 0], minlength=len(self.classes))
        enough = self.points_per_dimension(setting) >= LEAST_POINTS_PER_DIMENSION
        by_default = enough and bool(present.min() >= HANDFUL)
        halve = as_bool("halving", by_default if halving is None else halving)
        status = self._selection_status(present)
        if status is not Status.CONVERGED:
            return self._prediction(setting, status, self._nothing(), halve, present)
        near = None if start is None else self._start(start, setting.pool_size)
        outcome = self._reached(self._points, setting, near)
        if halve and outcome.residual <= TOLERANCE:
            halved = self._halved(setting, outcome)
            halve = halving is not None or halved.residual <= TOLERANCE
            outcome = halved if halve else outcome
        if not outcome.residual <= TOLERANCE:
            status = Status.NOT_CONVERGED
        return self._prediction(setting, status, outcome, halve, present)

    def _selection_status(self, present: Rows) -> Status:
        if not present.any():
            return Status.EMPTY_SELECTION
        if self.fit_intercept and not present.all():
            return Status.ONE_CLASS if np.count_nonzero(present) == 1 else Status.CLASS_LEFT_OUT
        return Status.CONVERGED

    def _start(self, start: Any, pool_size: int) -> ClassState | None:
        """The state to begin from: V_i and Sigma_i are roughly as 1/N."""
        allowed, k = "a prediction of this population", len(self.classes) - 1
        if not isinstance(start, ClassesPrediction):
            raise InvalidFieldError("start", type(start).__name__, allowed)
        state = start.state
        if start.status is not Status.CONVERGED:
            return None
        if state.theta.shape != (k, self.design.shape[1]) or len(state.v) != self.size:
            raise InvalidFieldError("start", start, allowed)
        factor = start.pool_size / pool_size
        return ClassState(state.theta, state.v * factor, state.variance * factor)

    def _reached(
        self, points: ClassPoints, setting: Setting, start: ClassState | None
    ) -> "_Outcome":
        """The outcome from a start; failing that, by way of larger ridges."""

        def solve_at(factor: float, near: ClassState | None) -> _Outcome:
            return _outcome(points, setting._replace(penalty=factor * setting.penalty), near)

        outcome, steps = by_larger_ridges(solve_at, start, bool(setting.penalty.any()))
        return outcome._replace(steps=steps)

    def _halved(self, setting: Setting, whole: "_Outcome") -> "_Outcome":
        """Twice the outcome of all points less that of the half to which a point belongs."""
        joint, losses = 2 * whole.joint, 2 * whole.losses
        residual, steps = whole.residual, whole.steps
        for half in halves_of(self.members, setting.probability):
            part = self._reached(self._points.of(half), setting.of(half), whole.state.of(half))
            joint[half] -= part.joint
            losses[half] -= part.losses
            residual, steps = float(np.maximum(residual, part.residual)), steps + part.steps
        return _Outcome(whole.state, joint, losses, residual, steps)

    def _nothing(self) -> "_Outcome":
        return _nothing(self._points)

    def _prediction(
        self, setting: Setting, status: Status, outcome: "_Outcome", halved: bool, present: Rows
    ) -> ClassesPrediction:
        if status is not Status.CONVERGED:
            outcome = self._nothing()._replace(residual=outcome.residual, steps=outcome.steps)
        n, p, joint = self.size, self.dimension, outcome.joint
        theta = self._points.basis @ outcome.state.theta
        intercepts = np.zeros(len(self.classes))
        if self.fit_intercept:
            intercepts = theta[:, p] - theta[:, :p] @ self._centre
        elif status is not Status.CONVERGED:
            intercepts += math.nan
        off = ~np.eye(len(self.classes), dtype=bool)
        errors = joint[:, off].sum(axis=1)
        share = np.bincount(self.members) / n
        confusion = joint.mean(axis=0) / share[:, None]
        own = np.eye(len(self.classes))[self.members]
        about = (joint - own[:, :, None] * confusion) / share[:, None]
        wrong = np.where(off, about, 0.0).sum(axis=2)
        return ClassesPrediction(
            classes=self.classes,
            misclassification=float(errors.mean()),
            log_loss=float(outcome.losses.mean()),
            misclassification_sampling_error=float(errors.std() / math.sqrt(n)),
            log_loss_sampling_error=float(outcome.losses.std() / math.sqrt(n)),
            class_errors=np.where(off, confusion, 0.0).sum(axis=1),
            class_error_sampling_errors=wrong.std(axis=0) / math.sqrt(n),
            confusion=confusion,
            confusion_sampling_errors=about.std(axis=0) / math.sqrt(n),
            coefficients=theta[:, :p],
            intercepts=intercepts,
            fraction=float(setting.probability.mean()),
            pool_size=setting.pool_size,
            ridge=float(setting.penalty[0]),
            points_per_dimension=self.points_per_dimension(setting),
            halved=halved,
            residual=outcome.residual,
            steps=outcome.steps,
            status=status,
            point_errors=errors,
            point_log_losses=outcome.losses,
            rare=tuple(str(c) for c in self.classes[present < HANDFUL]),
            state=outcome.state,
        )


AnyPopulation = Population | ClassPopulation
AnyPrediction = PopulationPrediction | ClassesPrediction


def predict_population(
    features: ArrayLike,
    labels: ArrayLike,
    inclusion_probabilities: ArrayLike,
    pool_size: int,
    ridge: float,
    weights: ArrayLike | None = None,
    loss: Loss | None = None,
    fit_intercept: bool = True,
    halving: bool | None = None,
) -> AnyPrediction:
    """Test error of a linear model trained on a subset of a pool that is like the given points.

    features: shape [n, p], finite. labels: shape [n], of two or more classes, of any one
        kind. Two are -1 and +1 in sorted order, and the model is fitted with one logit; more are
        fitted by softmax regression, see `ClassPopulation`.
    inclusion_probabilities: pi_i in [0, 1], shape [n], from any score of the features.
    pool_size: N >= 1, the size of the pools; it may exceed n.
    ridge: lambda >= 0, relative to the loss averaged over all N (scikit-learn's C is 1/(lambda N)).
    weights: S_i > 0 of a point when selected, shape [n]; 1 by default, 1/pi_i is unbiased.
    loss: logistic by default, and no other for three classes or more.
    fit_intercept: whether an intercept, not penalised, is fitted.
    halving: whether to remove the bias of finite n; by default, where the effective number of
        points per feature is 15 or more. It takes twice the time and raises the sampling error by a
        tenth or so; with fewer points, such as few of the hardest, errors come out much too small.
    Raises InvalidFieldError, a ValueError, on other values; a point that cannot be solved comes
    back with a status and NaN. Below 15 points per feature it carries a ``caution``.
    Source: see `theory.population_equations`.

    >>> generator = np.random.default_rng(0)
    >>> x = np.maximum(generator.standard_normal((600, 3)) @ generator.standard_normal((3, 8)), 0)
    >>> y = np.where(x[:, 0] > x[:, 1], 1.0, -1.0)
    >>> few, many = (predict_population(x, y, np.ones(600), n, ridge=0.01) for n in (30, 300))
    >>> few.misclassification > many.misclassification
    True
    """
    population = make_population(features, labels, loss, fit_intercept)
    return population.predict(inclusion_probabilities, pool_size, ridge, weights, halving)


def make_population(
    features: ArrayLike, labels: ArrayLike, loss: Loss | None = None, fit_intercept: bool = True
) -> AnyPopulation:
    """A `Population` where labels have two values, of any kind; else a `ClassPopulation`.

    >>> x = np.array([[0.0], [1.0], [2.0]])
    >>> make_population(x, ["no", "yes", "no"]).labels
    array([-1.,  1., -1.])
    """
    count = LabelledPoints(features, fit_intercept).size
    classes, members = as_classes(labels, count)
    if len(classes) == 2:
        return Population(features, 2.0 * members - 1, loss, fit_intercept)
    if loss is not None and not isinstance(loss, LogisticLoss):
        allowed = f"LogisticLoss(), or None, for {len(classes)} classes"
        raise InvalidFieldError("loss", loss, allowed)
    return ClassPopulation(features, labels, fit_intercept)


class _Outcome(NamedTuple):
    """A solved state and every point's contributions to the tests.

    joint: to the probability of every true (row) and predicted class (column), shape [n, K, K].
    losses: to the log loss, shape [n].
    """

    state: ClassState
    joint: Array
    losses: Array
    residual: float
    steps: int

    @property
    def near(self) -> ClassState | None:
        """What a solve beside it may start from."""
        return self.state if self.residual <= TOLERANCE else None


def _nothing(points: ClassPoints) -> _Outcome:
    n, (classes, k) = len(points.members), points.basis.shape
    state = ClassState(
        np.full((k, points.design.shape[1]), math.nan),
        *np.full((2, n, k * (k + 1) // 2), math.nan),
    )
    return _Outcome(
        state, np.full((n, classes, classes), math.nan), np.full(n, math.nan), math.nan, 0
    )


def _outcome(points: ClassPoints, setting: Setting, start: ClassState | None) -> _Outcome:
    """Solve, and test every point without itself; add what it does to the others' tests."""
    found = solve_classes(points, setting, start)
    state, n = found.state, len(points.members)
    if not found.residual <= TOLERANCE:
        return _nothing(points)._replace(residual=found.residual, steps=found.steps)
    classes, k = points.basis.shape
    shift = _without_itself(setting, found, k)
    taken, losses = np.empty((n, classes)), np.empty(n)
    d_taken, d_loss = np.empty((n, classes, k)), np.empty((n, k))
    for rows in pieces(n, 8 * 8 * points.nodes.shape[1] * classes * classes):
        z, root = outputs(points, state, rows)
        z += shift[rows, None, :]
        own, o = points.members[rows], z @ points.basis.T
        losses[rows] = -log_softmax(o, axis=2)[np.arange(len(own)), :, own].mean(axis=1)
        d_loss[rows] = (softmax(o, axis=2).mean(axis=1)) @ points.basis - points.basis[own]
        g = points.nodes[rows].astype(np.float64)
        taken[rows], d_taken[rows] = predicted_classes(z, g, root, points.basis)
    is_own = np.eye(classes)[points.members]
    joint = is_own[:, :, None] * taken[:, None, :]
    by_output = np.concatenate(
        [(is_own[:, :, None, None] * d_taken[:, None]).reshape(n, -1, k), d_loss[:, None]], axis=1
    )
    effect = _influence(points, setting, found, by_output)
    joint += effect[:, :-1].reshape(joint.shape)
    return _Outcome(state, joint, losses + effect[:, -1], found.residual, found.steps)


def _without_itself(setting: Setting, found: ClassFound, k: int) -> Array:
    """What leaving a point out does to its outputs, shape [n, k]."""
    part = setting.probability * setting.pool_size / len(setting.probability)
    h = part[:, None, None] * full(found.state.v, k)
    kappa = full(found.responses.curvature, k)
    pushed = np.einsum("iab,ib->ia", h, found.responses.slope)
    return np.asarray(np.linalg.solve(np.eye(k) - h @ kappa, pushed[:, :, None])[:, :, 0])


def _influence(points: ClassPoints, setting: Setting, found: ClassFound, by_output: Array) -> Array:
    """What every point does to means over points through theta; their means are 0.

    by_output: derivatives of what is averaged in m_i, shape [n, j, k]. Returns shape [n, j]. As in
    `theory.population_equations.influence`.
    """
    x, n = points.design, len(points.members)
    _, j, k = by_output.shape
    d = (x.T @ by_output.reshape(n, -1) / n).reshape(-1, j, k).transpose(2, 0, 1)
    a_d = (found.a @ d.reshape(-1, j)).reshape(k, -1, j)
    r = setting.probability[:, None] * found.responses.slope
    values = np.zeros((n, j))
    for entry in range(k):
        values -= r[:, entry, None] * (x @ a_d[entry])
    return np.asarray(values - values.mean(axis=0))


def predicted_classes(z: Array, g: Array, root: Array, basis: Array) -> tuple[Array, Array]:
    """Probabilities that every class has the largest output, shape [n, K], and their derivatives in
    the mean output, [n, K, k].

    z = m + root g: outputs at the nodes, shape [n, nodes, k]. Along the direction that favours a
    class most the integral over G is exact; nodes serve the others.

    >>> z, g = np.array([[[1.0]]]), np.zeros((1, 1, 1))
    >>> p, _ = predicted_classes(z, g, np.ones((1, 1, 1)), orthonormal_contrasts(2))
    >>> np.allclose(p, ndtr([[-1.0, 1.0]]))
    True
    """
    n, nodes, k = z.shape
    classes = len(basis)
    taken, slopes = np.empty((n, classes)), np.empty((n, classes, k))
    for c in range(classes):
        rivals = np.delete(np.arange(classes), c)
        lead = basis[c] - basis[rivals]  # [K - 1, k]
        u = root.transpose(0, 2, 1) @ basis[c]  # [n, k]
        u /= np.linalg.norm(u, axis=1, keepdims=True)
        toward = np.einsum("iab,ib->ia", root, u)
        rest = z - np.einsum("iqb,ib->iq", g, u)[:, :, None] * toward[:, None, :]
        base = rest @ lead.T  # [n, nodes, K - 1]
        rate = (toward @ lead.T)[:, None, :]
        bound = -base / np.where(rate == 0, np.finfo(float).tiny, rate)
        low_at = np.where(rate > 0, bound, -np.inf)
        high_at = np.where(rate < 0, bound, np.inf)
        lowest, highest = low_at.argmax(axis=2), high_at.argmin(axis=2)
        low, high = low_at.max(axis=2), high_at.min(axis=2)
        some = high > low
        taken[:, c] = np.where(some, ndtr(high) - ndtr(low), 0.0).mean(axis=1)
        slopes[:, c] = 0.0
        for edge, binding in ((low, lowest), (high, highest)):
            speed = np.abs(np.take_along_axis(rate[:, 0], binding, axis=1))
            density = np.exp(-np.minimum(edge**2, 1400) / 2) / math.sqrt(2 * math.pi)
            weight = np.where(some, density / np.maximum(speed, np.finfo(float).tiny), 0.0)
            slopes[:, c] += np.einsum("iq,iqk->ik", weight, lead[binding]) / nodes
    total = taken.sum(axis=1)
    return taken / total[:, None], slopes / total[:, None, None]


def as_classes(labels: ArrayLike, size: int) -> tuple[NDArray[Any], Rows]:
    """The sorted classes, and the class number of every label.

    >>> as_classes(["b", "a", "b"], 3)
    (array(['a', 'b'], dtype='<U1'), array([1, 0, 1]))
    """
    allowed = f"{size} labels of one kind, none missing, two or more of them different"
    given = np.asarray(labels)
    if given.shape != (size,):
        raise InvalidFieldError("labels.shape", given.shape, allowed)
    missing = np.asarray(pd.isna(given))
    if given.dtype.kind == "U":  # what NumPy makes of text and NaN together
        missing = given == "nan"
    if missing.any():
        raise InvalidFieldError("labels", f"missing in row {missing.argmax()}", allowed)
    try:
        classes, members = np.unique(given, return_inverse=True)
    except TypeError:
        raise InvalidFieldError("labels", "of kinds that have no order", allowed) from None
    if len(classes) < 2:
        raise InvalidFieldError("labels", f"all {classes[0]}", allowed)
    return classes, members
