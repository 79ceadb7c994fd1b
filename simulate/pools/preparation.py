"""Feature maps fitted on a pool without its labels: standardising, whitening, random features."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from simulate.pools.optional import PoolError
from simulate.pools.pool import Features, constant_columns
from theory.checks import InvalidFieldError, as_count, set_fields

Map = Callable[[Features], Features]

SMALLEST_VARIANCE = 1e-10
"""Principal components with less, relative to the first, count as having none."""


class Step(Protocol):
    """A description of a feature map; ``fit`` learns it from the features of a pool."""

    def fit(self, features: Features) -> Map: ...


@dataclass(frozen=True)
class Standardise:
    """Every feature with mean 0 and standard deviation 1 on the pool.

    ``fit`` raises PoolError on constant columns.

    >>> Standardise().fit(np.array([[1.0], [3.0]]))(np.array([[5.0]]))
    array([[3.]])
    """

    def fit(self, features: Features) -> Map:
        constant = constant_columns(features)
        if constant.size:
            raise PoolError(
                f"columns {', '.join(map(str, constant[:8]))} are constant on the pool: drop them"
                " (Pool.without_constant_columns), or whiten"
            )
        mean = features.mean(axis=0, dtype=np.float64).astype(features.dtype)
        deviation = features.std(axis=0, dtype=np.float64).astype(features.dtype)
        return lambda x: (x - mean) / deviation


@dataclass(frozen=True)
class Whiten:
    """Principal components of the pool, uncorrelated and of variance 1.

    components: how many, >= 1, largest first; None keeps all that vary. ``fit`` raises PoolError
    where there are fewer.

    >>> x = np.random.default_rng(0).normal(size=(200, 3)) @ np.diag([1.0, 2.0, 3.0])
    >>> np.allclose(np.cov(Whiten(2).fit(x)(x).T, bias=True), np.eye(2))
    True
    """

    components: int | None = None

    def __post_init__(self) -> None:
        if self.components is not None:
            set_fields(self, components=as_count("components", self.components))

    def fit(self, features: Features) -> Map:
        mean = features.mean(axis=0, dtype=np.float64)
        centred = features - mean.astype(features.dtype)
        covariance = (centred.T @ centred).astype(np.float64) / len(features)
        variances, directions = np.linalg.eigh(covariance)
        rank = int(np.sum(variances > SMALLEST_VARIANCE * max(variances[-1], 0.0)))
        rank = min(rank, len(features) - 1)
        wanted = rank if self.components is None else self.components
        if wanted > rank or rank == 0:
            raise PoolError(f"only {rank} components vary on the pool: ask for no more")
        order = np.argsort(-variances)[:wanted]
        axes = directions[:, order] / np.sqrt(variances[order])
        # the sign of a component is arbitrary: its largest entry is made positive
        largest = np.abs(axes).argmax(axis=0)
        axes *= np.sign(axes[largest, np.arange(wanted)])
        turned = axes.astype(features.dtype)
        return lambda x: (x - mean.astype(x.dtype)) @ turned


@dataclass(frozen=True)
class RandomFeatures:
    """Random ReLU features max(<w_j, x>, 0), w_j ~ N(0, I/p): random, not learned.

    count >= 1; seed >= 0 fixes them, whatever the pool. Standardise or whiten before.

    >>> RandomFeatures(4, seed=1).fit(np.zeros((2, 3)))(np.ones((5, 3))).shape
    (5, 4)
    """

    count: int
    seed: int = 0

    def __post_init__(self) -> None:
        set_fields(
            self, count=as_count("count", self.count), seed=as_count("seed", self.seed, least=0)
        )

    def fit(self, features: Features) -> Map:
        dimension = features.shape[1]
        generator = np.random.default_rng(self.seed)
        weights = generator.standard_normal((dimension, self.count)) / np.sqrt(dimension)
        return lambda x: np.maximum(x @ weights.astype(x.dtype), 0)


def prepare(steps: Sequence[Step], features: Features) -> Map:
    """One map from several steps, each fitted on what the one before makes of the pool.

    Raises ValueError on what is no step, PoolError where a step cannot be fitted.

    >>> prepare([Standardise(), RandomFeatures(2)], np.eye(3))(np.eye(3)).shape
    (3, 2)
    """
    maps: list[Map] = []
    for step in steps:
        if isinstance(step, type) or not hasattr(step, "fit"):
            allowed = "a step such as Standardise(), Whiten(100) or RandomFeatures(256)"
            raise InvalidFieldError("preparation", step, allowed)
        maps.append(step.fit(features))
        features = maps[-1](features)

    def every(x: Features) -> Features:
        for single in maps:
            x = single(x)
        return x

    return every
