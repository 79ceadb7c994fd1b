"""Selection through Dask gives what one machine gives, whatever the partitions and losses."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from dataselect import command_line
from simulate.pools import PoolError, SubsetSelector
from tests.test_stream import POOL, draw, fitted, parquet_directory

pytest.importorskip("distributed")
dask_array = pytest.importorskip("dask.array")
dataframe = pytest.importorskip("dask.dataframe")


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    from distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,  # type: ignore[no-untyped-call]
        Client(cluster) as client,  # type: ignore[no-untyped-call]
    ):
        yield client


@pytest.mark.parametrize("partitions", [1, 3, 7])
def test_partitions_and_workers_change_nothing(client: Any, partitions: int) -> None:
    names = [f"x{k}" for k in range(len(POOL))]
    expected = fitted().select_from(POOL.assign(name=names), n=200, id_column="name").table()
    frame = dataframe.from_pandas(POOL.assign(name=names), npartitions=partitions)
    assert frame.npartitions == partitions
    chosen = fitted().select_from(frame, n=200, id_column="name", client=client).table()
    assert chosen.drop_columns("id").equals(expected.drop_columns("id"))
    assert chosen["id"].to_pylist() == expected["id"].to_pylist()
    x, y = draw(200, seed=1)
    selector = SubsetSelector(random_state=3).fit(x.to_numpy(), y)
    array = dask_array.from_array(POOL.to_numpy(), chunks=(-(-len(POOL) // partitions), 2))
    assert selector.select_from(array, n=200).table().equals(expected.drop_columns("id"))


def test_a_worker_killed_in_the_middle_changes_nothing(client: Any, tmp_path: Path) -> None:
    path = parquet_directory(tmp_path, POOL)
    killed: list[int] = []

    def kill(done: int, total: int | None) -> None:
        if done > 2000 and not killed:
            killed.append(next(iter(client.run(os.getpid).values())))
            os.kill(killed[0], signal.SIGKILL)

    chosen = fitted().select_from(path, n=200, client=client, progress=kill)
    assert killed
    assert chosen.table().equals(fitted().select_from(path, n=200).table())


def test_bad_rows_on_workers_are_named(client: Any, tmp_path: Path) -> None:
    pool = POOL.copy()
    pool.loc[5123, "b"] = np.nan
    with pytest.raises(PoolError, match=r"part-2\.parquet: row 123 is NaN"):
        fitted().select_from(parquet_directory(tmp_path, pool), n=9, client=client)
    frame = dataframe.from_pandas(pool, npartitions=4)
    with pytest.raises(PoolError, match=r"partition 2: row 123 is NaN"):
        fitted().select_from(frame, n=9, client=client)


def test_the_command_takes_a_scheduler(
    client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, y = draw(200, seed=1)
    x.assign(label=y).to_parquet(tmp_path / "pilot.parquet")
    (tmp_path / "pool").mkdir()
    pool, pilot = parquet_directory(tmp_path / "pool", POOL), tmp_path / "pilot.parquet"
    arguments = [str(pool), "--pilot", str(pilot), "--labels", "label", "--fraction", "0.02"]
    for name, more in (("one", []), ("two", ["--scheduler", client.scheduler.address])):
        output = str(tmp_path / name)
        monkeypatch.setattr(sys, "argv", ["dataselect", "select", *arguments, "-o", output, *more])
        with pytest.raises(SystemExit, match="0"):
            command_line.main()
    assert pq.read_table(tmp_path / "one").equals(pq.read_table(tmp_path / "two"))
