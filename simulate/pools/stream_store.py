"""Scores of a pool on disk, safe against interruption at any moment and a second run.

A directory holds ``manifest.json`` (what is scored, by which surrogate), ``records`` (the records
of all rows scored, in order) and ``log``: of every batch appended its piece, its rows and the
checksum of its records. A batch counts once its log entry is whole and the checksum holds.
"""

import shutil
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from simulate.files import StoreError, write_json, write_whole
from simulate.running.store import differing_entries, locked

ENTRY = np.dtype([("piece", "<i8"), ("rows", "<i8"), ("checksum", "<u4")])

REMEDY = "choose another output, or remove it to start again"


class Kept(Protocol):
    """Records in the order of the rows."""

    def append(self, piece: int, records: NDArray[Any]) -> None:
        """Keep the records of the next rows."""

    def records(self) -> NDArray[Any]:
        """Of all rows."""

    def rows_of_pieces(self) -> dict[int, int]:
        """How many rows of each piece are there."""


class InMemory:
    """Records that end with the process."""

    def __init__(self, kind: np.dtype[Any]) -> None:
        self._kind = kind
        self._batches: list[tuple[int, NDArray[Any]]] = []

    def append(self, piece: int, records: NDArray[Any]) -> None:
        self._batches.append((piece, records))

    def records(self) -> NDArray[Any]:
        return np.concatenate([np.empty(0, self._kind), *(records for _, records in self._batches)])

    def rows_of_pieces(self) -> dict[int, int]:
        return _summed((piece, len(records)) for piece, records in self._batches)


class OnDisk:
    """Records in a directory; made by ``open_records``."""

    def __init__(self, directory: Path, kind: np.dtype[Any]) -> None:
        self._directory = directory
        self._kind = kind
        self._records, self._log = directory / "records", directory / "log"
        for path in (self._records, self._log):
            path.touch()
        self._entries = self._valid_entries()
        rows = int(sum(entry["rows"] for entry in self._entries))
        with self._records.open("r+b") as file:
            file.truncate(rows * kind.itemsize)
        with self._log.open("r+b") as file:
            file.truncate(len(self._entries) * ENTRY.itemsize)

    def _valid_entries(self) -> list[Any]:
        """Entries up to the first that is torn or whose records are not those written."""
        content = self._log.read_bytes()
        whole = len(content) // ENTRY.itemsize
        entries = np.frombuffer(content, ENTRY, count=whole)
        valid = []
        with self._records.open("rb") as file:
            for entry in entries:
                data = file.read(max(0, int(entry["rows"])) * self._kind.itemsize)
                short = len(data) != entry["rows"] * self._kind.itemsize
                if short or not data or zlib.crc32(data) != entry["checksum"]:
                    break
                valid.append(entry)
        return valid

    def append(self, piece: int, records: NDArray[Any]) -> None:
        """Keep the records of the next rows. Raises StoreError where there is no room."""
        data = records.tobytes()
        entry = np.array([(piece, len(records), zlib.crc32(data))], dtype=ENTRY)
        try:
            for path, content in ((self._records, data), (self._log, entry.tobytes())):
                with path.open("ab") as file:
                    file.write(content)
        except OSError as error:
            raise StoreError(
                f"{self._directory} cannot be written ({error.strerror or error}); the rows scored"
                " before are kept: make room, then start the same command again"
            ) from None
        self._entries.append(entry[0])

    def write_output(self, output: Path, write: Callable[[Path], Any]) -> None:
        """Write the output, whole; what an interruption leaves lies in the directory."""
        whole = self._directory / output.name
        write_whole(whole, write)
        whole.replace(output)

    def records(self) -> NDArray[Any]:
        if not self._entries:
            return np.empty(0, self._kind)
        return np.memmap(self._records, dtype=self._kind, mode="r")

    def rows_of_pieces(self) -> dict[int, int]:
        return _summed((int(entry["piece"]), int(entry["rows"])) for entry in self._entries)


def _summed(batches: Iterable[tuple[int, int]]) -> dict[int, int]:
    rows: dict[int, int] = {}
    for piece, count in batches:
        rows[piece] = rows.get(piece, 0) + count
    return rows


@contextmanager
def open_records(
    output: Path, described: Mapping[str, Any], kind: np.dtype[Any]
) -> Iterator[OnDisk]:
    """Records for an output that is not there yet: new ones, or those of an interrupted run.

    They lie beside the output and are removed once it is there. described: what the records depend
    on. Raises StoreError where the output is there already, another run writes it, the records are
    of something else, or the directory cannot be written.
    """
    directory = output.with_name(output.name + ".scores")
    if output.exists() and not directory.exists():
        raise StoreError(f"{output} exists: choose another output, or remove it")
    with locked(directory):
        manifest = directory / "manifest.json"
        differing = differing_entries(manifest, described)
        if differing:
            raise StoreError(
                f"{directory} holds scores of an interrupted run that differs in"
                f" {', '.join(differing)}: {REMEDY}"
            )
        if differing is None:
            write_json(manifest, described)
        yield OnDisk(directory, kind)
        shutil.rmtree(directory, ignore_errors=True)
