"""Predicted test error over the labels bought, one line a scheme, with a target."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from figures.style import figure_style

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
BASELINE = "random"


def budget_plot(curve: pd.DataFrame, experiments: pd.DataFrame, target: float) -> Figure:
    """Lines of a LabelBudget's curve, its experiments as points, and the target.

    The band is the sampling error of the pilot, which moves all lines together; it is drawn once,
    around random samples.
    """
    with figure_style():
        figure, axis = plt.subplots(figsize=(7.2, 4.0), layout="constrained")
        others = iter(COLOURS * len(curve))
        for scheme, part in curve.groupby("scheme", sort=False):
            errors = 100 * part.misclassification
            if scheme == BASELINE:
                spread = 100 * part.sampling_error
                axis.fill_between(
                    part.labels,
                    errors - spread,
                    errors + spread,
                    color="0.85",
                    linewidth=0,
                    label="± sampling error",
                )
                axis.plot(part.labels, errors, color="black", linewidth=2, label=str(scheme))
            else:
                axis.plot(part.labels, errors, color=next(others), label=str(scheme))
        if len(experiments):
            axis.errorbar(
                experiments.labels,
                100 * experiments.misclassification,
                yerr=100 * experiments.standard_error,
                fmt="o",
                color="black",
                markersize=4,
                label="random, real fits",
            )
        axis.axhline(100 * target, color="0.4", linestyle="--", linewidth=1)
        axis.annotate(
            f"target {target:.1%}", (1, 100 * target), xycoords=("axes fraction", "data"),
            xytext=(-4, 3), textcoords="offset points", ha="right", color="0.3",
        )  # fmt: skip
        axis.set_xscale("log")
        axis.set_xlabel("labels bought, the surrogate's included")
        axis.set_ylabel("predicted error (%)")
        axis.set_title("How many labels reach the target")
        figure.legend(loc="outside right upper", frameon=False)
    return figure
