"""What the paper's figures share: label models, ridges, exponents, fractions and sizes."""

from typing import Any

from simulate.experiment import Size
from theory import F1, F2, Problem, RandomSelection, SingleIndex

LOW_DIMENSION = 34345 / 932
HIGH_DIMENSION = 6870 / 3000
"""The paper's two settings, by N/p: 36.9 and 2.29 samples per dimension."""

LABELS = {"f1": SingleIndex(F1, 5.0), "f2": SingleIndex(F2, 5.0)}
RIDGES = (0.1, 0.01, 0.001)
ALPHAS = (-1.0, -0.5, 0.0, 0.5, 1.0)
SIMULATED_FRACTIONS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
FRACTIONS = tuple(round(0.05 + 0.0125 * k, 4) for k in range(77))
"""Of the theory's lines; the simulated ones are among them."""

COLUMN_TITLES = {
    LOW_DIMENSION: "N/p = 36.9 (low dimension)",
    HIGH_DIMENSION: "N/p = 2.29 (high dimension)",
}


def full_sample(labels: str, samples_per_dimension: float, ridge: float = 0.01) -> Problem:
    """All samples of the pool, for one of the paper's label models."""
    return Problem(LABELS[labels], RandomSelection(1.0), ridge, samples_per_dimension)


def size(samples_per_dimension: float, full: bool, fraction: float = 1.0, **_: Any) -> Size | None:
    """Ten data sets of the paper's dimension, or twenty of 1000 to 4000 samples.

    None at fractions that are not simulated.
    """
    if fraction not in SIMULATED_FRACTIONS:
        return None
    if full:
        return Size(932 if samples_per_dimension > 10 else 3000, 10)
    return Size(100 if samples_per_dimension > 10 else 400, 20)
