"""Pools of any size, as pieces that are read one after the other: files, tables, arrays, Dask.

A piece is a row group of a Parquet file, a file, a partition or a slice. It can be sent to a worker
that sees the same files. pyarrow reads tables; .npy files are mapped into memory.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from zipfile import BadZipFile, ZipFile

import numpy as np
from numpy.typing import NDArray

from simulate.pools.optional import PoolError, require

BATCH = 2**16
"""Rows that are read at a time."""

SLICE = 2**20
"""Rows of a piece of an array."""

FEATURES = "features"
"""The array of an .npz file that holds the features."""

KINDS = "a .parquet, .csv, .npy or .npz file, or a directory of .parquet or .csv files"


@dataclass(frozen=True)
class Rows:
    """Consecutive rows: features as a matrix [n, p] or as p columns; ids as an Arrow array."""

    features: NDArray[Any] | Sequence[NDArray[Any]]
    count: int
    ids: Any = None

    @property
    def dimension(self) -> int:
        if isinstance(self.features, np.ndarray):
            return int(self.features.shape[1])
        return len(self.features)

    def part(self, first: int, end: int) -> NDArray[Any] | Sequence[NDArray[Any]]:
        """Features of rows first to end."""
        if isinstance(self.features, np.ndarray):
            return self.features[first:end]
        return [column[first:end] for column in self.features]


class Piece(Protocol):
    """A part of a pool that is read at once."""

    @property
    def name(self) -> str:
        """The file or partition, for messages."""

    @property
    def first(self) -> int:
        """The number of its first row within what ``name`` names."""

    @property
    def data(self) -> Any:
        """What Dask computes before ``read``; None for files and arrays."""

    def read(
        self, columns: tuple[str, ...] | None, id_column: str | None, data: Any = None
    ) -> Iterator[Rows]:
        """Its rows. ``data``: what Dask computed of ``self.data``. No columns: ids only."""


@dataclass(frozen=True)
class Source:
    """A pool: its pieces in order, the names of its numeric columns (None for an array), of all
    columns, its number of rows where that is known, and a text that tells it from another."""

    pieces: Sequence[Piece]
    numeric: tuple[str, ...] | None
    names: tuple[str, ...]
    rows: int | None
    identity: Callable[[], str]

    def columns(
        self, wanted: Sequence[str] | None, id_column: str | None, ignored: Sequence[str] = ()
    ) -> tuple[str, ...] | None:
        """Columns to use as features: those wanted, or all numeric ones. Raises PoolError."""
        if id_column is not None and id_column not in self.names:
            raise PoolError(f"the pool has no id column {id_column!r}: {_has(self.names)}")
        if self.numeric is None:
            if wanted is not None:
                raise PoolError("features of an array have no names: leave the columns out")
            return None
        if wanted is None:
            return tuple(name for name in self.numeric if name not in (id_column, *ignored))
        missing = [name for name in wanted if name not in self.names]
        if missing:
            raise PoolError(f"the pool lacks columns {_listed(missing)}: {_has(self.names)}")
        text = [name for name in wanted if name not in self.numeric]
        if text:
            raise PoolError(f"columns {_listed(text)} of the pool are not numbers: encode them")
        return tuple(wanted)


@dataclass(frozen=True)
class TablePiece:
    """A fragment of an Arrow dataset: a row group or a file."""

    fragment: Any
    schema: Any
    name: str
    first: int = 0
    data: None = None

    def read(
        self, columns: tuple[str, ...] | None, id_column: str | None, data: Any = None
    ) -> Iterator[Rows]:
        pa = require("pyarrow", "reading a pool")
        names = list(dict.fromkeys([*(columns or ()), *([id_column] if id_column else [])]))
        try:
            for batch in self.fragment.to_batches(
                schema=self.schema, columns=names, batch_size=BATCH, batch_readahead=2
            ):
                yield _rows_of(batch, columns or (), id_column)
        except (pa.ArrowException, OSError) as error:
            why = str(error).partition("\n")[0]
            raise PoolError(f"{self.name} cannot be read ({why})") from None


@dataclass(frozen=True)
class BatchPiece:
    """Rows of an Arrow table in memory."""

    table: Any
    name: str
    first: int
    data: None = None

    def read(
        self, columns: tuple[str, ...] | None, id_column: str | None, data: Any = None
    ) -> Iterator[Rows]:
        for batch in self.table.to_batches(BATCH):
            yield _rows_of(batch, columns or (), id_column)


@dataclass(frozen=True)
class ArrayPiece:
    """Rows of a matrix, in memory or mapped: ``array`` itself, or the .npy file that holds it."""

    array: NDArray[Any] | Path
    name: str
    first: int
    end: int
    data: None = None

    def read(
        self, columns: tuple[str, ...] | None, id_column: str | None, data: Any = None
    ) -> Iterator[Rows]:
        array = self.array
        if isinstance(array, Path):
            array = np.load(array, mmap_mode="r", allow_pickle=False)
        for first in range(self.first, self.end, BATCH):
            end = min(first + BATCH, self.end)
            yield Rows(np.asarray(array[first:end]), end - first)


@dataclass(frozen=True)
class ZippedPiece:
    """The matrix of an .npz file, read in order; whole only where it is stored by columns."""

    path: Path
    name: str
    first: int = 0
    data: None = None

    def read(
        self, columns: tuple[str, ...] | None, id_column: str | None, data: Any = None
    ) -> Iterator[Rows]:
        pa = require("pyarrow", "reading a pool")
        every = np.load(self.path, allow_pickle=False)[id_column] if id_column else None
        with ZipFile(self.path) as archive, archive.open(FEATURES + ".npy") as file:
            (rows, width), dtype, by_columns = _header(file, self.name)
            if every is not None and every.shape != (rows,):
                raise PoolError(f"{self.name}: {id_column!r} has shape {every.shape}, not {rows}")
            whole = np.load(self.path)[FEATURES] if by_columns and columns != () else None
            for first in range(0, rows, BATCH):
                count = min(BATCH, rows - first)
                ids = None if every is None else pa.array(every[first : first + count])
                if columns == ():
                    yield Rows([], count, ids)
                    continue
                if whole is not None:
                    yield Rows(whole[first : first + count], count, ids)
                    continue
                content = file.read(count * width * dtype.itemsize)
                yield Rows(np.frombuffer(content, dtype).reshape(count, width), count, ids)


@dataclass(frozen=True)
class DaskPiece:
    """A partition of a Dask collection; ``data`` is what computes it."""

    data: Any
    name: str
    first: int = 0

    def read(
        self, columns: tuple[str, ...] | None, id_column: str | None, data: Any = None
    ) -> Iterator[Rows]:
        pa = require("pyarrow", "reading a pool")
        if data is None:
            data = self.data.compute(scheduler="threads")
        for first in range(0, len(data), BATCH):
            part = data[first : first + BATCH]
            if isinstance(part, np.ndarray):
                yield Rows(part, len(part))
                continue
            missing = [name for name in columns or () if name not in part.columns]
            if missing:
                raise PoolError(f"{self.name} lacks columns {_listed(missing)}")
            features = [part[name].to_numpy(dtype=np.float64) for name in columns or ()]
            ids = pa.array(part[id_column], from_pandas=True) if id_column else None
            yield Rows(features, len(part), ids)

    def __getstate__(self) -> dict[str, Any]:
        return {"data": None, "name": self.name, "first": self.first}  # Dask sends the data


def open_source(
    pool: Any, columns: Sequence[str] | None = None, as_is: str | None = None
) -> Source:
    """A source of rows from a path, a pyarrow dataset or table, a pandas DataFrame, a matrix, or a
    Dask array or dataframe. Raises PoolError on other things and on files that cannot be read.

    columns: features, if they are known; in CSV files they (else all numeric columns) are read as
    floating-point numbers, but for the column ``as_is``.

    >>> open_source(np.zeros((5, 3))).rows
    5
    """
    if isinstance(pool, str | Path):
        return _open_path(Path(pool), columns, as_is)
    module = type(pool).__module__.partition(".")[0]
    if module in ("dask", "dask_expr"):
        return _dask_source(pool)
    pa = require("pyarrow", "reading a pool")
    if module == "pandas":
        pool = pa.Table.from_pandas(pool, preserve_index=False)
    if isinstance(pool, pa.Table):
        return _table_source(pool)
    if module == "pyarrow" and hasattr(pool, "get_fragments"):
        return _dataset_source(pool)
    array = np.asarray(pool)
    if array.dtype.kind not in "fiub" or array.ndim != 2:
        raise PoolError(f"a {type(pool).__name__} is no pool: give {KINDS}, a table or a matrix")
    return _array_source(array, array, "the array", lambda: _digest([array]))


def read_labelled(
    path: str | Path,
    labels: str,
    columns: Sequence[str] | None = None,
    ignored: Sequence[str] = (),
) -> tuple[Any, NDArray[Any]]:
    """Features and labels of a pilot: a DataFrame [n, p], or a matrix from .npz, and [n] labels.

    labels: the column, or the array of an .npz file. columns: features, by default all numeric
    columns that are not ``ignored``. Raises PoolError on a file without these.
    """
    source = open_source(path, columns, labels)
    if labels not in source.names:
        raise PoolError(f"{path} has no column {labels!r} of labels: {_has(source.names)}")
    used = source.columns(columns, None, (labels, *ignored))
    parts = [rows for piece in source.pieces for rows in piece.read(used, labels)]
    if not parts:
        raise PoolError(f"{path} has no rows: a pilot needs labelled samples")
    found = np.concatenate([rows.ids.to_numpy(zero_copy_only=False) for rows in parts])
    if used is None:
        return np.concatenate([np.asarray(rows.features) for rows in parts]), found
    import pandas as pd

    features = np.concatenate([np.column_stack(list(rows.features)) for rows in parts])
    return pd.DataFrame(features, columns=list(used)), found


def _open_path(path: Path, columns: Sequence[str] | None, as_is: str | None) -> Source:
    if not path.exists():
        raise PoolError(f"{path} does not exist: give {KINDS}")
    if path.suffix == ".npy":
        try:
            array = np.load(path, mmap_mode="r", allow_pickle=False)
        except (ValueError, OSError, EOFError) as error:
            raise PoolError(f"{path} cannot be read as .npy ({error})") from None
        return _array_source(array, path.absolute(), str(path), lambda: stamp([path]))
    if path.suffix == ".npz":
        return _zipped_source(path)
    ds = require("pyarrow.dataset", "reading a pool")
    pa = require("pyarrow", "reading a pool")
    files = [path]
    if path.is_dir():
        found = (p for p in path.rglob("*") if p.is_file())
        visible = (p for p in found if not p.name.startswith((".", "_")))
        files = sorted(p for p in visible if p.suffix in (".parquet", ".pq", ".csv"))
    kinds = {"parquet" if file.suffix in (".parquet", ".pq") else file.suffix for file in files}
    if len(kinds) != 1 or not kinds <= {"parquet", ".csv"}:
        raise PoolError(f"{path} holds {sorted(kinds) or 'nothing to read'}: give {KINDS}")
    kind = ds.ParquetFileFormat()
    if kinds == {".csv"}:
        import pyarrow.csv as csv

        numbers = {name: pa.float64() for name in columns or ()}
        kind = ds.CsvFileFormat(convert_options=csv.ConvertOptions(column_types=numbers))
    try:
        dataset = ds.dataset([str(file) for file in files], format=kind)
        if kinds == {".csv"} and columns is None:  # whole numbers in the first rows only
            numeric = [name for name in dataset.schema.names if _number(dataset.schema, name)]
            return _open_path(path, [name for name in numeric if name != as_is], as_is)
        return _dataset_source(dataset)
    except (pa.ArrowException, OSError) as error:
        why = str(error).partition("\n")[0]
        raise PoolError(f"{path} cannot be read ({why})") from None


def _dataset_source(dataset: Any) -> Source:
    pieces: list[Piece] = []
    rows, known = 0, True
    stamps = []
    for number, fragment in enumerate(dataset.get_fragments()):
        name = getattr(fragment, "path", None) or f"fragment {number}"
        if Path(name).exists():
            stamps.append(Path(name))
        if hasattr(fragment, "row_groups"):
            _check_schema(name, fragment.physical_schema, dataset.schema)
            first = 0
            for group in fragment.split_by_row_group():
                pieces.append(TablePiece(group, dataset.schema, name, first))
                first += sum(part.num_rows for part in group.row_groups)
            rows += first
        else:
            pieces.append(TablePiece(fragment, dataset.schema, name))
            known = False
    return _table(
        pieces,
        dataset.schema,
        rows if known else None,
        lambda: f"{stamp(stamps)} {dataset.schema}",
    )


def _check_schema(name: str, found: Any, wanted: Any) -> None:
    """That a file has the columns of the first, of the same kind."""
    missing = [column for column in wanted.names if column not in found.names]
    if missing:
        raise PoolError(f"{name} lacks columns {_listed(missing)} that the first file has")
    for column in wanted.names:
        numbers = (_number(found, column), _number(wanted, column))
        if numbers[0] != numbers[1]:
            kinds = found.field(column).type, wanted.field(column).type
            raise PoolError(
                f"{name} holds {kinds[0]} in column {column} and the first file {kinds[1]}: write"
                " its files with one schema"
            )


def _table_source(table: Any) -> Source:
    pieces = [
        BatchPiece(table.slice(first, SLICE), "the table", first)
        for first in range(0, table.num_rows, SLICE)
    ]

    def identity() -> str:
        return _digest(batch.serialize() for batch in table.combine_chunks().to_batches(SLICE))

    return _table(pieces, table.schema, table.num_rows, identity)


def _table(
    pieces: Sequence[Piece], schema: Any, rows: int | None, identity: Callable[[], str]
) -> Source:
    numeric = tuple(name for name in schema.names if _number(schema, name))
    return Source(pieces, numeric, tuple(schema.names), rows, identity)


def _array_source(
    array: NDArray[Any], where: NDArray[Any] | Path, name: str, identity: Callable[[], str]
) -> Source:
    if array.ndim != 2:
        raise PoolError(f"{name} has shape {array.shape}: a matrix is needed, a row a sample")
    rows = len(array)
    pieces = [
        ArrayPiece(where, name, first, min(first + SLICE, rows)) for first in range(0, rows, SLICE)
    ]
    return Source(pieces, None, (), rows, identity)


def _zipped_source(path: Path) -> Source:
    try:
        with ZipFile(path) as archive:
            names = [name.removesuffix(".npy") for name in archive.namelist()]
            if FEATURES not in names:
                raise PoolError(f"{path} has no array {FEATURES!r}: {_has(names)}")
            with archive.open(FEATURES + ".npy") as file:
                (rows, _), _, _ = _header(file, str(path))
    except (BadZipFile, ValueError, EOFError) as error:
        if isinstance(error, PoolError):
            raise
        raise PoolError(f"{path} cannot be read as .npz ({error})") from None
    others = tuple(name for name in names if name != FEATURES)
    piece = ZippedPiece(path.absolute(), str(path))
    return Source([piece], None, others, rows, lambda: stamp([path]))


def _header(file: Any, name: str) -> tuple[tuple[int, int], np.dtype[Any], bool]:
    """Shape and kind of a matrix, and whether it is stored column by column."""
    version = np.lib.format.read_magic(file)
    reader = np.lib.format.read_array_header_1_0
    if version != (1, 0):
        reader = np.lib.format.read_array_header_2_0
    shape, by_columns, dtype = reader(file)
    if len(shape) != 2 or dtype.kind not in "fiub":
        raise PoolError(f"{name}: {FEATURES!r} must be a matrix of numbers, a row a sample")
    return (shape[0], shape[1]), dtype, bool(by_columns)


def _dask_source(collection: Any) -> Source:
    from dask.base import tokenize

    token = str(tokenize(collection))
    if hasattr(collection, "chunks"):
        if collection.ndim != 2:
            raise PoolError(f"the Dask array has shape {collection.shape}: a matrix is needed")
        collection = collection.rechunk({1: -1})
        parts = collection.to_delayed().ravel().tolist()
        names: tuple[str, ...] = ()
        numeric: tuple[str, ...] | None = None
        rows = None if np.isnan(collection.shape[0]) else int(collection.shape[0])
    elif hasattr(collection, "npartitions") and hasattr(collection, "dtypes"):
        parts = collection.to_delayed()
        rows = None
        kinds = collection.dtypes
        names = tuple(str(name) for name in collection.columns)
        numeric = tuple(n for n in names if getattr(kinds[n], "kind", "O") in "fiub")
    else:
        raise PoolError(
            f"a Dask {type(collection).__name__} is no pool: give an array or dataframe"
        )
    pieces = [DaskPiece(part, f"partition {k}") for k, part in enumerate(parts)]
    return Source(pieces, numeric, names, rows, lambda: token)


def _rows_of(batch: Any, columns: Sequence[str], id_column: str | None) -> Rows:
    features = [_as_numbers(batch.column(name)) for name in columns]
    ids = batch.column(id_column) if id_column else None
    return Rows(features, batch.num_rows, ids)


def _as_numbers(column: Any) -> NDArray[Any]:
    """A column as numbers; what is missing as NaN."""
    if column.null_count and not str(column.type).endswith(("float", "double")):
        column = column.cast("float64", safe=False)
    return np.asarray(column.to_numpy(zero_copy_only=False))


def _number(schema: Any, name: str) -> bool:
    types = require("pyarrow", "reading a pool").types
    kind = schema.field(name).type
    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind))


def stamp(paths: Sequence[Path]) -> str:
    """Names, sizes and times of change of files."""
    stats = [(path.absolute(), path.stat()) for path in paths]
    return "; ".join(f"{path} {stat.st_size} {stat.st_mtime_ns}" for path, stat in stats)


def _digest(contents: Iterable[Any]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for content in contents:
        digest.update(
            np.ascontiguousarray(content).data if isinstance(content, np.ndarray) else content
        )
    return digest.hexdigest()


def _has(names: Sequence[str]) -> str:
    return f"it has {_listed(names)}" if names else "it has none"


def _listed(names: Sequence[str], most: int = 8) -> str:
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")
