"""Advice against the exact theory, and that it does not find gains where there are none."""

import numpy as np
import pytest
from numpy.typing import NDArray

from simulate.fitting.fit import fit
from simulate.pools.advice import _choice, advise, cross_fitted_scores
from tests.problems import NOISY_STEP, labelled_sample
from theory import (
    GivenSurrogate,
    InvalidFieldError,
    LogisticLoss,
    PowerSelection,
    Problem,
    QuantileBandSelection,
    RandomSelection,
    TopSelection,
    predict,
)

Array = NDArray[np.float64]


def test_advice_agrees_with_the_exact_theory() -> None:
    """Many samples per dimension: hard samples win, by as much as the limit says."""
    p, size, ridges = 24, 900, [0.01, 0.003]
    x, y = labelled_sample(1200, p)
    advice = advise(
        x, y, size, budget=270, alphas=[-1.0, 1.0], ridges=ridges, budget_shares=[1.0],
        reweight=False,
    )  # fmt: skip
    su = fit(x, y, np.ones((1200, 1)), 1200, np.array([advice.surrogate_ridge]), LogisticLoss())
    beta_0, rest = su.coefficients[0, 0], su.coefficients[1:, 0]
    surrogate = GivenSurrogate(beta_0=float(beta_0), beta_s=float(np.linalg.norm(rest)))
    exact = {
        selection: min(
            predict(
                Problem(NOISY_STEP, selection, r, size / p, surrogate, fit_intercept=True)
            ).misclassification
            for r in ridges
        )
        for selection in (
            RandomSelection(0.3),
            PowerSelection(1.0, 0.3),
            PowerSelection(-1.0, 0.3),
            TopSelection("hard", 0.3),
            TopSelection("easy", 0.3),
        )
    }
    assert advice.selection == min(exact, key=lambda s: exact[s])
    assert abs(advice.misclassification - min(exact.values())) < 3 * advice.sampling_error
    gain = exact[RandomSelection(0.3)] - min(exact.values())
    assert gain > 0.02
    assert advice.over_random.standard_error < 0.01
    assert abs(advice.over_random.mean - gain) < 3 * advice.over_random.standard_error
    assert advice.over_uncertainty.mean == 0  # the hardest samples are the best here
    assert advice.caution == ""
    best = advice.table.iloc[0]
    assert best.misclassification > advice.misclassification  # without halving
    assert (advice.table.status == "CONVERGED").all()


def test_few_samples_per_dimension_make_the_hardest_the_worst() -> None:
    x, y = labelled_sample(1200, 24)
    told: list[tuple[int, int]] = []
    advice = advise(
        x, y, 96, budget=38, alphas=[-1.0], ridges=[0.1, 0.01], reweight=False, bands=[],
        progress=lambda done, total: told.append((done, total)),
    )  # fmt: skip
    assert told == [(k + 1, 16) for k in range(16)]
    gain = advice.over_uncertainty
    assert gain.mean > 3 * gain.standard_error > 0


def test_a_band_is_advised_where_it_wins() -> None:
    """At N/p = 10 and ridge .01 the exact theory has a band, four points ahead of random choice."""
    p, delta = 24, 10
    x, y = labelled_sample(1200, p)
    advice = advise(
        x, y, delta * p, fraction=0.3, alphas=[-1.0, 1.0], ridges=[0.01], reweight=False,
        budget_shares=[1.0],
    )  # fmt: skip
    assert isinstance(advice.selection, QuantileBandSelection)
    assert 0.1 <= advice.selection.start <= 0.5
    assert advice.over_random.mean > 2 * advice.over_random.standard_error
    assert advice.over_uncertainty.mean > advice.over_uncertainty.standard_error


def test_a_band_must_win_by_its_standard_error() -> None:
    """Where all settings are equally good, bands are not picked for being many."""
    generator = np.random.default_rng(0)
    is_band = np.arange(12) >= 4
    picked = [_choice(generator.standard_normal((12, 400)), is_band) for _ in range(100)]
    assert 0 < np.mean(is_band[picked]) < 0.6  # eight of twelve without the condition
    clear = generator.standard_normal((12, 400)) - is_band[:, None]
    assert is_band[_choice(clear, is_band)]


def test_the_hardest_are_rescued_by_the_labels_of_the_pilot() -> None:
    """Few samples per dimension, of noisy labels: without the pilot's they are the worst."""
    x, y = labelled_sample(600, 12, seed=1)
    without, again = (
        advise(
            x, y, 600, budget=60, alphas=[], ridges=[0.03], budget_shares=[1.0], reweight=False,
            reuse=w,
        )
        for w in (0.0, 1.0)
    )  # fmt: skip
    assert without.selection != TopSelection("hard", 0.1)
    assert without.over_uncertainty.mean > 0.1
    assert again.misclassification < without.misclassification - 0.02
    hardest = again.table.set_index("scheme").misclassification["top(keep=hard, fraction=0.1)"]
    assert hardest < again.table.misclassification.min() + 0.005
    assert again.reuse == 1


def test_no_gain_is_promised_where_labels_are_noise() -> None:
    z = []
    for seed in range(8):
        generator = np.random.default_rng(seed)
        x, y = generator.standard_normal((300, 5)), generator.choice([-1.0, 1.0], 300)
        advice = advise(
            x, y, 200, fraction=0.3, alphas=[-1.0, 1.0], ridges=[0.1, 0.01], reweight=False,
            budget_shares=[1.0],
        )  # fmt: skip
        z.append(advice.over_random.mean / advice.over_random.standard_error)
    assert abs(np.mean(z)) < 3 / 8**0.5
    assert max(z) < 3.5


def test_scores_do_not_know_their_own_labels() -> None:
    generator = np.random.default_rng(0)
    x, y = generator.standard_normal((300, 100)), generator.choice([-1.0, 1.0], 300)
    scores, ridge = cross_fitted_scores(x, y, ridges=[1e-3, 1.0])
    assert ridge == 1.0
    assert abs(np.mean(y * np.sign(scores))) < 3.5 / 300**0.5
    own = fit(x, y, np.ones((300, 1)), 300, np.array([1.0]), LogisticLoss(), True)
    assert np.mean(y * np.sign(x @ own.coefficients[:, 0] + own.intercepts[0])) > 0.3


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("budget", {}),
        ("budget", {"budget": 10, "fraction": 0.5}),
        ("budget", {"budget": 101}),
        ("fraction", {"fraction": 1.5}),
        ("ridges", {"budget": 10, "ridges": []}),
        ("folds", {"budget": 10, "folds": 1}),
        ("reuse", {"budget": 10, "reuse": -1.0}),
        ("alphas[0]", {"budget": 10, "alphas": ["hard"]}),
        ("bands[1]", {"budget": 10, "bands": [0.5, 1.5]}),
    ],
)
def test_wrong_input_is_refused_by_name(field: str, changes: dict[str, object]) -> None:
    x, y = labelled_sample(60, 3)
    with pytest.raises(InvalidFieldError) as caught:
        advise(x, y, 100, **changes)  # type: ignore[arg-type]
    assert caught.value.field == field
