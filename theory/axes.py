"""Axes of a sweep: which fields vary, over which values, and under which names."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice, product
from numbers import Real
from typing import Any

import numpy as np
import xarray as xr

from theory.checks import InvalidFieldError
from theory.problem import Problem
from theory.quantities import QUANTITIES, described

Axes = Mapping[Any, Iterable[Any]]
"""Values by dotted field name, or tuples of values by a tuple of names that vary together."""

LARGEST = 2**53
"""Whole numbers up to this one are labels as they are; larger ones are doubles, as in problems."""

MOST_POINTS = 1_000_000
"""Of a sweep: more, or values without an end, are a slip."""

OWN = ("fraction",)
"""A quantity whose axis may carry its name: what is asked for is what is reported."""


@dataclass(frozen=True)
class Axis:
    """fields: dotted names that vary together. names: of their coordinates. steps: their values."""

    fields: tuple[str, ...]
    names: tuple[str, ...]
    steps: tuple[tuple[Any, ...], ...]

    @property
    def dim(self) -> str:
        """The name of the dimension."""
        return "_".join(self.names)


def read_axes(axes: Axes) -> tuple[Axis, ...]:
    """Check axes and give their coordinates names.

    A coordinate is named by the end of its field's dotted name, as long as it takes to tell it
    from the others and from the fitted quantities (an axis ``surrogate.intercept`` keeps both
    parts).
    Raises InvalidFieldError, naming the axis, for values that are no sequence, none at all,
    repeated or NaN, for a step with the wrong number of values, and for a field in two axes.

    >>> [axis.dim for axis in read_axes({"ridge": [0.1], "surrogate.ridge": [0.5, 0.7]})]
    ['ridge', 'surrogate.ridge']
    """
    if not isinstance(axes, Mapping):
        raise InvalidFieldError("axes", axes, "a mapping from field names to values")
    fields = [_fields(axis) for axis in axes]
    every = [name for names in fields for name in names]
    for name in every:
        if every.count(name) > 1:
            raise InvalidFieldError("axes", name, "varied by one axis only")
    short = _short_names(every)
    found: list[Axis] = []
    for names, values in zip(fields, axes.values(), strict=True):
        where = f"axes.{', '.join(names)}"
        steps = tuple(_step(where, len(names), value) for value in _sequence(where, values))
        _distinct(where, steps)
        found.append(Axis(names, tuple(short[name] for name in names), steps))
    points = math.prod(len(axis.steps) for axis in found)
    if points > MOST_POINTS:
        raise InvalidFieldError("axes", points, f"at most {MOST_POINTS} points together")
    return tuple(found)


def grid(problem: Problem, axes: Sequence[Axis]) -> list[Problem]:
    """Every combination of the axes' values, the last axis varying fastest."""
    return [
        problem.replace(
            {
                name: value
                for axis, step in zip(axes, steps, strict=True)
                for name, value in zip(axis.fields, step, strict=True)
            }
        )
        for steps in product(*(axis.steps for axis in axes))
    ]


def frame(axes: Sequence[Axis]) -> xr.Dataset:
    """The coordinates of a sweep; its dimensions, in order, have the sizes of the axes."""
    coordinates = {
        name: coordinate(axis.dim, name, [step[k] for step in axis.steps])
        for axis in axes
        for k, name in enumerate(axis.names)
    }
    return xr.Dataset(coords=coordinates)


def coordinate(dim: str, name: str, values: Sequence[Any]) -> xr.Variable:
    """Numbers as they are (booleans too); anything else by its text."""
    if all(isinstance(v, bool | np.bool_) for v in values):
        labels = np.array([bool(v) for v in values])
    elif all(type(v) is int and abs(v) <= LARGEST for v in values):
        labels = np.array(values)
    elif all(isinstance(v, Real | Decimal) and not isinstance(v, bool) for v in values):
        labels = np.array([float(v) for v in values])
    else:
        labels = np.array(_texts(values))
    return xr.Variable((dim,), labels, described(name.rpartition(".")[2], axis=True))


def _texts(values: Sequence[Any]) -> list[str]:
    """Their texts; different values of one text, whose repr leaves something out, are numbered."""
    alike: dict[str, list[Any]] = {}
    texts = []
    for value in values:
        others = alike.setdefault(str(value), [])
        if value not in others:
            others.append(value)
        number = others.index(value) + 1
        texts.append(f"{value} ({number})" if number > 1 else str(value))
    return texts


def _fields(axis: Any) -> tuple[str, ...]:
    names = (axis,) if isinstance(axis, str) else axis
    if not (isinstance(names, tuple) and names and all(isinstance(n, str) for n in names)):
        raise InvalidFieldError("axes", axis, "a field name, or a tuple of field names")
    return names


def _sequence(where: str, values: Any) -> list[Any]:
    """The values as a list: any iterable but text, mappings and sets, which have no order."""
    unordered = isinstance(values, str | bytes | bytearray | Mapping | set | frozenset)
    if unordered or not isinstance(values, Iterable):
        raise InvalidFieldError(where, values, "a list of one or more values")
    try:
        listed = [_item(value) for value in islice(values, MOST_POINTS + 1)]
    except TypeError:  # an array without dimensions
        raise InvalidFieldError(where, values, "a list of one or more values") from None
    if not listed:
        raise InvalidFieldError(where, listed, "a list of one or more values")
    return listed


def _item(value: Any) -> Any:
    """What an array without dimensions, NumPy's, JAX's or another, holds."""
    return value.item() if getattr(value, "ndim", None) == 0 else value


def _step(where: str, count: int, value: Any) -> tuple[Any, ...]:
    """The values of one step along an axis, one for each of its names."""
    if isinstance(value, np.ndarray) or hasattr(value, "__array__"):
        value = np.asarray(value).tolist()
    if count == 1:
        return (value,)
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) != count:
        raise InvalidFieldError(where, value, f"{count} values, one for each field")
    return tuple(map(_item, value))


def _distinct(where: str, steps: tuple[tuple[Any, ...], ...]) -> None:
    seen: set[Any] = set()
    unhashable: list[Any] = []
    for step in steps:
        for value in step:
            if isinstance(value, Real) and math.isnan(value):
                raise InvalidFieldError(where, value, "a number")
        try:
            known = step in seen
            seen.add(step)
        except TypeError:
            known = step in unhashable
            unhashable.append(step)
        if known:
            raise InvalidFieldError(where, step[0] if len(step) == 1 else step, "given once")


def _short_names(names: list[str]) -> dict[str, str]:
    """The shortest tail of every dotted name that no other has, nor a quantity."""
    short = {}
    for name in names:
        parts = name.split(".")
        for k in range(1, len(parts) + 1):
            tail = ".".join(parts[-k:])
            others = (other for other in names if other != name)
            alone = not any(other == tail or other.endswith("." + tail) for other in others)
            if (alone and (tail not in QUANTITIES or tail in OWN)) or k == len(parts):
                short[name] = tail
                break
    return short
