"""Results of independent jobs, each kept in a file of its own as it ends, whole or not at all."""

import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulate.files import StoreError, describe_environment, write_json, write_whole
from simulate.numerics import NUMERICS
from simulate.running.run import answers
from simulate.running.store import REMEDY, differing_entries, locked

Arrays = tuple[NDArray[Any], ...]
Progress = Callable[[int, int], None]
"""Is told how many jobs are finished, and how many there are."""

MANIFEST = "manifest.json"


def kept_answers(
    jobs: Sequence[str],
    here: Callable[[str], Arrays],
    sent: Callable[[str], tuple[Any, ...]],
    described: Mapping[str, str],
    directory: Path | None = None,
    executor: Executor | None = None,
    progress: Progress | None = None,
) -> dict[str, Arrays]:
    """Results of all jobs, by name; those that the directory holds already are not done again.

    jobs: distinct names, which name files too. here, sent: as of ``simulate.running.run.answers``.
    described: what the results depend on, beside the name and the numerics: digests by a word for
    each. Raises StoreError where the directory was made for others, is damaged or in use.
    """
    with ExitStack() as stack:
        found: dict[str, Arrays] = {}
        if directory is not None:
            stack.enter_context(_opened(directory, described))
            paths = {job: directory / f"{job}.npz" for job in jobs}
            found = {job: _read(path) for job, path in paths.items() if path.exists()}
        left = [job for job in jobs if job not in found]
        if progress is not None and found:
            progress(len(found), len(jobs))
        for job, results in answers(left, executor, here, sent):
            if directory is not None:
                _write(paths[job], results)
            found[job] = results
            if progress is not None:
                progress(len(found), len(jobs))
    return found


@contextmanager
def _opened(directory: Path, described: Mapping[str, str]) -> Iterator[None]:
    with locked(directory):
        path = directory / MANIFEST
        now = {"numerics": NUMERICS, **described}
        differing = differing_entries(path, now)
        if differing:
            raise StoreError(
                f"{directory} holds results of another {' and another '.join(differing)}: {REMEDY}"
            )
        if differing is None and any(directory.glob("*.npz")):
            raise StoreError(f"{directory} holds results that nothing describes: {REMEDY}")
        if differing is None:
            write_json(path, {**now, **describe_environment()})
        yield


def _read(path: Path) -> Arrays:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return tuple(arrays[name] for name in sorted(arrays.files))
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise StoreError(f"{path} is damaged ({error}): remove it to compute it again") from None


def _write(path: Path, results: Arrays) -> None:
    named: dict[str, Any] = {f"{k:02}": array for k, array in enumerate(results)}
    write_whole(path, lambda temporary: np.savez(temporary, **named))
