"""Finished tasks of a run on disk: safe against interruption, damage and a second run.

A store is a directory: ``manifest.json`` says what runs, ``tasks.sqlite`` holds the results of
every finished task, each committed by itself, and ``results.nc`` the labelled dataset of a whole
run.
"""

import json
import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from simulate.files import describe_environment, write_dataset, write_json
from simulate.running.plan import Plan
from simulate.task import COLUMNS

Array = NDArray[np.float64]


class StoreError(OSError):
    """A store that cannot be used, or written to; the message says why and what to do."""


class Store:
    """The tasks of one plan that are finished. Made by ``open_store``."""

    def __init__(self, directory: Path, plan: Plan, connection: sqlite3.Connection) -> None:
        self.directory = directory
        self.plan = plan
        self._connection = connection

    def finished(self) -> dict[int, Array]:
        """Results by the task's number in the plan; raises StoreError if any is damaged."""
        try:
            found = self._connection.execute(
                "SELECT number, checksum, results FROM task"
            ).fetchall()
        except sqlite3.DatabaseError as error:
            raise self._damaged(str(error)) from None
        results = {}
        for number, checksum, data in found:
            if not 0 <= number < len(self.plan.tasks):
                raise self._damaged(f"it holds a task number {number}")
            shape = len(self.plan.tasks[number].problems), len(COLUMNS)
            data = data or b""
            if zlib.crc32(data) != checksum or len(data) != 8 * shape[0] * shape[1]:
                raise self._damaged(f"the results of task {number} are not those written")
            results[number] = np.frombuffer(data, dtype="<f8").reshape(shape)
        return results

    def append(self, number: int, results: Array) -> None:
        """Keep the results of one task; when this returns they are on the disk."""
        data = results.astype("<f8").tobytes()
        try:
            with self._connection:
                self._connection.execute(
                    "INSERT INTO task VALUES (?, ?, ?)", (number, zlib.crc32(data), data)
                )
        except sqlite3.OperationalError as error:
            raise StoreError(
                f"{self.directory} cannot be written ({error}); the tasks finished before are kept:"
                " make room, then start the same command again"
            ) from None

    def write_dataset(self, values: Array) -> None:
        """Write ``results.nc``, the labelled dataset of the whole run."""
        write_dataset(self.directory / "results.nc", self.plan.dataset(values))

    def _damaged(self, why: str) -> StoreError:
        return StoreError(
            f"{self.directory / 'tasks.sqlite'} is damaged ({why}); remove {self.directory} to"
            " start again"
        )


@contextmanager
def open_store(directory: Path, plan: Plan) -> Iterator[Store]:
    """A store for the plan: a new one, or the one that an earlier run of the same plan left.

    Raises StoreError if the directory cannot be written, holds another plan's store or a damaged
    one, or is in use by another run.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock = FileLock(directory / ".lock")
        lock.acquire(blocking=False)
    except Timeout:
        raise StoreError(f"{directory} is in use by another run: wait for it to end") from None
    except OSError as error:
        raise StoreError(f"{directory} cannot be written ({error.strerror})") from None
    try:
        _check_manifest(directory, plan)
        with _connect(directory, plan) as connection:
            yield Store(directory, plan, connection)
    finally:
        lock.release()


def _check_manifest(directory: Path, plan: Plan) -> None:
    path = directory / "manifest.json"
    if not path.exists():
        manifest = {"digest": plan.digest, **_described(plan), **describe_environment()}
        write_json(path, manifest)
        return
    try:
        manifest = json.loads(path.read_text())
        digest = manifest["digest"]
    except (ValueError, KeyError, TypeError):
        raise StoreError(f"{path} is damaged; remove {directory} to start again") from None
    if digest != plan.digest:
        differing = [k for k, v in _described(plan).items() if manifest.get(k) != v]
        what = ", ".join(differing) or "the version of the toolkit"
        raise StoreError(
            f"{directory} is the store of another plan ({what} differs): choose another directory,"
            " or remove it to start again"
        )


def _described(plan: Plan) -> dict[str, object]:
    return {
        "seed": plan.seed,
        "dimensions": list(plan.dimensions),
        "data_sets": plan.repeats,
        "test_samples": plan.test_samples,
        "tasks": len(plan.tasks),
        "problems": [repr(problem) for problem in plan.problems],
    }


@contextmanager
def _connect(directory: Path, plan: Plan) -> Iterator[sqlite3.Connection]:
    path = directory / "tasks.sqlite"
    connection = sqlite3.connect(path)
    try:
        with connection:
            connection.execute("CREATE TABLE IF NOT EXISTS plan (digest TEXT NOT NULL UNIQUE)")
            connection.execute("INSERT OR IGNORE INTO plan VALUES (?)", (plan.digest,))
            if connection.execute("SELECT count(*) FROM plan").fetchone() != (1,):
                raise StoreError(
                    f"{path} is of another plan: choose another directory, or remove {directory}"
                )
            connection.execute(
                "CREATE TABLE IF NOT EXISTS task"
                " (number INTEGER PRIMARY KEY, checksum INTEGER NOT NULL, results BLOB NOT NULL)"
            )
        yield connection
    except sqlite3.DatabaseError as error:
        raise StoreError(
            f"{path} cannot be used ({error}); if it is damaged, remove {directory} to start again"
        ) from None
    finally:
        connection.close()
