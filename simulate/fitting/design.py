"""Products with a feature matrix: rough ones in single precision, exact ones in double.

The matrix is held once. Exact products turn a few of its rows at a time into double precision.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Single = NDArray[np.float32]

BLOCK = 128
"""Rows, or columns, that are turned into double precision at a time."""

FEW_COLUMNS = 3
"""Up to so many columns, products with one vector after the other are faster than with a matrix."""


class Design:
    """A feature matrix [n, p], with a column of ones after the last if there is an intercept.

    Parameters have shape [p, k], or [p + 1, k] with an intercept; outputs have shape [n, k].
    """

    def __init__(self, features: NDArray[Any], fit_intercept: bool) -> None:
        self.features = features
        self.fit_intercept = fit_intercept
        self.single: Single = features.astype(np.float32, copy=False)
        self.samples, self.dimension = features.shape

    def outputs(self, u: Array) -> Array:
        """<theta, x_i> + b."""
        result = np.empty((self.samples, u.shape[1]))
        for rows in self._blocks():
            result[rows] = _product(self._double(rows), u[: self.dimension])
        result += u[self.dimension :].sum(axis=0)
        return result

    def adjoint(self, r: Array) -> Array:
        """Sum over samples of r_i (x_i, 1)."""
        result = np.zeros((self.dimension, r.shape[1]))
        for rows in self._blocks():
            result += _product(self._double(rows).T, r[rows])
        return np.vstack([result, r.sum(axis=0)]) if self.fit_intercept else result

    def rough_outputs(self, u: NDArray[Any]) -> Single:
        u = u.astype(np.float32, copy=False)
        result: Single = _product(self.single, u[: self.dimension])
        return result + u[self.dimension :].sum(axis=0) if self.fit_intercept else result

    def rough_adjoint(self, r: NDArray[Any]) -> Single:
        r = r.astype(np.float32, copy=False)
        result: Single = _product(self.single.T, r)
        return np.vstack([result, r.sum(axis=0)]) if self.fit_intercept else result

    def weighted_gram(self, weights: Array) -> Array:
        """Sum over samples of weights_i (x_i, 1) (x_i, 1)^T; samples of weight 0 cost nothing."""
        size = self.dimension + self.fit_intercept
        chosen, root = np.flatnonzero(weights), np.sqrt(weights)
        result = np.zeros((size, size))
        for first in range(0, chosen.size, BLOCK):
            rows = chosen[first : first + BLOCK]
            block = self._double(rows)
            if self.fit_intercept:
                block = np.column_stack([block, np.ones(rows.size)])
            block *= root[rows, None]
            result += block.T @ block
        return result

    def sample_gram(self, rows: NDArray[np.intp], weights: Array) -> Array:
        """Inner products of the chosen samples, with the given weights [p(+1)] of the features."""
        result = np.zeros((rows.size, rows.size))
        for first in range(0, self.dimension, BLOCK):
            columns = slice(first, min(first + BLOCK, self.dimension))
            block = self.features[rows, columns].astype(np.float64, copy=False)
            result += (block * weights[columns]) @ block.T
        result += weights[self.dimension :].sum()
        return result

    def _blocks(self) -> Iterator[slice]:
        for first in range(0, self.samples, BLOCK):
            yield slice(first, min(first + BLOCK, self.samples))

    def _double(self, rows: Any) -> Array:
        return np.asarray(self.features[rows], dtype=np.float64)


def norms(columns: NDArray[Any]) -> Array:
    """Euclidean norm of every column."""
    squares: Array = np.einsum("ij,ij->j", columns, columns, dtype=np.float64)
    return np.sqrt(squares)


def _product(a: NDArray[Any], b: NDArray[Any]) -> NDArray[Any]:
    result: NDArray[Any] = np.empty((a.shape[0], b.shape[1]), dtype=b.dtype)
    if b.shape[1] > FEW_COLUMNS:
        return np.matmul(a, b, out=result)
    for j in range(b.shape[1]):
        result[:, j] = a @ np.ascontiguousarray(b[:, j])
    return result
