"""Gradients of the theory, and the selection that is best in it."""

from theory.optimal.gradient import gradient
from theory.optimal.selection import OptimalSelection, optimal_selection, paper_schemes

__all__ = ["OptimalSelection", "gradient", "optimal_selection", "paper_schemes"]
