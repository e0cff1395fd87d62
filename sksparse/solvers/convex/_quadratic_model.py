"""Quadratic models of a loss over a working set of columns.

A model is ``sum_o w_o^T H w_o / 2 - q_o^T w_o`` up to a constant, with one row ``w_o`` of
coefficients for each output. Its state is what the compiled loop maintains, one row for each
output: see the kernel of block descent for the three forms. A ridge is no part of the model.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

import numpy as np
import scipy.sparse as sp

from sksparse._typing import Array, Indices
from sksparse.solvers._centred import CentredColumns

# Numbers of columns that are centred and scaled while they are in the processor's cache.
_CACHED = 2**16


class Quadratic(ABC):
    """A quadratic, with the state at ``w = 0`` in ``origin``.

    Coefficients have shape (n_columns,), and states are vectors, or both have a row per output.
    """

    origin: Array
    #: Multiplications in one product with H.
    size: int
    #: H, where it is stored.
    gram: Array | None = None
    #: A with ``H = A^T A``, where that is stored.
    columns: Array | None = None

    @abstractmethod
    def kernel_form(self) -> Any:
        """H as the compiled loop takes it."""

    @abstractmethod
    def product(self, coef: Array) -> Array:
        """The difference of the state at the origin and the state at ``coef``."""

    @abstractmethod
    def value(self, coef: Array, state: Array) -> float:
        """Value at ``coef``, up to a constant."""

    @abstractmethod
    def descent(self, state: Array) -> Array:
        """Minus the gradient at a state."""

    @abstractmethod
    def reduced(self, basis: sp.csc_array) -> Array:
        """``basis.T H basis``."""

    @abstractmethod
    def blocks(self, starts: Indices, size: int) -> Array:
        """Diagonal blocks of H of one size, shape (n_blocks, size, size)."""

    @abstractmethod
    def over(self, columns: Indices) -> Quadratic:
        """The same quadratic where all other coefficients are zero."""

    @abstractmethod
    def known_state(self, columns: CentredColumns, gradient: Array, roots: Array) -> Array:
        """State where a loss over columns, with curvature ``roots ** 2``, has a gradient.

        The gradient has a row for each output, with sum zero where an intercept is minimised out.
        """

    def move_to(
        self,
        columns: CentredColumns,
        gradient: Array,
        curvature: Array,
        coef: Array,
        *,
        centre: bool,
    ) -> None:
        """Take over the gradient that the loss has at ``coef``, with the same curvature.

        Parameters as in :func:`quadratic_from_columns`.
        """
        gradient = _centred_rows(gradient, curvature, centre)
        self.origin = self.known_state(columns, gradient, np.sqrt(curvature)) + self.product(coef)

    def state(self, coef: Array) -> Array:
        """State at ``coef``."""
        return self.origin - self.product(coef)


class GramQuadratic(Quadratic):
    """H itself, from minus the gradient at ``coef``; one pass costs ``matrix.size``."""

    def __init__(self, matrix: Array, descent: Array, coef: Array) -> None:
        self.matrix = self.gram = matrix
        self.size = matrix.size
        self.origin = descent + coef @ matrix

    def kernel_form(self) -> Any:
        from sksparse._kernels.block_descent import Gram

        # symmetric, so that columns are rows
        return Gram(self.matrix.T)

    def over(self, columns: Indices) -> GramQuadratic:
        matrix = self.matrix[np.ix_(columns, columns)]
        return GramQuadratic(matrix, self.origin[..., columns], np.zeros(len(columns)))

    def known_state(self, columns: CentredColumns, gradient: Array, roots: Array) -> Array:
        return np.asarray(-(gradient @ columns.matrix))

    def product(self, coef: Array) -> Array:
        return coef @ self.matrix

    def value(self, coef: Array, state: Array) -> float:
        return -0.5 * float(np.vdot(coef, self.origin + state))

    def descent(self, state: Array) -> Array:
        return state

    def reduced(self, basis: sp.csc_array) -> Array:
        return np.asarray(basis.T @ (basis.T @ self.matrix).T)

    def blocks(self, starts: Indices, size: int) -> Array:
        places = _places(starts, size)
        return self.matrix[places[:, :, None], places[:, None, :]]


class DenseQuadratic(Quadratic):
    """``H = A^T A`` with A dense; one pass costs ``A.size``."""

    def __init__(self, matrix: Array, residual: Array, coef: Array) -> None:
        self.matrix = self.columns = matrix
        self.size = matrix.size
        self.origin = residual + coef @ matrix.T

    def kernel_form(self) -> Any:
        from sksparse._kernels.block_descent import Dense

        return Dense(self.matrix)

    def over(self, columns: Indices) -> DenseQuadratic:
        return DenseQuadratic(self.matrix[:, columns], self.origin, np.zeros(len(columns)))

    def known_state(self, columns: CentredColumns, gradient: Array, roots: Array) -> Array:
        return _residual(gradient, roots)

    def product(self, coef: Array) -> Array:
        return coef @ self.matrix.T

    def value(self, coef: Array, state: Array) -> float:
        return 0.5 * float(np.vdot(state, state))

    def descent(self, state: Array) -> Array:
        return state @ self.matrix

    def reduced(self, basis: sp.csc_array) -> Array:
        columns = np.asarray(basis.T @ self.matrix.T)
        return columns @ columns.T

    def blocks(self, starts: Indices, size: int) -> Array:
        columns = self.matrix.T[_places(starts, size)]
        return np.asarray(columns @ columns.transpose(0, 2, 1))


class SparseQuadratic(Quadratic):
    """``H = A^T A`` with ``A = scaled - outer(roots, means)`` and ``scaled`` sparse."""

    def __init__(
        self, scaled: sp.csc_array, roots: Array, means: Array, residual: Array, coef: Array
    ) -> None:
        self.scaled, self.roots, self.means = scaled, roots, means
        self.total = float(roots @ roots)
        self.size = scaled.nnz
        self.origin = self.product(coef)
        self.origin[..., :-1] += residual

    def kernel_form(self) -> Any:
        from sksparse._kernels.block_descent import Sparse

        matrix = self.scaled
        return Sparse(matrix.data, matrix.indices, matrix.indptr, self.means, self.total)

    def over(self, columns: Indices) -> SparseQuadratic:
        residual, zero = self.origin[..., :-1], np.zeros(len(columns))
        scaled = self.scaled[:, columns]
        return SparseQuadratic(scaled, self.roots, self.means[columns], residual, zero)

    def known_state(self, columns: CentredColumns, gradient: Array, roots: Array) -> Array:
        residual = _residual(gradient, roots)
        return np.concatenate((residual, np.zeros_like(residual[..., :1])), axis=-1)

    def product(self, coef: Array) -> Array:
        centring = np.asarray(coef @ self.means)[..., None]
        return np.concatenate(((self.scaled @ coef.T).T, centring), axis=-1)

    def value(self, coef: Array, state: Array) -> float:
        residual = state[..., :-1] - state[..., -1:] * self.roots
        return 0.5 * float(np.vdot(residual, residual))

    def descent(self, state: Array) -> Array:
        products = (self.scaled.T @ state[..., :-1].T).T
        return np.asarray(products - self.total * state[..., -1:] * self.means)

    def reduced(self, basis: sp.csc_array) -> Array:
        columns, means = self.scaled @ basis, basis.T @ self.means
        return (columns.T @ columns).toarray() - self.total * np.outer(means, means)

    def blocks(self, starts: Indices, size: int) -> Array:
        means = self.means[_places(starts, size)]
        parts = [self.scaled[:, start : start + size] for start in starts.tolist()]
        products = np.stack([(part.T @ part).toarray() for part in parts])
        return np.asarray(products - self.total * means[:, :, None] * means[:, None, :])


def quadratic_from_columns(
    columns: CentredColumns,
    gradient: Array,
    curvature: Array,
    coef: Array,
    centre: bool,
    gram: bool,
) -> Quadratic:
    """Second-order model of a loss around ``coef``, the intercept minimised out if ``centre``.

    Parameters
    ----------
    columns : CentredColumns
        The columns.
    gradient : ndarray of shape (n_samples,) or (n_samples, n_outputs)
        Gradient of the loss over the predictor.
    curvature : ndarray of shape (n_samples,)
        Curvature of each sample, the same for all of its outputs.
    coef : ndarray of shape (n_columns,) or (n_outputs, n_columns)
        Where the gradient was taken.
    centre : bool
        Whether an intercept is minimised out.
    gram : bool
        Whether to form H itself.
    """
    stored, total, roots = columns.matrix, curvature.sum(), np.sqrt(curvature)
    means = stored.T @ curvature / total if centre else np.zeros(stored.shape[1])
    gradient = _centred_rows(gradient, curvature, centre)
    scaled = _scaled(stored, roots, means)
    if gram:
        matrix = scaled.T @ scaled
        if sp.issparse(matrix):
            matrix = matrix.toarray() - total * np.outer(means, means)
        return GramQuadratic(np.ascontiguousarray(matrix), -(gradient @ stored), coef)
    residual = _residual(gradient, roots)
    if sp.issparse(scaled):
        return SparseQuadratic(scaled, roots, means, residual, coef)
    return DenseQuadratic(scaled, residual, coef)


def _places(starts: Indices, size: int) -> Indices:
    """The columns of blocks of one size, a row for each."""
    return starts[:, None] + np.arange(size)


def _centred_rows(gradient: Array, curvature: Array, centre: bool) -> Array:
    """A row of the gradient for each output, with sum zero if ``centre``."""
    rows = gradient.T
    if not centre:
        return rows
    return np.asarray(rows - np.multiply.outer(rows.sum(axis=-1) / curvature.sum(), curvature))


def _residual(gradient: Array, roots: Array) -> Array:
    """Residual of least squares with a gradient."""
    # A sample without weight has neither curvature nor gradient.
    return np.divide(-gradient, roots, out=np.zeros(gradient.shape), where=roots > 0)


def _scaled(columns: Any, roots: Array, means: Array) -> Any:
    """``diag(roots) (columns - means)`` in the same order; sparse keeps its means implicit."""
    if sp.issparse(columns):
        scaled = columns.copy()
        scaled.data *= roots[scaled.indices]
        return scaled
    scaled = np.empty(columns.shape, order="F")
    for block in _cached_blocks(*columns.shape):
        np.subtract(columns[:, block], means[block], out=scaled[:, block])
        scaled[:, block] *= roots[:, None]
    return scaled


def _cached_blocks(n_rows: int, n_columns: int) -> Iterator[slice]:
    """Blocks of columns that stay in the cache between two operations."""
    width = max(_CACHED // max(n_rows, 1), 1)
    for start in range(0, n_columns, width):
        yield slice(start, start + width)
