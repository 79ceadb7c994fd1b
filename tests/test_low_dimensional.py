"""Low-dimensional theory against limits, closed forms, finite differences and simulation."""

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
import sympy as sp
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.special import expit
from scipy.stats import chi2, norm

from simulate.compare import normal_deviates
from simulate.low_dimensional import simulate_risk
from theory import (
    F1,
    HingeLoss,
    InvalidFieldError,
    LogisticLink,
    PowerSelection,
    ProbitLink,
    Problem,
    RandomSelection,
    SingleIndex,
    SquaredLoss,
    predict,
)
from theory.low_dimensional import (
    BinaryLabels,
    FixedSelection,
    GaussianFeatures,
    LinearLabels,
    Model,
    Points,
    Selection,
    SingularInformationError,
    TableSelection,
    WeightedFeatures,
    asymptotic_risk,
    influence_sampling,
    large_samples,
    minimax_selection,
    optimal_biased,
    optimal_biased_curve,
    optimal_unbiased,
    osmac,
    plug_in_risk,
    random_selection,
    symbolic,
    threshold_selection,
)


def _uneven(u: np.ndarray) -> np.ndarray:
    return 0.2 + u**2


def one_sided(side: int, low: float) -> Callable[[np.ndarray], np.ndarray]:
    """Variance 1 on one side of the origin and low on the other."""
    return lambda u: np.where(side * u > 0, 1.0, low)


def logistic(dimension: int = 2, signal: float = 2.0) -> Model:
    return Model(GaussianFeatures(dimension, signal), BinaryLabels(LogisticLink()))


def uneven(dimension: int = 2) -> Model:
    return Model(GaussianFeatures(dimension), LinearLabels(_uneven))


def sample(labels: BinaryLabels | LinearLabels, n: int = 400, p: int = 3) -> Model:
    x = np.random.default_rng(3).standard_normal((n, p)) * [1.0, 2.0, 0.5]
    return Model(WeightedFeatures(x, np.array([1.0, -0.5, 0.3])), labels)


def test_random_selection_has_the_textbook_covariance() -> None:
    # least squares: p sigma^2 / gamma; logistic: Tr H^-1 with H from SciPy's quadrature
    risk = asymptotic_risk(Model(GaussianFeatures(7), LinearLabels(3.0)), random_selection(0.25))
    assert risk.rho == pytest.approx(7 * 3 / 0.25, rel=1e-10)

    def average(power: int) -> float:
        def inside(h: float) -> float:
            return float(norm.pdf(h) * h**power * expit(2 * h) * expit(-2 * h))

        return float(quad(inside, -12, 12, epsabs=1e-14, epsrel=1e-13, limit=200)[0])

    expected = 1 / average(2) + 4 / average(0)
    assert asymptotic_risk(logistic(5), random_selection(1.0)).rho == pytest.approx(
        expected, rel=1e-9
    )
    assert asymptotic_risk(logistic(5), random_selection(1.0), "excess loss").rho == pytest.approx(
        5, rel=1e-10
    )


@pytest.mark.parametrize("p", [1, 2, 30])
@pytest.mark.parametrize("fraction", [0.02, 0.9])
def test_linear_regression_has_its_closed_forms(p: int, fraction: float) -> None:
    model = Model(GaussianFeatures(p), LinearLabels(2.0))
    solved = symbolic.linear_gaussian(sp.Integer(p))
    radius = math.sqrt(chi2.isf(fraction, p))
    values = {symbolic.RADIUS: radius, symbolic.VARIANCE: 2.0}
    best = optimal_biased(model, fraction)
    assert float(solved.biased_fraction.subs(values)) == pytest.approx(fraction, rel=1e-9)
    assert best.rho == pytest.approx(float(solved.biased_rho.subs(values)), rel=1e-8)
    assert best.rho == pytest.approx(2 * p / chi2.sf(radius**2, p + 2), rel=1e-8)
    share = sp.lambdify(symbolic.CONSTANT, solved.unbiased_fraction, ["mpmath"])
    c = brentq(lambda c: float(share(c)) - fraction, 1e-4, 50.0 if p < 3 else 1.0, xtol=1e-14)
    expected = solved.unbiased_rho.subs({symbolic.CONSTANT: c, symbolic.VARIANCE: 2.0})
    assert optimal_unbiased(model, fraction).rho == pytest.approx(float(expected), rel=1e-8)


@pytest.mark.parametrize("size", [1, 2])
def test_the_first_variation_is_derived(size: int) -> None:
    gap = symbolic.derived_variation(size) - symbolic.printed_variation(size)
    rng = np.random.default_rng(0)
    for _ in range(3):
        values = {s: sp.Rational(int(rng.integers(1, 50)), 7) for s in gap.free_symbols}
        assert gap.subs(values) == 0


@pytest.mark.parametrize("labels", [BinaryLabels(LogisticLink()), LinearLabels(_uneven)])
def test_optimal_selections_meet_their_conditions(labels: BinaryLabels | LinearLabels) -> None:
    # by finite differences of rho itself: moving mass between any two points does not lower it
    model = sample(labels)
    for reweight, best in (
        (False, optimal_biased(model, 0.3)),
        (True, optimal_unbiased(model, 0.3)),
    ):
        assert best.gap < 1e-6
        pi = best.selection.probability(model.points())[0]
        assert pi.mean() == pytest.approx(0.3, abs=1e-9)
        step = 1e-5
        rng = np.random.default_rng(1)
        for _ in range(60):
            a, b = rng.choice(np.flatnonzero(pi < 1 - step)), rng.choice(np.flatnonzero(pi > step))
            moved = pi.copy()
            moved[a] += step
            moved[b] -= step
            rho = asymptotic_risk(model, TableSelection(moved, reweight)).rho
            assert rho > best.rho * (1 - 1e-12)


@pytest.mark.parametrize("model", [logistic(1), logistic(3), uneven(2), uneven(6)])
def test_gaussian_optima_beat_other_selections(model: Model) -> None:
    for fraction in (0.02, 0.4, 0.95):
        best = optimal_biased(model, fraction)
        assert best.gap < 1e-6
        assert best.fraction == pytest.approx(fraction, rel=1e-8)
        rules: list[Selection] = [
            random_selection(fraction),
            threshold_selection(model, lambda x: (x.explicit[:, 0] ** 2)[None], fraction),
            threshold_selection(model, lambda x: (-(x.explicit[:, 0] ** 2))[None], fraction),
            threshold_selection(model, lambda x: (x.explicit[:, 0] ** 2 + x.rest)[None], fraction),
        ]
        for rule in rules:
            assert asymptotic_risk(model, rule).rho > best.rho
        assert optimal_unbiased(model, fraction).rho > best.rho


def test_gaussian_rule_agrees_with_many_weighted_points() -> None:
    # an independent route: a product rule in p = 2 as a user's own sample
    h = np.linspace(-9, 9, 151)
    w = norm.pdf(h) / norm.pdf(h).sum()
    x = np.array(list(itertools.product(h, h)))
    features = WeightedFeatures(x, np.array([2.0, 0.0]), np.outer(w, w).ravel())
    weighted = Model(features, BinaryLabels(LogisticLink()))

    def smooth(points: Points) -> np.ndarray:
        return np.asarray(0.2 + 0.6 / (1 + points.explicit[:, 0] ** 2))

    for reweight in (False, True):
        rule = FixedSelection(smooth, reweight)
        expected = asymptotic_risk(weighted, rule).rho
        assert asymptotic_risk(logistic(2), rule).rho == pytest.approx(expected, rel=1e-9)


def test_a_subset_beats_the_full_sample() -> None:
    model = uneven(2)
    full = asymptotic_risk(model, random_selection(1.0)).rho
    fractions = [0.9, 0.8]
    subsets = optimal_biased_curve(model, fractions)
    assert all(best.rho < 0.95 * full for best in subsets)
    # never where the loss is the log likelihood, nor without bias
    likely = asymptotic_risk(logistic(), random_selection(1.0)).rho
    assert all(best.rho > likely for best in optimal_biased_curve(logistic(), fractions))
    assert optimal_unbiased(model, 0.9).rho > full


def test_unbiasedness_costs_without_bound() -> None:
    # mass gamma at 1/sqrt(gamma), the rest at 1: the ratio of optima is (1 + sqrt gamma)^2/4gamma,
    # nearly, which grows without bound; no well-specified law exceeds 1/gamma.
    for fraction in (0.1, 0.01, 0.001):
        x = np.array([[fraction**-0.5], [1.0]])
        features = WeightedFeatures(x, np.ones(1), np.array([fraction, 1 - fraction]))
        model = Model(features, LinearLabels())
        ratio = optimal_unbiased(model, fraction).rho / optimal_biased(model, fraction).rho
        root = math.sqrt(fraction)
        expected = (root + 1 - fraction) ** 2 / (fraction * (2 - fraction) ** 2)
        assert ratio == pytest.approx(expected, rel=1e-6)
        assert 0.25 / fraction < ratio <= 1 / fraction
    # at a fixed fraction it takes uneven noise
    for variance in (1e2, 1e4, 1e6):
        features = WeightedFeatures(np.ones((2, 1)) * [[1], [-1]], np.ones(1))
        noise = LinearLabels(one_sided(1, 1 / variance))
        model = Model(features, noise)
        ratio = optimal_unbiased(model, 0.5).rho / optimal_biased(model, 0.5).rho
        assert ratio > variance / 10


def test_moved_targets_follow_the_selection() -> None:
    # E[pi l'] = 0 at the target, by SciPy's quadrature; and the Bayes error of f1 at any target
    model = Model(GaussianFeatures(3, 2.0), BinaryLabels(F1))

    def hard(points: Points) -> np.ndarray:
        return np.asarray(1 / (1 + points.explicit[:, 0] ** 2))

    risk = asymptotic_risk(model, FixedSelection(hard))
    (target,) = risk.target

    def slope(h: float) -> float:
        wrong = 0.05 * expit(target * h) - 0.95 * expit(-target * h)
        return float(norm.pdf(h) * h * wrong / (1 + h * h))

    assert quad(slope, 0, 12, epsabs=1e-14)[0] == pytest.approx(0, abs=1e-10)
    assert target > model.optimum[0] + 0.1
    assert risk.shift > 0.01
    assert risk.excess_loss > 0
    assert risk.misclassification == pytest.approx(0.05, abs=1e-10)
    assert asymptotic_risk(model, FixedSelection(hard, reweight=True)).shift == 0
    every = threshold_selection(model, lambda x: x.explicit.T, 1.0)
    assert asymptotic_risk(model, every).fraction == pytest.approx(1, abs=1e-11)
    with pytest.raises(InvalidFieldError, match="consistent"):
        optimal_biased(model, 0.5)


def test_knowing_labels_helps() -> None:
    model = logistic(4)
    for fraction in (0.05, 0.5):
        aware = asymptotic_risk(model, influence_sampling(model, fraction)).rho
        free = optimal_unbiased(model, fraction).rho
        mean = asymptotic_risk(model, osmac(model, fraction, "mMSE", "mean")).rho
        assert aware < free < mean
        published = osmac(model, fraction, "mMSE")
        assert asymptotic_risk(model, published).rho == pytest.approx(aware, rel=1e-10)
        assert model.fraction(published) == pytest.approx(fraction, rel=1e-9)
        mvc = osmac(model, fraction, "mVc")
        assert asymptotic_risk(model, mvc).rho > aware
    # the value of labels without a bound at 1, p = 1: (E|l' x|)^2 against (E sqrt(p (1 - p)) |x|)^2
    small = logistic(1, 1.0)
    ratio = asymptotic_risk(small, influence_sampling(small, 0.001)).rho
    ratio /= optimal_unbiased(small, 0.001).rho

    def average(power: float, factor: float) -> float:
        def inside(h: float) -> float:
            return float(norm.pdf(h) * abs(h) * factor * (expit(h) * expit(-h)) ** power)

        return float(quad(inside, -10, 10, points=[0.0])[0])

    assert ratio == pytest.approx((average(1, 2.0) / average(0.5, 1.0)) ** 2, rel=1e-3)


def test_a_better_surrogate_can_select_worse() -> None:
    truth = logistic()

    def divergence(signal: float) -> float:
        def inside(h: float) -> float:
            p, q = expit(2 * h), expit(signal * h)
            return float(norm.pdf(h) * 2 * p * np.log(p / q))  # symmetric in h

        return float(quad(inside, -12, 12)[0])

    modest, bold = 1.5, 2.5
    assert 0 < divergence(bold) < divergence(modest)
    risks = [plug_in_risk(truth, logistic(2, s), 0.1).rho for s in (modest, bold)]
    assert optimal_unbiased(truth, 0.1).rho < risks[0] < risks[1]


def test_plug_in_is_far_from_minimax() -> None:
    # noise on one side of the origin, but which? By symmetry the two weigh the same.
    left, right = (
        Model(
            GaussianFeatures(2),
            LinearLabels(one_sided(side, 1e-4), (0.0,)),
        )
        for side in (-1, 1)
    )
    found = minimax_selection([left, right], 0.2)
    assert 0 <= found.gap < 1e-6
    assert found.weights == pytest.approx((0.5, 0.5), abs=1e-6)
    assert plug_in_risk(right, left, 0.2).rho > 10 * found.worst
    three = [logistic(2, s) for s in (1.0, 3.0, 5.0)]
    found = minimax_selection(three, 0.3)
    assert 0 <= found.gap < 1e-6
    for k in range(3):
        risks = [plug_in_risk(model, three[k], 0.3).rho for model in three]
        assert max(risks) >= found.worst * (1 - 1e-9)


@pytest.mark.parametrize(
    ("data", "scheme"),
    [
        (SingleIndex(LogisticLink(), 2.0), PowerSelection(1.0, 0.4)),
        (SingleIndex(ProbitLink(), 1.5), PowerSelection(-0.5, 0.4, reweight=True)),
        (SingleIndex(F1, 2.0), PowerSelection(0.5, 0.5)),
    ],
)
def test_high_dimensional_theory_tends_to_the_low_dimensional_one(
    data: SingleIndex, scheme: PowerSelection
) -> None:
    limit = large_samples(data, scheme)
    ratios, losses = [], []
    for delta in (1000.0, 2000.0, 4000.0):
        p = predict(Problem(data, scheme, 0.0, delta))
        excess = p.misclassification - limit.misclassification
        ratios.append(delta**limit.power * excess / limit.misclassification_rate - 1)
        losses.append(p.log_loss)
    assert abs(ratios[2]) < 5e-3
    assert ratios[0] / ratios[1] == pytest.approx(2, rel=0.02)  # the error is of order 1/delta
    assert abs(2 * ratios[2] - ratios[1]) < 1e-5
    if data.link == LogisticLink():  # L_inf drops out of differences
        rates = [2000 * (losses[0] - losses[1]), 4000 * (losses[1] - losses[2])]
        assert 2 * rates[1] - rates[0] == pytest.approx(limit.log_loss_rate, rel=1e-4)


def test_simulation_agrees() -> None:
    cases = [
        (logistic(2), optimal_unbiased(logistic(2), 0.4).selection),
        (logistic(2), optimal_biased(logistic(2), 0.4).selection),
        (logistic(2), influence_sampling(logistic(2), 0.3)),
        (logistic(5), osmac(logistic(5), 0.3, "mVc", "mean")),
        (uneven(5), optimal_biased(uneven(5), 0.6).selection),
        (
            Model(GaussianFeatures(2, 2.0), BinaryLabels(LogisticLink(), SquaredLoss())),
            FixedSelection(lambda x: 1 / (1 + x.explicit[:, 0] ** 2)),
        ),
        (
            sample(LinearLabels(_uneven)),
            optimal_biased(sample(LinearLabels(_uneven)), 0.5).selection,
        ),
    ]
    z = []
    for seed, (model, selection) in enumerate(cases):
        found = simulate_risk(model, selection, samples=6000, repeats=80, seed=seed)
        rho = asymptotic_risk(model, selection).rho
        z.append((found.mean - rho) / found.standard_error)
    deviates = normal_deviates(np.array(z), np.full(len(z), 80))
    assert np.abs(deviates).max() < 3.5
    assert chi2.sf((deviates**2).sum(), len(z)) > 1e-3


def test_bad_input_is_refused() -> None:
    x = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    theta = np.ones(2)
    with pytest.raises(InvalidFieldError, match="sum to 1"):
        WeightedFeatures(x, theta, np.array([0.5, 0.6, 0.7]))
    with pytest.raises(InvalidFieldError, match="probabilit"):
        WeightedFeatures(x, theta, np.array([-0.5, 0.5, 1.0]))
    with pytest.raises(InvalidFieldError, match=r"features\.theta"):
        WeightedFeatures(x, np.ones(3))
    flat = Model(WeightedFeatures(np.ones((3, 2)), theta), LinearLabels())
    with pytest.raises(SingularInformationError, match="singular"):
        asymptotic_risk(flat, random_selection(1.0))
    few = Model(WeightedFeatures(x, theta), LinearLabels())
    with pytest.raises(SingularInformationError, match="larger fraction"):
        asymptotic_risk(few, TableSelection(np.array([1.0, 0.0, 0.0])))
    with pytest.raises(InvalidFieldError, match="probability in"):
        asymptotic_risk(few, FixedSelection(lambda points: 2 + points.rest))
    with pytest.raises(InvalidFieldError, match="positive wherever"):
        asymptotic_risk(few, TableSelection(np.array([1.0, 1.0, 0.0]), reweight=True))
    steep = FixedSelection(lambda x: np.exp(-2 * x.explicit[:, 0] ** 2), reweight=True)
    with pytest.raises(InvalidFieldError, match="infinite"):
        asymptotic_risk(logistic(), steep)
    with pytest.raises(InvalidFieldError, match="label-free"):
        influence_sampling(uneven(), 0.3)
    with pytest.raises(InvalidFieldError, match="fraction"):
        optimal_biased(logistic(), 0.0)
    with pytest.raises(InvalidFieldError, match=r"labels\.loss"):
        BinaryLabels(LogisticLink(), HingeLoss())
    with pytest.raises(InvalidFieldError, match="quadratic"):
        asymptotic_risk(logistic(), random_selection(1.0), (1.0, -1.0))
    with pytest.raises(InvalidFieldError, match="surrogate"):
        plug_in_risk(logistic(2), logistic(3), 0.2)
    with pytest.raises(InvalidFieldError, match="candidates"):
        minimax_selection([logistic()], 0.2)
    with pytest.raises(InvalidFieldError, match="1/2 at index 0"):
        large_samples(SingleIndex(LogisticLink(1.0), 2.0), RandomSelection(0.5))
