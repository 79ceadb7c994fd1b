"""Which selection to use, in numbers and in words."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import xarray as xr

from theory.checks import InvalidFieldError
from theory.kinds import Selection
from theory.optimal.outcomes import as_objective
from theory.optimal.robust import robust_selection
from theory.optimal.selection import optimal_selection, paper_schemes
from theory.prediction import predict_all
from theory.problem import Problem, as_problem, as_problems
from theory.selection import PowerSelection, RandomSelection, TopSelection
from theory.tuning import tune_all

COMPARED = ("recommended", "random", "hardest")
"""Schemes whose errors the gains compare."""


@dataclass(frozen=True)
class Recommendation:
    """What to select, what it gains, and how sure that is.

    selection: the best selection by the score; best in the worst case where alternatives are given.
    scheme: the best simple scheme of the paper, exponents tuned. exponent: the best exponent of a
        power selection; NaN where none has a solution.
    table: test error along "scheme" and "problem", the assumed one first.
    gain_over_random, gain_over_uncertainty: smaller test error than random selection's and than
        that of keeping the most uncertain samples, in the assumed problem.
    gain_range: least and largest gain over random in all problems; one number twice where no
        alternatives are given.
    words: all this in words.
    """

    selection: Selection
    scheme: Selection
    exponent: float
    table: xr.DataArray
    gain_over_random: float
    gain_over_uncertainty: float
    gain_range: tuple[float, float]
    words: str


def recommend(
    problem: Problem,
    alternatives: Iterable[Problem] = (),
    objective: str = "misclassification",
) -> Recommendation:
    """The selection to use at a problem's fraction.

    alternatives: other problems that may be the true one, with the same law of the score and the
        same fraction: the recommended selection is then best in the worst case.
    Raises InvalidFieldError and ConvergenceError as ``robust_selection``.

    >>> from theory import F1, Problem, RandomSelection, SingleIndex
    >>> advice = recommend(Problem(SingleIndex(F1, 5.0), RandomSelection(0.5), 0.01, 2.29))
    >>> round(advice.gain_over_random, 3), round(advice.gain_over_uncertainty, 3)
    (0.043, 0.089)
    """
    objective = as_objective(objective)
    problems = (as_problem(problem), *as_problems(alternatives))
    if len(problems) == 1:
        best = optimal_selection(problem, objective)
        selection, text = best.selection, best.words
        fraction = best.prediction.fraction
    else:
        robust = robust_selection(problems, objective)
        selection, text = robust.selection, robust.words
        fraction = robust.predictions[0].fraction
    fraction = min(fraction, 1.0)
    exponent = _exponent(problem, fraction, objective)
    schemes = {_name(s): s for s in paper_schemes(fraction)}
    if np.isfinite(exponent):
        tuned = PowerSelection(exponent, fraction)
        schemes["power, best exponent"] = tuned
    named = {"recommended": selection, **schemes}
    tried = [p.replace({"selection": s}) for s in named.values() for p in problems]
    errors = [getattr(prediction, objective) for prediction in predict_all(tried)]
    columns = ["assumed", *(f"alternative {k}" for k in range(1, len(problems)))]
    values = np.reshape(errors, (len(named), len(problems)))
    table = xr.DataArray(
        values,
        dims=("scheme", "problem"),
        coords={"scheme": list(named), "problem": columns},
        name=objective,
    )
    best_errors, random, hardest = (values[list(named).index(n)] for n in COMPARED)
    gains = random - best_errors
    uncertain = float(hardest[0] - best_errors[0])
    worst = {name: float(row.max()) for name, row in zip(named, values, strict=True)}
    del worst["recommended"]
    worst = {name: error for name, error in worst.items() if np.isfinite(error)}
    if not worst:
        raise InvalidFieldError("problem", problem, "one in which some scheme has a solution")
    simple = min(worst, key=worst.__getitem__)
    spread = (float(gains.min()), float(gains.max()))
    sure = (
        f"over {len(problems)} possible problems the gain over random is {spread[0]:.4f} to"
        f" {spread[1]:.4f}"
        if len(problems) > 1
        else "name alternatives to learn how sure this is"
    )
    return Recommendation(
        selection=selection,
        scheme=schemes[simple],
        exponent=exponent,
        table=table,
        gain_over_random=float(gains[0]),
        gain_over_uncertainty=uncertain,
        gain_range=spread,
        words=(
            f"{text} This lowers the test {objective.replace('_', ' ')} by"
            f" {gains[0]:.4f} against random selection and by {uncertain:.4f} against the"
            f" most uncertain samples. Best simple scheme: {simple}"
            f" ({worst[simple]:.4f} at worst); {sure}."
        ),
    )


def _exponent(problem: Problem, fraction: float, objective: str) -> float:
    power = problem.replace({"selection": PowerSelection(0.5, fraction)})
    (tuned,) = tune_all([power], ["exponent"], objective=objective)
    if not tuned.valleys:
        return float("nan")
    assert isinstance(tuned.problem.selection, PowerSelection)
    return tuned.problem.selection.alpha


def _name(selection: Selection) -> str:
    if isinstance(selection, RandomSelection):
        return "random"
    if isinstance(selection, TopSelection):
        return "hardest" if selection.keep == "hard" else "easiest"
    assert isinstance(selection, PowerSelection)
    return f"power {selection.alpha:g}"
