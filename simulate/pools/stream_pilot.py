"""Selectors for the command line: learned from a labelled pilot in a file, or loaded."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from simulate.pools.optional import PoolError, require
from simulate.pools.rules import AnySelection
from simulate.pools.selector import SubsetSelector, ridge_as_c
from simulate.pools.stream_sources import read_labelled
from theory.machine import one_thread

require("sklearn", "selection from a pilot")

from sklearn.decomposition import PCA  # noqa: E402
from sklearn.linear_model import LogisticRegression  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import StandardScaler  # noqa: E402


@dataclass(frozen=True)
class Preparation:
    """What happens to features before logistic regression of this ridge.

    standardise: mean 0 and deviation 1 on the pilot. whiten: that many principal components of the
    pilot, of variance 1.
    """

    standardise: bool = False
    whiten: int | None = None
    ridge: float = 0.01


def learned_selector(
    pilot: Path,
    labels: str,
    rule: AnySelection,
    preparation: Preparation,
    columns: Sequence[str] | None,
    ignored: Sequence[str],
    seed: int,
) -> SubsetSelector:
    """A selector whose surrogate is trained on a pilot; other arguments as ``read_labelled``."""
    x, y = read_labelled(pilot, labels, columns, ignored)
    bad = np.flatnonzero(~np.isfinite(np.asarray(x, dtype=np.float64)).all(axis=1))
    if bad.size:
        raise PoolError(
            f"{pilot}: {bad.size} rows have NaN or infinite features (first: row {bad[0]}): fill"
            " them in, or leave these rows out"
        )
    wanted = preparation.whiten
    if wanted is not None and wanted > min(x.shape[1], len(x) - 1):
        raise PoolError(f"{pilot} has {len(x)} rows of {x.shape[1]} features: whiten fewer")
    steps = [StandardScaler()] if preparation.standardise else []
    if wanted is not None:
        steps.append(PCA(wanted, whiten=True, svd_solver="full"))
    model = LogisticRegression(C=ridge_as_c(preparation.ridge, len(y)), max_iter=1000)
    selector = SubsetSelector(make_pipeline(*steps, model), rule, random_state=seed)
    with one_thread():  # the same surrogate, to the last bit, when a run goes on
        return selector.fit(x, y)


def loaded_selector(path: Path, rule: AnySelection, seed: int) -> SubsetSelector:
    """A selector whose surrogate is a fitted classifier in a joblib file. Loading it runs code."""
    joblib = require("joblib", "loading a classifier")
    try:
        classifier = joblib.load(path)
    except FileNotFoundError:
        raise
    except Exception as error:  # whatever a pickle may raise
        why = str(error).partition("\n")[0]
        raise PoolError(f"{path} cannot be loaded as joblib ({why})") from None
    return SubsetSelector.from_classifier(classifier, selection=rule, random_state=seed)
