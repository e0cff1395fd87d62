"""What adding, dropping and swapping features gains, by a quadratic model of the loss.

The model is the loss at the current predictor to second order, with the mean curvature of each
sample over its outputs, plus the norms as they are. Columns have unit length in its metric (l2
included): it is half of the model whose moves ``_kernels.subset_moves`` describes, and its gains
are half of those, where c is ``q_S - l1 sign_S`` over a support whose coefficients keep their
signs, and q are the correlations with the target.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
import scipy.linalg
from scipy.linalg import lapack

from sksparse._typing import Array, Indices, Mask
from sksparse.solvers._column_store import ColumnStore
from sksparse.solvers.subset._correlations import JITTER
from sksparse.solvers.subset._factorised_support import COLLINEAR
from sksparse.solvers.subset_newton._tuning import TUNING


class Metric(NamedTuple):
    """The loss around a predictor.

    Parameters
    ----------
    curvature : ndarray of shape (n_samples,)
        Second derivatives, the mean over outputs.
    gradient : ndarray of shape (n_samples, n_outputs)
        First derivatives; with sum zero where an intercept is fitted.
    centred : bool
        Whether the intercept is minimised out.
    """

    curvature: Array
    gradient: Array
    centred: bool


class ColumnPenalties(NamedTuple):
    """Penalties and constraints of columns.

    Parameters
    ----------
    l1 : float or ndarray of shape (n_columns,)
        Strength of the L1 norm.
    l2 : ndarray of shape (n_columns,)
        Strength of the ridge penalty.
    positive : ndarray of shape (n_columns,)
        Columns whose coefficient must not be negative.
    per_feature : ndarray of shape (n_columns,)
        Penalty of each column in use; zero where a number of features is asked for.
    free : ndarray of shape (n_columns,)
        Columns that always stay and are not counted.
    usable : ndarray of shape (n_columns,)
        Columns that may enter.
    """

    l1: float | Array
    l2: Array
    positive: Mask
    per_feature: Array
    free: Mask
    usable: Mask

    def candidates(self, cross: Array, descent: Array, lengths: Array) -> Candidates:
        """Columns of given lengths, given a support."""
        scaled = self._replace(
            l1=self.l1 / lengths, l2=self.l2 / lengths**2, usable=self.usable.copy()
        )
        return Candidates(cross, descent, scaled)


class Candidates(NamedTuple):
    """Columns that may enter.

    Parameters
    ----------
    cross : ndarray of shape (k, n_columns)
        Correlations with the support.
    descent : ndarray of shape (n_columns, n_outputs)
        Minus the gradient.
    penalties : ColumnPenalties
        Their penalties and constraints, for columns of unit length.
    """

    cross: Array
    descent: Array
    penalties: ColumnPenalties

    @property
    def extra(self) -> Array:
        """What the Schur complement of a column that may enter exceeds ``COLLINEAR`` by."""
        ridge, usable = self.penalties.l2, self.penalties.usable
        return np.where(usable, np.where(ridge < TUNING.faint, 4.0 * ridge, 0.0), np.inf)

    def schur(self, projections: Array) -> Array:
        """Residual squared norms given the support, for the projections on it."""
        return np.asarray(1.0 - np.einsum("ij,ij->j", projections, self.cross))


@dataclass(frozen=True)
class SupportModel:
    """A support in the model.

    Parameters
    ----------
    inverse : ndarray of shape (k, k)
        M, inverse correlations.
    coef : ndarray of shape (k, n_outputs)
        b, coefficients of columns of unit length.
    saved : ndarray of shape (k,)
        Penalty that dropping each feature saves; minus infinity where it must stay.
    """

    inverse: Array
    coef: Array
    saved: Array

    @cached_property
    def diagonal(self) -> Array:
        return np.diag(self.inverse).copy()

    @cached_property
    def rises(self) -> Array:
        """How the model rises when a feature is dropped, its penalty aside."""
        return (self.coef**2).sum(axis=1) / (2.0 * self.diagonal)

    @property
    def drops(self) -> Array:
        """Gain of dropping each feature."""
        return self.saved - self.rises

    @property
    def without_drops(self) -> SupportModel:
        """The same where no feature may leave, so that no swap gains."""
        return replace(self, saved=np.full(len(self.saved), -np.inf))

    def gains(self, candidates: Candidates, adds: bool) -> tuple[Array, Indices]:
        """Best gain of each column, and the position that leaves for it; -1 where it is added."""
        from sksparse._kernels.subset_moves import Bounds, add_gains, swap_gains

        penalties, projections = candidates.penalties, self.inverse @ candidates.cross
        bounds = Bounds(np.asarray(penalties.l1), penalties.positive, candidates.extra)
        descent = np.ascontiguousarray(candidates.descent.T)
        outside = (candidates.schur(projections), descent, COLLINEAR, bounds)
        # the kernel's objective is twice the model
        inside = (np.ascontiguousarray(self.coef.T), self.diagonal, 2.0 * self.drops)
        gains, leaving = np.full(descent.shape[1], -np.inf), np.full(descent.shape[1], -1)
        if adds:
            add_gains(*outside, gains)
        swap_gains(projections, *inside, *outside, gains, leaving)
        return 0.5 * gains - penalties.per_feature, leaving


class Move(NamedTuple):
    """Positions of the features that leave and enter; -1 is none."""

    leaving: int
    entering: int
    gain: float


def inverse_of(correlations: Array) -> Array:
    """Inverse of a correlation matrix."""
    if not len(correlations):
        return correlations
    matrix = correlations + JITTER * np.eye(len(correlations))
    factor, failed = lapack.dpotrf(matrix, lower=1)
    if failed:
        return np.asarray(scipy.linalg.pinvh(matrix))
    lower = np.tril(lapack.dpotri(factor, lower=1)[0])
    return np.asarray(lower + np.tril(lower, -1).T)


class LocalModel:
    """The model over some columns; their correlations are computed as they are needed.

    Parameters
    ----------
    rows : ndarray of shape (n_columns, n_samples)
        Columns, centred in any way.
    metric : Metric
        The loss around the current predictor.
    penalties : ColumnPenalties
        Penalties and constraints of the columns.
    support : ndarray of shape (k,)
        Positions of the current model.
    coef : ndarray of shape (k, n_outputs)
        Its coefficients.

    Attributes
    ----------
    means : ndarray of shape (n_columns,)
        Means in the metric; zero without an intercept.
    lengths : ndarray of shape (n_columns,)
        Lengths in the metric; infinite for columns that may not enter.
    """

    def __init__(
        self, rows: Array, metric: Metric, penalties: ColumnPenalties, support: Indices, coef: Array
    ) -> None:
        from sksparse._kernels.moments import row_moments

        self._rows, self._metric = rows, metric
        total = metric.curvature.sum()
        self._shift, squares = row_moments(rows, metric.curvature)
        if not metric.centred:
            self._shift.fill(0.0)
        self.means = self._shift / total
        squares -= self._shift * self.means
        # Samples on which a feature of the support varies may have lost all curvature.
        least = TUNING.least_curvature * total * (rows[support] ** 2).mean(axis=1)
        squares[support] = np.maximum(squares[support], least)
        self.penalties = penalties._replace(usable=penalties.usable & (squares > 0))
        root = np.sqrt(np.maximum(squares, 0.0) + penalties.l2)
        self.lengths = np.where(self.penalties.usable, root, np.inf)
        self._correlations = ColumnStore(len(rows), len(rows))
        self._target = -(rows @ metric.gradient) / self.lengths[:, None]
        if len(support):
            lengths = self.lengths[support][:, None]
            # correlations carry the ridge, whose own gradient is thereby counted twice
            self._target[support] -= self.penalties.l2[support][:, None] * coef / lengths
            self._target += self._cross(support).T @ (coef * lengths)

    def _cross(self, columns: Indices) -> Array:
        """Correlations of some columns (rows of the answer) with all."""
        store = self._correlations
        new = store.missing(columns)
        if new.size:
            fresh = (self._rows[new] * self._metric.curvature) @ self._rows.T
            fresh -= np.outer(self._shift[new], self.means)
            fresh[np.arange(len(new)), new] += self.penalties.l2[new]
            fresh /= self.lengths
            fresh /= self.lengths[new, None]
            added = store.append(new)
            store.matrix[added] = fresh
        return store.matrix[store.position[columns]]

    def given(self, support: Indices, signs: Array) -> tuple[SupportModel, Candidates]:
        """A support whose coefficients have given signs, and all columns given it."""
        cross = self._cross(support)
        among = cross[:, support]
        np.fill_diagonal(among, 1.0)
        inverse = inverse_of(among)
        lengths, penalties = self.lengths, self.penalties
        coef = inverse @ (self._target[support] - penalties.l1 * signs / lengths[support, None])
        saved = np.where(penalties.free[support], -np.inf, penalties.per_feature[support])
        outside = penalties.candidates(cross, self._target - cross.T @ coef, lengths)
        outside.penalties.usable[support] = False
        return SupportModel(inverse, coef, saved), outside


def single_moves(
    inside: SupportModel, outside: Candidates, capacity: int, threshold: float
) -> list[Move]:
    """Each drop, add, and best swap for each column that gain more than ``threshold``, in order.

    ``capacity`` says how many features may still enter; below zero only drops are moves.
    """
    moves = [Move(i, -1, gain) for i, gain in enumerate(inside.drops.tolist())]
    if capacity < 0:
        return [max(moves, key=lambda move: move.gain)]
    swaps, leaving = inside.gains(outside, adds=False)
    moves += [Move(int(leaving[j]), int(j), swaps[j]) for j in np.flatnonzero(swaps > threshold)]
    if capacity > 0:
        adds, _ = inside.without_drops.gains(outside, adds=True)
        moves += [Move(-1, int(j), adds[j]) for j in np.flatnonzero(adds > threshold)]
    return sorted((m for m in moves if m.gain > threshold), key=lambda m: -m.gain)


def all_moves(inside: SupportModel, outside: Candidates, capacity: int) -> list[Move]:
    """Every drop, swap and, within the capacity, add that is allowed; gains are not known."""
    leaving = np.flatnonzero(np.isfinite(inside.saved)).tolist()
    schur = outside.schur(inside.inverse @ outside.cross)
    may_enter = schur > COLLINEAR + outside.extra
    entering = np.flatnonzero(may_enter).tolist() if capacity >= 0 else []
    moves = [Move(i, -1, np.nan) for i in leaving]
    moves += [Move(-1, j, np.nan) for j in entering if capacity > 0]
    return moves + [Move(i, j, np.nan) for i in leaving for j in entering]


def best_move(
    inside: SupportModel, outside: Candidates, capacity: int, threshold: float
) -> Move | None:
    """The move that gains most, if that is more than ``threshold``."""
    drops = inside.drops
    leaving = int(np.argmax(drops)) if len(drops) else -1
    best = Move(leaving, -1, float(drops[leaving]) if len(drops) else -np.inf)
    if capacity >= 0 and len(outside.descent):
        gains, leaves = inside.gains(outside, capacity > 0)
        entering = int(np.argmax(gains))
        if gains[entering] > best.gain:
            best = Move(int(leaves[entering]), entering, float(gains[entering]))
    return best if best.gain > threshold or capacity < 0 else None
