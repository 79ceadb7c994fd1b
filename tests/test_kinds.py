"""Kinds from outside the packages: accepted everywhere, and told apart from broken ones."""

import math
import pickle
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.special import ndtr

import theory
from simulate import KindError, Plan, check_kind, estimate, process_pool, run
from simulate.sweep_file import read_sweep
from tests.own_kinds import (
    Cohorts,
    Highest,
    HingeTrained,
    Lapses,
    NearZero,
    SquaredHinge,
    Stratified,
    Tilted,
)
from theory import (
    F1,
    ConvergenceError,
    DataModel,
    GaussianClusters,
    GaussianMixture,
    GivenSurrogate,
    HingeLoss,
    InvalidFieldError,
    LabelCurve,
    LogisticLink,
    LogisticLoss,
    PerfectSurrogate,
    PowerSelection,
    ProbitLink,
    Problem,
    RandomSelection,
    Rule,
    Score,
    ScoreLaw,
    SingleIndex,
    SmoothedHingeLoss,
    SquaredLoss,
    Status,
    Steps,
    TabulatedSelection,
    TopSelection,
    TrainedSurrogate,
    predict,
    predict_all,
    sweep,
)
from theory.features import Features
from theory.kind_checks import complaints
from theory.prediction import case_of, score_of

Array = NDArray[np.float64]

DATA = SingleIndex(LogisticLink(), 2.0)
OWN = Problem(
    data=Cohorts(1.0, (0.3, 1.0)),
    surrogate=Tilted(0.4),
    selection=NearZero(1.5),
    loss=SquaredHinge(),
    ridge=0.1,
    samples_per_dimension=3.0,
)


def with_selection(selection: Any) -> Problem:
    return Problem(DATA, selection, 0.1, 4.0)


# Own kinds do all that the packages' kinds do.


@pytest.mark.parametrize(
    "kind",
    [
        SquaredHinge(),
        Lapses(),
        Cohorts(1.0, (0.3, 1.0)),
        Tilted(0.4),
        HingeTrained(5.0),
        NearZero(1.5),
        NearZero(1.5, reweight=True),
        Highest(0.3),
        Stratified(0.5),
    ],
    ids=lambda kind: type(kind).__name__,
)
def test_own_kinds_pass_their_check(kind: Any) -> None:
    check_kind(kind, dimension=120, repeats=12)


BUILT_IN = [
    LogisticLoss(),
    SquaredLoss(),
    HingeLoss(),
    SmoothedHingeLoss(0.5),
    F1,
    LogisticLink(0.3),
    ProbitLink(),
    SingleIndex(theory.F2, 5.0),
    GaussianMixture(1.0, 0.2, 0.1),
    GaussianClusters((-2.0, 0.0, 2.0), (0.25, 0.5, 0.25), (1.0, 0.0, 1.0)),
    PerfectSurrogate(),
    GivenSurrogate(1.0, 0.5),
    TrainedSurrogate(4.0, 0.1),
    RandomSelection(0.3),
    *(PowerSelection(a, g) for a in (-8.0, -0.5, 1.0, 5.0) for g in (0.05, 0.8)),
    PowerSelection(-1.0, 0.05, score_clip=math.inf),
    TopSelection("hard", 0.2),
    TopSelection("easy", 0.2),
    theory.BandSelection(0.3, 2.5),
    theory.QuantileBandSelection(0.2, 0.3),
    TabulatedSelection((-1.0, 0.0, 1.0), (0.2, 0.9, 0.4)),
]


def test_every_public_kind_is_what_it_says() -> None:
    for kind in BUILT_IN:
        assert not list(complaints(kind)), kind
    checked = {type(kind).__name__ for kind in BUILT_IN}
    ends = ("Link", "Loss", "Selection", "Surrogate")
    answers = {"OptimalSelection", "PopulationSurrogate", "RobustSelection"}  # no kinds
    public = {name for name in theory.__all__ if name.endswith(ends)} - {*ends, *answers}
    assert public <= checked


def test_a_sweep_a_store_and_a_worker_take_own_kinds(tmp_path: Path) -> None:
    result = sweep(OWN, {"selection.scale": [0.5, 2.0], "data.shift": [1.0]})
    assert result.status.values.tolist() == [["CONVERGED"], ["CONVERGED"]]
    plan = Plan((OWN, OWN.replace({"surrogate.angle": 0.0})), (30,), repeats=2)
    with process_pool(1) as pool:
        values = run(plan, tmp_path / "store", pool)
    assert np.isfinite(values).all()
    np.testing.assert_array_equal(run(plan, tmp_path / "store"), values)


MODULE = """
from dataclasses import dataclass
import numpy as np
from theory import Selection

@dataclass(frozen=True)
class Beyond(Selection):
    scale: float
    kinks = (0.0,)

    def inclusion_probabilities(self, scores):
        return 1 - np.exp(-np.abs(scores) / self.scale)

NUMBER = 3
"""

SWEEP = """
[problem]
ridge = 0.1
samples_per_dimension = 2.0
data = {kind = "SingleIndex", link = {kind = "tests.own_kinds:Lapses", rate = 0.2}}
selection = {kind = "beyond_the_packages:Beyond", scale = 1.5}

[axes]
loss = [{kind = "LogisticLoss"}, {kind = "tests.own_kinds:SquaredHinge"}]

[simulation]
dimensions = [30]
data_sets = 2
"""


def test_a_sweep_file_names_kinds_by_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.path", __import__("sys").path.copy())
    (tmp_path / "beyond_the_packages.py").write_text(MODULE)
    path = tmp_path / "sweep.toml"
    path.write_text(SWEEP)
    described = read_sweep(path)
    first, second = described.problems
    assert (first.data, second.loss) == (SingleIndex(Lapses(0.2)), SquaredHinge())
    assert {p.status for p in predict_all(described.problems)} == {Status.CONVERGED}
    (plan,) = described.plans().values()
    with process_pool(1) as pool:  # which imports the module that lies beside the file
        assert np.isfinite(run(plan, None, pool)).all()
    for wrong, said in (
        ("nowhere_at_all:Beyond", "No module named"),
        ("beyond_the_packages:Behind", "no attribute"),
        ("beyond_the_packages:NUMBER", "of a dataclass"),
        ("Beyond", "module:Name"),
    ):
        path.write_text(SWEEP.replace("beyond_the_packages:Beyond", wrong))
        with pytest.raises(InvalidFieldError, match=said):
            read_sweep(path)


@pytest.mark.fault(number=2)
def test_problems_whose_reprs_are_alike_are_not_mixed_up() -> None:
    """Fits run together where data and loss are equal, not where they print the same."""
    first, second = (OWN.replace({"loss": loss}) for loss in (Quiet(0.1), Quiet(3.0)))
    assert repr(first) == repr(second)
    plan = Plan((first, second), (40,), repeats=1)
    together = run(plan)[0, :, 0, 0]
    apart = [run(Plan((p,), (40,), repeats=1))[0, 0, 0, 0] for p in (first, second)]
    np.testing.assert_allclose(together, apart, rtol=1e-6)
    assert abs(apart[0] - apart[1]) > 1e-4


@dataclass(frozen=True)
class Quiet(SmoothedHingeLoss):
    width: float = field(default=1.0, repr=False)


def test_a_perfect_surrogate_adds_the_intercept_of_any_link() -> None:
    assert SingleIndex(Shifted(0.7), 2.0).true_score == Score(2.0, 0.0, 0.7)
    assert SingleIndex(Lapses(), 2.0).true_score == Score(2.0, 0.0, 0.0)


@dataclass(frozen=True)
class Shifted:
    intercept: float
    jumps: ClassVar[tuple[float, ...]] = ()

    def probability(self, index: Array) -> Array:
        return np.asarray(ndtr(index + self.intercept))


def test_a_label_model_with_jumps_is_averaged_over_the_noise() -> None:
    """Without steps too, against adaptive quadrature; a Gauss rule across the jump errs by 1e-3."""
    (curve,) = SingleIndex(Lapses(), 1.0).label_curves
    for mean, deviation in ((0.1, 0.4), (0.6, 1.5)):
        found = curve.smoothed(np.array([mean]), deviation)

        def averaged(power: int, m: float = mean, d: float = deviation) -> float:
            def integrand(x: float) -> float:
                f = float(curve.probability(np.array(m + d * x)))
                hermite = (1.0, x / d, (x**2 - 1) / d**2)[power]
                return hermite * f * math.exp(-(x**2) / 2) / math.sqrt(2 * math.pi)

            return float(quad(integrand, -9, 9, points=[(0.5 - m) / d], epsabs=1e-13, limit=200)[0])

        for power in range(3):
            assert found[power][0] == pytest.approx(averaged(power), abs=1e-11)


def test_a_surrogate_trained_with_the_logistic_loss_is_the_built_in_one() -> None:
    own = score_of(Problem(DATA, RandomSelection(0.5), 0.1, 2.0, LogisticTrained(6.0)))
    assert own == score_of(Problem(DATA, RandomSelection(0.5), 0.1, 2.0, TrainedSurrogate(6, 0.1)))
    hinge = score_of(Problem(DATA, RandomSelection(0.5), 0.1, 2.0, HingeTrained(6.0)))
    assert abs(hinge.beta_0 - own.beta_0) > 0.01


@dataclass(frozen=True)
class LogisticTrained(HingeTrained):
    def source(self, data: DataModel) -> theory.Training:
        return theory.Training(data, 0.1, self.samples_per_dimension)


def test_features_are_read_by_name() -> None:
    features = Features(has_error_direction=True, has_intercept=True)
    assert features.read(np.array([1.0, 2.0, 3.0])) == (1.0, 2.0, 3.0)
    np.testing.assert_array_equal(features.penalty(0.5), [0.5, 0.5, 0.0])
    alone = Features(has_error_direction=False, has_intercept=True)
    assert alone.read(np.array([1.0, 3.0])) == (1.0, 0.0, 3.0)
    problem = Problem(DATA, NearZero(1.0), 0.1, 2.0, GivenSurrogate(1.0, 0.5), fit_intercept=True)
    case = case_of(problem, score_of(problem))
    assert case.features.names == ("h", "s", "intercept")
    np.testing.assert_array_equal(case.setting.penalty, [0.1, 0.1, 0.0])


# What has no theory, or a wrong one, is refused.


def test_a_selection_without_theory_is_simulated_only() -> None:
    problem = with_selection(Stratified(0.5))
    with pytest.raises(ConvergenceError, match=r"has no theory.*simulate"):
        predict(problem)
    assert predict_all([problem])[0].status is Status.NO_THEORY
    assert estimate(problem, 30, 2).fraction.mean == pytest.approx(0.5, abs=0.15)


def test_a_wrong_proximal_map_is_refused_at_the_first_solve() -> None:
    with pytest.raises(InvalidFieldError, match=r"v \+ eta slope\(v\) = m") as caught:
        predict(OWN.replace({"loss": WrongProx()}))
    assert isinstance(pickle.loads(pickle.dumps(caught.value)), InvalidFieldError)
    with pytest.raises(InvalidFieldError, match="contraction"):
        predict(OWN.replace({"loss": WrongCurvature()}))


def test_a_rule_with_unnamed_kinks_does_not_converge() -> None:
    """Its constant is off, so that it keeps 0.805 in place of 0.8."""
    problem = with_selection(Unnamed(0.8))
    (prediction,) = predict_all([problem])
    assert 1e-6 < abs(prediction.fraction - 0.8) < 0.01
    assert prediction.status is Status.UNFAITHFUL_RULE
    with pytest.raises(ConvergenceError, match=r"name in Rule\.kinks"):
        predict(problem)
    assert predict(with_selection(Named(0.8))).fraction == pytest.approx(0.8, abs=1e-12)


def test_a_slightly_wrong_fraction_is_part_of_the_error_estimate() -> None:
    exact = predict(with_selection(Named(0.8)))
    off = predict(with_selection(Named(0.8, wrong=4e-7)))
    gap = abs(off.misclassification - exact.misclassification)
    assert gap < off.error_estimate
    assert 3e-7 < off.error_estimate < 1e-6
    assert exact.error_estimate < 1e-8


@dataclass(frozen=True)
class Unnamed(theory.FixedFraction):
    """Two levels; the law's own quadrature, without the kinks, fits the threshold."""

    fraction: float

    def rule(self, tau: float) -> Rule:
        return Rule(lambda t: np.where(np.abs(t) < tau, 1.0, 0.3))

    def law_rule(self, law: ScoreLaw) -> Rule:
        def excess(tau: float) -> float:
            return self.rule(tau).expected(law) - self.fraction

        return self.rule(float(brentq(excess, 1e-3, law.largest)))

    def inclusion_probabilities(self, scores: Array) -> Array:
        order = np.argsort(np.abs(scores))
        hard = round((self.fraction - 0.3) / 0.7 * scores.size)
        pi = np.full(scores.shape, 0.3)
        pi[order[:hard]] = 1.0
        return pi


@dataclass(frozen=True)
class Named(Unnamed):
    wrong: float = 0.0

    def rule(self, tau: float) -> Rule:
        p = 1.0 - self.wrong
        return Rule(lambda t: np.where(np.abs(t) < tau, p, 0.3 * p), (tau, -tau))

    def law_rule(self, law: ScoreLaw) -> Rule:
        inside = (self.fraction - 0.3) / 0.7
        tau = brentq(lambda b: law.probability_within(b) - inside, 0.0, law.largest, xtol=1e-15)
        return self.rule(tau)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"data": SingleIndex}, "this is a class"),
        ({"data": Tilted(0.1)}, "have means, weights, label_curves"),
        ({"surrogate": SquaredHinge()}, "have source"),
        ({"selection": Lapses()}, "derived from it"),
        ({"surrogate": GivenSurrogate(1.0, 0.5), "loss": LogisticLoss}, "this is a class"),
    ],
)
def test_a_problem_says_what_a_part_lacks(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidFieldError, match=said):
        OWN.replace(changes)


def test_what_cannot_be_hashed_is_refused() -> None:
    with pytest.raises(InvalidFieldError, match=r"data = .*hashable.*tuples"):
        OWN.replace({"data": Cohorts(1.0, [0.3, 1.0])})  # type: ignore[arg-type]


# Broken kinds, and what is said of each.


class WrongProx(SquaredHinge):
    def prox(self, margin: Any, eta: Any) -> Any:
        return jnp.where(margin < 1, (margin + eta) / (1 + 1.01 * eta), margin)


class WrongCurvature(SquaredHinge):
    def curvature(self, margin: Any) -> Any:
        return jnp.where(margin < 1, 1.1, 0.0)


class WrongSlope(SquaredHinge):
    def value(self, margin: Any) -> Any:
        return jnp.maximum(1 - margin, 0) ** 2


class NoKinks(SquaredHinge):
    def kinks(self, eta: Any) -> tuple[Any, ...]:
        return ()


class FalseStrip(SquaredHinge):
    strip: ClassVar[float] = 2.0


class TooWideStrip(LogisticLoss):
    strip: ClassVar[float] = 3 * math.pi


class FalselyLinear(LogisticLoss):
    bend_width: ClassVar[float] = math.inf
    strip: ClassVar[float] = 0.0


class FalselySmooth(HingeLoss):
    smooth: ClassVar[bool] = True


class NotConvex(SquaredLoss):
    def slope(self, margin: Any) -> Any:
        return 1 - margin


class NumpyOnly(SquaredLoss):
    def prox(self, margin: Any, eta: Any) -> Any:
        return (np.asarray(margin) + eta) / (1 + eta)


class TooLikely(Lapses):
    def probability(self, index: Array) -> Array:
        return 1.2 * super().probability(index)


class NoJumps(Lapses):
    @property
    def jumps(self) -> tuple[float, ...]:
        return ()


@dataclass(frozen=True)
class WrongSteps:
    jumps: ClassVar[tuple[float, ...]] = ()

    def probability(self, index: Array) -> Array:
        return np.asarray(ndtr(index))

    def steps(self) -> Steps:
        return Steps(0.0, (1.0,), (0.0,), (1.1,))


@dataclass(frozen=True)
class Steep:
    jumps: ClassVar[tuple[float, ...]] = ()

    def probability(self, index: Array) -> Array:
        return np.asarray(ndtr(30 * index) / 100 + ndtr(index) * 0.99)


class Massless(Cohorts):
    @property
    def weights(self) -> tuple[float, ...]:
        return (0.4, 0.5)


class NotBayes(Cohorts):
    def label_probability(self, h: Array) -> Array:
        return np.asarray(ndtr(h / self.widths[0]))


class ConstantTruth(Cohorts):
    @property
    def true_score(self) -> Any:
        return Score(0.0)


class OneCurve(Cohorts):
    @property
    def label_curves(self) -> tuple[LabelCurve, ...]:
        return (LabelCurve.constant(0.5),)


class NegativeError(Tilted):
    def source(self, data: DataModel) -> Score:
        return Score(1.0, -0.5)


class ConstantScore(Tilted):
    def source(self, data: DataModel) -> Score:
        return Score(0.0, 0.0, 1.0)


class JustNumbers(Tilted):
    def source(self, data: DataModel) -> Any:
        return 1.0, 0.5


class UnnamedCorner(NearZero):
    @property
    def kinks(self) -> tuple[float, ...]:
        return ()


class AboveOne(NearZero):
    def inclusion_probabilities(self, scores: Array) -> Array:
        return 1.5 * super().inclusion_probabilities(scores)


class TwoFractions(Highest):
    def inclusion_probabilities(self, scores: Array) -> Array:
        return np.full(scores.shape, self.fraction / 2)


class AnotherRule(Highest):
    def inclusion_probabilities(self, scores: Array) -> Array:
        return Highest(self.fraction).inclusion_probabilities(-scores)


class ByPlace(NearZero):
    def inclusion_probabilities(self, scores: Array) -> Array:
        return np.linspace(0, 1, scores.size)


class InPlace(NearZero):
    def inclusion_probabilities(self, scores: Array) -> Array:
        np.abs(scores, out=scores)
        return super().inclusion_probabilities(scores)


class SmallPoolsWhole(Highest):
    """Right on large pools, so that only a simulation tells."""

    def inclusion_probabilities(self, scores: Array) -> Array:
        return (
            super().inclusion_probabilities(scores) if scores.size > 1000 else np.ones(scores.shape)
        )


@dataclass(unsafe_hash=True)
class Changeable:
    beta_0: float

    def source(self, data: DataModel) -> Score:
        return Score(self.beta_0)


@dataclass(frozen=True)
class Forgetful(Tilted):
    size: float = field(default=2.0, compare=False)


@dataclass(frozen=True)
class AddressInRepr(Tilted):
    def __repr__(self) -> str:
        return object.__repr__(self)


@dataclass(frozen=True)
class Unpicklable(Tilted):
    def __reduce__(self) -> Any:
        raise TypeError("stays here")


def local_class() -> Any:
    @dataclass(frozen=True)
    class Local(Tilted):
        pass

    return Local(0.1)


COHORTS = (1.0, (0.3, 1.0))
BROKEN: list[tuple[Any, str]] = [
    (WrongProx(), r"v \+ eta slope\(v\) = m"),
    (WrongCurvature(), "curvature must be the derivative of slope"),
    (WrongSlope(), "slope must be the derivative of value"),
    (NoKinks(), "kinks must name where the slope of prox jumps"),
    (FalseStrip(), "strip = 2 is too wide"),
    (TooWideStrip(), "too wide"),
    (FalselyLinear(), "bend_width is inf"),
    (FalselySmooth(), "must solve|smooth must be False"),
    (NotConvex(), "convex"),
    (NumpyOnly(), "a method fails: TracerArrayConversionError"),
    (TooLikely(), "probability must be a probability"),
    (NoJumps(), "no jump or bend is named"),
    (WrongSteps(), "steps are not the same function"),
    (Steep(), "jumps or bends between|averaged numerically"),
    (Massless(*COHORTS), "sum to 0.9"),
    (NotBayes(*COHORTS), "Bayes"),
    (ConstantTruth(*COHORTS), "true_score must be"),
    (OneCurve(*COHORTS), "one entry for every component"),
    (NegativeError(0.1), "beta_s >= 0"),
    (ConstantScore(0.1), "constant score"),
    (JustNumbers(0.1), "must give a Score or a Training, and gives a tuple"),
    (UnnamedCorner(1.0), "does not name"),
    (AboveOne(1.0), r"must be a probability in \[0, 1\]"),
    (TwoFractions(0.3), "keep 0.15000 of the pool, not 0.3"),
    (Named(0.8, wrong=1e-3), "law_rule keeps 0.7992"),
    (Unnamed(0.8), "does not name"),
    (AnotherRule(0.3), "must agree on large pools"),
    (ByPlace(1.0), "order of the samples"),
    (InPlace(1.0), "changes its argument"),
    (SmallPoolsWhole(0.3), r"a simulation fails: .*asks for the fraction 0\.3 and selects 1 of"),
    (Changeable(0.1), "frozen dataclass"),
    (Forgetful(0.1), "field size must take part in equality"),
    (AddressInRepr(0.1), "addresses of memory"),
    (Unpicklable(0.1), "picklable, to reach workers: stays here"),
    (local_class(), "top level of a module"),
    (Cohorts(1.0, [0.3, 1.0]), "hashable"),  # type: ignore[arg-type]
    (Tilted, "this is a class"),
    (3, "no kind that a problem is made of"),
]


@pytest.mark.parametrize(("kind", "said"), BROKEN, ids=lambda value: str(value)[:40])
def test_a_broken_kind_is_told_what_is_wrong(kind: Any, said: str) -> None:
    with pytest.raises(KindError, match=said) as caught:
        check_kind(kind, dimension=60, repeats=4)
    assert caught.value.complaints
