"""N E|theta_hat - target|^2_Q of a selection by simulation, with its own fits."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from simulate.monte_carlo import Mean
from theory.checks import as_count
from theory.losses import LogisticLoss, SquaredLoss
from theory.low_dimensional import (
    BinaryLabels,
    GaussianFeatures,
    LinearLabels,
    Model,
    Selection,
    WeightedFeatures,
)

Array = NDArray[np.float64]

STEPS = 50
"""Most Newton steps of a fit."""


@dataclass(frozen=True)
class Pool:
    """Features [N, p], labels [N], and probabilities of a selection at each, [N]."""

    features: Array
    labels: Array
    probabilities: Array


def simulate_risk(
    model: Model,
    selection: Selection,
    quadratic: object = "parameters",
    samples: int = 10_000,
    repeats: int = 100,
    seed: int = 0,
) -> Mean:
    """Mean and standard error of N |theta_hat - target|^2_Q over independent pools.

    samples: N, the size of the pool. The target is that of the theory: theta*, or theta*(pi) where
    a selection without reweighting moves it. Raises RuntimeError where a fit does not converge.

    >>> from theory.low_dimensional import random_selection
    >>> model = Model(GaussianFeatures(2), LinearLabels())
    >>> found = simulate_risk(model, random_selection(0.5), samples=1000, repeats=50)
    >>> abs(found.mean - 4) < 4 * found.standard_error
    True
    """
    as_count("repeats", repeats, least=2)
    rng = np.random.default_rng(seed)
    target, q = _full(model, model.target(selection)), _full_matrix(model, quadratic)
    values = np.empty(repeats)
    for k in range(repeats):
        pool = draw_pool(model, selection, samples, rng)
        moved = fit_pool(model, selection, pool, rng, target) - target
        values[k] = samples * moved @ q @ moved
    return Mean(float(values.mean()), float(values.std(ddof=1) / repeats**0.5))


def draw_pool(model: Model, selection: Selection, samples: int, rng: np.random.Generator) -> Pool:
    """A pool of the model, with the probability of every sample."""
    features = model.features
    if isinstance(features, WeightedFeatures):
        plain = features.points(selection.marks(features))
        chosen = rng.choice(len(plain.weight), size=samples, p=plain.weight)
        x = features.values[chosen]
        pi = selection.probability(plain)[:, chosen]
    else:
        x = rng.standard_normal((samples, features.dimension))
        pi = selection.probability(features.locate(x))
    u = x[:, : len(features.signal)] @ features.signal
    if isinstance(model.labels, LinearLabels):
        y = u + np.sqrt(model.labels.variances(u)) * rng.standard_normal(samples)
    else:
        y = np.where(rng.random(samples) < model.labels.shares(u)[1], 1.0, -1.0)
    row = (y > 0).astype(int) if selection.knows_labels else np.zeros(samples, dtype=int)
    return Pool(x, y, pi[row, np.arange(samples)])


def fit_pool(
    model: Model, selection: Selection, pool: Pool, rng: np.random.Generator, start: Array
) -> Array:
    """theta_hat on a subset drawn from the pool, without a ridge."""
    kept = rng.random(len(pool.labels)) < pool.probabilities
    x, y = pool.features[kept], pool.labels[kept]
    weight = 1 / pool.probabilities[kept] if selection.reweight else np.ones(len(y))
    if isinstance(model.labels, BinaryLabels) and isinstance(model.labels.loss, LogisticLoss):
        return _fit_logistic(x, y, weight, start)
    if isinstance(model.labels, BinaryLabels) and not isinstance(model.labels.loss, SquaredLoss):
        raise NotImplementedError(f"no fit for {model.labels.loss}")
    return np.asarray(np.linalg.solve((x.T * weight) @ x, x.T @ (weight * y)))


def _fit_logistic(x: Array, y: Array, weight: Array, start: Array) -> Array:
    """Newton's method with halved steps where the weighted log loss would rise."""

    def loss(theta: Array) -> float:
        return float(weight @ np.logaddexp(0, -y * (x @ theta)))

    theta, value = start.copy(), loss(start)
    for _ in range(STEPS):
        p = expit(x @ theta)
        slope = x.T @ (weight * (p - (y + 1) / 2))
        step = np.linalg.solve((x.T * (weight * p * (1 - p))) @ x, slope)
        if np.abs(step).max() < 1e-9 * (1 + np.abs(theta).max()):
            return theta
        size = 1.0
        while size > 1e-8 and loss(theta - size * step) > value * (1 + 1e-13):
            size /= 2
        theta -= size * step
        value = loss(theta)
    raise RuntimeError("a fit did not converge: the subset may be separable; take more samples")


def _full(model: Model, explicit: Array) -> Array:
    full = np.zeros(model.features.dimension)
    full[: len(explicit)] = explicit
    return full


def _full_matrix(model: Model, quadratic: object) -> Array:
    held = model.quadratic(quadratic)
    if isinstance(model.features, GaussianFeatures):
        return np.diag(np.repeat(np.diag(held), model.features.multiplicity.astype(int)))
    return held
