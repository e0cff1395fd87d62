"""Correlations of the columns in use, with all columns where there is room."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from sksparse._typing import Array, Indices
from sksparse.solvers._problem import Problem
from sksparse.solvers.subset._correlations import Columns, Correlations

# Bytes that correlations may take: so many or, if few features are wanted, as many as X.
_ROOM = 2**24
# All columns come in when this share of them, one in so many, is wanted.
_MANY = 4
# Columns that are copied at once, at most.
_COPIED = 256
# Bytes of correlations among the columns in use, where X is read for all others.
_ROOM_AMONG = 2**25


class ColumnsInUse:
    """A working set, its correlations, and the gradient everywhere from coefficients on it.

    While there is room the correlations with all features are stored, so that a gradient costs no
    look at X. After that there are those among the working set only, which starts afresh when it
    becomes too large.

    Parameters
    ----------
    problem : Problem
        Features, targets and weights.
    data : Correlations
        The problem in scale-free form.
    eager : bool
        Whether most features are expected to be wanted.

    Attributes
    ----------
    features : ndarray of shape (m,)
        The working set.
    position : ndarray of shape (n_features,)
        Where a feature stands in it, -1 for others.
    rows : ndarray of shape (m, q)
        Correlations with all features, or at least with the working set; the diagonal is 1.
    sees_all : bool
        Which of the two it is.
    """

    def __init__(self, problem: Problem, data: Correlations, eager: bool) -> None:
        self._problem, self._data, self._eager = problem, data, eager
        p = data.design.n_features
        X = data.design.X
        self._room = max(_ROOM, X.data.nbytes)
        self._most_among = int(np.sqrt(max(_ROOM_AMONG, X.data.nbytes) / 8))
        self.sees_all = True
        self.position = np.full(p, -1, dtype=np.intp)
        self._forget()

    @property
    def rounding(self) -> float:
        """Size of the error in a gradient."""
        return 10.0 * float(np.finfo(self._data.design.dtype).eps)

    @property
    def rows(self) -> Array:
        return self._store[: len(self.features)]

    def _forget(self) -> None:
        self.position[:] = -1
        self.features = np.empty(0, dtype=np.intp)
        self._store = np.empty((0, len(self.position) if self.sees_all else 0))
        self._blocks: list[Columns] = []

    def use(self, wanted: Indices) -> None:
        """Bring features in, all where there is room, and they are many or ``eager`` says so.

        Where there is no room for more, all others leave.
        """
        new = wanted[self.position[wanted] < 0]
        if not new.size:
            return
        p, total = len(self.position), len(self.features) + len(new)
        many = self._eager or _MANY * total >= p
        if self.sees_all and many and 8 * p**2 <= self._room:
            new = np.flatnonzero(self.position < 0)
        elif self.sees_all and 8 * p * total > (_ROOM if self._eager else self._room):
            self.sees_all = False
            self._forget()
            new = wanted
        elif not self.sees_all and total > self._most_among:
            self._forget()
            new = wanted
        self._extend(new)

    def _extend(self, new: Indices) -> None:
        known, total = len(self.features), len(self.features) + len(new)
        self.features = np.concatenate((self.features, new))
        self.position[new] = np.arange(known, total)
        if total > len(self._store):
            p = len(self.position)
            height = min(max(total, 2 * known), p)
            store = np.empty((height, p if self.sees_all else height))
            store[:known, : self._store.shape[1]] = self._store[:known]
            self._store = store
        if self.sees_all:
            # a few at a time: the columns are copied
            step = int(np.clip(len(self.position) // 8, 16, _COPIED))
            for start in range(0, len(new), step):
                rows = slice(known + start, min(known + start + step, total))
                for block, product in self._data.with_all(new[start : start + step]):
                    self._store[rows, block] = product
            # The correlation of a feature with itself carries the ridge too.
            self._store[np.arange(known, total), new] = 1.0
            return
        columns = self._data.columns(new)
        weighed = self._data.columns(new)
        weighed.weigh()
        self._blocks.append(weighed)
        cross = np.vstack([_products(block, columns) for block in self._blocks])
        cross /= self._data.lengths[self.features, None] * self._data.lengths[new]
        self._store[:total, known:total] = cross
        self._store[known:total, :known] = cross[:known].T
        self._store[np.arange(known, total), np.arange(known, total)] = 1.0

    def descent(self, coef: Array) -> Array:
        """Minus half the gradient of the smooth part over all features, by a look at X."""
        data, active = self._data, np.flatnonzero(coef)
        features = self.features[active]
        w = coef[active] * (data.target_length / data.lengths[features])
        coefs = np.zeros(len(self.position))
        coefs[features] = w
        descent = data.products(data.weights * data.residual(coefs))
        descent[features] -= data.l2 * w / data.lengths[features]
        return descent / data.target_length


def _products(weighed: Columns, columns: Columns) -> Array:
    product = weighed.columns.T @ columns.columns
    if sp.issparse(product):
        return np.asarray(product.toarray() - np.outer(weighed.means, columns.means))
    return np.asarray(product)
