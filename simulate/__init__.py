"""Finite-sample simulation of learning from a selected subset."""

from simulate.monte_carlo import Estimate, Mean, estimate, estimate_all
from simulate.workers import process_pool

__all__ = ["Estimate", "Mean", "estimate", "estimate_all", "process_pool"]
