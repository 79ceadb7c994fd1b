"""Finite-sample simulation of learning from a selected subset."""

from simulate.compare import Agreement, compare
from simulate.files import StoreError
from simulate.kind_check import KindError, check_kind
from simulate.monte_carlo import Estimate, Mean, estimate, estimate_all
from simulate.rounds import simulate_rounds
from simulate.running.errors import ExecutorError, RunError, TaskError, WorkersDiedError
from simulate.running.plan import Plan
from simulate.running.run import run
from simulate.running.workers import cluster, process_pool

__all__ = [
    "Agreement",
    "Estimate",
    "ExecutorError",
    "KindError",
    "Mean",
    "Plan",
    "RunError",
    "StoreError",
    "TaskError",
    "WorkersDiedError",
    "check_kind",
    "cluster",
    "compare",
    "estimate",
    "estimate_all",
    "process_pool",
    "run",
    "simulate_rounds",
]
