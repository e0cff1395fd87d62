"""Coordinate-wise minima of a penalised least-squares problem over few columns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sksparse._interrupts import check
from sksparse._typing import Array, Indices, Mask
from sksparse.solvers.subset._correlations import Correlations
from sksparse.solvers.subset._factorised_support import COLLINEAR, Support
from sksparse.solvers.subset._scaled_penalty import ScaledPenalty
from sksparse.solvers.subset._tuning import TUNING


def coordinate_gains(
    u: Array, descent: Array, penalties: Array, l1: Array, positive: Mask
) -> tuple[Array, Array]:
    """What the best move of each coordinate gains, and what it gains against zero.

    ``descent`` is half of minus the gradient of the loss, over columns of unit length. The second
    array leaves the penalty out: it is the smallest penalty at which a zero coordinate stays zero.
    """
    v = u + descent
    magnitude = np.maximum(np.abs(v) - 0.5 * l1, 0.0)
    against_zero = np.where(positive & (v < 0.0), 0.0, magnitude**2)
    here = u * (u - 2.0 * v) + l1 * np.abs(u) + penalties * (u != 0.0)
    return here + np.maximum(against_zero - penalties, 0.0), against_zero


@dataclass(frozen=True)
class Subproblem:
    """``min 1 - 2 c^T u + u^T H u + sum_{u_j != 0} penalties_j + l1^T |u|`` over a few columns.

    Parameters
    ----------
    gram : ndarray of shape (m, m)
        H, correlations of the columns.
    target : ndarray of shape (m,)
        c, their correlations with the target.
    penalties, l1, positive : ndarrays of shape (m,)
        Penalty and strength of the L1 norm of each column, and whether its coefficient must not be
        negative.
    """

    gram: Array
    target: Array
    penalties: Array
    l1: Array
    positive: Mask

    @classmethod
    def over(
        cls, data: Correlations, penalty: ScaledPenalty, features: Indices, penalties: Array
    ) -> Subproblem:
        """The problem over given features, with other penalties."""
        bounds = (penalty.l1[features], penalty.positive[features])
        return cls(data.among(features), data.target[features], penalties, *bounds)

    def objective(self, u: Array) -> float:
        """Objective, relative to the loss of the null model."""
        loss = 1.0 + float(u @ (self.gram @ u - 2.0 * self.target))
        return loss + float(self.penalties @ (u != 0.0)) + float(self.l1 @ np.abs(u))

    def descend(self, u: Array) -> Array:
        """A coordinate-wise minimum, no worse than ``u``, and a minimum over its support."""
        stable = TUNING.stable_sweeps
        for _ in range(TUNING.max_solves):
            check()
            u = self._solve(self.sweep(u, 0.0, stable, TUNING.max_sweeps))
            descent = self.target - self.gram @ u
            gains, _ = coordinate_gains(u, descent, self.penalties, self.l1, self.positive)
            if gains.max(initial=0.0) <= TUNING.coordinate_gain:
                break
            stable *= 2
        return u

    def sweep(self, u: Array, tol: float, stable: int, max_sweeps: int) -> Array:
        """The end of cyclic coordinate descent from ``u``.

        That is where a sweep moves no coefficient by more than ``tol``, or after ``stable`` sweeps
        in a row over an unchanged support.
        """
        from sksparse._kernels.penalised_subset import descend

        u = u.copy()
        terms = (self.penalties, self.l1, self.positive)
        descend(self.gram, self.target - self.gram @ u, u, *terms, tol, stable, max_sweeps)
        return u

    def _solve(self, u: Array) -> Array:
        """Minimum for the support and signs of ``u``, or ``u`` where it has other signs."""
        at = np.flatnonzero(u)
        target = self.target[at] - 0.5 * self.l1[at] * np.sign(u[at])
        support = Support.of(at, self.gram[np.ix_(at, at)], target, COLLINEAR)
        solved = np.zeros_like(u)
        solved[support.columns] = support.coef
        turned = (solved * u < 0.0) & (self.positive | (self.l1 > 0.0))
        return u if turned.any() or self.objective(solved) > self.objective(u) else solved
