"""What a user takes away from the explorer: code, TOML, a link."""

import dataclasses
import re
from typing import Any
from urllib.parse import urlencode

import theory
from figures.explorer.state import State
from theory import F1, F2, StepLink

NAMED = {F1: "F1", F2: "F2"}


def link(state: State) -> str:
    """The parameters that restore the state, to stand behind the page's address.

    >>> link(State(ridge=0.1))
    '?ridge=0.1'
    """
    return "?" + urlencode(state.query())


def code(state: State) -> str:
    """Python that draws the lines of this state (without the optimum).

    >>> exec(code(State(schemes=("random",), quantity="log_loss")).replace("plt.show()", ""))
    """
    schemes = {name: state.problem(name).selection for name in state.lines}
    problem = state.problem(state.lines[0])
    written = " ".join(_written(value) for value in (problem, *schemes.values()))
    names = sorted(set(re.findall(r"\b[A-Z]\w*", written)) & set(theory.__all__))
    work = ["sweep"] if not state.tuned or state.x == "ridge" else ["tune"]
    selections = "\n".join(f"    {name!r}: {_written(s)}," for name, s in schemes.items())
    scale = "100 * " if state.quantity == "misclassification" else ""
    values = [float(v) for v in state.values]
    if work == ["sweep"]:
        line = f"sweep(problem.replace({{'selection': selection}}), {{{state.field!r}: values}})"
        lines = [f"    line = {line}", f"    axis.plot(values, {scale}line.{state.quantity},"]
    else:
        lines = [
            "    points = [",
            f"        problem.replace({{'selection': selection}}).replace({{{state.field!r}: x}})",
            "        for x in values",
            "    ]",
            "    line = [tune(point, over=['ridge']).prediction for point in points]",
            f"    axis.plot(values, [{scale}p.{state.quantity} for p in line],",
        ]
    return "\n".join(
        [
            "import matplotlib.pyplot as plt",
            "",
            "from theory import (",
            *(f"    {name}," for name in [*names, *work]),
            ")",
            "",
            "problem = Problem(",
            *(f"    {name}={_written(part)}," for name, part in _fields(problem).items()),
            ")",
            "selections = {",
            selections,
            "}",
            f"values = {values}",
            "figure, axis = plt.subplots()",
            "for name, selection in selections.items():",
            *lines[:-1],
            f"{lines[-1]} label=name)",
            f"axis.set(xlabel={state.x!r}, ylabel={state.quantity!r})",
            *(["axis.set_xscale('log')"] if state.x in ("ridge", "samples_per_dimension") else []),
            "axis.legend()",
            "plt.show()",
            "",
        ]
    )


def toml(state: State, dimension: int = 200, data_sets: int = 20) -> str:
    """A file for ``dataselect sweep``: the same lines, with a simulation beside them."""
    problem = state.problem(state.lines[0])
    fields = [
        f"{item.name} = {_toml(getattr(problem, item.name))}"
        for item in dataclasses.fields(problem)
    ]
    schemes = [f"    {_toml(state.problem(name).selection)}," for name in state.lines]
    values = ", ".join(map(repr, state.values))
    return "\n".join(
        [
            'title = "From the explorer"',
            "",
            "[problem]",
            *fields,
            "",
            "[axes]",
            "selection = [",
            *schemes,
            "]",
            f'"{state.field}" = [{values}]',
            "",
            "[simulation]",
            f"dimensions = [{dimension}]",
            f"data_sets = {data_sets}",
            "",
        ]
    )


def _fields(value: Any) -> dict[str, object]:
    """Fields of a dataclass that differ from their defaults."""
    fields = {f.name: (getattr(value, f.name), f) for f in dataclasses.fields(value)}
    return {name: given for name, (given, field) in fields.items() if given != field.default}


def _written(value: object) -> str:
    """A value as Python that makes it; the paper's links by name."""
    if isinstance(value, StepLink) and value in NAMED:
        return NAMED[value]
    if not dataclasses.is_dataclass(value):
        return repr(value)
    parts = [f"{name}={_written(part)}" for name, part in _fields(value).items()]
    return f"{type(value).__name__}({', '.join(parts)})"


def _toml(value: object) -> str:
    """A value in TOML, as an inline table where it has fields."""
    if isinstance(value, StepLink) and value in NAMED:
        return f'"{NAMED[value]}"'
    if dataclasses.is_dataclass(value):
        fields = [f"{name} = {_toml(part)}" for name, part in _fields(value).items()]
        return "{ " + ", ".join([f'kind = "{type(value).__name__}"', *fields]) + " }"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return repr(value)
