"""Figures of theory and simulation."""

from figures.advice import advice_plot
from figures.agreement import z_score_plot
from figures.budgets import budget_plot
from figures.maps import gain_map, refined, winner_legend, winner_map
from figures.overlay import difference_panels, fraction_panels
from figures.panels import (
    add_legend,
    caption,
    describe,
    difference,
    draw_curve,
    log_ticks,
    panel_grid,
)
from figures.style import POWER_STYLES, TOP_STYLES, figure_style
from figures.sweeps import gap_panel, plot

__all__ = [
    "POWER_STYLES",
    "TOP_STYLES",
    "add_legend",
    "advice_plot",
    "budget_plot",
    "caption",
    "describe",
    "difference",
    "difference_panels",
    "draw_curve",
    "figure_style",
    "fraction_panels",
    "gain_map",
    "gap_panel",
    "log_ticks",
    "panel_grid",
    "plot",
    "refined",
    "winner_legend",
    "winner_map",
    "z_score_plot",
]
