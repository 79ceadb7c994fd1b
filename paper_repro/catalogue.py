"""Every figure that can be reproduced, by name, in the order of the report."""

from paper_repro.reproduction import Reproduction
from paper_repro.reproductions import (
    beats_full_sample,
    figure_2,
    figure_7,
    finite_size,
    gaussian_mixture,
    hard_vs_easy,
    top_k,
    unbiased,
    weak_vs_strong,
)

REPRODUCTIONS: dict[str, Reproduction] = {
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
    )
}
