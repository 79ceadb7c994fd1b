"""Hold simulation against theory: z-scores, a chi-squared test, and the limit of large p."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy import stats

from simulate.monte_carlo import Estimate, Mean
from simulate.running.plan import Plan
from simulate.task import COLUMNS, Task
from theory.checks import InvalidFieldError, as_instance, as_items
from theory.prediction import Prediction
from theory.problem import Problem
from theory.quantities import MEASURED

Array = NDArray[np.float64]

ROUNDING = 1e-12
"""Relative to the mean: a smaller standard error is rounding, of a quantity that does not vary."""


@dataclass(frozen=True)
class Agreement:
    """How one quantity's simulation agrees with its prediction.

    predicted: the prediction. dimensions: p of every estimate.
    z: (mean - predicted) / standard error, for each estimate.
    chi_squared: sum of squares of the z-scores, each first replaced by the normal deviate of the
        same probability, as a standard error from few data sets is itself uncertain (Student's t).
    p_value: probability of a larger chi_squared if the theory held at every p.
    limit: where a + b/p, fitted to the means, goes for p -> infinity; NaN for a single estimate.
    limit_z: (limit - predicted) / its standard error.
    """

    predicted: float
    dimensions: tuple[int, ...]
    z: tuple[float, ...]
    chi_squared: float
    p_value: float
    limit: Mean
    limit_z: float


def compare(
    prediction: Prediction, estimates: Estimate | Sequence[Estimate]
) -> dict[str, Agreement]:
    """Agreement of every simulated quantity of one problem with its prediction, by name.

    estimates: one, or several of different dimensions, which are independent. Quantities that do
    not vary between data sets (such as alpha_s without an error direction) are left out.
    Raises ValueError if an estimate has fewer than two data sets, or a dimension comes twice.

    >>> from simulate import estimate
    >>> from theory import F1, Problem, RandomSelection, SingleIndex, predict
    >>> problem = Problem(SingleIndex(F1, 5.0), RandomSelection(0.5), 0.1, 2.0)
    >>> sizes = [estimate(problem, dimension=p, repeats=20) for p in (50, 100, 200)]
    >>> agreement = compare(predict(problem), sizes)["misclassification"]
    >>> agreement.dimensions, agreement.p_value > 1e-3, abs(agreement.limit_z) < 4
    ((50, 100, 200), True, True)
    """
    as_instance("prediction", prediction, Prediction)
    several = as_items("estimates", [estimates] if isinstance(estimates, Estimate) else estimates)
    sizes = [as_instance("estimates", e, Estimate) for e in several]
    dimensions = tuple(e.dimension for e in sizes)
    if not sizes or len(set(dimensions)) < len(dimensions):
        raise InvalidFieldError("estimates", dimensions, "one or more, of different dimensions")
    for e in sizes:
        if e.repeats < 2:
            raise InvalidFieldError("estimates.repeats", e.repeats, "2 or more data sets each")
    result = {}
    for name in MEASURED:
        means = [getattr(e, name) for e in sizes]
        mean = np.array([m.mean for m in means])
        if np.all(varies(mean, np.array([m.standard_error for m in means]))):
            repeats = np.array([e.repeats for e in sizes])
            result[name] = _agreement(getattr(prediction, name), dimensions, means, repeats)
    return result


def _agreement(
    predicted: float, dimensions: tuple[int, ...], means: list[Mean], repeats: NDArray[np.int_]
) -> Agreement:
    mean = np.array([m.mean for m in means])
    error = np.array([m.standard_error for m in means])
    z = (mean - predicted) / error
    chi_squared = float(np.sum(normal_deviates(z, repeats) ** 2))
    limit = extrapolate(dimensions, mean, error).limit
    return Agreement(
        predicted=predicted,
        dimensions=dimensions,
        z=tuple(z.tolist()),
        chi_squared=chi_squared,
        p_value=float(stats.chi2.sf(chi_squared, z.size)),
        limit=limit,
        limit_z=(limit.mean - predicted) / limit.standard_error,
    )


def varies(mean: Array, error: Array) -> NDArray[np.bool_]:
    """Whether a quantity differs between data sets by more than rounding; elementwise.

    >>> varies(np.array([0.3, 0.3, 0.0]), np.array([1e-17, 1e-3, 0.0])).tolist()
    [False, True, False]
    """
    return np.asarray(error > ROUNDING * np.abs(mean))


def z_scores(mean: Array, predicted: Array, error: Array) -> Array:
    """(mean - predicted) / error, elementwise; of a mean that does not vary, NaN if it is as
    predicted and infinite if it is not.

    >>> mean, predicted = np.array([0.3, 0.3, 0.3]), np.array([0.3, 0.2, 0.2])
    >>> z_scores(mean, predicted, np.array([1e-17, 0.05, 0.0])).round(9)
    array([nan,  2., inf])
    """
    gap = np.asarray(mean - predicted)
    alike = np.abs(gap) <= ROUNDING * np.abs(predicted)
    constant = np.where(alike | np.isnan(error), np.nan, np.copysign(np.inf, gap))
    return np.asarray(np.divide(gap, error, out=constant, where=varies(mean, error)))


def mean_and_error(
    results: xr.Dataset, quantity: str = "misclassification"
) -> tuple[xr.DataArray, xr.DataArray]:
    """Mean of a simulated quantity over data sets, of fits that converged, and standard error.

    results: with simulation_* over data_set and any other dimensions, as a run leaves them.
    """
    values = results[f"simulation_{quantity}"].where(results.simulation_converged == 1)
    count = values.count("data_set")
    mean = values.mean("data_set")
    apart = values - mean  # of a constant the rounding of its mean, the same for all
    error = apart.std("data_set", ddof=1) / np.sqrt(count.where(count > 1))
    return mean + apart.mean("data_set"), error


def normal_deviates(z: Array, repeats: NDArray[np.int_]) -> Array:
    """Normal deviates as improbable as z-scores whose standard errors are of few data sets."""
    tail = stats.t.logsf(np.abs(z), repeats - 1)
    return np.asarray(np.sign(z) * -stats.norm.ppf(np.exp(tail)))


class Line(NamedTuple):
    """A fitted a + b/p: its limit a and its slope b, each with a standard error."""

    limit: Mean
    slope: Mean


def extrapolate(dimensions: Sequence[int], mean: Array, error: Array) -> Line:
    """Weighted least-squares line a + b/p; NaN for a single dimension.

    >>> line = extrapolate([10, 20], np.array([1.1, 1.05]), np.array([0.1, 0.1]))
    >>> round(line.limit.mean, 9), round(line.slope.mean, 9)
    (1.0, 1.0)
    """
    if len(dimensions) < 2:
        unknown = Mean(float("nan"), float("nan"))
        return Line(unknown, unknown)
    lines = np.column_stack([np.ones(len(dimensions)), 1 / np.asarray(dimensions)]) / error[:, None]
    covariance = np.linalg.inv(lines.T @ lines)
    values = covariance @ (lines.T @ (mean / error))
    errors = np.sqrt(np.diag(covariance))
    return Line(*(Mean(float(v), float(e)) for v, e in zip(values, errors, strict=True)))


class RunningAgreement:
    """z-scores of the misclassification of a run's problems so far."""

    def __init__(self, plan: Plan, predictions: Mapping[Problem, Prediction]) -> None:
        self._predicted = np.array([predictions[p].misclassification for p in plan.problems])
        self._values = plan.collect([])[..., COLUMNS.index("misclassification")]
        self._dimensions = plan.dimensions

    def add(self, task: Task, results: Array) -> None:
        place = self._dimensions.index(task.dimension), list(task.places), task.number
        good = results[:, COLUMNS.index("converged")] == 1
        self._values[place] = np.where(good, results[:, COLUMNS.index("misclassification")], np.nan)

    def deviates(self) -> Array:
        """Normal deviates of the problems that have at least two data sets."""
        count = np.sum(np.isfinite(self._values), axis=-1)
        enough = (count >= 2) & np.isfinite(self._predicted)
        values, count = self._values[enough], count[enough]
        error = np.nanstd(values, axis=-1, ddof=1) / np.sqrt(count)
        predicted = np.broadcast_to(self._predicted, enough.shape)[enough]
        z = z_scores(np.nanmean(values, axis=-1), predicted, error)
        known = ~np.isnan(z)
        return normal_deviates(z[known], count[known])

    def rms(self) -> float:
        """Their root mean square; NaN before there are any."""
        return root_mean_square([self])


def root_mean_square(agreements: Sequence[RunningAgreement]) -> float:
    """Of the deviates of several runs together; NaN before there are any."""
    deviates = np.concatenate([np.empty(0), *(each.deviates() for each in agreements)])
    return float(np.sqrt(np.mean(deviates**2))) if deviates.size else float("nan")
