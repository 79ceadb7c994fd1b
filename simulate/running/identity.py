"""Identity of a problem: its values, and the code of the kinds that its user wrote.

Two problems of one identity give the same results under the same numerics. The toolkit's own kinds
are known by name, as their code has a version (``simulate.numerics``); a user's kind is known by
the source of its functions, what these enclose, and the globals of its module that they use.
"""

import enum
import functools
import hashlib
import inspect
import sys
import sysconfig
import textwrap
import types
from collections.abc import Iterator, Mapping, Set
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from simulate.files import StoreError
from theory.problem import Problem

LIBRARIES = frozenset({"theory", "simulate", "numpy", "scipy", "jax", "jaxlib", "builtins"})
"""Top-level modules whose code counts as known by its name, beside the standard library."""

WRITTEN_BY_DATACLASS = frozenset(
    {"__init__", "__repr__", "__eq__", "__hash__", "__setattr__", "__delattr__"}
)

NO_CODE = frozenset(
    {"__module__", "__qualname__", "__doc__", "__dict__", "__weakref__", "__annotations__"}
    | {"__dataclass_fields__", "__dataclass_params__", "__match_args__", "__abstractmethods__"}
    | {"__annotate__", "__annotate_func__", "__annotations_cache__", "__replace__", "_abc_impl"}
    | {"__firstlineno__", "__static_attributes__", "__parameters__", "__orig_bases__", "__slots__"}
    | {
        "_is_protocol",
        "_is_runtime_protocol",
        "__protocol_attrs__",
        "__non_callable_proto_members__",
    }
)
"""What a class holds beside the code and values that its results depend on."""


def identity(problem: Problem) -> str:
    """A digest of everything that the problem's results depend on, beside the numerics.

    Equal problems have the same identity; so has a problem in another process, or after a restart.
    Raises StoreError, naming the part and a remedy, where the code of a part cannot be read.

    >>> from theory import F1, RandomSelection, SingleIndex
    >>> problem = Problem(SingleIndex(F1, 5.0), RandomSelection(0.5), 0.1, 2.0)
    >>> identity(problem) == identity(problem.replace({"ridge": 0.1}))
    True
    >>> identity(problem) == identity(problem.replace({"ridge": 0.2}))
    False
    """
    return digest(problem)


def digest(value: Any) -> str:
    """The same of any value: numbers, arrays, dataclasses, functions, and collections of them.

    >>> digest({"a": 1.0}) == digest({"a": 1.0}), digest([1]) == digest([2])
    (True, False)
    """
    return hashlib.sha256("\n".join(_described(value, ())).encode()).hexdigest()


def _described(value: Any, above: tuple[Any, ...]) -> Iterator[str]:
    """Lines that describe a value; ``above`` holds the values that it is a part of."""
    if isinstance(value, enum.Enum):
        yield f"enum {type(value).__qualname__}.{value.name}"
        return
    if isinstance(value, float):
        yield f"float {float(value) + 0.0!r}"  # 0.0 for -0.0, which is equal
        return
    if value is None or isinstance(value, bool | int | str | bytes | complex):
        yield f"{type(value).__qualname__} {value!r}"
        return
    for depth, part in enumerate(above):
        if part is value:
            yield f"the part at depth {depth}"
            return
    above = (*above, value)
    if isinstance(value, type):
        yield from _class_described(value, above)
    elif isinstance(value, types.ModuleType):
        yield f"module {value.__name__}"
    elif isinstance(value, np.ufunc):
        yield f"ufunc {value.__name__}"
    elif isinstance(value, types.FunctionType):
        yield from _function_described(value, above)
    elif isinstance(value, types.MethodType):
        yield from _described(value.__func__, above)
        yield from _described(value.__self__, above)
    elif isinstance(value, staticmethod | classmethod):
        yield type(value).__name__
        yield from _described(value.__func__, above)
    elif isinstance(value, property):
        yield "property"
        yield from _described(value.fget, above)
    elif isinstance(value, functools.cached_property):
        yield "cached property"
        yield from _described(value.func, above)
    elif _is_library(value) and hasattr(value, "__qualname__"):
        yield f"{value.__module__}.{value.__qualname__}"
    elif hasattr(value, "__wrapped__"):  # compiled, cached
        yield f"wrapped by {type(value).__qualname__}"
        yield from _described(value.__wrapped__, above)
    elif hasattr(value, "__array__") and hasattr(value, "dtype"):
        array = np.asarray(value)
        yield f"array {array.dtype} {array.shape}"
        if array.dtype == object:
            yield from _described(array.tolist(), above)
        else:
            yield hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()
    elif isinstance(value, Mapping):
        yield f"mapping of {len(value)}"
        yield from sorted("\n".join(_described(item, above)) for item in value.items())
    elif isinstance(value, Set):
        yield f"set of {len(value)}"
        yield from sorted("\n".join(_described(item, above)) for item in value)
    elif isinstance(value, list | tuple) and type(value).__module__ == "builtins":
        yield f"{type(value).__name__} of {len(value)}"
        for item in value:
            yield from _described(item, above)
    elif "__dataclass_fields__" in vars(type(value)):  # itself one, not only its base
        yield "a"
        yield from _described(type(value), above)
        for field in fields(value):
            yield f"field {field.name}"
            yield from _described(getattr(value, field.name), above)
    else:
        yield from _state_described(value, above)


def _is_library(value: Any) -> bool:
    module = getattr(value, "__module__", None)
    return isinstance(module, str) and _is_library_name(module.partition(".")[0])


@functools.lru_cache(maxsize=1024)
def _is_library_name(top: str) -> bool:
    if top in LIBRARIES or top in sys.builtin_module_names:
        return True
    if top not in sys.stdlib_module_names:
        return False
    file = getattr(sys.modules.get(top), "__file__", None)  # a user may call a file test.py
    return file is None or Path(file).is_relative_to(sysconfig.get_path("stdlib"))


def _class_described(kind: type[Any], above: tuple[Any, ...]) -> Iterator[str]:
    if _is_library(kind):
        # The top level only: where a kind of the toolkit stands within it is of no matter.
        yield f"class {kind.__module__.partition('.')[0]} {kind.__qualname__}"
        return
    yield f"class {kind.__qualname__}"
    for base in kind.__bases__:
        yield from _described(base, above)
    for name, part in sorted(vars(kind).items()):
        generated = is_dataclass(kind) and name in WRITTEN_BY_DATACLASS
        if name in NO_CODE or (generated and _file(part) == "<string>"):
            continue
        if isinstance(part, types.MemberDescriptorType | types.GetSetDescriptorType):
            continue  # a slot
        yield f"part {name}"
        yield from _described(part, above)


def _file(function: Any) -> str | None:
    """Where a function was written; "<string>" for what ``dataclass`` writes itself."""
    code = getattr(inspect.unwrap(function), "__code__", None) if callable(function) else None
    return code.co_filename if code is not None else "<string>"


def _function_described(function: types.FunctionType, above: tuple[Any, ...]) -> Iterator[str]:
    if _is_library(function) and function.__globals__.get("__name__") == function.__module__:
        yield f"function {function.__module__}.{function.__qualname__}"
        return
    code = function.__code__
    yield f"function {function.__qualname__}"
    yield _source(code, code.co_filename, function.__qualname__)
    if function.__name__ == "<lambda>":  # several may stand on one line
        yield code.co_code.hex()
    for cell in function.__closure__ or ():
        try:
            content = cell.cell_contents
        except ValueError:  # not yet bound
            continue
        yield "encloses"
        yield from _described(content, above)
    yield "defaults"
    yield from _described((function.__defaults__, function.__kwdefaults__), above)
    for name in sorted(_names(code)):
        if name in function.__globals__:
            yield f"global {name}"
            yield from _described(function.__globals__[name], above)


def _names(code: types.CodeType) -> set[str]:
    """Globals (and attributes) that a function names, and the functions within it."""
    inner = (c for c in code.co_consts if isinstance(c, types.CodeType))
    return set(code.co_names).union(*map(_names, inner))


@functools.lru_cache(maxsize=1024)
def _source(code: types.CodeType, file: str, name: str) -> str:
    del file  # in which equal code may stand elsewhere, or not at all
    try:
        return textwrap.dedent(inspect.getsource(code))
    except (OSError, TypeError):
        raise StoreError(
            f"the source of {name} cannot be read, and a store must know when it changes: write it"
            " in a file, or run without a store"
        ) from None


def _state_described(value: Any, above: tuple[Any, ...]) -> Iterator[str]:
    """An object of an ordinary class, by what would rebuild it."""
    kind = type(value)
    try:
        rebuilt = value.__reduce_ex__(2)
    except Exception as error:
        raise StoreError(
            f"a store cannot tell what {value!r} depends on ({error}): make {kind.__qualname__} a"
            " frozen dataclass, or run without a store"
        ) from None
    yield "a"
    yield from _described(kind, above)
    if isinstance(rebuilt, str):
        yield rebuilt
        return
    _, arguments, *state = rebuilt
    for part in (arguments, *state):
        if isinstance(part, dict):
            part = {
                name: item
                for name, item in part.items()
                if not isinstance(getattr(kind, str(name), None), functools.cached_property)
            }
        elif isinstance(part, Iterator):
            part = list(part)
        yield from _described(part, above)
