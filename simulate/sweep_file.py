"""Problems and sweeps declared in a TOML file.

A sweep is a problem, the axes that vary it, and the simulation's size; together an Experiment.
"""

import dataclasses
import difflib
import importlib
import sys
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import xarray as xr

import theory
from simulate.experiment import Experiment, Size
from simulate.running.plan import LARGEST_SEED
from theory.axes import Axes, coordinate, frame, grid, read_axes
from theory.checks import InvalidFieldError, as_bool, as_count, near_names
from theory.problem import Problem

ROOMS = tuple(f"theory.{name}" for name in ("data", "losses", "problem", "selection", "surrogate"))

KINDS = {
    name: kind
    for name in theory.__all__
    if dataclasses.is_dataclass(kind := getattr(theory, name)) and isinstance(kind, type)
    if kind.__module__ in ROOMS
}
"""What a table with a ``kind`` may describe, beside the dataclasses of other modules."""

NAMED = {"F1": theory.F1, "F2": theory.F2}

OBJECTS = ("data", "link", "selection", "surrogate", "loss")
"""Fields that hold a kind."""


def read_problem(path: Path, changes: Sequence[str] = ()) -> Problem:
    """The problem of a TOML file, with changes such as "selection.alpha=1" applied.

    The values of changes are written as in the file. Raises ValueError, naming the entry and what
    is allowed, and OSError for an unreadable file.
    """
    folder = path.parent.resolve()
    problem = _problem(_content(path)[0], folder)
    for change in changes:
        name, equals, text = change.partition("=")
        if not equals:
            raise InvalidFieldError("--set", change, "NAME=VALUE, such as ridge=0.1")
        problem = problem.replace({name.strip(): _value(name.strip(), text.strip(), folder)})
    return problem


def read_sweep(path: Path) -> Experiment:
    """Read a sweep from a TOML file; ``examples/`` holds some.

    Tables: ``problem`` (with ``problem.data`` and so on, each naming its ``kind``), ``axes`` (lists
    of values by dotted field name, quoted or not; "a, b" takes lists of pairs) and ``simulation``
    (dimensions, data_sets, seed, test_samples; without it only the theory is computed). Beside them
    ``title``, and ``theory = false`` to leave the theory out. A kind of one's own is named
    "module:Name"; reading the sweep imports the module, which may lie beside the file.
    Raises ValueError, naming the entry and what is allowed, and OSError for an unreadable file.
    """
    content, text = _content(path)
    _known(content, ("title", "problem", "axes", "simulation", "theory"), "")
    folder = path.parent.resolve()
    title = content.get("title", path.stem)
    if not isinstance(title, str) or "\0" in title:
        raise InvalidFieldError("title", title, "text")
    problem = _problem(content, folder)
    axes = read_axes(_axes(_table(content, "axes", needed=False), folder))
    problems, coordinates = grid(problem, axes), frame(axes)
    sizes: list[Size | None] = [None] * len(problems)
    seed, test_samples = 0, None
    if "simulation" in content:
        settings = _table(content, "simulation")
        _known(settings, ("dimensions", "data_sets", "seed", "test_samples"), "simulation.")
        dimensions = _dimensions(settings.get("dimensions", []))
        data_sets = as_count("simulation.data_sets", settings.get("data_sets", 20))
        seed = as_count("simulation.seed", settings.get("seed", 0), least=0, most=LARGEST_SEED)
        if "test_samples" in settings:
            test_samples = as_count("simulation.test_samples", settings["test_samples"])
        coordinates = _with_dimensions(coordinates, dimensions)
        sizes = [Size(p, data_sets) for p in dimensions for _ in problems]
        problems = problems * len(dimensions)
    return Experiment(
        title=title,
        frame=coordinates,
        problems=tuple(problems),
        sizes=tuple(sizes),
        predicted=as_bool("theory", content.get("theory", True)),
        seed=seed,
        test_samples=test_samples,
        attributes={"problem": repr(problem), "file": text},
    )


def _content(path: Path) -> tuple[dict[str, Any], str]:
    """What a TOML file holds, and its text."""
    try:
        text = path.read_text(encoding="utf-8-sig")
        return tomllib.loads(text), text
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidFieldError("file", str(path), f"TOML in UTF-8 ({error})") from None


def _problem(content: Mapping[str, Any], folder: Path) -> Problem:
    problem: Problem = _build({"kind": "Problem", **_table(content, "problem")}, "problem", folder)
    return problem


def _value(name: str, text: str, folder: Path) -> Any:
    """A value as it is written in TOML; a name of a link, or of a kind without fields, as it is."""
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    return _build(value, name, folder)


def _axes(table: Mapping[str, Any], folder: Path, path: str = "") -> Axes:
    """Values by field name; unquoted dotted names, which TOML reads as tables, are joined."""
    axes: dict[Any, Any] = {}
    for name, values in table.items():
        if isinstance(values, dict):
            axes |= _axes(values, folder, f"{path}{name}.")
            continue
        names = tuple(part.strip() for part in (path + name).split(","))
        if not isinstance(values, list):
            raise InvalidFieldError(f"axes.{path}{name}", values, "a list of one or more values")
        axes[names if len(names) > 1 else names[0]] = [
            _build(value, f"axes.{path}{name}", folder) for value in values
        ]
    return axes


def _dimensions(given: Any) -> tuple[int, ...]:
    listed = given if isinstance(given, list) else [given]
    dimensions = tuple(as_count("simulation.dimensions", p, least=2) for p in listed)
    if not dimensions or len(set(dimensions)) < len(dimensions):
        raise InvalidFieldError("simulation.dimensions", given, "one or more distinct numbers")
    return dimensions


def _with_dimensions(coordinates: xr.Dataset, dimensions: tuple[int, ...]) -> xr.Dataset:
    """The axes with that of the dimensions before them."""
    first = xr.Dataset(coords={"dimension": coordinate("dimension", "dimension", dimensions)})
    return first.assign_coords(coordinates.coords)


def _table(content: Mapping[str, Any], name: str, needed: bool = True) -> dict[str, Any]:
    table = content.get(name, None if needed else {})
    if not isinstance(table, dict):
        raise InvalidFieldError(name, table, f"a table, [{name}]")
    return table


def _known(table: Mapping[str, Any], names: tuple[str, ...], path: str) -> None:
    for name in table:
        if name not in names:
            raise InvalidFieldError("entry", path + name, near_names(name, names))


def _build(value: Any, path: str, folder: Path) -> Any:
    """A described object; lists become tuples, and the names of links links."""
    if isinstance(value, list):
        return tuple(_build(item, path, folder) for item in value)
    if isinstance(value, str):
        return _named(value, path)
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


def _named(text: str, path: str) -> Any:
    """A link by its name, a kind that needs no fields, or the text itself where no kind belongs."""
    if text.upper() in NAMED:
        return NAMED[text.upper()]
    name, _, fields = text.partition("(")
    if name in KINDS and not _needs_fields(KINDS[name]) and fields in ("", ")"):
        return KINDS[name]()
    if name not in KINDS and path.rpartition(".")[2] not in OBJECTS:
        return text
    known = [*NAMED, *KINDS]
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5) or known
    raise InvalidFieldError(path, text, "one of " + ", ".join(map(_written, near)))


def _needs_fields(kind: type[Any]) -> bool:
    return any(
        f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
        for f in dataclasses.fields(kind)
    )


def _written(name: str) -> str:
    """How a file writes the object of this name."""
    plain = name in NAMED or not any(f.init for f in dataclasses.fields(KINDS[name]))
    return f'"{name}"' if plain else f'{{kind = "{name}", ...}}'


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
