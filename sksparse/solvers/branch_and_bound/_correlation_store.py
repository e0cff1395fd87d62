"""Correlations of the columns in use, with all columns where memory allows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sksparse._typing import Array, Indices
from sksparse.solvers._centred import CentredColumns
from sksparse.solvers._column_store import ColumnStore
from sksparse.solvers.subset._correlations import Correlations


@dataclass(frozen=True)
class Tuning:
    """How much memory correlations may take.

    Parameters
    ----------
    with_all : int
        Bytes of correlations with all columns, if few of these are wanted: so many or as many as X.
    among : int
        Bytes of correlations among the columns in use, where X is read for all others: so many or
        as many as X.
    many : int
        All columns are added when one in so many is needed.
    share_copied, fewest_copied, most_copied : int
        Columns that are copied at once: one in so many, within these limits.
    """

    with_all: int = 2**24
    among: int = 2**25
    many: int = 4
    share_copied: int = 8
    fewest_copied: int = 16
    most_copied: int = 256


TUNING = Tuning()


class ColumnsInUse:
    """A working set, its correlations, and the gradient everywhere from coefficients on it.

    While memory allows the correlations with all features are stored, so that a gradient needs no
    pass over X. After that there are those among the working set only, which starts afresh when it
    becomes too large.

    Parameters
    ----------
    data : Correlations
        The problem in scale-free form.
    eager : bool
        Whether most features are expected to be needed.

    Attributes
    ----------
    sees_all : bool
        Whether the correlations are those with all features.
    """

    def __init__(self, data: Correlations, eager: bool) -> None:
        self._data, self._eager = data, eager
        nbytes = data.design.nbytes
        self._most_with_all = TUNING.with_all if eager else max(TUNING.with_all, nbytes)
        self._largest = max(TUNING.with_all, nbytes)
        self._most_among = int(np.sqrt(max(TUNING.among, nbytes) / 8))
        self.sees_all = True
        self._start_afresh()

    @property
    def features(self) -> Indices:
        """The working set, m features."""
        return self._store.features

    @property
    def position(self) -> Indices:
        """Position of a feature in the working set, -1 for others."""
        return self._store.position

    @property
    def rows(self) -> Array:
        """Correlations of the working set with all features, or at least with the working set.

        Of shape (m, q), with a diagonal of 1.
        """
        return self._store.rows

    @property
    def rounding(self) -> float:
        """Magnitude of the error in a gradient."""
        return 10.0 * float(np.finfo(self._data.design.dtype).eps)

    def _start_afresh(self) -> None:
        p = self._data.design.n_features
        self._store = ColumnStore(p, p if self.sees_all else None)
        self._blocks: list[CentredColumns] = []

    def use(self, wanted: Indices) -> None:
        """Add features to the working set; all, if memory allows and many are needed or ``eager``.

        If memory does not allow more, all others are removed.
        """
        new = self._store.missing(wanted)
        if not new.size:
            return
        p, total = len(self.position), len(self._store) + len(new)
        many = self._eager or TUNING.many * total >= p
        if self.sees_all and many and 8 * p**2 <= self._largest:
            new = np.flatnonzero(~self._store.known)
        elif self.sees_all and 8 * p * total > self._most_with_all:
            self.sees_all = False
            self._start_afresh()
            new = wanted
        elif not self.sees_all and total > self._most_among:
            self._start_afresh()
            new = wanted
        if self.sees_all:
            self._extend_rows(new)
        else:
            self._extend_square(new)

    def _extend_rows(self, new: Indices) -> None:
        """Add features with their correlations with all, a few at a time, since they are copied."""
        p, fresh = len(self.position), self._store.append(new)
        share = p // TUNING.share_copied
        step = int(np.clip(share, TUNING.fewest_copied, TUNING.most_copied))
        for start in range(0, len(new), step):
            part = new[start : start + step]
            rows = self._store.matrix[fresh.start + start : fresh.start + start + len(part)]
            for block, product in self._data.with_all(part):
                rows[:, block] = product
        # The correlation of a feature with itself carries the ridge too.
        self._store.matrix[np.arange(fresh.start, fresh.stop), new] = 1.0

    def _extend_square(self, new: Indices) -> None:
        """Add features with their correlations among the working set."""
        known, fresh = slice(0, len(self._store)), self._store.append(new)
        columns = self._data.columns(new)
        self._blocks.append(self._data.columns(new).weighted(self._data.weights))
        cross = np.vstack([block.cross(columns) for block in self._blocks])
        cross /= self._data.lengths[self.features, None] * self._data.lengths[new]
        np.fill_diagonal(cross[fresh], 1.0)
        matrix = self._store.matrix
        matrix[: fresh.stop, fresh], matrix[fresh, known] = cross, cross[known].T

    def descent(self, coef: Array) -> Array:
        """Minus half the gradient of the smooth part over all features, in one pass over X."""
        data, active = self._data, np.flatnonzero(coef)
        features = self.features[active]
        w = coef[active] * (data.target_length / data.lengths[features])
        coefs = np.zeros(len(self.position))
        coefs[features] = w
        descent = data.products(data.weights * data.residual(coefs))
        descent[features] -= data.l2 * w / data.lengths[features]
        return descent / data.target_length
