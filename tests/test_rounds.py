"""Rounds of labels: two are the simulation of two rounds; what each buys, and what is refused."""

import numpy as np
import pytest

from simulate import Plan, run, simulate_rounds
from simulate.task import COLUMNS
from theory import (
    F1,
    GivenSurrogate,
    InvalidFieldError,
    PowerSelection,
    Problem,
    SingleIndex,
    TopSelection,
    TrainedSurrogate,
    predict,
)

SURROGATE = TrainedSurrogate(samples_per_dimension=1.0, ridge=0.05, reuse=1)
PROBLEM = Problem(SingleIndex(F1, 5.0), TopSelection("hard", 0.25), 0.01, 8.0, SURROGATE)
REWEIGHTED = PROBLEM.replace({"selection": PowerSelection(0.5, 0.3, reweight=True)})


@pytest.mark.parametrize(
    "problem",
    [
        PROBLEM,
        PROBLEM.replace({"surrogate.reuse": 3.0}),
        PROBLEM.replace({"surrogate.reuse": 0.0, "fit_intercept": True}),
        REWEIGHTED,
    ],
)
def test_two_rounds_are_those_of_the_simulation(problem: Problem) -> None:
    """Data set by data set, of the same draws."""
    found = simulate_rounds(problem, (1.0,), dimension=30, repeats=3, seed=5)
    (values,) = run(Plan((problem,), (30,), 3, 5))
    for name in ("misclassification", "log_loss"):
        expected = values[0, :, COLUMNS.index(name)]
        np.testing.assert_allclose(found[name].sel(round=2), expected, rtol=1e-6)


def test_the_first_round_is_the_surrogate_whatever_comes_after() -> None:
    found = [
        simulate_rounds(PROBLEM, parts, dimension=60, repeats=30, seed=1).misclassification
        for parts in ((1.0,), (0.5, 0.25, 0.25))
    ]
    np.testing.assert_array_equal(found[0].sel(round=1), found[1].sel(round=1))
    first = predict(PROBLEM).first_stage
    assert first is not None
    mean, error = found[0].sel(round=1).mean(), found[0].sel(round=1).std(ddof=1) / 30**0.5
    assert abs(mean - first.misclassification) < 3 * error + 0.5 / 60


def test_every_part_of_the_pool_is_scored_and_bought_from() -> None:
    found = simulate_rounds(PROBLEM, (0.5, 0.3, 0.2), dimension=40, repeats=2)
    labels = found.labels_per_dimension.values
    np.testing.assert_allclose(labels, [[1.0, 2.0, 2.6, 3.0]] * 2)
    assert found.sizes == {"data_set": 2, "round": 4}
    assert (found.converged == 1).all()


def test_the_newest_fit_scores() -> None:
    """Where the first fit is useless and the second is not, a third round gains on two."""
    useless = PROBLEM.replace({"surrogate.samples_per_dimension": 0.1, "samples_per_dimension": 12})
    last = [
        simulate_rounds(useless, parts, dimension=60, repeats=20, seed=2).misclassification[:, -1]
        for parts in ((1.0,), (0.5, 0.5))
    ]
    gain = last[0] - last[1]
    assert float(gain.mean()) > 3 * float(gain.std(ddof=1)) / 20**0.5


@pytest.mark.parametrize(
    ("problem", "parts", "message"),
    [
        (PROBLEM, (), "parts = "),
        (PROBLEM, (0.5, 0.4), "of sum 1"),
        (PROBLEM, (1.5, -0.5), r"parts\[1\] = -0.5"),
        (PROBLEM, (1 - 1e-6, 1e-6), "hold a sample of the 160 each"),
        (PROBLEM.replace({"surrogate": GivenSurrogate(1.0)}), (1.0,), "surrogate = "),
    ],
)
def test_wrong_rounds_are_one_line(
    problem: Problem, parts: tuple[float, ...], message: str
) -> None:
    with pytest.raises(InvalidFieldError, match=message):
        simulate_rounds(problem, parts, dimension=20, repeats=1)
