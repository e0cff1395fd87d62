"""Access to the feature matrix: dense or sparse, any float type, never copied whole."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import scipy.sparse as sp

from sksparse._typing import Array, Indices

# Columns touched at once where a temporary copy is needed; bounds the memory above X itself.
_CHUNK = 256
# Numbers that a temporary block of columns holds, so that it stays in the processor's cache.
_BLOCK = 2**18


class Design:
    """A feature matrix with products, column statistics and Gram blocks.

    Parameters
    ----------
    X : ndarray or CSC matrix of shape (n_samples, n_features)
        Features, float32 or float64; dense arrays in any memory order.

    Notes
    -----
    Vectors of length n_samples or n_features go in and come out as float64; the products with a
    float32 matrix are done in float32. Gram blocks are float64.
    """

    def __init__(self, X: Any) -> None:
        self.X = X
        self.is_sparse = bool(sp.issparse(X))
        self.n_samples, self.n_features = X.shape
        self.dtype = X.dtype

    def matvec(self, coef: Array) -> Array:
        """``X @ coef``, reading only the columns in use when they are few."""
        support = np.flatnonzero(coef)
        if support.size == 0:
            return np.zeros(self.n_samples)
        if support.size * 4 > self.n_features:
            return np.asarray(self.X @ coef.astype(self.dtype), dtype=np.float64)
        product = self.X[:, support] @ coef[support].astype(self.dtype)
        return np.asarray(product, dtype=np.float64)

    def rmatvec(self, v: Array) -> Array:
        """``X.T @ v``."""
        return np.asarray(self.X.T @ v.astype(self.dtype), dtype=np.float64)

    def means(self, weights: Array) -> Array:
        """Weighted mean of each column, for weights with sum one."""
        return self.rmatvec(weights)

    def variances(self, weights: Array, means: Array) -> Array:
        """Weighted mean of squared differences from ``means``, for each column."""
        if self.is_sparse:
            squares = self.X.copy()
            squares.data = squares.data.astype(np.float64) ** 2
            return np.maximum(squares.T @ weights - weights.sum() * means**2, 0.0)
        result = np.empty(self.n_features)
        for start in range(0, self.n_features, _CHUNK):
            block = slice(start, start + _CHUNK)
            centred = self.X[:, block] - means[block]
            result[block] = weights @ (centred * centred)
        return result

    def blocks(self, height: int) -> Iterator[slice]:
        """Blocks of columns that give arrays with so many rows a size that fits the cache."""
        width = min(max(_BLOCK // max(height, 1), 16), 4096)
        for start in range(0, self.n_features, width):
            yield slice(start, min(start + width, self.n_features))

    def columns(self, features: Indices) -> Any:
        """The given columns: a float64 Fortran-ordered array, or a float64 CSC matrix."""
        if self.is_sparse:
            return sp.csc_array(self.X[:, features], dtype=np.float64)
        return np.asarray(self.X[:, features], dtype=np.float64, order="F")


def shifted(design: Design, features: Indices, by: Array) -> Design:
    """A sparse design from some columns of which constants are subtracted; these become dense.

    Meant for columns far from zero, which hold hardly a zero anyway: products of what is stored
    would lose the digits in which they vary.
    """
    others = np.setdiff1d(np.arange(design.n_features), features)
    dense = design.X[:, features].toarray().astype(np.float64) - by
    parts = sp.hstack([design.X[:, others].astype(np.float64), sp.csc_array(dense)], format="csc")
    order = np.argsort(np.concatenate((others, features)), kind="stable")
    return Design(parts[:, order])


def scaled_columns(columns: Any, roots: Array, means: Array) -> Any:
    """``diag(roots) (columns - means)`` in the same order; sparse keeps its means implicit."""
    if sp.issparse(columns):
        scaled = columns.copy()
        scaled.data *= roots[scaled.indices]
        return scaled
    scaled = columns - means
    scaled *= roots[:, None]
    return scaled
