"""Checks on user input; every message names the field, the value and what is allowed."""

import difflib
import math
import sys
from collections.abc import Collection, Mapping
from typing import Any


class InvalidFieldError(ValueError):
    """A field of a problem description lies outside its allowed range."""

    def __init__(self, field: str, value: object, allowed: str) -> None:
        self.field = field
        self.value = value
        self.allowed = allowed
        super().__init__(f"{field} = {_shown(value)} is not allowed: it must be {allowed}")

    def __reduce__(self) -> tuple[type["InvalidFieldError"], tuple[str, object, str]]:
        return InvalidFieldError, (self.field, self.value, self.allowed)


def _shown(value: object) -> str:
    try:
        text = repr(value)
    except ValueError:  # Python prints no whole number of more than a few thousand digits
        return "a number of too many digits"
    return text if len(text) <= 200 else f"{text[:200]}..."


def near_names(name: str, names: Collection[str], prefix: str = "") -> str:
    """What is allowed in place of a wrong name: those that resemble it, or all if none does."""
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5) or names
    return "one of " + ", ".join(prefix + n for n in near)


def as_number(field: str, value: Any, allowed: str = "a finite number") -> float:
    """Return a number of any kind as a float; an array without dimensions counts as its number.

    Refuses booleans, text, arrays, NaN and infinities, also whole numbers too large for a float.
    """
    plain = _plain(field, value, allowed)
    try:
        number = float(plain)
    except (TypeError, ValueError, ArithmeticError):
        raise InvalidFieldError(field, value, allowed) from None
    if not math.isfinite(number):
        raise InvalidFieldError(field, value, allowed)
    return number


def _plain(field: str, value: Any, allowed: str) -> Any:
    """The Python number of a NumPy, JAX or other scalar; booleans and text are refused."""
    plain = _item(field, value, allowed)
    if isinstance(plain, bool | str | bytes | bytearray):
        raise InvalidFieldError(field, value, allowed)
    return plain


def _item(field: str, value: Any, allowed: str) -> Any:
    """What an array without dimensions holds, None for other arrays; other values as they are."""
    if not (hasattr(value, "__array__") and hasattr(value, "ndim")):
        return value
    jax = sys.modules.get("jax")
    if jax is not None and isinstance(
        value, jax.core.Tracer
    ):  # has no number, or one without its derivative
        raise InvalidFieldError(field, value, f"{allowed}, not one that JAX traces")
    return value.item() if value.ndim == 0 else None


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
    """Return a boolean, Python's or NumPy's, as Python's; 0 and 1 are refused."""
    allowed = "True or False"
    plain = _item(field, value, allowed)
    if plain is True or plain is False:
        return bool(plain)
    raise InvalidFieldError(field, value, allowed)


def as_count(field: str, value: Any, least: int = 1, most: int | None = None) -> int:
    """Return a whole number exactly, whatever its size; 20.0 counts as 20."""
    allowed = (
        f"a whole number >= {least}" if most is None else f"a whole number >= {least} and <= {most}"
    )
    plain = _plain(field, value, allowed)
    try:
        number = int(plain)
        whole = bool(number == plain)
    except (TypeError, ValueError, ArithmeticError):
        raise InvalidFieldError(field, value, allowed) from None
    if not whole or number < least or (most is not None and number > most):
        raise InvalidFieldError(field, value, allowed)
    return number


def as_items(field: str, values: Any, allowed: str = "a list") -> list[Any]:
    """Return the values of any iterable in order; text, mappings and sets are none."""
    if isinstance(values, str | bytes | bytearray | Mapping | set | frozenset):
        raise InvalidFieldError(field, values, allowed)
    try:
        return list(values)
    except TypeError:  # not iterable; an array without dimensions says so only when asked
        raise InvalidFieldError(field, values, allowed) from None


def as_numbers(field: str, values: Any) -> tuple[float, ...]:
    """Return a sequence of finite numbers as a tuple of floats."""
    items = as_items(field, values, "a sequence of finite numbers")
    return tuple(as_number(f"{field}[{i}]", value) for i, value in enumerate(items))


def as_instance(field: str, value: Any, kind: type[Any] | tuple[type[Any], ...]) -> Any:
    kinds = kind if isinstance(kind, tuple) else (kind,)
    if not isinstance(value, kinds):
        raise InvalidFieldError(field, value, "one of " + ", ".join(k.__name__ for k in kinds))
    return value


def set_fields(instance: object, **fields: object) -> None:
    """Write checked values into a frozen dataclass during ``__post_init__``."""
    for name, value in fields.items():
        object.__setattr__(instance, name, value)
