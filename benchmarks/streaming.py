"""Selection from files: rows a second, memory, kills, and other libraries on the same pool.

    python benchmarks/streaming.py [--rows 10000000] [--kills 20] [--rivals PYTHON]

Writes a pool of 64 single-precision features (256 bytes a row) to a temporary folder and removes it
afterwards. Every measurement runs in a process of its own: wall seconds without imports and
training, CPU seconds with them, and the largest resident memory. --rivals names a Python with
scikit-activeml, modAL-python and pyarrow installed.
"""

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

FEATURES = 64
FILE = 1_000_000
GROUP = 125_000

MEASURED = """
import json, resource, sys, time
began = time.perf_counter()
{code}
usage = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps({{"wall": time.perf_counter() - began, "cpu": usage.ru_utime + usage.ru_stime,
                   "memory": usage.ru_maxrss / 1024**2, "found": found}}))
"""

READ = """
import pyarrow.dataset as ds
began = time.perf_counter()
found = sum(batch.num_rows for batch in ds.dataset({pool!r}).to_batches(batch_size=65536))
"""

LEARN = """
import numpy as np
generator = np.random.default_rng(1)
x = generator.normal(size=(2000, 64)).astype(np.float32)
y = x[:, :8].sum(axis=1) + generator.normal(size=2000) > 0
from sklearn.linear_model import LogisticRegression
"""

SELECT = (
    LEARN
    + """
import pandas as pd
from simulate.pools import SubsetSelector
names = [f"x{{k}}" for k in range(64)]
selector = SubsetSelector(selection={rule!r}, random_state=0)
selector.fit(pd.DataFrame(x, columns=names), y)
began = time.perf_counter()
chosen = selector.select_from({pool!r}, fraction={fraction}, output={output!r})
found = chosen.chosen_rows
"""
)

RIVAL = {
    "scikit-activeml": LEARN
    + """
import pyarrow.dataset as ds
from skactiveml.classifier import SklearnClassifier
from skactiveml.pool import UncertaintySampling
began = time.perf_counter()
table = ds.dataset({pool!r}).to_table()
pool = np.column_stack([table[k].to_numpy() for k in range(64)])
model = LogisticRegression(C=1 / (0.01 * 2000), max_iter=1000)
classifier = SklearnClassifier(model, classes=[0, 1])
classifier.fit(x, y.astype(int))
query = UncertaintySampling(method="margin_sampling", random_state=0)
labels = np.concatenate([y.astype(float), np.full(len(pool), np.nan)])
rows = query.query(
    np.concatenate([x, pool]), labels, classifier, fit_clf=False, batch_size=1000
)
found = sorted((np.asarray(rows) - len(x)).tolist())
""",
    "modAL": LEARN
    + """
import pyarrow.dataset as ds
from modAL.models import ActiveLearner
from modAL.uncertainty import uncertainty_sampling
began = time.perf_counter()
table = ds.dataset({pool!r}).to_table()
pool = np.column_stack([table[k].to_numpy() for k in range(64)])
model = LogisticRegression(C=1 / (0.01 * 2000), max_iter=1000)
learner = ActiveLearner(model, uncertainty_sampling, x, y)
found = sorted(np.asarray(learner.query(pool, n_instances=1000)[0]).tolist())
""",
}


def measure(code: str, python: str = sys.executable) -> dict[str, float]:
    """Run code in a process of its own."""
    done = subprocess.run(
        [python, "-W", "ignore", "-c", MEASURED.format(code=code)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def write_pool(directory: Path, rows: int) -> None:
    """Files of standard normal features."""
    directory.mkdir()
    generator = np.random.default_rng(0)
    for number, first in enumerate(range(0, rows, FILE)):
        count = min(FILE, rows - first)
        columns = {
            f"x{k}": generator.standard_normal(count, dtype=np.float32) for k in range(FEATURES)
        }
        path = directory / f"part-{number:04d}.parquet"
        pq.write_table(pa.table(columns), path, row_group_size=GROUP, compression="none")


def show(name: str, rows: int, result: dict[str, float]) -> None:
    print(
        f"{name:24} {rows:>11,} rows: {result['wall']:6.1f} s wall, {result['cpu']:6.1f} s CPU,"
        f" {result['memory']:5.2f} GB, {rows / result['wall']:>11,.0f} rows/s",
        flush=True,
    )


def speed(folder: Path, rows: int) -> None:
    """pyarrow alone against a selection."""
    pool, output = str(folder / f"pool-{rows}"), str(folder / f"chosen-{rows}.parquet")
    write_pool(Path(pool), rows)
    for _ in range(2):  # the second time the files are in memory for both
        read = measure(READ.format(pool=pool))
    show("pyarrow reads", rows, read)
    selected = measure(SELECT.format(pool=pool, rule="hard", fraction=0.1, output=output))
    show("select 10%", rows, selected)
    print(f"  speed relative to reading: {read['wall'] / selected['wall']:.2f}")


def rivals(folder: Path, rows: int, python: str) -> None:
    """The 1000 most uncertain rows, by every library."""
    pool, output = str(folder / f"pool-{rows}"), str(folder / "top.parquet")
    fraction = 1000 / rows
    ours = measure(SELECT.format(pool=pool, rule="top-hard", fraction=fraction, output=output))
    show("top 1000, this toolkit", rows, ours)
    top = pq.read_table(output)["row"].to_pylist()
    for name, code in RIVAL.items():
        result = measure(code.format(pool=pool), python)
        show(f"top 1000, {name}", rows, result)
        print(f"  same rows: {len(set(top) & set(result['found']))} of 1000")  # type: ignore[call-overload]


def kills(folder: Path, rows: int, count: int) -> None:
    """Kill a run again and again; the output must be that of an undisturbed run."""
    pool, calm = str(folder / "pool-killed"), str(folder / "calm.parquet")
    write_pool(Path(pool), rows)
    output = folder / "killed.parquet"
    measure(SELECT.format(pool=pool, rule="hard", fraction=0.1, output=calm))
    code = MEASURED.format(
        code=SELECT.format(pool=pool, rule="hard", fraction=0.1, output=str(output))
    )
    generator, killed, kept = random.Random(0), 0, []
    while True:
        process = subprocess.Popen(
            [sys.executable, "-c", code], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        records = output.with_name(output.name + ".scores") / "records"
        before = records.stat().st_size if records.exists() else -1
        while process.poll() is None and killed < count:
            size = records.stat().st_size if records.exists() else -1
            if size > before:  # it writes
                time.sleep(generator.uniform(0, 0.1))
                process.send_signal(signal.SIGKILL)
                break
            time.sleep(0.01)
        process.wait()
        if process.returncode == 0:
            break
        if output.exists():
            raise SystemExit("an output of a killed run")
        killed += 1
        kept.append(records.stat().st_size // 8 if records.exists() else 0)
    same = pq.read_table(output).equals(pq.read_table(calm))
    print(f"{killed} kills, rows kept after each: {kept}; output as of a calm run: {same}")
    left = [path.name for path in folder.iterdir() if "scores" in path.name]
    print(f"left over beside the output: {left or 'nothing'}")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--rivals")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for rows in sorted({100_000, 1_000_000, options.rows}):
            speed(folder, rows)
        if options.kills:
            kills(folder, 100_000 * options.kills, options.kills)
        if options.rivals:
            rivals(folder, 1_000_000, options.rivals)


if __name__ == "__main__":
    main()
