"""The explorer's first page, a marimo notebook: the knobs of a problem, and what they do."""

import marimo

__generated_with = "0.16.0"
app = marimo.App(width="full", app_title="Data selection: explorer")


@app.cell
def _():
    import io

    import marimo as mo
    import matplotlib.pyplot as plt

    from figures.explorer import background, charts, controls, lines, takeaway
    from figures.explorer.state import State
    from theory import InvalidFieldError

    return (
        InvalidFieldError,
        State,
        background,
        charts,
        controls,
        io,
        lines,
        mo,
        plt,
        takeaway,
    )


@app.cell
def _(State, controls, mo):
    knobs = controls.make_controls(State.from_query(mo.query_params().to_dict()))
    get_simulation, set_simulation = mo.state(None)
    return get_simulation, knobs, set_simulation


@app.cell
def _(controls, knobs):
    state = controls.read_controls(knobs.value)
    return (state,)


@app.cell
def _(InvalidFieldError, lines, mo, state):
    problem_error = ""
    drawn, full, rule = None, float("nan"), None
    try:
        if state.tuned:
            with mo.status.progress_bar(
                total=100, title="Tuning the ridge of every point", remove_on_exit=True
            ) as _bar:
                _seen = [0]

                def _report(done, total):
                    _share = 100 * done // total
                    _bar.update(increment=_share - _seen[0])
                    _seen[0] = _share

                drawn = lines.predicted_lines(state, _report)
        else:
            drawn = lines.predicted_lines(state)
        full = lines.full_sample(state)
        rule = lines.rule_table(state)
    except InvalidFieldError as _error:
        problem_error = str(_error)
    return drawn, full, problem_error, rule


@app.cell
def _(lines, mo, problem_error, state):
    optimum = None
    if state.optimal and not problem_error:
        with mo.status.progress_bar(
            total=lines.MOST_OPTIMA, title="Searching the best selections", remove_on_exit=True
        ) as _bar:
            optimum = lines.optimal_line(state, lambda done, total: _bar.update())
    return (optimum,)


@app.cell
def _(mo):
    dimension = mo.ui.slider(steps=[50, 100, 200, 400], value=100, label="p", show_value=True)
    data_sets = mo.ui.slider(
        steps=[5, 10, 20, 50, 100], value=10, label="data sets", show_value=True
    )
    start = mo.ui.run_button(label="Simulate here")
    stop = mo.ui.run_button(label="Stop", kind="danger")
    return data_sets, dimension, start, stop


@app.cell
def _(
    background,
    data_sets,
    dimension,
    get_simulation,
    mo,
    problem_error,
    set_simulation,
    start,
    state,
):
    if start.value and not problem_error:
        _old = get_simulation()
        if _old is not None:
            _old.stop()
        set_simulation(background.Simulation(state, dimension.value, data_sets.value))
    tick = mo.ui.refresh(default_interval="1s", options=["1s"])
    return (tick,)


@app.cell
def _(get_simulation, stop):
    if stop.value and get_simulation() is not None:
        get_simulation().stop()
    return


@app.cell
def _(charts, drawn, full, get_simulation, mo, optimum, problem_error, rule, state, tick):
    import pandas as _pandas

    _ = tick.value  # runs again with every tick
    simulation = get_simulation()
    points = None
    simulated = ""
    if simulation is not None:
        _same = (simulation.state.x, simulation.state.quantity) == (state.x, state.quantity)
        points = simulation.points() if _same else None
        _word = "running" if simulation.running else "ended"
        _other = "" if simulation.state == state else ", of an earlier setting"
        simulated = (
            f"Simulation {_word}: {simulation.done} of {simulation.total} tasks,"
            f" p = {simulation.dimension}{_other}. {simulation.error}"
        )
    if problem_error:
        picture = mo.callout(problem_error, kind="warn")
    else:
        table = drawn if optimum is None else _pandas.concat([drawn, optimum])
        picture = mo.vstack(
            [
                mo.as_html(charts.line_chart(state, table, full, points)),
                mo.as_html(charts.rule_chart(state, rule)),
            ]
        )
    return picture, simulated, simulation


@app.cell
def _(drawn, io, mo, plt, problem_error, state, takeaway):
    def _svg():
        _text = takeaway.code(state).replace("plt.show()", "")
        exec(_text, {"__name__": "explorer"})
        _file = io.BytesIO()
        plt.gcf().savefig(_file, format="svg")
        plt.close("all")
        return _file.getvalue()

    if problem_error:
        taken = mo.md("")
    else:
        taken = mo.vstack(
            [
                mo.hstack(
                    [
                        mo.download(
                            drawn.to_csv(index=False, encoding="utf-8").encode(),
                            "lines.csv",
                            label="CSV of the lines",
                        ),
                        mo.download(_svg, "lines.svg", "image/svg+xml", label="SVG"),
                        mo.download(takeaway.toml(state).encode(), "sweep.toml", label="TOML"),
                        mo.download(takeaway.code(state).encode(), "lines.py", label="Python"),
                        mo.md(f"[Link to this state]({takeaway.link(state)})"),
                    ],
                    justify="start",
                ),
                mo.accordion(
                    {
                        "Python that makes this plot": mo.md(
                            f"```python\n{takeaway.code(state)}```"
                        ),
                        "TOML for `dataselect sweep`": mo.md(f"```toml\n{takeaway.toml(state)}```"),
                        "Numbers": mo.ui.table(drawn, selection=None),
                    }
                ),
            ]
        )
    return (taken,)


@app.cell
def _(
    controls,
    data_sets,
    dimension,
    knobs,
    mo,
    picture,
    simulated,
    simulation,
    start,
    state,
    stop,
    taken,
    tick,
):
    _running = simulation is not None and simulation.running
    _left = mo.vstack([knobs[name] for name in controls.shown_controls(state)]).style(
        {"padding-right": "3rem"}
    )
    _simulate = mo.hstack(
        [start, *([stop, tick] if _running else []), dimension, data_sets, mo.md(simulated)],
        justify="start",
        wrap=True,
    )
    mo.vstack(
        [
            mo.md(
                "# Which samples to label?\nLines: exact theory of the test error after training on"
                " a selected subset. [Your own data](data)"
            ),
            mo.hstack(
                [_left, mo.vstack([picture, _simulate, taken])], widths=[1, 3], align="start", gap=2
            ),
        ]
    )
    return


if __name__ == "__main__":
    app.run()
