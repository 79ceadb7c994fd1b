"""The layout of Figure 2 for Gaussian mixtures: balanced, and 20/80 with an intercept."""

from paper_repro.fraction_figure import Column, FractionFigure, Scale
from theory import GaussianMixture, PowerSelection, Problem


def _problem(data: GaussianMixture) -> Problem:
    return Problem(
        data=data,
        selection=PowerSelection(alpha=0.0, fraction=1.0),
        ridge=0.01,
        samples_per_dimension=3.0,
        fit_intercept=data.positive_fraction != 0.5,
    )


FIGURE = FractionFigure(
    name="gaussian-mixture",
    title="Gaussian mixtures, N/p = 3, perfect surrogate, biased selection",
    shows="balanced classes, and 20/80 classes with 10% of the labels flipped",
    columns={
        "balanced": Column("balanced, r = 1.5", _problem(GaussianMixture(1.5))),
        "unbalanced": Column(
            "20/80, r = 1, 10% labels flipped, intercept",
            _problem(GaussianMixture(1.0, positive_fraction=0.2, label_noise=0.1)),
        ),
    },
    quick=Scale(dimension=400, repeats=10),
    full=Scale(dimension=2000, repeats=10),
)
