"""A labelled pilot in a file, made ready for predictions from it."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulate.pools.pool import (
    as_features,
    check_lengths,
    constant_columns,
    read_labelled,
    read_pool,
)
from simulate.pools.preparation import Standardise


def read_pilot(
    path: Path, labels: str, positive: str | None = None
) -> tuple[NDArray[np.float64], NDArray[Any]]:
    """Standardised features without constant columns, and labels of all classes.

    labels, positive: as in ``read_pool``; with ``positive`` the labels are of one class (+1)
    against all others (-1). Raises PoolError as that does.
    """
    if positive is not None:
        pool = read_pool(path, labels, positive)
        features, given = pool.features, pool.labels
    else:
        raw, given = read_labelled(path, labels)
        features = as_features(raw)
        check_lengths(len(features), given)
    varying = np.delete(features, constant_columns(features), axis=1)
    return np.asarray(Standardise().fit(varying)(varying), dtype=np.float64), given
