"""Labels bought in any number of rounds: each scores fresh samples with the fit to all so far."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from simulate.fitting.fit import fit
from simulate.sample import Sample, stream
from simulate.subset import draw_weights
from simulate.surrogate import LinearSurrogate, draw_surrogate, linear_surrogate
from simulate.task import pool_size
from theory.checks import InvalidFieldError, as_count, as_items, as_positive
from theory.metrics import log_loss, misclassification
from theory.problem import Problem, as_problem
from theory.quantities import described
from theory.surrogate import TrainedSurrogate

Array = NDArray[np.float64]


def simulate_rounds(
    problem: Problem, parts: Sequence[float], dimension: int, repeats: int = 20, seed: int = 0
) -> xr.Dataset:
    """Simulate a problem whose pool is scored part after part, each time by the newest fit.

    The first round is the problem's trained surrogate. Every later round scores a fresh part of the
    pool with the fit so far, selects by the problem's selection, and fits again, to all labels so
    far: the surrogate's with the weight ``surrogate.reuse`` (0 leaves them out), the others with
    the weights of their selection; with the problem's loss and ridge, relative to the mean over the
    surrogate's samples and the parts scored so far (over the latter alone with reuse = 0).
    parts: shares of the pool, positive and of sum 1, one for every round after the first. With
        (1.0,) these are the two rounds of the theory and of ``estimate``, of the same draws.
    dimension, repeats, seed: as in ``estimate``.
    Returns misclassification, log_loss, labels_per_dimension (of all rounds so far) and converged
    over data_set and round, 1 for the surrogate. Problems that differ in their selection, ridge or
    weight, and other parts, are simulated on the same draws: compare data set by data set.
    Raises InvalidFieldError on other values.

    >>> from theory import F1, SingleIndex, TopSelection
    >>> surrogate = TrainedSurrogate(samples_per_dimension=1, ridge=0.05, reuse=1)
    >>> problem = Problem(SingleIndex(F1, 5.0), TopSelection("hard", 0.25), 0.01, 8.0, surrogate)
    >>> rounds = simulate_rounds(problem, (0.5, 0.5), dimension=40, repeats=4)
    >>> rounds.labels_per_dimension.mean("data_set").values.tolist()
    [1.0, 2.0, 3.0]
    >>> bool((rounds.misclassification.mean("data_set").diff("round") < 0).all())
    True
    """
    as_problem(problem)
    if not isinstance(problem.surrogate, TrainedSurrogate):
        allowed = "a TrainedSurrogate, whose samples are the first round"
        raise InvalidFieldError("surrogate", problem.surrogate, allowed)
    dimension = as_count("dimension", dimension, least=2)
    repeats, seed = as_count("repeats", repeats), as_count("seed", seed, 0, 2**128 - 1)
    ends = _ends(parts, pool_size(problem, dimension))
    table = np.array(
        [[*_rounds(problem, ends, dimension, seed, number)] for number in range(repeats)]
    )
    dims = ("data_set", "round")
    return xr.Dataset(
        {
            name: (dims, table[..., k], described(name, prefix="simulated"))
            for k, name in enumerate(_Round._fields)
        },
        coords={"data_set": np.arange(repeats), "round": np.arange(1, len(ends) + 1)},
        attrs={"problem": repr(problem), "dimension": dimension, "seed": seed},
    )


class _Round(NamedTuple):
    """What is known after a round; its fields are the variables of the result."""

    misclassification: float
    log_loss: float
    labels_per_dimension: float
    converged: bool


def _ends(parts: Sequence[float], pool: int) -> list[int]:
    """Where the parts of the pool begin and end; the first is 0."""
    shares = [as_positive(f"parts[{k}]", part) for k, part in enumerate(as_items("parts", parts))]
    if not shares or abs(sum(shares) - 1) > 1e-9:
        raise InvalidFieldError("parts", parts, "one or more positive numbers of sum 1")
    ends = [0, *np.rint(np.cumsum(shares) * pool).astype(int).tolist()]
    if min(np.diff(ends)) < 1:
        raise InvalidFieldError("parts", parts, f"shares that hold a sample of the {pool} each")
    return ends


def _rounds(
    problem: Problem, ends: Sequence[int], dimension: int, seed: int, number: int
) -> Iterator[_Round]:
    """One data set, round by round."""
    sample = Sample(problem.data, ends[-1], dimension, seed, number)
    labels = sample.labels(problem.data)
    current = draw_surrogate(problem, dimension, stream(seed, "surrogate", dimension, number))
    first = current.trained_on
    assert first is not None
    yield _measured(problem, current, len(first.labels) / dimension)
    weights = np.zeros(ends[-1])
    for begin, end in pairwise(ends):
        part = slice(begin, end)
        weights[part] = draw_weights(
            problem.selection,
            current.scores(sample.features[part]),
            sample.selection_uniforms[part],
        )
        bought = np.flatnonzero(weights)
        again = np.full(len(first.labels), problem.reuse)
        fits = fit(
            np.concatenate([sample.features[bought], first.features]),
            np.concatenate([labels[bought], first.labels]),
            np.concatenate([weights[bought], again])[:, None],
            end + (len(again) if problem.reuse else 0),
            np.array([problem.ridge]),
            problem.loss,
            problem.fit_intercept,
        )
        converged = current.converged and bool(fits.converged[0])
        current = linear_surrogate(fits.coefficients[:, 0], float(fits.intercepts[0]), converged)
        yield _measured(problem, current, (len(bought) + len(again)) / dimension)


def _measured(problem: Problem, model: LinearSurrogate, labels: float) -> _Round:
    """Exact test errors of a fit, on the problem's data."""
    law = problem.data, model.beta_0, model.intercept, model.beta_s
    return _Round(misclassification(*law), log_loss(*law), labels, model.converged)
