"""Gram matrices of the columns in use, grown as they are needed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sksparse._typing import Array, Indices
from sksparse.solvers._centred import CentredDesign
from sksparse.solvers._column_store import ColumnStore


@dataclass(frozen=True)
class Tuning:
    """When copies of the columns are kept.

    Parameters
    ----------
    copied : int
        Numbers that copies may have: more are read again from X, a block of rows at a time.
    small : int
        Bytes up to which X is small. Copies may take half as much memory as X, or as much as a
        small one.
    """

    copied: int = 2**22
    small: int = 2**22


TUNING = Tuning()


class GramCache:
    """The weighted, centred Gram matrix over a growing set of columns.

    It depends on the features and weights alone, so it outlives a strength and serves a whole
    path of them.

    Parameters
    ----------
    centred : CentredDesign
        Features around their means.
    scales : ndarray of shape (n_features,) or None, default=None
        What each column is multiplied by; None means one.
    diagonal : float or None, default=None
        What stands on the diagonal; None means the squared lengths of the columns.
    """

    def __init__(
        self,
        centred: CentredDesign,
        *,
        scales: Array | None = None,
        diagonal: float | None = None,
    ) -> None:
        self.centred, self._scales, self._diagonal = centred, scales, diagonal
        self._store = ColumnStore(centred.design.n_features)
        # the first columns of the store, times the roots of the weights, while copies are kept
        self._columns = np.empty((centred.design.n_samples, 0), order="F")

    def matrix(self, features: Indices) -> Array:
        """Gram matrix of ``features``, C-contiguous, computing what is not yet known."""
        return np.ascontiguousarray(self.block(features, features))

    def block(self, left: Indices, right: Indices) -> Array:
        """Gram matrix between two sets of columns, computing what is not yet known.

        Not to be written to: it may be a view.
        """
        for features in (left, right):
            self._extend(self._store.missing(features))
        rows, columns = (_run(self._store.position[features]) for features in (left, right))
        if isinstance(rows, slice) or isinstance(columns, slice):
            return np.asarray(self._store.matrix[rows][:, columns])
        return self._store.matrix[np.ix_(rows, columns)]

    def leading(self, features: Indices) -> Array:
        """An array whose first rows and columns are the Gram matrix of ``features``.

        Not to be written to: where these are the first columns that were asked for, in the same
        order, it is the whole store.
        """
        self._extend(self._store.missing(features))
        if np.array_equal(self._store.features[: len(features)], features):
            return self._store.matrix
        return self.matrix(features)

    def _extend(self, new: Indices) -> None:
        if not new.size:
            return
        cross, corner = self._products(new)
        if self._diagonal is not None:
            np.fill_diagonal(corner, self._diagonal)
        known, fresh = slice(0, len(self._store)), self._store.append(new)
        matrix = self._store.matrix
        matrix[known, fresh], matrix[fresh, known], matrix[fresh, fresh] = cross, cross.T, corner

    def _products(self, new: Indices) -> tuple[Array, Array]:
        """Products of new columns with those known, and with each other."""
        known, total = len(self._store), len(self._store) + len(new)
        capacity = self._store.capacity(total)
        if not self._keeps_copies(total, capacity):
            self._columns = self._columns[:, :0]
            return self.centred.gram_growth(self._store.features, new, self._scales)
        if total > self._columns.shape[1]:
            columns = np.empty((len(self._columns), capacity), order="F")
            columns[:, :known] = self._columns[:, :known]
            self._columns = columns
        fresh = self._columns[:, known:total]
        fresh[:] = self.centred.standardised(new, self._scales)
        return self._columns[:, :known].T @ fresh, fresh.T @ fresh

    def _keeps_copies(self, total: int, capacity: int) -> bool:
        design = self.centred.design
        if design.is_sparse or design.n_samples * capacity > TUNING.copied:
            return False
        row = design.n_features * design.dtype.itemsize
        small = design.n_samples * row <= TUNING.small
        return 8 * total <= row and (small or 16 * capacity <= row)


def _run(positions: Indices) -> Any:
    """The positions as a slice where they follow each other, so that no copy is needed."""
    if len(positions) and positions[-1] - positions[0] == len(positions) - 1:
        first = int(positions[0])
        run = slice(first, first + len(positions))
        if np.array_equal(positions, np.arange(run.start, run.stop)):
            return run
    return positions
