"""Surrogate models at finite size: known coefficients, or a model really fitted to its own data."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulate.fitting.fit import fit
from simulate.sample import draw_features, labels_from
from theory.problem import Problem
from theory.score import Score

Array = NDArray[np.float64]


class Labelled(NamedTuple):
    """Samples with their labels: shapes [n, p] and [n]."""

    features: NDArray[np.float32]
    labels: Array


@dataclass(frozen=True)
class LinearSurrogate:
    """theta_su = beta_0 e_0 + beta_s e_s with an intercept; error_direction: e_s, shape [p].

    converged: whether its own fit, if it has one, met its tolerance.
    trained_on: the samples of that fit.
    """

    beta_0: float
    beta_s: float
    intercept: float
    error_direction: Array
    converged: bool = True
    trained_on: Labelled | None = None

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
    source = problem.surrogate.source(problem.data)
    if isinstance(source, Score):
        direction = np.zeros(dimension)
        direction[1] = 1.0
        return LinearSurrogate(source.beta_0, source.beta_s, source.intercept, direction)
    size = max(1, round(source.samples_per_dimension * dimension))
    features = draw_features(source.data, size, dimension, generator)
    labels = labels_from(source.data, features[:, 0].astype(np.float64), generator.random(size))
    trained = fit(
        features,
        labels,
        np.ones((size, 1)),
        size,
        np.array([source.ridge]),
        source.loss,
        source.fit_intercept,
    )
    return linear_surrogate(
        trained.coefficients[:, 0],
        float(trained.intercepts[0]),
        bool(trained.converged[0]),
        Labelled(features, labels),
    )


def linear_surrogate(
    coefficients: Array, intercept: float, converged: bool, trained_on: Labelled | None = None
) -> LinearSurrogate:
    """A fitted model, its coefficients of shape [p], as one that scores samples."""
    rest = coefficients.copy()
    beta_0, rest[0] = float(rest[0]), 0.0
    beta_s = float(np.linalg.norm(rest))
    return LinearSurrogate(beta_0, beta_s, intercept, rest / beta_s, converged, trained_on)
