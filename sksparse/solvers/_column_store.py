"""Columns in the order in which they came into use, with a growing matrix of what is known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sksparse._typing import Array, Indices, Mask


@dataclass(frozen=True)
class Tuning:
    """How a store grows.

    Parameters
    ----------
    first : int
        Columns that a square one has capacity for at first; all double from there.
    """

    first: int = 128


TUNING = Tuning()


class ColumnStore:
    """A growing set of columns, with the position of each, and a row of numbers for each.

    Parameters
    ----------
    n_columns : int
        Number of columns that there are, known or not.
    width : int or None, default=None
        Numbers in a row. None makes the matrix square: a row has one for each column of the set.

    Attributes
    ----------
    features : ndarray of shape (m,)
        The columns of the set, in the order in which they came.
    position : ndarray of shape (n_columns,)
        Position of a column in the set; -1 for others.
    matrix : ndarray
        The rows, C-contiguous, with capacity for more: only the first m rows (and columns, where it
        is square) mean something.
    """

    def __init__(self, n_columns: int, width: int | None = None) -> None:
        self._width = width
        self.position = np.full(n_columns, -1, dtype=np.intp)
        self.features: Indices = np.empty(0, dtype=np.intp)
        self.matrix: Array = np.empty((0, width or 0))

    def __len__(self) -> int:
        return len(self.features)

    @property
    def rows(self) -> Array:
        """The rows of the set."""
        return self.matrix[: len(self)]

    @property
    def known(self) -> Mask:
        """Mask of the columns in the set."""
        return self.position >= 0

    def missing(self, features: Indices) -> Indices:
        """Those of the given columns that are not in the set."""
        return features[self.position[features] < 0]

    def capacity(self, total: int) -> int:
        """Number of columns that there is, or will be, capacity for once there are ``total``."""
        if total <= len(self.matrix):
            return len(self.matrix)
        first = TUNING.first if self._width is None else 0
        return min(max(total, 2 * len(self.matrix), first), len(self.position))

    def append(self, new: Indices) -> slice:
        """Take in columns that are missing; where their rows stand, which are to be written."""
        known, total = len(self), len(self) + len(new)
        if total > len(self.matrix):
            height = self.capacity(total)
            matrix = np.empty((height, height if self._width is None else self._width))
            matrix[:known, : self.matrix.shape[1]] = self.matrix[:known]
            self.matrix = matrix
        self.position[new] = np.arange(known, total)
        self.features = np.concatenate((self.features, new))
        return slice(known, total)
