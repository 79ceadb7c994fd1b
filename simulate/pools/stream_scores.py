"""Scores that do not depend on which rows are scored together.

Linear algebra may round a row differently in a matrix of another height. So rows are scored in
double precision, on one thread, in blocks of exactly ROWS rows; the last is filled up. A row's
score is then the same, bit for bit, in memory and in batches of any size, on one kind of processor.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulate.pools.optional import PoolError, require
from simulate.pools.stream_sources import Piece, Rows
from theory.machine import one_thread

Array = NDArray[np.float64]

ROWS = 4096
"""Rows of every matrix that a classifier is given."""

SCORE = np.dtype([("score", "<f8")])
"""What is kept of a row: its score, NaN where the row is left out."""

SCORE_AND_ID = np.dtype([("score", "<f8"), ("id", "<u8")])
"""The same, and a number made of its id."""


def score_rows(score: Callable[[Array], Array], features: NDArray[Any]) -> Array:
    """Scores of the rows of a matrix, shape [N].

    >>> score_rows(lambda x: x[:, 0], np.arange(3)[:, None])
    array([0., 1., 2.])
    """
    with one_thread():
        blocks = _blocks(features.shape[1], len(features), lambda f, t: features[f:t])
        return np.concatenate([np.empty(0), *(score(block)[:count] for block, count in blocks)])


def _blocks(
    width: int, rows: int, part: Callable[[int, int], NDArray[Any] | Sequence[NDArray[Any]]]
) -> Iterator[tuple[Array, int]]:
    """Matrices of ROWS rows, and how many of them count; ``part`` gives rows or their columns."""
    for first in range(0, rows, ROWS):
        block: Array = np.empty((ROWS, width))
        count = min(ROWS, rows - first)
        given = part(first, first + count)
        if isinstance(given, np.ndarray):
            block[:count] = given
        else:
            for number, column in enumerate(given):
                block[:count, number] = column
        block[count:] = block[0]
        yield block, count


@dataclass(frozen=True)
class Scorer:
    """Scores the rows of a pool's pieces, here or on a worker.

    score: from features [ROWS, p] to scores [ROWS]. dimension: p. columns: names of the features;
    None where a pool is an array. id_column: the column of ids, if any. skip_bad_rows: rows with
    NaN or infinities get the score NaN; otherwise they raise PoolError.
    """

    score: Callable[[Array], Array]
    dimension: int
    columns: tuple[str, ...] | None
    id_column: str | None = None
    skip_bad_rows: bool = False

    @property
    def kind(self) -> np.dtype[Any]:
        """Of the records: SCORE, or SCORE_AND_ID."""
        return SCORE if self.id_column is None else SCORE_AND_ID

    def batches(self, piece: Piece, data: Any = None) -> Iterator[tuple[Rows, str, int]]:
        """Rows of a piece, batch by batch; what names them, and the number of the first therein."""
        passed = piece.first
        for rows in piece.read(self.columns, self.id_column, data):
            yield rows, piece.name, passed
            passed += rows.count

    def scored(self, rows: Rows, name: str, passed: int) -> NDArray[Any]:
        """Records of the rows of a batch."""
        if rows.dimension != self.dimension:
            raise PoolError(
                f"{name} has {rows.dimension} features and the surrogate knows {self.dimension}:"
                " give it the features that the pilot has"
            )
        records = np.empty(rows.count, dtype=self.kind)
        with one_thread():
            done = 0
            for block, count in _blocks(self.dimension, rows.count, rows.part):
                bad = np.flatnonzero(~np.isfinite(block[:count]).all(axis=1))
                if bad.size:
                    if not self.skip_bad_rows:
                        raise self._bad(block, bad, name, passed + done)
                    block[bad] = 0.0
                scores = self.score(block)[:count]
                if not np.isfinite(scores).all():
                    row = passed + done + int(np.argmin(np.isfinite(scores)))
                    raise PoolError(f"{name}: the surrogate gives row {row} no finite score")
                scores[bad] = np.nan
                records["score"][done : done + count] = scores
                done += count
        if rows.ids is not None:
            records["id"] = id_numbers(rows.ids, name)
        return records

    def _bad(self, block: Array, bad: NDArray[np.intp], name: str, passed: int) -> PoolError:
        column = int(np.argmin(np.isfinite(block[bad[0]])))
        value = block[bad[0], column]
        title = f"column {self.columns[column] if self.columns else column}"
        what = "NaN or missing" if np.isnan(value) else "infinite"
        return PoolError(
            f"{name}: row {passed + bad[0]} is {what} in {title} ({bad.size} bad rows within"
            f" {ROWS}): fill it in, or leave such rows out (skip_bad_rows, --skip-bad-rows)"
        )


def score_piece(scorer: Scorer, piece: Piece, data: Any = None) -> NDArray[Any]:
    """Records of a whole piece, as a worker gives them."""
    records = [scorer.scored(*batch) for batch in scorer.batches(piece, data)]
    return np.concatenate([np.empty(0, scorer.kind), *records])


def id_numbers(ids: Any, name: str) -> NDArray[np.uint64]:
    """A number for every id of an Arrow array: equal for equal ids, and seldom else."""
    if ids.null_count:
        raise PoolError(f"{name}: {ids.null_count} ids are missing: fill them in")
    pa = require("pyarrow", "reading a pool")
    if pa.types.is_integer(ids.type):
        return np.asarray(ids.to_numpy(zero_copy_only=False)).astype(np.int64).view(np.uint64)
    import pandas as pd

    values = np.asarray(ids.to_numpy(zero_copy_only=False))
    hashed: NDArray[np.uint64] = pd.util.hash_array(values, categorize=False)
    return hashed


def first_repeated(numbers: NDArray[np.uint64], most: int = 1000) -> Iterable[NDArray[np.intp]]:
    """Rows of numbers that occur more than once, number by number."""
    ordered = np.sort(numbers)
    repeated = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    for number in repeated[:most]:
        yield np.flatnonzero(numbers == number)
