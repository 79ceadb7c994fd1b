"""Gradients of the theory, and the selection that is best in it."""

from theory.optimal.gradient import gradient

__all__ = ["gradient"]
