"""What a pilot advises: predicted errors of the best settings, best first."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from figures.style import figure_style

MOST = 12
"""Settings that are shown."""


def advice_plot(table: pd.DataFrame) -> Figure:
    """Predicted test error of every scheme and fraction, each at its best ridge.

    table: of an Advice: best first, with scheme, fraction, ridge, misclassification and
    sampling_error.
    """
    best = table.drop_duplicates(["scheme", "fraction"]).head(MOST)[::-1]
    with figure_style():
        figure, axis = plt.subplots(figsize=(7.0, 0.34 * len(best) + 1.5), layout="constrained")
        places = np.arange(len(best))
        errors = 100 * best.misclassification
        axis.errorbar(
            errors, places, xerr=100 * best.sampling_error, fmt="o", color="#0072B2", capsize=2
        )
        names = [
            f"{scheme}, ridge {ridge:g}"
            for scheme, ridge in zip(best.scheme, best.ridge, strict=True)
        ]
        axis.set_yticks(places, names)
        axis.set_xlabel("predicted error (%), ± sampling error")
        axis.set_title("What to label next, best on top")
    return figure
