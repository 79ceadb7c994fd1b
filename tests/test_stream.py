"""Selection from pools that are read in batches."""

import multiprocessing
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from dataselect import command_line
from simulate.files import StoreError
from simulate.pools import PoolError, SubsetSelector, stream_scores, stream_store
from simulate.pools.draw import draw_indices
from simulate.pools.stream_scores import score_rows
from simulate.pools.stream_sources import open_source
from tests.slow_pools import select_slowly, slow_selector
from theory import PowerSelection

NAMES = ["a", "b", "c"]


def draw(rows: int, seed: int = 0, kind: str = "float64") -> tuple[pd.DataFrame, Any]:
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(rows, 3)).astype(kind)
    return pd.DataFrame(x, columns=NAMES), x[:, 0] + generator.normal(size=rows) > 0


def fitted(**parameters: Any) -> SubsetSelector:
    x, y = draw(200, seed=1)
    return SubsetSelector(**{"random_state": 3, **parameters}).fit(x, y)


POOL, _ = draw(10_000)


def parquet_file(path: Path, pool: pd.DataFrame) -> Path:
    pool.to_parquet(path / "pool.parquet", row_group_size=3333)
    return path / "pool.parquet"


def parquet_directory(parent: Path, pool: pd.DataFrame) -> Path:
    path = parent / "parts"
    path.mkdir()
    for number, first in enumerate((0, 100, 5000)):
        part = pool.iloc[first : (100, 5000, len(pool))[number]]
        part.to_parquet(path / f"part-{number}.parquet", row_group_size=777)
    return path


def csv_file(path: Path, pool: pd.DataFrame) -> Path:
    pool.to_csv(path / "pool.csv", index=False)
    return path / "pool.csv"


def npy_file(path: Path, pool: pd.DataFrame) -> Path:
    np.save(path / "pool.npy", pool[NAMES].to_numpy())
    return path / "pool.npy"


def npz_file(path: Path, pool: pd.DataFrame) -> Path:
    np.savez_compressed(path / "pool.npz", features=np.ascontiguousarray(pool[NAMES].to_numpy()))
    return path / "pool.npz"


SOURCES: list[Callable[[Path, pd.DataFrame], Any]] = [
    parquet_file,
    parquet_directory,
    csv_file,
    npy_file,
    npz_file,
    lambda path, pool: ds.dataset(parquet_directory(path, pool)),
    lambda path, pool: pa.Table.from_pandas(pool),
    lambda path, pool: pool,
    lambda path, pool: pool[NAMES].to_numpy(),
]


@pytest.mark.parametrize("make", SOURCES)
@pytest.mark.parametrize("sampling", ["fixed", "poisson"])
def test_every_source_gives_what_memory_gives(
    make: Callable[[Path, pd.DataFrame], Any], sampling: Any, tmp_path: Path
) -> None:
    selector = fitted(selection=PowerSelection(1.0, 0.3, reweight=True), sampling=sampling)
    if make in (npy_file, npz_file, SOURCES[-1]):
        x, y = draw(200, seed=1)
        selector.fit(x.to_numpy(), y)
        expected = selector.select(POOL.to_numpy())
    else:
        expected = selector.select(POOL)
    chosen = selector.select_from(make(tmp_path, POOL))
    table = chosen.table()
    assert (chosen.pool_rows, chosen.bad_rows) == (10_000, 0)
    assert chosen.chosen_rows == table.num_rows == expected.indices.size
    assert [str(field.type) for field in table.schema] == ["int64", "double", "double", "double"]
    assert table.column_names == ["row", "score", "inclusion_probability", "weight"]
    np.testing.assert_array_equal(table["row"], expected.indices)
    np.testing.assert_array_equal(table["score"], expected.scores[expected.indices])
    pi = expected.inclusion_probabilities[expected.indices]
    np.testing.assert_array_equal(table["inclusion_probability"], pi)
    np.testing.assert_array_equal(table["weight"], 1 / pi)


@pytest.mark.parametrize(
    "surrogate",
    [
        LogisticRegression(),
        make_pipeline(StandardScaler(), PCA(30, whiten=True), LogisticRegression()),
        MLPClassifier((20,), max_iter=20, tol=1.0, random_state=0),
        RandomForestClassifier(5, random_state=0),
    ],
)
def test_scores_do_not_depend_on_the_batch(surrogate: Any) -> None:
    generator = np.random.default_rng(0)
    x = generator.normal(size=(9000, 37))
    score = surrogate.fit(x[:300], x[:300, 0] > 0).predict_proba
    whole = score_rows(lambda rows: score(rows)[:, 1], x)
    for first, end in ((0, 1), (1, 4098), (4097, 8300), (8999, 9000)):
        part = score_rows(lambda rows: score(rows)[:, 1], x[first:end])
        np.testing.assert_array_equal(part, whole[first:end])
    np.testing.assert_allclose(whole, score(x)[:, 1], rtol=1e-10)


def test_draw_belongs_to_rows() -> None:
    generator = np.random.default_rng(5)
    probabilities = generator.uniform(size=150_000)
    whole = draw_indices(probabilities, "poisson", np.random.default_rng(1))
    part = draw_indices(probabilities[:100_000], "poisson", np.random.default_rng(1))
    np.testing.assert_array_equal(part, whole[whole < 100_000])


def test_fixed_draw_over_several_blocks() -> None:
    probabilities = PowerSelection(1.0, 0.2).inclusion_probabilities(
        np.random.default_rng(5).normal(size=70_000)
    )
    counts = np.zeros(70_000)
    for seed in range(60):
        drawn = draw_indices(probabilities, "fixed", np.random.default_rng(seed))
        assert drawn.size == np.unique(drawn).size == 14_000
        counts[drawn] += 1
    z = (counts - 60 * probabilities) / np.sqrt(60 * probabilities * (1 - probabilities))
    assert z.std() == pytest.approx(1, abs=0.02)
    assert abs(z).max() < 6


def test_top_k_is_what_uncertainty_sampling_takes() -> None:
    """Of scikit-activeml's and modAL's uncertainty: the samples of least margin, or confidence."""
    selector = fitted(selection="top-hard")
    p = selector.surrogate_.predict_proba(POOL.to_numpy())
    for uncertainty in (1 - p.max(axis=1), -abs(p[:, 1] - p[:, 0])):
        rows = selector.select_from(POOL, n=500).table()["row"].to_numpy()
        np.testing.assert_array_equal(rows, np.sort(np.argsort(-uncertainty)[:500]))


def test_ids_are_copied_and_named_columns_used(tmp_path: Path) -> None:
    pool = POOL.assign(noise=1.0, name=[f"x{k}" for k in range(len(POOL))], number=POOL.index)
    path = parquet_directory(tmp_path, pool)
    for id_column in ("name", "number"):
        chosen = fitted().select_from(path, n=50, id_column=id_column, columns=NAMES).table()
        assert chosen.column_names[:2] == ["row", "id"]
        rows = chosen["row"].to_numpy()
        assert chosen["id"].to_pylist() == pool[id_column].iloc[rows].tolist()
    np.testing.assert_array_equal(rows, fitted().select(POOL, n=50).indices)


def test_rows_of_an_npz_file_may_have_ids(tmp_path: Path) -> None:
    x, y = draw(200, seed=1)
    selector = SubsetSelector(random_state=1).fit(x.to_numpy(), y)
    names = np.array([f"x{k}" for k in range(200)])
    np.savez(tmp_path / "pool.npz", features=x.to_numpy(), name=names)
    chosen = selector.select_from(tmp_path / "pool.npz", n=20, id_column="name").table()
    assert chosen["id"].to_pylist() == names[chosen["row"].to_numpy()].tolist()


def test_integers_in_the_first_rows_of_csv_may_be_followed_by_fractions(tmp_path: Path) -> None:
    pool = POOL.round()
    pool.iloc[-1] = 0.5
    text = pool.to_csv(index=False).replace(".0,", ",").replace(".0\n", "\n")
    (tmp_path / "pool.csv").write_text(text)
    x, y = draw(200, seed=1)
    for selector in (fitted(), SubsetSelector(random_state=3).fit(x.to_numpy(), y)):
        chosen = selector.select_from(tmp_path / "pool.csv", n=50).table()
        np.testing.assert_array_equal(chosen["row"], fitted().select(pool, n=50).indices)


def test_bad_rows_are_named_or_left_out_and_counted(tmp_path: Path) -> None:
    pool = POOL.copy()
    pool.loc[5123, "b"] = np.nan
    pool.loc[9000, "c"] = np.inf
    path = parquet_directory(tmp_path, pool)
    wrong = r"part-2.parquet: row 123 is NaN or missing in column b \(1 bad rows"
    with pytest.raises(PoolError, match=wrong):
        fitted().select_from(path, n=100)
    output = tmp_path / "chosen"
    for _ in range(2):  # what was scored serves with the bad rows left out, too
        with pytest.raises(PoolError, match=wrong):
            fitted().select_from(path, n=100, output=output)
    chosen = fitted().select_from(path, n=100, output=output, skip_bad_rows=True)
    assert (chosen.pool_rows, chosen.bad_rows, chosen.chosen_rows) == (10_000, 2, 100)
    good = np.delete(np.arange(10_000), [5123, 9000])
    expected = good[fitted().select(pool.iloc[good], n=100).indices]
    np.testing.assert_array_equal(chosen.table()["row"], expected)


def test_nulls_are_bad_rows() -> None:
    table = pa.table({"a": [1, None, 3], "b": [True, None, False], "c": [0.5, None, 1.5]})
    chosen = fitted().select_from(table, n=2, skip_bad_rows=True)
    assert (chosen.bad_rows, chosen.table()["row"].to_pylist()) == (1, [0, 2])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n": 10_001}, "10001 samples are asked for and the pool has 10000"),
        ({"fraction": 1.5}, "fraction = 1.5 is not allowed"),
        ({"fraction": 0.5, "n": 5}, "either fraction or n"),
        ({"columns": ["a", "b", "x"]}, "the pool lacks columns x: it has a, b, c"),
        ({"columns": ["a", "b"]}, "has 2 numeric columns and the surrogate knows 3"),
        ({"id_column": "name"}, "no id column 'name': it has a, b, c"),
        ({"output": "parts/chosen.parquet"}, "lies in the pool"),
    ],
)
def test_wrong_requests_are_one_line(
    arguments: dict[str, Any], message: str, tmp_path: Path
) -> None:
    path = parquet_directory(tmp_path, POOL)
    budget = {} if "fraction" in arguments else {"n": 10}
    if "output" in arguments:
        arguments = {"output": tmp_path / arguments["output"]}
    with pytest.raises(ValueError, match=message):
        fitted().select_from(path, **{**budget, **arguments})
    assert [path.name for path in tmp_path.iterdir()] == ["parts"]


def test_another_schema_in_a_late_file_is_named(tmp_path: Path) -> None:
    path = parquet_directory(tmp_path, POOL)
    POOL.rename(columns={"c": "z"}).to_parquet(path / "part-3.parquet")
    with pytest.raises(PoolError, match=r"part-3.parquet lacks columns c"):
        fitted().select_from(path, n=10)
    POOL.astype({"c": str}).to_parquet(path / "part-3.parquet")
    with pytest.raises(PoolError, match=r"part-3.parquet holds .*string in column c"):
        fitted().select_from(path, n=10)
    (path / "part-3.parquet").write_text("no parquet")
    with pytest.raises(PoolError, match=r"part-3\.parquet"):
        fitted().select_from(path, n=10)


def test_whole_numbers_stay_ids_in_csv(tmp_path: Path) -> None:
    x, y = draw(200, seed=1)
    x.assign(number=np.arange(200) + 2**60).to_csv(tmp_path / "pool.csv", index=False)
    selector = SubsetSelector(random_state=3).fit(x.to_numpy(), y)
    chosen = selector.select_from(tmp_path / "pool.csv", n=9, id_column="number").table()
    assert chosen["id"].to_pylist() == [2**60 + row for row in chosen["row"].to_pylist()]


def test_text_in_a_late_row_of_csv_is_named(tmp_path: Path) -> None:
    text = POOL.to_csv(index=False) + "1.0,oops,2.0\n"
    (tmp_path / "pool.csv").write_text(text)
    with pytest.raises(PoolError, match=r"pool.csv cannot be read .*oops"):
        fitted().select_from(tmp_path / "pool.csv", n=10)


def test_repeated_ids_are_named() -> None:
    names = [f"x{k}" for k in range(10_000)]
    names[7000] = names[12]
    with pytest.raises(PoolError, match="id 'x12' of column name stands in rows 12 and 7000"):
        fitted().select_from(POOL.assign(name=names), n=10, id_column="name")
    with pytest.raises(PoolError, match="ids are missing"):
        fitted().select_from(
            POOL.assign(name=pd.Series(names).where(POOL.index > 0)), n=10, id_column="name"
        )


def test_what_is_no_pool_is_refused(tmp_path: Path) -> None:
    for wrong in ("text.txt", "nothing"):
        (tmp_path / "text.txt").write_text("a")
        with pytest.raises(PoolError, match=r"give a \.parquet"):
            open_source(tmp_path / wrong)
    for thing in ([["a"]], np.zeros(3), 5):
        with pytest.raises(PoolError):
            open_source(thing)
    with pytest.raises(PoolError, match="InfluenceSelection needs the features"):
        fitted(selection="influence").select_from(POOL)
    np.savez(tmp_path / "pool.npz", x=np.zeros((3, 3)))
    with pytest.raises(PoolError, match="no array 'features': it has x"):
        open_source(tmp_path / "pool.npz")


def test_row_numbers_are_64_bits_wide() -> None:
    assert stream_store.ENTRY["rows"] == np.dtype("<i8")
    assert fitted().select_from(POOL, n=5).table().schema.field("row").type == pa.int64()


def test_a_fitted_classifier_may_be_the_surrogate() -> None:
    x, y = draw(200, seed=1)
    classifier = RandomForestClassifier(5, random_state=0).fit(x, y)
    selector = SubsetSelector.from_classifier(classifier, selection="top-hard")
    np.testing.assert_array_equal(
        selector.select_from(POOL[NAMES[::-1]], n=30).table()["row"],
        selector.select(POOL, n=30).indices,
    )
    with pytest.raises(PoolError, match="no fitted classifier"):
        SubsetSelector.from_classifier(LogisticRegression())


def test_output_appears_whole_and_is_never_replaced(tmp_path: Path) -> None:
    output = tmp_path / "out" / "chosen.parquet"
    chosen = fitted().select_from(POOL, n=20, output=output)
    assert [path.name for path in output.parent.iterdir()] == ["chosen.parquet"]
    assert chosen.table().equals(fitted().select_from(POOL, n=20).table())
    assert b'"pool_rows": 10000' in pq.read_schema(output).metadata[b"data_selection"]
    with pytest.raises(StoreError, match="exists: choose another output"):
        fitted().select_from(POOL, n=20, output=output)


def test_interrupted_run_goes_on_and_other_runs_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = parquet_directory(tmp_path, POOL)
    output = tmp_path / "chosen"
    scored: list[int] = []

    def stop(done: int, total: int | None) -> None:
        assert total == 10_000
        scored.append(done)
        if done > 6000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fitted().select_from(path, n=20, output=output, progress=stop)
    assert not output.exists()
    other = SubsetSelector(ridge=1.0).fit(*draw(200, seed=1))
    with pytest.raises(StoreError, match="differs in surrogate"):
        other.select_from(path, n=20, output=output)
    with pytest.raises(StoreError, match="differs in columns"):
        fitted().select_from(path, n=20, output=output, columns=["a", "c", "b"])
    with (tmp_path / "chosen.scores" / "records").open("ab") as file:
        file.write(b"torn")
    again: list[int] = []
    fitted().select_from(path, n=20, output=output, progress=lambda done, total: again.append(done))
    assert again[0] == scored[-1]
    assert pq.read_table(output).equals(fitted().select_from(path, n=20).table())


def test_damaged_records_are_scored_again(tmp_path: Path) -> None:
    output = tmp_path / "chosen"
    kind = stream_scores.SCORE
    records = np.ones(5, dtype=kind)
    with ExitStack() as stack:  # an error within keeps the directory
        stack.push(lambda *_: True)
        store = stack.enter_context(stream_store.open_records(output, {}, kind))
        store.append(0, records)
        store.append(1, records)
        raise KeyError
    with (tmp_path / "chosen.scores" / "records").open("r+b") as file:
        file.seek(70)
        file.write(b"x")
    with stream_store.open_records(output, {}, kind) as store:
        assert store.rows_of_pieces() == {0: 5}
        with (
            pytest.raises(StoreError, match="in use by another run"),
            stream_store.open_records(output, {}, kind),
        ):
            pass


def test_full_disk_is_one_line_and_loses_nothing(tmp_path: Path) -> None:
    output = tmp_path / "chosen"
    pool = tmp_path / "pool"
    pool.mkdir()
    parquet_directory(pool, POOL)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, limits[1]))
    try:
        with pytest.raises(StoreError, match=r"cannot be written .* are kept: make room"):
            fitted().select_from(pool, n=20, output=output)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not output.exists()
    again: list[int] = []
    fitted().select_from(pool, n=20, output=output, progress=lambda done, _: again.append(done))
    assert again[0] >= 4000
    assert pq.read_table(output).equals(fitted().select_from(POOL, n=20).table())


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_kills_at_random_moments_change_nothing(tmp_path: Path) -> None:
    x, _ = draw(3000)
    (tmp_path / "pool").mkdir()
    x[["a", "b"]].to_parquet(tmp_path / "pool" / "pool.parquet", row_group_size=50)
    expected = slow_selector(0.0).select_from(tmp_path / "pool", n=900).table()
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.slow_pools"])
    generator = np.random.default_rng(0)
    output = tmp_path / "chosen.parquet"
    log = tmp_path / "chosen.parquet.scores" / "log"
    kills = 0
    for _ in range(60):
        process = context.Process(target=select_slowly, args=(tmp_path / "pool", output, 0.01))
        before = log.stat().st_size if log.exists() else 0
        process.start()
        while process.is_alive() and kills < 4:
            if log.exists() and log.stat().st_size > before:  # it is at work
                process.join(generator.uniform(0, 0.1))
                process.kill()
                break
            time.sleep(0.001)
        process.join()
        if output.exists():
            assert pq.read_table(output).equals(expected)
        if process.exitcode == 0:
            break
        kills += 1
    assert kills >= 3
    assert pq.read_table(output).equals(expected)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["chosen.parquet", "pool"]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", "-m", "dataselect", "select", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def test_command_writes_what_python_selects(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    x, y = draw(200, seed=1)
    x.assign(label=y, name=[f"p{k}" for k in range(200)]).to_csv(tmp_path / "pilot.csv")
    (tmp_path / "pool").mkdir()
    parquet_directory(tmp_path / "pool", POOL.assign(name=[f"x{k}" for k in range(10_000)]))
    output = tmp_path / "chosen.parquet"
    pilot = ("--pilot", str(tmp_path / "pilot.csv"), "--labels", "label")
    named = [part for name in NAMES for part in ("--feature", name)]
    options = ("--whiten", "2", "--standardise", "--seed", "4", "--id", "name", "-o", str(output))
    arguments = (str(tmp_path / "pool"), *pilot, *named, *options)
    done = run(*arguments, "--n", "30", "--alpha", "0.5", "--reweight")
    assert done.returncode == 0, done.stderr
    assert "chose 30 of 10000 rows" in done.stdout
    model = LogisticRegression(C=1 / (0.01 * 200), max_iter=1000)
    surrogate = make_pipeline(StandardScaler(), PCA(2, whiten=True, svd_solver="full"), model)
    rule = PowerSelection(0.5, 0.3, reweight=True)
    selector = SubsetSelector(surrogate, rule, random_state=4).fit(x, y)
    expected = selector.select(POOL, n=30)
    table = pq.read_table(output)
    np.testing.assert_array_equal(table["row"], expected.indices)
    np.testing.assert_allclose(table["weight"], expected.weights, rtol=1e-9)
    assert table["id"].to_pylist() == [f"x{k}" for k in expected.indices]
    monkeypatch.setattr(sys, "argv", ["dataselect", "select", *arguments, "--n", "30"])
    with pytest.raises(SystemExit, match="2"):
        command_line.main()
    assert "exists: choose another output" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--fraction", "0.1"], "--pilot = None is not allowed"),
        (["--labels", "label"], "one of --fraction and --n"),
        (["--n", "3", "--alpha", "1", "--scheme", "hard"], "given without --alpha"),
        (["--n", "3", "--surrogate", "x.joblib", "--standardise"], "given without a pilot"),
        (["--n", "3", "--surrogate", "nowhere.joblib"], "No such file"),
        (["--n", "3", "--scheme", "hrad"], "hard"),
    ],
)
def test_command_refuses_in_one_line(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pool = str(tmp_path / "pool.parquet")
    monkeypatch.setattr(sys, "argv", ["dataselect", "select", pool, *arguments])
    with pytest.raises(SystemExit) as ended:
        command_line.main()
    assert ended.value.code == 2
    printed = capsys.readouterr().err
    assert printed.count("\n") == 1
    assert message in printed


def test_command_takes_a_fitted_classifier(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    classifier = RandomForestClassifier(5, random_state=0).fit(*draw(200, seed=1))
    model, output = tmp_path / "model.joblib", tmp_path / "chosen.parquet"
    joblib.dump(classifier, model)
    options = ["--surrogate", str(model), "--scheme", "top-hard", "--n", "40", "-o", str(output)]
    pool = str(parquet_file(tmp_path, POOL))
    monkeypatch.setattr(sys, "argv", ["dataselect", "select", pool, *options])
    with pytest.raises(SystemExit) as ended:
        command_line.main()
    assert ended.value.code == 0
    selector = SubsetSelector.from_classifier(classifier, selection="top-hard")
    expected = selector.select(POOL, n=40).indices
    np.testing.assert_array_equal(pq.read_table(output)["row"], expected)
    assert "chose 40 of 10000 rows" in capsys.readouterr().out
