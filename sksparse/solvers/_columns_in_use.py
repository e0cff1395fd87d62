"""Correlations of a growing set of features with each other and with all features."""

from __future__ import annotations

import numpy as np

from .._typing import Array, Indices
from ._correlations import Correlations
from ._problem import Problem

# Bytes that the rows of the working set may take; beyond these X is read instead.
_ROOM = 2**24


class ColumnsInUse:
    """A working set, and the gradient everywhere from coefficients on it.

    While there is room the correlations with all features are stored, from which gradients can be
    had without a look at X.

    Parameters
    ----------
    problem : Problem
        Features, targets and weights.
    data : Correlations
        The problem in scale-free form.
    features : ndarray
        The first features.

    Attributes
    ----------
    features : ndarray of shape (m,)
        The working set.
    position : ndarray of shape (n_features,)
        Where a feature stands in it, -1 for others.
    gram : ndarray of shape (m, m)
        Correlations among the working set, with unit diagonal, where the rows are not stored.
    rounding : float
        Size of the error in a gradient.
    """

    def __init__(self, problem: Problem, data: Correlations, features: Indices) -> None:
        self._problem, self._data = problem, data
        self._store: Array | None = np.empty((0, data.design.n_features))
        self.features = np.empty(0, dtype=np.intp)
        self.position = np.full(data.design.n_features, -1, dtype=np.intp)
        self.rounding = 10.0 * float(np.finfo(data.design.dtype).eps)
        self.extend(features)

    @property
    def rows(self) -> Array | None:
        """Correlations of the working set with all features; None where there is no room."""
        return None if self._store is None else self._store[: len(self.features)]

    def extend(self, new: Indices) -> None:
        """Bring features in."""
        known, total = len(self.features), len(self.features) + len(new)
        self.features = np.concatenate((self.features, new))
        self.position[new] = np.arange(known, total)
        if self._store is not None and self._store.shape[1] * total * 8 > _ROOM:
            self._store = None
        if self._store is None:
            self.gram = self._data.among(self.features)
            np.fill_diagonal(self.gram, 1.0)
            return
        if total > len(self._store):
            store = np.empty((max(total, 2 * known), self._store.shape[1]))
            store[:known] = self._store[:known]
            self._store = store
        for block, product in self._data.with_all(new):
            self._store[known:total, block] = product
        # The correlation of a feature with itself carries the ridge too.
        self._store[np.arange(known, total), new] = 1.0

    def descent(self, coef: Array) -> Array:
        """Minus half the gradient of the smooth part over all features, by a look at X."""
        data, active = self._data, np.flatnonzero(coef)
        features = self.features[active]
        w = coef[active] * (data.target_length / data.lengths[features])
        z = data.columns(features).matvec(w) + self._problem.null_intercept
        gradient = self._problem.gradient(z)
        gradient[features] += data.l2 * w
        return -gradient / (data.lengths * data.target_length)
