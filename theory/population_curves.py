"""Learning curves of real features: errors over pool size, selection and ridge from one pilot."""

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from theory.checks import InvalidFieldError, as_count, as_fraction, as_non_negative, as_numbers
from theory.kinds import Selection
from theory.population_classes import AnyPopulation, AnyPrediction
from theory.selection import PowerSelection, RandomSelection, TopSelection

Array = NDArray[np.float64]

VARIABLES = (
    "misclassification",
    "misclassification_sampling_error",
    "log_loss",
    "log_loss_sampling_error",
    "intercept",
    "residual",
)


class Setting(NamedTuple):
    """One point of a curve."""

    selection: Selection
    pool_size: int
    ridge: float


def standard_schemes(
    fractions: Iterable[float],
    alphas: Iterable[float] = (-1.0, -0.5, 0.5, 1.0, 2.0),
    reweight: bool | None = None,
) -> list[Selection]:
    """Random, power (every alpha), hardest and easiest selection at every fraction in (0, 1].

    reweight: biased (False), unbiased (True) or both (None, the default) for the power schemes.
    Raises InvalidFieldError on other values.

    >>> [type(s).__name__ for s in standard_schemes([0.5], alphas=[1.0], reweight=False)]
    ['RandomSelection', 'PowerSelection', 'TopSelection', 'TopSelection']
    >>> standard_schemes([1.0])
    [RandomSelection(fraction=1.0, reweight=False)]
    """
    alphas = as_numbers("alphas", alphas)
    weightings = (False, True) if reweight is None else (reweight,)
    schemes: list[Selection] = []
    for fraction in as_numbers("fractions", fractions):
        schemes.append(RandomSelection(as_fraction("fractions", fraction)))
        if fraction == 1:  # all schemes are the same
            continue
        schemes += [PowerSelection(a, fraction, w) for a in alphas for w in weightings]
        schemes += [TopSelection("hard", fraction), TopSelection("easy", fraction)]
    return schemes


def predict_settings(
    population: AnyPopulation,
    scores: ArrayLike,
    settings: Iterable[Setting],
    halving: bool | None = None,
    start: AnyPrediction | None = None,
) -> Iterator[tuple[Setting, AnyPrediction]]:
    """Predictions of many settings, in order, each from the solution before it (first: start).

    scores: a surrogate's score t_i of every point, not fitted to that point's label, shape [n];
        with three classes or more the largest logit minus the second.
    """
    t = np.asarray(scores, dtype=np.float64)
    if t.shape != (population.size,) or not np.isfinite(t).all():
        raise InvalidFieldError("scores.shape", t.shape, f"{population.size} finite numbers")
    previous = start
    for setting in settings:
        probability = setting.selection.inclusion_probabilities(t)
        weights = setting.selection.weights(t, probability)
        previous = population.predict(
            probability, setting.pool_size, setting.ridge, weights, halving, previous
        )
        yield setting, previous


def learning_curves(
    population: AnyPopulation,
    scores: ArrayLike,
    selections: Sequence[Selection],
    pool_sizes: Iterable[int],
    ridges: Iterable[float],
    halving: bool | None = None,
) -> xr.Dataset:
    """Test error and log loss over selection, pool size N and ridge, without buying a label.

    scores: as in `predict_settings`: of a surrogate of the strength that will select from the
        pool, every point left out when it was fitted (cross-fitted).
    selections: any of `theory.selection`; `standard_schemes` gives the usual ones.
    Returns a dataset with dimensions selection, pool_size and ridge. Coordinates name the scheme;
    fraction is the share of the pool whose labels are bought. A point that was not solved is NaN,
    and its status says why. Raises InvalidFieldError on input outside these ranges.

    >>> from theory.population import Population
    >>> x = np.random.default_rng(0).standard_normal((300, 3))
    >>> population = Population(x, np.where(x[:, 0] > 0, 1.0, -1.0))
    >>> schemes = standard_schemes([0.5], alphas=[1.0], reweight=False)
    >>> curves = learning_curves(population, 3 * x[:, 0], schemes, [50, 100], [0.01])
    >>> bool((curves.misclassification.diff("pool_size") < 0).all())
    True
    """
    selections = list(selections)
    sizes = [as_count("pool_sizes", size) for size in pool_sizes]
    penalties = [as_non_negative("ridges", ridge) for ridge in ridges]
    for name, axis in (("selections", selections), ("pool_sizes", sizes), ("ridges", penalties)):
        if not axis:
            raise InvalidFieldError(name, axis, "not empty")
    # Neighbours in ridge and N are near; one selection after the other is not.
    settings = itertools.starmap(Setting, itertools.product(selections, sizes, penalties))
    found = [
        prediction for _, prediction in predict_settings(population, scores, settings, halving)
    ]
    shape = (len(selections), len(sizes), len(penalties))
    dims = ("selection", "pool_size", "ridge")
    data: dict[str, Any] = {
        name: (dims, np.array([getattr(f, name) for f in found]).reshape(shape))
        for name in VARIABLES
        if hasattr(found[0], name)  # several classes have no one intercept
    }
    data["status"] = (dims, np.array([f.status.name for f in found]).reshape(shape))
    fractions = [f.fraction for f in found[:: len(sizes) * len(penalties)]]
    coordinates: dict[str, Any] = {
        "selection": [describe(s) for s in selections],
        "pool_size": sizes,
        "ridge": penalties,
        "fraction": ("selection", fractions),
    }
    return xr.Dataset(data, coordinates, {"caution": found[0].caution})


def describe(selection: Selection) -> str:
    """A short name of a selection.

    >>> describe(PowerSelection(alpha=1.0, fraction=0.5, reweight=True))
    'power(alpha=1, fraction=0.5, reweighted)'
    """
    name = type(selection).__name__.removesuffix("Selection").lower()
    parts: list[str] = []
    if dataclasses.is_dataclass(selection):
        for item in dataclasses.fields(selection):
            value = getattr(selection, item.name)
            if item.name == "reweight":
                parts += ["reweighted"] if value else []
            elif value != item.default:
                shown = format(value, "g") if isinstance(value, float) else str(value)
                parts.append(f"{item.name}={shown}")
    return f"{name}({', '.join(parts)})"
