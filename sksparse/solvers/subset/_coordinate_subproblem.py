"""Coordinate-wise minima of a penalised least-squares problem over few columns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sksparse._interrupts import check
from sksparse._typing import Array, Indices, Mask
from sksparse.solvers.subset._correlations import Correlations
from sksparse.solvers.subset._factorised_support import COLLINEAR, Support
from sksparse.solvers.subset._terms import Terms

# Sweeps over an unchanged support before its coefficients are solved for; doubled at every try.
_STABLE = 3
_TRIES = 12
_SWEEPS = 10_000
# Smallest gain, relative to the loss of the null model, that a coordinate may have left.
_PRECISION = 1e-13


def coordinate_gains(
    u: Array, descent: Array, prices: Array, l1: Array, positive: Mask
) -> tuple[Array, Array]:
    """What the best move of each coordinate gains, and what its presence is worth at all.

    ``descent`` is half of minus the gradient of the loss, over columns of unit length. The second
    array leaves the price out: a zero coordinate is worth moving at any lower price.
    """
    v = u + descent
    size = np.maximum(np.abs(v) - 0.5 * l1, 0.0)
    worth = np.where(positive & (v < 0.0), 0.0, size**2)
    here = u * (u - 2.0 * v) + l1 * np.abs(u) + prices * (u != 0.0)
    return here + np.maximum(worth - prices, 0.0), worth


@dataclass(frozen=True)
class CoordinateProblem:
    """``min 1 - 2 c^T u + u^T H u + sum_{u_j != 0} prices_j + l1^T |u|`` over a few columns.

    Parameters
    ----------
    gram : ndarray of shape (m, m)
        H, correlations of the columns.
    target : ndarray of shape (m,)
        c, their correlations with the target.
    prices, l1, positive : ndarrays of shape (m,)
        As in :class:`Terms`.
    """

    gram: Array
    target: Array
    prices: Array
    l1: Array
    positive: Mask

    @classmethod
    def over(
        cls, data: Correlations, terms: Terms, features: Indices, prices: Array
    ) -> CoordinateProblem:
        """The problem over given features, at prices of their own."""
        target = data.target[features]
        return cls(
            data.among(features), target, prices, terms.l1[features], terms.positive[features]
        )

    def objective(self, u: Array) -> float:
        """Objective, relative to the loss of the null model."""
        loss = 1.0 + float(u @ (self.gram @ u - 2.0 * self.target))
        return loss + float(self.prices @ (u != 0.0)) + float(self.l1 @ np.abs(u))

    def descend(self, u: Array) -> Array:
        """A coordinate-wise minimum, no worse than ``u``, and a minimum over its support."""
        from sksparse._kernels.penalised_subset import descend

        u, stable = u.copy(), _STABLE
        for _ in range(_TRIES):
            check()
            descent = self.target - self.gram @ u
            options = (self.prices, self.l1, self.positive, 0.0, stable, _SWEEPS)
            descend(self.gram, descent, u, *options)
            u = self._solve(u)
            descent = self.target - self.gram @ u
            gains, _ = coordinate_gains(u, descent, self.prices, self.l1, self.positive)
            if gains.max(initial=0.0) <= _PRECISION:
                break
            stable *= 2
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
