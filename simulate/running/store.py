"""Finished tasks of a run on disk: safe against interruption, damage and a second run.

A store is a directory: ``manifest.json`` says what runs, ``tasks.sqlite`` holds the results of
every finished task, each committed by itself, and ``results.nc`` the labelled dataset of a whole
run. What it holds is known by the identity of the problem, so a plan may grow: by problems,
dimensions and data sets. It may not shrink, nor change in anything else.
"""

import json
import sqlite3
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from simulate.files import StoreError, describe_environment, write_dataset, write_json
from simulate.numerics import NUMERICS
from simulate.running.plan import Plan
from simulate.task import COLUMNS, Task

Array = NDArray[np.float64]

REMEDY = "choose another directory, or remove it to start again"


class Store:
    """The tasks of one plan that are finished. Made by ``open_store``."""

    def __init__(self, directory: Path, plan: Plan, connection: sqlite3.Connection) -> None:
        self.directory = directory
        self.plan = plan
        self._connection = connection

    def finished(self) -> dict[Task, Array]:
        """Results of the plan's tasks, or of those of their problems that are there.

        Raises StoreError if any are damaged.
        """
        found = self._results()
        finished = {}
        for task in self.plan.tasks:
            keys = [(self.plan.identities[i], task.dimension, task.number) for i in task.places]
            there = [k for k, key in enumerate(keys) if key in found]
            if there:
                part = task._replace(
                    problems=tuple(task.problems[k] for k in there),
                    places=tuple(task.places[k] for k in there),
                )
                finished[part] = np.stack([found[keys[k]] for k in there])
        return finished

    def _results(self) -> dict[tuple[str, int, int], Array]:
        try:
            rows = self._connection.execute(
                "SELECT identity, dimension, number, checksum, results FROM result"
                " JOIN problem ON problem.id = result.problem"
            ).fetchall()
        except sqlite3.DatabaseError as error:
            raise self._damaged(str(error)) from None
        found = {}
        for *key, checksum, data in rows:
            data = data or b""
            if zlib.crc32(data) != checksum or len(data) != 8 * len(COLUMNS):
                raise self._damaged(
                    f"the results of data set {key[2]} at p = {key[1]} are not those written"
                )
            found[key[0], key[1], key[2]] = np.frombuffer(data, dtype="<f8")
        return found

    def append(self, task: Task, results: Array) -> None:
        """Keep the results of one task; when this returns they are on the disk."""
        identities = [self.plan.identities[i] for i in task.places]
        rows = []
        for name, row in zip(identities, results.astype("<f8"), strict=True):
            data = row.tobytes()
            rows.append((task.dimension, task.number, zlib.crc32(data), data, name))
        try:
            with self._connection:
                self._connection.executemany(
                    "INSERT OR IGNORE INTO problem (identity) VALUES (?)",
                    [(name,) for name in identities],
                )
                self._connection.executemany(
                    "INSERT OR REPLACE INTO result (problem, dimension, number, checksum, results)"
                    " SELECT id, ?, ?, ?, ? FROM problem WHERE identity = ?",
                    rows,
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
    """A store for the plan: a new one, or that of an earlier run of the plan or a part of it.

    Raises StoreError if the directory cannot be written, holds another plan's store, one of other
    numerics or a damaged one, or is in use by another run; and if the code of a user's kind cannot
    be read.
    """
    described = {**_described(plan), "identities": list(plan.identities)}
    with locked(directory):
        _check_manifest(directory / "manifest.json", described)
        with _connect(directory, plan) as connection:
            yield Store(directory, plan, connection)


@contextmanager
def open_results_store(directory: Path, described: Mapping[str, Any]) -> Iterator[None]:
    """A directory for the results of one experiment, locked: a new one, or that of a part of it.

    described: kept in ``experiment.json``: numerics, axes, theory, problems, their identities and,
    where it simulates, the simulation's seed, test_samples, dimensions and data_sets. It may grow.
    Raises StoreError as ``open_store`` does.
    """
    with locked(directory):
        path = directory / "experiment.json"
        if not path.exists() and (directory / "results.nc").exists():
            raise StoreError(f"{directory} holds results of an unknown sweep: {REMEDY}")
        _check_manifest(path, {"numerics": NUMERICS, **described})
        yield


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """A directory for one run at a time; raises StoreError where it is in use or cannot be."""
    if directory.exists() and not directory.is_dir():
        raise StoreError(f"{directory} is a file, not a directory: choose another output")
    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock = FileLock(directory / ".lock")
        lock.acquire(blocking=False)
    except Timeout:
        raise StoreError(f"{directory} is in use by another run: wait for it to end") from None
    except OSError as error:
        raise StoreError(
            f"{directory} cannot be written ({error.strerror}): choose another directory"
        ) from None
    try:
        yield
    finally:
        lock.release()


def _described(plan: Plan) -> dict[str, Any]:
    return {
        "numerics": NUMERICS,
        "seed": plan.seed,
        "dimensions": list(plan.dimensions),
        "data_sets": plan.repeats,
        "test_samples": plan.test_samples,
        "tasks": len(plan.tasks),
        "problems": [repr(problem) for problem in plan.problems],
    }


def differing_entries(path: Path, described: Mapping[str, Any]) -> list[str] | None:
    """Names of what a manifest says otherwise; None where there is none. Raises StoreError where it
    is damaged."""
    if not path.exists():
        return None
    try:
        old = dict(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError):
        raise StoreError(f"{path} is damaged: remove {path.parent} to start again") from None
    return [name for name in described if old.get(name) != described[name]]


def _check_manifest(path: Path, described: Mapping[str, Any]) -> None:
    """Refuse a manifest that says anything which is not so still; write it where it grows."""
    directory = path.parent
    old: dict[str, Any] = {}
    if path.exists():
        try:
            old = dict(json.loads(path.read_text(encoding="utf-8")))
            same_numerics = old.get("numerics") == NUMERICS
            differing = _differing(old, described) if same_numerics else []
        except (ValueError, KeyError, TypeError, AttributeError):
            raise StoreError(f"{path} is damaged; remove {directory} to start again") from None
        if not same_numerics:
            raise StoreError(
                f"{directory} was computed by another version of the numerics"
                f" ({old.get('numerics', 'unknown')}, now {NUMERICS}): {REMEDY}"
            )
        if differing:
            raise StoreError(
                f"{directory} is the store of another plan ({', '.join(differing)} differs; a plan"
                f" may grow, not shrink): {REMEDY}"
            )
    if any(old.get(name) != value for name, value in described.items()):
        write_json(path, {**described, **describe_environment()})


def _differing(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Entries of the old description that the new one does not contain."""
    differing = []
    if not set(old["identities"]) <= set(new["identities"]):
        known = set(old["problems"]) <= set(new["problems"])
        differing.append("the code of its problems" if known else "problems")
    if old.get("axes") != new.get("axes"):
        differing.append("axes")
    if old.get("theory") and not new["theory"]:
        differing.append("theory")
    sizes, now = old.get("simulation", old), new.get("simulation", new)
    if "simulation" in old and "simulation" not in new:
        return [*differing, "simulation"]
    differing += [name for name in ("seed", "test_samples") if sizes.get(name) != now.get(name)]
    if not set(sizes.get("dimensions", ())) <= set(now.get("dimensions", ())):
        differing.append("dimensions")
    if sizes.get("data_sets", 0) > now.get("data_sets", 0):
        differing.append("data_sets")
    return differing


@contextmanager
def _connect(directory: Path, plan: Plan) -> Iterator[sqlite3.Connection]:
    path = directory / "tasks.sqlite"
    settings = json.dumps([NUMERICS, plan.seed, plan.test_samples])
    connection = sqlite3.connect(path)
    try:
        with connection:
            found = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
            connection.execute("CREATE TABLE IF NOT EXISTS setting (text TEXT NOT NULL UNIQUE)")
            connection.execute("INSERT OR IGNORE INTO setting VALUES (?)", (settings,))
            count = connection.execute("SELECT count(*) FROM setting").fetchone()
            if count != (1,) or "plan" in found:
                raise StoreError(f"{path} is of another plan: {REMEDY}")
            connection.execute(
                "CREATE TABLE IF NOT EXISTS problem"
                " (id INTEGER PRIMARY KEY, identity TEXT NOT NULL UNIQUE)"
            )
            connection.execute(
                "CREATE TABLE IF NOT EXISTS result (problem INTEGER NOT NULL REFERENCES problem,"
                " dimension INTEGER NOT NULL, number INTEGER NOT NULL, checksum INTEGER NOT NULL,"
                " results BLOB NOT NULL, PRIMARY KEY (problem, dimension, number)) WITHOUT ROWID"
            )
        yield connection
    except sqlite3.DatabaseError as error:
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
            raise StoreError(f"{path} cannot be written ({error}): make room first") from None
        raise StoreError(
            f"{path} cannot be used ({error}); if it is damaged, remove {directory} to start again"
        ) from None
    finally:
        connection.close()
