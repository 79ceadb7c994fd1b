"""The smallest possible largest of a few smooth functions of a few numbers."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

Array = NDArray[np.float64]

Functions = Callable[[Array], tuple[Array, Array] | None]
"""Values [K] and slopes [K, n] at a point; None where they are not defined."""

PRECISION, MOST_ITERATIONS = 1e-9, 20
"""Change of the largest function, relative to the slopes, at which to stop; and iterations."""


def minimise_largest(
    functions: Functions, start: Array, bounds: list[tuple[float, float]], sums: Array, to: float
) -> Array:
    """A local minimiser of the largest function within bounds, where sums . x = to.

    By sequential quadratic programming; where there are several functions, the largest is one more
    unknown. The best admissible point that was met is returned, ``start`` if no other is better.
    """
    cache: dict[bytes, tuple[Array, Array] | None] = {}

    def at(x: Array) -> tuple[Array, Array] | None:
        key = x.tobytes()
        if key not in cache:
            cache[key] = functions(x)
        return cache[key]

    first = at(start)
    if first is None:
        return start
    scale = max(float(np.abs(first[1]).max()), 1e-12)
    several = len(first[0]) > 1
    n = len(start)

    def values(v: Array) -> Array:
        found = at(v[:n])
        return first[0] / scale + 1e3 if found is None else found[0] / scale

    def slopes(v: Array) -> Array:
        found = at(v[:n])
        return np.zeros_like(first[1]) if found is None else found[1] / scale

    def padded(rows: Array) -> Array:
        return np.hstack([rows, np.zeros((len(rows), 1))]) if several else rows

    constraints: list[dict[str, Any]] = [
        {
            "type": "eq",
            "fun": lambda v: np.array([sums @ v[:n] - to]),
            "jac": lambda v: padded(sums[None, :]),
        }
    ]
    v = np.asarray(start, dtype=np.float64)
    limits: list[tuple[float | None, float | None]] = list(bounds)
    if several:
        v = np.append(v, first[0].max() / scale)
        limits.append((None, None))
        constraints.append(
            {
                "type": "ineq",
                "fun": lambda v: v[n] - values(v),
                "jac": lambda v: np.hstack([-slopes(v), np.ones((len(first[0]), 1))]),
            }
        )
    search: Any = minimize  # its stubs know no lists of constraints
    search(
        (lambda v: v[n]) if several else (lambda v: values(v)[0]),
        v,
        jac=(lambda v: np.eye(n + 1)[n]) if several else (lambda v: slopes(v)[0]),
        bounds=limits,
        constraints=constraints,
        method="SLSQP",
        options={"ftol": PRECISION, "maxiter": MOST_ITERATIONS},
    )
    best, least = start, float(first[0].max())
    low, high = np.array(bounds, dtype=np.float64).T
    for key, found in cache.items():
        x = np.frombuffer(key)
        if (
            found is None
            or found[0].max() >= least
            or abs(sums @ x - to) > 1e-9 * max(1.0, abs(to))
        ):
            continue
        if np.all(x >= low - 1e-12) and np.all(x <= high + 1e-12):
            best, least = x, float(found[0].max())
    return np.clip(best, low, high)
