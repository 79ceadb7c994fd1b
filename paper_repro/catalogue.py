"""Every figure that can be reproduced, by name, in the order of the report."""

from paper_repro.reproduction import AnyReproduction, OwnReproduction, Reproduction
from paper_repro.reproductions import (
    beats_full_sample,
    budget_split,
    double_descent,
    figure_2,
    figure_7,
    finite_size,
    gaussian_mixture,
    hard_vs_easy,
    low_dimension,
    optimal_selection,
    phase_diagram,
    real_digits,
    real_fashion,
    real_tabular,
    reuse_of_labels,
    top_k,
    unbiased,
    weak_vs_strong,
)

EXPERIMENTS: dict[str, Reproduction] = {
    module.FIGURE.name: module.FIGURE
    for module in (
        figure_2,
        figure_7,
        unbiased,
        hard_vs_easy,
        beats_full_sample,
        weak_vs_strong,
        top_k,
        finite_size,
        gaussian_mixture,
        reuse_of_labels,
        double_descent,
    )
}
"""The figures whose theory and simulation are laid over each other."""

OWN: dict[str, OwnReproduction] = {
    module.FIGURE.name: module.FIGURE
    for module in (
        optimal_selection,
        budget_split,
        phase_diagram,
        low_dimension,
        real_digits,
        real_fashion,
        real_tabular,
    )
}

REPRODUCTIONS: dict[str, AnyReproduction] = {**EXPERIMENTS, **OWN}


def absent(name: str) -> str:
    """Why a figure cannot be computed here, such as for want of data; empty where it can."""
    figure = REPRODUCTIONS[name]
    return figure.absent() if isinstance(figure, OwnReproduction) else ""
