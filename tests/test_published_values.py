"""Published values are what the published method gives, at the points that are cheap to replay."""

import numpy as np
import pytest

from paper_repro.published_values import (
    IMPERFECT,
    PERFECT,
    SHARED_CASES,
    binomial_of_uniform,
    quadrature_table,
    shared_seed_table,
    spline_table,
    stopping_table,
)


def test_the_published_grid_gives_the_published_values_and_not_the_exact_ones() -> None:
    table = quadrature_table(PERFECT[:3])
    assert (table["published − grid"].abs() < 4e-5).all()
    assert (table["published − exact"] > 2.9e-3).all()


def test_the_published_stopping_rule_gives_the_published_values() -> None:
    few_steps = [point for point in IMPERFECT if point.ridge == 0.01]
    table = stopping_table(few_steps)
    np.testing.assert_allclose(table["replayed"], table["published"], atol=1e-6)
    np.testing.assert_allclose(table["α_s replayed"], table["α_s published"], atol=1e-5)
    assert table["steps"].tolist() == [6, 3]
    assert (table["published − exact"] > 2e-3).all()
    assert abs(table["α_s exact"].iloc[1]) < 1e-12


def test_legacy_draws_are_these_functions_of_the_uniform_numbers() -> None:
    probability = np.random.default_rng(0).uniform(size=2000)
    uniform = np.random.RandomState(7).random_sample(2000)
    drawn = np.random.RandomState(7).binomial(1, probability)
    np.testing.assert_array_equal(binomial_of_uniform(uniform, probability), drawn)


def test_a_shared_seed_keeps_all_or_none_of_the_flipped_labels() -> None:
    table = shared_seed_table(dimension=60, repeats=6).set_index(["α", "γ"])
    assert len(table) == len(SHARED_CASES)
    flipped = table["flipped labels kept, shared"]
    assert flipped[0.0, 0.05] == 1
    assert flipped[0.0, 0.6] == flipped[0.0, 0.9] == 0
    z = table["shift"] / table["its standard error"]
    assert z[0.0, 0.05] > 5
    assert z[0.0, 0.9] < -5


def test_the_published_spline_misses_the_points_it_smooths() -> None:
    worst = spline_table().iloc[0]
    assert (worst["labels"], worst["λ"], worst["α"]) == ("f1", 0.1, -1.0)
    assert worst["largest gap"] == pytest.approx(0.0056, abs=5e-5)
