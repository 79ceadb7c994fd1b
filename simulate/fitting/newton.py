"""Newton's direction for many fits at once: (X^T D_k X + P_k) d_k = -g_k.

Conjugate gradients in single precision take all fits in lockstep. A fit whose equations they do not
solve within their allowance is solved directly: as p x p equations, or where fewer samples than
that have curvature, as equations between samples.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

from simulate.fitting.design import Array, Design, Single, norms

LEAST_ITERATIONS = 30
ITERATIONS_PER_EQUATION = 1 / 16
"""Conjugate gradients may take so many iterations for each of min(n, p) equations."""

LARGEST_DIRECT = 12_000
"""Directly solved equations, at most: beyond, their matrix would fill the memory."""

FINISHED_PART = 0.125
"""Finished fits are dropped from the lockstep when they are this part of it."""


def newton_direction(
    design: Design,
    curvature: Single,
    penalty: Array,
    gradient: Array,
    accuracy: Array,
    stiff: NDArray[np.bool_],
) -> Array:
    """Directions d_k, shape [p, k].

    curvature: diagonals D_k >= 0, shape [n, k]. penalty: diagonals P_k > 0, shape [p, k].
    accuracy: residual norm relative to that of the gradient at which to stop, shape [k].
    stiff: fits to solve directly; those that conjugate gradients fail are added to it.
    """
    direction = np.zeros_like(gradient)
    equations = min(design.samples, gradient.shape[0])
    iterations = max(LEAST_ITERATIONS, round(equations * ITERATIONS_PER_EQUATION))
    easy = np.flatnonzero(~stiff)
    if easy.size:
        chosen = slice(None) if easy.size == stiff.size else easy  # a slice is no copy
        direction[:, chosen], solved = _conjugate_gradients(
            design,
            curvature[:, chosen],
            penalty[:, chosen],
            gradient[:, chosen],
            accuracy[chosen],
            iterations,
        )
        if equations <= LARGEST_DIRECT:
            stiff[easy[~solved]] = True
    for k in np.flatnonzero(stiff):
        direction[:, k] = _direct(design, curvature[:, k], penalty[:, k], gradient[:, k])
    return direction


def _conjugate_gradients(
    design: Design,
    curvature: Single,
    penalty: Array,
    gradient: Array,
    accuracy: Array,
    iterations: int,
) -> tuple[Array, NDArray[np.bool_]]:
    """Directions, and whether each is as accurate as asked."""
    size = norms(gradient)
    result = np.zeros_like(gradient)
    solved = np.zeros(size.size, dtype=bool)
    running = np.arange(size.size)
    d, p = curvature, penalty.astype(np.float32)
    residual = (-gradient / size).astype(np.float32)
    search, direction = residual.copy(), np.zeros_like(residual)
    squared = np.ones(size.size)
    for _ in range(iterations):
        product = design.rough_adjoint(d * design.rough_outputs(search)) + p * search
        length = (squared / _dot(search, product)).astype(np.float32)
        direction += length * search
        residual -= length * product
        previous, squared = squared, np.maximum(_dot(residual, residual), 1e-30)
        finished = squared <= accuracy[running] ** 2
        solved[running[finished]] = True
        if finished.all():
            break
        search *= (squared / previous).astype(np.float32)
        search += residual
        if finished.mean() >= FINISHED_PART:
            result[:, running[finished]] = direction[:, finished]
            left = ~finished
            running, squared = running[left], squared[left]
            d, p, residual, search, direction = (
                a[:, left] for a in (d, p, residual, search, direction)
            )
    result[:, running] = direction
    return result * size, solved


def _dot(a: Single, b: Single) -> Array:
    dots: Array = np.einsum("ij,ij->j", a, b, dtype=np.float64)
    return dots


def _direct(design: Design, curvature: Single, penalty: Array, gradient: Array) -> Array:
    """One direction by Cholesky's method, in double precision."""
    rows = np.flatnonzero(curvature)
    if rows.size >= penalty.size:
        matrix = design.weighted_gram(curvature.astype(np.float64))
        matrix[np.diag_indices_from(matrix)] += penalty
        return -cho_solve(cho_factor(matrix, overwrite_a=True, check_finite=False), gradient)
    # (P + X^T D X)^-1 = P^-1 - P^-1 X^T (D^-1 + X P^-1 X^T)^-1 X P^-1, rows of D = 0 left out.
    direction = -gradient / penalty
    if rows.size:
        matrix = design.sample_gram(rows, 1 / penalty)
        matrix[np.diag_indices_from(matrix)] += 1 / curvature[rows].astype(np.float64)
        outputs = design.outputs(direction[:, None])[rows, 0]
        pull = np.zeros((design.samples, 1))
        pull[rows, 0] = cho_solve(cho_factor(matrix, overwrite_a=True, check_finite=False), outputs)
        direction -= design.adjoint(pull)[:, 0] / penalty
    return direction
