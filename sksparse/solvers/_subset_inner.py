"""Best subset over a working set whose correlations are at hand."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.linalg import lapack

from .._typing import Array, Indices
from ._correlations import JITTER

# A column that keeps at most this share of its squared length beside others is collinear.
COLLINEAR = 1e-8
# Moves after which rank-one updates are replaced by a fresh factorisation.
_MOVES = 64
_SWEEPS = 200
# Features that an overshooting forward selection takes beyond twice the support.
_EXTRA = 10


@dataclass(frozen=True)
class Support:
    """Columns with the factorisation of their correlations.

    Parameters
    ----------
    columns : ndarray of shape (k,)
        Columns of the support.
    root : ndarray of shape (k, k)
        Inverse of the lower Cholesky factor of their correlations.
    target : ndarray of shape (k,)
        ``root`` times their correlations with the target.
    """

    columns: Indices
    root: Array
    target: Array

    @classmethod
    def of(
        cls, columns: Indices, among: Array, target: Array, spare: float = 0.5 * JITTER
    ) -> Support:
        """Factorise with pivoting; ``among`` and ``target`` are correlations of ``columns``.

        Columns that keep no more than ``spare`` beside others are left out; by default none.
        """
        if not len(columns):
            return cls(columns, np.empty((0, 0)), np.empty(0))
        factor, pivots, rank, _ = lapack.dpstrf(among, tol=spare, lower=1)
        order = pivots[:rank] - 1
        root, _ = lapack.dtrtri(np.tril(factor[:rank, :rank]), lower=1)
        return cls(columns[order], root, root @ target[order])

    @property
    def explained(self) -> float:
        """Share of the null model's loss that the support takes away."""
        return float(self.target @ self.target)

    @property
    def coef(self) -> Array:
        """Coefficients in units of unit-length columns and target."""
        return np.asarray(self.root.T @ self.target)

    @property
    def inverse(self) -> Array:
        """Inverse of the correlations of the support."""
        return np.asarray(self.root.T @ self.root)

    @property
    def importances(self) -> Array:
        """Rise of the loss, as a share of the null model's, when a column is dropped."""
        return self.coef**2 / np.diag(self.inverse)

    def beside(self, cross: Array, target: Array) -> tuple[Array, Array, Array]:
        """Rows V, what is left s, and descent d of other columns.

        ``cross`` holds their correlations with the support, ``target`` those with the target.
        """
        half = self.root @ cross
        spare = 1.0 + JITTER - np.einsum("ij,ij->j", half, half)
        return self.root.T @ half, spare, target - self.target @ half


@dataclass(frozen=True)
class Subproblem:
    """``min 1 - 2 c^T u + u^T H u + alpha ||u||_0`` subject to ``||u||_0 <= limit``.

    Parameters
    ----------
    gram : ndarray of shape (m, m)
        H, correlations of the working set.
    target : ndarray of shape (m,)
        c, its correlations with the target.
    alpha : float
        Strength in units of the null model's loss.
    limit : int
        Largest size of the support.
    threshold : float
        Smallest gain worth a move.
    """

    gram: Array
    target: Array
    alpha: float
    limit: int
    threshold: float

    def support(self, columns: Indices) -> Support:
        """Factorise a support given as positions in the working set."""
        among = self.gram[np.ix_(columns, columns)]
        return Support.of(columns, among, self.target[columns])

    def objective(self, support: Support) -> float:
        """Objective, relative to the null model's loss; infinite where there are too many."""
        if len(support.columns) > self.limit:
            return np.inf
        return 1.0 - support.explained + self.alpha * len(support.columns)

    def search(self, start: Indices, *, swaps: bool = True) -> Support:
        """Move from a support until a fresh factorisation admits no improving move."""
        from .._kernels.subset import local_search

        best = self.support(start)
        while True:
            size = len(best.columns)
            table = self._tableau(best)
            options = (self.alpha, self.limit, swaps, COLLINEAR, self.threshold, _MOVES)
            size, moves = local_search(self.gram, table, size, *options)
            if not moves:
                return best
            trial = self.support(table.support[:size].copy())
            within = len(best.columns) <= self.limit
            if within and not self.objective(trial) < self.objective(best):
                return best
            best = trial

    def overshoot(self, support: Support) -> Indices:
        """Forward selection continued, without a price, to twice the features and some more."""
        limit = min(2 * len(support.columns) + _EXTRA, len(self.target))
        free = replace(self, alpha=0.0, limit=limit)
        return free.search(support.columns, swaps=False).columns

    def _tableau(self, support: Support) -> Any:
        from .._kernels.subset import Tableau

        size, m = len(support.columns), len(self.target)
        room = max(min(self.limit, m), size)
        table = Tableau(
            support=np.empty(room, dtype=np.intp),
            inverse=np.empty((room, room)),
            rows=np.empty((room, m)),
            coef=np.empty(room),
            spare=np.diag(self.gram).copy(),
            descent=self.target.copy(),
        )
        if size:
            at = support.columns
            rows, spare, descent = support.beside(self.gram[at], self.target)
            rows[:, at], spare[at], descent[at] = np.eye(size), 0.0, 0.0
            table.support[:size], table.coef[:size] = at, support.coef
            table.inverse[:size, :size], table.rows[:size] = support.inverse, rows
            table.spare[:], table.descent[:] = spare, descent
        return table

    def independent(self, columns: Indices) -> Indices:
        """The given columns without those that are collinear with others."""
        among = self.gram[np.ix_(columns, columns)]
        return Support.of(columns, among, self.target[columns], COLLINEAR).columns

    def coordinate_descent(self, coef: Array) -> Indices:
        """Support of a coordinate-wise minimum near ``coef``."""
        from .._kernels.subset import coordinate_descent

        coef = coef.copy()
        descent = self.target - self.gram @ coef
        coordinate_descent(self.gram, descent, coef, self.alpha, 1e-7, _SWEEPS)
        return np.flatnonzero(coef)
