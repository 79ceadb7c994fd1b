"""Real digits, odd against even: test error against the percentage kept.

Every repeat splits scikit-learn's 1797 digits anew: 200 labels for the surrogate, 500 to test, the
rest is the pool. Features are whitened principal components of the pool. There are too few digits
to set some apart for the theory: it sees those that the surrogate has not, as the experiments do.
"""

import xarray as xr
from matplotlib.figure import Figure

from figures import add_legend, figure_style, log_ticks, panel_grid
from paper_repro.claims import Claim
from paper_repro.reproduction import OwnReproduction, Run
from paper_repro.reproductions.real_data import (
    BIASED,
    NEEDED,
    UNBIASED,
    beats,
    compute,
    draw_schemes,
    power_label,
    schemes,
    table,
)
from simulate.pools import FittedSurrogate, SplitSizes, Study, Whiten, load_digits_task

NAME = "real-digits"
TITLE = "Real digits, odd against even: which labels to buy"
SHOWS = (
    "real data: of few labels, hard ones need reweighting, and only the hardest are worth little"
)

FRACTIONS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
QUICK_FRACTIONS = (0.1, 0.3, 0.5, 0.7, 1.0)
SIZES = SplitSizes(surrogate=200, test=500)
COMPONENTS = 40
RIDGE = 0.01
REPEATS = {False: 20, True: 40}
DRAWS = {False: 2, True: 4}
"""Surrogates over which the theory is averaged."""

SEED = 11


def compute_digits(run: Run) -> xr.Dataset:
    """The study and its theory, over (scheme, fraction, data_set): 40 repeats at eleven fractions,
    or 20 at five."""
    plan = Study(
        schemes=schemes(),
        fractions=FRACTIONS if run.full else QUICK_FRACTIONS,
        surrogates={"200 labels": FittedSurrogate(SIZES.surrogate, ridge=0.01)},
        sizes=SIZES,
        ridge=RIDGE,
        preparation=(Whiten(COMPONENTS),),
        repeats=REPEATS[run.full],
        seed=SEED + run.seed,
    )
    results = compute(run, "digits", load_digits_task(), plan, None, DRAWS[run.full])
    pool = results.attrs["samples"] - SIZES.surrogate - SIZES.test
    return results.squeeze("surrogate", drop=True).assign_attrs(pool_samples=pool)


def draw(results: xr.Dataset) -> Figure:
    """Misclassification against the percentage kept; biased left, reweighted right."""
    surrogate = float(results.surrogate_misclassification.mean())
    error = 100 * float(results.theory_misclassification_sampling_error.mean())
    with figure_style():
        figure, axes = panel_grid(
            1,
            2,
            f"{TITLE}\nN = {results.attrs['pool_samples']}, {COMPONENTS} whitened components,"
            f" logistic loss, ridge λ = {RIDGE:g}, surrogate of {SIZES.surrogate} labels (error"
            f" {surrogate:.0%})\npoints: real experiments, {results.sizes['data_set']} random"
            " splits, ±1 s.e.\nlines: theory from"
            f" {results.attrs['pilot_labels']} of the same digits (few: n/p ="
            f" {results.attrs['points_per_dimension']:.0f}, good to ±{error:.1f} points)",
            panel=(4.3, 3.4),
            share_y=True,
        )
        for axis, weighting in zip(axes[0], (BIASED, UNBIASED), strict=True):
            draw_schemes(axis, results, weighting)
            axis.set(title=f"selected samples have {weighting}", xlabel="kept, n/N (%)")
        axes[0, 0].set_ylabel("test misclassification (%)")
        log_ticks(axes[0, 0], "y", [9, 10, 12, 15, 20, 30, 40])
        add_legend(figure, axes[0, 0])
    return figure


def claims(results: xr.Dataset) -> list[Claim]:
    """What the curves show, each by a paired test over the repeats."""
    hard, easy = power_label(1.0, True), power_label(-1.0, True)
    hard_biased, easy_biased = power_label(1.0, False), power_label(-0.5, False)
    tests = (
        ("30 % of the labels: α = 1 is better reweighted than not", hard, hard_biased, 0.3),
        ("50 % of the labels, reweighted: α = 1 beats α = −1", hard, easy, 0.5),
        ("10 % of the labels, not reweighted: α = −0.5 beats α = 1", easy_biased, hard_biased, 0.1),
        ("10 % of the labels: random ones beat only the hardest", "random", "only hardest", 0.1),
    )
    return [
        beats(
            results,
            statement,
            {"scheme": better, "fraction": fraction},
            {"scheme": worse, "fraction": fraction},
            results.attrs["pool_samples"],
        )
        for statement, better, worse, fraction in tests
    ]


FIGURE = OwnReproduction(
    name=NAME,
    title=TITLE,
    shows=SHOWS,
    minutes=(0.5, 1.5),
    run=compute_digits,
    draw=lambda results: {NAME: draw(results)},
    table=table,
    claims=claims,
    needs=NEEDED,
)
