"""What figures of real data share: schemes, curves over their theory, paired claims, agreement.

Results are those of ``simulate.pools.study``, over (surrogate, scheme, fraction, data_set) and
perhaps more axes, beside the theory of every point (``simulate.pools.predict_study``).
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy import stats

from figures import POWER_STYLES, TOP_STYLES, add_legend, figure_style, log_ticks, panel_grid
from figures.panels import draw_points
from figures.style import SchemeStyle
from paper_repro.claims import CONFIDENCE, Claim
from paper_repro.reproduction import Run
from simulate.pools import (
    FittedSurrogate,
    Pool,
    SplitSizes,
    Study,
    part_pilot,
    predict_study,
    study,
)
from simulate.pools.rules import AnySelection
from theory import PowerSelection, RandomSelection, TopSelection

Array = NDArray[np.float64]

ALPHAS = (-1.0, -0.5, 0.5, 1.0)
BIASED, UNBIASED = "weight 1", "weight 1/π"

NEEDED = ("misclassification", "theory_misclassification")
"""Variables without which nothing can be drawn."""

ALLOWED, ERRORS, DIFFERENCE = 0.3, 2.0, 0.5
"""Points of misclassification by which theory may miss a real mean, beside so many of its sampling
errors; and by which it may miss a difference of two schemes, where that error cancels."""

SHARE = 0.95
"""Of the points, and of the pairs, for which this is to hold."""


def power_label(alpha: float, reweight: bool) -> str:
    """The label of a power selection in the results.

    >>> power_label(-1.0, reweight=True)
    'α = −1, weight 1/π'
    """
    sign = "−" if alpha < 0 else ""
    return f"α = {sign}{abs(alpha):g}, {UNBIASED if reweight else BIASED}"


def schemes() -> dict[str, AnySelection]:
    """Selections by label, each to be varied over the fractions."""
    powers: dict[str, AnySelection] = {
        power_label(alpha, reweight): PowerSelection(alpha, 0.5, reweight)
        for reweight in (False, True)
        for alpha in ALPHAS
    }
    return {
        "random": RandomSelection(0.5),
        **powers,
        "only hardest": TopSelection("hard", 0.5),
        "only easiest": TopSelection("easy", 0.5),
    }


def compute(
    run: Run, name: str, pool: Pool, plan: Study, pilot: Pool | None, surrogates: int
) -> xr.Dataset:
    """A study and its theory; name: of the directories that keep their finished parts."""
    real = study(pool, plan, run.executor, run.progress(f"repeats of {name}"), run.part(name))
    theory = predict_study(
        pool,
        plan,
        pilot,
        surrogates,
        run.executor,
        run.progress(f"parts of the theory of {name}"),
        run.part(f"theory-{name}"),
    )
    merged = real.merge(theory)
    return merged.assign_attrs({**real.attrs, **theory.attrs, "test_samples": plan.sizes.test})


@dataclass(frozen=True)
class Scale:
    """How much of a task is computed.

    pools: sizes N. fractions: kept, with 1. repeats: random splits. pilot: labels set apart for the
    theory. draws: surrogates over which the theory is averaged. labels: of ``schemes()``.
    """

    pools: Sequence[int]
    fractions: Sequence[float]
    repeats: int
    pilot: int
    draws: int
    labels: Sequence[str] = tuple(schemes())


@dataclass(frozen=True)
class RealTask:
    """Data from which pools of several sizes are drawn.

    load: the data. features: what they are, in words. test: size of the test part. ridge: of the
    final fits and the surrogates. seed: of the splits. ticks: of the error, in percent.
    """

    title: str
    features: str
    load: Callable[[], Pool]
    test: int
    ridge: float
    seed: int
    ticks: Sequence[float]


SURROGATES = {"4 %": 0.04, "20 %": 0.2}
"""Labels that train the surrogate, as a part of the pool's size."""


def compute_task(task: RealTask, run: Run, scale: Scale) -> xr.Dataset:
    """Over (pool_samples, surrogate, scheme, fraction, data_set); the data are prepared before."""
    seed = task.seed + run.seed
    parted = part_pilot(task.load(), scale.pilot, seed)
    results = []
    for samples in scale.pools:
        counts = {label: round(share * samples) for label, share in SURROGATES.items()}
        plan = Study(
            schemes={label: schemes()[label] for label in scale.labels},
            fractions=scale.fractions,
            surrogates={label: FittedSurrogate(n, task.ridge) for label, n in counts.items()},
            sizes=SplitSizes(surrogate=max(counts.values()), test=task.test, pool=samples),
            ridge=task.ridge,
            preparation=(),
            repeats=scale.repeats,
            seed=seed,
        )
        results.append(compute(run, f"N-{samples}", parted.study, plan, parted.pilot, scale.draws))
    sizes = pd.Index(list(scale.pools), name="pool_samples")
    return xr.concat(results, sizes, combine_attrs="override")


def draw_task(task: RealTask, name: str, results: xr.Dataset) -> dict[str, Figure]:
    """A picture for every N, the largest first."""
    order = sorted(results.pool_samples.values.tolist(), reverse=True)
    names = [name, *(f"{name}-{samples}" for samples in order[1:])]
    return {
        picture: _draw_pools(task, results.sel(pool_samples=samples), samples)
        for picture, samples in zip(names, order, strict=True)
    }


def _draw_pools(task: RealTask, results: xr.Dataset, samples: int) -> Figure:
    """Weak surrogate above, strong below; biased left, reweighted right."""
    error = 100 * float(results.theory_misclassification_sampling_error.mean())
    with figure_style():
        figure, axes = panel_grid(
            len(SURROGATES),
            2,
            f"{task.title}\nN = {samples}, {task.features}, logistic loss, ridge λ ="
            f" {task.ridge:g}\nlines: theory from {results.attrs['pilot_labels']} other labels,"
            f" which move all lines together by ±{error:.1f}\npoints: real experiments,"
            f" {results.sizes['data_set']} random splits, ±1 s.e.",
            panel=(4.3, 2.9),
            share_y=True,
        )
        for row, (surrogate, share) in zip(axes, SURROGATES.items(), strict=True):
            here = results.sel(surrogate=surrogate)
            wrong = float(here.surrogate_misclassification.mean())
            for axis, weighting in zip(row, (BIASED, UNBIASED), strict=True):
                draw_schemes(axis, here, weighting)
                axis.set(
                    title=f"surrogate of {round(share * samples)} labels (error {wrong:.0%}),"
                    f" {weighting}"
                )
            row[0].set_ylabel("test misclassification (%)")
        for axis in axes[-1]:
            axis.set_xlabel("kept, n/N (%); the surrogate's labels come on top")
        log_ticks(axes[0, 0], "y", task.ticks)
        add_legend(figure, axes[0, 0])
    return figure


def draw_schemes(axis: Axes, results: xr.Dataset, weighting: str) -> None:
    """Every scheme of one weighting against the percentage kept; results: of one surrogate."""
    full = results.sel(scheme="random", fraction=1.0).misclassification.mean()
    axis.axhline(100 * float(full), color="#777777", linewidth=1, linestyle=":", label="full pool")
    curves = {"random": POWER_STYLES[0.0]}
    curves |= {power_label(alpha, weighting == UNBIASED): POWER_STYLES[alpha] for alpha in ALPHAS}
    curves |= {"only hardest": TOP_STYLES["hard"], "only easiest": TOP_STYLES["easy"]}
    for scheme, style in curves.items():
        draw_curve(axis, 100 * results.fraction.values, results.sel(scheme=scheme), style)


def draw_curve(axis: Axes, x: Any, curve: xr.Dataset, style: SchemeStyle) -> None:
    """Theory as a line, means of the real experiments as points with one standard error."""
    values = 100 * curve.misclassification
    error = values.std("data_set", ddof=1) / values.sizes["data_set"] ** 0.5
    axis.plot(x, 100 * curve.theory_misclassification, color=style.colour)
    draw_points(axis, x, values.mean("data_set").values, error.values, style, style.label)


def table(results: xr.Dataset) -> pd.DataFrame:
    """Mean misclassification in percent, real and predicted: percentage kept in columns."""
    shown = {
        "real": results.misclassification.mean("data_set"),
        "theory": results.theory_misclassification,
    }
    errors = 100 * xr.concat(shown.values(), pd.Index(list(shown), name="by"), coords="minimal")
    rows = [name for name in errors.dims if name not in ("by", "fraction")]
    frame = errors.transpose(*rows, "by", "fraction").stack(row=[*rows, "by"]).T.to_pandas()
    frame.columns = pd.Index([f"{fraction:.0%}" for fraction in results.fraction.values])
    return pd.DataFrame(frame.round(2).reset_index())


def beats(
    results: xr.Dataset,
    statement: str,
    better: Mapping[str, Any],
    worse: Mapping[str, Any],
    pool_samples: int,
    margin: float = 0.0,
) -> Claim:
    """Paired t-test over the repeats, which are random splits of one finite set of data.

    better, worse: labels of the two points. margin: in points of misclassification, by which the
    first may be worse and still hold.
    It speaks of the mean over such splits. What it says of fresh data is judged with the variance
    that Nadeau and Bengio (2003) give for splits that share samples.
    """
    points = [results.sel(better), results.sel(worse)]
    good = np.logical_and(*(point.converged.values == 1 for point in points))
    values = [point.misclassification.values[good] for point in points]
    gaps = values[1] - values[0]
    count = gaps.size
    spread = gaps.std(ddof=1) if count > 1 else np.nan
    error = spread / count**0.5
    shared = spread * (1 / count + results.attrs["test_samples"] / pool_samples) ** 0.5
    certain, fresh = (
        float(stats.t.cdf((gaps.mean() + margin / 100) / e, count - 1)) if e > 0 else 1.0
        for e in (error, shared)
    )
    return Claim(
        statement,
        "here",
        f"{values[0].mean():.2%} against {values[1].mean():.2%}, difference"
        f" {100 * gaps.mean():.2f} ± {100 * error:.2f} points; for fresh data confidence"
        f" {fresh:.0%}",
        f"real data, {count} random splits, paired, one-sided confidence {certain:.2%}",
        certain > CONFIDENCE,
        certain,
    )


WEAK_MARGIN = 0.5
"""Points by which a subset chosen by a weak surrogate may err more and still count as as good."""


def matching_claim(results: xr.Dataset, pool_samples: int, margin: float) -> Claim:
    """Which scheme matches the full pool with how little; results: over scheme and fraction.

    A scheme matches from the fraction on where its error exceeds that of the full pool by no more
    than the margin, in points, with confidence 99 % in a paired test each.
    """
    full = results.sel(scheme="random", fraction=1.0).misclassification
    excess = (results.misclassification - full).transpose("scheme", "fraction", "data_set")
    count = excess.sizes["data_set"]
    bound = stats.t.isf(1 - CONFIDENCE, count - 1) * excess.std("data_set", ddof=1) / count**0.5
    matches = ((excess.mean("data_set") + bound) <= margin / 100).values
    fractions = results.fraction.values
    least = {
        scheme: float(fractions[len(fractions) - int(row[::-1].cumprod().sum())])
        for scheme, row in zip(results.scheme.values, matches, strict=True)
    }
    ranked = sorted(least, key=lambda scheme: least[scheme])
    best = least[ranked[0]]
    return Claim(
        f"N = {pool_samples}, surrogate of 20 %: fewer than all labels do as well as all, to"
        f" {margin:g} points",
        "here",
        "; ".join(f"{scheme}: from {least[scheme]:.0%}" for scheme in ranked),
        f"real data, {count} random splits, paired, each at confidence {CONFIDENCE:.0%}",
        best < 1,
    )


def paired_claims(
    results: xr.Dataset, matching: float, tests: Sequence[tuple[Any, ...]]
) -> list[Claim]:
    """Of the largest pool: what matches it to so many points, and every (statement, better, worse,
    margin).

    better, worse: (surrogate, scheme, fraction).
    """
    samples = int(results.pool_samples.max())
    largest = results.sel(pool_samples=samples)
    names = ("surrogate", "scheme", "fraction")
    return [
        matching_claim(largest.sel(surrogate="20 %"), samples, matching),
        *(
            beats(
                largest,
                f"N = {samples}, {statement}",
                dict(zip(names, better, strict=True)),
                dict(zip(names, worse, strict=True)),
                samples,
                margin,
            )
            for statement, better, worse, margin in tests
        ),
    ]


def shared_tests() -> tuple[tuple[Any, ...], ...]:
    """What is asked of every task: for ``paired_claims``."""
    hard, moderate = power_label(1.0, False), power_label(0.5, False)
    return (
        (
            "surrogate of 20 %, 30 % of the labels by α = 1: weight 1 beats weight 1/π",
            ("20 %", hard, 0.3),
            ("20 %", power_label(1.0, True), 0.3),
            0.0,
        ),
        (
            "surrogate of 4 %, 10 % of the labels: random ones beat only the hardest",
            ("4 %", "random", 0.1),
            ("4 %", "only hardest", 0.1),
            0.0,
        ),
        (
            "30 % of the labels by α = 0.5: a surrogate of 4 % serves as well as one of 20 %, to"
            f" {WEAK_MARGIN} points",
            ("4 %", moderate, 0.3),
            ("20 %", moderate, 0.3),
            WEAK_MARGIN,
        ),
    )


class Agreement(NamedTuple):
    """How theory agrees with the real means; counts, and shares of them.

    points: real means within ALLOWED points and ERRORS sampling errors of the theory; rms and mean
    gap in points (theory less real). pairs: of schemes at the same other labels, whose difference
    is met to DIFFERENCE points, and the share that a perfect theory would meet so, by the standard
    errors of the experiments. ranked: pairs of which the real difference exceeds two standard
    errors, and the share that theory ranks alike. Shares of nothing are NaN.
    """

    points: int
    points_within: float
    rms: float
    mean_gap: float
    pairs: int
    pairs_within: float
    pairs_attainable: float
    ranked: int
    ranked_right: float


def agreement(results: xr.Dataset) -> Agreement:
    """Over all points of the results; the full pool counts once, random once a pool size."""
    groups = [name for name in results.misclassification.dims if name not in ("scheme", "data_set")]
    within, gaps, pairs, attainable, ranks = [], [], [], [], []
    stacked = results.stack(group=groups)
    for group in range(stacked.sizes["group"]):
        here = stacked.isel(group=group)
        labels = {name: here[name].item() for name in groups}
        full = labels["fraction"] == 1
        first = labels["surrogate"] == results.surrogate.values[0]
        real = 100 * here.misclassification.transpose("scheme", "data_set").values
        theory = 100 * here.theory_misclassification.values
        error = 100 * here.theory_misclassification_sampling_error.values
        for k, scheme in enumerate(here.scheme.values):
            if first if scheme == "random" else not full:
                gaps.append(theory[k] - real[k].mean())
                within.append(abs(gaps[-1]) <= ALLOWED + ERRORS * error[k])
        for a, b in itertools.combinations(range(len(real)), 2) if not full else ():
            difference = real[a] - real[b]
            expected = theory[a] - theory[b]
            pairs.append(abs(difference.mean() - expected) <= DIFFERENCE)
            spread = difference.std(ddof=1) / difference.size**0.5
            attainable.append(2 * stats.norm.cdf(DIFFERENCE / spread) - 1 if spread > 0 else 1.0)
            if abs(difference.mean()) > 2 * spread:
                ranks.append(np.sign(expected) == np.sign(difference.mean()))
    return Agreement(
        len(gaps),
        _mean(within),
        _mean(np.square(gaps)) ** 0.5,
        _mean(gaps),
        len(pairs),
        _mean(pairs),
        _mean(attainable),
        len(ranks),
        _mean(ranks),
    )


def _mean(values: Any) -> float:
    return float(np.mean(values)) if len(values) else float("nan")


def agreement_claims(results: xr.Dataset) -> list[Claim]:
    """Single points, and the order of schemes; the share of differences is said beside it."""
    found = agreement(results)
    labels, repeats = results.attrs["pilot_labels"], results.sizes["data_set"]
    basis = f"theory from {labels} labels against {repeats} random splits"
    return [
        Claim(
            f"Theory meets the real means to {ALLOWED} points and {ERRORS:g} of its sampling"
            f" errors at {SHARE:.0%} of the points",
            "here",
            f"{found.points_within:.1%} of {found.points} points; mean gap {found.mean_gap:+.2f},"
            f" root mean square {found.rms:.2f} points",
            basis,
            found.points_within >= SHARE,
        ),
        Claim(
            "Theory ranks schemes right wherever the real difference exceeds two standard errors,"
            f" at {SHARE:.0%} of the pairs",
            "here",
            f"{found.ranked_right:.1%} of {found.ranked} pairs; it meets differences to"
            f" {DIFFERENCE} points at {found.pairs_within:.1%} of {found.pairs} pairs, of which"
            f" noise of the experiments alone would leave {found.pairs_attainable:.1%}",
            basis,
            found.ranked_right >= SHARE,
        ),
    ]
