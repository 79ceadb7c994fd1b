"""The command as a user runs it, in its own process."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import dataselect.command_line as dataselect
from simulate.running.store import open_store
from simulate.sweep_file import read_sweep
from tests.problems import power_problem
from theory import predict

COMMAND = [sys.executable, "-W", "error", "-m", "dataselect"]
TWO_ROUNDS = str(Path(__file__).parent.parent / "examples" / "two-rounds.toml")
POINT = str(Path(__file__).parent.parent / "examples" / "subsampling.toml")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=300)


def test_predict_prints_the_prediction() -> None:
    done = run("predict", POINT, "--set", "selection.alpha=0.5", "--json")
    assert done.returncode == 0, done.stderr
    expected = predict(power_problem(samples_per_dimension=2.29))
    printed = json.loads(done.stdout)
    assert printed["misclassification"] == pytest.approx(expected.misclassification, rel=1e-12)
    assert printed["status"] == "converged"


def test_split_prints_what_to_do_and_the_curve() -> None:
    power = 'selection={kind = "PowerSelection", alpha = 1.0, fraction = 0.1}'
    options = ("--labels", "3", "--pool", "10", "--over", "exponent", "--set", power)
    done = run("split", TWO_ROUNDS, *options)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Buy ")
    assert "selection.alpha" in done.stdout


def test_predict_prints_a_table_for_steps_and_top_selection() -> None:
    step = '{kind = "StepLink", thresholds = [-0.5, 0.5], levels = [0.1, 0.5, 0.9]}'
    easy = '{kind = "TopSelection", keep = "easy", fraction = 0.5}'
    done = run("predict", POINT, "--set", f"data.link={step}", "--set", f"selection = {easy}")
    assert done.returncode == 0, done.stderr
    assert "misclassification        0." in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["predict", POINT, "--set", "selection.alpha=nan"], "selection.alpha = nan"),
        (["predict", POINT, "--set", "samples_per_dimension=-3"], "samples_per_dimension = -3"),
        (["predict", POINT, "--set", "data.signal_norm=big"], "data.signal_norm = 'big'"),
        (["predict", POINT, "--set", "selection.gamma=1"], "selection.gamma"),
        (["predict", POINT, "--set", "ridge"], "NAME=VALUE"),
        (["predict", POINT, "--set", "selection=TopSelection"], 'kind = "TopSelection"'),
        (["predict", POINT, "--alpha", "1"], "No such option"),
        (["predict"], "Missing argument"),
        (["split", POINT, "--labels", "3", "--pool", "30"], "a TrainedSurrogate"),
        (["split", TWO_ROUNDS, "--labels", "40", "--pool", "30"], "labels_per_dimension = 40.0"),
        (["reproduce", "figure-99"], "figure-99"),
        (["reproduce"], "figure = ''"),
        (["reproduce", "top-k-failure", "--from-results", "--output", "nowhere"], "nowhere"),
        (["reproduce", "all", "--from-results", "--full"], "--from-results = '--full'"),
        (["reproduce", "figure-2", "--output", "/dev/null"], "/dev/null"),
    ],
)
def test_wrong_arguments_end_with_one_clear_line(
    arguments: list[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["dataselect", *arguments])
    with pytest.raises(SystemExit) as ended:
        dataselect.main()
    assert ended.value.code == 2
    assert message in capsys.readouterr().err.splitlines()[-1]


def test_wrong_arguments_in_a_process_of_their_own() -> None:
    done = run("predict", POINT, "--set", "selection.alpha=nan")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "selection.alpha = nan" in done.stderr


def test_a_point_without_solution_is_one_line_and_status_1() -> None:
    separable = '{kind = "StepLink", thresholds = [0.0], levels = [0, 1]}'
    everything = '{kind = "RandomSelection", fraction = 1}'
    changes = ("ridge=0", "samples_per_dimension=1.5", f"data.link={separable}")
    options = [part for c in (*changes, f"selection={everything}") for part in ("--set", c)]
    done = run("predict", POINT, *options)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "ridge" in done.stderr


ENDLESS = """
[problem]
ridge = 0.1
samples_per_dimension = 2.0
data = {kind = "GaussianMixture", mean_norm = 1.0}
selection = {kind = "RandomSelection", fraction = 0.5}
[simulation]
dimensions = [50]
data_sets = 5000
"""


def test_an_interrupted_sweep_keeps_what_was_finished(tmp_path: Path) -> None:
    file = tmp_path / "endless.toml"
    file.write_text(ENDLESS)
    # Shells start background jobs with interrupts ignored; a user's terminal does not.
    listening = (
        "import signal; from dataselect import command_line; "
        "signal.signal(signal.SIGINT, signal.default_int_handler); command_line.main()"
    )
    process = subprocess.Popen(
        [
            sys.executable,
            "-W",
            "error",
            "-c",
            listening,
            "sweep",
            str(file),
            "--output",
            str(tmp_path / "store"),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert "500 of 5000 tasks" in process.stdout.readline()  # well under way
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert errors == (
        "interrupted: finished tasks are kept; the same command again goes on from there\n"
    )
    assert time.monotonic() - began < 30
    (plan,) = read_sweep(file).plans().values()
    names = {f.name for f in (tmp_path / "store").iterdir()}
    assert names - {".lock"} == {"simulation-p50-seed0", "experiment.json"}
    with open_store(tmp_path / "store" / "simulation-p50-seed0", plan) as kept:
        assert 500 <= len(kept.finished()) < 5000


@pytest.mark.parametrize("name", ["theory.py", "figures"])
def test_a_file_that_hides_a_package_is_named(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if path.suffix:
        path.write_text("F1 = 'mine'")
    else:
        path.mkdir()
        (path / "__init__.py").write_text("")
    for arguments in (
        ["-m", "dataselect", "predict", POINT],
        ["-c", "import dataselect; dataselect.F1"],
    ):
        done = subprocess.run(
            [sys.executable, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 1
        last = done.stderr.splitlines()[-1]
        assert str(path) in last
        assert "rename it" in last
