"""A model: features with labels and a loss; its population minimiser under any selection."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from theory.checks import as_instance
from theory.low_dimensional.features import Features, Marks, Points
from theory.low_dimensional.labels import Averages, Labels
from theory.low_dimensional.selection import Selection, random_selection

Array = NDArray[np.float64]

LARGEST_CONDITION = 1e12
"""An information matrix worse conditioned than this is singular."""

STEPS = 100
"""Most Newton steps towards a population minimiser."""

CONSISTENT = 1e-9
"""E[dl/dv | x] below this, relative to the slope's size, is zero."""


class SingularInformationError(ValueError):
    """The selected samples do not identify the parameters; the message says why."""


@dataclass(frozen=True)
class Model:
    """Features x, and a law of labels given <theta_0, x> with the loss that is trained.

    features: GaussianFeatures or WeightedFeatures. labels: LinearLabels or BinaryLabels.
    Raises InvalidFieldError on anything else.

    >>> from theory import LogisticLink
    >>> from theory.low_dimensional import BinaryLabels, GaussianFeatures, Model
    >>> model = Model(GaussianFeatures(5, signal_norm=2.0), BinaryLabels(LogisticLink()))
    >>> model.optimum.round(9)
    array([2.])
    """

    features: Features
    labels: Labels

    def __post_init__(self) -> None:
        as_instance("features", self.features, Features)
        as_instance("labels", self.labels, Labels)

    def index(self, points: Points) -> Array:
        """u = <theta_0, x>."""
        return np.asarray(points.explicit @ self.features.signal)

    def averages(self, points: Points, theta: Array, by_label: bool = False) -> Averages:
        """Averages over labels at a parameter in the explicit coordinates."""
        return self.labels.averages(self.index(points), points.explicit @ theta, by_label)

    @property
    def kinks(self) -> tuple[float, ...]:
        """Values of h where the label law jumps (Gaussian features)."""
        scale = float(np.linalg.norm(self.features.signal))
        return tuple(u / scale for u in self.labels.jumps)

    def points(self, selection: Selection | None = None, marks: Marks | None = None) -> Points:
        """Points that resolve the label law and the selection (or the marks)."""
        if marks is None:
            marks = selection.marks(self.features) if selection else Marks()
        scale = float(np.linalg.norm(self.features.signal))
        kinks = (*marks.kinks, *self.kinks)
        bends = (*marks.bends, *self.labels.bends(scale))
        return self.features.points(marks._replace(kinks=kinks, bends=bends))

    def fraction(self, selection: Selection, points: Points | None = None) -> float:
        """E pi."""
        points = points or self.points(selection)
        pi = selection.probability(points)
        share = self.labels.shares(self.index(points)) if selection.knows_labels else 1.0
        return float((points.weight * share * pi).sum())

    @cached_property
    def optimum(self) -> Array:
        """theta*, the minimiser of the population loss, in the explicit coordinates."""
        return self.target(random_selection(1.0))

    def target(self, selection: Selection, points: Points | None = None) -> Array:
        """theta*(pi), the minimiser of E[pi loss] (or of E[loss] with reweighting).

        Raises SingularInformationError where the selected samples do not determine it.
        """
        if selection.reweight:
            return self.optimum
        points = points or self.points(selection)
        pi = selection.probability(points)

        def state(theta: Array) -> tuple[Averages, float]:
            averages = self.averages(points, theta, selection.knows_labels)
            return averages, float((points.weight * pi * averages.loss).sum())

        theta = np.zeros(len(self.features.signal))
        averages, value = state(theta)
        for _ in range(STEPS):
            slope = points.explicit.T @ (points.weight * (pi * averages.slope).sum(axis=0))
            held = points.weight * (pi * averages.curvature).sum(axis=0)
            step = _solved((points.explicit.T * held) @ points.explicit, slope)
            if np.abs(step).max() <= 1e-13 * (1 + np.abs(theta).max()):
                return theta - step
            size = 1.0
            for _ in range(60):
                trial, trial_value = state(theta - size * step)
                if trial_value <= value + 1e-15 * abs(value):
                    break
                size /= 2
            theta, averages, value = theta - size * step, trial, trial_value
        raise SingularInformationError("the population loss has no finite minimiser here")

    @cached_property
    def is_consistent(self) -> bool:
        """Whether E[gradient | x] = 0 at theta*: no selection by features shifts the target."""
        averages = self.averages(self.points(), self.optimum)
        size = float(np.sqrt(averages.squared_slope.max()))
        return bool(np.abs(averages.slope).max() <= CONSISTENT * size)

    @cached_property
    def information(self) -> Array:
        """H = E[Hessian] at theta*, as a held matrix."""
        points = self.points()
        averages = self.averages(points, self.optimum)
        return self.features.moment(points, averages.curvature[0])

    def quadratic(self, value: object) -> Array:
        """Q as a held matrix: "excess loss" (Q = H), "parameters" (Q = I), or given."""
        if isinstance(value, str) and value == "excess loss":
            return self.information
        if isinstance(value, str) and value == "parameters":
            return np.eye(len(self.features.multiplicity))
        return self.features.matrix(value)

    def with_labels(self, labels: Labels) -> "Model":
        """The same features with another label law."""
        return replace(self, labels=labels)


def inverse(matrix: Array, what: str = "E[S H]") -> Array:
    """Inverse of an information matrix; SingularInformationError where there is none."""
    values = np.linalg.eigvalsh(matrix)
    if not values[0] > values[-1] / LARGEST_CONDITION:
        raise SingularInformationError(
            f"{what} is singular (smallest eigenvalue {values[0]:.1e}, largest {values[-1]:.1e}):"
            " the selected samples do not span the features; keep a larger fraction"
        )
    return np.asarray(np.linalg.inv(matrix))


def _solved(matrix: Array, right: Array) -> Array:
    return inverse(matrix, "the Hessian of the loss") @ right
