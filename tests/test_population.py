"""Population equations against the exact theory, real pools, and what defines them."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.integrate import quad
from scipy.special import expit, ndtr, ndtri

from simulate.fitting.fit import fit
from tests.problems import NOISY_STEP, labelled_sample
from theory import (
    HingeLoss,
    InvalidFieldError,
    LogisticLoss,
    Loss,
    PowerSelection,
    Problem,
    RandomSelection,
    SmoothedHingeLoss,
    SquaredLoss,
    Status,
    TopSelection,
    predict,
)
from theory.kinds import Selection
from theory.losses import response
from theory.population import Population
from theory.population_classes import predict_population
from theory.population_curves import learning_curves, standard_schemes
from theory.population_equations import (
    Points,
    Setting,
    log_losses,
    responses,
    solve,
)

Array = NDArray[np.float64]

# Against the limit for Gaussian features.


@pytest.mark.parametrize(
    ("selection", "delta", "ridge"),
    [
        (RandomSelection(1.0), 16, 0.01),
        (PowerSelection(1.0, 0.3), 16, 0.01),
        (PowerSelection(0.5, 0.5, reweight=True), 6, 0.03),
    ],
)
def test_isotropic_features_give_the_limit(selection: Selection, delta: int, ridge: float) -> None:
    p = 64
    problem = Problem(NOISY_STEP, selection, ridge, delta, fit_intercept=True)
    exact, sampling = predict(problem), []
    for n in (1600, 6400):
        x, y = labelled_sample(n, p, seed=n)
        probability = selection.inclusion_probabilities(5 * x[:, 0])
        weights = 1 / probability if selection.reweight else None
        found = predict_population(x, y, probability, delta * p, ridge, weights, halving=True)
        error, log_loss = found.misclassification_sampling_error, found.log_loss_sampling_error
        assert abs(found.misclassification - exact.misclassification) < 3 * error
        assert abs(found.log_loss - exact.log_loss) < 3 * log_loss
        sampling.append(error)
    assert sampling[1] < 0.6 * sampling[0] < 0.01


def test_finite_size_effect_of_the_intercept() -> None:
    """Simulation at p = 200 gives .269(1), the limit .2617; h and labels are spread evenly here."""
    n, p = 6000, 200
    h = ndtri((np.arange(n) + 0.5) / n)
    x, _ = labelled_sample(n, p)
    x[:, 0] = h
    y = np.sign(h) * np.where(np.arange(n) % 20 == 7, -1.0, 1.0)  # one label in twenty is wrong
    probability = PowerSelection(-1.0, 0.3).inclusion_probabilities(5 * h)
    found = predict_population(x, y, probability, 458, 0.1)
    assert found.misclassification == pytest.approx(0.269, abs=0.003)
    assert found.misclassification > 0.2617 + 0.003


@pytest.mark.parametrize("halving", [False, True])
def test_sampling_error_is_the_spread_over_populations(halving: bool) -> None:
    selection, errors, stated = PowerSelection(-1.0, 0.3), [], []
    for seed in range(40):
        x, y = labelled_sample(640, 32, seed)
        probability = selection.inclusion_probabilities(5 * x[:, 0])
        found = Population(x, y).predict(probability, 73, 0.1, halving=halving)
        errors.append(found.misclassification)
        stated.append(found.misclassification_sampling_error)
    assert 0.7 < np.std(errors) / np.mean(stated) < 1.35  # 40 draws tell 11 %


def test_halving_removes_the_bias() -> None:
    problem = Problem(NOISY_STEP, RandomSelection(1.0), 0.01, 16.0, fit_intercept=True)
    exact, found = predict(problem).misclassification, []
    for seed in range(24):
        x, y = labelled_sample(640, 32, seed)
        population = Population(x, y)
        noise = np.mean(y * x[:, 0] < 0) - 0.05  # sampling error of the labels
        found.append(
            [population.predict(np.ones(640), 512, 0.01, halving=h).misclassification - noise
             for h in (False, True)]
        )  # fmt: skip
    plain, halved = np.mean(found, axis=0) - exact
    error = np.std(found, axis=0)[1] / 24**0.5
    assert plain > 0.01
    assert abs(halved) < 3 * error < 0.01


def test_points_are_counted_by_their_part_in_the_fit() -> None:
    x, y = labelled_sample(400, 5, seed=1)
    population, half = Population(x, y), (np.arange(400) < 200) / 1.0
    ramp = (np.arange(400) + 1) / 400
    for probability, weights, expected in [
        (np.full(400, 0.2), None, 80.0),
        (half, None, 40.0),
        (ramp, 1 / ramp, 80.0),
        (ramp, None, 60.0),  # (1/2)^2 / (1/3) of all
        (half * (np.arange(400) < 70), None, 14.0),
    ]:
        found = population.predict(probability, 100, 0.1, weights)
        assert found.points_per_dimension == pytest.approx(expected, rel=0.01)
        assert found.halved == (expected >= 15) == (not found.caution)


# Against pools drawn from a population that is not Gaussian.


def relu_population(n: int, generator: np.random.Generator) -> tuple[Array, Array]:
    """Random rectified features of six normal coordinates; the labels depend on a product."""
    u = generator.standard_normal((n, 6))
    mixing = np.random.default_rng(7).standard_normal((6, 24))
    x = np.maximum(u @ mixing / 6**0.5 + 0.3, 0)
    return x, np.where(generator.random(n) < expit(3 * (u[:, 0] + u[:, 1] * u[:, 2])), 1.0, -1.0)


@pytest.mark.parametrize(
    "selection",
    [RandomSelection(1.0), PowerSelection(1.0, 0.3, reweight=True), PowerSelection(-1.0, 0.3)],
    ids=str,
)
def test_real_pools(selection: Selection) -> None:
    generator = np.random.default_rng(3)
    size, repeats, ridge = 300, 40, np.full(40, 0.01)
    x, y = relu_population(3000, generator)
    fresh, fresh_labels = relu_population(8000, generator)
    score = np.array([1.0, -1.0] * 12)
    probability = selection.inclusion_probabilities(x @ score)
    weights = 1 / probability if selection.reweight else None
    found = predict_population(x, y, probability, size, 0.01, weights)
    errors = []
    for _ in range(repeats):
        pool, labels = relu_population(size, generator)
        pi = selection.inclusion_probabilities(pool @ score)
        kept = (generator.random(size) < pi) / (pi if selection.reweight else 1.0)
        fits = fit(pool, labels, kept[:, None], size, ridge[:1], LogisticLoss(), True)
        outputs = fresh @ fits.coefficients[:, 0] + fits.intercepts[0]
        errors.append(np.mean(fresh_labels * outputs < 0))
    allowed = np.hypot(found.misclassification_sampling_error, np.std(errors) / repeats**0.5)
    assert allowed < 0.012
    assert abs(found.misclassification - np.mean(errors)) < 3 * allowed


@pytest.mark.parametrize("reweight", [False, True])
def test_mean_and_covariance_of_ridge_regression(reweight: bool) -> None:
    """Squared loss: pools drawn with replacement from the very points, solved in closed form."""
    generator = np.random.default_rng(2)
    n, size, repeats, ridge = 400, 120, 1500, 0.1
    x, y = relu_population(n, generator)
    x = x[:, :12]
    probability = 0.2 + 0.8 * generator.random(n)
    weight = 1 / probability if reweight else np.ones(n)
    penalty = np.full(12, ridge)
    found = solve(Points(x, y, SquaredLoss()), Setting(probability, weight, size, penalty))
    outputs = np.empty((repeats, n))
    for k in range(repeats):
        drawn = generator.integers(n, size=size)
        s = weight[drawn] * (generator.random(size) < probability[drawn])
        a, b = x[drawn], y[drawn]
        outputs[k] = x @ np.linalg.solve(
            (a.T * s) @ a / size + np.diag(penalty), a.T @ (s * b) / size
        )
    deviation = np.sqrt(found.state.variance)
    shift = (outputs.mean(axis=0) - x @ found.state.theta) / deviation
    assert np.sqrt(np.mean(shift**2)) < 0.1  # of a deviation; terms of order 1/N are left
    assert np.mean(outputs.var(axis=0) / deviation**2) == pytest.approx(1, abs=0.07)


# What defines the equations.


@pytest.mark.parametrize("loss", [LogisticLoss(), SmoothedHingeLoss(0.5), HingeLoss()], ids=str)
def test_responses_are_integrals_and_their_derivatives(loss: Loss) -> None:
    margin = np.array([-3.0, 0.4, 1.0, 30.0, -12.0, 0.9])
    deviation = np.array([0.02, 1.0, 5.0, 20.0, 8.0, 0.3])
    v = np.array([0.5, 1e-3, 200.0, 3.0, 30.0, 1.0])
    weight = np.array([1.0, 4.0, 1.0, 0.5, 2.0, 1.0])
    found = responses(margin, deviation, v, weight, loss)
    step = 1e-5 * deviation
    ahead = responses(margin + step, deviation, v, weight, loss).slope
    behind = responses(margin - step, deviation, v, weight, loss).slope
    np.testing.assert_allclose(found.curvature, (ahead - behind) / (2 * step), atol=2e-5, rtol=2e-4)
    for i in range(6):
        eta = v[i] * weight[i]
        kinks = [(float(k) - margin[i]) / deviation[i] for k in loss.kinks(eta)]

        def integrand(g: float, power: int, i: int = i, eta: float = eta) -> float:
            gap, _ = response(loss, margin[i] + deviation[i] * np.array([g]), eta)
            density = np.exp(-(g**2) / 2) / np.sqrt(2 * np.pi)
            return float((gap[0] / v[i]) ** power * density)

        for power, value in ((1, found.slope[i]), (2, found.slope_squared[i])):
            inner = [k for k in kinks if abs(k) < 8] or None
            exact, _ = quad(integrand, -8, 8, args=(power,), points=inner, epsabs=1e-9, limit=200)
            assert value == pytest.approx(exact, abs=1e-6, rel=1e-6)


def test_log_losses_and_their_slope() -> None:
    margin, deviation = np.array([-4.0, 0.2, 3.0]), np.array([0.1, 2.0, 12.0])
    loss, slope = log_losses(margin, deviation)
    ahead, behind = log_losses(margin + 1e-4, deviation)[0], log_losses(margin - 1e-4, deviation)[0]
    np.testing.assert_allclose(slope, (ahead - behind) / 2e-4, atol=1e-8)
    draws = margin + deviation * ndtri((np.arange(200_000)[:, None] + 0.5) / 200_000)
    np.testing.assert_allclose(loss, np.logaddexp(0, -draws).mean(axis=0), rtol=2e-4)


@pytest.mark.parametrize("loss", [LogisticLoss(), SmoothedHingeLoss(0.5), HingeLoss()], ids=str)
def test_points_are_tested_without_themselves(loss: Loss) -> None:
    """The margin of a few points against that of a solution without each."""
    x, y = labelled_sample(120, 6, seed=4)
    design = np.hstack([x, np.ones((120, 1))])
    penalty = np.array([0.02] * 6 + [0.0])
    setting = Setting(np.full(120, 0.8), np.ones(120), 60, penalty)
    points = Points(design, y, loss)
    state = solve(points, setting).state
    margin = y * (design @ state.theta)
    r = responses(margin, np.sqrt(state.variance), state.v, setting.weight, loss)
    h = setting.probability * setting.pool_size * state.v / 120
    correction = h / (1 - h * r.curvature) * r.slope
    for i in np.argsort(correction)[[0, 1, 5, 40]]:
        without = setting.probability.copy()
        without[i] = 0
        left = solve(points, setting._replace(probability=without)).state
        true = y[i] * (design[i] @ left.theta) - margin[i]
        assert correction[i] == pytest.approx(true, rel=0.2, abs=1e-3)


def test_solution_does_not_depend_on_the_start_nor_on_shifts() -> None:
    x, y = labelled_sample(800, 20)
    population = Population(x, y)
    probability = TopSelection("hard", 0.4).inclusion_probabilities(5 * x[:, 0])
    cold = population.predict(probability, 400, 0.01)
    far = population.predict(np.ones(800), 50, 1.0)
    warm = population.predict(probability, 400, 0.01, start=far)
    assert cold.misclassification == pytest.approx(warm.misclassification, abs=1e-6)
    shifted = Population(x + 3.0, y).predict(probability, 400, 0.01)
    assert shifted.misclassification == pytest.approx(cold.misclassification, abs=1e-6)
    assert shifted.intercept == pytest.approx(
        cold.intercept - 3 * cold.coefficients.sum(), abs=1e-5
    )


def test_identities() -> None:
    x, y = labelled_sample(600, 10)
    population = Population(x, y)
    half, whole = np.full(600, 0.5), np.ones(600)
    biased = population.predict(half, 300, 0.01 * 0.5)
    unbiased = population.predict(half, 300, 0.01, 2 * whole)
    assert biased.misclassification == pytest.approx(unbiased.misclassification, abs=1e-6)
    twice = Population(np.vstack([x, x]), np.append(y, y)).predict(np.ones(1200), 300, 0.01)
    once = population.predict(whole, 300, 0.01)
    np.testing.assert_allclose(twice.coefficients, once.coefficients, atol=1e-6)


def test_learning_curves() -> None:
    x, y = labelled_sample(600, 8)
    schemes = [*standard_schemes([0.4, 1.0], alphas=[1.0]), PowerSelection(2.0, 1.0)]
    curves = learning_curves(Population(x, y), 5 * x[:, 0], schemes, [50, 200], [0.1, 0.01])
    assert curves.misclassification.shape == (7, 2, 2)
    assert (curves.status == "CONVERGED").all()
    np.testing.assert_allclose(curves.fraction, [0.4] * 5 + [1.0] * 2)
    all_kept = curves.misclassification.isel(selection=[-2, -1]).values
    np.testing.assert_allclose(all_kept[0], all_kept[1], atol=1e-6)
    alone = predict_population(
        x, y, schemes[1].inclusion_probabilities(5 * x[:, 0]), 200, 0.01
    ).misclassification
    assert float(curves.misclassification[1, 1, 1]) == pytest.approx(alone, abs=1e-6)


# Input, and what cannot be solved.


def test_wrong_input_is_refused_by_name() -> None:
    x, y = labelled_sample(50, 4)
    one = np.ones(50)
    for field, features, labels in [
        ("labels", x, (y + 1) / 2),
        ("labels.shape", x, y[:-1]),
        ("features", np.full_like(x, np.nan), y),
        ("features.shape", x[0], y),
    ]:
        with pytest.raises(InvalidFieldError) as caught:
            Population(features, labels)
        assert caught.value.field == field
    population = Population(x, y)
    for field, arguments in [
        ("inclusion_probabilities", (2 * one, 10, 0.1)),
        ("inclusion_probabilities.shape", (one[:3], 10, 0.1)),
        ("pool_size", (one, 0, 0.1)),
        ("ridge", (one, 10, -0.1)),
        ("weights", (one, 10, 0.1, -one)),
        ("halving", (one, 10, 0.1, None, "yes")),
    ]:
        with pytest.raises(InvalidFieldError) as caught:
            population.predict(*arguments)  # type: ignore[arg-type]
        assert caught.value.field == field
    other = Population(x[:, :2], y).predict(one, 10, 0.1)
    with pytest.raises(InvalidFieldError, match="start"):
        population.predict(one, 10, 0.1, start=other)


def test_nearly_separable_data() -> None:
    """Two classes seven deviations apart: fits hardly err down to a ridge of 1e-6, none without."""
    generator = np.random.default_rng(0)
    y = generator.choice([-1.0, 1.0], 800)
    x = generator.standard_normal((800, 8))
    x[:, 0] += 3.5 * y
    population = Population(x, y)
    for ridge in (1e-2, 1e-4, 1e-6):
        for size in (100, 1000):
            found = population.predict(np.ones(800), size, ridge)
            assert found.status is Status.CONVERGED
            error = found.misclassification_sampling_error
            assert error < 1.5e-3
            assert abs(found.misclassification - ndtr(-3.5)) < 1e-3 + 3 * error
    without = population.predict(np.ones(800), 1000, 0.0)
    assert without.status is Status.NOT_CONVERGED
    assert np.isnan(without.misclassification)


def test_what_cannot_be_solved_has_a_status() -> None:
    x, y = labelled_sample(50, 4)
    population = Population(x, y)
    for probability, ridge, status in [
        (np.zeros(50), 0.1, Status.EMPTY_SELECTION),
        ((y > 0).astype(float), 0.1, Status.ONE_CLASS),
        ((np.arange(50) < 3).astype(float), 0.0, Status.NOT_CONVERGED),
    ]:
        found = population.predict(probability, 30, ridge)
        assert found.status is status
        assert np.isnan([found.misclassification, found.intercept, *found.coefficients]).all()
    assert "12.5 labelled points per feature" in population.predict(np.ones(50), 30, 0.1).caution
