"""Real data: pools, splits, rules that choose what to label, and studies of what they gain.

SubsetSelector and SelectedSubsetClassifier need scikit-learn, the extra ``data``; they are loaded
when first asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from simulate.pools.budgets import LabelBudget, label_budget
from simulate.pools.draw import draw_indices
from simulate.pools.optional import MissingPackageError, PoolError
from simulate.pools.pool import Pool, make_pool, read_pool
from simulate.pools.predicted import Parted, part_pilot, predict_study
from simulate.pools.preparation import RandomFeatures, Standardise, Whiten, prepare
from simulate.pools.rules import (
    NAMED,
    InfluenceSelection,
    LeverageSelection,
    OsmacSelection,
    inclusion_probabilities,
)
from simulate.pools.splits import SplitSizes, split
from simulate.pools.studies import FittedSurrogate, Study, study
from simulate.pools.tasks import load_digits_task, load_fashion_mnist, load_flights_task

if TYPE_CHECKING:
    from simulate.pools.classifier import SelectedSubsetClassifier
    from simulate.pools.selector import Subset, SubsetSelector, ridge_as_c
    from simulate.pools.stream import StreamedSubset

__all__ = [
    "NAMED",
    "FittedSurrogate",
    "InfluenceSelection",
    "LabelBudget",
    "LeverageSelection",
    "MissingPackageError",
    "OsmacSelection",
    "Parted",
    "Pool",
    "PoolError",
    "RandomFeatures",
    "SelectedSubsetClassifier",
    "SplitSizes",
    "Standardise",
    "StreamedSubset",
    "Study",
    "Subset",
    "SubsetSelector",
    "Whiten",
    "draw_indices",
    "inclusion_probabilities",
    "label_budget",
    "load_digits_task",
    "load_fashion_mnist",
    "load_flights_task",
    "make_pool",
    "part_pilot",
    "predict_study",
    "prepare",
    "read_pool",
    "ridge_as_c",
    "split",
    "study",
]

_LAZY = {
    "SelectedSubsetClassifier": "simulate.pools.classifier",
    "Subset": "simulate.pools.selector",
    "StreamedSubset": "simulate.pools.stream",
    "SubsetSelector": "simulate.pools.selector",
    "ridge_as_c": "simulate.pools.selector",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
