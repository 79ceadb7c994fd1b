"""Choose which samples of an unlabelled pool to label, in scikit-learn's manner."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, is_dataclass
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from simulate.pools.draw import Array, Indices, Sampling, as_generator, draw_indices
from simulate.pools.optional import PoolError, require
from simulate.pools.rules import (
    AnySelection,
    VectorRule,
    as_selection,
    check_classes,
    inclusion_probabilities,
    vary,
)
from simulate.pools.stream import Progress, StreamedSubset, select_stream
from simulate.pools.stream_scores import Scorer, score_rows
from simulate.pools.stream_sources import open_source
from simulate.pools.uncertainty import as_uncertainty, multiclass_scores, with_floor
from theory.checks import as_count, as_fraction, as_positive

require("sklearn", "SubsetSelector")

from sklearn.base import BaseEstimator, clone  # noqa: E402
from sklearn.linear_model import LogisticRegression  # noqa: E402
from sklearn.utils.multiclass import check_classification_targets  # noqa: E402
from sklearn.utils.validation import (  # noqa: E402
    _check_sample_weight,
    check_is_fitted,
    has_fit_parameter,
    validate_data,
)

PREFIX = "selection__"

SMALLEST_PROBABILITY = 1e-300
"""Probabilities of classes are raised to this before their logarithm is taken."""


def ridge_as_c(ridge: float, pool_size: float) -> float:
    """scikit-learn's C for a ridge of this toolkit: 1 / (ridge * N).

    LogisticRegression minimises C sum_i S_i loss_i + |theta|^2 / 2, this toolkit
    (1/N) sum_i S_i loss_i + ridge |theta|^2 / 2 with N the size of the full pool, not the subset.
    Divided by the ridge, the second is the first. Both leave the intercept without penalty.
    Raises ValueError unless both are > 0.

    >>> ridge_as_c(ridge=0.01, pool_size=1000)
    0.1
    """
    return 1 / (as_positive("ridge", ridge) * as_positive("pool_size", pool_size))


@dataclass(frozen=True, eq=False)
class Subset:
    """Samples to label, and how they were chosen.

    indices: distinct and increasing, shape [n]. weights: of the chosen, 1 or 1/pi, shape [n].
    inclusion_probabilities, scores: of the whole pool, shape [N].
    """

    indices: Indices
    inclusion_probabilities: Array
    weights: Array
    scores: Array


class SelectionParameters:
    """Fields of ``selection`` as parameters of their own: selection__alpha and the like."""

    selection: Any

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Parameters by name; with ``deep`` those of nested estimators and the selection too."""
        parameters: dict[str, Any] = super().get_params(deep)  # type: ignore[misc]
        selection = parameters["selection"]
        if deep and is_dataclass(selection):
            for field in fields(selection):
                parameters[PREFIX + field.name] = getattr(selection, field.name)
        return parameters

    def set_params(self, **parameters: Any) -> Self:
        """Set parameters; a name of a rule becomes the rule where one of its fields is set."""
        changes = {k: parameters.pop(k) for k in list(parameters) if k.startswith(PREFIX)}
        super().set_params(**parameters)  # type: ignore[misc]
        if changes:
            changes = {name.removeprefix(PREFIX): value for name, value in changes.items()}
            self.selection = vary(as_selection(self.selection), **changes)
        return self


class SubsetSelector(SelectionParameters, BaseEstimator):  # type: ignore[misc]
    """Train a surrogate on a few labels; let its scores choose what else to label.

    surrogate: a classifier with decision_function or predict_proba; None is LogisticRegression with
        C = 1/(ridge N), N the number of labelled samples.
    selection: a rule (RandomSelection, PowerSelection, TopSelection, InfluenceSelection, ...) or a
        name in ``NAMED``; its fields are parameters too, as in ``set_params(selection__alpha=1)``.
    ridge: > 0, of the default surrogate. sampling: "fixed" keeps the budget exactly, "poisson"
        draws every sample independently, as the theory does; with the same probabilities.
    uncertainty: with three classes or more, "margin" (the score of a sample is its largest logit
        minus the second, which is the logit's size if there are two), "entropy", "least-confidence"
        or "gini", each as the logit of two classes that are as uncertain.
    floor: in [0, 1], of an equal share among the predicted classes: what every one of them gets at
        least, so that rare classes are not left out.
    random_state: None, a seed or a generator.

    With two classes the score of a sample is the surrogate's logit. Influence and OSMAC
    have a meaning for two classes only; ``fit`` refuses them where there are more.
    Wrong parameters raise ValueError in ``fit`` and ``select``.

    >>> x = np.random.default_rng(0).normal(size=(120, 2))
    >>> selector = SubsetSelector(selection="top-hard").fit(x[:20], x[:20, 0] > 0)
    >>> chosen = selector.select(x[20:], n=10)
    >>> chosen.indices.size, bool(abs(chosen.scores[chosen.indices]).max() < 1)
    (10, True)
    """

    def __init__(
        self,
        surrogate: Any = None,
        selection: str | AnySelection = "hard",
        *,
        ridge: float = 0.01,
        sampling: Sampling = "fixed",
        uncertainty: str = "margin",
        floor: float = 0.0,
        random_state: Any = None,
    ) -> None:
        self.surrogate = surrogate
        self.selection = selection
        self.ridge = ridge
        self.sampling = sampling
        self.uncertainty = uncertainty
        self.floor = floor
        self.random_state = random_state

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:  # noqa: N803
        """Train the surrogate on labelled samples, shapes [n, p] and [n]."""
        rule = as_selection(self.selection)
        as_uncertainty(self.uncertainty)
        if isinstance(rule, VectorRule) and rule.needs_labels:
            raise PoolError(f"{rule!r} needs the labels of the pool: set with_labels=False")
        X, y = validate_data(self, X, y, accept_sparse="csr")  # noqa: N806
        check_classification_targets(y)
        classes = len(np.unique(y))
        if classes < 2:
            raise PoolError("the labelled samples are of one class only: label some of another")
        check_classes(rule, classes)
        weights = _check_sample_weight(sample_weight, X, dtype=np.float64)
        surrogate = self.surrogate
        if surrogate is None:
            c = ridge_as_c(self.ridge, float(weights.sum()))
            surrogate = LogisticRegression(C=c, max_iter=1000)
        weighted = {} if sample_weight is None else {"sample_weight": weights}
        self.surrogate_ = clone(surrogate).fit(X, y, **weighted)
        self.classes_ = self.surrogate_.classes_
        return self

    def select(
        self,
        X: Any,  # noqa: N803
        fraction: float | None = None,
        n: int | None = None,
    ) -> Subset:
        """Choose samples of an unlabelled pool, shape [N, p].

        fraction, in (0, 1], or n, a number of samples, replace the fraction of the selection.
        Stores sample_indices_, sample_weight_, inclusion_probabilities_ and n_pool_ too.
        Raises ValueError on more samples than the pool, or the selection, has to give.
        """
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, accept_sparse="csr")  # noqa: N806
        size = X.shape[0]
        rule = self._rule(size, fraction, n)
        if isinstance(rule, VectorRule):
            X = dense(X)  # noqa: N806
        score = partial(scores_of, self.surrogate_, uncertainty=self.uncertainty)
        scores = score_rows(score, X) if isinstance(X, np.ndarray) else score(X)
        subset = self._choose(rule, X, scores, n)
        self.sample_indices_, self.sample_weight_ = subset.indices, subset.weights
        self.inclusion_probabilities_, self.n_pool_ = subset.inclusion_probabilities, size
        return subset

    def select_from(
        self,
        source: Any,
        fraction: float | None = None,
        n: int | None = None,
        *,
        columns: Sequence[str] | None = None,
        id_column: str | None = None,
        output: str | Path | None = None,
        skip_bad_rows: bool = False,
        client: Any = None,
        progress: Progress | None = None,
    ) -> StreamedSubset:
        """Choose samples of a pool that may be larger than memory; needs pyarrow.

        source: a path (Parquet file, CSV file or a directory of either, .npy, or .npz with an array
            ``features``), a pyarrow dataset or table, a DataFrame, a matrix, or a Dask array or
            dataframe. It is read in batches; what stays is 8 bytes a row (16 with ids).
        columns: features; by default those of the labelled samples, or all numeric columns.
        id_column: copied for what is chosen; ids must be distinct.
        output: a Parquet file to write, which appears whole or not at all. Scores then lie on disk
            beside it; a run that was stopped goes on from them. None keeps all in memory.
        skip_bad_rows: leaves out rows with NaN or infinities instead of raising PoolError.
        client: a ``dask.distributed.Client`` whose workers score; the numbers are the same.
        progress: called with rows scored and rows of the pool, None where that is not known.
        The subset is that of ``select`` on the same rows in double precision, bit for bit, with a
        seed as ``random_state``. Raises PoolError on bad input and on rules that need all features
        at once, StoreError where the output cannot be written, exists or belongs to another run.

        >>> x = np.random.default_rng(0).normal(size=(120, 2))
        >>> selector = SubsetSelector(selection="hard", random_state=0).fit(x, x[:, 0] > 0)
        >>> chosen = selector.select_from(x, n=10).table()
        >>> chosen["row"].to_pylist() == selector.select(x, n=10).indices.tolist()
        True
        """
        check_is_fitted(self)
        rule = as_selection(self.selection)
        if isinstance(rule, VectorRule):
            raise PoolError(
                f"{type(rule).__name__} needs the features of the whole pool at once: take a rule"
                " of the score, such as PowerSelection, or select() in memory"
            )
        if self.floor != 0:
            raise PoolError(
                f"floor = {self.floor:g} needs the predicted classes of the whole pool at once: set"
                " floor to 0, or select() in memory"
            )
        known = getattr(self, "feature_names_in_", None)
        if columns is None and known is not None:
            columns = [str(name) for name in known]
        pool = open_source(source, columns, id_column)
        used = pool.columns(columns if pool.numeric is not None else None, id_column)
        if used is not None and len(used) != self.n_features_in_:
            raise PoolError(
                f"the pool has {len(used)} numeric columns and the surrogate knows"
                f" {self.n_features_in_}: name those to use as columns"
            )
        folder = Path(source).resolve() if isinstance(source, str | Path) else None
        if output is not None and folder and Path(output).resolve().is_relative_to(folder):
            raise PoolError(f"{output} lies in the pool: choose another place for the output")
        self._rule(pool.rows, fraction, n)
        chosen = select_stream(
            pool,
            Scorer(
                partial(scores_of, self.surrogate_, uncertainty=self.uncertainty),
                self.n_features_in_,
                used,
                id_column,
                skip_bad_rows,
            ),
            lambda scores: self._choose(self._rule(scores.size, fraction, n), None, scores, n),
            None if output is None else Path(output),
            client,
            progress,
            {"selection": repr(rule), "sampling": self.sampling},
        )
        self.n_pool_ = chosen.pool_rows
        return chosen

    def _rule(self, size: int | None, fraction: float | None, n: int | None) -> AnySelection:
        """The selection at the budget asked for; ``size``: of the pool, if known."""
        rule = as_selection(self.selection)
        if fraction is not None and n is not None:
            raise PoolError("give either fraction or n, not both")
        if n is not None:
            if size is not None and as_count("n", n) > size:
                raise PoolError(f"{n} samples are asked for and the pool has {size}: ask for less")
            fraction = 1.0 if size is None else as_count("n", n) / size
        if fraction is not None:
            rule = vary(rule, fraction=as_fraction("fraction", fraction))
        return rule

    def _choose(self, rule: AnySelection, features: Any, scores: Array, n: int | None) -> Subset:
        probabilities = inclusion_probabilities(rule, features, scores)
        if self.floor != 0:
            predicted = np.unique(self.surrogate_.predict(features), return_inverse=True)[1]
            probabilities = with_floor(probabilities, predicted, self.floor)
        if n is not None and np.count_nonzero(probabilities) < n:
            few = np.count_nonzero(probabilities)
            raise PoolError(f"{n} samples are asked for and the selection admits only {few}")
        generator = as_generator(self.random_state)
        chosen = draw_indices(probabilities, self.sampling, generator)
        weights = rule.weights(scores, probabilities)[chosen]
        return Subset(chosen, probabilities, weights, scores)

    @classmethod
    def from_classifier(cls, classifier: Any, **parameters: Any) -> Self:
        """A selector whose surrogate is a classifier that is fitted already.

        parameters: those of the class, but for ``surrogate``. Raises PoolError on a classifier that
        is not fitted, or that the selection cannot use.

        >>> x = np.random.default_rng(0).normal(size=(120, 2))
        >>> fitted = LogisticRegression().fit(x, x[:, 0] > 0)
        >>> selector = SubsetSelector.from_classifier(fitted, selection="top-hard")
        >>> selector.select(x, n=10).indices.size
        10
        """
        selector = cls(classifier, **parameters)
        for name in ("classes_", "n_features_in_"):
            if not hasattr(classifier, name):
                raise PoolError(f"{type(classifier).__name__} is no fitted classifier: no {name}")
        check_classes(as_selection(selector.selection), len(classifier.classes_))
        selector.surrogate_, selector.classes_ = classifier, classifier.classes_
        selector.n_features_in_ = classifier.n_features_in_
        if hasattr(classifier, "feature_names_in_"):
            selector.feature_names_in_ = classifier.feature_names_in_
        return selector

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.input_tags.sparse = True
        return tags


def scores_of(classifier: Any, X: Any, uncertainty: str = "margin") -> Array:  # noqa: N803
    """Scores of a fitted classifier, shape [N]: logits, or of several classes an uncertainty."""
    if hasattr(classifier, "feature_names_in_") and isinstance(X, np.ndarray):
        X = pd.DataFrame(X, columns=classifier.feature_names_in_)  # noqa: N806
    if hasattr(classifier, "decision_function"):
        outputs = np.asarray(classifier.decision_function(X), dtype=np.float64)
    elif hasattr(classifier, "predict_proba"):
        probabilities = np.asarray(classifier.predict_proba(X), dtype=np.float64)
        outputs = np.log(np.maximum(probabilities, SMALLEST_PROBABILITY))
    else:
        name = type(classifier).__name__
        raise PoolError(f"{name} has neither decision_function nor predict_proba: take another")
    if outputs.ndim == 1:
        return outputs
    if outputs.shape[1] == 2:
        return np.asarray(outputs[:, 1] - outputs[:, 0])
    return multiclass_scores(outputs, uncertainty)


def dense(X: Any) -> NDArray[Any]:  # noqa: N803
    """A sparse matrix as an array."""
    return np.asarray(X.toarray() if hasattr(X, "toarray") else X)


def takes_weights(estimator: Any) -> bool:
    return bool(has_fit_parameter(estimator, "sample_weight"))
