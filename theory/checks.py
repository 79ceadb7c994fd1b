"""Checks on user input; every message names the field, the value and what is allowed."""

import difflib
import math
from collections.abc import Collection, Sequence
from typing import Any


class InvalidFieldError(ValueError):
    """A field of a problem description lies outside its allowed range."""

    def __init__(self, field: str, value: object, allowed: str) -> None:
        self.field = field
        self.value = value
        self.allowed = allowed
        super().__init__(f"{field} = {value!r} is not allowed: it must be {allowed}")

    def __reduce__(self) -> tuple[type["InvalidFieldError"], tuple[str, object, str]]:
        return InvalidFieldError, (self.field, self.value, self.allowed)


def near_names(name: str, names: Collection[str], prefix: str = "") -> str:
    """What is allowed in place of a wrong name: those that resemble it, or all if none does."""
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5) or names
    return "one of " + ", ".join(prefix + n for n in near)


def as_number(field: str, value: Any, allowed: str = "a finite number") -> float:
    """Return ``value`` as a float, refusing booleans, text, NaN and infinities."""
    if isinstance(value, bool | str):
        raise InvalidFieldError(field, value, allowed)
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise InvalidFieldError(field, value, allowed) from None
    if not math.isfinite(number):
        raise InvalidFieldError(field, value, allowed)
    return number


def as_positive(field: str, value: Any) -> float:
    allowed = "a finite number > 0"
    number = as_number(field, value, allowed)
    if number <= 0:
        raise InvalidFieldError(field, value, allowed)
    return number


def as_non_negative(field: str, value: Any) -> float:
    allowed = "a finite number >= 0"
    number = as_number(field, value, allowed)
    if number < 0:
        raise InvalidFieldError(field, value, allowed)
    return number


def as_fraction(field: str, value: Any) -> float:
    allowed = "a number in (0, 1]"
    number = as_number(field, value, allowed)
    if not 0 < number <= 1:
        raise InvalidFieldError(field, value, allowed)
    return number


def as_bool(field: str, value: Any) -> bool:
    if value is True or value is False:
        return bool(value)
    raise InvalidFieldError(field, value, "True or False")


def as_count(field: str, value: Any, least: int = 1) -> int:
    allowed = f"a whole number >= {least}"
    number = as_number(field, value, allowed)
    if number != int(number) or number < least:
        raise InvalidFieldError(field, value, allowed)
    return int(number)


def as_numbers(field: str, values: Any) -> tuple[float, ...]:
    """Return a sequence of finite numbers as a tuple of floats."""
    allowed = "a sequence of finite numbers"
    if isinstance(values, str) or not (isinstance(values, Sequence) or hasattr(values, "__iter__")):
        raise InvalidFieldError(field, values, allowed)
    return tuple(as_number(f"{field}[{i}]", value) for i, value in enumerate(values))


def as_instance(field: str, value: Any, kind: type[Any] | tuple[type[Any], ...]) -> Any:
    kinds = kind if isinstance(kind, tuple) else (kind,)
    if not isinstance(value, kinds):
        raise InvalidFieldError(field, value, "one of " + ", ".join(k.__name__ for k in kinds))
    return value


def set_fields(instance: object, **fields: object) -> None:
    """Write checked values into a frozen dataclass during ``__post_init__``."""
    for name, value in fields.items():
        object.__setattr__(instance, name, value)
