"""Gradients of the theory, and the selection that is best in it."""

from theory.optimal.advice import Recommendation, recommend
from theory.optimal.gradient import gradient
from theory.optimal.robust import RobustSelection, robust_selection
from theory.optimal.selection import OptimalSelection, optimal_selection, paper_schemes

__all__ = [
    "OptimalSelection",
    "Recommendation",
    "RobustSelection",
    "gradient",
    "optimal_selection",
    "paper_schemes",
    "recommend",
    "robust_selection",
]
