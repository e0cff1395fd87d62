"""What adding, dropping and swapping features gains, by a quadratic model of the loss.

The model is the loss at the current predictor to second order, with the mean curvature of each
sample over its outputs, plus the norms as they are. Columns have unit length in its metric (l2
included), so that a support S with correlations H_SS and ``M = H_SS^{-1}`` has coefficients
``b = M (q_S - l1 sign_S)``; a column j beside it has ``v = M H_Sj``, ``s = 1 - H_jS v`` left, and
descends by ``d = q_j - H_jS b``. With ``r(d) = max(|d| - l1, 0)``, or only its positive side,
adding j gains ``r(d)^2 / (2 s)``, dropping i loses ``b_i^2 / (2 M_ii)``, and swapping i for j gains
``r(d + v_i b_i / M_ii)^2 / (2 (s + v_i^2 / M_ii)) - b_i^2 / (2 M_ii)``: exact for the model as long
as no other coefficient changes its sign.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
import scipy.linalg
from scipy.linalg import lapack

from sksparse._typing import Array, Indices, Mask

# A column that keeps at most this share of its squared length beside others is collinear.
COLLINEAR = 1e-8
# A ridge that is a smaller share of a squared length does not tell collinear columns apart.
_FAINT = 1e-4
# A feature of the support has at least this share of the mean curvature.
_LEAST_CURVATURE = 1e-12
# Added to squared lengths, far above rounding.
_JITTER = 1e-12


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


class Norms(NamedTuple):
    """What using a column costs and may be.

    Parameters
    ----------
    l1 : float or ndarray of shape (n_columns,)
        Strength of the L1 norm.
    l2 : ndarray of shape (n_columns,)
        Strength of the ridge penalty.
    positive : ndarray of shape (n_columns,)
        Columns whose coefficient must not be negative.
    prices : ndarray of shape (n_columns,)
        Price of each column; zero where a size is asked for.
    free : ndarray of shape (n_columns,)
        Columns that always stay and are not counted.
    usable : ndarray of shape (n_columns,)
        Columns that may enter.
    """

    l1: float | Array
    l2: Array
    positive: Mask
    prices: Array
    free: Mask
    usable: Mask

    def rivals(self, cross: Array, descent: Array, lengths: Array) -> Rivals:
        """Columns of given lengths beside a support."""
        norms = self._replace(
            l1=self.l1 / lengths, l2=self.l2 / lengths**2, usable=self.usable.copy()
        )
        return Rivals(cross, descent, norms)


class Rivals(NamedTuple):
    """Columns that may enter.

    Parameters
    ----------
    cross : ndarray of shape (k, n_columns)
        Correlations with the support.
    descent : ndarray of shape (n_columns, n_outputs)
        Minus the gradient.
    norms : Norms
        Their costs, for columns of unit length.
    """

    cross: Array
    descent: Array
    norms: Norms

    @property
    def extra(self) -> Array:
        """What the Schur complement of a column that may enter exceeds ``COLLINEAR`` by."""
        ridge = self.norms.l2
        return np.where(self.norms.usable, np.where(ridge < _FAINT, 4.0 * ridge, 0.0), np.inf)


@dataclass(frozen=True)
class Tableau:
    """A support in the model.

    Parameters
    ----------
    inverse : ndarray of shape (k, k)
        M, inverse correlations.
    coef : ndarray of shape (k, n_outputs)
        b, coefficients of columns of unit length.
    prices : ndarray of shape (k,)
        What dropping each feature saves; minus infinity where it must stay.
    """

    inverse: Array
    coef: Array
    prices: Array

    @cached_property
    def diagonal(self) -> Array:
        return np.diag(self.inverse).copy()

    @cached_property
    def rises(self) -> Array:
        """What dropping each feature loses, its price aside."""
        return (self.coef**2).sum(axis=1) / (2.0 * self.diagonal)

    @property
    def drops(self) -> Array:
        """Gain of dropping each feature."""
        return self.prices - self.rises

    @property
    def without_drops(self) -> Tableau:
        """The same where no feature may leave, so that no swap gains."""
        return replace(self, prices=np.full(len(self.prices), -np.inf))

    def gains(self, rivals: Rivals, adds: bool) -> tuple[Array, Indices]:
        """Best gain of each column, and whose place it takes; -1 where it is added."""
        from sksparse._kernels.subset_moves import Bounds, add_gains, swap_gains

        norms = rivals.norms
        projections = self.inverse @ rivals.cross
        schur = 1.0 - np.einsum("ij,ij->j", projections, rivals.cross)
        descent = np.ascontiguousarray(rivals.descent.T)
        bounds = Bounds(norms.l1, norms.positive, rivals.extra)
        gains, leaving = np.full(len(schur), -np.inf), np.full(len(schur), -1)
        if adds:
            add_gains(schur, descent, COLLINEAR, bounds, gains)
        # the kernel's objective is twice the model
        coef, drops = np.ascontiguousarray(self.coef.T), 2.0 * self.drops
        inside, outside = (coef, self.diagonal, drops), (schur, descent, COLLINEAR, bounds)
        swap_gains(projections, *inside, *outside, gains, leaving)
        return 0.5 * gains - norms.prices, leaving


class Move(NamedTuple):
    """Positions of the features that leave and enter; -1 is none."""

    leaver: int
    joiner: int
    gain: float


def inverse_of(correlations: Array) -> Array:
    """Inverse of a correlation matrix."""
    if not len(correlations):
        return correlations
    matrix = correlations + _JITTER * np.eye(len(correlations))
    factor, failed = lapack.dpotrf(matrix, lower=1)
    if failed:
        return np.asarray(scipy.linalg.pinvh(matrix))
    lower = np.tril(lapack.dpotri(factor, lower=1)[0])
    return np.asarray(lower + np.tril(lower, -1).T)


class Quadratic:
    """The model over some columns; their correlations are computed as they are met.

    Parameters
    ----------
    rows : ndarray of shape (n_columns, n_samples)
        Columns, centred in any way.
    metric : Metric
        The loss around the current predictor.
    norms : Norms
        Costs of the columns.
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
        self, rows: Array, metric: Metric, norms: Norms, support: Indices, coef: Array
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
        least = _LEAST_CURVATURE * total * (rows[support] ** 2).mean(axis=1)
        squares[support] = np.maximum(squares[support], least)
        self.norms = norms._replace(usable=norms.usable & (squares > 0))
        root = np.sqrt(np.maximum(squares, 0.0) + norms.l2)
        self.lengths = np.where(self.norms.usable, root, np.inf)
        self._correlations = np.empty((0, len(rows)))
        self._slot = np.full(len(rows), -1, dtype=np.intp)
        self._target = -(rows @ metric.gradient) / self.lengths[:, None]
        if len(support):
            lengths = self.lengths[support][:, None]
            # correlations carry the ridge, whose own gradient is thereby counted twice
            self._target[support] -= self.norms.l2[support][:, None] * coef / lengths
            self._target += self._cross(support).T @ (coef * lengths)

    def _cross(self, columns: Indices) -> Array:
        """Correlations of some columns (rows of the answer) with all."""
        new = columns[self._slot[columns] < 0]
        if new.size:
            self._slot[new] = len(self._correlations) + np.arange(len(new))
            fresh = (self._rows[new] * self._metric.curvature) @ self._rows.T
            fresh -= np.outer(self._shift[new], self.means)
            fresh[np.arange(len(new)), new] += self.norms.l2[new]
            fresh /= self.lengths
            fresh /= self.lengths[new, None]
            self._correlations = np.concatenate((self._correlations, fresh))
        return self._correlations[self._slot[columns]]

    def tableau(self, support: Indices, signs: Array) -> tuple[Tableau, Rivals]:
        """A support whose coefficients have given signs, and all columns beside it."""
        cross = self._cross(support)
        among = cross[:, support]
        np.fill_diagonal(among, 1.0)
        inverse = inverse_of(among)
        lengths, l1 = self.lengths, self.norms.l1
        coef = inverse @ (self._target[support] - l1 * signs / lengths[support, None])
        prices = np.where(self.norms.free[support], -np.inf, self.norms.prices[support])
        rivals = self.norms.rivals(cross, self._target - cross.T @ coef, lengths)
        rivals.norms.usable[support] = False
        return Tableau(inverse, coef, prices), rivals


def single_moves(tableau: Tableau, rivals: Rivals, room: int, threshold: float) -> list[Move]:
    """Each drop, add, and best swap for each column that gain more than ``threshold``, in order.

    ``room`` says how many features may still enter; below zero only drops are moves.
    """
    moves = [Move(i, -1, gain) for i, gain in enumerate(tableau.drops.tolist())]
    if room < 0:
        return [max(moves, key=lambda move: move.gain)]
    swaps, leavers = tableau.gains(rivals, adds=False)
    moves += [Move(int(leavers[j]), int(j), swaps[j]) for j in np.flatnonzero(swaps > threshold)]
    if room > 0:
        adds, _ = tableau.without_drops.gains(rivals, adds=True)
        moves += [Move(-1, int(j), adds[j]) for j in np.flatnonzero(adds > threshold)]
    return sorted((m for m in moves if m.gain > threshold), key=lambda m: -m.gain)


def all_moves(tableau: Tableau, rivals: Rivals, room: int) -> list[Move]:
    """Every drop, swap and, where there is room, add that is allowed; their gains are not known."""
    leavers = np.flatnonzero(np.isfinite(tableau.prices)).tolist()
    spare = 1.0 - np.einsum("ij,ij->j", tableau.inverse @ rivals.cross, rivals.cross)
    joiners = np.flatnonzero(spare > COLLINEAR + rivals.extra).tolist() if room >= 0 else []
    moves = [Move(i, -1, np.nan) for i in leavers]
    moves += [Move(-1, j, np.nan) for j in joiners if room > 0]
    return moves + [Move(i, j, np.nan) for i in leavers for j in joiners]


def best_move(tableau: Tableau, rivals: Rivals, room: int, threshold: float) -> Move | None:
    """The move that gains most, if that is more than ``threshold``."""
    drops = tableau.drops
    leaver = int(np.argmax(drops)) if len(drops) else -1
    best = Move(leaver, -1, float(drops[leaver]) if len(drops) else -np.inf)
    if room >= 0 and len(rivals.descent):
        gains, leavers = tableau.gains(rivals, room > 0)
        joiner = int(np.argmax(gains))
        if gains[joiner] > best.gain:
            best = Move(int(leavers[joiner]), joiner, float(gains[joiner]))
    return best if best.gain > threshold or room < 0 else None
