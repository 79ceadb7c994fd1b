"""Sweeps declared in a TOML file: a problem, the axes that vary it, and the simulation's size."""

import dataclasses
import importlib
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

import theory
from simulate.running.plan import Plan
from theory.checks import InvalidFieldError, as_bool, near_names
from theory.prediction import Prediction
from theory.problem import Problem
from theory.sweep import Axes, frame, grid, labelled

Array = np.ndarray[Any, np.dtype[np.float64]]

KINDS = {
    name: kind
    for name in theory.__all__
    if dataclasses.is_dataclass(kind := getattr(theory, name)) and isinstance(kind, type)
    if name not in ("Prediction", "Rule", "ScoreLaw", "Training")
}
"""What a table with a ``kind`` may describe, beside the dataclasses of other modules."""

NAMED = {"F1": theory.F1, "F2": theory.F2}


@dataclass(frozen=True)
class SweepFile:
    """A sweep: its title, problem and axes; the simulation's plan, or None; whether to predict.

    text: the file as it was read.
    """

    title: str
    problem: Problem
    axes: Axes
    plan: Plan | None
    theory: bool
    text: str

    @cached_property
    def problems(self) -> list[Problem]:
        """Every combination of the axes."""
        return grid(self.problem, self.axes)

    def dataset(self, predictions: list[Prediction], values: Array | None) -> xr.Dataset:
        """Predictions (theory_*) and per-data-set results (simulation_*) over the axes."""
        result = frame(self.axes)
        if self.theory:
            predicted = labelled(self.problem, self.axes, predictions)
            result = predicted.rename({name: f"theory_{name}" for name in predicted.data_vars})
        if values is not None and self.plan is not None:
            simulated = self.plan.dataset(values, frame(self.axes))
            result = xr.merge(
                [result, simulated], compat="no_conflicts", combine_attrs="drop_conflicts"
            )
        result.attrs = {"title": self.title, "problem": repr(self.problem), "file": self.text}
        return result


def read_sweep(path: Path) -> SweepFile:
    """Read a sweep from a TOML file; ``examples/`` holds three.

    Tables: ``problem`` (with ``problem.data`` and so on, each naming its ``kind``), ``axes`` (lists
    of values by dotted field name; "a, b" takes lists of pairs) and ``simulation`` (dimensions,
    data_sets, seed, test_samples; without it only the theory is computed). Beside them ``title``,
    and ``theory = false`` to leave the theory out. A kind of one's own is named "module:Name";
    reading the sweep imports the module, which may lie beside the file.
    Raises ValueError, naming the entry and what is allowed, and OSError for an unreadable file.
    """
    try:
        text = path.read_text(encoding="utf-8")
        content = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidFieldError("file", str(path), f"TOML ({error})") from None
    _known(content, ("title", "problem", "axes", "simulation", "theory"), "")
    folder = path.parent.resolve()
    problem = _build({"kind": "Problem", **_table(content, "problem")}, "problem", folder)
    axes = {
        _axis(name): [_build(value, f"axes.{name}", folder) for value in _values(name, values)]
        for name, values in _table(content, "axes", needed=False).items()
    }
    problems = grid(problem, axes)
    frame(axes)  # refuses axes that share a name
    plan = None
    if "simulation" in content:
        settings = _table(content, "simulation")
        _known(settings, ("dimensions", "data_sets", "seed", "test_samples"), "simulation.")
        dimensions = settings.get("dimensions", [])
        plan = Plan(
            tuple(problems),
            tuple(dimensions) if isinstance(dimensions, list) else (dimensions,),
            settings.get("data_sets", 20),
            settings.get("seed", 0),
            settings.get("test_samples"),
        )
    predicted = as_bool("theory", content.get("theory", True))
    if plan is None and not predicted:
        raise InvalidFieldError("theory", False, "true where there is no [simulation]")
    title = str(content.get("title", path.stem))
    return SweepFile(title, problem, axes, plan, predicted, text)


def _table(content: Mapping[str, Any], name: str, needed: bool = True) -> dict[str, Any]:
    table = content.get(name, None if needed else {})
    if not isinstance(table, dict):
        raise InvalidFieldError(name, table, f"a table, [{name}]")
    return table


def _known(table: Mapping[str, Any], names: tuple[str, ...], path: str) -> None:
    for name in table:
        if name not in names:
            raise InvalidFieldError("entry", path + name, near_names(name, names))


def _axis(name: str) -> str | tuple[str, ...]:
    names = tuple(part.strip() for part in name.split(","))
    return names[0] if len(names) == 1 else names


def _values(name: str, values: Any) -> list[Any]:
    if not isinstance(values, list) or not values:
        raise InvalidFieldError(f"axes.{name}", values, "a list of one or more values")
    return values


def _build(value: Any, path: str, folder: Path) -> Any:
    """A described object; lists become tuples, and the names of links links."""
    if isinstance(value, list):
        return tuple(_build(item, path, folder) for item in value)
    if isinstance(value, str):
        return NAMED.get(value, value)
    if not isinstance(value, dict):
        return value
    fields = dict(value)
    name = fields.pop("kind", None)
    kind = _kind(name, f"{path}.kind", folder)
    known = [f for f in dataclasses.fields(kind) if f.init]
    _known(fields, tuple(f.name for f in known), f"{path}.")
    for f in known:
        required = f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
        if required and f.name not in fields:
            raise InvalidFieldError(f"{path}.{f.name}", "nothing", f"given: {name} needs it")
    return kind(**{key: _build(item, f"{path}.{key}", folder) for key, item in fields.items()})


def _kind(name: Any, path: str, folder: Path) -> type[Any]:
    """The class of a kind: one of KINDS, or a dataclass of any module as "module:Name"."""
    if isinstance(name, str) and name in KINDS:
        return KINDS[name]
    module_name, colon, class_name = str(name).partition(":")
    if not colon:
        allowed = f'{near_names(str(name), sorted(KINDS))}, or "module:Name"'
        raise InvalidFieldError(path, name, allowed)
    if str(folder) not in sys.path:
        sys.path.append(str(folder))  # for good: workers, which inherit it, import the module too
    try:
        kind = getattr(importlib.import_module(module_name), class_name)
    except (ImportError, AttributeError, ValueError) as error:
        allowed = f'the "module:Name" of a dataclass that can be imported ({error})'
        raise InvalidFieldError(path, name, allowed) from None
    if not (isinstance(kind, type) and dataclasses.is_dataclass(kind)):
        raise InvalidFieldError(path, name, 'the "module:Name" of a dataclass')
    return kind
