"""Everything that is predicted, measured or varied: its name in words, symbol and unit, once."""

from typing import NamedTuple


class Quantity(NamedTuple):
    """long_name: in words. symbol: in the paper. measured: whether a simulation has it too."""

    long_name: str
    symbol: str = ""
    unit: str = "1"
    measured: bool = False


QUANTITIES: dict[str, Quantity] = {
    "misclassification": Quantity("test misclassification", "R", "probability", measured=True),
    "log_loss": Quantity("test log loss", "L_test", "nat", measured=True),
    "alpha_0": Quantity("coefficient along e_0", "alpha_0", measured=True),
    "alpha_s": Quantity("coefficient along e_s", "alpha_s", measured=True),
    "alpha_perp": Quantity("norm of the remaining coefficients", "alpha_perp", measured=True),
    "mu": Quantity("Lagrange multiplier", "mu"),
    "intercept": Quantity("fitted intercept", "b", measured=True),
    "fraction": Quantity("selected fraction of the pool", "gamma", measured=True),
    "beta_0": Quantity("surrogate coefficient along e_0", "beta_0", measured=True),
    "beta_s": Quantity("surrogate coefficient along e_s", "beta_s", measured=True),
    "error_estimate": Quantity("error estimate of the misclassification", unit="probability"),
    "log_loss_error_estimate": Quantity("error estimate of the log loss", unit="nat"),
    "residual": Quantity("largest residual of the printed equations"),
}
"""What a Prediction holds beside its status; what is measured, an Estimate holds too."""

MEASURED = tuple(name for name, quantity in QUANTITIES.items() if quantity.measured)
"""What a simulation measures, in the order in which it stores it."""

OTHERS: dict[str, Quantity] = {
    "alpha": Quantity("exponent of the power selection", "alpha"),
    "fraction": Quantity("subsampling fraction n/N", "gamma"),
    "ridge": Quantity("ridge", "lambda"),
    "samples_per_dimension": Quantity("samples per dimension N/p", "delta"),
    "signal_norm": Quantity("norm of theta_0", "s"),
    "score_clip": Quantity("bound on the score"),
    "dimension": Quantity("dimension p", "p"),
    "data_set": Quantity("data set"),
    "status": Quantity("how the solve ended"),
    "gradient_norm": Quantity("gradient norm of the fit, relative to that at zero"),
    "converged": Quantity("whether the fit met its tolerance"),
    "samples": Quantity("size N of the pool", "N"),
    "labels_per_dimension": Quantity("labels bought so far, per dimension"),
    "first_stage": Quantity("test misclassification of the surrogate", "R_su", "probability"),
}
"""Axes of sweeps, and what is stored beside the quantities."""


def described(name: str, prefix: str = "", axis: bool = False) -> dict[str, str]:
    """Attributes of a labelled array: long name, symbol and unit; for any name.

    prefix: a word before the long name. axis: whether the name is that of an axis.

    >>> described("ridge")
    {'long_name': 'ridge', 'symbol': 'lambda', 'units': '1'}
    """
    tables = (OTHERS, QUANTITIES) if axis else (QUANTITIES, OTHERS)
    found = next((table[name] for table in tables if name in table), None)
    quantity = found or Quantity(name.replace("_", " "))
    return {
        "long_name": f"{prefix} {quantity.long_name}".strip(),
        "symbol": quantity.symbol,
        "units": quantity.unit,
    }
