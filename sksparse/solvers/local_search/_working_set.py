"""The columns among which subsets are searched."""

from __future__ import annotations

import numpy as np

from sksparse._typing import Array, Indices
from sksparse.solvers.subset._correlations import JITTER, Correlations

_FIRST_ROOM = 128


class WorkingSet:
    """Columns with their correlations, which grow in place.

    Parameters
    ----------
    data : Correlations
        The problem in scale-free form.

    Attributes
    ----------
    features : ndarray of shape (m,)
        The columns, in the order in which they came.
    gram : ndarray
        C-contiguous; its first m rows and columns are the correlations, ``1 + JITTER`` on the
        diagonal.
    target : ndarray of shape (m,)
        Correlations with the target.
    """

    def __init__(self, data: Correlations) -> None:
        self._data = data
        self._position = np.full(data.design.n_features, -1, dtype=np.intp)
        self.features = np.empty(0, dtype=np.intp)
        self.gram = np.empty((0, 0))
        self.target: Array = np.empty(0)

    def extend(self, features: Indices) -> None:
        """Take in columns that are not yet there."""
        new = features[self._position[features] < 0]
        known, total = len(self.features), len(self.features) + len(new)
        if total == known:
            return
        if total > len(self.gram):
            room = min(max(total, 2 * known, _FIRST_ROOM), len(self._position))
            gram = np.zeros((room, room))
            gram[:known, :known] = self.gram[:known, :known]
            self.gram = gram
        self.features = np.concatenate((self.features, new))
        block = self._data.between(self.features, new)
        self.gram[:total, known:total] = block
        self.gram[known:total, :known] = block[:known].T
        added = np.arange(known, total)
        self.gram[added, added] = 1.0 + JITTER
        self._position[new] = added
        self.target = self._data.target[self.features]

    def positions(self, features: Indices) -> Indices:
        """Where columns of the working set stand in it."""
        return self._position[features]

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
