"""The selection that is best in the worst of several cases."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import xarray as xr

from theory.checks import InvalidFieldError
from theory.kinds import Selection
from theory.optimal.outcomes import as_objective
from theory.optimal.search import Target
from theory.optimal.selection import search, selection_of, words
from theory.optimal.state import Model, same_law
from theory.prediction import ConvergenceError, Prediction, predict_all
from theory.problem import Problem, as_problems
from theory.score import fitted_rule
from theory.solver import Status


@dataclass(frozen=True)
class RobustSelection:
    """The best selection in the worst case.

    worst: its largest test error. predictions: of every problem with it.
    weights: of the problems, the least favourable mixture: the selection is stationary for the
        mean of errors with these weights.
    gap: how much lower the largest error could be to first order; 0 at a stationary selection.
    plug_in: test errors along "assumed" and "problem": the best selection for one assumed problem,
        measured in all.
    words: the selection in words.
    """

    selection: Selection
    problems: tuple[Problem, ...]
    predictions: tuple[Prediction, ...]
    worst: float
    weights: tuple[float, ...]
    gap: float
    plug_in: xr.DataArray
    words: str


def robust_selection(
    problems: Iterable[Problem], objective: str = "misclassification"
) -> RobustSelection:
    """The selection by the score that minimises the largest test error over several problems.

    problems: one or more with the same law of the score and the same fraction; anything else may
        differ, such as the label model, the ridge, or the direction of the surrogate's error.
    objective: "misclassification" or "log_loss".
    Raises InvalidFieldError on problems that differ in what cannot differ, ConvergenceError where
    no scheme has a solution in all of them.
    Source: the minimax problem of section 6 of the paper, for the errors of its Theorem 4.

    >>> from theory import F1, F2, Problem, RandomSelection, SingleIndex
    >>> cases = [Problem(SingleIndex(f, 5.0), RandomSelection(0.5), 0.01, 2.29) for f in (F1, F2)]
    >>> best = robust_selection(cases)
    >>> best.worst <= float(best.plug_in.max("problem").min()) + 1e-9
    True
    """
    objective = as_objective(objective)
    problems = tuple(as_problems(problems))
    if not problems:
        raise InvalidFieldError("problems", problems, "one or more problems")
    models = [Model(problem, objective) for problem in problems]
    law = same_law(models)
    fractions = [
        fitted_rule(p.data, m.score, p.selection).expected(law)
        for p, m in zip(problems, models, strict=True)
    ]
    for k, fraction in enumerate(fractions):
        if abs(fraction - fractions[0]) > 1e-9:
            raise InvalidFieldError(
                f"problems[{k}].selection", fraction, f"of the fraction {fractions[0]:g} as well"
            )
    target = Target(min(fractions[0], 1.0))
    found = search(models, target)
    if found is None:
        raise ConvergenceError(problems[0], predict_all(problems[:1])[0])
    choices = [selection_of(found, law)]
    for model in models:
        own = search([model], target)
        choices.append(selection_of(own or found, law))
    tried = [p.replace({"selection": choice}) for choice in choices for p in problems]
    predictions = predict_all(tried)
    n = len(problems)
    for problem, prediction in zip(tried[:n], predictions[:n], strict=True):
        if prediction.status is not Status.CONVERGED:
            raise ConvergenceError(problem, prediction)
    errors = np.array([getattr(p, objective) for p in predictions]).reshape(-1, n)
    return RobustSelection(
        selection=choices[0],
        problems=tuple(tried[:n]),
        predictions=tuple(predictions[:n]),
        worst=float(errors[0].max()),
        weights=tuple(float(w) for w in found.best.program.weights),
        gap=found.best.gap,
        plug_in=_labelled(errors[1:], objective),
        words=words(found.intervals, law),
    )


def _labelled(errors: np.ndarray[tuple[int, ...], np.dtype[np.float64]], name: str) -> xr.DataArray:
    places = range(len(errors))
    return xr.DataArray(
        errors,
        dims=("assumed", "problem"),
        coords={"assumed": list(places), "problem": list(places)},
        name=name,
        attrs={"long_name": f"test {name} of the best selection for the assumed problem"},
    )
