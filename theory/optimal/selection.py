"""The selection by the score that the theory finds best."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import xarray as xr

from theory.checks import as_bool
from theory.kinds import FixedFraction, Selection
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
    lowest,
    refine,
    scheme_at,
    solve_all,
)
from theory.optimal.state import Model
from theory.prediction import ConvergenceError, Prediction, on_all_cores, predict_all
from theory.problem import Problem, as_problem
from theory.score import ScoreLaw, fitted_rule
from theory.selection import PowerSelection, RandomSelection, TabulatedSelection, TopSelection
from theory.solver import Status

AGREEMENT = 1e-5
"""Difference of test errors at which two starts have found the same selection."""

SAME = 0.02
"""Probability of another decision below which two selections are refined as one."""

ON_THE_WAY = (0.0, 0.3, 0.6, 0.9)
"""Shares of the way between two selections where the error is to fall."""

LEVEL = 1e-7
"""Slope of the error, over the whole way, that counts as level."""

ROUGHLY, SMALL, MOST_ROUNDS = 5e-4, 1e-10, 4
"""By how much intervals may be worse than nodes; the gap to reach, and in how many rounds."""

NARROW = (0.01, 0.03)
"""Probability of an interval, or a gap, that is closed where its ends cannot be refined."""

WORTH_WORKERS = 16
"""Fewer optima than this are searched in this process."""

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


class Found(NamedTuple):
    """A stationary iterate and its intervals; None where these were not found."""

    at: Iterate
    intervals: Intervals | None


class Search(NamedTuple):
    """What was found, the best first; the errors at which the starts ended; and how many failed."""

    found: tuple[Found, ...]
    ends: tuple[float, ...]
    failed: int

    @property
    def best(self) -> Iterate:
        return self.found[0].at

    @property
    def intervals(self) -> Intervals | None:
        return self.found[0].intervals


class Answer(NamedTuple):
    """A selection with its prediction, and how it was found."""

    selection: Selection
    prediction: Prediction
    found: Found


def optimal_selection(
    problem: Problem,
    objective: str = "misclassification",
    at_most: bool = False,
    near: OptimalSelection | None = None,
) -> OptimalSelection:
    """The selection by the score that minimises a test error at the problem's fraction.

    problem: its own selection gives the fraction only. Selected samples have weight 1.
    objective: "misclassification" or "log_loss".
    at_most: whether a smaller fraction may be chosen where it is better.
    near: the optimum of a similar problem. The search then starts from the samples that this one's
        derivative ranks lowest alone, which is faster, and from the paper's schemes only where that
        does not lead to a stationary selection.
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
    found = None if near is None else _search_near(model, target, near)
    found = found or search([model], target)
    if found is None:
        (prediction,) = predict_all([problem])
        raise ConvergenceError(problem, prediction)
    answer = _best_solved(problem, model, target, found)
    at = answer.found.at
    return OptimalSelection(
        selection=answer.selection,
        problem=problem.replace({"selection": answer.selection}),
        prediction=answer.prediction,
        objective=objective,
        derivative=_labelled(model, at, _words_of(answer, model.law)),
        level=at.program.level,
        gap=at.gap,
        thresholds=() if answer.found.intervals is None else answer.found.intervals.thresholds,
        starts=len(found.ends) + found.failed,
        agreed=sum(end <= at.worst + AGREEMENT for end in found.ends),
        failed=found.failed,
    )


def optimal_problems(problems: Sequence[Problem]) -> list[Problem]:
    """Problems with their optimal selections, in order, each search started from the one before.

    On all cores. A problem in which no scheme has a solution stays as it is.

    >>> from theory import F1, Problem, RandomSelection, SingleIndex
    >>> [best] = optimal_problems([Problem(SingleIndex(F1, 5.0), RandomSelection(0.5), 0.01, 2.29)])
    >>> round(best.selection.lower, 3)
    2.86
    """
    if len(problems) < WORTH_WORKERS:
        return _optimal_chunk(problems)
    return on_all_cores(_optimal_chunk, problems, rounds=2)


def _optimal_chunk(problems: Sequence[Problem]) -> list[Problem]:
    near: OptimalSelection | None = None
    found = []
    for problem in problems:
        try:
            near = optimal_selection(problem, near=near)
        except ConvergenceError:
            found.append(problem)
        else:
            found.append(near.problem)
    return found


def _best_solved(problem: Problem, model: Model, target: Target, found: Search) -> Answer:
    """The best of what was found that has a solution by fine quadrature too.

    Where none has, or only a table of probabilities was found, a scheme of the paper may be better.
    Raises ConvergenceError where these have no solution either.
    """
    solved = [
        Answer(selection, prediction, end)
        for end in found.found
        for selection in [selection_of(end, model.law)]
        for prediction in predict_all([problem.replace({"selection": selection})])
        if prediction.status is Status.CONVERGED
    ]
    if solved and solved[0].found.intervals is not None:
        return solved[0]
    grid = found.best.grid
    failure = problem, predict_all([problem])[0]
    for scheme in paper_schemes(target.fraction):
        tried = problem.replace({"selection": scheme})
        (prediction,) = predict_all([tried])
        pi = scheme_at(grid, scheme, model.law, target.fraction)
        states = solve_all([model], grid, pi, found.best.states)
        if prediction.status is not Status.CONVERGED:
            failure = tried, prediction
        elif states is not None:
            end = Found(iterate([model], grid, pi, states, target), None)
            solved.append(Answer(scheme, prediction, end))
    if not solved:
        raise ConvergenceError(*failure)
    return min(solved, key=lambda answer: float(getattr(answer.prediction, model.objective)))


def _words_of(answer: Answer, law: ScoreLaw) -> str:
    if answer.found.intervals is None and isinstance(answer.selection, FixedFraction):
        return f"A scheme of the paper: {answer.selection}."
    return words(answer.found.intervals, law)


def _search_near(model: Model, target: Target, near: OptimalSelection) -> Search | None:
    """From the ranking of a similar problem's optimum; None where that leads nowhere."""
    grid, random = first_grid([model], target.fraction)
    ranks = np.interp(grid.t, near.derivative.score.values, near.derivative.values)
    pi, _ = lowest(grid.weight, ranks - near.level, target)
    states = solve_all([model], grid, pi, random)
    if states is None:
        return None
    end = correct(
        [model], descend([model], iterate([model], grid, pi, states, target), target), target
    )
    intervals, end = polish([model], end, target)
    if intervals is None or end.gap >= SMALL:
        return None
    return Search((Found(end, intervals),), (end.worst,), 0)


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
        known = next((f for f in found if _leads_to(models, start, f[0])), None)
        if known is None:
            corrected = correct(models, start, target)
            known = next((f for f in found if _leads_to(models, corrected, f[0])), None)
            if known is None:
                known = (corrected, *polish(models, corrected, target))
                found.append(known)
        ends.append(known[2].worst)
    found.sort(key=lambda f: f[2].worst)
    ranked = tuple(Found(end, intervals) for _, intervals, end in found)
    return Search(ranked, tuple(ends), len(schemes) - len(starts))


def polish(
    models: Sequence[Model], end: Iterate, target: Target
) -> tuple[Intervals | None, Iterate]:
    """From a selection at nodes to intervals; None where their equations have no solution near."""
    best: tuple[Intervals | None, Iterate] = (None, end)
    at, allowed, again = end, ROUGHLY, True
    for _ in range(MOST_ROUNDS):
        answer = _refined(models, at, target, allowed)
        if answer is None:
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


def _refined(
    models: Sequence[Model], at: Iterate, target: Target, allowed: float
) -> tuple[Intervals, Iterate] | None:
    """Intervals with refined ends, worse by ``allowed`` at most; failing these, without the narrow
    ones, whose ends may have no solution."""
    intervals = intervals_of(models, at)
    fewer = (intervals.without_slivers(models[0].law, least) for least in NARROW)
    for choice in dict.fromkeys((intervals, *fewer)):
        answer = refine(models, at, choice, target)
        if answer is not None and answer[1].worst <= at.worst + allowed:
            return answer
    return None


def _leads_to(models: Sequence[Model], start: Iterate, end: Iterate) -> bool:
    """Whether two selections are about the same, or the largest error rises nowhere along the line
    from one to the other: then the first ends in no valley of its own."""
    if _distance(start, end) < SAME:
        return True
    change = end.pi - start.pi
    at = start.states
    for share in ON_THE_WAY:
        states = at
        if share > 0:
            found = solve_all(models, start.grid, start.pi + share * change, at)
            if found is None:
                return False
            states = at = found
        errors = np.array([state.error for state in states])
        largest = states[int(errors.argmax())]
        z = models[int(errors.argmax())].derivative(largest, start.grid.t)
        if start.grid.weight @ (z * change) > LEVEL:
            return False
    return True


def _distance(a: Iterate, b: Iterate) -> float:
    """Probability that one selection keeps a sample and the other does not."""
    return float(a.grid.weight @ np.abs(a.pi - b.pi))


def selection_of(found: Search | Found, law: ScoreLaw) -> Selection:
    """The selection that was found: intervals, or failing these a table of probabilities."""
    if found.intervals is not None:
        return found.intervals.selection(law)
    at = found.best if isinstance(found, Search) else found.at
    grid, pi = at.grid, np.clip(at.pi, 0.0, 1.0)
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
