"""Real pools: files, splits, maps, whole-vector rules, studies, and the figure of the digits."""

import gzip
import re
import struct
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from numpy.typing import NDArray
from scipy.special import expit

from paper_repro.reproduction import Run
from paper_repro.reproductions import real_data, real_digits
from simulate.fitting.fit import fit
from simulate.pools import (
    FittedSurrogate,
    InfluenceSelection,
    LeverageSelection,
    MissingPackageError,
    OsmacSelection,
    Pool,
    PoolError,
    RandomFeatures,
    SplitSizes,
    Standardise,
    Study,
    Whiten,
    load_digits_task,
    load_fashion_mnist,
    make_pool,
    prepare,
    read_pool,
    split,
    study,
)
from simulate.pools.rules import VectorRule
from simulate.pools.studies import run_repeat
from simulate.sample import stream
from theory import InvalidFieldError, LogisticLoss, PowerSelection

Array = NDArray[np.float64]


def draw(n: int, p: int, seed: int = 0) -> tuple[Array, Array]:
    generator = np.random.default_rng(seed)
    x = generator.standard_normal((n, p))
    return x, np.where(2 * x[:, 0] + generator.logistic(size=n) > 0, 1.0, -1.0)


def write_idx(path: Path, array: NDArray[np.uint8]) -> None:
    header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    path.write_bytes(gzip.compress(header + array.tobytes()))


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".npz"])
def test_files_hold_the_same_pool(suffix: str, tmp_path: Path) -> None:
    x, y = draw(20, 3)
    names = np.where(y > 0, "yes", "no")
    path = tmp_path / f"survey{suffix}"
    table = pd.DataFrame(x, columns=["a", "b", "c"]).assign(answer=names)
    if suffix == ".csv":
        table.to_csv(path, index=False)
    elif suffix == ".parquet":
        pytest.importorskip("pyarrow")
        table.to_parquet(path)
    else:
        np.savez(path, features=x, answer=names)
    pool = read_pool(path, label="answer", positive="yes")
    np.testing.assert_allclose(pool.features, x)
    np.testing.assert_array_equal(pool.labels, y)
    assert pool.name == "survey"
    with pytest.raises(PoolError, match="it has"):
        read_pool(path, label="missing")


X = np.arange(12.0).reshape(6, 2)


@pytest.mark.parametrize(
    ("features", "labels", "positive", "message"),
    [
        (np.where(X == 5, np.nan, X), [0, 1] * 3, None, "first: row 2, column 1): fill them in"),
        (X, [0, 1] * 2, None, "features have 6 rows and labels shape (4,): give one label a row"),
        (X, [1] * 6, None, "all labels are 1, one class only"),
        (X, [0, 1, 2] * 2, None, "3 classes (0, 1, 2): say which count as +1, for example"),
        (X, [0, 1, 2] * 2, 3, "no sample has label 3: there are 0, 1, 2"),
        (X, [0, 1, 2] * 2, [0, 1, 2], "leave out those that count as -1"),
        (X, [0, 1, None] * 2, None, "2 labels are missing (first: row 2)"),
        (X[:, 0], [0, 1] * 3, None, "features have shape (6,): give a matrix"),
        ([["a"], ["b"]], [0, 1], None, "features are not numbers"),
    ],
)
def test_bad_pools_are_refused(features: Any, labels: Any, positive: Any, message: str) -> None:
    with pytest.raises(PoolError, match=re.escape(message)):
        make_pool(features, np.array(labels), positive)


def test_bad_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "data.csv"
    path.write_text("a,word,label\n1,x,0\n2,y,1\n")
    with pytest.raises(PoolError, match="columns word are not numbers"):
        read_pool(path)
    with pytest.raises(PoolError, match=r"no \.npz, \.csv or \.parquet file"):
        read_pool(tmp_path / "data.xls")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingPackageError, match=r"needs pyarrow: pip install 'data-selection"):
        read_pool(tmp_path / "data.parquet")
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(MissingPackageError, match="scikit-learn: pip install"):
        load_digits_task()


def test_splits_are_disjoint_stratified_and_fixed_by_the_seed() -> None:
    labels = np.repeat([-1.0, 1.0], [160, 40])
    sizes = SplitSizes(surrogate=30, validation=25, test=50)
    parts = split(labels, sizes, np.random.default_rng(0))
    rows = (parts.surrogate, parts.validation, parts.test, parts.pool)
    assert [part.size for part in rows] == [30, 25, 50, 95]
    np.testing.assert_array_equal(np.sort(np.concatenate(rows)), np.arange(200))
    for part in (*rows, parts.surrogate[:10]):
        assert abs((labels[part] > 0).sum() - part.size / 5) <= 1
    again = split(labels, sizes, np.random.default_rng(0))
    np.testing.assert_array_equal(again.pool, parts.pool)
    assert not np.array_equal(split(labels, sizes, np.random.default_rng(1)).pool, parts.pool)
    with pytest.raises(PoolError, match="201 samples are asked for"):
        split(labels, SplitSizes(surrogate=0, test=199), np.random.default_rng(0))


def test_every_sample_is_as_likely_in_a_part() -> None:
    labels = np.repeat([-1.0, 1.0], [14, 6])
    generator = np.random.default_rng(2)
    counts = np.zeros(20)
    for _ in range(2000):
        counts[split(labels, SplitSizes(surrogate=5, test=5), generator).surrogate] += 1
    assert np.abs(counts / 2000 - 0.25).max() < 4.5 * (0.25 * 0.75 / 2000) ** 0.5


def test_maps_are_fitted_on_the_pool() -> None:
    x = draw(500, 4)[0] @ np.array([[2.0, 1, 0, 0], [0, 1, 0, 0], [0, 0, 0.1, 0], [0, 1, 0, 3]])
    white = Whiten().fit(x)(x)
    np.testing.assert_allclose(white.T @ white / 500, np.eye(4), atol=1e-9)
    np.testing.assert_allclose(white.mean(axis=0), 0, atol=1e-12)
    # the first components are those of most variance, as the singular values say
    values, axes = np.linalg.svd(x - x.mean(axis=0))[1:]
    first = Whiten(1).fit(x)(x)[:, 0]
    expected = (x - x.mean(axis=0)) @ axes[0] / values[0] * 500**0.5
    assert abs(np.corrcoef(first, expected)[0, 1]) == pytest.approx(1)
    standard = prepare([Standardise()], x[:250])
    np.testing.assert_allclose(standard(x[:250]).std(axis=0), 1)
    assert abs(standard(x[250:]).std(axis=0) - 1).max() > 1e-3


def test_maps_refuse_what_they_cannot_use() -> None:
    x = np.column_stack([draw(10, 2)[0], np.ones(10)])
    with pytest.raises(PoolError, match="columns 2 are constant on the pool: drop them"):
        Standardise().fit(x)
    pool = Pool(x, np.resize([-1.0, 1.0], 10))
    assert pool.without_constant_columns().features.shape == (10, 2)
    assert Whiten().fit(x)(x).shape == (10, 2)
    with pytest.raises(PoolError, match="only 2 components vary"):
        Whiten(3).fit(x)
    with pytest.raises(InvalidFieldError, match="preparation"):
        prepare([Standardise], x)  # type: ignore[list-item]


def test_random_features_have_the_arc_cosine_kernel() -> None:
    # E max(<w, a>, 0) max(<w, b>, 0) for w ~ N(0, I/p): Cho and Saul (2009)
    a, b = draw(2, 5, seed=3)[0]
    features = RandomFeatures(200_000, seed=1).fit(np.zeros((1, 5)))(np.stack([a, b]))
    angle = np.arccos(a @ b / np.linalg.norm(a) / np.linalg.norm(b))
    sizes = np.linalg.norm(a) * np.linalg.norm(b) / 5
    kernel = sizes * (np.sin(angle) + (np.pi - angle) * np.cos(angle)) / (2 * np.pi)
    assert features[0] @ features[1] / 200_000 == pytest.approx(kernel, rel=0.02)


def asymptotic_variance(x: Array, scores: Array, pi: Array, form: str) -> float:
    """Trace of the sandwich Tr(G H^-1 Q H^-1) with G = mean of (1/pi) p (1 - p) x x', in full."""
    full = np.column_stack([x, np.ones(len(x))])
    p = expit(scores)
    hessian, meat = np.zeros((2, full.shape[1], full.shape[1]))
    for row, q, chance in zip(full, p * (1 - p), pi, strict=True):
        hessian += q * np.outer(row, row) / len(x)
        meat += q / chance * np.outer(row, row) / len(x)
    inverse = np.linalg.inv(hessian)
    weight = {"H": hessian, "I": np.eye(len(hessian)), "HH": hessian @ hessian}[form]
    return float(np.trace(meat @ inverse @ weight @ inverse))


@pytest.mark.parametrize(
    ("rule", "form"),
    [
        (InfluenceSelection(0.3), "H"),
        (OsmacSelection("mMSE", 0.3), "I"),
        (OsmacSelection("mVc", 0.3), "HH"),
    ],
)
def test_whole_vector_rules_are_optimal(rule: VectorRule, form: str) -> None:
    x, _ = draw(60, 3)
    scores = 2 * x[:, 0] + 0.5
    pi = rule.inclusion_probabilities(x, scores)
    assert pi.mean() == pytest.approx(0.3)
    best = asymptotic_variance(x, scores, pi, form)
    generator = np.random.default_rng(1)
    for size in (1e-3, 0.05, 0.3):
        for _ in range(50):
            other = np.clip(pi * np.exp(size * generator.standard_normal(60)), 1e-6, 1)
            free = other < 1
            other[free] *= (18 - (~free).sum()) / other[free].sum()
            if other.max() <= 1:
                assert asymptotic_variance(x, scores, other, form) > best


def test_osmac_with_labels_has_the_published_probabilities() -> None:
    x, y = draw(50, 2)
    scores = x[:, 0] - 0.3
    full = np.column_stack([x, np.ones(50)])
    p = 1 / (1 + np.exp(-scores))
    m = sum(q * (1 - q) * np.outer(row, row) for q, row in zip(p, full, strict=True)) / 50
    labels = (y + 1) / 2
    for criterion, norms in (
        ("mMSE", [np.linalg.norm(np.linalg.solve(m, row)) for row in full]),
        ("mVc", [np.linalg.norm(row) for row in full]),
    ):
        expected = np.abs(labels - p) * norms
        pi = OsmacSelection(criterion, 0.1, with_labels=True).inclusion_probabilities(x, scores, y)
        np.testing.assert_allclose(pi, expected / expected.sum() * 5)
    with pytest.raises(PoolError, match="with_labels=False"):
        OsmacSelection("mVc", 0.1, with_labels=True).inclusion_probabilities(x, scores)


def test_osmac_estimates_better_than_uniform_sampling() -> None:
    x, y = draw(4000, 3)
    x[:, 1] *= np.exp(x[:, 2])  # heavy tails make leverage unequal
    ridge = np.full(150, 1e-6)
    whole = fit(x, y, np.ones((4000, 1)), 4000, ridge[:1], LogisticLoss(), True)
    scores = x @ whole.coefficients[:, 0] + whole.intercepts[0]
    pi = OsmacSelection("mMSE", 0.1, with_labels=True).inclusion_probabilities(x, scores, y)
    uniforms = np.random.default_rng(5).random((4000, 150))
    errors = []
    for probabilities in (pi, np.full(4000, 0.1)):
        weights = (uniforms < probabilities[:, None]) / np.maximum(probabilities, 1e-9)[:, None]
        fits = fit(x, y, weights, 4000, ridge, LogisticLoss(), True)
        squares = ((fits.coefficients - whole.coefficients) ** 2).sum(axis=0)
        errors.append((squares + (fits.intercepts - whole.intercepts) ** 2).mean())
    assert errors[0] < 0.7 * errors[1]


def test_influence_is_power_selection_where_lengths_concentrate() -> None:
    x, _ = draw(4000, 400)
    scores = 2 * x[:, 0]
    influence = InfluenceSelection(0.2, ridge=1.0).inclusion_probabilities(x, scores)
    power = PowerSelection(0.5, 0.2).inclusion_probabilities(scores)
    gap = influence / power - 1
    assert gap.std() < 0.08
    assert np.std(influence) > 3 * np.std(influence - power)


def test_leverage_is_the_diagonal_of_the_hat_matrix() -> None:
    x, _ = draw(40, 3)
    full = np.column_stack([x, np.ones(40)])
    hat = np.diag(full @ np.linalg.inv(full.T @ full) @ full.T)
    pi = LeverageSelection(0.1).inclusion_probabilities(x, np.zeros(40))
    np.testing.assert_allclose(pi, hat)  # they sum to 4, a tenth of 40


def plan(**changes: Any) -> Study:
    fields: dict[str, Any] = {
        "schemes": {"random": "random", "hard": PowerSelection(1.0, 0.5, reweight=True)},
        "fractions": [0.3, 1.0],
        "surrogates": {"weak": FittedSurrogate(20), "strong": FittedSurrogate(60)},
        "sizes": SplitSizes(surrogate=60, validation=100, test=150),
        "repeats": 3,
    }
    return Study(**(fields | changes))


def test_study_measures_what_it_says() -> None:
    pool = Pool(*draw(600, 5))
    given = plan(preparation=(), repeats=1)
    result = study(pool, given)
    assert dict(result.misclassification.sizes) == {
        "surrogate": 2, "scheme": 2, "fraction": 2, "data_set": 1
    }  # fmt: skip
    # the full pool, fitted and tested by hand
    parts = split(pool.labels, given.sizes, stream(0, "features", 0))
    x, y = pool.features[parts.pool], pool.labels[parts.pool]
    full = fit(x, y, np.ones((290, 1)), 290, np.array([0.01]), LogisticLoss(), True)
    outputs = pool.features[parts.test] @ full.coefficients[:, 0] + full.intercepts[0]
    wrong = np.mean(np.sign(outputs) != pool.labels[parts.test])
    whole = result.sel(fraction=1.0)
    np.testing.assert_allclose(whole.misclassification, wrong)
    np.testing.assert_allclose(whole.kept_fraction, 1)
    assert (result.converged == 1).all()
    assert float(result.sel(fraction=0.3).kept_fraction.mean()) == pytest.approx(0.3, abs=0.05)


def test_study_does_not_depend_on_the_executor() -> None:
    pool = Pool(*draw(400, 4))
    seen: list[tuple[int, int]] = []
    alone = study(pool, plan(), progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 3), (2, 3), (3, 3)]
    with ThreadPoolExecutor(2) as executor:
        shared = study(pool, plan(), executor)
    np.testing.assert_allclose(alone.misclassification, shared.misclassification)
    different = study(pool, plan(seed=1))
    assert not np.array_equal(alone.misclassification, different.misclassification)


def test_ridge_is_chosen_on_validation_data() -> None:
    pool = Pool(*draw(500, 30))
    ridges = [1e-4, 0.05, 10.0]
    chosen = run_repeat(pool, plan(ridge=ridges), 0)[0]
    single = [run_repeat(pool, plan(ridge=ridge), 0)[0] for ridge in ridges]
    picked = {float(value) for value in chosen[..., 3].ravel()}
    assert picked <= set(ridges)
    for cell in np.ndindex(2, 2, 2):
        of = ridges.index(chosen[cell][3])
        np.testing.assert_allclose(chosen[cell][:2], single[of][cell][:2], rtol=1e-6)
    # the validation error of what was chosen is the smallest: the data and the rule by hand
    mean = chosen[..., 0].mean()
    assert mean <= max(result[..., 0].mean() for result in single)
    with pytest.raises(InvalidFieldError, match=r"sizes\.validation"):
        plan(ridge=ridges, sizes=SplitSizes(surrogate=60, test=50))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schemes": {}}, "schemes"),
        ({"schemes": {"a": "hrad"}}, "hard"),
        ({"fractions": [0.2, 1.2]}, "fractions = 1.2"),
        ({"fractions": []}, "one or more distinct"),
        ({"surrogates": {"big": FittedSurrogate(61)}}, "at most 60"),
        ({"ridge": -1.0}, "ridge = -1.0"),
        ({"repeats": 0}, "repeats = 0"),
    ],
)
def test_bad_studies_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidFieldError, match=message):
        plan(**changes)


def test_fashion_mnist_from_idx_files(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (60, 4, 4), dtype=np.uint8)
    labels = np.resize(np.arange(10, dtype=np.uint8), 60)
    for part, name in ((slice(0, 40), "train"), (slice(40, 60), "t10k")):
        write_idx(tmp_path / f"{name}-images-idx3-ubyte.gz", images[part])
        write_idx(tmp_path / f"{name}-labels-idx1-ubyte.gz", labels[part])
    pool = load_fashion_mnist(tmp_path, components=5)
    kept = np.isin(labels, (0, 2, 3, 4, 6))
    np.testing.assert_array_equal(pool.labels, np.where(labels[kept] == 6, 1, -1))
    np.testing.assert_allclose(pool.features.T @ pool.features / 30, np.eye(5), atol=1e-4)
    many = load_fashion_mnist(tmp_path, components=5, random_features=7, seed=3)
    assert many.features.shape == (30, 7)
    assert many.features.dtype == np.float32
    # another task of the same files
    np.testing.assert_array_equal(
        load_fashion_mnist(tmp_path, [1], [7], components=2).labels, np.resize([1.0, -1.0], 12)
    )
    write_idx(tmp_path / "t10k-labels-idx1-ubyte.gz", labels[:3])
    with pytest.raises(PoolError, match="do not belong together"):
        load_fashion_mnist(tmp_path)
    path = tmp_path / "train-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(PoolError, match="fetch it again"):
        load_fashion_mnist(tmp_path)
    path.unlink()
    with pytest.raises(PoolError, match="apt-get install dataset-fashion-mnist"):
        load_fashion_mnist(tmp_path)


def test_figure_of_the_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("sklearn")
    monkeypatch.setitem(real_digits.REPEATS, False, 4)
    monkeypatch.setitem(real_digits.DRAWS, False, 1)
    monkeypatch.setattr(real_digits, "QUICK_FRACTIONS", (0.1, 0.3, 0.5, 1.0))
    results = real_digits.compute_digits(Run(False))
    assert results.sizes["data_set"] == 4
    assert results.attrs["pilot_labels"] == 1597
    assert not results.attrs["caution"]
    gap = results.theory_misclassification - results.misclassification.mean("data_set")
    assert float(abs(gap).mean()) < 0.015
    assert float(abs(gap.sel(fraction=1.0)).max()) < 0.015
    claims = real_digits.claims(results)
    worst = claims[-1]
    assert "only the hardest" in worst.statement
    assert worst.holds
    figure = real_digits.draw(results)
    assert len(figure.axes) == 2
    plt.close(figure)
    assert len(real_data.table(results)) == 2 * len(real_data.schemes())
    # a claim fails where the numbers say otherwise
    swapped = results.assign(misclassification=-results.misclassification)
    assert not any(claim.holds for claim in real_digits.claims(swapped))
