"""Low-dimensional theory against simulation, and the time of its curves.

    python benchmarks/low_dimensional.py [--repeats R] [--largest N]

For p = 2, 5, 10 and N up to 10^5 prints N E|theta_hat - target|^2_Q against rho for every scheme,
the z-score, and chi-squared over all schemes at the largest N; each scheme has its own data.
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
from scipy import stats

from simulate.compare import normal_deviates
from simulate.low_dimensional import simulate_risk
from theory import F1, LogisticLink, SquaredLoss
from theory.low_dimensional import (
    BinaryLabels,
    FixedSelection,
    GaussianFeatures,
    LinearLabels,
    Model,
    Optimum,
    Points,
    Selection,
    asymptotic_risk,
    influence_sampling,
    optimal_biased,
    optimal_biased_curve,
    optimal_unbiased,
    osmac,
    random_selection,
)

DIMENSIONS = (2, 5, 10)
FRACTION = 0.3
FRACTIONS = np.linspace(0.01, 1.0, 50)


def _uneven(u: np.ndarray) -> np.ndarray:
    return 0.2 + u**2


def _hard(points: Points) -> np.ndarray:
    return np.asarray(1 / (1 + points.explicit[:, 0] ** 2))


def schemes(dimension: int) -> dict[str, tuple[Model, Selection]]:
    """Models with selections, by name."""
    features = GaussianFeatures(dimension, signal_norm=2.0)
    logistic = Model(features, BinaryLabels(LogisticLink()))
    linear = Model(features, LinearLabels())
    uneven = Model(features, LinearLabels(_uneven))
    steps = Model(features, BinaryLabels(F1))
    squared = Model(features, BinaryLabels(LogisticLink(), SquaredLoss()))
    found: dict[str, tuple[Model, Selection]] = {}
    for name, model in (("logistic", logistic), ("linear", linear), ("uneven noise", uneven)):
        found[f"{name}, random"] = model, random_selection(FRACTION)
        found[f"{name}, random reweighted"] = model, random_selection(FRACTION, reweight=True)
        found[f"{name}, optimal unbiased"] = model, optimal_unbiased(model, FRACTION).selection
        found[f"{name}, optimal biased"] = model, optimal_biased(model, FRACTION).selection
    found["logistic, influence with labels"] = logistic, influence_sampling(logistic, FRACTION)
    for criterion in ("mVc", "mMSE"):
        for knows in ("labels", "mean"):
            rule = osmac(logistic, FRACTION, criterion, knows)
            found[f"logistic, OSMAC {criterion}, {knows}"] = logistic, rule
    for name, model in (("steps", steps), ("squared loss", squared)):
        found[f"{name}, hard (target moves)"] = model, FixedSelection(_hard)
        found[f"{name}, hard reweighted"] = model, FixedSelection(_hard, reweight=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description="Low-dimensional theory against simulation.")
    parser.add_argument("--repeats", type=int, default=200, help="data sets at each point")
    parser.add_argument("--largest", type=int, default=100_000, help="largest N")
    given = parser.parse_args()
    sizes = [n for n in (1_000, 10_000) if n < given.largest] + [given.largest]
    last = []
    for dimension in DIMENSIONS:
        for seed, (name, (model, selection)) in enumerate(schemes(dimension).items()):
            rho = asymptotic_risk(model, selection).rho
            texts = []
            for samples in sizes:
                run = [dimension, samples, seed]
                key = int(np.random.SeedSequence(run).generate_state(1)[0])
                found = simulate_risk(
                    model, selection, samples=samples, repeats=given.repeats, seed=key
                )
                z = (found.mean - rho) / found.standard_error
                texts.append(f"{found.mean:9.3f} ({z:+.1f})")
            last.append(z)
            print(f"p = {dimension:2d}  {name:34s} rho {rho:9.3f}  {'  '.join(texts)}", flush=True)
    deviates = normal_deviates(np.array(last), np.full(len(last), given.repeats))
    chi = float((deviates**2).sum())
    print(
        f"N = {sizes[-1]}: {len(deviates)} schemes, largest |z| {np.abs(deviates).max():.2f},"
        f" chi-squared {chi:.1f}, p-value {stats.chi2.sf(chi, len(deviates)):.3f}"
    )
    model = Model(GaussianFeatures(5, 2.0), BinaryLabels(LogisticLink()))
    timed("unbiased", lambda: [optimal_unbiased(model, g) for g in FRACTIONS])
    timed("biased", lambda: optimal_biased_curve(model, list(FRACTIONS[::-1])))


def timed(name: str, curve: Callable[[], list[Optimum]]) -> None:
    """Print the processor time of a curve and its largest gap."""
    start = time.process_time()
    gaps = [point.gap for point in curve()]
    seconds = time.process_time() - start
    print(f"{name}: {len(gaps)} fractions in {seconds:.1f} s, largest gap {max(gaps):.0e}")


if __name__ == "__main__":
    main()
