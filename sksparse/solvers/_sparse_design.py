"""Sparse feature matrices."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import scipy.sparse as sp

from sksparse._typing import Array, Indices, Mask
from sksparse.solvers._design import TUNING, Design, chunks, plain_product, spans, used_columns


class SparseDesign(Design):
    """A CSC matrix in memory, or a sparse one that is converted to it.

    Parameters
    ----------
    X : sparse matrix of shape (n_samples, n_features)
        Features.
    """

    is_sparse = True

    @classmethod
    def reads(cls, X: Any) -> bool:
        return sp.issparse(X)

    def __init__(self, X: Any) -> None:
        super().__init__(X if X.format == "csc" else sp.csc_array(X))

    @property
    def nbytes(self) -> int:
        return int(self._X.data.nbytes)

    def row_blocks(self) -> Iterator[tuple[slice, Array]]:
        for rows in spans(self.n_samples, TUNING.block, self.n_features):
            yield rows, self._X[rows].toarray()

    def matvec(self, coef: Array, means: Array | None = None) -> Array:
        support = np.flatnonzero(coef)
        if support.size == 0:
            return np.zeros(self.n_samples)
        if means is None:
            return plain_product(self._X, coef, support)
        result = np.zeros(self.n_samples)
        for part in chunks(support, self.n_samples):
            result += self.columns(part) @ coef[part]
        return np.asarray(result - float(means @ coef))

    def combinations(self, coefs: Array, means: Array) -> Array:
        support = used_columns(coefs)
        product = self._X[:, support] @ coefs[:, support].T
        return np.asarray(product - coefs @ means, dtype=np.float64)

    def rmatvec(self, v: Array, means: Array | None = None) -> Array:
        if means is None:
            return np.asarray(self._X.T @ v.astype(self.dtype), dtype=np.float64)
        return super().rmatvec(v, means)

    def products(self, left: Any, means: Array | None = None) -> Iterator[tuple[slice, Array]]:
        """Like those of other designs; ``left`` may be a sparse matrix."""
        for block in self.column_blocks(left.shape[0] if means is None else self.n_samples):
            columns = self._X[:, block]
            if sp.issparse(left):
                product = (left @ columns).toarray()
            else:
                columns = columns if means is None else columns.astype(np.float64)
                product = np.asarray((columns.T @ left.T).T)
            if means is not None:
                product -= np.multiply.outer(left.sum(axis=-1), means[block])
            yield block, product

    def columns(self, features: Indices) -> Any:
        return sp.csc_array(self._X[:, features], dtype=np.float64)

    def select(self, features: Indices) -> Design:
        return SparseDesign(self._X[:, features])

    def rows(self, rows: Indices, n_features: int) -> Iterator[tuple[slice, Any]]:
        part = self._X[:, :n_features]
        complete = len(rows) == self.n_samples
        yield slice(0, len(rows)), part if complete else part[rows]

    def head(self, n_rows: int, features: Indices) -> Array:
        return np.asarray(self._X[:n_rows][:, features].toarray())

    def gram_growth(
        self, known: Indices, new: Indices, weights: Array, means: Array, scales: Array | None
    ) -> tuple[Array, Array]:
        weighted = self._X[:, new].multiply(weights[:, None]).tocsc()
        cross, corner = (
            np.asarray((self._X[:, features].T @ weighted).todense(), dtype=np.float64)
            for features in (known, new)
        )
        for product, features in ((cross, known), (corner, new)):
            product -= np.outer(means[features], means[new])
            if scales is not None:
                product *= np.outer(scales[features], scales[new])
        return cross, corner

    def moments(self, weights: Array, target: Array, centre: bool) -> tuple[Array, Array, Array]:
        X, weighted = self._X, weights * target
        means = np.zeros(self.n_features)
        if centre:
            means = np.asarray(X.T @ weights, dtype=np.float64)
        covariances = np.asarray(X.T @ weighted, dtype=np.float64) - means * weighted.sum()
        variances = self.variances(weights, means)
        # differences of squares, and of float32 products, say nothing where the mean is large
        cancelled = np.flatnonzero((variances * TUNING.cancelled**2 <= means**2) & centre)
        for start in range(0, len(cancelled), TUNING.cancelled_columns):
            part = cancelled[start : start + TUNING.cancelled_columns]
            columns = X[:, part].toarray().astype(np.float64)
            shift = columns[0].copy()
            columns -= shift
            middle = weights @ columns
            columns -= middle
            means[part] = shift + middle
            variances[part], covariances[part] = weights @ columns**2, weighted @ columns
        return means, variances, covariances

    def variances(self, weights: Array, means: Array) -> Array:
        squares = self._X.copy()
        squares.data = squares.data.astype(np.float64) ** 2
        return np.maximum(squares.T @ weights - weights.sum() * means**2, 0.0)

    def largest_magnitudes(self) -> Array:
        return np.asarray(abs(self._X).max(axis=0).todense(), dtype=np.float64).ravel()

    def constants(self) -> Mask:
        """None: a column that is stored in sparse form is taken to vary."""
        return np.zeros(self.n_features, dtype=np.bool_)

    def times_powers_of_two(self, exponents: Any) -> Design:
        scaled, each = self._X.copy(), np.broadcast_to(exponents, self.n_features)
        scaled.data = np.ldexp(scaled.data, np.repeat(each, np.diff(scaled.indptr)))
        return SparseDesign(scaled)

    def shifted(self, features: Indices, by: Array) -> SparseDesign:
        """The same with constants subtracted from some columns, which become dense.

        Meant for columns far from zero, which hold hardly a zero anyway: products of what is stored
        would lose the digits in which they vary.
        """
        others = np.setdiff1d(np.arange(self.n_features), features)
        dense = self._X[:, features].toarray().astype(np.float64) - by
        parts = [self._X[:, others].astype(np.float64), sp.csc_array(dense)]
        order = np.argsort(np.concatenate((others, features)), kind="stable")
        return SparseDesign(sp.hstack(parts, format="csc")[:, order])
