"""The band of score quantiles that the population equations find best for labelled points.

A sample's selection may depend on the rank of its |score| alone. The scores are cut into cells of
equally many points, hardest first, of which a cell is kept with one probability. The derivative of
the test error in it (`theory.population_adjoint`) is a mean over the cell's points, which averages
their labels' noise; conditional gradient moves to the cells of smallest derivative until no
selection promises more. A band, one interval of quantiles, is searched beside it: it has one number
to fit instead of many, and serves a finite pilot better.

Errors are without halving (`theory.population`), with S = 1.
"""

import math
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize_scalar

from theory.checks import InvalidFieldError, as_count, as_fraction
from theory.population import Population, PopulationPrediction
from theory.selection import QuantileBandSelection
from theory.solver import Status

Array = NDArray[np.float64]

CELLS = 20
"""Cells of the ranked scores."""

SCANNED = 9
"""Positions of a band that are tried before its best one is refined."""

REFINED = 0.01
"""Precision of a band's position, a probability."""

SMALL_GAP = 1e-5
"""Gain to first order that counts as none."""

MOST_STEPS = 30
SHARES = (1.0, 0.5, 0.25, 0.1, 0.03)
"""Of the way to the selection of the smallest derivatives, tried in turn."""


class PopulationUnsolvedError(ArithmeticError):
    """No band of the population has a solution."""


@dataclass(frozen=True, eq=False)
class PopulationOptimum:
    """The best selections of a population by the rank of |score|.

    band: the best band; band_prediction: of it, without halving.
    probabilities: of every cell in the best selection found, hardest first, shape [cells].
    prediction: of that selection.
    derivative: change of its test error per unit of selected share, shape [cells].
    gap: the most that another selection could gain to first order.
    """

    band: QuantileBandSelection
    band_prediction: PopulationPrediction
    probabilities: Array
    prediction: PopulationPrediction = field(repr=False)
    derivative: Array = field(repr=False)
    gap: float


class _Cells(NamedTuple):
    """The cell of every point, hardest first, shape [n], and the share of points in each."""

    of_point: NDArray[np.intp]
    share: Array


def optimal_population_selection(
    population: Population,
    scores: ArrayLike,
    fraction: float,
    pool_size: int,
    ridge: float,
    cells: int = CELLS,
) -> PopulationOptimum:
    """The best selections by |score|, at one fraction, for pools that are like the population.

    scores: of every point, not fitted to its label, shape [n]. fraction: kept, in (0, 1].
    pool_size, ridge: as in ``Population.predict``. cells: from 2 to n.
    The best of many selections looks better than it is: judge gains on other points, as
    ``simulate.pools.advise`` does.
    Raises InvalidFieldError on other values, PopulationUnsolvedError if no band has a solution, and
    ArithmeticError if the adjoint has none.
    Source: as `theory.optimal` for the equations of `theory.population_equations`.

    >>> x = np.random.default_rng(0).standard_normal((600, 4))
    >>> y = np.where(x[:, 0] > 0, 1.0, -1.0)
    >>> population = Population(x, y)
    >>> best = optimal_population_selection(population, 5 * x[:, 0], 0.3, 100, 0.01)
    >>> np.flatnonzero(best.probabilities)  # a band, of 20 cells
    array([ 9, 10, 11, 12, 13, 14])
    """
    t = np.abs(np.asarray(scores, dtype=np.float64))
    if t.shape != (population.size,) or not np.isfinite(t).all():
        raise InvalidFieldError("scores.shape", t.shape, f"{population.size} finite numbers")
    fraction = as_fraction("fraction", fraction)
    if not 2 <= as_count("cells", cells) <= population.size:
        raise InvalidFieldError("cells", cells, f"a whole number from 2 to {population.size}")
    band, at = _best_band(population, t, fraction, pool_size, ridge)
    rank = np.empty(population.size, dtype=np.intp)
    rank[np.argsort(t, kind="stable")] = np.arange(population.size)
    of_point = rank * cells // population.size
    parts = _Cells(of_point, np.bincount(of_point) / population.size)
    pi = np.bincount(of_point, band.inclusion_probabilities(t)) / population.size / parts.share
    start = population.predict(pi[of_point], pool_size, ridge, halving=False, start=at)
    pi, end, z, gap = _descended(population, parts, pi, start, fraction)
    return PopulationOptimum(band, at, pi, end, z, gap)


def _best_band(
    population: Population, t: Array, fraction: float, pool_size: int, ridge: float
) -> tuple[QuantileBandSelection, PopulationPrediction]:
    """By a scan of positions, refined around the best."""
    found: dict[float, PopulationPrediction] = {}
    near: PopulationPrediction | None = None

    def error(start: float) -> float:
        nonlocal near
        band = QuantileBandSelection(start, fraction)
        near = found[band.start] = population.predict(
            band.inclusion_probabilities(t), pool_size, ridge, halving=False, start=near
        )
        value = near.misclassification
        return value if math.isfinite(value) else math.inf

    scan = np.linspace(0.0, 1 - fraction, SCANNED if fraction < 1 else 1)
    errors = [error(float(start)) for start in scan]
    k = int(np.argmin(errors))
    if not math.isfinite(errors[k]):
        raise PopulationUnsolvedError(
            f"no band with fraction {fraction:g} has a solution at ridge {ridge:g}: try a larger"
        )
    low, high = scan[max(k - 1, 0)], scan[min(k + 1, len(scan) - 1)]
    if high - low > REFINED:
        minimize_scalar(error, bounds=(low, high), method="bounded", options={"xatol": REFINED})
    solved = {s: f for s, f in found.items() if f.status is Status.CONVERGED}
    best = min(solved, key=lambda s: solved[s].misclassification)
    return QuantileBandSelection(best, fraction), solved[best]


def _descended(
    population: Population,
    cells: _Cells,
    pi: Array,
    at: PopulationPrediction,
    fraction: float,
) -> tuple[Array, PopulationPrediction, Array, float]:
    """Conditional gradient: probabilities, their prediction, derivatives and gap at the end."""

    def ranked(pi: Array, at: PopulationPrediction) -> tuple[Array, Array, float]:
        """Derivatives, the selection that they favour, and its gain to first order."""
        slope = np.bincount(cells.of_point, population.derivative(at, pi[cells.of_point]))
        aim = _lowest(slope / cells.share, cells.share, fraction)
        return slope / cells.share, aim, float(slope @ (pi - aim))

    z, aim, gap = ranked(pi, at)
    steps = 0
    while gap > SMALL_GAP and steps < MOST_STEPS:
        steps += 1
        for share in SHARES:
            tried = pi + share * (aim - pi)
            prediction = population.predict(
                tried[cells.of_point], at.pool_size, at.ridge, halving=False, start=at
            )
            if prediction.misclassification < at.misclassification:  # False where unsolved
                pi, at = tried, prediction
                break
        else:
            break
        z, aim, gap = ranked(pi, at)
    return pi, at, z, gap


def _lowest(z: Array, share: Array, fraction: float) -> Array:
    """The cells of smallest z, the last in part, that make up the fraction."""
    order = np.argsort(z, kind="stable")
    left = fraction - np.concatenate([[0.0], np.cumsum(share[order])[:-1]])
    result = np.empty(len(z))
    result[order] = np.clip(left / share[order], 0.0, 1.0)
    return result
