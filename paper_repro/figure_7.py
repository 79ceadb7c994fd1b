"""Figure 7 of the paper, f1: trained surrogates, N/p = 34345/932, biased selection."""

from paper_repro.fraction_figure import Column, FractionFigure, Scale
from theory import F1, PowerSelection, Problem, SingleIndex, TrainedSurrogate


def _problem(surrogate: TrainedSurrogate) -> Problem:
    return Problem(
        data=SingleIndex(F1, signal_norm=5.0),
        surrogate=surrogate,
        selection=PowerSelection(alpha=0.0, fraction=1.0),
        ridge=0.01,
        samples_per_dimension=34345 / 932,
    )


FIGURE = FractionFigure(
    name="figure-7",
    title="Which samples to keep? f1 labels, N/p = 36.9, trained surrogate, biased selection",
    shows="a surrogate trained on 4 or 8 labels per dimension: theory predicts its quality too",
    columns={
        "weak": Column("surrogate: N/p = 4, ridge 0.037", _problem(TrainedSurrogate(4, 0.037))),
        "strong": Column("surrogate: N/p = 8, ridge 0.01", _problem(TrainedSurrogate(8, 0.01))),
    },
    quick=Scale(dimension=100, repeats=10),
    full=Scale(dimension=932, repeats=10),
)
