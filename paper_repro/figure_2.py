"""Figure 2 of the paper, right column: N/p = 6870/3000, perfect surrogate, biased selection."""

from paper_repro.fraction_figure import Column, FractionFigure, Scale
from theory import F1, F2, PowerSelection, Problem, SingleIndex, StepLink


def _problem(link: StepLink) -> Problem:
    return Problem(
        data=SingleIndex(link, signal_norm=5.0),
        selection=PowerSelection(alpha=0.0, fraction=1.0),
        ridge=0.01,
        samples_per_dimension=6870 / 3000,
    )


FIGURE = FractionFigure(
    name="figure-2",
    title="Which samples to keep? N/p = 2.29, perfect surrogate, biased selection",
    shows="f1 and f2 labels: hard samples beat the full sample, or fail badly",
    columns={
        "f1": Column("f1: one noisy step", _problem(F1)),
        "f2": Column("f2: noisier labels away from the boundary", _problem(F2)),
    },
    quick=Scale(dimension=400, repeats=10),
    full=Scale(dimension=3000, repeats=10),
)
