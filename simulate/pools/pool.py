"""A pool: real features with hidden labels, from arrays or files."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from simulate.pools.optional import PoolError, require
from theory.checks import set_fields

Array = NDArray[np.float64]
Features = NDArray[np.float64] | NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Pool:
    """Features [N, p] and labels in {-1, +1}, shape [N]; a name for tables and figures.

    Single precision is kept, everything else becomes double. Raises PoolError on features that are
    not finite numbers, on labels of another length and on a single class. ``make_pool`` makes
    one from labels of any kind.

    >>> pool = make_pool([[1.0], [2.0], [3.0]], ["cat", "dog", "cat"], positive="dog")
    >>> pool.labels
    array([-1.,  1., -1.])
    """

    features: Features
    labels: Array
    name: str = "pool"

    def __post_init__(self) -> None:
        features = as_features(self.features)
        labels = np.asarray(self.labels, dtype=np.float64)
        check_lengths(len(features), labels)
        if not np.isin(labels, (-1.0, 1.0)).all():
            raise PoolError("labels of a Pool are -1 and +1: make_pool translates others")
        if np.unique(labels).size < 2:
            raise PoolError(
                f"all {labels.size} labels are {labels[0]:+.0f}, one class only: two are needed"
            )
        set_fields(self, features=features, labels=labels)

    def take(self, rows: Any) -> "Pool":
        """The pool of some of the samples, by number or mask."""
        return Pool(self.features[rows], self.labels[rows], self.name)

    def mapped(self, step: Callable[[Features], Features]) -> "Pool":
        """The same samples with other features."""
        return Pool(step(self.features), self.labels, self.name)

    def without_constant_columns(self) -> "Pool":
        """The pool without features that have one value only."""
        varying = np.delete(self.features, constant_columns(self.features), axis=1)
        return Pool(varying, self.labels, self.name)


def make_pool(
    features: ArrayLike, labels: ArrayLike, positive: Any = None, name: str = "pool"
) -> Pool:
    """A pool from numbers [N, p] and N labels of any kind.

    positive: the label, or labels, that count as +1; the others count as -1. It may be left out for
        two classes: then the second in sorted order is +1.
    Raises PoolError on other input: the message says what to do.

    >>> make_pool([[0.5], [1.5], [2.5]], [3, 4, 5], positive=[3, 5]).labels
    array([ 1., -1.,  1.])
    """
    array = as_features(features)
    given = np.asarray(labels)
    check_lengths(len(array), given)
    missing = pd.isna(pd.Series(given)).to_numpy()
    if missing.any():
        raise PoolError(f"{missing.sum()} labels are missing (first: row {missing.argmax()})")
    classes = np.unique(given)
    if classes.size < 2:
        raise PoolError(f"all labels are {classes[0]!s}, one class only: two are needed")
    if positive is None:
        if classes.size > 2:
            raise PoolError(
                f"{classes.size} classes ({_listed(classes)}): say which count as +1, for example"
                f" positive={classes[0]!s}"
            )
        positive = classes[1]
    wanted = np.atleast_1d(np.asarray(positive))
    absent = [str(label) for label in wanted if label not in classes]
    if absent:
        raise PoolError(f"no sample has label {', '.join(absent)}: there are {_listed(classes)}")
    if np.isin(classes, wanted).all():
        raise PoolError("positive names every class: leave out those that count as -1")
    return Pool(array, np.where(np.isin(given, wanted), 1.0, -1.0), name)


def read_pool(
    path: str | Path, label: str = "label", positive: Any = None, features: str = "features"
) -> Pool:
    """A pool from a file: .npz, .csv or .parquet (which needs pyarrow).

    label: the column of a table, or the array of an .npz file, that holds the labels. In a table
        all others are features; in an .npz file the array ``features`` holds them.
    positive: as in ``make_pool``. Raises PoolError on a file without these or of another kind,
    FileNotFoundError on a missing one and MissingPackageError without pyarrow.
    """
    array, given = read_labelled(path, label, features)
    return make_pool(array, given, positive, Path(path).stem)


def read_labelled(
    path: str | Path, label: str = "label", features: str = "features"
) -> tuple[Any, NDArray[Any]]:
    """Features [N, p] and labels, of any kind, from a file; arguments and errors of read_pool."""
    path = Path(path)
    if path.suffix == ".npz":
        with path.open("rb") as file, _readable(path):
            arrays = dict(np.load(file, allow_pickle=False))
        for wanted in (features, label):
            _check_present(path, "array", wanted, arrays)
        return arrays[features], arrays[label]
    if path.suffix == ".csv":
        with _readable(path):
            table = pd.read_csv(path, encoding="utf-8-sig")
    elif path.suffix in (".parquet", ".pq"):
        require("pyarrow", "reading Parquet")
        with _readable(path):
            table = pd.read_parquet(path, engine="pyarrow")
    else:
        raise PoolError(f"{path} is no .npz, .csv or .parquet file: convert it, or use make_pool")
    _check_present(path, "column", label, list(table.columns))
    return _numbers(table.drop(columns=label)), table[label].to_numpy()


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Within, what is wrong with the content of a file is a PoolError that names it."""
    try:
        yield
    except (ValueError, BadZipFile, EOFError, TypeError) as error:
        why = str(error).partition("\n")[0]
        raise PoolError(f"{path} cannot be read as {path.suffix} ({why})") from None


def as_features(features: Any) -> Features:
    """A matrix of finite numbers; raises PoolError with the place of the first that is not."""
    array = np.asarray(features)
    if array.dtype == np.float32:
        single = True
    else:
        single = False
        try:
            array = array.astype(np.float64)
        except (TypeError, ValueError, OverflowError):
            raise PoolError("features are not numbers: encode text and categories first") from None
    if array.ndim != 2 or 0 in array.shape:
        raise PoolError(f"features have shape {array.shape}: give a matrix, a row for every sample")
    bad = ~np.isfinite(array)
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise PoolError(
            f"{bad.sum()} features are NaN or infinite (first: row {row}, column {column}): fill"
            " them in, or leave these rows out"
        )
    return array if single else np.asarray(array, dtype=np.float64)


def check_lengths(samples: int, labels: NDArray[Any]) -> None:
    if labels.ndim != 1 or len(labels) != samples:
        raise PoolError(
            f"features have {samples} rows and labels shape {labels.shape}: give one label a row"
        )


def constant_columns(features: Features) -> NDArray[np.intp]:
    """Numbers of the features that have one value only."""
    return np.flatnonzero(features.max(axis=0) == features.min(axis=0))


def _numbers(table: pd.DataFrame) -> Array:
    text = [str(name) for name in table.columns if not pd.api.types.is_numeric_dtype(table[name])]
    if text:
        raise PoolError(
            f"columns {', '.join(text[:5])} are not numbers: drop them, or encode them first"
        )
    return table.to_numpy(dtype=np.float64)


def _check_present(path: Path, kind: str, wanted: str, present: Iterable[str]) -> None:
    if wanted not in present:
        raise PoolError(f"{path} has no {kind} {wanted!r}: it has {_listed(list(present))}")


def _listed(values: Any, most: int = 8) -> str:
    shown = ", ".join(str(value) for value in list(values)[:most])
    return shown + (", ..." if len(values) > most else "")
