"""Whether what a problem is made of is what it says: `theory.kinds` and `theory.losses`, tested.

Every check yields complaints in words, at fixed points and without random numbers; none means that
it holds there. `simulate.check_kind` adds a short simulation and raises what is found.
"""

import dataclasses
import importlib
import math
import pickle
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from theory.checks import InvalidFieldError
from theory.data import GaussianMixture, LogisticLink, SingleIndex
from theory.kinds import DataModel, FixedFraction, Link, Selection, Surrogate, Training, members
from theory.labels import LabelCurve
from theory.loss_checks import loss_complaints
from theory.losses import Loss
from theory.quadrature import NORMAL_EDGES, graded_edges, panel_rule
from theory.score import Rule, Score, ScoreLaw

Array = NDArray[np.float64]

LAWS = (ScoreLaw((0.1,), (1.0,), 1.7), ScoreLaw((-1.0, 1.6), (0.3, 0.7), 2.1))
"""Laws of the score under which a selection is tested."""

SCORES = 4001
"""Realised scores, the quantiles of a law, on which a selection is tested."""

MASS = 1e-8
"""How well probabilities over a law must add up."""

INDEX = np.linspace(-9.013, 9.021, 1001)
"""Values of h or u at which label probabilities are looked at."""

ALIKE = 1e-9
"""How well two ways to the same label probability must agree."""


def complaints(instance: Any) -> Iterator[str]:
    """What is wrong with an instance of any kind."""
    kind = kind_of(instance)
    if kind is None:
        yield _nearest(instance)
        return
    yield from _object_complaints(instance)
    yield from CHECKS[kind](instance)


def kind_of(instance: Any) -> type[Any] | None:
    """Loss, Selection, DataModel, Link or Surrogate: what an instance is, or None."""
    if isinstance(instance, type):
        return None
    for kind in CHECKS:
        if isinstance(instance, kind) or (
            kind not in (Loss, Selection) and all(hasattr(instance, n) for n in members(kind))
        ):
            return kind
    return None


def _nearest(instance: Any) -> str:
    if isinstance(instance, type):
        return f"this is a class: check an instance of {instance.__name__}"
    lacks = {
        kind.__name__: [name for name in members(kind) if not hasattr(instance, name)]
        for kind in (DataModel, Link, Surrogate)
    }
    said = "; ".join(f"for a {kind} it lacks {', '.join(names)}" for kind, names in lacks.items())
    return f"it is no kind that a problem is made of: {said}; a Loss or Selection derives from it"


def _object_complaints(instance: Any) -> Iterator[str]:
    """Caches, stores and workers need values that are hashed, compared, written and pickled."""
    kind = type(instance)
    if not dataclasses.is_dataclass(kind) or not getattr(kind, "__dataclass_params__").frozen:  # noqa: B009
        yield "its class must be a frozen dataclass: results are cached by value"
        return
    try:
        hash(instance)
    except TypeError as error:
        yield f"it must be hashable ({error}): use tuples in place of lists and arrays"
        return
    for f in dataclasses.fields(kind):
        if not (f.compare and f.repr and f.hash is not False):
            yield f"the field {f.name} must take part in equality, hash and repr"
    if " at 0x" in repr(instance):
        yield "its repr must tell it apart in every process, without addresses of memory"
    try:
        found: Any = importlib.import_module(kind.__module__)
        for name in kind.__qualname__.split("."):
            found = getattr(found, name)
    except (ImportError, AttributeError):
        found = None
    if found is not kind:
        yield (
            f"its class must stand at the top level of a module, where workers import it: there is"
            f" no {kind.__module__}:{kind.__qualname__}"
        )
        return
    try:
        copy = pickle.loads(pickle.dumps(instance))
    except Exception as error:  # whatever a class does when it is pickled
        yield f"it must be picklable, to reach workers: {error}"
        return
    if copy != instance or hash(copy) != hash(instance) or repr(copy) != repr(instance):
        yield "a pickled copy must be equal, with the same hash and repr"


def _numbers(values: Any) -> bool:
    return isinstance(values, tuple) and all(
        isinstance(v, int | float) and math.isfinite(v) for v in values
    )


def _no_probabilities(function: Callable[[Array], Any], at: Array) -> str | None:
    """Where a function does not give probabilities, in words."""
    given = at.copy()
    found = np.asarray(function(given))
    if not np.array_equal(given, at):
        return "changes its argument"
    if found.shape != at.shape:
        return f"must have the shape of its argument, {at.shape}, and has {found.shape}"
    wrong = np.flatnonzero(~((found >= -1e-12) & (found <= 1 + 1e-12)))
    if wrong.size:
        k = wrong[0]
        return f"must be a probability in [0, 1], and is {found[k]:.4g} at {at[k]:.4g}"
    return None


def _unresolved(
    function: Callable[[Array], Array], edges: Sequence[float] | Array
) -> tuple[float, float, float] | None:
    """The worst panel that 16 nodes do not integrate as two halves of it: its ends and error."""
    ends = np.unique(np.asarray(edges, dtype=np.float64))
    worst = None
    for left, right in pairwise(ends):
        x, w = panel_rule(np.array([left, right]), 16)
        y, v = panel_rule(np.linspace(left, right, 4), 16)
        error = abs(float(w @ function(x) - v @ function(y)))
        if error > MASS and (worst is None or error > worst[2]):
            worst = float(left), float(right), error
    return worst


def selection_complaints(selection: Selection) -> Iterator[str]:
    """What is wrong with a selection."""
    if selection.reweight not in (True, False) or selection.has_theory not in (True, False):
        yield "reweight and has_theory must be True or False"
        return
    for law in LAWS:
        found = list(_under_law(selection, law))
        yield from found
        if found:
            return


def _under_law(selection: Selection, law: ScoreLaw) -> Iterator[str]:
    scores = _quantiles(law)
    wrong = _no_probabilities(selection.inclusion_probabilities, scores)
    if wrong is not None:
        yield f"inclusion_probabilities {wrong}"
        return
    realised = selection.inclusion_probabilities(scores)
    if not np.allclose(selection.inclusion_probabilities(scores[::-1])[::-1], realised):
        yield "inclusion_probabilities must not depend on the order of the samples"
    states = selection.fraction if isinstance(selection, FixedFraction) else None
    if states is not None and abs(realised.mean() - states) > 1 / SCORES + 1e-9:
        yield f"inclusion_probabilities keep {realised.mean():.5f} of the pool, not {states:g}"
    if not selection.has_theory:
        return
    rule = selection.law_rule(law)
    if not isinstance(rule, Rule):
        yield f"law_rule must give a Rule, and gives a {type(rule).__name__}"
        return
    if not _numbers(tuple(float(k) for k in rule.kinks)):
        yield f"kinks must be finite scores, and are {rule.kinks}"
        return
    wrong = _no_probabilities(rule.probability, np.linspace(-law.largest, law.largest, 2001))
    if wrong is not None:
        yield f"the probability of law_rule {wrong}"
        return

    def density(t: Array) -> Array:
        z = (t[:, None] - np.array(law.means)) / law.deviation
        normal = np.exp(-(z**2) / 2) / (math.sqrt(2 * math.pi) * law.deviation)
        return np.asarray(normal @ np.array(law.weights) * rule.probability(t))

    edges = np.add.outer(law.means, law.deviation * np.array(NORMAL_EDGES)).ravel()
    marks = np.array([*rule.kinks, *graded_edges(rule.bends)])
    inside = marks[(marks > edges.min()) & (marks < edges.max())]
    rough = _unresolved(density, [*edges, *inside])
    if rough is not None:
        left, right, error = rough
        yield (
            f"the rule jumps, or has a corner or bend, between the scores {left:.4g} and"
            f" {right:.4g} that it does not name (error {error:.1e}): give it in kinks or bends"
        )
    panels = np.unique(np.concatenate([np.linspace(edges.min(), edges.max(), 2000), inside]))
    t, w = panel_rule(panels, 8)
    kept = float(w @ density(t))
    if states is not None and abs(kept - states) > (MASS if rough is None else 1e-6):
        yield f"law_rule keeps {kept:.8g} of the pool, not the fraction {states:g}"
    apart = float(np.mean(np.abs(rule.probability(scores) - realised)))
    if apart > 0.005:
        yield (
            "law_rule and inclusion_probabilities must agree on large pools: they differ by"
            f" {apart:.3f} on average"
        )


def _quantiles(law: ScoreLaw) -> Array:
    """Scores whose shares are those of a law, without ties."""
    if len(law.means) == 1:
        shares = (np.arange(SCORES) + 0.5) / SCORES
        return np.asarray(law.means[0] + law.deviation * ndtri(shares))
    t = np.linspace(-law.largest, law.largest, 40_001)
    z = (t[:, None] - np.array(law.means)) / law.deviation
    return np.interp((np.arange(SCORES) + 0.5) / SCORES, ndtr(z) @ np.array(law.weights), t)


def data_complaints(data: DataModel) -> Iterator[str]:
    """What is wrong with a data model."""
    if not _numbers(data.means) or not _numbers(data.weights) or not data.means:
        yield "means and weights must be tuples of finite numbers, one or more"
        return
    if not len(data.means) == len(data.weights) == len(data.label_curves):
        yield "means, weights and label_curves must have one entry for every component"
        return
    mass = sum(data.weights)
    if min(data.weights) <= 0 or abs(mass - 1) > ALIKE:
        yield f"weights must be positive and sum to 1, and sum to {mass:.10g}"
        return
    wrong = _no_probabilities(data.label_probability, INDEX)
    if wrong is not None:
        yield f"label_probability {wrong}"
        return
    for k, curve in enumerate(data.label_curves):
        found = list(_curve_complaints(curve, data.means[k]))
        yield from (f"label_curves[{k}]: {complaint}" for complaint in found)
        if found:
            return
    density = np.exp(-((INDEX[:, None] - np.array(data.means)) ** 2) / 2) * np.array(data.weights)
    curves = np.stack([curve.probability(INDEX) for curve in data.label_curves], axis=1)
    gap = (density * curves).sum(axis=1) - density.sum(axis=1) * data.label_probability(INDEX)
    worst = int(np.argmax(np.abs(gap)))
    if abs(gap[worst]) > ALIKE:
        yield (
            "label_probability must be the components' label_curves, weighted by their densities"
            f" (Bayes): at h = {INDEX[worst]:.4g} it is"
            f" {data.label_probability(INDEX[worst : worst + 1])[0]:.6g}, not"
            f" {((density * curves).sum(axis=1) / density.sum(axis=1))[worst]:.6g}"
        )
    score = data.true_score
    if score is not None and (
        not isinstance(score, Score) or not np.all(np.isfinite(score)) or score.beta_0 == 0
    ):
        yield f"true_score must be None or a finite Score with beta_0 not 0, and is {score}"


def _curve_complaints(curve: LabelCurve, mean: float) -> Iterator[str]:
    if len(curve.bends) != len(curve.bend_widths):
        yield "bends and bend_widths must have the same length"
        return
    wrong = _no_probabilities(curve.probability, INDEX)
    if wrong is not None:
        yield f"probability {wrong}"
        return

    def density(h: Array) -> Array:
        return np.asarray(np.exp(-((h - mean) ** 2) / 2) * curve.probability(h))

    base = mean + np.array(NORMAL_EDGES)
    marks = [m for m in graded_edges(curve.bends_blurred()) if base[0] < m < base[-1]]
    rough = _unresolved(density, [*base, *marks])
    if rough is not None:
        yield (
            f"the label probability jumps or bends between {rough[0]:.4g} and {rough[1]:.4g}, where"
            f" no jump or bend is named (error {rough[2]:.1e})"
        )
        return
    blurred, slopes, _ = curve.smoothed(INDEX[::10], 1.0)
    for k, m in enumerate(INDEX[::10]):
        cuts = [m + e for e in NORMAL_EDGES] + [c for c in marks if abs(c - m) < 8.5]
        h, w = panel_rule(np.unique(cuts), 16)
        f = w * np.exp(-((h - m) ** 2) / 2) / math.sqrt(2 * math.pi) * curve.probability(h)
        exact = float(f.sum()), float(f @ (h - m))
        if not np.allclose((blurred[k], slopes[k]), exact, rtol=0, atol=1e-7):
            how = (
                "its steps are not the same function"
                if curve.steps
                else ("it changes too fast to be averaged numerically: give its steps")
            )
            yield f"averaged over N({m:.3g}, 1) it is {exact[0]:.7g}, not {blurred[k]:.7g}: {how}"
            return


def link_complaints(link: Link) -> Iterator[str]:
    """What is wrong with a link."""
    if not _numbers(link.jumps):
        yield f"jumps must be a tuple of finite numbers, and is {link.jumps!r}"
        return
    wrong = _no_probabilities(link.probability, INDEX)
    if wrong is not None:
        yield f"probability {wrong}"
        return
    yield from data_complaints(SingleIndex(link, 1.0))


def surrogate_complaints(surrogate: Surrogate) -> Iterator[str]:
    """What is wrong with a surrogate."""
    refused = []
    for data in (SingleIndex(LogisticLink(), 2.0), GaussianMixture(1.2, 0.4)):
        try:
            source = surrogate.source(data)
        except InvalidFieldError as error:
            refused.append(str(error))
            continue
        if surrogate.source(data) != source:
            yield "source must give the same answer whenever it is asked"
        if isinstance(source, Score):
            if not np.all(np.isfinite(source)) or source.beta_s < 0:
                yield f"source must give finite coefficients with beta_s >= 0, and gives {source}"
            elif source.beta_0 == 0 and source.beta_s == 0:
                yield "source gives a constant score: beta_0 and beta_s are 0"
        elif not isinstance(source, Training):
            yield f"source must give a Score or a Training, and gives a {type(source).__name__}"
    if len(refused) == 2:
        yield f"source refuses single-index and mixture data alike: {refused[0]}"


CHECKS: dict[type[Any], Callable[[Any], Iterator[str]]] = {
    Loss: loss_complaints,
    Selection: selection_complaints,
    DataModel: data_complaints,
    Link: link_complaints,
    Surrogate: surrogate_complaints,
}
"""The check of every kind."""
