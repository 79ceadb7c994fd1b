"""Exact asymptotic theory of learning from a selected subset."""

from theory import _engine as _engine  # first: sets JAX to double precision
from theory.checks import InvalidFieldError
from theory.data import (
    F1,
    F2,
    GaussianClusters,
    GaussianMixture,
    LogisticLink,
    ProbitLink,
    SingleIndex,
    StepLink,
)
from theory.kinds import (
    DataModel,
    FixedFraction,
    Link,
    Selection,
    Surrogate,
    Training,
)
from theory.labels import LabelCurve, Steps
from theory.losses import HingeLoss, LogisticLoss, Loss, SmoothedHingeLoss, SquaredLoss
from theory.prediction import ConvergenceError, Prediction, predict, predict_all
from theory.problem import Problem
from theory.quadrature import Quadrature
from theory.score import Rule, Score, ScoreLaw
from theory.selection import (
    BandSelection,
    PowerSelection,
    RandomSelection,
    TabulatedSelection,
    TopSelection,
)
from theory.solver import Status
from theory.surrogate import GivenSurrogate, PerfectSurrogate, TrainedSurrogate
from theory.sweep import sweep
from theory.tuning import tune_ridge

__all__ = [
    "F1",
    "F2",
    "BandSelection",
    "ConvergenceError",
    "DataModel",
    "FixedFraction",
    "GaussianClusters",
    "GaussianMixture",
    "GivenSurrogate",
    "HingeLoss",
    "InvalidFieldError",
    "LabelCurve",
    "Link",
    "LogisticLink",
    "LogisticLoss",
    "Loss",
    "PerfectSurrogate",
    "PowerSelection",
    "Prediction",
    "ProbitLink",
    "Problem",
    "Quadrature",
    "RandomSelection",
    "Rule",
    "Score",
    "ScoreLaw",
    "Selection",
    "SingleIndex",
    "SmoothedHingeLoss",
    "SquaredLoss",
    "Status",
    "StepLink",
    "Steps",
    "Surrogate",
    "TabulatedSelection",
    "TopSelection",
    "TrainedSurrogate",
    "Training",
    "predict",
    "predict_all",
    "sweep",
    "tune_ridge",
]
