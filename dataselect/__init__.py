"""Data selection under weak supervision: exact theory, matching simulation, figures.

Everything a user calls, from one place:

>>> import dataselect as ds
>>> problem = ds.Problem(ds.SingleIndex(ds.F1, 5.0), ds.RandomSelection(0.5), 0.1, 2.0)
>>> round(ds.predict(problem).misclassification, 4)
0.3062

The names are those of the rooms ``theory``, ``simulate`` and ``figures``, which are loaded when
they are first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from dataselect.loading import check_rooms

if TYPE_CHECKING:
    from figures import *  # noqa: F403
    from simulate import *  # noqa: F403
    from theory import *  # noqa: F403

    __version__: str

ROOMS = ("theory", "simulate", "figures")
"""Where names are looked for, in this order."""


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version  # only now: the command line starts quickly

        return version("data-selection-theory")
    if not name.startswith("_"):
        check_rooms()
        for room in ROOMS:
            module = import_module(room)
            if name in module.__all__:
                globals()[name] = getattr(module, name)  # the next time it is found at once
                return globals()[name]
    raise AttributeError(f"module 'dataselect' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({name for room in ROOMS for name in import_module(room).__all__})
