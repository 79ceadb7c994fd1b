"""Figures of theory and simulation."""

from figures.agreement import z_score_plot
from figures.overlay import fraction_panels
from figures.sweeps import gap_panel, sweep_panels

__all__ = ["fraction_panels", "gap_panel", "sweep_panels", "z_score_plot"]
