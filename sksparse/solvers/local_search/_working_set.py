"""The columns among which subsets are searched."""

from __future__ import annotations

import numpy as np

from sksparse._typing import Array, Indices
from sksparse.solvers._column_store import ColumnStore
from sksparse.solvers.subset._correlations import Correlations


class WorkingSet:
    """Columns that are searched, whose correlations are in the Gram cache of the problem.

    Parameters
    ----------
    data : Correlations
        The problem in scale-free form.

    Attributes
    ----------
    gram : ndarray
        C-contiguous; its first m rows and columns are the correlations, ``1 + JITTER`` on the
        diagonal. Not to be written to: it is the cache's own matrix, unless this knows other
        columns that came first.
    target : ndarray of shape (m,)
        Correlations with the target.
    """

    def __init__(self, data: Correlations) -> None:
        self._data = data
        self._columns = ColumnStore(data.design.n_features, width=0)
        self.gram: Array = np.empty((0, 0))
        self.target: Array = np.empty(0)

    @property
    def features(self) -> Indices:
        """The columns, in the order in which they came."""
        return self._columns.features

    def extend(self, features: Indices) -> None:
        """Take in columns that are not yet there."""
        new = self._columns.missing(features)
        if new.size:
            self._columns.append(new)
            self.gram = self._data.gram.leading(self.features)
            self.target = self._data.target[self.features]

    def positions(self, features: Indices) -> Indices:
        """Positions of columns of the working set in it."""
        return self._columns.position[features]

    def outside(self, scores: Array, most: int) -> Indices:
        """Columns that are not here, those of the largest positive scores, at most so many."""
        scores = scores.copy()
        scores[self.features] = 0.0
        return largest(scores, most)


def largest(scores: Array, most: int) -> Indices:
    """Positions of the largest positive scores, in falling order; ties in the order of columns."""
    candidates = np.flatnonzero(scores > 0.0)
    if len(candidates) > 4 * most > 0:
        # all that tie with the last one stay, so that the order alone decides
        bound = np.partition(scores[candidates], len(candidates) - most)[len(candidates) - most]
        candidates = candidates[scores[candidates] >= bound]
    return candidates[np.argsort(-scores[candidates], kind="stable")[:most]]
