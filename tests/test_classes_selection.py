"""K classes in fits, scores, floors, advice and label budgets."""

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from typer.testing import CliRunner

from dataselect.command_line import app
from simulate.fitting.softmax import fit_softmax
from simulate.pools import SelectedSubsetClassifier, SubsetSelector
from simulate.pools.advice import BANDS, advise, cross_fitted_scores
from simulate.pools.budgets import LabelBudget, _needs, label_budget
from simulate.pools.uncertainty import UNCERTAINTIES, multiclass_scores, with_floor
from tests.test_population_classes import three_kinds
from theory import InvalidFieldError, TopSelection

Array = NDArray[np.float64]


@pytest.mark.parametrize("intercept", [False, True])
def test_softmax_fit_is_that_of_scikit_learn(intercept: bool) -> None:
    x, labels = three_kinds(200)
    members = np.unique(labels, return_inverse=True)[1]
    weights = np.random.default_rng(0).choice([0.0, 1.0, 2.5], 200)
    ours = fit_softmax(x, members, 3, weights, 200, 0.02, intercept)
    kept = weights > 0
    theirs = LogisticRegression(
        C=1 / (0.02 * 200), tol=1e-10, max_iter=2000, fit_intercept=intercept
    ).fit(x[kept], members[kept], sample_weight=weights[kept])
    assert ours.converged
    np.testing.assert_allclose(ours.coefficients.T, theirs.coef_, atol=1e-4)
    centred = theirs.intercept_ - theirs.intercept_.mean()
    np.testing.assert_allclose(ours.intercepts, centred, atol=1e-4)


@pytest.mark.parametrize("uncertainty", UNCERTAINTIES)
def test_uncertainties_of_two_classes_are_the_logit(uncertainty: str) -> None:
    t = np.array([-6.0, -1.3, 0.0, 0.4, 3.0, 12.0])
    found = multiclass_scores(np.column_stack([np.zeros(6), t]), uncertainty)
    np.testing.assert_allclose(found, np.abs(t), rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("uncertainty", UNCERTAINTIES)
def test_uncertainties_order_samples(uncertainty: str) -> None:
    sure = np.log([[0.98, 0.01, 0.01], [0.6, 0.2, 0.2], [1 / 3, 1 / 3, 1 / 3]])
    found = multiclass_scores(sure, uncertainty)
    assert (np.diff(found) < 0).all()
    assert found[-1] == pytest.approx(0, abs=1e-6)


def test_floor_gives_every_class_its_part() -> None:
    generator = np.random.default_rng(0)
    for floor, seed in itertools.product((0.0, 0.3, 0.7, 1.0), range(5)):
        generator = np.random.default_rng(seed)
        members = generator.choice(4, 400, p=[0.7, 0.2, 0.08, 0.02])
        probability = np.clip(generator.random(400) * np.array([0.2, 0.9, 0.0, 0.4])[members], 0, 1)
        found = with_floor(probability, members, floor)
        assert found.sum() == pytest.approx(probability.sum())
        assert ((found >= 0) & (found <= 1)).all()
        sizes, sums = np.bincount(members), np.bincount(members, weights=found)
        assert (sums >= np.minimum(floor * probability.sum() / 4, sizes) - 1e-9).all()
    np.testing.assert_allclose(with_floor(probability, members, 0.0), probability)


def test_selector_keeps_rare_classes_and_knows_its_probabilities() -> None:
    x, labels = three_kinds(900)
    keep = (labels != "dog") | (np.arange(900) % 3 == 0)
    x, labels = x[keep], labels[keep]
    chosen = {}
    for floor in (0.0, 0.8):
        selector = SubsetSelector(
            selection=TopSelection("easy", 0.2), floor=floor, uncertainty="gini", random_state=0
        ).fit(x[:150], labels[:150])
        subset = selector.select(x[150:], n=60)
        predicted = selector.surrogate_.predict(x[150:])
        chosen[floor] = float(subset.inclusion_probabilities[predicted == "dog"].sum())
        assert subset.inclusion_probabilities.sum() == pytest.approx(60)
    assert chosen[0.8] >= 0.8 * 60 / 3 - 1e-9 > chosen[0.0]
    with pytest.raises(InvalidFieldError):
        SubsetSelector(uncertainty="doubt").fit(x, labels)
    with pytest.raises(InvalidFieldError):
        SubsetSelector(floor=2.0).fit(x, labels).select(x)
    model = SelectedSubsetClassifier(uncertainty="entropy", floor=0.5, random_state=0)
    assert model.fit(x, labels).score(x, labels) > 0.5


def test_scores_of_three_classes_do_not_know_their_labels() -> None:
    generator = np.random.default_rng(0)
    x, labels = generator.standard_normal((150, 60)), generator.choice(["a", "b", "c"], 150)
    scores, ridge = cross_fitted_scores(x, labels, ridges=[1e-3, 1.0], folds=3)
    assert ridge == 1.0  # fits that had seen the labels would like the other more
    assert (scores >= 0).all()


def test_advice_for_three_classes() -> None:
    x, labels = three_kinds(400)
    advice = advise(
        x, labels, 300, budget=100, alphas=[1.0], ridges=[0.03], budget_shares=[1.0],
        reweight=False, folds=3, surrogate_ridges=[0.01],
    )  # fmt: skip
    assert (advice.table.status == "CONVERGED").all()
    assert len(advice.table) == 4 + len(BANDS)
    assert advice.table.misclassification.is_monotonic_increasing
    assert advice.caution == ""
    with pytest.raises(InvalidFieldError, match="dog"):
        advise(x, np.where(np.arange(400) == 3, "dog", "cat"), 300, budget=100)


def test_budget_of_random_samples_is_that_of_real_fits() -> None:
    """The predicted number of labels, bought from fresh samples, gives the target."""
    x, labels = three_kinds(1200)
    found = label_budget(
        x, labels, 0.5, max_labels=3000, budgets=[30, 100, 300, 3000], alphas=[],
        fractions=[0.3], ridges=[0.1, 0.03], surrogate_labels=60, folds=3,
    )  # fmt: skip
    part = found.curve[found.curve.scheme == "random"].set_index("labels")
    fresh, truth = three_kinds(20_000, seed=5)
    generator = np.random.default_rng(0)
    for count in (100, 300):
        errors = []
        for _ in range(20):
            rows = generator.choice(20_000, count, replace=False)
            model = LogisticRegression(C=1 / (part.ridge[count] * count))
            errors.append(1 - model.fit(fresh[rows], truth[rows]).score(fresh, truth))
        row = part.loc[count]
        assert abs(row.misclassification - np.mean(errors)) < 3 * row.sampling_error
    assert set(found.curve.scheme) == {"random", "hardest"}
    assert found.curve.labels[found.curve.scheme == "hardest"].min() > 60


def test_budget_and_its_reverse() -> None:
    curve = pd.DataFrame(
        {
            "scheme": ["random"] * 3 + ["hardest"] * 2,
            "labels": [100, 1000, 10_000, 1000, 10_000],
            "misclassification": [0.3, 0.2, 0.1, 0.16, 0.12],
            "sampling_error": [0.01] * 5,
            "fraction": 0.5, "pool_size": 100, "ridge": 0.1,
        }
    )  # fmt: skip
    needs = _needs(curve, 0.14).set_index("scheme")
    assert needs.labels["random"] == pytest.approx(1000 * 10**0.6)
    assert needs.labels["hardest"] == pytest.approx(1000 * 10**0.5)
    assert needs.low["random"] == pytest.approx(1000 * 10 ** (0.6 - 0.16449), rel=1e-3)
    assert needs.high["random"] == pytest.approx(1000 * 10 ** (0.6 + 0.16449), rel=1e-3)
    found = LabelBudget(0.14, 50, needs.reset_index(), curve, pd.DataFrame(), "")
    bought = found.buys(1000).set_index("scheme")
    assert bought.misclassification["hardest"] == pytest.approx(0.16)
    assert np.isnan(found.buys(200).set_index("scheme").misclassification["hardest"])
    lost = LabelBudget(0.05, 50, _needs(curve, 0.05), curve, pd.DataFrame(), "")
    assert next(lost.lines()).endswith("5.0% not reached (limit 10.00%)")


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("target", {"target": 0.0}),
        ("max_labels", {"pool_size": 50, "max_labels": 51}),
        ("budgets", {"budgets": [100]}),
        ("fractions", {"fractions": []}),
        ("ridges", {"ridges": []}),
        ("surrogate_labels", {"surrogate_labels": 60}),
        ("labels", {"labels": np.full(60, "cat")}),
        ("surrogate_labels", {"surrogate_labels": 2}),
        ("folds", {"folds": 40}),
    ],
)
def test_wrong_input_is_refused_by_name(field: str, changes: dict[str, object]) -> None:
    x, labels = three_kinds(60)
    arguments = {"features": x, "labels": labels, "target": 0.3, **changes}
    with pytest.raises(InvalidFieldError) as caught:
        label_budget(**arguments)  # type: ignore[arg-type]
    assert caught.value.field == field


def test_command_says_how_many_labels(tmp_path: Path) -> None:
    x, labels = three_kinds(300, p=3)
    table = pd.DataFrame(x, columns=["a", "b", "c"]).assign(kind=labels != "cat")
    table.to_csv(tmp_path / "pilot.csv", index=False)
    arguments = [str(tmp_path / "pilot.csv"), "--labels", "kind", "--output", str(tmp_path)]
    result = CliRunner().invoke(
        app, ["advise", *arguments, "--target", "0.2", "--max-labels", "400"]
    )
    assert result.exit_code == 0, result.output
    assert "random: " in result.output
    curve = pd.read_csv(tmp_path / "advice" / "budget-curve.csv")
    assert set(curve.scheme) >= {"random", "hardest", "power 1"}
    assert (tmp_path / "advice" / "budget.png").exists()
    refused = CliRunner().invoke(app, ["advise", *arguments])
    assert refused.exit_code == 2
    assert "--pool-size" in refused.output
