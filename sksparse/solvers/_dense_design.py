"""Dense feature matrices, in memory and on disk."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy.linalg.blas import daxpy

from sksparse._typing import Array, Indices
from sksparse.solvers._design import TUNING, Design, chunks, plain_product, spans, used_columns


class DenseDesign(Design):
    """An array in memory."""

    @classmethod
    def reads(cls, X: Any) -> bool:
        return isinstance(X, np.ndarray) and not _is_mapped(X)

    def row_blocks(self) -> Iterator[tuple[slice, Array]]:
        for rows in spans(self.n_samples, TUNING.block, self.n_features):
            yield rows, self._X[rows]

    def matvec(self, coef: Array, means: Array | None = None) -> Array:
        support = np.flatnonzero(coef)
        if support.size == 0:
            return np.zeros(self.n_samples)
        if means is None and self._has_long_columns and support.size * 4 <= self.n_features:
            # a copy of them would take several times as long
            result = np.zeros(self.n_samples)
            for j in support:
                result = daxpy(self._X[:, j], result, a=coef[j])
            return result
        if means is None:
            return plain_product(self._X, coef, support)
        result = np.zeros(self.n_samples)
        for part in chunks(support, self.n_samples):
            columns = self.columns(part)
            columns -= means[part]
            result += columns @ coef[part]
        return result

    @property
    def _has_long_columns(self) -> bool:
        """Whether columns are contiguous, in float64, and many times a call takes to read."""
        contiguous = self._X.dtype == np.float64 and self._X.strides[0] == self._X.itemsize
        return contiguous and self.n_samples >= TUNING.long

    def combinations(self, coefs: Array, means: Array) -> Array:
        # a row for each combination, so that each of them is contiguous
        result = np.zeros((len(coefs), self.n_samples))
        for part in chunks(used_columns(coefs), self.n_samples):
            columns = self.columns(part)
            columns -= means[part]
            result += coefs[:, part] @ columns.T
        return result.T

    def rmatvec(self, v: Array, means: Array | None = None) -> Array:
        if means is None:
            return np.asarray(self._X.T @ v.astype(self.dtype), dtype=np.float64)
        return super().rmatvec(v, means)

    def products(self, left: Any, means: Array | None = None) -> Iterator[tuple[slice, Array]]:
        for block in self.column_blocks(len(left) if means is None else self.n_samples):
            columns = self._X[:, block]
            yield block, left @ (columns if means is None else columns - means[block])

    def columns(self, features: Indices) -> Any:
        return np.asarray(self._X[:, features], dtype=np.float64, order="F")

    def select(self, features: Indices) -> Design:
        return DenseDesign(self._X[:, features])

    def _parts(self, features: Indices) -> Iterator[tuple[slice, Array]]:
        for rows in spans(self.n_samples, TUNING.gram_block, len(features)):
            yield rows, self._X[rows][:, features].astype(np.float64, copy=False)

    def moments(self, weights: Array, target: Array, centre: bool) -> tuple[Array, Array, Array]:
        from sksparse._kernels.moments import moments_by_columns, moments_by_rows

        by_columns = self._X.strides[0] < self._X.strides[1]
        measure = moments_by_columns if by_columns else moments_by_rows
        moments = np.empty((4, self.n_features))
        measure(self._X, weights, target, centre, moments)
        return moments[0], moments[1], moments[2]

    def variances(self, weights: Array, means: Array) -> Array:
        result = np.empty(self.n_features)
        for start in range(0, self.n_features, TUNING.columns):
            block = slice(start, start + TUNING.columns)
            centred = self._X[:, block] - means[block]
            result[block] = weights @ (centred * centred)
        return result

    def times_powers_of_two(self, exponents: Any) -> Design:
        return DenseDesign(np.ldexp(self._X, exponents))


class MappedDesign(Design):
    """An array on disk, such as a memory map, of which only blocks of rows are read."""

    @classmethod
    def reads(cls, X: Any) -> bool:
        return isinstance(X, np.ndarray) and _is_mapped(X)

    def row_blocks(self) -> Iterator[tuple[slice, Array]]:
        for rows in spans(self.n_samples, TUNING.block, self.n_features):
            yield rows, np.asarray(self._X[rows])


def _is_mapped(X: Any) -> bool:
    """Whether an array, or what it is a view of, is mapped from a file."""
    while X is not None:
        if isinstance(X, (np.memmap, mmap.mmap)):
            return True
        X = getattr(X, "base", None)
    return False
