"""Why published numbers differ from accurate ones: ``python -m paper_repro.published_values``.

Prints the four tables of docs/published-numbers.md. Published figures are quoted from the results
beside the paper's code (repository granica-ai/DataSelectionICLR2024, Apache-2.0).
"""

import itertools
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.interpolate import make_smoothing_spline

from paper_repro.reproductions.coarse_grid import descend, grid_misclassification, grid_nodes, solve
from paper_repro.reproductions.settings import (
    ALPHAS,
    HIGH_DIMENSION,
    LABELS,
    LOW_DIMENSION,
    RIDGES,
    full_sample,
)
from simulate.fitting.fit import fit
from theory import (
    F1,
    GivenSurrogate,
    LogisticLoss,
    PowerSelection,
    Problem,
    SingleIndex,
    predict_all,
)
from theory.metrics import misclassification

Array = NDArray[np.float64]


class Published(NamedTuple):
    """A point and its published misclassification; with an imperfect surrogate also alpha_s."""

    labels: str
    ridge: float
    alpha: float
    fraction: float
    misclassification: float
    alpha_s: float = 0.0

    @property
    def words(self) -> str:
        return f"{self.labels}, λ = {self.ridge:g}, α = {self.alpha:g}, γ = {self.fraction:g}"


PERFECT = [
    Published("f1", 0.001, 1.0, 0.5, 0.337310),
    Published("f1", 0.001, 1.0, 0.4, 0.387194),
    Published("f1", 0.01, 1.0, 0.5, 0.345063),
    Published("f1", 0.001, 0.0, 0.95, 0.267094),
    Published("f1", 0.1, -1.0, 0.05, 0.338995),
    Published("f2", 0.001, 1.0, 0.5, 0.468103),
    Published("f2", 0.01, 1.0, 0.2, 0.489406),
    Published("f1", 0.001, 1.0, 0.05, 0.477270),
]
"""N/p = 6870/3000: directory results/theoryResults2d."""

IMPERFECT = [
    Published("f1", 0.001, 1.0, 0.1, 0.180206, -0.38727),
    Published("f1", 0.001, -1.0, 0.05, 0.297920, 0.62286),
    Published("f1", 0.01, 1.0, 0.1, 0.243622, -0.33717),
    Published("f1", 0.1, 1.0, 0.05, 0.352693, -0.05958),
    Published("f1", 0.001, 0.0, 0.05, 0.259407, 0.07119),
    Published("f1", 0.01, 0.0, 0.05, 0.257896, -0.01629),
    Published("f1", 0.001, 0.0, 0.95, 0.089850, -0.00429),
]
"""N/p = 34345/932, beta = (2.75, 0.95): directory results/theoryResults3d."""


def problem_of(point: Published, imperfect: bool) -> Problem:
    """The problem of a published point."""
    size = LOW_DIMENSION if imperfect else HIGH_DIMENSION
    problem = full_sample(point.labels, size, point.ridge).replace(
        {"selection": PowerSelection(point.alpha, point.fraction)}
    )
    return problem.replace({"surrogate": GivenSurrogate(2.75, 0.95)}) if imperfect else problem


def quadrature_table(points: list[Published]) -> pd.DataFrame:
    """Perfect surrogate: published, the same equations solved on the published grid, and exact."""
    problems = [problem_of(point, imperfect=False) for point in points]
    rows = []
    for point, problem, exact in zip(points, problems, predict_all(problems), strict=True):
        solution = solve(problem, grid_nodes(problem))
        on_grid = grid_misclassification(problem, solution)
        alpha_0, _, alpha_perp = solution.coefficients.tolist()
        rows.append(
            {
                "point": point.words,
                "published": point.misclassification,
                "on the published grid": on_grid,
                "exact": exact.misclassification,
                "published − grid": point.misclassification - on_grid,
                "published − exact": point.misclassification - exact.misclassification,
                "of which the rule for the test error": on_grid
                - misclassification(problem.data, alpha_0, 0.0, alpha_perp),
            }
        )
    return pd.DataFrame(rows)


def stopping_table(points: list[Published]) -> pd.DataFrame:
    """Imperfect surrogate: published, the published descent replayed, its limit, and exact."""
    problems = [problem_of(point, imperfect=True) for point in points]
    rows = []
    for point, problem, exact in zip(points, problems, predict_all(problems), strict=True):
        nodes = grid_nodes(problem)
        stopped, converged = descend(problem, nodes), solve(problem, nodes)
        rows.append(
            {
                "point": point.words,
                "published": point.misclassification,
                "replayed": grid_misclassification(problem, stopped),
                "on the grid, converged": grid_misclassification(problem, converged),
                "exact": exact.misclassification,
                "published − exact": point.misclassification - exact.misclassification,
                "α_s published": point.alpha_s,
                "α_s replayed": float(stopped.coefficients[1]),
                "α_s exact": exact.alpha_s,
                "steps": stopped.iterations,
            }
        )
    return pd.DataFrame(rows)


def binomial_of_uniform(uniform: Array, probability: Array) -> NDArray[np.bool_]:
    """What NumPy's legacy generator makes of one uniform number for a draw with a probability."""
    return np.where(probability <= 0.5, uniform > 1 - probability, uniform <= probability)


SHARED_CASES = [
    (0.0, 0.05),
    (0.0, 0.3),
    (0.0, 0.6),
    (0.0, 0.9),
    (-1.0, 0.3),
    (1.0, 0.3),
    (1.0, 0.8),
]


def shared_seed_table(dimension: int = 400, repeats: int = 20) -> pd.DataFrame:
    """Error when labels and selection use the same uniform numbers, and when they do not.

    f1, ridge 0.01, N/p = 2.29; standard errors over data sets, which both ways share.
    """
    data = SingleIndex(F1, 5.0)
    samples = round(HIGH_DIMENSION * dimension)
    schemes = [PowerSelection(alpha, fraction) for alpha, fraction in SHARED_CASES]
    errors, noise = np.empty((2, repeats, 2, len(schemes)))
    for k in range(repeats):
        generator = np.random.default_rng([20, k])
        features = generator.standard_normal((samples, dimension))
        own, other = generator.random((2, samples))
        labels = np.where(binomial_of_uniform(own, data.label_probability(features[:, 0])), 1.0, -1)
        inclusion = [scheme.inclusion_probabilities(5 * features[:, 0]) for scheme in schemes]
        kept = [binomial_of_uniform(u, pi) for u in (own, other) for pi in inclusion]
        weights = np.stack(kept, axis=1).astype(float)
        ridges = np.full(len(kept), 0.01)
        fits = fit(features, labels, weights, samples, ridges, LogisticLoss())
        for j, theta in enumerate(fits.coefficients.T):
            rest = float(np.linalg.norm(theta[1:]))
            errors[k].flat[j] = misclassification(data, float(theta[0]), 0.0, rest)
        flipped = labels != np.sign(features[:, 0])
        noise[k] = (flipped @ weights / weights.sum(axis=0)).reshape(2, -1)
    shift = errors[:, 0] - errors[:, 1]
    return pd.DataFrame(
        {
            "α": [alpha for alpha, _ in SHARED_CASES],
            "γ": [fraction for _, fraction in SHARED_CASES],
            "error, shared": errors[:, 0].mean(axis=0),
            "error, independent": errors[:, 1].mean(axis=0),
            "shift": shift.mean(axis=0),
            "its standard error": shift.std(axis=0, ddof=1) / repeats**0.5,
            "flipped labels kept, shared": noise[:, 0].mean(axis=0),
            "independent": noise[:, 1].mean(axis=0),
        }
    )


def spline_table(rows: int = 5) -> pd.DataFrame:
    """Largest gaps of a smoothing spline (over percent, lam = 50) through exact theory points."""
    percent = np.array([5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 95])
    curves = list(itertools.product(LABELS, RIDGES, ALPHAS))
    exact = predict_all(
        full_sample(labels, HIGH_DIMENSION, ridge).replace(
            {"selection": PowerSelection(alpha, fraction / 100)}
        )
        for labels, ridge, alpha in curves
        for fraction in percent.tolist()
    )
    values = np.reshape([point.misclassification for point in exact], (len(curves), -1))
    gaps = [make_smoothing_spline(percent, v, lam=50)(percent) - v for v in values]
    table = pd.DataFrame(curves, columns=["labels", "λ", "α"])
    table["largest gap"] = [gap[np.abs(gap).argmax()] for gap in gaps]
    table["at γ (%)"] = [percent[np.abs(gap).argmax()] for gap in gaps]
    return table.sort_values("largest gap", key=abs, ascending=False).head(rows)


def main() -> None:
    """Print the tables in Markdown."""
    for title, table in (
        ("Perfect surrogate: the grid", quadrature_table(PERFECT)),
        ("Imperfect surrogate: the grid and the stopping rule", stopping_table(IMPERFECT)),
        ("Shared seeds", shared_seed_table()),
        ("Smoothing splines", spline_table()),
    ):
        print(f"## {title}\n\n{table.to_markdown(index=False, floatfmt='.6g')}\n", flush=True)


if __name__ == "__main__":
    main()
