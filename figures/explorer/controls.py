"""The explorer's controls: which there are, and the state that their values make."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import marimo as mo
import numpy as np

from figures.explorer.state import AXES, DATA, LOSSES, QUANTITIES, SCHEMES, SURROGATES, State

MANTISSAS = (1.0, 1.25, 1.6, 2.0, 2.5, 3.2, 4.0, 5.0, 6.3, 8.0)
DEFAULT = State()


def _decades(name: str, low: float, high: float) -> list[float]:
    """Ten steps a decade from low to high, and the default."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = {float(f"{m}e{k}") for k in powers for m in MANTISSAS}
    return sorted({step for step in steps if low <= step <= high} | {getattr(DEFAULT, name)})


def _even(low: float, high: float, step: float) -> list[float]:
    return [round(low + k * step, 10) for k in range(round((high - low) / step) + 1)]


SLIDERS: dict[str, Sequence[float]] = {
    "signal": _decades("signal", 0.2, 20.0),
    "samples_per_dimension": _decades("samples_per_dimension", 0.5, 100.0),
    "beta_0": _even(0.0, 10.0, 0.25),
    "beta_s": _even(0.0, 5.0, 0.05),
    "surrogate_samples": _decades("surrogate_samples", 0.5, 63.0),
    "surrogate_ridge": _decades("surrogate_ridge", 1e-4, 10.0),
    "exponent": _even(-4.0, 4.0, 0.25),
    "fraction": _even(0.02, 1.0, 0.02),
    "ridge": _decades("ridge", 1e-4, 10.0),
}
"""Values of the sliders: nothing out of range can be entered."""

LABELS = {
    "data": "Data",
    "signal": "signal (norm; mixture: half the distance)",
    "samples_per_dimension": "samples per dimension N/p",
    "surrogate": "Surrogate",
    "beta_0": "its coefficient β₀",
    "beta_s": "its error βₛ",
    "surrogate_samples": "its samples per dimension",
    "surrogate_ridge": "its ridge",
    "schemes": "Schemes",
    "exponent": "chosen exponent α",
    "fraction": "fraction kept",
    "reweight": "weights 1/π",
    "ridge": "ridge λ",
    "tuned": "best ridge at every point (slow)",
    "loss": "Loss",
    "fit_intercept": "intercept",
    "x": "Horizontal axis",
    "quantity": "Vertical axis",
    "optimal": "the best selection of all, as a line (slow)",
    "shown": "Rule shown below",
}
CHOICES: dict[str, Sequence[str]] = {
    "data": DATA,
    "surrogate": SURROGATES,
    "loss": tuple(LOSSES),
    "x": tuple(AXES),
    "quantity": QUANTITIES,
    "shown": SCHEMES,
}


def make_controls(state: State) -> Any:
    """All controls, by the names of the state's fields, showing a state.

    A number between two steps of its slider moves to the nearer.
    """
    elements: dict[str, Any] = {}
    for item in dataclasses.fields(State):
        name, value = item.name, getattr(state, item.name)
        label = LABELS[name]
        if name in SLIDERS:
            steps = SLIDERS[name]
            near = steps[int(np.argmin(np.abs(np.asarray(steps) - value)))]
            elements[name] = mo.ui.slider(
                steps=list(steps), value=near, label=label, show_value=True, full_width=True
            )
        elif name in CHOICES:
            elements[name] = mo.ui.dropdown(
                list(CHOICES[name]), value=value, label=label, allow_select_none=False
            )
        elif name == "schemes":
            elements[name] = mo.ui.multiselect(list(SCHEMES), value=list(value), label=label)
        else:
            elements[name] = mo.ui.checkbox(value=value, label=label)
    return mo.ui.dictionary(elements)


def read_controls(values: Mapping[str, Any]) -> State:
    """The state that the controls show; without any scheme chosen, random."""
    given = dict(values)
    given["schemes"] = tuple(s for s in SCHEMES if s in given["schemes"]) or ("random",)
    return State(**given)


def shown_controls(state: State) -> list[str]:
    """The controls that mean something now, in the order of the page."""
    surrogate = {
        "given": ["beta_0", "beta_s"],
        "trained": ["surrogate_samples", "surrogate_ridge"],
    }.get(state.surrogate, [])
    ridge = [] if state.tuned else ["ridge"]
    return [
        *("data", "signal", "samples_per_dimension", "surrogate", *surrogate),
        *("schemes", "exponent", "fraction", "reweight", *ridge, "tuned", "loss"),
        *("fit_intercept", "x", "quantity", "optimal", "shown"),
    ]
