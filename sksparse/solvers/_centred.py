"""The columns of a convex problem around their weighted means, without a copy of X."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp

from sksparse._typing import Array, Indices
from sksparse.solvers._design import Design
from sksparse.solvers._moments import CONSTANT, FAR_FROM_ZERO, Moments

# A column that varies by so many machine epsilons of its mean is constant.
_EPSILONS = 8.0


class CentredColumns:
    """Products with ``X - means``, and the scale of every column.

    Without an intercept the means are zero. Columns that do not vary say nothing beside the
    intercept: they are not usable, and their gradient counts as zero.

    Parameters
    ----------
    design : Design
        Features.
    weights : ndarray of shape (n_samples,)
        Sample weights with sum one.
    centre : bool
        Whether an intercept is fitted.

    Attributes
    ----------
    means : ndarray of shape (n_features,)
        Weighted means; zero without an intercept.
    usable : ndarray of shape (n_features,)
        Mask of the columns that vary.
    scales : ndarray of shape (n_features,)
        Standard deviation of each column (root mean square, without an intercept); zero where it is
        not usable.
    """

    def __init__(self, design: Design, weights: Array, centre: bool) -> None:
        self.design = design
        measured = Moments.of(design, weights, np.zeros(len(weights)), centre)
        self.means, deviations = measured.means, np.sqrt(measured.variances)
        rounding = max(CONSTANT, _EPSILONS * float(np.finfo(design.dtype).eps))
        self.usable = deviations > rounding * np.abs(self.means)
        self.scales = np.where(self.usable, deviations, 0.0)
        # Otherwise products lose the digits in which such columns differ from their means.
        far = self.usable & (np.abs(self.means) > FAR_FROM_ZERO * deviations)
        self._subtracts = bool(far.any()) and not design.is_sparse

    def columns(self, features: Indices) -> Any:
        """The given columns in float64: dense and centred, or CSC and as they are."""
        columns = self.design.columns(features)
        if not sp.issparse(columns) and self.means.any():
            columns = columns - self.means[features]
        return columns

    def matvec(self, coef: Array) -> Array:
        """``(X - means) @ coef`` in float64."""
        support = np.flatnonzero(coef)
        result = np.zeros(self.design.n_samples)
        if self._subtracts or self.design.dtype != np.float64:
            for block in self.design.blocks(self.design.n_samples):
                part = support[np.searchsorted(support, block.start) :]
                part = part[: np.searchsorted(part, block.stop)]
                if part.size:
                    result += self.columns(part) @ coef[part]
            if not self.design.is_sparse:
                return result
        else:
            result = self.design.matvec(coef)
        return result - float(self.means @ coef)

    def rmatvec(self, v: Array, *, exact: bool = False) -> Array:
        """``(X - means).T @ v``, zero for columns that do not vary.

        Products with float32 columns are done in float32, unless they have to be ``exact``.
        """
        if self._subtracts or (exact and self.design.dtype != np.float64):
            result = np.empty(self.design.n_features)
            for block in self.design.blocks(self.design.n_samples):
                columns = self.design.X[:, block].astype(np.float64)
                if not self.design.is_sparse:
                    columns -= self.means[block]
                result[block] = columns.T @ v
            if self.design.is_sparse:
                result -= self.means * v.sum()
        else:
            result = self.design.rmatvec(v) - self.means * v.sum()
        return np.where(self.usable, result, 0.0)
