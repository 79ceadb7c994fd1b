"""What is printed and written: any encoding, any name, any backend of pictures."""

import dataclasses
import io
import re
import shutil
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr
from rich.console import Console

import dataselect.command_line as dataselect
from dataselect import commands
from figures import gap_panel, plot
from figures.style import literal
from paper_repro.claims import Claim
from paper_repro.reproduce import reproduce
from paper_repro.reproduction import Reproduction
from paper_repro.reproductions.top_k import FIGURE as TOP_K
from simulate import Plan
from simulate.files import read_dataset
from simulate.running.progress import ProgressReport
from tests.problems import power_problem
from tests.test_claims import top_k_only  # noqa: F401

POINT = str(Path(__file__).parent.parent / "examples" / "subsampling.toml")
SWEEP = """
title = "cost in $ or [red]円[/red], {x}_{y} \\\\frac $"
[problem]
ridge = 0.1
samples_per_dimension = 2.0
data = {kind = "GaussianMixture", mean_norm = 1.0}
selection = {kind = "RandomSelection", fraction = 0.5}
[axes]
"selection.fraction" = [0.4, 0.5]
[simulation]
dimensions = [20, 30]
data_sets = 3
"""


@pytest.fixture(autouse=True)
def _closed() -> None:
    plt.close("all")


def main(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setenv("MPLBACKEND", "agg")  # main sets it: restored afterwards
    monkeypatch.setattr(sys, "argv", ["dataselect", *arguments])
    with pytest.raises(SystemExit) as ended:
        dataselect.main()
    return int(ended.value.code or 0)


@pytest.mark.fault(number=13)
@pytest.mark.parametrize("backend", ["module://matplotlib_inline.backend_inline", "nonsense"])
def test_a_backend_of_another_program_does_not_matter(
    backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MPLBACKEND", backend)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "dataselect", "predict", POINT],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "misclassification" in done.stdout


@pytest.mark.fault(number=13)
def test_commands_leave_no_figure_and_no_backend_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = plt.get_backend()
    results = xr.Dataset({"theory_misclassification": ("ridge", [0.2, 0.3])}, {"ridge": [0.1, 1.0]})
    results.to_netcdf(tmp_path / "results.nc", engine="h5netcdf")
    commands.plot(tmp_path, None)
    assert plt.get_fignums() == []
    assert plt.get_backend() == before


@pytest.mark.fault(number=15)
def test_an_output_without_greek_letters_loses_nothing(
    tmp_path: Path,
    top_k_only: Reproduction,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reproduce(top_k_only, tmp_path / TOP_K.name, full=False)
    claims = [Claim("α = 1 wins, 円", "paper", "±1", "theory", True)]
    shown = dataclasses.replace(top_k_only, claims=lambda _: claims)
    other = dataclasses.replace(shown, name="another")
    shutil.copytree(tmp_path / TOP_K.name, tmp_path / "another")
    (tmp_path / "another" / f"{TOP_K.name}.nc").rename(tmp_path / "another" / "another.nc")
    monkeypatch.setattr("dataselect.commands.REPRODUCTIONS", {TOP_K.name: shown, "another": other})
    for encoding in ("cp1252", "ascii"):
        written = io.BytesIO()
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding, write_through=True))
        output = ("--output", str(tmp_path))
        assert main(monkeypatch, "reproduce", "all", "--from-results", *output) == 0
        printed = written.getvalue().decode(encoding)
        assert printed.count("\\u03b1 = 1 wins, \\u5186") == 2
        assert "report.html" in printed
        page = (tmp_path / "report.md").read_text(encoding="utf-8")
        assert "α = 1 wins, 円" in page


@pytest.mark.fault(number=15)
def test_every_file_is_opened_in_a_named_encoding() -> None:
    root = Path(__file__).parent.parent
    rooms = ("theory", "simulate", "figures", "paper_repro", "dataselect", "benchmarks")
    call = re.compile(r"\.(?:read_text|write_text|to_csv|read_csv)\([^\n]*|(?<![\w.])open\([^\n]*")
    unnamed = [
        f"{path.name}: {found[0]}"
        for room in rooms
        for path in (root / room).rglob("*.py")
        for found in call.finditer(path.read_text(encoding="utf-8"))
        if "encoding=" not in found[0]
    ]
    assert unnamed == []


@pytest.mark.fault(number=15)
@pytest.mark.parametrize(
    "settings",
    [
        {"PYTHONIOENCODING": "cp1252"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    ],
    ids=["cp1252", "C"],
)
def test_commands_in_another_encoding(
    settings: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    file = tmp_path / "sweep.toml"
    file.write_text(SWEEP[: SWEEP.index("[simulation]")], encoding="utf-8")
    store = str(tmp_path / "a[b]")
    for arguments in (["sweep", str(file), "--output", store, "--workers", "1"], ["plot", store]):
        done = subprocess.run(
            [sys.executable, "-m", "dataselect", *arguments], capture_output=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, b"")
    assert (tmp_path / "a[b]" / "overlay.png").exists()
    results = read_dataset(tmp_path / "a[b]" / "results.nc")
    assert "円" in results.attrs["title"]


NAMES = ["run[ridge=0.1]", "a[/b]c", "[bold]x", "with :warning:", "$a_b$ c^{"]


@pytest.mark.fault(number=16)
def test_a_path_is_printed_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(commands, "process_pool", lambda _: nullcontext())  # tasks run here
    for k, name in enumerate(NAMES):
        file = tmp_path / f"{name.replace('/', '')}.toml"
        text = SWEEP if k == 0 else SWEEP[: SWEEP.index("[simulation]")]
        file.write_text(text, encoding="utf-8")
        store = tmp_path / name
        commands.sweep(file, store, 1, None, False, False, False)
        commands.plot(store, None)
        printed = capsys.readouterr().out
        gap = ["gap.pdf"] if k == 0 else []
        for part in ("results.nc", "manifest.json", "overlay.png", *gap):
            assert f"wrote {store / part}\n" in printed
        assert f"draw it: dataselect plot {store}\n" in printed
        assert main(monkeypatch, "predict", str(tmp_path / f"{name}x.toml")) == 2
        assert f"{name}x.toml" in capsys.readouterr().err


@pytest.mark.fault(number=16)
def test_texts_of_users_are_no_formulas_in_pictures() -> None:
    title = "cost in $ and $x_{"
    labels = ["_hidden $", "$\\frac$"]
    axes = ("kind", "ridge")
    results = xr.Dataset(
        {"theory_misclassification": (axes, [[0.2, 0.3], [0.3, 0.4]])},
        {"kind": labels, "ridge": [0.1, 1.0]},
        {"title": title + " 円"},
    )
    figure = plot(results)
    figure.canvas.draw()
    assert figure.get_suptitle().startswith(literal(title + " 円"))
    (legend,) = figure.legends
    assert [text.get_text().strip() for text in legend.get_texts()] == [
        "_hidden \\$",
        "\\$\\frac\\$",
    ]


@pytest.mark.fault(number=16)
def test_a_progress_bar_takes_no_text_for_markup() -> None:
    said = io.StringIO()
    console = Console(file=said, force_terminal=True, width=80)
    plan = Plan((power_problem(),), (20,), 2)
    with ProgressReport(console) as report:
        report._describe = lambda: "[/red] [bold]1 of 2"  # type: ignore[method-assign]
        report.begin(plan, {})
        report.finish(plan.tasks[0], np.zeros((1, 11)))
    assert "[/red] [bold]1 of 2" in said.getvalue()


@pytest.mark.fault(number=6)
def test_predictions_without_a_value_are_counted_and_lone_ones_are_seen() -> None:
    ridge = [0.1, 0.2, 0.3, 0.4, 0.5]
    errors = [0.2, np.nan, 0.25, np.nan, np.nan]
    figure = plot(xr.Dataset({"theory_misclassification": ("ridge", errors)}, {"ridge": ridge}))
    assert "3 of 5 predictions did not converge" in figure.get_suptitle()
    lone = figure.axes[0].lines[1]
    assert lone.get_marker() == "_"
    assert list(np.asarray(lone.get_xdata())) == [0.1, 0.3]


@pytest.mark.fault(number=6)
def test_a_gap_of_single_data_sets_is_drawn() -> None:
    dims = ("dimension", "ridge", "data_set")
    results = xr.Dataset(
        {
            "theory_misclassification": ("ridge", [0.2, 0.3]),
            "simulation_misclassification": (dims, np.full((2, 2, 1), 0.25)),
            "simulation_converged": (dims, np.ones((2, 2, 1))),
        },
        {"ridge": [0.1, 0.2], "dimension": [20, 30]},
    )
    figure = gap_panel(results)
    figure.canvas.draw()
    points = [line for line in figure.axes[0].lines if line.get_linestyle() == "None"]
    assert any(np.isfinite(np.asarray(line.get_ydata(), dtype=float)).all() for line in points)
