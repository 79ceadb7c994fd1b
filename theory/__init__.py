"""Exact asymptotic theory of learning from a selected subset."""

from theory.budget import BudgetSplit, split_budget
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
from theory.optimal import (
    OptimalSelection,
    OptimalWeights,
    Recommendation,
    RobustSelection,
    gradient,
    optimal_selection,
    optimal_weights,
    recommend,
    robust_selection,
    tuned_selection,
)
from theory.population import Population, PopulationPrediction
from theory.population_classes import (
    ClassesPrediction,
    ClassPopulation,
    make_population,
    predict_population,
)
from theory.population_curves import learning_curves, standard_schemes
from theory.population_optimal import PopulationOptimum, optimal_population_selection
from theory.population_two_rounds import (
    PopulationSurrogate,
    TwoRoundPrediction,
    predict_population_two_rounds,
)
from theory.prediction import ConvergenceError, Prediction, predict, predict_all
from theory.problem import Problem
from theory.quadrature import Quadrature
from theory.score import Rule, Score, ScoreLaw
from theory.selection import (
    BandSelection,
    PowerSelection,
    QuantileBandSelection,
    RandomSelection,
    TabulatedSelection,
    TopSelection,
)
from theory.solver import Status
from theory.surrogate import GivenSurrogate, PerfectSurrogate, TrainedSurrogate
from theory.sweep import sweep
from theory.tuning import Tuned, tune, tune_all

__all__ = [
    "F1",
    "F2",
    "BandSelection",
    "BudgetSplit",
    "ClassPopulation",
    "ClassesPrediction",
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
    "OptimalSelection",
    "OptimalWeights",
    "PerfectSurrogate",
    "Population",
    "PopulationOptimum",
    "PopulationPrediction",
    "PopulationSurrogate",
    "PowerSelection",
    "Prediction",
    "ProbitLink",
    "Problem",
    "Quadrature",
    "QuantileBandSelection",
    "RandomSelection",
    "Recommendation",
    "RobustSelection",
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
    "Tuned",
    "TwoRoundPrediction",
    "gradient",
    "learning_curves",
    "make_population",
    "optimal_population_selection",
    "optimal_selection",
    "optimal_weights",
    "predict",
    "predict_all",
    "predict_population",
    "predict_population_two_rounds",
    "recommend",
    "robust_selection",
    "split_budget",
    "standard_schemes",
    "sweep",
    "tune",
    "tune_all",
    "tuned_selection",
]
