"""Surrogate models at finite size: known coefficients, or a model really fitted to its own data."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulate.fitting.fit import fit
from simulate.sample import draw_features, labels_from
from theory.losses import LogisticLoss
from theory.prediction import score_of
from theory.problem import Problem
from theory.surrogate import TrainedSurrogate

Array = NDArray[np.float64]


@dataclass(frozen=True)
class LinearSurrogate:
    """theta_su = beta_0 e_0 + beta_s e_s with an intercept; error_direction: e_s, shape [p].

    converged: whether its own fit, if it has one, met its tolerance.
    """

    beta_0: float
    beta_s: float
    intercept: float
    error_direction: Array
    converged: bool = True

    def scores(self, features: NDArray[np.float32]) -> Array:
        """t = beta_0 h + beta_s G_s + intercept, shape [N]."""
        scores = self.beta_0 * features[:, 0].astype(np.float64) + self.intercept
        if self.beta_s:
            scores += self.beta_s * (features @ self.error_direction.astype(np.float32))
        return scores


def draw_surrogate(
    problem: Problem, dimension: int, generator: np.random.Generator
) -> LinearSurrogate:
    """The surrogate of a problem in p dimensions; a trained one is fitted to fresh samples.

    A given error direction is, without loss of generality, the second coordinate axis.
    """
    surrogate = problem.surrogate
    if not isinstance(surrogate, TrainedSurrogate):
        score = score_of(problem)
        direction = np.zeros(dimension)
        direction[1] = 1.0
        return LinearSurrogate(score.beta_0, score.beta_s, score.intercept, direction)
    data = surrogate.data or problem.data
    size = max(1, round(surrogate.samples_per_dimension * dimension))
    features = draw_features(data, size, dimension, generator)
    labels = labels_from(data, features[:, 0].astype(np.float64), generator.random(size))
    trained = fit(
        features,
        labels,
        np.ones((size, 1)),
        size,
        np.array([surrogate.ridge]),
        LogisticLoss(),
        surrogate.fit_intercept,
    )
    rest = trained.coefficients[:, 0].copy()
    beta_0, rest[0] = float(rest[0]), 0.0
    beta_s = float(np.linalg.norm(rest))
    intercept, converged = float(trained.intercepts[0]), bool(trained.converged[0])
    return LinearSurrogate(beta_0, beta_s, intercept, rest / beta_s, converged)
