"""The table that a run works on: standardised features in float32, of which columns leave."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from sksparse._interrupts import check
from sksparse._typing import Array, Indices, Mask

#: Values that are read together.
_CHUNK = 2**20
#: Standard deviations from the mean beyond which values are clipped.
_FAR = 10.0
#: Least deviation of a feature, as a share of the median one: features that are the same in nearly
#: all rows, such as pixels at the border, would be noise of large values.
_LEAST = 0.3


class DenseInputs:
    """Rows of features, of which columns leave for good, in the same memory.

    Parameters
    ----------
    array : ndarray of shape (n_rows, n_features)
        Features, float32 and contiguous; overwritten.
    """

    def __init__(self, array: Array) -> None:
        self.array = array
        self._memory = torch.from_numpy(array)
        self._X = self._memory

    def take(self, rows: Tensor) -> Tensor:
        """The given rows."""
        return self._X.index_select(0, rows)

    select = take

    def standardise(self, rows: Indices, weights: Array) -> None:
        """Give features mean 0 and variance 1 over some rows, which have these weights.

        The variance of features that hardly vary within their range stays less.
        """
        share = weights / weights.sum()
        mean, square = np.zeros(self.array.shape[1]), np.zeros(self.array.shape[1])
        for part in self._parts(len(rows)):
            mean += share[part] @ self.array[rows[part]].astype(np.float64)
        for part in self._parts(len(rows)):
            square += share[part] @ np.square(self.array[rows[part]] - mean)
        deviation = at_least(np.sqrt(square))
        for part in self._parts(len(self.array)):
            standard = (self.array[part] - mean) / deviation
            self.array[part] = np.clip(standard, -_FAR, _FAR)

    def keep(self, kept: Tensor) -> None:
        """Only these columns stay."""
        n_rows, flat = len(self._X), self._memory.view(-1)
        narrow = flat[: n_rows * len(kept)].view(n_rows, len(kept))
        for part in self._parts(n_rows):
            # what is written lies before what is still to be read
            narrow[part] = self._X[part].index_select(1, kept)
        self._X = narrow

    def _parts(self, n_rows: int) -> Iterator[slice]:
        return parts_of(n_rows, self._X.shape[1])


class SparseInputs:
    """The same of a CSR matrix, of which only the batch in use is dense.

    Parameters
    ----------
    array : csr_array of shape (n_rows, n_features)
        Features, float32.
    """

    def __init__(self, array: sparse.csr_array) -> None:
        self.array = array

    def take(self, rows: Tensor) -> Tensor:
        """The given rows, dense."""
        return torch.from_numpy(self.array[rows.numpy()].toarray())

    def select(self, rows: Tensor) -> sparse.csr_array:
        """The given rows."""
        return self.array[rows.numpy()]

    def standardise(self, rows: Indices, weights: Array) -> None:
        """Give features a mean square of 1 over some rows; zeros stay zeros."""
        X = self.array[rows].astype(np.float64)
        X.data **= 2
        size = at_least(np.sqrt(X.T @ (weights / weights.sum())))
        scaled = self.array.data / size[self.array.indices]
        self.array.data = np.clip(scaled, -_FAR, _FAR).astype(np.float32)

    def keep(self, kept: Tensor) -> None:
        """Only these columns stay."""
        self.array = self.array[:, kept.numpy()]


def at_least(deviations: Array) -> Array:
    """Deviations of features of the same range, none much less than the others.

    All are 1 where most are 0, as where nearly all the weight is that of one row.
    """
    least = _LEAST * np.median(deviations)
    return np.maximum(deviations, least if least > 0 else 1.0)


def parts_of(n_rows: int, n_columns: int) -> Iterator[slice]:
    """Rows, so many at a time that a part fits the cache."""
    size = max(1, _CHUNK // max(1, n_columns))
    for start in range(0, n_rows, size):
        check()
        yield slice(start, start + size)


class Source:
    """Features as the user passed them, of which each run has a table of its own.

    They are first brought to the range from 0 to 1 (sparse ones to a largest magnitude of 1),
    which float32 holds whatever their units are.

    Parameters
    ----------
    X : {ndarray, csr_array} of shape (n_samples, n_features)
        Features.
    rows : ndarray of shape (n_rows,)
        The rows that count.

    Attributes
    ----------
    varies : ndarray of shape (n_features,)
        Mask of the features with more than one value in these rows.
    """

    def __init__(self, X: Any, rows: Indices) -> None:
        self._X, self._rows = X, rows
        low, high = np.full(X.shape[1], np.inf), np.full(X.shape[1], -np.inf)
        if sparse.issparse(X):
            ends = (end(axis=0).toarray().ravel() for end in (X[rows].min, X[rows].max))
            low, high = (end.astype(np.float64) for end in ends)
        else:
            for part in parts_of(len(rows), X.shape[1]):
                np.minimum(low, X[rows[part]].min(axis=0), out=low)
                np.maximum(high, X[rows[part]].max(axis=0), out=high)
        self.varies: Mask = high > low
        if sparse.issparse(X):
            low, high = np.zeros_like(low), np.maximum(-low, high)
        # halves: the difference of extreme values overflows
        self._low, self._spread = 0.5 * low, 0.5 * high - 0.5 * low

    def table(self) -> tuple[DenseInputs | SparseInputs, Indices]:
        """A new table.

        Returns
        -------
        table : DenseInputs or SparseInputs
            The rows that count, of the features that vary.
        features : ndarray
            The feature of each column.
        """
        features = np.flatnonzero(self.varies)
        low, spread = self._low[features], self._spread[features]
        if sparse.issparse(self._X):
            X = self._X[self._rows][:, features]
            X.data = 0.5 * X.data / spread[X.indices]
            return SparseInputs(X.astype(np.float32)), features
        table = np.empty((len(self._rows), len(features)), dtype=np.float32)
        for part in parts_of(len(table), self._X.shape[1]):
            block = self._X[self._rows[part]][:, features].astype(np.float64, copy=False)
            table[part] = (0.5 * block - low) / spread
        return DenseInputs(table), features
