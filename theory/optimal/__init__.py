"""Gradients of the theory, and the selection that is best in it."""

from theory.optimal.advice import Recommendation, recommend
from theory.optimal.gradient import gradient
from theory.optimal.robust import RobustSelection, robust_selection
from theory.optimal.selection import (
    OptimalSelection,
    optimal_problems,
    optimal_selection,
    paper_schemes,
)
from theory.optimal.tuned import tuned_selection
from theory.optimal.weights import OptimalWeights, optimal_weights

__all__ = [
    "OptimalSelection",
    "OptimalWeights",
    "Recommendation",
    "RobustSelection",
    "gradient",
    "optimal_problems",
    "optimal_selection",
    "optimal_weights",
    "paper_schemes",
    "recommend",
    "robust_selection",
    "tuned_selection",
]
