"""Test a new kind: what it says of itself, then theory against a short simulation."""

from typing import Any

from simulate.monte_carlo import estimate
from simulate.running.errors import RunError
from theory.data import GaussianMixture, LogisticLink, SingleIndex
from theory.kind_checks import complaints, kind_of
from theory.kinds import DataModel, FixedFraction, Link, Selection, Surrogate
from theory.losses import Loss
from theory.prediction import ConvergenceError, predict
from theory.problem import Problem
from theory.selection import PowerSelection
from theory.surrogate import GivenSurrogate

QUANTITIES = ("misclassification", "alpha_0", "alpha_s", "alpha_perp", "fraction", "beta_0")
"""What theory and simulation must agree in."""

Z = 5.0
"""Standard errors that they may differ by ..."""

FINITE_SIZE = 2.0
"""... beside this over p, relative to 1 or the predicted value if that is larger."""


class KindError(ValueError):
    """An instance is not what it says; the message lists what is wrong, in words.

    complaints: one for every finding.
    """

    def __init__(self, instance: Any, complaints: tuple[str, ...]) -> None:
        self.instance = instance
        self.complaints = complaints
        said = "".join(f"\n- {complaint}" for complaint in complaints)
        super().__init__(f"{instance!r} is not what it says:{said}")

    def __reduce__(self) -> tuple[type["KindError"], tuple[Any, tuple[str, ...]]]:
        return KindError, (self.instance, self.complaints)


def check_kind(instance: Any, dimension: int = 200, repeats: int = 20, seed: int = 0) -> None:
    """Test a loss, label model, data model, surrogate or selection, of any module.

    Its functions are held against their definitions and each other, then the theory of a problem
    with it against ``repeats`` simulated data sets in ``dimension`` dimensions (a few seconds).
    Raises KindError, which says what is wrong.

    >>> from theory import PowerSelection
    >>> check_kind(PowerSelection(alpha=1.0, fraction=0.5), dimension=50, repeats=5)
    """
    found = tuple(_complaints(instance))
    if not found:
        found = tuple(_disagreements(_problem_with(instance), dimension, repeats, seed))
    if found:
        raise KindError(instance, found)


def _complaints(instance: Any) -> list[str]:
    """Those of the instance alone; a method that fails is one as well."""
    found: list[str] = []
    try:
        for complaint in complaints(instance):
            found.append(complaint)
    except Exception as error:  # whatever another's code raises
        found.append(f"a method fails: {type(error).__name__}: {str(error).splitlines()[0]}")
    return found


def _problem_with(instance: Any) -> Problem:
    """A problem of which the instance is a part."""
    kind = kind_of(instance)
    parts: dict[str, Any] = {
        "data": SingleIndex(LogisticLink(), 2.0),
        "surrogate": GivenSurrogate(1.5, 0.8),
        "selection": PowerSelection(alpha=0.5, fraction=0.6),
        "ridge": 0.1,
        "samples_per_dimension": 4.0,
    }
    names = {Loss: "loss", Selection: "selection", DataModel: "data", Surrogate: "surrogate"}
    if kind is Link:
        parts["data"] = SingleIndex(instance, 1.5)
    elif kind is not None:
        parts[names[kind]] = instance
    if kind is Surrogate:
        try:
            instance.source(parts["data"])
        except ValueError:
            parts["data"] = GaussianMixture(1.2, 0.4)
    return Problem(**parts)


def _disagreements(problem: Problem, dimension: int, repeats: int, seed: int) -> list[str]:
    """Where theory and simulation differ; a selection without theory is simulated only."""
    try:
        simulated = estimate(problem, dimension, repeats, seed)
    except RunError as error:
        return [f"a simulation fails: {error}"]
    if not simulated.repeats:
        return [f"none of {repeats} fits met its tolerance in a simulation of {problem}"]
    if not problem.selection.has_theory:
        kept, selection = simulated.fraction.mean, problem.selection
        if isinstance(selection, FixedFraction) and abs(kept - selection.fraction) > 0.05:
            return [f"a simulation keeps {kept:.3f} of the pool, not {selection.fraction:g}"]
        return []
    try:
        predicted = predict(problem)
    except (ConvergenceError, ValueError) as error:
        return [f"the theory cannot solve a problem with it: {error}"]
    found = []
    for name in QUANTITIES:
        limit, mean = getattr(predicted, name), getattr(simulated, name)
        allowed = Z * mean.standard_error + FINITE_SIZE / dimension * max(1.0, abs(limit))
        if not abs(mean.mean - limit) <= allowed:
            found.append(
                f"theory and simulation differ in {name}: {limit:.4f}, and {mean.mean:.4f} ±"
                f" {mean.standard_error:.4f} at p = {dimension}, of {problem}"
            )
    return found
