"""Theory against the simulations published by the paper's authors, summarised in a CSV file.

    python benchmarks/published.py published_simulations.csv

The file, which the project does not carry, has the columns label_model, ridge, alpha ("full" for
the full sample), fraction, and each quantity with its standard error (suffix _se).
"""

import sys

import numpy as np
import pandas as pd

from theory import F1, F2, PowerSelection, Problem, SingleIndex, predict_all

LINKS = {"f1": F1, "f2": F2}


def main(path: str) -> None:
    table = pd.read_csv(path, encoding="utf-8")
    predictions = predict_all(
        Problem(
            data=SingleIndex(LINKS[row["label_model"]], signal_norm=5.0),
            selection=PowerSelection(
                0.0 if row["alpha"] == "full" else float(row["alpha"]), row["fraction"]
            ),
            ridge=row["ridge"],
            samples_per_dimension=6870 / 3000,
        )
        for _, row in table.iterrows()
    )
    print(f"{len(table)} points   max |z|  median |z|   rms z   largest gap")
    for name in ("misclassification", "log_loss", "alpha_0", "alpha_perp"):
        gap = np.array([getattr(p, name) for p in predictions]) - table[name].to_numpy()
        z = np.abs(gap / table[f"{name}_se"].to_numpy())
        rms, largest = np.sqrt(np.mean(z**2)), np.abs(gap).max()
        print(f"{name:<18} {z.max():6.2f}  {np.median(z):10.2f}  {rms:6.2f}  {largest:12.5f}")


if __name__ == "__main__":
    main(sys.argv[1])
