"""Gram matrices of the columns in use, grown as they are needed."""

from __future__ import annotations

import numpy as np

from .._typing import Array, Indices
from ._design import Design, scaled_columns
from ._loop import GradientIterate
from ._problem import Problem
from ._quadratic import GramQuadratic, Quadratic, quadratic_from_columns

# Larger working sets are met through their columns: a Gram matrix must fit and pay.
_LARGEST_GRAM = 4000
# The first matrix has room for so many columns.
_FIRST_ROOM = 128


def gram_block(
    design: Design, left: Indices, right: Indices, weights: Array, centre: bool
) -> Array:
    """``sum_i weights_i (x_i - m)(x_i - m)^T`` between two sets of columns, m their means."""
    total = weights.sum()
    if design.is_sparse:
        a, b = design.X[:, left], design.X[:, right]
        weighted = b.multiply(weights[:, None]).tocsc()
        product = np.asarray((a.T @ weighted).todense(), dtype=np.float64)
        if not centre:
            return product
        return product - np.outer(a.T @ weights, b.T @ weights) / total
    a = centred_columns(design, left, weights, centre)
    b = a if right is left else centred_columns(design, right, weights, centre)
    return np.asarray(a.T @ b)


def centred_columns(design: Design, features: Indices, weights: Array, centre: bool) -> Array:
    """Dense columns less their means, each row times the root of its weight."""
    columns = design.columns(features)
    means = columns.T @ weights / weights.sum() if centre else np.zeros(len(features))
    return np.asarray(scaled_columns(columns, np.sqrt(weights), means))


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
    """

    def __init__(self, design: Design, weights: Array, centre: bool) -> None:
        self._design, self._weights, self._centre = design, weights, centre
        self._position = np.full(design.n_features, -1, dtype=np.intp)
        self._store = np.empty((0, 0))
        self._columns = np.empty((design.n_samples, 0), order="F")
        self.features = np.empty(0, dtype=np.intp)

    def matrix(self, features: Indices) -> Array:
        """Gram matrix of ``features``, C-contiguous, computing what is not yet known."""
        self._extend(features[self._position[features] < 0])
        at = self._position[features]
        if len(at) == len(self.features) and np.array_equal(features, self.features):
            return np.ascontiguousarray(self._store[: len(at), : len(at)])
        return self._store[np.ix_(at, at)]

    def block(self, left: Indices, right: Indices) -> Array:
        """Gram matrix between two sets of columns, computing what is not yet known."""
        for features in (left, right):
            self._extend(features[self._position[features] < 0])
        return self._store[np.ix_(self._position[left], self._position[right])]

    def _extend(self, new: Indices) -> None:
        if not new.size:
            return
        known = len(self.features)
        total = known + len(new)
        if total > len(self._store):
            store = np.empty((self._room(total), self._room(total)))
            store[:known, :known] = self._store[:known, :known]
            self._store = store
        block = self._new_block(new, total)
        self._store[:total, known:total] = block
        self._store[known:total, :known] = block[:known].T
        self._position[new] = np.arange(known, total)
        self.features = np.concatenate((self.features, new))

    def _room(self, total: int) -> int:
        return min(max(total, 2 * len(self._store), _FIRST_ROOM), self._design.n_features)

    def _new_block(self, new: Indices, total: int) -> Array:
        """Products of all known columns and the new ones with the new ones."""
        known, design = len(self.features), self._design
        if design.is_sparse or total * 8 > design.n_features * design.dtype.itemsize:
            self._columns = self._columns[:, :0]
            args = (new, self._weights, self._centre)
            corner = gram_block(design, new, *args)
            return np.concatenate((gram_block(design, self.features, *args), corner))
        # Copies of the columns, as long as they take no more memory than X.
        if total > self._columns.shape[1]:
            columns = np.empty((design.n_samples, len(self._store)), order="F")
            columns[:, :known] = self._columns[:, :known]
            self._columns = columns
        fresh = centred_columns(design, new, self._weights, self._centre)
        self._columns[:, known:total] = fresh
        return np.asarray(self._columns[:, :total].T @ self._columns[:, known:total])


class SquaredQuadratics:
    """Quadratics of a squared loss over changing working sets, from one Gram cache.

    Parameters
    ----------
    gram : GramCache or None
        Cache to share; a new one is made at first use otherwise.
    """

    def __init__(self, gram: GramCache | None) -> None:
        self._gram = gram

    def at(self, problem: Problem, state: GradientIterate, features: Indices) -> Quadratic:
        """The loss over ``features`` around an iterate whose gradient is known."""
        coef, weights = state.coef[features], problem.loss.weights
        if len(features) <= _LARGEST_GRAM:
            if self._gram is None:
                self._gram = GramCache(problem.design, weights, problem.fit_intercept)
            return GramQuadratic(self._gram.matrix(features), -state.gradient[features], coef)
        return quadratic_from_columns(
            problem.design.columns(features),
            problem.loss.gradient(state.z),
            weights,
            coef,
            centre=problem.fit_intercept,
            gram=False,
        )
