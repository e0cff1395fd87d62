"""The columns of a design around their weighted means, without a copy of X."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp

from sksparse._typing import Array, Indices
from sksparse.solvers._design import Design, standardise
from sksparse.solvers._moments import TUNING, Moments
from sksparse.solvers._sparse_design import SparseDesign


class CentredDesign:
    """Products with ``X - means``, and the variances of the columns.

    Sparse columns far from zero are shifted once, and become dense; others keep their means
    implicit. Dense ones are centred a block at a time where products would lose digits.

    Parameters
    ----------
    design : Design
        Features.
    weights : ndarray of shape (n_samples,)
        Sample weights with sum one.
    centre : bool
        Whether an intercept is fitted; otherwise the means are zero.
    target : ndarray of shape (n_samples,) or None, default=None
        What to measure covariances with, in the same pass.
    constant : float, default=1e-8
        Columns whose standard deviation is at most this share of their mean are constant, as are
        those that vary by rounding.

    Attributes
    ----------
    design : Design
        Features, after the shift.
    means : ndarray of shape (n_features,)
        Weighted means; zero without an intercept.
    variances : ndarray of shape (n_features,)
        Weighted variances (mean squares, without an intercept).
    covariances : ndarray of shape (n_features,)
        Covariances with the target.
    usable : ndarray of shape (n_features,)
        Mask of the columns that are not constant.
    """

    def __init__(
        self,
        design: Design,
        weights: Array,
        centre: bool,
        *,
        target: Array | None = None,
        constant: float = TUNING.constant_column,
    ) -> None:
        self.design, self.weights, self.centre = design, weights, centre
        self._original = design
        target = np.zeros(len(weights)) if target is None else target
        measured = Moments.of(design, weights, target, centre)
        self.means, self.variances, self.covariances = measured
        self.usable = measured.varying(constant, float(np.finfo(design.dtype).eps))
        far = self.usable & (np.abs(self.means) > TUNING.far_from_zero * np.sqrt(self.variances))
        self._far, self._rest = bool(far.any()) and not design.is_sparse, self.means
        if isinstance(design, SparseDesign) and far.any():
            self.design = design.shifted(np.flatnonzero(far), self.means[far])
            self._rest = np.where(far, 0.0, self.means)

    @cached_property
    def scales(self) -> Array:
        """Standard deviation of each column (root mean square, without an intercept).

        Zero where it is not usable.
        """
        return np.where(self.usable, np.sqrt(self.variances), 0.0)

    def matches(self, design: Design, weights: Array, centre: bool) -> bool:
        """Whether these are the columns of a design around means for the same weights."""
        same = self._original is design and self.centre == centre
        return same and np.array_equal(self.weights, weights)

    @property
    def _exact(self) -> bool:
        """Whether plain products with dense columns are less exact than float64."""
        return self._far or self.design.dtype != np.float64

    def columns(self, features: Indices) -> CentredColumns:
        """The given columns, in memory."""
        return CentredColumns(self.design.columns(features), self._rest[features])

    def write_rows(self, features: Indices, rows: Array) -> None:
        """Write the given columns into the rows of an array."""
        columns = self.design.columns(features)
        columns = columns.toarray() if sp.issparse(columns) else columns
        np.subtract(columns.T, self._rest[features, None], out=rows)

    def matvec(self, coef: Array, *, exact: bool = False) -> Array:
        """``(X - means) @ coef`` in float64; ``exact`` centres before it multiplies.

        A column for each output where the coefficients have shape (n_outputs, n_features).
        """
        if coef.ndim == 2:
            return self.design.combinations(coef, self._rest)
        if exact or self._exact:
            return self.design.matvec(coef, self._rest)
        return self.design.matvec(coef) - float(self._rest @ coef)

    def rmatvec(self, v: Array, *, exact: bool = False) -> Array:
        """``(X - means).T @ v``, zero for columns that do not vary.

        A row for each column of a ``v`` of shape (n_samples, n_outputs). Products of a vector with
        float32 columns are done in float32, unless they have to be ``exact``.
        """
        if v.ndim == 2:
            return self._rows(np.ascontiguousarray(v.T))
        if self._far or (exact and self.design.dtype != np.float64):
            result = self.design.rmatvec(v, self._rest)
        else:
            result = self.design.rmatvec(v) - self._rest * v.sum()
        return np.where(self.usable, result, 0.0)

    def _rows(self, left: Array) -> Array:
        """``left @ (X - means)`` in one pass, zero for columns that do not vary."""
        copies = self._exact and not self.design.is_sparse
        result, sums = np.empty((len(left), self.design.n_features)), left.sum(axis=1)
        for block, product in self.products(left):
            result[:, block] = product if copies else product - np.outer(sums, self._rest[block])
        return np.where(self.usable, result, 0.0)

    def products(self, left: Array) -> Iterator[tuple[slice, Array]]:
        """``left @ (X - means)``, a block of columns at a time.

        The rows of ``left`` have sum zero where an intercept is fitted.
        """
        copies = self._exact and not self.design.is_sparse
        return self.design.products(left, self._rest if copies else None)

    def weighted_products(self, features: Indices) -> Iterator[tuple[slice, Array]]:
        """Weighted inner products of the given columns with all, a block of those at a time.

        Zero with columns that do not vary.
        """
        chosen = self.columns(features).weighted(self.weights)
        for block, product in self.products(chosen.matrix.T):
            if self.design.is_sparse:
                product -= np.outer(chosen.means, self._rest[block])
            product[:, ~self.usable[block]] = 0.0
            yield block, product

    def squares(self, weights: Array) -> Array:
        """Sums of squares around the means for other weights; zero for unusable columns."""
        total = float(weights.sum())
        nothing = np.zeros(len(weights))
        measured = Moments.of(self.design, weights / total, nothing, self.centre)
        return np.where(self.usable, total * measured.variances, 0.0)

    def gram(self, features: Indices, scales: Array | None = None) -> Array:
        """Weighted inner products of the given columns, times their scales."""
        return self.gram_growth(features[:0], features, scales)[1]

    def gram_growth(
        self, known: Indices, new: Indices, scales: Array | None = None
    ) -> tuple[Array, Array]:
        """The same for new columns with known ones, and with each other, in one pass."""
        return self.design.gram_growth(known, new, self.weights, self._rest, scales)

    def standardised(self, features: Indices, scales: Array | None = None) -> Array:
        """Dense columns times their scales and the roots of the weights."""
        columns: Array = self.design.columns(features)
        standardise(columns, features, np.sqrt(self.weights), self._rest, scales)
        return columns


class CentredColumns:
    """Some columns around their means, in memory; sparse ones keep their means implicit.

    Parameters
    ----------
    matrix : ndarray or CSC matrix of shape (n_samples, n_columns)
        The columns; changed in place.
    means : ndarray of shape (n_columns,)
        Their means.

    Attributes
    ----------
    matrix : ndarray or CSC matrix
        Dense columns centred, sparse ones as they are.
    means : ndarray of shape (n_columns,)
        What is still to be subtracted: zero for dense columns.
    """

    def __init__(self, matrix: Any, means: Array) -> None:
        self.matrix, self.means = matrix, means
        if not sp.issparse(matrix) and means.any():
            self.matrix -= means
            self.means = np.zeros(len(means))

    def matvec(self, coef: Array) -> Array:
        """Combination of the columns, for coefficients of shape (n_outputs, n_columns) a table."""
        return np.asarray(self.matrix @ coef.T - coef @ self.means)

    def rmatvec(self, v: Array) -> Array:
        """Inner product of each column with ``v``, a row for each output."""
        return np.asarray((self.matrix.T @ v).T - np.multiply.outer(v.sum(axis=0), self.means))

    def toarray(self) -> Array:
        """The columns as a dense array."""
        return self.matrix.toarray() - self.means if sp.issparse(self.matrix) else self.matrix

    def weighted(self, weights: Array) -> CentredColumns:
        """These columns with stored numbers times sample weights, which change in place."""
        if sp.issparse(self.matrix):
            self.matrix.data *= weights[self.matrix.indices]
        else:
            self.matrix *= weights[:, None]
        return self

    def cross(self, other: CentredColumns) -> Array:
        """Inner products of weighted columns with others."""
        product = self.matrix.T @ other.matrix
        if sp.issparse(product):
            return np.asarray(product.toarray() - np.outer(self.means, other.means))
        return np.asarray(product)
