"""Population equations for K classes: the binary ones, autodiff, pools fitted by scikit-learn."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from theory import InvalidFieldError, PowerSelection, RandomSelection, TopSelection
from theory.population import Population
from theory.population_classes import (
    ClassesPrediction,
    ClassPopulation,
    make_population,
    predict_population,
    predicted_classes,
)
from theory.population_classes_equations import (
    _proximal,
    full,
    orthonormal_contrasts,
    random_nodes,
)
from theory.population_curves import learning_curves
from theory.solver import Status

Array = NDArray[np.float64]


def three_kinds(count: int, p: int = 5, seed: int = 0) -> tuple[Array, NDArray[np.str_]]:
    """Skewed features and noisy labels of three classes."""
    generator = np.random.default_rng(seed)
    x = np.maximum(generator.standard_normal((count, p)) + 0.3, 0)
    utility = 2 * x[:, :3] + generator.gumbel(size=(count, 3))
    return x, np.array(["cat", "cow", "dog"])[utility.argmax(axis=1)]


@pytest.mark.parametrize("weighted", [False, True])
def test_two_classes_are_the_binary_case_with_twice_the_ridge(weighted: bool) -> None:
    x, labels = three_kinds(400)
    y = np.where(labels == "cat", 1.0, -1.0)
    probability = PowerSelection(1.0, 0.5).inclusion_probabilities(3 * x[:, 0] - 2)
    weights = 1 / probability if weighted else None
    binary = Population(x, y).predict(probability, 300, 0.01, weights, True)
    found = ClassPopulation(x, labels == "cat", node_pairs=64).predict(
        probability, 300, 0.02, weights, True
    )
    assert found.status is Status.CONVERGED
    for name, tolerance in [
        ("misclassification", 1e-4),
        ("log_loss", 1e-4),
        ("misclassification_sampling_error", 1e-4),
        ("log_loss_sampling_error", 1e-4),
    ]:
        assert getattr(found, name) == pytest.approx(getattr(binary, name), abs=tolerance)
    np.testing.assert_allclose(
        found.coefficients[1] - found.coefficients[0], binary.coefficients, atol=1e-3
    )
    difference = found.intercepts[1] - found.intercepts[0]
    assert difference == pytest.approx(binary.intercept, abs=1e-3)


def test_proximal_point_and_curvature_by_automatic_differentiation() -> None:
    k, generator = 3, np.random.default_rng(0)
    basis, members = orthonormal_contrasts(k + 1), np.array([0, 2, 3])
    root = generator.standard_normal((3, k, k))
    sv = np.array([0.1, 1.0, 40.0])[:, None, None] * (root @ root.transpose(0, 2, 1))
    z = 3 * generator.standard_normal((3, 1, k))
    gaps = np.zeros((3, 1, k))
    for _ in range(3):
        w, kappa = _proximal(z, sv, members, basis, gaps)

    def loss(v: Any, y: Any) -> Any:
        return jax.nn.logsumexp(basis @ v) - (basis @ v)[y]

    with jax.enable_x64():
        for i, y in enumerate(members):
            v = z[i, 0] - sv[i] @ w[i, 0]
            np.testing.assert_allclose(w[i, 0], jax.grad(loss)(jnp.array(v), y), atol=1e-9)
            bend = np.array(jax.hessian(loss)(jnp.array(v), y))
            expected = np.linalg.inv(np.eye(k) + bend @ sv[i]) @ bend
            np.testing.assert_allclose(kappa[i], expected, atol=1e-9)
    step = 1e-5
    for j in range(k):
        slopes = []
        for sign in (-1, 1):
            moved, start = z.copy(), w.copy()
            moved[:, :, j] += sign * step
            for _ in range(3):
                there, _ = _proximal(moved, sv, members, basis, start)
            slopes.append(there.copy())
        found = (slopes[1] - slopes[0])[:, 0] / (2 * step)
        np.testing.assert_allclose(found, kappa[:, :, j], atol=1e-6)


def test_probability_of_the_largest_output() -> None:
    k, generator = 3, np.random.default_rng(1)
    basis = orthonormal_contrasts(k + 1)
    mean, root = generator.standard_normal((1, k)), np.tril(generator.standard_normal((1, k, k)))
    root[:, range(k), range(k)] = np.abs(root[:, range(k), range(k)])
    g = random_nodes(1, k, 30_000).astype(np.float64)

    def taken(m: Array) -> tuple[Array, Array]:
        return predicted_classes(m[:, None] + g @ root.transpose(0, 2, 1), g, root, basis)

    found, slopes = taken(mean)
    z = mean + generator.standard_normal((400_000, k)) @ root[0].T
    sampled = np.bincount((z @ basis.T).argmax(axis=1), minlength=k + 1) / len(z)
    np.testing.assert_allclose(found[0], sampled, atol=4 * 0.5 / 400_000**0.5)
    for j in range(k):
        step = 1e-4 * np.eye(k)[j]
        rate = (taken(mean + step)[0] - taken(mean - step)[0]) / 2e-4
        np.testing.assert_allclose(slopes[:, :, j], rate, atol=5e-3)


def test_nodes_have_mean_zero_and_the_right_spread() -> None:
    g = random_nodes(2000, 3, 8).astype(np.float64)
    np.testing.assert_allclose(g.mean(axis=1), 0, atol=1e-6)
    np.testing.assert_allclose((g**2).sum(axis=2).mean(axis=1), 3, rtol=1e-5)
    np.testing.assert_allclose(np.einsum("iqa,iqb->ab", g, g) / 32_000, np.eye(3), atol=0.02)


@pytest.mark.parametrize(
    "selection", [RandomSelection(1.0), PowerSelection(1.0, 0.4), TopSelection("easy", 0.5)]
)
def test_real_pools_fitted_by_scikit_learn(selection: Any) -> None:
    """Pools of 150 from 1,500 labelled points; errors on 20,000 fresh ones."""
    x, labels = three_kinds(1500)
    fresh, fresh_labels = three_kinds(20_000, seed=1)
    surrogate = LogisticRegression(C=1.0).fit(*three_kinds(150, seed=2))

    def scores(of: Array) -> Array:
        ordered = np.sort(surrogate.decision_function(of), axis=1)
        return np.asarray(ordered[:, -1] - ordered[:, -2])

    probability = selection.inclusion_probabilities(scores(x))
    found = predict_population(x, labels, probability, 150, 0.02)
    assert isinstance(found, ClassesPrediction)
    t, generator, errors, losses = scores(fresh), np.random.default_rng(3), [], []
    by_class = np.zeros((3, 3))
    for _ in range(40):
        rows = generator.choice(len(fresh), 150, replace=False)
        kept = rows[generator.random(150) < selection.inclusion_probabilities(t[rows])]
        model = LogisticRegression(C=1 / (0.02 * 150)).fit(fresh[kept], fresh_labels[kept])
        p, own = model.predict_proba(fresh), np.searchsorted(found.classes, fresh_labels)
        errors.append(np.mean(p.argmax(axis=1) != own))
        losses.append(-np.log(p[np.arange(len(own)), own]).mean())
        by_class += [np.bincount(p.argmax(axis=1)[own == c], minlength=3) for c in range(3)]
    spread = float(np.std(errors)) / 40**0.5
    allowed = 3 * np.hypot(found.misclassification_sampling_error, spread)
    assert abs(found.misclassification - np.mean(errors)) < allowed < 0.06
    allowed = 3 * np.hypot(found.log_loss_sampling_error, float(np.std(losses)) / 40**0.5)
    assert abs(found.log_loss - np.mean(losses)) < allowed
    real = by_class / by_class.sum(axis=1, keepdims=True)
    assert (np.abs(found.confusion - real) < 3.5 * found.confusion_sampling_errors + 0.02).all()


def test_errors_of_classes_add_up() -> None:
    x, labels = three_kinds(500)
    found = ClassPopulation(x, labels).predict(np.ones(500), 200, 0.01)
    share = np.unique(labels, return_counts=True)[1] / 500
    assert share @ found.class_errors == pytest.approx(found.misclassification, abs=1e-9)
    np.testing.assert_allclose(found.confusion.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(found.coefficients.sum(axis=0), 0, atol=1e-12)
    assert found.caution == ""
    assert found.halved
    # The binomial part alone, and what the labels do to theta beside it.
    binomial = (found.misclassification * (1 - found.misclassification) / 500) ** 0.5
    assert 0.5 * binomial < found.misclassification_sampling_error < 2 * binomial
    assert (found.class_error_sampling_errors > found.misclassification_sampling_error).all()


def test_sampling_error_is_the_spread_over_populations() -> None:
    found = [
        ClassPopulation(*three_kinds(200, 4, seed)).predict(np.ones(200), 150, 0.05)
        for seed in range(16)
    ]
    stated = np.mean([f.misclassification_sampling_error for f in found])
    assert 0.6 < np.std([f.misclassification for f in found], ddof=1) / stated < 1.5


def test_names_of_classes_change_nothing() -> None:
    x, labels = three_kinds(200)
    numbers = np.searchsorted(["cat", "cow", "dog"], labels)
    by_name, by_number = (
        ClassPopulation(x, given).predict(np.ones(200), 100, 0.1, halving=False)
        for given in (labels, numbers * 10 - 7)
    )
    assert list(by_name.classes) == ["cat", "cow", "dog"]
    assert list(by_number.classes) == [-7, 3, 13]
    assert by_name.misclassification == by_number.misclassification


def test_start_does_not_change_the_solution() -> None:
    x, labels = three_kinds(300)
    population = ClassPopulation(x, labels)
    near = population.predict(np.ones(300), 400, 0.05)
    cold = population.predict(np.full(300, 0.5), 200, 0.02)
    warm = population.predict(np.full(300, 0.5), 200, 0.02, start=near)
    assert warm.misclassification == pytest.approx(cold.misclassification, abs=1e-5)
    assert warm.log_loss == pytest.approx(cold.log_loss, abs=3e-5)
    binary = Population(x, np.where(labels == "cat", 1.0, -1.0)).predict(np.ones(300), 50, 0.1)
    with pytest.raises(InvalidFieldError):
        population.predict(np.ones(300), 100, 0.1, start=binary)


def test_curves_take_any_number_of_classes() -> None:
    x, labels = three_kinds(300)
    schemes = [RandomSelection(0.5), TopSelection("easy", 0.5)]
    curves = learning_curves(
        make_population(x, labels), np.abs(x[:, 0] - x[:, 1]), schemes, [60, 200], [0.05]
    )
    assert (curves.status == "CONVERGED").all()
    assert (curves.misclassification.diff("pool_size") < 0).all()
    assert "intercept" not in curves


def test_what_cannot_be_solved_has_a_status() -> None:
    x, labels = three_kinds(60)
    population = ClassPopulation(x, labels)
    for probability, ridge, status in [
        (np.zeros(60), 0.1, Status.EMPTY_SELECTION),
        (labels == "cat", 0.1, Status.ONE_CLASS),
        (labels != "cat", 0.1, Status.CLASS_LEFT_OUT),
    ]:
        found = population.predict(probability.astype(float), 30, ridge)
        assert found.status is status
        assert np.isnan([found.misclassification, *found.confusion.ravel()]).all()
        assert np.isnan(found.coefficients).all()


def test_rare_classes_are_named() -> None:
    x, labels = three_kinds(300)
    few = np.concatenate([np.flatnonzero(labels != "dog"), np.flatnonzero(labels == "dog")[:4]])
    found = ClassPopulation(x[few], labels[few]).predict(np.ones(len(few)), 100, 0.1)
    assert found.rare == ("dog",)
    assert "dog" in found.caution
    assert not found.halved
    short = ClassPopulation(x[:40], labels[:40]).predict(np.ones(40), 50, 0.1)
    assert "per feature" in short.caution
    assert not short.halved


@pytest.mark.parametrize(
    "labels",
    [
        ["a", "b", None, "c"],
        np.array(["a", "b", np.nan, "c"], dtype=object),
        [1.0, np.nan, 2.0, 3.0],
        ["a", "a", "a", "a"],
        np.array(["a", 1, 2, 3], dtype=object),
    ],
)
def test_labels_that_are_no_classes_are_refused(labels: Any) -> None:
    with pytest.raises(InvalidFieldError) as caught:
        ClassPopulation(np.arange(4.0)[:, None], labels)
    assert caught.value.field == "labels"


def test_labels_of_two_classes_of_any_kind() -> None:
    x, labels = three_kinds(60)
    cat = np.where(labels == "cat", "cat", "other")
    assert isinstance(make_population(x, labels), ClassPopulation)
    population = make_population(x, cat)
    assert isinstance(population, Population)
    np.testing.assert_array_equal(population.labels, np.where(labels == "cat", -1, 1))


def test_upper_triangles() -> None:
    np.testing.assert_array_equal(full(np.array([[1.0, 2, 3]]), 2), [[[1, 2], [2, 3]]])
