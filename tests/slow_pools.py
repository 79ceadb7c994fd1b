"""A selection that takes its time, for processes that a test kills."""

import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulate.pools.selector import SubsetSelector


class Slow:
    """A fitted classifier whose score is the first feature; ``seconds`` for every block."""

    def __init__(self, seconds: float, dimension: int) -> None:
        self.seconds = seconds
        self.classes_ = np.array([0, 1])
        self.n_features_in_ = dimension

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def decision_function(self, x: NDArray[Any]) -> NDArray[Any]:
        time.sleep(self.seconds)
        return np.array(x[:, 0])


def slow_selector(seconds: float) -> SubsetSelector:
    return SubsetSelector.from_classifier(Slow(seconds, 2), random_state=7)


def select_slowly(pool: Path, output: Path, seconds: float) -> None:
    slow_selector(seconds).select_from(pool, n=900, columns=["a", "b"], output=output)
