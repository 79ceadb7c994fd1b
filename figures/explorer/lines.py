"""What the explorer's lines are: predictions along an axis, as tables for drawing."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

import numpy as np
import pandas as pd
from scipy import stats

from figures.explorer.state import RANDOM, State
from theory import (
    ConvergenceError,
    InvalidFieldError,
    Prediction,
    Problem,
    Quadrature,
    Status,
    optimal_selection,
    predict_all,
    tune,
)
from theory.score import Score, fitted_rule, score_law

COARSE = Quadrature(order=8, noise_step=1.3, tolerance=1e-3, smoothness=1e-3)
"""Fewer nodes than elsewhere, for speed; errors on the screen stay below 1e-9 or so."""

OPTIMUM = "optimal"
COLUMNS = ("scheme", "x", "value", "reason", "ridge")
MOST_OPTIMA = 8
"""Points of the line of optima, and of lines of tuned ridges."""

Progress = Callable[[int, int], None]


def predicted_lines(state: State, progress: Progress | None = None) -> pd.DataFrame:
    """One row a scheme and value of the axis: scheme, x, value, reason, ridge.

    A point without a solution has no value, and its reason in words. Raises InvalidFieldError
    where the controls describe no problem.
    """
    if state.tuned and state.x != "ridge":
        return _line_by_line(state, {name: state.problem(name) for name in state.lines}, progress)
    problems = [problem for scheme in state.lines for problem in state.problems(scheme)]
    found = _predicted(tuple(problems))
    labels = [(scheme, x) for scheme in state.lines for x in state.values]
    rows = [
        (*label, *_value(prediction, state.quantity), problem.ridge)
        for label, problem, prediction in zip(labels, problems, found, strict=True)
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def optimal_line(state: State, progress: Progress | None = None) -> pd.DataFrame:
    """The line of the best selection of all by the score, not reweighted; columns as above."""
    if state.x == "exponent":
        return pd.DataFrame(columns=COLUMNS)
    problem = dataclasses.replace(state, reweight=False).problem(RANDOM)
    return _line_by_line(state, {OPTIMUM: problem}, progress)


def _line_by_line(
    state: State, problems: Mapping[str, Problem], progress: Progress | None
) -> pd.DataFrame:
    """Lines whose every point is a search of its own: few points, one after the other."""
    values = fewer(state.values)
    total, rows = len(problems) * len(values), []
    for name, problem in problems.items():
        for x in values:
            point = problem.replace({state.field: x})
            found = _optimum(point) if name == OPTIMUM else _tuned(point)
            if isinstance(found, str):
                rows.append((name, x, float("nan"), found, point.ridge))
            else:
                prediction, ridge = found
                rows.append((name, x, *_value(prediction, state.quantity), ridge))
            if progress is not None:
                progress(len(rows), total)
    return pd.DataFrame(rows, columns=COLUMNS)


def full_sample(state: State) -> float:
    """The quantity of a fit to the whole pool at the current setting; NaN without a solution."""
    problem = state.problem(RANDOM).replace({"selection.fraction": 1.0})
    return float(getattr(_predicted((problem,))[0], state.quantity))


def rule_table(state: State) -> pd.DataFrame:
    """The rule that is shown and the score's density: columns score, probability, density."""
    problem = state.problem(state.shown)
    at = _predicted((problem,))[0]
    if not np.isfinite(at.beta_0):
        raise InvalidFieldError("surrogate", state.surrogate, "one with a solution of its own")
    source = problem.surrogate.source(problem.data)
    score = source if isinstance(source, Score) else Score(at.beta_0, at.beta_s)
    law = score_law(problem.data, score)
    rule = fitted_rule(problem.data, score, problem.selection)
    reach = max(abs(m) for m in law.means) + 3.5 * law.deviation
    grid = np.linspace(-reach, reach, 241)
    edges = [k + side for k in rule.kinks for side in (-1e-9 * reach, 1e-9 * reach)]
    t = np.sort(np.concatenate([grid, [e for e in edges if abs(e) <= reach]]))
    spread = (t[:, None] - np.asarray(law.means)) / law.deviation
    density = stats.norm.pdf(spread) @ np.asarray(law.weights) / law.deviation
    return pd.DataFrame({"score": t, "probability": rule.probability(t), "density": density})


def fewer(values: Sequence[float]) -> list[float]:
    """At most MOST_OPTIMA of the values, ends included."""
    chosen = np.linspace(0, len(values) - 1, min(MOST_OPTIMA, len(values))).round().astype(int)
    return [values[k] for k in chosen]


def _value(prediction: Prediction, quantity: str) -> tuple[float, str]:
    """The quantity, and why there is none."""
    solved = prediction.status is Status.CONVERGED
    return float(getattr(prediction, quantity)), "" if solved else prediction.status.value


@lru_cache(maxsize=512)
def _predicted(problems: tuple[Problem, ...]) -> tuple[Prediction, ...]:
    return tuple(predict_all(problems, COARSE))


@lru_cache(maxsize=4096)
def _tuned(problem: Problem) -> tuple[Prediction, float] | str:
    """The prediction at the best ridge, and that ridge; or why there is none."""
    try:
        found = tune(problem, over=["ridge"])
    except ConvergenceError as error:
        return error.prediction.status.value
    return found.prediction, found.problem.ridge


@lru_cache(maxsize=4096)
def _optimum(problem: Problem) -> tuple[Prediction, float] | str:
    """The prediction at the best selection, and the ridge; or why there is none."""
    try:
        return optimal_selection(problem).prediction, problem.ridge
    except ConvergenceError as error:
        return error.prediction.status.value
    except InvalidFieldError as error:
        return str(error)
