"""A classifier that learns from a subset which a surrogate selects."""

from collections.abc import Callable
from typing import Any, Self

import numpy as np

from simulate.pools.draw import Array, Indices, Sampling, as_generator
from simulate.pools.optional import PoolError, require
from simulate.pools.rules import AnySelection, as_selection, check_classes
from simulate.pools.selector import (
    SelectionParameters,
    SubsetSelector,
    ridge_as_c,
    takes_weights,
)
from simulate.pools.splits import stratified_order
from theory.checks import InvalidFieldError, as_non_negative, as_number

require("sklearn", "SelectedSubsetClassifier")

from sklearn.base import BaseEstimator, ClassifierMixin, clone  # noqa: E402
from sklearn.linear_model import LogisticRegression  # noqa: E402
from sklearn.utils.metaestimators import available_if  # noqa: E402
from sklearn.utils.multiclass import check_classification_targets  # noqa: E402
from sklearn.utils.validation import (  # noqa: E402
    _check_sample_weight,
    check_is_fitted,
    validate_data,
)

Method = Callable[..., Any]


def _can(name: str) -> Callable[[Method], Method]:
    """Whether the final estimator, fitted or not, has a method."""

    def check(self: "SelectedSubsetClassifier") -> bool:
        given = LogisticRegression() if self.estimator is None else self.estimator
        return hasattr(getattr(self, "estimator_", given), name)

    decorator: Callable[[Method], Method] = available_if(check)
    return decorator


class SelectedSubsetClassifier(SelectionParameters, ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """What a classifier learns if it may see only the labels that a surrogate selects.

    ``fit`` splits its samples: a stratified part trains the surrogate; of the others, the pool, the
    selection chooses a subset; the estimator is fitted to the subset with its weights. Labels
    of the rest of the pool have no part in it, but for the proportions of the split.

    estimator: a classifier; None is LogisticRegression with C = 1/(ridge N), N the total weight of
        the pool (and of the surrogate's samples, if reused). It must take sample_weight if the
        selection reweights or weights are given: ``fit`` says so before any work.
    surrogate, selection, ridge, sampling, uncertainty, floor: as in SubsetSelector.
    surrogate_fraction: of the samples, in (0, 1); at least one of every class.
    reuse: weight, >= 0, that the surrogate's samples have in the estimator's fit, beside the
        selected ones: their labels are paid for. 0: it does not see them. With other weights than 0
        and 1 the estimator must take sample_weight.
    random_state: None, a seed or a generator.
    Wrong parameters raise ValueError in ``fit``.

    >>> x = np.random.default_rng(0).normal(size=(400, 2))
    >>> model = SelectedSubsetClassifier(selection="hard", random_state=0).fit(x, x[:, 0] > 0)
    >>> model.set_params(selection__fraction=0.1).fit(x, x[:, 0] > 0).sample_indices_.size
    112
    """

    def __init__(
        self,
        estimator: Any = None,
        surrogate: Any = None,
        selection: str | AnySelection = "hard",
        *,
        surrogate_fraction: float = 0.2,
        reuse: float = 1.0,
        ridge: float = 0.01,
        sampling: Sampling = "fixed",
        uncertainty: str = "margin",
        floor: float = 0.0,
        random_state: Any = None,
    ) -> None:
        self.estimator = estimator
        self.surrogate = surrogate
        self.selection = selection
        self.surrogate_fraction = surrogate_fraction
        self.reuse = reuse
        self.ridge = ridge
        self.sampling = sampling
        self.uncertainty = uncertainty
        self.floor = floor
        self.random_state = random_state

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:  # noqa: N803
        """Split, train the surrogate, select, and fit the estimator; shapes [N, p] and [N].

        Stores estimator_, selector_, sample_indices_ (what the estimator learned from) with
        sample_weight_, and n_reused_: so many of them, the first, trained the surrogate too.
        """
        rule = as_selection(self.selection)
        reuse = as_non_negative("reuse", self.reuse)
        self._check_weights(rule.weighs, reuse, sample_weight is not None)
        X, y = validate_data(self, X, y, accept_sparse="csr")  # noqa: N806
        check_classification_targets(y)
        self.classes_, members = np.unique(y, return_inverse=True)
        if self.classes_.size < 2:
            raise PoolError("y holds one class only: two or more are needed")
        check_classes(rule, self.classes_.size)
        weights = _check_sample_weight(sample_weight, X, dtype=np.float64)
        used = np.flatnonzero(weights)
        generator = as_generator(self.random_state)
        labelled, pool = self._split(members[used], generator)
        labelled, pool = used[labelled], used[pool]
        given = sample_weight is not None
        self.selector_ = SubsetSelector(
            self.surrogate,
            rule,
            ridge=self.ridge,
            sampling=self.sampling,
            uncertainty=self.uncertainty,
            floor=self.floor,
            random_state=generator,
        ).fit(X[labelled], y[labelled], sample_weight=weights[labelled] if given else None)
        subset = self.selector_.select(X[pool])
        chosen, importance = pool[subset.indices], subset.weights
        total = float(weights[pool].sum())
        self.n_reused_ = labelled.size if reuse else 0
        if reuse:
            chosen = np.concatenate([labelled, chosen])
            importance = np.concatenate([np.full(labelled.size, reuse), importance])
            total += float(weights[labelled].sum())
        self._check_classes(members[chosen])
        self.sample_indices_, self.sample_weight_ = chosen, importance * weights[chosen]
        self._fit_estimator(X, y, total, weighted=given or rule.weighs or reuse not in (0, 1))
        return self

    @_can("predict")
    def predict(self, X: Any) -> Any:  # noqa: N803
        """Classes, shape [n]."""
        X = self._checked(X)  # noqa: N806
        return self.estimator_.predict(X)

    @_can("predict_proba")
    def predict_proba(self, X: Any) -> Any:  # noqa: N803
        """Probabilities of the classes, shape [n, classes]."""
        X = self._checked(X)  # noqa: N806
        return self.estimator_.predict_proba(X)

    @_can("decision_function")
    def decision_function(self, X: Any) -> Any:  # noqa: N803
        """The estimator's scores, shape [n] for two classes, [n, classes] for more."""
        X = self._checked(X)  # noqa: N806
        return self.estimator_.decision_function(X)

    def _checked(self, X: Any) -> Any:  # noqa: N803
        check_is_fitted(self)
        return validate_data(self, X, reset=False, accept_sparse="csr")

    def _check_weights(self, reweight: bool, reuse: float, given: bool) -> None:
        if given:
            why, remedy = "sample_weight is given", ""
        elif reweight:
            why, remedy = "the selection reweights", ", or set selection__reweight=False"
        elif reuse not in (0, 1):
            why, remedy = f"reuse is {reuse:g}", ", or set reuse=1"
        else:
            return
        for role, estimator in (("estimator", self.estimator), ("surrogate", self.surrogate)):
            needed = given or role == "estimator"
            if needed and estimator is not None and not takes_weights(estimator):
                raise PoolError(
                    f"{role} {type(estimator).__name__} takes no sample_weight, and {why}: take"
                    f" another{remedy} (a Pipeline belongs around this classifier, not inside)"
                )

    def _split(self, members: Any, generator: np.random.Generator) -> tuple[Indices, Indices]:
        """Samples for the surrogate, one of every class among them, and the pool."""
        allowed = "a number in (0, 1)"
        share = as_number("surrogate_fraction", self.surrogate_fraction, allowed)
        if not 0 < share < 1:
            raise InvalidFieldError("surrogate_fraction", share, allowed)
        order = stratified_order(members, generator)
        first = np.unique(members[order], return_index=True)[1]
        order = np.concatenate([order[first], np.delete(order, first)])
        size = max(first.size, round(share * order.size))
        if size >= order.size:
            raise PoolError(
                f"{order.size} samples of {first.size} classes leave no pool to select from: give"
                " more samples, or a smaller surrogate_fraction"
            )
        return np.sort(order[:size]), np.sort(order[size:])

    def _check_classes(self, members: Any) -> None:
        absent = np.setdiff1d(np.arange(self.classes_.size), members)
        if absent.size:
            raise PoolError(
                f"the subset has no sample of class {self.classes_[absent[0]]}: select more, or set"
                " reuse=1"
            )

    def _fit_estimator(self, X: Any, y: Any, total: float, weighted: bool) -> None:  # noqa: N803
        estimator = self.estimator
        if estimator is None:
            estimator = LogisticRegression(C=ridge_as_c(self.ridge, total), max_iter=1000)
        chosen = self.sample_indices_
        extra: dict[str, Array] = {"sample_weight": self.sample_weight_} if weighted else {}
        self.estimator_ = clone(estimator).fit(X[chosen], y[chosen], **extra)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags
