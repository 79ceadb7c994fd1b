"""Selection rules: their fraction under the law, on realised scores, and their shape."""

import math

import numpy as np
import pytest
from scipy.special import expit

from simulate.sample import stream
from simulate.subset import draw_weights
from theory import PowerSelection, RandomSelection, TopSelection
from theory.score import ScoreLaw

LAW = ScoreLaw((0.0,), (1.0,), 5.0)
SCORES = 5.0 * stream(0, "features").standard_normal(200_000)
SCHEMES: list[RandomSelection | PowerSelection | TopSelection] = [
    RandomSelection(0.3),
    *(PowerSelection(a, g) for a in (-40.0, -1.0, -0.5, 0.5, 1.0, 8.0) for g in (0.05, 0.6, 1.0)),
    PowerSelection(-1.0, 0.05, score_clip=math.inf),
    PowerSelection(1.0, 0.9, score_clip=2.0),
    TopSelection("hard", 0.2),
    TopSelection("easy", 0.2),
]


@pytest.mark.parametrize("scheme", SCHEMES, ids=str)
def test_fraction_is_met_under_the_law_and_on_scores(
    scheme: RandomSelection | PowerSelection | TopSelection,
) -> None:
    rule = scheme.law_rule(LAW)
    assert rule.expected(LAW) == pytest.approx(scheme.fraction, abs=1e-9)
    realised = scheme.inclusion_probabilities(SCORES)
    assert realised.mean() == pytest.approx(scheme.fraction, abs=1e-9)
    assert realised.min() >= 0
    assert realised.max() <= 1
    # With many scores, both constants agree.
    assert np.mean(np.abs(rule.probability(SCORES) - realised)) < 0.01


def test_power_rule_is_the_printed_formula() -> None:
    scheme = PowerSelection(alpha=-0.5, fraction=0.3)
    t = np.linspace(-14, 14, 57)
    p = expit(np.clip(t, -10, 10))
    pi = scheme.law_rule(LAW).probability(t)
    free = pi < 1
    constants = pi[free] / (p * (1 - p))[free] ** -0.5
    assert free.any()
    assert (~free).any()
    np.testing.assert_allclose(constants, constants[0], rtol=1e-9)
    assert np.all(constants[0] * (p * (1 - p))[~free] ** -0.5 >= 1 - 1e-9)


def test_subset_is_drawn_with_the_inclusion_probabilities() -> None:
    scheme = PowerSelection(1.0, 0.3, reweight=True)
    uniforms = stream(1, "selection").random(SCORES.size)
    weights = draw_weights(scheme, SCORES, uniforms)
    pi = scheme.inclusion_probabilities(SCORES)
    chosen = weights > 0
    assert chosen.mean() == pytest.approx(0.3, rel=0.02)
    np.testing.assert_allclose(weights[chosen], 1 / pi[chosen])
    # Unbiased: weighted means over the subset estimate means over the pool.
    small = np.abs(SCORES) < 1
    assert np.mean(weights * small) == pytest.approx(small.mean(), rel=0.05)


def test_top_selection_keeps_an_exact_number() -> None:
    for keep in ("hard", "easy"):
        pi = TopSelection(keep, 0.15).inclusion_probabilities(SCORES[:1000])
        assert pi.sum() == 150


@pytest.mark.fault(number=3)
@pytest.mark.parametrize("alpha", [1000.0, -1000.0, 1e6])
def test_a_steep_power_rule_keeps_its_fraction(alpha: float) -> None:
    """Preferences differ by more than the range of floating-point numbers."""
    scores = 5 * np.random.default_rng(1).standard_normal(300)
    pi = PowerSelection(alpha, 0.5).inclusion_probabilities(scores)
    assert np.all((pi >= 0) & (pi <= 1))
    assert pi.mean() == pytest.approx(0.5, abs=1e-9)
    hardest = np.sort(np.abs(scores))
    chosen = np.abs(scores)[pi > 0.5]
    assert chosen.size in (149, 150, 151) or alpha < 0
    assert alpha < 0 or chosen.max() <= hardest[151]
