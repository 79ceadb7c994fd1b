"""Real digits, odd against even: test error against the percentage kept, no theory involved.

Every repeat splits scikit-learn's 1797 digits anew: 200 labels for the surrogate, 500 to test, the
rest is the pool. Features are whitened principal components of the pool.
"""

from collections.abc import Sequence
from concurrent.futures import Executor

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy import stats

from figures import POWER_STYLES, TOP_STYLES, add_legend, figure_style, log_ticks, panel_grid
from figures.panels import draw_points
from figures.style import SchemeStyle
from paper_repro.claims import CONFIDENCE, Claim
from paper_repro.reproduction import OwnReproduction
from simulate.pools import (
    FittedSurrogate,
    SplitSizes,
    Study,
    Whiten,
    load_digits_task,
    study,
)
from simulate.pools.rules import AnySelection
from simulate.pools.studies import Progress
from theory import PowerSelection, RandomSelection, TopSelection

NAME = "real-digits"
TITLE = "Real digits, odd against even: which labels to buy"
SHOWS = (
    "real data: of few labels, hard ones need reweighting, and only the hardest are worth little"
)

ALPHAS = (-1.0, -0.5, 0.5, 1.0)
FRACTIONS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
QUICK_FRACTIONS = (0.1, 0.3, 0.5, 0.7, 1.0)
SIZES = SplitSizes(surrogate=200, test=500)
COMPONENTS = 40
RIDGE = 0.01
REPEATS = {False: 20, True: 40}
SEED = 11

BIASED, UNBIASED = "weight 1", "weight 1/π"


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
    full: bool = True,
    executor: Executor | None = None,
    progress: Progress | None = None,
    seed: int = SEED,
) -> xr.Dataset:
    """The study, over (scheme, fraction, data_set); see ``simulate.pools.study``.

    full: 40 repeats at eleven fractions, or 20 at five.
    """
    plan = Study(
        schemes=schemes(),
        fractions=FRACTIONS if full else QUICK_FRACTIONS,
        surrogates={"200 labels": FittedSurrogate(SIZES.surrogate, ridge=0.01)},
        sizes=SIZES,
        ridge=RIDGE,
        preparation=(Whiten(COMPONENTS),),
        repeats=REPEATS[full],
        seed=seed,
    )
    results = study(load_digits_task(), plan, executor, progress).squeeze("surrogate", drop=True)
    pool = results.attrs["samples"] - SIZES.surrogate - SIZES.test
    return results.assign_attrs(pool_samples=pool, test_samples=SIZES.test)


def draw(results: xr.Dataset) -> Figure:
    """Misclassification against the percentage kept; biased left, reweighted right."""
    surrogate = float(results.surrogate_misclassification.mean())
    repeats = results.sizes["data_set"]
    with figure_style():
        figure, axes = panel_grid(
            1,
            2,
            f"{TITLE}\nN = {results.attrs['pool_samples']}, {COMPONENTS} whitened components,"
            f" logistic loss, ridge λ = {RIDGE:g}, surrogate of {SIZES.surrogate} labels (error"
            f" {surrogate:.0%})\npoints: real experiments, {repeats} random splits, ±1 s.e.",
            panel=(4.3, 3.4),
            share_y=True,
        )
        everything = 100 * float(
            results.misclassification.sel(scheme="random", fraction=1.0).mean()
        )
        for axis, weighting in zip(axes[0], (BIASED, UNBIASED), strict=True):
            axis.axhline(everything, color="#777777", linewidth=1, linestyle=":", label="full pool")
            _draw_curve(axis, results, "random", POWER_STYLES[0.0])
            for alpha in ALPHAS:
                label = power_label(alpha, weighting == UNBIASED)
                _draw_curve(axis, results, label, POWER_STYLES[alpha])
            _draw_curve(axis, results, "only hardest", TOP_STYLES["hard"])
            _draw_curve(axis, results, "only easiest", TOP_STYLES["easy"])
            axis.set(title=f"selected samples have {weighting}", xlabel="kept, n/N (%)")
        axes[0, 0].set_ylabel("test misclassification (%)")
        log_ticks(axes[0, 0], "y", [9, 10, 12, 15, 20, 30, 40])
        add_legend(figure, axes[0, 0])
    return figure


def _draw_curve(axis: Axes, results: xr.Dataset, scheme: str, style: SchemeStyle) -> None:
    values = 100 * results.misclassification.sel(scheme=scheme)
    mean = values.mean("data_set")
    error = values.std("data_set", ddof=1) / values.sizes["data_set"] ** 0.5
    percent = 100 * results.fraction.values
    axis.plot(percent, mean, color=style.colour, linewidth=0.8, alpha=0.5)
    draw_points(axis, percent, mean.values, error.values, style, style.label)


def table(results: xr.Dataset) -> pd.DataFrame:
    """Mean misclassification in percent: schemes in rows, percentage kept in columns."""
    means = 100 * results.misclassification.mean("data_set")
    frame = means.transpose("scheme", "fraction").to_pandas()
    frame.columns = pd.Index([f"{fraction:.0%}" for fraction in results.fraction.values])
    return pd.DataFrame(frame.round(2).reset_index())


def claims(results: xr.Dataset) -> list[Claim]:
    """What the curves show, each by a paired test over the repeats."""
    hard, easy = power_label(1.0, True), power_label(-1.0, True)
    hard_biased, easy_biased = power_label(1.0, False), power_label(-0.5, False)
    tests: Sequence[tuple[str, str, str, float]] = (
        ("30 % of the labels: α = 1 is better reweighted than not", hard, hard_biased, 0.3),
        ("50 % of the labels, reweighted: α = 1 beats α = −1", hard, easy, 0.5),
        ("10 % of the labels, not reweighted: α = −0.5 beats α = 1", easy_biased, hard_biased, 0.1),
        ("10 % of the labels: random ones beat only the hardest", "random", "only hardest", 0.1),
    )
    return [
        _beats(results, statement, better, worse, fraction)
        for statement, better, worse, fraction in tests
    ]


def _beats(results: xr.Dataset, statement: str, better: str, worse: str, fraction: float) -> Claim:
    """Paired t-test over the repeats, which are random splits of one finite set of data.

    It speaks of the mean over such splits. What it says of fresh data is judged with the variance
    that Nadeau and Bengio (2003) give for splits that share samples.
    """
    points = [results.sel(scheme=label, fraction=fraction) for label in (better, worse)]
    good = np.logical_and(*(point.converged.values == 1 for point in points))
    values = [point.misclassification.values[good] for point in points]
    gaps = values[1] - values[0]
    count = gaps.size
    spread = gaps.std(ddof=1) if count > 1 else np.nan
    test, train = results.attrs["test_samples"], results.attrs["pool_samples"]
    error = spread / count**0.5
    shared = spread * (1 / count + test / train) ** 0.5
    certain, fresh = (float(stats.t.cdf(gaps.mean() / e, count - 1)) for e in (error, shared))
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


def _run(full: bool, seed: int, executor: Executor | None) -> xr.Dataset:
    return compute(full, executor, seed=SEED + seed)


FIGURE = OwnReproduction(
    name=NAME,
    title=TITLE,
    shows=SHOWS,
    minutes=(0.2, 0.3),
    run=_run,
    draw=lambda results: {NAME: draw(results)},
    table=table,
    claims=claims,
    needs=("misclassification",),
)
