"""Quadratic models of a loss over a working set of columns.

A model is ``w^T H w / 2 - q^T w`` up to a constant. Its state is what the compiled loop maintains:
see the kernel of block descent for the three forms.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import scipy.sparse as sp

from sksparse._typing import Array
from sksparse.solvers._centred import CentredColumns


class Quadratic(ABC):
    """A quadratic, with the state at ``w = 0`` in ``origin``."""

    origin: Array
    #: Multiplications in one product with H.
    size: int
    #: H, where it is stored.
    gram: Array | None = None

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
    def block(self, start: int, stop: int) -> Array:
        """Diagonal block of H."""

    def state(self, coef: Array) -> Array:
        """State at ``coef``."""
        return self.origin - self.product(coef)


class GramQuadratic(Quadratic):
    """H itself, from minus the gradient at ``coef``; one pass costs ``len(coef) ** 2``."""

    def __init__(self, matrix: Array, descent: Array, coef: Array) -> None:
        self.matrix = self.gram = matrix
        self.size = matrix.size
        self.origin = descent + matrix @ coef

    def kernel_form(self) -> Any:
        from sksparse._kernels.block_descent import Gram

        return Gram(self.matrix)

    def product(self, coef: Array) -> Array:
        return self.matrix @ coef

    def value(self, coef: Array, state: Array) -> float:
        return -0.5 * float(coef @ (self.origin + state))

    def descent(self, state: Array) -> Array:
        return state

    def reduced(self, basis: sp.csc_array) -> Array:
        return np.asarray(basis.T @ (basis.T @ self.matrix).T)

    def block(self, start: int, stop: int) -> Array:
        return self.matrix[start:stop, start:stop]


class DenseQuadratic(Quadratic):
    """``H = A^T A`` with A dense; one pass costs ``A.size``."""

    def __init__(self, matrix: Array, residual: Array, coef: Array) -> None:
        self.matrix = matrix
        self.size = matrix.size
        self.origin = residual + matrix @ coef

    def kernel_form(self) -> Any:
        from sksparse._kernels.block_descent import Dense

        return Dense(self.matrix)

    def product(self, coef: Array) -> Array:
        return self.matrix @ coef

    def value(self, coef: Array, state: Array) -> float:
        return 0.5 * float(state @ state)

    def descent(self, state: Array) -> Array:
        return self.matrix.T @ state

    def reduced(self, basis: sp.csc_array) -> Array:
        columns = np.asarray(basis.T @ self.matrix.T)
        return columns @ columns.T

    def block(self, start: int, stop: int) -> Array:
        part = self.matrix[:, start:stop]
        return part.T @ part


class SparseQuadratic(Quadratic):
    """``H = A^T A`` with ``A = scaled - outer(roots, means)`` and ``scaled`` sparse."""

    def __init__(
        self, scaled: sp.csc_array, roots: Array, means: Array, residual: Array, coef: Array
    ) -> None:
        self.scaled, self.roots, self.means = scaled, roots, means
        self.total = float(roots @ roots)
        self.size = scaled.nnz
        self.origin = np.append(residual, 0.0) + self.product(coef)

    def kernel_form(self) -> Any:
        from sksparse._kernels.block_descent import Sparse

        matrix = self.scaled
        return Sparse(matrix.data, matrix.indices, matrix.indptr, self.means, self.total)

    def product(self, coef: Array) -> Array:
        return np.append(self.scaled @ coef, self.means @ coef)

    def value(self, coef: Array, state: Array) -> float:
        residual = state[:-1] - state[-1] * self.roots
        return 0.5 * float(residual @ residual)

    def descent(self, state: Array) -> Array:
        return np.asarray(self.scaled.T @ state[:-1] - self.total * state[-1] * self.means)

    def reduced(self, basis: sp.csc_array) -> Array:
        columns, means = self.scaled @ basis, basis.T @ self.means
        return (columns.T @ columns).toarray() - self.total * np.outer(means, means)

    def block(self, start: int, stop: int) -> Array:
        part, means = self.scaled[:, start:stop], self.means[start:stop]
        return (part.T @ part).toarray() - self.total * np.outer(means, means)


def quadratic_from_columns(
    columns: CentredColumns,
    gradient: Array,
    curvature: Array,
    coef: Array,
    centre: bool,
    gram: bool,
) -> Quadratic:
    """Second-order model of a loss around ``coef``, the intercept minimised out if ``centre``.

    ``gradient`` and ``curvature`` are the loss's, per sample; ``gram`` asks for H itself.
    """
    stored, total, roots = columns.matrix, curvature.sum(), np.sqrt(curvature)
    means = np.zeros(len(coef))
    if centre:
        means = stored.T @ curvature / total
        gradient = gradient - curvature * (gradient.sum() / total)
    scaled = _scaled(stored, roots, means)
    if gram:
        matrix = scaled.T @ scaled
        if sp.issparse(matrix):
            matrix = matrix.toarray() - total * np.outer(means, means)
        return GramQuadratic(np.ascontiguousarray(matrix), -(stored.T @ gradient), coef)
    # A sample without weight has neither curvature nor gradient.
    residual = np.divide(-gradient, roots, out=np.zeros_like(roots), where=roots > 0)
    if sp.issparse(scaled):
        return SparseQuadratic(scaled, roots, means, residual, coef)
    return DenseQuadratic(scaled, residual, coef)


def _scaled(columns: Any, roots: Array, means: Array) -> Any:
    """``diag(roots) (columns - means)`` in the same order; sparse keeps its means implicit."""
    if sp.issparse(columns):
        scaled = columns.copy()
        scaled.data *= roots[scaled.indices]
        return scaled
    scaled = columns - means
    scaled *= roots[:, None]
    return scaled
