"""Whether a loss is what it says: its functions against differences, its map against its equation.

Every check yields complaints in words; none means that it holds at the points looked at.
"""

import math
from collections.abc import Iterator
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from theory.checks import InvalidFieldError
from theory.losses import Loss, loss_terms, response
from theory.noise import STEP, STRIP_STEP

Array = NDArray[np.float64]

MARGINS = np.concatenate([np.linspace(-12.03, 12.04, 59), [-90.3, -31.7, 29.1, 77.7]])
"""Margins that are looked at; none is a round number, at which losses like to have corners."""

ETAS = (0.02, 1.1, 35.0)
"""Values of eta that are looked at."""

EQUATION = 1e-9
"""How well the proximal map must solve its equation, relative to the largest term."""

STEP_SIZE = 1e-5
"""Of differences, relative to the argument where that is above 1."""

DIFFERENCE = 1e-5
"""How well derivatives must agree with differences, relative to 1 + their size."""

STRIP = 1e-9
"""How well two sums over equally spaced margins must agree where a strip is claimed."""


def loss_complaints(loss: Loss) -> Iterator[str]:
    """What is wrong with a loss."""
    if loss.smooth not in (True, False) or not loss.bend_width > 0 or not loss.strip >= 0:
        yield "smooth must be True or False, bend_width > 0 and strip >= 0"
        return
    yield from _derivatives(loss)
    yield from prox_complaints(loss)
    yield from _unnamed_kinks(loss)
    yield from _strip(loss)


def prox_complaints(loss: Loss) -> Iterator[str]:
    """What is wrong with its proximal map: the part of a loss that the equations use."""
    margin, eta = (a.ravel() for a in np.meshgrid(MARGINS, ETAS))
    step = STEP_SIZE * np.maximum(1.0, np.abs(margin))
    moved = np.stack([margin, margin - step, margin + step])
    gap, contraction = response(loss, moved, np.broadcast_to(eta, moved.shape))
    if not np.all(np.isfinite(gap)):
        yield "prox must give a finite number for every margin and eta > 0"
        return
    v = margin - gap[0]
    side = np.zeros(v.shape) if loss.smooth else 1e-9 * (1 + np.abs(v))
    low, high = loss_terms(loss, np.stack([v - side, v + side]))[1]
    rounding = EQUATION * (1 + np.abs(margin) + np.abs(v) + eta * np.abs(low))
    miss = np.maximum(eta * low - gap[0], gap[0] - eta * high)
    worst = int(np.argmax(np.nan_to_num(miss - rounding, nan=np.inf)))
    if not miss[worst] <= rounding[worst]:
        yield (
            f"prox(m, eta) must solve v + eta slope(v) = m: at m = {margin[worst]:.4g} and"
            f" eta = {eta[worst]} it gives v = {v[worst]:.6g}, which misses by {miss[worst]:.2g}"
        )
        return
    rise = (gap[2] - gap[1]) / (2 * step)
    kinks = np.array([[float(k) for k in loss.kinks(e)] for e in ETAS])
    named = np.repeat(kinks, len(MARGINS), axis=0)
    free = np.all(np.abs(margin[:, None] - named) > 2 * step[:, None], axis=1)
    wrong = _worst(contraction[0][free], rise[free])
    if wrong is not None:
        at = np.flatnonzero(free)[wrong]
        yield (
            f"contraction must be 1 - d prox/dm (by default it follows from curvature): at"
            f" m = {margin[at]:.4g} and eta = {eta[at]} it is {contraction[0][at]:.6g}, and"
            f" differences of prox give {rise[at]:.6g}"
        )


@lru_cache(maxsize=256)
def refuse_wrong_loss(loss: Loss) -> None:
    """Raise ValueError for a loss whose proximal map is not its own; looked at once for each."""
    for complaint in prox_complaints(loss):
        raise InvalidFieldError("loss", loss, f"a loss with a proximal map of its own: {complaint}")


def _named(loss: Loss, eta: float) -> list[float]:
    return [float(k) for k in loss.kinks(eta)]


def _worst(found: Array, expected: Array) -> int | None:
    """Where two arrays differ most, or None where they agree."""
    if not found.size:
        return None
    miss = np.abs(found - expected) - DIFFERENCE * (1 + np.abs(expected))
    worst = int(np.argmax(np.nan_to_num(miss, nan=np.inf)))
    return None if miss[worst] <= 0 else worst


def _corners(loss: Loss) -> Array:
    """Margins at which the slope or curvature jumps, as the named kinks have it."""
    pairs = [(k, eta) for eta in ETAS for k in _named(loss, eta)]
    if not pairs:
        return np.zeros(0)
    kinks, eta = np.array(pairs).T
    gap, _ = response(loss, kinks, eta)
    return np.asarray(kinks - gap)


def _derivatives(loss: Loss) -> Iterator[str]:
    corners, step = _corners(loss), STEP_SIZE * np.maximum(1.0, np.abs(MARGINS))
    free = np.all(np.abs(MARGINS[:, None] - corners) > 2 * step[:, None], axis=1)
    at, step = MARGINS[free], step[free]
    here, below, above = (loss_terms(loss, at + side * step) for side in (0, -1, 1))
    if not np.all(np.isfinite(here)):
        yield "value, slope and curvature must give a finite number for every margin"
        return
    names = "value", "slope", "curvature"
    for k in (1, 2):
        expected = (above[k - 1] - below[k - 1]) / (2 * step)
        wrong = _worst(here[k], expected)
        if wrong is not None:
            yield (
                f"{names[k]} must be the derivative of {names[k - 1]}: at m = {at[wrong]:.4g} it"
                f" is {here[k][wrong]:.6g}, and differences give {expected[wrong]:.6g}"
            )
    _, slopes, _ = loss_terms(loss, np.sort(MARGINS))
    if np.any(np.diff(slopes) < -1e-12 * (1 + np.abs(slopes[1:]))):
        yield "the loss must be convex: its slope falls somewhere"
    if loss.smooth and corners.size:
        (_, low, _), (_, high, _) = (loss_terms(loss, corners + side) for side in (-1e-7, 1e-7))
        if np.any(np.abs(high - low) > 1e-3):
            yield "smooth must be False: the slope jumps"


def _unnamed_kinks(loss: Loss) -> Iterator[str]:
    """Jumps of the contraction, found on a grid and followed to a point."""
    for eta in ETAS:
        named = _named(loss, eta)
        grid = np.linspace(-3 - 1.5 * eta, 6.007, 4001)
        _, c = response(loss, grid, eta)
        jumps = np.flatnonzero(np.abs(np.diff(c)) > 0.002)
        low, high = grid[jumps], grid[jumps + 1]
        for _ in range(30):
            middle = (low + high) / 2
            _, (a, b, d) = response(loss, np.stack([low, middle, high]), eta)
            left = np.abs(b - a) > np.abs(d - b)
            low, high = np.where(left, low, middle), np.where(left, middle, high)
        _, (a, d) = response(loss, np.stack([low, high]), eta)
        for at in low[np.abs(d - a) > 0.001]:
            if all(abs(at - kink) > 1e-6 for kink in named):
                yield (
                    f"kinks must name where the slope of prox jumps: at eta = {eta} it does at"
                    f" m = {at:.6g}, which is none of {named}"
                )
                return
        if math.isinf(loss.bend_width) and loss.strip == 0:
            edges = np.unique([grid[0], *(n for n in named if grid[0] < n < grid[-1]), grid[-1]])
            inner = edges[:-1, None] + np.diff(edges)[:, None] * np.array([0.01, 0.5, 0.99])
            _, c = response(loss, inner, eta)
            if np.any(np.ptp(c, axis=1) > 1e-6):
                yield "bend_width is inf, but prox is not linear between its kinks: give a width"
                return


def _strip(loss: Loss) -> Iterator[str]:
    """Sums over equally spaced margins, as the equations take them, against closer ones."""
    if loss.strip == 0:
        return
    if not loss.smooth:
        yield "strip must be 0 where the slope jumps"
        return
    width = loss.strip if math.isfinite(loss.strip) else 3.0
    step = min(STEP * width, STRIP_STEP * loss.strip)

    def sums(spacing: float, eta: float) -> Array:
        half = math.ceil(9 * width / spacing)
        g = spacing * (np.arange(-half, half + 1) + 0.37)
        weight = spacing * np.exp(-((g / width) ** 2) / 2) / (math.sqrt(2 * np.pi) * width)
        centres = np.array([-eta, -eta / 2 - 0.3, 0.2, 1.1])
        return np.stack([a @ weight for a in response(loss, centres[:, None] + g, eta)])

    for eta in ETAS:
        coarse, fine = sums(step, eta), sums(step / 4, eta)
        if np.any(np.abs(coarse - fine) > STRIP * (1 + np.abs(fine))):
            yield (
                f"strip = {loss.strip:.4g} is too wide: prox is not analytic in it at"
                f" eta = {eta}; a smaller one, or 0 with all kinks named, is safe"
            )
            return
