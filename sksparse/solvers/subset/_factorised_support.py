"""A support with the factorisation of its correlations."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import lapack

from sksparse._typing import Array, Indices
from sksparse.solvers.subset._correlations import JITTER, Correlations

#: A column whose residual squared norm given others is at most this share of its own is collinear.
COLLINEAR = 1e-8
#: Gains below this share of the null model's loss are rounding.
NOISE = 1e-14


def relative_gain(gain: float, objective: float) -> float:
    """A gain as a share of the objective it lowers; zero where it is rounding.

    Both are in units of the null model's loss.
    """
    return 0.0 if gain <= 2.0 * NOISE else gain / max(objective, NOISE)


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
        cls, columns: Indices, among: Array, target: Array, floor: float = 0.5 * JITTER
    ) -> Support:
        """Factorise with pivoting; ``among`` and ``target`` are correlations of ``columns``.

        Columns whose Schur complement given others is at most ``floor`` are left out; by default
        none.
        """
        if not len(columns):
            return cls(columns, np.empty((0, 0)), np.empty(0))
        factor, pivots, rank, _ = lapack.dpstrf(among, tol=floor, lower=1)
        order = pivots[:rank] - 1
        root, _ = lapack.dtrtri(np.tril(factor[:rank, :rank]), lower=1)
        return cls(columns[order], root, root @ target[order])

    @classmethod
    def among(cls, features: Indices, data: Correlations, floor: float = 0.5 * JITTER) -> Support:
        """Factorise features of the data; ``columns`` are then features."""
        return cls.of(features, data.among(features), data.target[features], floor)

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
        """Saliencies: how the loss rises without a column, as a share of the null model's."""
        return self.coef**2 / np.diag(self.inverse)

    def given(self, cross: Array, target: Array) -> tuple[Array, Array, Array]:
        """Projections, Schur complements and descents of other columns, given the support.

        ``cross`` holds their correlations with the support, ``target`` those with the target.
        """
        half = self.root @ cross
        schur = 1.0 + JITTER - np.einsum("ij,ij->j", half, half)
        return self.root.T @ half, schur, target - self.target @ half
