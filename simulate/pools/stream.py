"""Choose from a pool of any size: one pass for the scores, one for the ids of what is chosen.

The rule and the draw are those of a pool in memory, on the vector of all scores; so the subset is
the same, bit for bit, whatever the batches, files, partitions and workers.
"""

import json
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from simulate.pools.draw import Indices
from simulate.pools.optional import PoolError, require
from simulate.pools.stream_scores import Scorer, first_repeated, score_piece
from simulate.pools.stream_sources import Piece, Source
from simulate.pools.stream_store import InMemory, Kept, open_records
from simulate.running.run import cluster_error

Array = NDArray[np.float64]
Progress = Callable[[int, int | None], None]

VERSION = 1
"""Of records on disk and of the pieces of a source."""

WRITTEN = 2**20
"""Rows of the output that are written at a time."""


class Choice(Protocol):
    """Rows chosen by their scores, [N]: of ``simulate.pools.selector.Subset``."""

    @property
    def indices(self) -> Indices: ...

    @property
    def inclusion_probabilities(self) -> Array: ...

    @property
    def weights(self) -> Array: ...


@dataclass(frozen=True, eq=False)
class StreamedSubset:
    """What was chosen from a pool that is read in batches.

    pool_rows: of the pool. bad_rows: left out for NaN or infinities. chosen_rows: of the table.
    output: the Parquet file that holds the table, if one was asked for.
    """

    pool_rows: int
    bad_rows: int
    chosen_rows: int
    output: Path | None
    _table: Any = None

    def table(self) -> Any:
        """A pyarrow table, a row for every sample chosen, in the order of the pool.

        row: int64, its number in the pool from 0; id: as in the pool, if ``id_column`` was given;
        score, inclusion_probability, weight: float64.
        """
        if self.output is None:
            return self._table
        return require("pyarrow.parquet", "reading a subset").read_table(self.output)


def select_stream(
    source: Source,
    scorer: Scorer,
    choose: Callable[[Array], Choice],
    output: Path | None,
    client: Any = None,
    progress: Progress | None = None,
    described: dict[str, Any] | None = None,
) -> StreamedSubset:
    """Score a pool, choose, and write the chosen rows: the work of ``SubsetSelector.select_from``.

    choose: from the scores of the rows that are not left out. described: beside the pool, the
    surrogate and the columns, what to say in the output.
    """
    require("pyarrow", "selection from files")
    client = _client_of(source, client)
    told = {
        "version": VERSION,
        "columns": list(scorer.columns or ()),
        "id": scorer.id_column,
    }
    if output is None:
        kept: Any = nullcontext(InMemory(scorer.kind))
    else:
        joblib = require("joblib", "selection from files")
        identity = {**told, "pool": source.identity(), "surrogate": joblib.hash(scorer.score)}
        kept = open_records(output, identity, scorer.kind)
    with kept as store:
        _score(source, scorer, store, client, progress)
        records = store.records()
        if scorer.id_column is not None:
            _check_ids(source, scorer.id_column, store, client)
        scores = np.ascontiguousarray(records["score"])
        good = np.isfinite(scores)
        bad_rows = int(good.size - np.count_nonzero(good))
        if bad_rows and not scorer.skip_bad_rows:
            raise PoolError(
                f"{bad_rows} bad rows were left out before the run was stopped: leave them out now"
                " too (skip_bad_rows, --skip-bad-rows), or remove its scores"
            )
        if bad_rows == good.size:
            raise PoolError(f"the pool has no rows to choose from ({bad_rows} left out)")
        choice = choose(scores[good] if bad_rows else scores)
        rows = np.flatnonzero(good)[choice.indices] if bad_rows else choice.indices
        del good
        if not rows.size:
            raise PoolError("the selection chooses no row of the pool: ask for more")
        columns = {
            "row": rows.astype(np.int64),
            "score": scores[rows],
            "inclusion_probability": choice.inclusion_probabilities[choice.indices],
            "weight": choice.weights,
        }
        del choice
        told |= {"pool_rows": len(scores), "bad_rows": bad_rows, **(described or {})}
        parts = _tables(columns, source, scorer.id_column, store, client, json.dumps(told))
        subset = StreamedSubset(len(scores), bad_rows, rows.size, output)
        if output is None:
            return replace(subset, _table=require("pyarrow", "a subset").concat_tables(parts))
        store.write_output(output, lambda path: _write(path, parts))
    return subset


def _client_of(source: Source, client: Any) -> Any:
    """The client given, or for a Dask collection the one that is active, if any."""
    if client is not None or all(piece.data is None for piece in source.pieces):
        return client
    try:
        from distributed import default_client
    except ImportError:
        return None
    try:
        return default_client()  # type: ignore[no-untyped-call]
    except ValueError:
        return None


def _score(
    source: Source, scorer: Scorer, store: Kept, client: Any, progress: Progress | None
) -> None:
    """Score what the store has not yet."""
    there = store.rows_of_pieces()
    begin = max(there, default=0)
    done, again = sum(there.values()), there.get(begin, 0)
    if progress is not None and done:
        progress(done, source.rows)
    for number, records in _scored(source, scorer, begin, client):
        if number == begin and again:
            left = records[again:]
            again -= len(records) - len(left)
            records = left
        if len(records):
            store.append(number, records)
            done += len(records)
            if progress is not None:
                progress(done, source.rows)


def _scored(
    source: Source, scorer: Scorer, begin: int, client: Any
) -> Iterator[tuple[int, NDArray[Any]]]:
    if client is not None:
        numbers = range(begin, len(source.pieces))
        tasks = ((source.pieces[k], ()) for k in numbers)
        yield from zip(numbers, _on_workers(client, score_piece, scorer, tasks), strict=True)
        return
    for number, (rows, name, first) in _read_ahead(source, scorer, begin):
        yield number, scorer.scored(rows, name, first)


def _read_ahead(source: Source, scorer: Scorer, begin: int) -> Iterator[tuple[int, Any]]:
    """Batches of all pieces; one is read while the one before is scored."""

    def batches() -> Iterator[tuple[int, Any]]:
        for number in range(begin, len(source.pieces)):
            for batch in scorer.batches(source.pieces[number]):
                yield number, batch

    left = batches()
    with ThreadPoolExecutor(1) as reader:
        ahead = reader.submit(next, left, None)
        while (batch := ahead.result()) is not None:
            ahead = reader.submit(next, left, None)
            yield batch


def _on_workers(
    client: Any, function: Callable[..., Any], shared: Any, tasks: Iterator[tuple[Piece, Any]]
) -> Iterator[Any]:
    """Results of function(shared, piece, data, *arguments) in order; Dask runs lost ones again."""
    cloudpickle = require("cloudpickle", "work on a cluster")
    threads = sum(client.nthreads().values())
    futures: deque[Any] = deque()
    try:
        sent = client.submit(cloudpickle.loads, cloudpickle.dumps(shared), pure=False)
        for piece, arguments in tasks:
            data = None if piece.data is None else client.compute(piece.data)
            futures.append(client.submit(function, sent, piece, data, *arguments, pure=False))
            if len(futures) > 2 * threads + 2:
                yield futures.popleft().result()
        while futures:
            yield futures.popleft().result()
    except (PoolError, GeneratorExit):
        raise
    except Exception as error:
        raise cluster_error(error) from error
    finally:
        for future in futures:
            future.cancel()


def _ids(id_column: str, piece: Piece, data: Any, rows: NDArray[np.int64]) -> Any:
    """Ids of some rows of a piece, an Arrow array."""
    pa = require("pyarrow", "reading ids")
    found, passed = [], 0
    for batch in piece.read((), id_column, data):
        within = rows[np.searchsorted(rows, passed) : np.searchsorted(rows, passed + batch.count)]
        if within.size:
            found.append(batch.ids.take(pa.array(within - passed)))
        passed += batch.count
    return pa.chunked_array(found)


def _ids_by_piece(
    rows: NDArray[np.int64], source: Source, id_column: str, store: Kept, client: Any
) -> Iterator[Any]:
    """Ids of increasing rows of the pool, piece by piece."""
    counts = store.rows_of_pieces()
    tasks, first = [], 0
    for number in sorted(counts):
        within = rows[np.searchsorted(rows, first) : np.searchsorted(rows, first + counts[number])]
        if within.size:
            tasks.append((source.pieces[number], (within - first,)))
        first += counts[number]
    if client is not None:
        yield from _on_workers(client, _ids, id_column, iter(tasks))
    else:
        yield from (_ids(id_column, piece, None, within) for piece, (within,) in tasks)


def _check_ids(source: Source, id_column: str, store: Kept, client: Any) -> None:
    """Raise PoolError where two rows have the same id."""
    numbers = np.ascontiguousarray(store.records()["id"])
    for rows in first_repeated(numbers):
        found = [x for part in _ids_by_piece(rows, source, id_column, store, client) for x in part]
        ids = [x.as_py() for x in found]
        for k, name in enumerate(ids):
            if name in ids[:k]:
                raise PoolError(
                    f"id {name!r} of column {id_column} stands in rows {rows[ids.index(name)]} and"
                    f" {rows[k]}: every sample needs an id of its own"
                )


def _tables(
    columns: dict[str, NDArray[Any]],
    source: Source,
    id_column: str | None,
    store: Kept,
    client: Any,
    told: str,
) -> Iterator[Any]:
    """The table of the subset, in parts."""
    pa = require("pyarrow", "writing a subset")
    rows = columns["row"]
    metadata = {"data_selection": told}
    if id_column is None:
        for first in range(0, rows.size, WRITTEN):
            part = {name: values[first : first + WRITTEN] for name, values in columns.items()}
            yield pa.table(part).replace_schema_metadata(metadata)
        return
    first = 0
    for ids in _ids_by_piece(rows, source, id_column, store, client):
        part = {name: values[first : first + len(ids)] for name, values in columns.items()}
        table = pa.table({"row": part.pop("row"), "id": ids, **part})
        yield table.replace_schema_metadata(metadata)
        first += len(ids)


def _write(path: Path, parts: Iterator[Any]) -> None:
    parquet = require("pyarrow.parquet", "writing a subset")
    first = next(parts)
    with parquet.ParquetWriter(path, first.schema) as writer:
        writer.write_table(first)
        for part in parts:
            writer.write_table(part)
