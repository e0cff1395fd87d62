"""Gram matrices of the columns in use, grown as they are needed."""

from __future__ import annotations

from typing import Any

import numpy as np

from sksparse._typing import Array, Indices
from sksparse.solvers._design import Design

# The first matrix has room for so many columns.
_FIRST_ROOM = 128
# Copies of the columns are kept where they have at most so many numbers, and half as many as X, or
# fewer than X where that is small (in bytes).
_MOST_COPIED, _SMALL = 2**22, 2**22
# Otherwise they are met in blocks of so many numbers and at least so many rows.
_BLOCK, _LEAST_ROWS = 2**17, 256


class GramCache:
    """The weighted, centred Gram matrix over a growing set of columns.

    It depends on the features and weights alone, so it outlives a strength and serves a whole
    path of them.

    Parameters
    ----------
    design : Design
        Features.
    weights : ndarray of shape (n_samples,)
        Sample weights with sum one.
    centre : bool
        Whether columns are centred, as they are when an intercept is fitted.
    means : ndarray of shape (n_features,) or None, default=None
        Weighted means of all columns, where they are known and columns are centred.
    scales : ndarray of shape (n_features,) or None, default=None
        What each column is multiplied by; None means one.
    """

    def __init__(
        self,
        design: Design,
        weights: Array,
        centre: bool,
        means: Array | None = None,
        scales: Array | None = None,
    ) -> None:
        self._design, self._weights, self._roots = design, weights, np.sqrt(weights)
        self._centre = centre and means is None
        self._means = np.zeros(design.n_features) if means is None else means
        self._scales = scales
        self._position = np.full(design.n_features, -1, dtype=np.intp)
        self._store = np.empty((0, 0))
        self._columns = np.empty((design.n_samples, 0), order="F")
        self.features = np.empty(0, dtype=np.intp)

    def matrix(self, features: Indices) -> Array:
        """Gram matrix of ``features``, C-contiguous, computing what is not yet known."""
        return np.ascontiguousarray(self.block(features, features))

    def block(self, left: Indices, right: Indices) -> Array:
        """Gram matrix between two sets of columns, computing what is not yet known.

        Not to be written to: it may be a view.
        """
        for features in (left, right):
            self._extend(features[self._position[features] < 0])
        rows, columns = _run(self._position[left]), _run(self._position[right])
        if isinstance(rows, slice) or isinstance(columns, slice):
            return np.asarray(self._store[rows][:, columns])
        return self._store[np.ix_(rows, columns)]

    def _extend(self, new: Indices) -> None:
        if not new.size:
            return
        known = len(self.features)
        total = known + len(new)
        if total > len(self._store):
            store = np.empty((self._room(total), self._room(total)))
            store[:known, :known] = self._store[:known, :known]
            self._store = store
        self.features = np.concatenate((self.features, new))
        cross, corner = self._products(new)
        self._store[:known, known:total] = cross
        self._store[known:total, :known] = cross.T
        self._store[known:total, known:total] = corner
        self._position[new] = np.arange(known, total)

    def _room(self, total: int) -> int:
        return min(max(total, 2 * len(self._store), _FIRST_ROOM), self._design.n_features)

    def _products(self, new: Indices) -> tuple[Array, Array]:
        """Products of the new columns, the last ones, with those known before and themselves."""
        if self._design.is_sparse:
            return self._sparse_products(new)
        if self._centre:
            self._means[new] = self._mean(new)
        total, n = len(self.features), self._design.n_samples
        known = total - len(new)
        room = len(self._store)
        size = self._design.n_features * self._design.dtype.itemsize
        larger = total * 8 > size or (n * size > _SMALL and 16 * room > size)
        if larger or n * room > _MOST_COPIED:
            self._columns = self._columns[:, :0]
            return self._by_rows(known, total)
        if total > self._columns.shape[1]:
            columns = np.empty((n, room), order="F")
            columns[:, :known] = self._columns[:, :known]
            self._columns = columns
        fresh = self._columns[:, known:total]
        fresh[:] = self._design.X[:, new]
        self._standardise(fresh, new, self._roots)
        return self._columns[:, :known].T @ fresh, fresh.T @ fresh

    def _by_rows(self, known: int, total: int) -> tuple[Array, Array]:
        """Products a block of rows at a time, small enough to stay in the processor's cache."""
        cross, corner = np.zeros((known, total - known)), np.zeros((total - known, total - known))
        height = max(_BLOCK // total, _LEAST_ROWS)
        for start in range(0, self._design.n_samples, height):
            rows = slice(start, start + height)
            block = self._design.X[rows][:, self.features].astype(np.float64, copy=False)
            self._standardise(block, self.features, self._roots[rows])
            fresh = block[:, known:]
            cross += block[:, :known].T @ fresh
            corner += fresh.T @ fresh
        return cross, corner

    def _standardise(self, block: Array, features: Indices, roots: Array) -> None:
        block -= self._means[features]
        block *= roots[:, None]
        if self._scales is not None:
            block *= self._scales[features]

    def _mean(self, features: Indices) -> Array:
        X, height = self._design.X, max(_BLOCK // len(features), _LEAST_ROWS)
        total = np.zeros(len(features))
        for start in range(0, self._design.n_samples, height):
            rows = slice(start, start + height)
            total += self._weights[rows] @ X[rows][:, features].astype(np.float64, copy=False)
        return total

    def _sparse_products(self, new: Indices) -> tuple[Array, Array]:
        known = self.features[: len(self.features) - len(new)]
        X, weights = self._design.X, self._weights
        fresh = X[:, new]
        weighted = fresh.multiply(weights[:, None]).tocsc()
        if self._centre:
            self._means[new] = fresh.T @ weights
        products = []
        for features in (known, new):
            product = np.asarray((X[:, features].T @ weighted).todense(), dtype=np.float64)
            product -= np.outer(self._means[features], self._means[new])
            if self._scales is not None:
                product *= np.outer(self._scales[features], self._scales[new])
            products.append(product)
        return products[0], products[1]


def _run(positions: Indices) -> Any:
    """The positions as a slice where they follow each other, so that no copy is needed."""
    if len(positions) and positions[-1] - positions[0] == len(positions) - 1:
        first = int(positions[0])
        run = slice(first, first + len(positions))
        if np.array_equal(positions, np.arange(run.start, run.stop)):
            return run
    return positions
