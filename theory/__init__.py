"""Exact asymptotic theory of learning from a selected subset."""

from theory import _engine as _engine  # first: sets JAX to double precision
from theory._validation import InvalidFieldError
from theory.data import F1, F2, LogisticLink, ProbitLink, SingleIndex, StepLink
from theory.losses import LogisticLoss
from theory.prediction import ConvergenceError, Prediction, predict, predict_all
from theory.problem import Problem
from theory.quadrature import Quadrature
from theory.selection import PowerSelection, RandomSelection, TopSelection
from theory.solver import Status
from theory.surrogate import PerfectSurrogate
from theory.sweep import sweep

__all__ = [
    "F1",
    "F2",
    "ConvergenceError",
    "InvalidFieldError",
    "LogisticLink",
    "LogisticLoss",
    "PerfectSurrogate",
    "PowerSelection",
    "Prediction",
    "ProbitLink",
    "Problem",
    "Quadrature",
    "RandomSelection",
    "SingleIndex",
    "Status",
    "StepLink",
    "TopSelection",
    "predict",
    "predict_all",
    "sweep",
]
