"""The explorer: what its controls mean, what it draws, and that a browser shows just that."""

import dataclasses
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import numpy as np
import pandas as pd
import pytest

from figures.explorer import controls, lines, takeaway
from figures.explorer.background import Simulation
from figures.explorer.charts import line_chart, rule_chart
from figures.explorer.serve import AddressError, serve
from figures.explorer.state import AXES, DATA, SCHEMES, State
from simulate.sweep_file import read_sweep
from theory import InvalidFieldError, Problem, optimal_selection, predict

CHROMIUM = shutil.which("chromium")
STATES = (
    State(),
    State(x="ridge", data="mixture", signal=1.0, surrogate="trained"),
    State(x="exponent", loss="squared", reweight=True),
    State(x="samples_per_dimension", data="clusters", surrogate="given", fit_intercept=True),
)


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.x)
def test_lines_are_those_of_the_theory(state: State) -> None:
    table = lines.predicted_lines(state)
    assert len(table) == len(state.lines) * len(state.values)
    for row in table.iloc[:: len(table) // 5].itertuples():
        problem = state.problem(str(row.scheme)).replace({state.field: row.x})
        assert row.value == pytest.approx(predict(problem).misclassification, abs=1e-7)


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.x)
def test_link_restores_the_state(state: State) -> None:
    query = dict(parse_qsl(takeaway.link(state).removeprefix("?")))
    assert State.from_query(query) == state


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.x)
def test_toml_declares_the_same_problems(state: State, tmp_path: Path) -> None:
    path = tmp_path / "sweep.toml"
    path.write_text(takeaway.toml(state), encoding="utf-8")
    wanted = [problem for scheme in state.lines for problem in state.problems(scheme)]
    assert list(read_sweep(path).problems) == wanted


def test_code_draws_the_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    import matplotlib.pyplot as plt

    state = State(schemes=("random", "hardest"), x="ridge")
    monkeypatch.setattr(plt, "show", lambda: None)
    exec(takeaway.code(state), {"__name__": "taken"})
    axis = plt.gca()
    table = lines.predicted_lines(state)
    for line, scheme in zip(axis.lines, state.lines, strict=True):
        wanted = 100 * table[table.scheme == scheme].value
        assert np.allclose(np.asarray(line.get_ydata()), wanted, atol=1e-5)
    plt.close("all")


def test_optimum_is_that_of_the_theory_and_below_all_lines() -> None:
    state = State(x="samples_per_dimension", schemes=("random", "hardest", "easiest"))
    best = lines.optimal_line(state).set_index("x").value
    others = lines.predicted_lines(state).pivot(index="x", columns="scheme", values="value")
    assert (best <= others.min(axis=1).loc[best.index] + 1e-7).all()
    problem = state.problem("random").replace({"samples_per_dimension": best.index[3]})
    found = optimal_selection(problem).prediction.misclassification
    assert best.iloc[3] == pytest.approx(found, abs=1e-9)


def test_tuned_lines_have_a_ridge_at_every_point_and_lower_errors() -> None:
    state = State(schemes=("random",), x="samples_per_dimension")
    fixed = lines.predicted_lines(state).set_index("x").value
    tuned = lines.predicted_lines(dataclasses.replace(state, tuned=True)).set_index("x")
    assert (tuned.value <= fixed.loc[tuned.index] + 1e-9).all()
    assert tuned.ridge.nunique() > 1


def test_gap_says_why_and_is_drawn_as_one() -> None:
    state = State(ridge=0.0, samples_per_dimension=1.0, schemes=("random",))  # separable
    table = lines.predicted_lines(state)
    gaps = table[table.value.isna()]
    assert len(gaps)
    assert (gaps.reason != "").all()
    chart = line_chart(state, table, float("nan")).to_dict()
    assert any(layer["mark"].get("shape") == "cross" for layer in chart["layer"])


def test_what_is_no_problem_is_refused_in_words() -> None:
    with pytest.raises(InvalidFieldError, match="surrogate"):
        lines.predicted_lines(State(data="clusters"))
    with pytest.raises(InvalidFieldError, match="schemes"):
        State(schemes=("best",))
    with pytest.raises(InvalidFieldError, match="one of"):
        State(data="f3")


def test_rule_keeps_its_fraction_under_the_density() -> None:
    for scheme in SCHEMES:
        state = State(shown=scheme, fraction=0.3)
        table = lines.rule_table(state)
        kept = np.trapezoid(table.probability * table.density, table.score)
        assert kept == pytest.approx(0.3, abs=0.01)
        assert rule_chart(state, table).to_dict()["height"] > 0


def test_every_control_has_a_place_and_reads_back() -> None:
    state = State(surrogate="trained", data="mixture", signal=1.0)
    knobs = controls.make_controls(state)
    assert controls.read_controls(knobs.value) == state
    names = {f.name for f in dataclasses.fields(State)}
    shown = {
        n
        for s in ("perfect", "given", "trained")
        for n in controls.shown_controls(State(surrogate=s))
    }
    assert shown == names


def test_simulation_agrees_and_can_be_stopped() -> None:
    state = State(schemes=("random", "easiest"), x="ridge")
    simulation = Simulation(state, dimension=60, repeats=20)
    simulation.wait()
    assert not simulation.error
    points = simulation.points().merge(lines.predicted_lines(state), on=["scheme", "x"])
    z = (points["mean"] - points.value) / points.standard_error
    assert len(points) == 16
    assert float(np.median(np.abs(z))) < 3
    long = Simulation(state, dimension=60, repeats=10**6)
    long.stop()
    long.wait()
    assert 0 < long.done < 1000
    assert (long.points().repeats == long.done).all()


def test_address_in_use_is_one_line() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(AddressError, match="--port"):
            serve(port=taken.getsockname()[1])


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Where an explorer of this test listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "dataselect", "explore", "--port", str(port)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        assert "http://127.0.0.1" in process.stdout.readline()
        yield f"http://127.0.0.1:{port}"
        process.terminate()


def plotted(page: Any) -> dict[tuple[str, float], float]:
    """The values of the chart's points, by scheme and place, as their labels say."""
    labels = page.locator("path[aria-label*='scheme:']").evaluate_all(
        "marks => marks.map(mark => mark.getAttribute('aria-label'))"
    )
    points = {}
    for label in labels:
        parts = [part.rpartition(": ")[2] for part in label.split("; ")]
        points[parts[2], float(parts[0])] = float(parts[1])
    return points


def assert_shows(page: Any, state: State) -> None:
    """Every fifth plotted point is that of the theory."""
    points = plotted(page)
    assert {scheme for scheme, _ in points} == set(state.lines)
    for scheme, x in list(points)[::5]:
        wanted = predict(state.problem(scheme).replace({state.field: x})).misclassification
        assert points[scheme, x] == pytest.approx(100 * wanted, abs=1e-5)


@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")
def test_in_a_browser(address: str, tmp_path: Path) -> None:
    from playwright.sync_api import expect, sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        page.set_default_timeout(120_000)
        first = State(schemes=("random", "easiest"), surrogate="given")
        page.goto(address + "/" + takeaway.link(first))
        link = page.get_by_text("Link to this state")
        link.wait_for()
        page.locator("path[aria-label*='scheme:']").first.wait_for()

        def state() -> State:
            query = (link.get_attribute("href") or "").partition("?")[2]
            return State.from_query(dict(parse_qsl(query)))

        def changed(name: str, value: Any) -> State:
            deadline = time.monotonic() + 120
            while getattr(state(), name) != value and time.monotonic() < deadline:
                time.sleep(0.05)
            assert getattr(state(), name) == value
            return state()

        assert state() == first
        assert_shows(page, first)
        sliders = [n for n in controls.shown_controls(first) if n in controls.SLIDERS]
        for place, name in enumerate(sliders):
            slider = page.get_by_role("slider").nth(place)
            slider.focus()
            slider.press("ArrowRight")
            steps = list(controls.SLIDERS[name])
            at = changed(name, steps[steps.index(getattr(first, name)) + 1])
        for name in ("fit_intercept", "reweight", "optimal", "tuned"):
            page.get_by_label(controls.LABELS[name], exact=True).click()
            changed(name, True)
        for name in ("optimal", "tuned"):
            page.get_by_label(controls.LABELS[name], exact=True).click()
            changed(name, False)
        for name, value in (
            ("loss", "squared"),
            ("data", "mixture"),
            ("surrogate", "perfect"),
            ("shown", "hardest"),
            ("x", "ridge"),
        ):
            page.get_by_label(controls.LABELS[name], exact=True).select_option(value)
            at = changed(name, value)
        page.locator("path[aria-label*='scheme: easiest']").first.wait_for()
        expect(page.get_by_text("ridge λ").last).to_be_visible()
        time.sleep(1)
        assert_shows(page, at)

        with page.expect_download() as download:
            page.get_by_text("CSV of the lines").click()
        table = pd.read_csv(download.value.path())
        assert len(table) == len(at.lines) * len(at.values)
        for row in table.iloc[::5].itertuples():
            problem: Problem = at.problem(str(row.scheme)).replace({"ridge": row.x})
            assert row.value == pytest.approx(predict(problem).misclassification, abs=1e-7)

        page.get_by_text("Simulate here").click()
        page.get_by_text("tasks, p = 100").wait_for()
        stop = page.get_by_role("button", name="Stop")
        if stop.is_visible():
            stop.click()
        expect(page.get_by_text("Simulation ended")).to_be_visible(timeout=120_000)

        page.goto(f"{address}/data")
        page.get_by_role("heading", name="Your own data").wait_for()
        bad = tmp_path / "bad.csv"
        bad.write_text("a,b\n1,2\n", encoding="utf-8")
        page.locator("input[type=file]").first.set_input_files(bad)
        page.get_by_text("is here").wait_for()
        page.get_by_text("Predict", exact=True).first.click()
        expect(page.get_by_text("has no column")).to_be_visible(timeout=120_000)
        browser.close()


def test_states_cover_what_the_page_offers() -> None:
    assert {state.x for state in STATES} == set(AXES)
    assert {state.data for state in STATES} <= set(DATA)
