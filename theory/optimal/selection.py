"""The selection by the score that the theory finds best."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import xarray as xr

from theory.checks import as_bool
from theory.kinds import Selection
from theory.optimal.intervals import Intervals
from theory.optimal.outcomes import as_objective
from theory.optimal.search import (
    Iterate,
    Target,
    correct,
    descend,
    first_grid,
    intervals_of,
    iterate,
    refine,
    scheme_at,
    solve_all,
)
from theory.optimal.state import Model
from theory.prediction import ConvergenceError, Prediction, predict_all
from theory.problem import Problem, as_problem
from theory.score import ScoreLaw, fitted_rule
from theory.selection import PowerSelection, RandomSelection, TabulatedSelection, TopSelection
from theory.solver import Status

AGREEMENT = 1e-5
"""Difference of test errors at which two starts have found the same selection."""

SAME = 0.02
"""Probability of another decision below which two selections are refined as one."""

ROUGHLY, SMALL, MOST_ROUNDS = 5e-4, 1e-10, 4
"""By how much intervals may be worse than nodes; the gap to reach, and in how many rounds."""

EXPONENTS = (-1.0, -0.5, 0.5, 1.0)
"""The paper's exponents."""


def paper_schemes(fraction: float) -> tuple[Selection, ...]:
    """The paper's schemes at one fraction, not reweighted.

    >>> len(paper_schemes(0.5))
    7
    """
    return (
        RandomSelection(fraction),
        *(PowerSelection(alpha, fraction) for alpha in EXPONENTS),
        TopSelection("hard", fraction),
        TopSelection("easy", fraction),
    )


@dataclass(frozen=True)
class OptimalSelection:
    """The best selection by the score.

    selection: keeps intervals of the score outright; a BandSelection where they are lower <= |t| <=
        upper. problem: the problem with it. prediction: of that problem.
    derivative: Z(t), the change of the test error per probability of selection at score t, along
        "score", with the quantile of |score| beside it. Z is at most ``level`` where samples are
        kept, and at least ``level`` elsewhere.
    gap: largest E[Z (pi - s)] over admissible s: 0 at a stationary selection; where the error is
        convex in pi, nothing can be better by more.
    thresholds: the ends of the intervals.
    starts, agreed, failed: schemes that the search started from, those that led to this error,
        and those without a solution. Others ended in a worse stationary selection.
    """

    selection: Selection
    problem: Problem
    prediction: Prediction
    objective: str
    derivative: xr.DataArray
    level: float
    gap: float
    thresholds: tuple[float, ...]
    starts: int
    agreed: int
    failed: int

    @property
    def words(self) -> str:
        """The selection in words."""
        return str(self.derivative.attrs["words"])


class Search(NamedTuple):
    """The best iterate, its intervals (None where they were not found), and the starts' ends."""

    best: Iterate
    intervals: Intervals | None
    ends: tuple[float, ...]
    failed: int


def optimal_selection(
    problem: Problem, objective: str = "misclassification", at_most: bool = False
) -> OptimalSelection:
    """The selection by the score that minimises a test error at the problem's fraction.

    problem: its own selection gives the fraction only. Selected samples have weight 1.
    objective: "misclassification" or "log_loss".
    at_most: whether a smaller fraction may be chosen where it is better.
    The search starts from the paper's schemes. The error is not convex in pi in general: ``agreed``
    counts the starts that led to the best end.
    Raises InvalidFieldError on other arguments, EmptySelectionError where the problem selects
    nothing, and ConvergenceError where no scheme has a solution.
    Source: the first-order condition pi = 1{Z <= level} for Theorem 4 of the paper; ``search``.

    >>> from theory import F1, Problem, RandomSelection, SingleIndex
    >>> problem = Problem(SingleIndex(F1, 5.0), RandomSelection(0.5), 0.01, 2.29)
    >>> best = optimal_selection(problem)
    >>> round(best.selection.lower, 3), round(best.selection.upper, 3)
    (2.86, 9.149)
    >>> round(best.prediction.misclassification, 4)
    0.2565
    """
    objective = as_objective(objective)
    at_most = as_bool("at_most", at_most)
    model = Model(as_problem(problem), objective)
    fraction = fitted_rule(problem.data, model.score, problem.selection).expected(model.law)
    target = Target(min(fraction, 1.0), at_most)
    found = search([model], target)
    if found is None:
        (prediction,) = predict_all([problem])
        raise ConvergenceError(problem, prediction)
    selection = selection_of(found, model.law)
    best = problem.replace({"selection": selection})
    (prediction,) = predict_all([best])
    if prediction.status is not Status.CONVERGED:
        raise ConvergenceError(best, prediction)
    at = found.best
    return OptimalSelection(
        selection=selection,
        problem=best,
        prediction=prediction,
        objective=objective,
        derivative=_labelled(model, at, words(found.intervals, model.law)),
        level=at.program.level,
        gap=at.gap,
        thresholds=() if found.intervals is None else found.intervals.thresholds,
        starts=len(found.ends) + found.failed,
        agreed=sum(end <= at.worst + AGREEMENT for end in found.ends),
        failed=found.failed,
    )


def search(models: Sequence[Model], target: Target) -> Search | None:
    """From the paper's schemes to the best selection; None where none of them has a solution."""
    law = models[0].law
    grid, random = first_grid(models, target.fraction)
    schemes = paper_schemes(target.fraction)
    if target.fraction >= 1 - 1e-12 and not target.at_most:
        schemes = schemes[:1]
    starts = []
    for scheme in schemes:
        pi = scheme_at(grid, scheme, law, target.fraction)
        states = solve_all(models, grid, pi, random)
        if states is not None:
            at = iterate(models, grid, pi, states, target)
            starts.append(descend(models, at, target))
    if not starts:
        return None
    starts.sort(key=lambda end: end.worst)
    found: list[tuple[Iterate, Intervals | None, Iterate]] = []
    ends = []
    for start in starts:
        known = next((f for f in found if _distance(start, f[0]) < SAME), None)
        if known is None:
            corrected = correct(models, start, target)
            known = next((f for f in found if _distance(corrected, f[0]) < SAME), None)
            if known is None:
                known = (corrected, *polish(models, corrected, target))
                found.append(known)
        ends.append(known[2].worst)
    best = min(found, key=lambda f: f[2].worst)
    return Search(best[2], best[1], tuple(ends), len(schemes) - len(starts))


def polish(
    models: Sequence[Model], end: Iterate, target: Target
) -> tuple[Intervals | None, Iterate]:
    """From a selection at nodes to intervals; None where their equations have no solution near."""
    best: tuple[Intervals | None, Iterate] = (None, end)
    at, allowed, again = end, ROUGHLY, True
    for _ in range(MOST_ROUNDS):
        answer = refine(models, at, intervals_of(models, at), target)
        if answer is None or answer[1].worst > at.worst + allowed:
            if not again or at.gap < SMALL:
                break
            at, again = correct(models, at, target, SMALL), False
            best = (None, at) if best[0] is None else best
            continue
        best = answer
        if answer[1].gap < SMALL:
            break
        at, allowed = correct(models, descend(models, answer[1], target), target), 0.0
    return best


def _distance(a: Iterate, b: Iterate) -> float:
    """Probability that one selection keeps a sample and the other does not."""
    return float(a.grid.weight @ np.abs(a.pi - b.pi))


def selection_of(found: Search, law: ScoreLaw) -> Selection:
    """The selection that was found: intervals, or failing these a table of probabilities."""
    if found.intervals is not None:
        return found.intervals.selection(law)
    grid, pi = found.best.grid, np.clip(found.best.pi, 0.0, 1.0)
    return TabulatedSelection(tuple(map(float, grid.t)), tuple(map(float, pi)))


def words(intervals: Intervals | None, law: ScoreLaw) -> str:
    """The intervals with their ends in the score and in quantiles of |score|."""
    if intervals is None:
        return "A selection with probabilities that vary with the score."
    if not intervals.thresholds:
        return "Keep every sample."

    def end(t: float) -> str:
        return f"{t:.4g} ({100 * law.probability_within(abs(t)):.3g}%)"

    symmetric = intervals.is_symmetric(1e-9 * law.deviation)
    parts = intervals.parts()
    name = "|score|" if symmetric else "score"
    if symmetric:
        parts = [(max(a, 0.0), b) for a, b in parts if b > 0]
    texts = []
    for a, b in parts:
        low = None if a == -math.inf or (symmetric and a == 0) else end(a)
        high = None if b == math.inf else end(b)
        if low and high:
            texts.append(f"between {low} and {high}")
        elif low:
            texts.append(f"above {low}")
        else:
            texts.append(f"below {high}")
    return f"Keep samples with {name} {' or '.join(texts)}; in brackets the quantiles of |score|."


def _labelled(model: Model, at: Iterate, text: str) -> xr.DataArray:
    t = at.grid.t
    z = model.derivative(at.states[0], t)
    within = [model.law.probability_within(abs(float(score))) for score in t]
    return xr.DataArray(
        z,
        dims="score",
        coords={
            "score": ("score", t, {"long_name": "score", "units": "1"}),
            "quantile": ("score", within, {"long_name": "quantile of |score|", "units": "1"}),
            "kept": ("score", at.pi, {"long_name": "probability of selection", "units": "1"}),
        },
        name="derivative",
        attrs={
            "long_name": f"derivative of {model.objective} in the probability of selection",
            "symbol": "Z",
            "words": text,
        },
    )
