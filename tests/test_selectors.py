"""Selectors in scikit-learn's manner: its own checks, and what they promise beyond."""

import sys
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("sklearn")

from scipy.optimize import minimize
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from sklearn.utils.estimator_checks import parametrize_with_checks

import simulate.pools
from simulate.fitting.fit import fit
from simulate.pools import (
    InfluenceSelection,
    OsmacSelection,
    PoolError,
    SelectedSubsetClassifier,
    SubsetSelector,
    ridge_as_c,
)
from simulate.pools.draw import draw_indices
from simulate.pools.rules import inclusion_probabilities
from theory import BandSelection, InvalidFieldError, LogisticLoss, PowerSelection, RandomSelection

Array = NDArray[np.float64]

STOCHASTIC = {
    f"check_sample_weight_equivalence_on_{kind}_data": "a repeated sample is drawn more than once"
    for kind in ("dense", "sparse")
}


def draw(n: int, p: int = 4, seed: int = 0) -> tuple[Array, Array]:
    generator = np.random.default_rng(seed)
    x = generator.standard_normal((n, p))
    return x, np.where(2 * x[:, 0] + generator.logistic(size=n) > 0, 1.0, -1.0)


@parametrize_with_checks(  # type: ignore[untyped-decorator]
    [SelectedSubsetClassifier(), SelectedSubsetClassifier(uncertainty="entropy", floor=0.5)],
    expected_failed_checks=lambda estimator: STOCHASTIC,
)
def test_classifier_passes_the_checks_of_scikit_learn(estimator: Any, check: Any) -> None:
    check(estimator)


@parametrize_with_checks([SubsetSelector(), SubsetSelector(uncertainty="gini", floor=0.5)])  # type: ignore[untyped-decorator]
def test_selector_passes_the_checks_of_scikit_learn(estimator: Any, check: Any) -> None:
    check(estimator)


@pytest.mark.parametrize("fraction", [0.3, 1.0])
def test_ridge_in_units_of_scikit_learn(fraction: float) -> None:
    # the minimiser of this toolkit's objective, found by SciPy alone
    x, y = draw(300)
    ridge = 0.02
    weights: Array = np.where(np.random.default_rng(1).random(300) < fraction, 1.7, 0.0)

    def objective(u: Array) -> float:
        losses = np.logaddexp(0, -y * (x @ u[:-1] + u[-1]))
        return float(weights @ losses / 300 + ridge / 2 * u[:-1] @ u[:-1])

    ours = minimize(objective, np.zeros(5), method="BFGS", options={"gtol": 1e-9}).x
    kept = weights > 0
    model = LogisticRegression(C=ridge_as_c(ridge, 300), tol=1e-10, max_iter=1000)
    model.fit(x[kept], y[kept], sample_weight=weights[kept])
    theirs = np.append(model.coef_[0], model.intercept_)
    np.testing.assert_allclose(theirs, ours, atol=1e-5)
    fits = fit(x, y, weights[:, None], 300, np.array([ridge]), LogisticLoss(), fit_intercept=True)
    np.testing.assert_allclose(fits.coefficients[:, 0], ours[:-1], atol=1e-5)


def test_default_surrogate_is_the_fit_of_the_study() -> None:
    x, y = draw(80)
    selector = SubsetSelector(ridge=0.05).fit(x, y)
    fits = fit(x, y, np.ones((80, 1)), 80, np.array([0.05]), LogisticLoss(), fit_intercept=True)
    np.testing.assert_allclose(selector.surrogate_.coef_[0], fits.coefficients[:, 0], atol=1e-3)


@pytest.mark.parametrize("sampling", ["fixed", "poisson"])
def test_samples_are_drawn_with_their_probabilities(sampling: Any) -> None:
    probabilities = np.array([0.05, 0.3, 0.65, 1.0, 0.0, 0.5, 0.9, 0.6])
    generator = np.random.default_rng(3)
    draws = [draw_indices(probabilities, sampling, generator) for _ in range(4000)]
    assert all(np.all(np.diff(chosen) > 0) for chosen in draws)
    sizes = np.array([chosen.size for chosen in draws])
    assert (sizes == 4).all() if sampling == "fixed" else sizes.std() > 0.5
    found = np.bincount(np.concatenate(draws), minlength=8) / 4000
    error = np.sqrt(probabilities * (1 - probabilities) / 4000)
    assert np.all(np.abs(found - probabilities) <= 4.5 * error)


def test_fixed_size_keeps_a_budget_of_any_size() -> None:
    x, y = draw(537)
    selector = SubsetSelector(selection="hard", random_state=0).fit(x[:40], y[:40])
    for n in (1, 7, 250, 497):
        chosen = selector.select(x[40:], n=n)
        assert chosen.indices.size == n == np.unique(chosen.indices).size
        assert selector.n_pool_ == 497
        assert chosen.inclusion_probabilities.sum() == pytest.approx(n)


def test_weights_are_one_over_the_probability() -> None:
    x, y = draw(400)
    selection = PowerSelection(0.5, 0.2, reweight=True)
    selector = SubsetSelector(selection=selection, sampling="poisson", random_state=1)
    chosen = selector.fit(x[:50], y[:50]).select(x[50:])
    pi = selection.inclusion_probabilities(selector.surrogate_.decision_function(x[50:]))
    np.testing.assert_allclose(chosen.weights, 1 / pi[chosen.indices])
    np.testing.assert_array_equal(selector.sample_weight_, chosen.weights)
    np.testing.assert_array_equal(selector.inclusion_probabilities_, pi)
    # Horvitz and Thompson: the weights estimate the size of the pool
    totals = [selector.set_params(random_state=k).select(x[50:]).weights.sum() for k in range(200)]
    assert np.mean(totals) == pytest.approx(350, abs=4 * np.std(totals) / 200**0.5)


def test_seed_fixes_the_choice() -> None:
    x, y = draw(200)
    selector = SubsetSelector(random_state=5).fit(x[:30], y[:30])
    first, second = (selector.select(x[30:], n=20).indices for _ in range(2))
    np.testing.assert_array_equal(first, second)
    other = selector.set_params(random_state=6).select(x[30:], n=20).indices
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("surrogate", [LinearSVC(), RandomForestClassifier(10, random_state=0)])
def test_any_classifier_may_be_the_surrogate(surrogate: Any) -> None:
    x, y = draw(300)
    selector = SubsetSelector(surrogate, "top-hard").fit(x[:100], y[:100])
    chosen = selector.select(x[100:], fraction=0.1)
    size = np.abs(chosen.scores)
    assert size[chosen.indices].max() <= np.delete(size, chosen.indices).min()


def test_score_of_several_classes_is_the_lead_of_the_first() -> None:
    x, _ = draw(200)
    y = np.digitize(x[:, 0], [-0.5, 0.5])
    selector = SubsetSelector().fit(x[:100], y[:100])
    logits = x[100:] @ selector.surrogate_.coef_.T + selector.surrogate_.intercept_
    lead = [np.partition(row, -2)[-1] - np.partition(row, -2)[-2] for row in logits]
    np.testing.assert_allclose(selector.select(x[100:]).scores, lead)


@pytest.mark.parametrize("name", ["influence", "mMSE", "mVc"])
def test_rules_for_two_classes_refuse_more(name: str) -> None:
    x, _ = draw(90)
    y = np.digitize(x[:, 0], [-0.5, 0.5])
    model: Any
    for model in (SubsetSelector(selection=name), SelectedSubsetClassifier(selection=name)):
        with pytest.raises(PoolError, match="needs two classes and there are 3: take Leverage"):
            model.fit(x, y)
        model.fit(x, y > 0)


def test_leverage_takes_any_number_of_classes() -> None:
    x, _ = draw(200)
    y = np.digitize(x[:, 0], [-0.5, 0.5])
    chosen = SubsetSelector(selection="leverage").fit(x[:100], y[:100]).select(x[100:], n=20)
    design = np.column_stack([x[100:], np.ones(100)])
    leverage = np.diag(design @ np.linalg.pinv(design))  # sums to 5
    np.testing.assert_allclose(chosen.inclusion_probabilities, 20 * leverage / 5)


def test_whole_vector_rules_select_too() -> None:
    x, y = draw(300)
    selector = SubsetSelector(selection="influence").fit(x[:100], y[:100])
    chosen = selector.select(x[100:], n=20)
    expected = InfluenceSelection(0.1).inclusion_probabilities(x[100:], chosen.scores)
    np.testing.assert_allclose(chosen.inclusion_probabilities, expected)


def test_parameters_of_the_selection_by_dotted_name() -> None:
    model = SelectedSubsetClassifier(selection=PowerSelection(1.0, 0.3))
    assert model.get_params()["selection__alpha"] == 1.0
    model.set_params(selection__alpha=-0.5, selection__reweight=True, ridge=0.1)
    assert model.selection == PowerSelection(-0.5, 0.3, reweight=True)
    assert model.ridge == 0.1
    named = SubsetSelector(selection="hard").set_params(selection__fraction=0.1)
    assert named.selection == PowerSelection(1.0, 0.1)
    with pytest.raises(InvalidFieldError, match="alpha"):
        model.set_params(selection__alhpa=1.0)
    with pytest.raises(InvalidFieldError, match="fraction"):
        model.set_params(selection__fraction=1.5)


def test_in_pipeline_cross_validation_and_grid_search() -> None:
    x, y = draw(300)
    model = make_pipeline(StandardScaler(), SelectedSubsetClassifier(random_state=0))
    assert cross_val_score(model, x, y, cv=3).mean() > 0.7
    name = "selectedsubsetclassifier__selection__"
    grid = {name + "alpha": [-1.0, 1.0], name + "fraction": [0.2, 0.6]}
    search = GridSearchCV(model, grid, cv=3).fit(x, y)
    assert search.best_params_[name + "fraction"] in (0.2, 0.6)
    assert len(np.unique(search.cv_results_["mean_test_score"])) > 1
    best = search.best_estimator_[-1]
    assert best.selection.alpha == search.best_params_[name + "alpha"]


def test_classifier_learns_from_what_it_says() -> None:
    x, y = draw(300)
    final = LogisticRegression(C=0.3)
    model = SelectedSubsetClassifier(final, selection="top-easy", random_state=2).fit(x, y)
    seen = model.sample_indices_
    assert np.unique(seen).size == seen.size == 60 + 120  # a fifth, and half of the others
    labelled, chosen = seen[:60], seen[60:]
    np.testing.assert_allclose(
        model.estimator_.coef_, LogisticRegression(C=0.3).fit(x[seen], y[seen]).coef_
    )
    surrogate = LogisticRegression(C=ridge_as_c(0.01, 60)).fit(x[labelled], y[labelled])
    size = np.abs(surrogate.decision_function(x))
    passed_over = np.setdiff1d(np.arange(300), seen)
    assert size[chosen].min() > size[passed_over].max()


def test_classifier_multiplies_incoming_weights() -> None:
    x, y = draw(300)
    weights = np.random.default_rng(4).uniform(0.5, 2.0, 300)
    selection = PowerSelection(0.5, 0.4, reweight=True)
    model = SelectedSubsetClassifier(
        LogisticRegression(), selection=selection, reuse=0, random_state=3
    ).fit(x, y, sample_weight=weights)
    chosen = model.sample_indices_
    pool_weights = model.selector_.sample_weight_
    np.testing.assert_allclose(model.sample_weight_, pool_weights * weights[chosen])
    assert pool_weights.max() > 1
    direct = LogisticRegression().fit(x[chosen], y[chosen], sample_weight=model.sample_weight_)
    np.testing.assert_allclose(model.estimator_.coef_, direct.coef_)


def test_classifier_says_early_that_an_estimator_takes_no_weights() -> None:
    x, y = draw(100)
    neighbours = KNeighborsClassifier()
    with pytest.raises(PoolError, match="KNeighborsClassifier takes no sample_weight"):
        SelectedSubsetClassifier(neighbours).fit(x, y, sample_weight=np.ones(100))
    reweighted = PowerSelection(1.0, 0.5, reweight=True)
    with pytest.raises(PoolError, match="selection__reweight=False"):
        SelectedSubsetClassifier(neighbours, selection=reweighted).fit(x, y)
    with pytest.raises(PoolError, match="reuse is 2: take another, or set reuse=1"):
        SelectedSubsetClassifier(neighbours, reuse=2).fit(x, y)
    assert SelectedSubsetClassifier(neighbours, selection="hard").fit(x, y).score(x, y) > 0.6


def test_classifier_learns_from_the_surrogates_samples_again() -> None:
    x, y = draw(300)
    for reuse, share in ((0.0, 0), (1.0, 60), (2.5, 60)):
        model = SelectedSubsetClassifier(reuse=reuse, random_state=0).fit(x, y)
        chosen, weights = model.sample_indices_, model.sample_weight_
        assert model.n_reused_ == share
        np.testing.assert_allclose(weights, np.repeat([reuse, 1.0], [share, len(chosen) - share]))
        total = 240 + share
        direct = LogisticRegression(C=1 / (0.01 * total), max_iter=1000)
        direct.fit(x[chosen], y[chosen], sample_weight=weights)
        np.testing.assert_allclose(model.estimator_.coef_, direct.coef_, rtol=1e-4)
    assert SelectedSubsetClassifier().reuse == 1
    with pytest.raises(ValueError, match=r"reuse = -1\.0 is not allowed"):
        SelectedSubsetClassifier(reuse=-1.0).fit(x, y)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"selection": "hrad"}, "hard"),
        ({"selection": 3}, "a selection such as"),
        ({"selection": OsmacSelection("mMSE", 0.5, with_labels=True)}, "with_labels=False"),
        ({"ridge": 0.0}, "ridge = 0.0 is not allowed"),
    ],
)
def test_wrong_parameters_are_refused_in_fit(parameters: dict[str, Any], message: str) -> None:
    x, y = draw(60)
    with pytest.raises(ValueError, match=message):
        SubsetSelector(**parameters).fit(x, y)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n": 61}, "61 samples are asked for and the pool has 60"),
        ({"n": 0}, "n = 0 is not allowed"),
        ({"n": 5, "fraction": 0.1}, "either fraction or n"),
        ({"fraction": 1.2}, "fraction = 1.2 is not allowed"),
    ],
)
def test_wrong_budgets_are_refused(arguments: dict[str, Any], message: str) -> None:
    x, y = draw(60)
    with pytest.raises(ValueError, match=message):
        SubsetSelector().fit(x, y).select(x, **arguments)


def test_other_bad_input_is_refused() -> None:
    x, y = draw(60)
    with pytest.raises(PoolError, match="one class only"):
        SubsetSelector().fit(x, np.ones(60))
    with pytest.raises(ValueError, match="NaN"):
        SubsetSelector().fit(x, y).select(np.full((3, 4), np.nan))
    with pytest.raises(InvalidFieldError, match="'fixed' or 'poisson'"):
        SubsetSelector(sampling="bernoulli").fit(x, y).select(x)  # type: ignore[arg-type]
    band = SubsetSelector(selection=BandSelection(0.0, 1.0)).fit(x, y)
    with pytest.raises(InvalidFieldError, match="fraction"):
        band.select(x, n=3)
    rare = np.where(np.arange(60) < 2, 1.0, -1.0)
    few = RandomSelection(0.05)
    with pytest.raises(PoolError, match="no sample of class"):
        SelectedSubsetClassifier(selection=few, reuse=0, random_state=1).fit(x, rare)
    with pytest.raises(ValueError, match="surrogate_fraction = "):
        SelectedSubsetClassifier(surrogate_fraction=1.5).fit(x, y)


def test_missing_package_names_its_install_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.delitem(sys.modules, "simulate.pools.selector")
    monkeypatch.delattr(simulate.pools, "selector")
    with pytest.raises(
        ImportError, match=r"scikit-learn: pip install 'data-selection-theory\[data"
    ):
        _ = simulate.pools.SubsetSelector


def test_score_rules_and_vector_rules_have_one_face() -> None:
    x, _ = draw(50)
    scores = x[:, 0]
    rule = PowerSelection(1.0, 0.3)
    np.testing.assert_array_equal(
        inclusion_probabilities(rule, x, scores), rule.inclusion_probabilities(scores)
    )
