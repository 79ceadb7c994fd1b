"""Random streams and samples: one independent, named stream per purpose and data set."""

from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from theory.kinds import DataModel

Array = NDArray[np.float64]

Purpose = Literal["features", "labels", "selection", "test", "surrogate"]


def stream(seed: int, purpose: Purpose, *key: int) -> np.random.Generator:
    """The generator for one purpose and key (dimension and number of the data set) of a run.

    Streams of different purposes or keys are independent, whatever order they are used in.

    >>> a = stream(0, "labels", 3).random()
    >>> a == stream(0, "labels", 3).random(), a == stream(0, "selection", 3).random()
    (True, False)
    """
    spawn_key = (get_args(Purpose).index(purpose), *key)
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=spawn_key))


class Sample:
    """A pool of N samples in p dimensions; e_0 is the first coordinate axis.

    features: shape [N, p], drawn in single precision: half the memory, and their last digits are
    random anyway. The laws of features and estimators are invariant under rotations, so
    fixing e_0 loses nothing. Labels for a data model come from one uniform per sample, so that
    several label models share their features and as much of their noise as they can.
    """

    def __init__(self, data: DataModel, size: int, dimension: int, seed: int, number: int) -> None:
        key = dimension, number
        self.features = draw_features(data, size, dimension, stream(seed, "features", *key))
        self._label_uniforms = stream(seed, "labels", *key).random(size)
        self.selection_uniforms = stream(seed, "selection", *key).random(size)

    def labels(self, data: DataModel) -> Array:
        """Labels in {-1, +1}, shape [N]."""
        return labels_from(data, self.features[:, 0].astype(np.float64), self._label_uniforms)


def labels_from(data: DataModel, h: Array, uniforms: Array) -> Array:
    """Label +1 where the uniform lies below f(h), -1 elsewhere."""
    return np.where(uniforms < data.label_probability(h), 1.0, -1.0)


def draw_features(
    data: DataModel, size: int, dimension: int, generator: np.random.Generator
) -> NDArray[np.float32]:
    """Features of a data model, shape [size, dimension]; e_0 is the first coordinate axis."""
    features = generator.standard_normal((size, dimension), dtype=np.float32)
    features[:, 0] += draw_centres(data, size, generator).astype(np.float32)
    return features


def draw_centres(data: DataModel, size: int, generator: np.random.Generator) -> Array:
    """Means of h for every sample, shape [size]."""
    chosen = generator.choice(len(data.means), size=size, p=np.asarray(data.weights))
    return np.asarray(data.means)[chosen]


def draw_test_outputs(
    data: DataModel, alpha_0: float, intercept: float, tau: float, size: int, generator: Any
) -> tuple[Array, Array]:
    """Labels and outputs of a linear classifier on a fresh test sample, both of shape [size].

    The classifier sees the directions orthogonal to e_0 only through tau G with G ~ N(0, 1), so
    (h, G) is drawn instead of p coordinates; the law is the same.
    """
    h = draw_centres(data, size, generator) + generator.standard_normal(size)
    labels = labels_from(data, h, generator.random(size))
    return labels, alpha_0 * h + intercept + tau * generator.standard_normal(size)
