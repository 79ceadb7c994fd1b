"""Figures of theory and simulation."""

from figures.overlay import fraction_panels

__all__ = ["fraction_panels"]
