"""Time fits of the figures' size against scikit-learn, at equal gradient norm, side by side.

    python benchmarks/fits.py [--repeats R]

Needs scikit-learn. For every subset and ridge: seconds of one fit alone, of one fit in the company
of all others, and of scikit-learn's lbfgs and newton-cholesky, each taken to the gradient norm of
ours or, where rounding stops it before, as close as it gets; medians. scikit-learn gets the same
features in double precision.
"""

import argparse
import statistics
import time
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from simulate.fitting.fit import fit
from theory import LogisticLoss

SIZES = ((6870, 3000), (34345, 932))
FRACTIONS = (0.05, 0.1, 0.2, 0.5, 0.8, 1.0)
RIDGES = (0.1, 0.01, 0.001)
CHOLESKY_ENTRIES = 12e6
"""newton-cholesky is left out beyond: it takes tens of seconds there."""


def median_time(work: Callable[[], Any], repeats: int) -> tuple[float, Any]:
    seconds = []
    for _ in range(repeats):
        began = time.perf_counter()
        result = work()
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds), result


def gradient_norm(
    x: NDArray[Any], y: NDArray[Any], pool: int, ridge: float, theta: NDArray[Any]
) -> float:
    """Relative to that at zero."""
    pull = y / (1 + np.exp(y * (x @ theta))) / pool
    return float(np.linalg.norm(ridge * theta - x.T @ pull) / np.linalg.norm(x.T @ y / 2 / pool))


def scikit_learn(
    solver: str,
    x: NDArray[Any],
    y: NDArray[Any],
    pool: int,
    ridge: float,
    goal: float,
    repeats: int,
) -> tuple[float, float, NDArray[Any]]:
    """Seconds, gradient norm and coefficients at the loosest tolerance that comes nearest."""
    tolerance, nearest, reached, seconds = 1e-6, None, np.inf, np.nan
    while reached > goal and tolerance > 1e-14:
        model = LogisticRegression(
            C=1 / (pool * ridge), fit_intercept=False, solver=solver, tol=tolerance, max_iter=10_000
        )
        took, _ = median_time(partial(model.fit, x, y), 1)
        found = gradient_norm(x, y, pool, ridge, model.coef_[0])
        if found < 0.99 * reached:
            nearest, reached, seconds = model, found, took
        tolerance /= 30
    assert nearest is not None
    theta = nearest.coef_[0].copy()
    if repeats > 1:
        seconds, _ = median_time(partial(nearest.fit, x, y), repeats)
    return seconds, reached, theta


def main() -> None:
    parser = argparse.ArgumentParser(description="Time fits against scikit-learn.")
    parser.add_argument("--repeats", type=int, default=3)
    repeats = parser.parse_args().repeats
    warnings.simplefilter("ignore")  # of scikit-learn, where rounding stops it
    loss = LogisticLoss()
    ratios, worst, gap = [], np.inf, 0.0
    print("    N     p    n/N  ridge    alone together   lbfgs cholesky  lbfgs/ours    gradients")
    for samples, dimension in SIZES:
        generator = np.random.default_rng(0)
        x = generator.standard_normal((samples, dimension), dtype=np.float32)
        y = np.where(x[:, 0] > 0, 1.0, -1.0)
        y[generator.random(samples) < 0.05] *= -1
        sizes = [round(f * samples) for f in FRACTIONS for _ in RIDGES]
        weights = (np.arange(samples)[:, None] < np.array(sizes)).astype(float)
        ridges = np.tile(RIDGES, len(FRACTIONS))
        fit(x, y, weights, samples, ridges, loss)  # compiles
        company, _ = median_time(partial(fit, x, y, weights, samples, ridges, loss), repeats)
        for n, ridge in zip(sizes, ridges, strict=True):
            part, labels = np.ascontiguousarray(x[:n]), y[:n]
            one = np.ones((n, 1))
            alone, fits = median_time(
                partial(fit, part, labels, one, samples, np.array([ridge]), loss), repeats
            )
            theta, double = fits.coefficients[:, 0], part.astype(np.float64)
            ours = gradient_norm(double, labels, samples, ridge, theta)
            lbfgs, theirs, other = scikit_learn(
                "lbfgs", double, labels, samples, ridge, ours, repeats
            )
            cholesky = np.nan
            if n * dimension <= CHOLESKY_ENTRIES:
                cholesky, _, other = scikit_learn(
                    "newton-cholesky", double, labels, samples, ridge, ours, 1
                )
            ratios.append(lbfgs / alone)
            worst = min(worst, min(lbfgs, cholesky if cholesky > 0 else np.inf) / alone)
            gap = max(gap, float(np.linalg.norm(other - theta) / np.linalg.norm(theta)))
            print(
                f"{samples:6d} {dimension:5d} {n / samples:6.2f} {ridge:6.3f} {alone:8.3f}"
                f" {company / len(sizes):8.3f} {lbfgs:7.3f} {cholesky:8.3f} {lbfgs / alone:11.2f}"
                f"    {ours:.0e} {theirs:.0e}",
                flush=True,
            )
    print(f"lbfgs/ours: median {statistics.median(ratios):.2f}, smallest {min(ratios):.2f}")
    print(f"better of the two/ours: smallest {worst:.2f}")
    print(f"largest relative difference of the coefficients: {gap:.1e}")


if __name__ == "__main__":
    main()
