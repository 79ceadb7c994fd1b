"""Selection rules that use the whole feature vector, and one call for rules of every kind.

With p_i = 1/(1 + exp(-t_i)) from the surrogate and x_i completed by a 1 for the intercept:

    influence   pi_i ~ sqrt(p_i (1 - p_i) x_i' H^-1 x_i),  H = mean of p (1 - p) x x' + ridge
    leverage    pi_i ~ x_i' (sum of x x')^-1 x_i
    mMSE        pi_i ~ |y_i - p_i| |M^-1 x_i|,  M = mean of p (1 - p) x x'
    mVc         pi_i ~ |y_i - p_i| |x_i|

each cut off at 1. The last two are OSMAC (Wang, Zhu and Ma, JASA 2018: A- and L-optimality, labels
in {0, 1}). Before labels are known, the expectation of (y_i - p_i)^2 under the surrogate,
p_i (1 - p_i), stands in its place. Influence is the same variance for another quadratic form: that
of the excess loss. Where |x|^2 concentrates it is power selection with alpha = 1/2.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from simulate.pools.optional import PoolError
from theory.checks import (
    InvalidFieldError,
    as_bool,
    as_fraction,
    as_non_negative,
    near_names,
    set_fields,
)
from theory.kinds import Selection, Weighing
from theory.selection import (
    PowerSelection,
    RandomSelection,
    TopSelection,
    capped_probabilities,
)

Array = NDArray[np.float64]

SCORE_CLIP = 10.0
"""Scores are clipped to [-SCORE_CLIP, SCORE_CLIP], as power selection does by default."""

ROWS = 4096
"""Samples that are turned into double precision at a time."""


class VectorRule(Weighing, ABC):
    """A rule that needs features, not only scores. Its subclasses are frozen dataclasses."""

    fraction: float
    two_classes: ClassVar[bool] = True
    """Whether scores must be the logit of one class against one other."""

    @property
    def needs_labels(self) -> bool:
        """Whether labels of the whole pool are needed, as only a study of known data has them."""
        return False

    @abstractmethod
    def sizes(self, features: NDArray[Any], scores: Array, labels: Array | None) -> Array:
        """What the inclusion probabilities are proportional to, shape [N]."""

    def inclusion_probabilities(
        self, features: NDArray[Any], scores: Array, labels: Array | None = None
    ) -> Array:
        """pi_i, shape [N]; features: [N, p], scores: [N], labels: in {-1, +1}, [N], or None.

        Raises PoolError where labels are needed and missing.
        """
        if self.needs_labels and labels is None:
            raise PoolError(
                f"{self!r} needs the labels of the whole pool: use it in a study of labelled data,"
                " or set with_labels=False"
            )
        clipped = np.clip(scores, -SCORE_CLIP, SCORE_CLIP)
        sizes = self.sizes(features, clipped, labels)
        return capped_probabilities(np.log(sizes), self.fraction)

    def _check_common(self) -> None:
        set_fields(
            self,
            fraction=as_fraction("selection.fraction", self.fraction),
            reweight=as_bool("selection.reweight", self.reweight),
        )


@dataclass(frozen=True)
class InfluenceSelection(VectorRule):
    """The unbiased rule of least excess loss, for many samples per dimension; eq. above.

    fraction in (0, 1]; ridge >= 0. Raises ValueError otherwise.

    >>> x = np.array([[0.0], [0.0], [3.0]])
    >>> InfluenceSelection(0.5).inclusion_probabilities(x, np.zeros(3)).round(3)
    array([0.439, 0.439, 0.621])
    """

    fraction: float
    reweight: bool = True
    ridge: float = 0.0

    def __post_init__(self) -> None:
        self._check_common()
        set_fields(self, ridge=as_non_negative("selection.ridge", self.ridge))

    def sizes(self, features: NDArray[Any], scores: Array, labels: Array | None) -> Array:
        del labels
        variance = expit(scores) * expit(-scores)
        penalty = np.full(features.shape[1] + 1, self.ridge)
        penalty[-1] = 0.0
        hessian = _second_moment(features, variance) + np.diag(penalty)
        return np.sqrt(variance * _quadratic_form(features, _inverse(hessian)))


@dataclass(frozen=True)
class LeverageSelection(VectorRule):
    """Statistical leverage: features alone, no surrogate. fraction in (0, 1].

    >>> x = np.array([[-1.0], [-1.0], [0.0], [2.0]])
    >>> LeverageSelection(0.25).inclusion_probabilities(x, np.zeros(4)).round(3)
    array([0.208, 0.208, 0.125, 0.458])
    """

    fraction: float
    reweight: bool = True
    two_classes: ClassVar[bool] = False

    def __post_init__(self) -> None:
        self._check_common()

    def sizes(self, features: NDArray[Any], scores: Array, labels: Array | None) -> Array:
        del scores, labels
        inverse = _inverse(_second_moment(features, np.ones(len(features))))
        return _quadratic_form(features, inverse)


@dataclass(frozen=True)
class OsmacSelection(VectorRule):
    """Optimal subsampling of Wang, Zhu and Ma (2018), with the labels of the pool or without.

    criterion: "mMSE" (least variance of the coefficients) or "mVc" (of M theta, cheaper).
    fraction in (0, 1]. Raises ValueError on other values.

    >>> rule = OsmacSelection("mVc", fraction=0.5)
    >>> rule.inclusion_probabilities(np.array([[0.0], [0.0], [3.0]]), np.zeros(3)).round(3)
    array([0.291, 0.291, 0.919])
    """

    criterion: str
    fraction: float
    reweight: bool = True
    with_labels: bool = False

    kinds: ClassVar[tuple[str, ...]] = ("mMSE", "mVc")

    def __post_init__(self) -> None:
        if self.criterion not in self.kinds:
            raise InvalidFieldError("selection.criterion", self.criterion, "'mMSE' or 'mVc'")
        self._check_common()
        set_fields(self, with_labels=as_bool("selection.with_labels", self.with_labels))

    @property
    def needs_labels(self) -> bool:
        return self.with_labels

    def sizes(self, features: NDArray[Any], scores: Array, labels: Array | None) -> Array:
        variance = expit(scores) * expit(-scores)
        # |y - p| for y in {0, 1} is 1/(1 + exp(margin))
        residual = np.sqrt(variance)
        if self.with_labels and labels is not None:
            residual = expit(-labels * scores)
        form = np.eye(features.shape[1] + 1)
        if self.criterion == "mMSE":
            inverse = _inverse(_second_moment(features, variance))
            form = inverse @ inverse
        return np.asarray(residual * np.sqrt(_quadratic_form(features, form)))


AnySelection = Selection | VectorRule

NAMED: Mapping[str, AnySelection] = {
    "random": RandomSelection(0.5),
    "hard": PowerSelection(alpha=1.0, fraction=0.5),
    "easy": PowerSelection(alpha=-1.0, fraction=0.5),
    "top-hard": TopSelection("hard", 0.5),
    "top-easy": TopSelection("easy", 0.5),
    "influence": InfluenceSelection(0.5),
    "leverage": LeverageSelection(0.5),
    "mMSE": OsmacSelection("mMSE", 0.5),
    "mVc": OsmacSelection("mVc", 0.5),
}
"""Rules that can be asked for by name."""


def as_selection(selection: str | AnySelection) -> AnySelection:
    """A rule, or that of a name in ``NAMED``. Raises ValueError on an unknown name.

    >>> as_selection("top-hard")
    TopSelection(keep='hard', fraction=0.5)
    """
    if isinstance(selection, str):
        if selection not in NAMED:
            raise InvalidFieldError("selection", selection, near_names(selection, list(NAMED)))
        return NAMED[selection]
    if not hasattr(selection, "inclusion_probabilities") or isinstance(selection, type):
        allowed = "a selection such as PowerSelection(alpha=1.0, fraction=0.2), or "
        raise InvalidFieldError("selection", selection, allowed + near_names("", list(NAMED)))
    return selection


def vary(selection: AnySelection, **changes: Any) -> AnySelection:
    """The rule with other fields, such as the fraction kept. Raises ValueError on unknown ones."""
    names = [field.name for field in fields(selection)]  # type: ignore[arg-type]
    for name in changes:
        if name not in names:
            kind = type(selection).__name__
            raise InvalidFieldError("field", name, f"{near_names(name, names)} for a {kind}")
    changed: AnySelection = replace(selection, **changes)  # type: ignore[type-var]
    return changed


def check_classes(selection: AnySelection, count: int) -> None:
    """Raises PoolError where the rule has a meaning for two classes only and there are more."""
    if count > 2 and isinstance(selection, VectorRule) and selection.two_classes:
        raise PoolError(
            f"{type(selection).__name__} needs two classes and there are {count}: take"
            " LeverageSelection, or a rule of the score such as PowerSelection"
        )


def inclusion_probabilities(
    selection: AnySelection, features: NDArray[Any], scores: Array, labels: Array | None = None
) -> Array:
    """pi_i of a rule of either kind, shape [N]."""
    if isinstance(selection, VectorRule):
        return selection.inclusion_probabilities(features, scores, labels)
    return selection.inclusion_probabilities(scores)


def _completed(features: NDArray[Any], first: int) -> Array:
    rows = np.asarray(features[first : first + ROWS], dtype=np.float64)
    return np.column_stack([rows, np.ones(len(rows))])


def _second_moment(features: NDArray[Any], weights: Array) -> Array:
    """Mean of weights_i x_i x_i'."""
    size = features.shape[1] + 1
    total: Array = np.zeros((size, size))
    for first in range(0, len(features), ROWS):
        rows = _completed(features, first)
        total += rows.T @ (weights[first : first + ROWS, None] * rows)
    return np.asarray(total / len(features), dtype=np.float64)


def _quadratic_form(features: NDArray[Any], form: Array) -> Array:
    """x_i' form x_i, shape [N]."""
    values: list[Array] = [
        np.einsum("ij,ij->i", rows @ form, rows)
        for first in range(0, len(features), ROWS)
        for rows in [_completed(features, first)]
    ]
    return np.asarray(np.maximum(np.concatenate(values), 0.0), dtype=np.float64)


def _inverse(matrix: Array) -> Array:
    return np.asarray(np.linalg.pinv(matrix, rcond=1e-10, hermitian=True), dtype=np.float64)
