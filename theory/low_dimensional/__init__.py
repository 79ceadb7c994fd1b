"""Low-dimensional asymptotics of selection: p fixed, N to infinity, ridge to zero."""

from theory.low_dimensional.bridge import LargeSamples, large_samples, scheme_selection
from theory.low_dimensional.calibrate import root_selection, threshold_selection
from theory.low_dimensional.features import Features, GaussianFeatures, Points, WeightedFeatures
from theory.low_dimensional.labels import BinaryLabels, Labels, LinearLabels
from theory.low_dimensional.minimax import Minimax, minimax_selection, plug_in_risk
from theory.low_dimensional.model import Model, SingularInformationError
from theory.low_dimensional.optimal import (
    NotOptimalError,
    Optimum,
    optimal_biased,
    optimal_biased_curve,
    optimal_unbiased,
    unbiased_score,
)
from theory.low_dimensional.risk import Risk, asymptotic_risk
from theory.low_dimensional.rules import influence_sampling, osmac
from theory.low_dimensional.selection import (
    FixedSelection,
    RootSelection,
    Selection,
    TableSelection,
    ThresholdSelection,
    random_selection,
)

__all__ = [
    "BinaryLabels",
    "Features",
    "FixedSelection",
    "GaussianFeatures",
    "Labels",
    "LargeSamples",
    "LinearLabels",
    "Minimax",
    "Model",
    "NotOptimalError",
    "Optimum",
    "Points",
    "Risk",
    "RootSelection",
    "Selection",
    "SingularInformationError",
    "TableSelection",
    "ThresholdSelection",
    "WeightedFeatures",
    "asymptotic_risk",
    "influence_sampling",
    "large_samples",
    "minimax_selection",
    "optimal_biased",
    "optimal_biased_curve",
    "optimal_unbiased",
    "osmac",
    "plug_in_risk",
    "random_selection",
    "root_selection",
    "scheme_selection",
    "threshold_selection",
    "unbiased_score",
]
