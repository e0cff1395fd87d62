"""Correlations of centred columns of unit length, with each other and with a target.

With l2 regularisation a column's length includes it, ``sqrt(x_j^T S x_j + l2)``, as if a row
``sqrt(l2) e_j`` were appended to the data; correlations of two columns then carry it too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.linalg import lapack

from sksparse._scaling import ScaleError
from sksparse._typing import Array, Indices
from sksparse.solvers._centred import CentredColumns, CentredDesign
from sksparse.solvers._design import Design
from sksparse.solvers._gram_cache import GramCache
from sksparse.solvers._moments import TUNING as MOMENTS
from sksparse.solvers._problem import Problem


@dataclass(frozen=True)
class Tuning:
    """How exact coefficients and correlations are.

    Parameters
    ----------
    refinements : int
        Refinements of the coefficients of nearly dependent columns, at most.
    well_conditioned : float
        Columns of which each keeps a larger share of its squared length given those before it (the
        Schur complement) need none.
    refined : float
        Relative changes of coefficients that end the refinement.
    shortest : float
        The square of a shorter target has lost digits.
    jitter : float
        Added to the squared length of each column, and far above rounding: what the Gram matrix
        says of nearly dependent columns, by way of large cancelling coefficients, would be noise
        otherwise.
    """

    refinements: int = 5
    well_conditioned: float = 1e-4
    refined: float = 1e-14
    shortest: float = 1e-125
    jitter: float = 1e-12


TUNING = Tuning()
JITTER = TUNING.jitter


class Correlations:
    """The data of a least-squares problem in scale-free form.

    Parameters
    ----------
    problem : Problem
        Features, targets and weights.
    l2 : float
        Strength of the ridge penalty ``l2 / 2 ||w||_2^2``.

    Attributes
    ----------
    lengths : ndarray of shape (n_features,)
        Length of each column; infinite for constant ones, which thereby correlate with nothing.
    usable : ndarray
        Features that are not constant.
    target_length : float
        Standard deviation of the target, or its root mean square without an intercept; one where
        that is zero.
    null_loss : float
        Loss of the model without features, for a target of that length.
    target : ndarray of shape (n_features,)
        Correlation of each column with the target.
    """

    def __init__(self, problem: Problem, l2: float) -> None:
        self.weights, self.l2, self._y = problem.loss.weights, l2, problem.loss.y
        self._target_mean = problem.null_intercept
        self._residual = problem.loss.y - self._target_mean
        with np.errstate(over="ignore"):
            length = float(np.sqrt(self.weights @ self._residual**2))
        if not np.isfinite(length):
            raise ScaleError(
                "The squares of y are beyond the largest number of float64. Scale y, to unit "
                "variance for example."
            )
        if length < TUNING.shortest and np.any(self._residual[self.weights > 0.0]):
            raise ScaleError(
                "The squares of y are below the smallest number of float64. Scale y, to unit "
                "variance for example."
            )
        constant = length <= MOMENTS.constant * abs(self._target_mean)
        self.target_length = 1.0 if constant else length
        self.null_loss = 0.5 * self.target_length**2
        covariances = self._measure(problem)
        self.target = covariances / (self.lengths * (np.inf if constant else length))

    def matches(self, problem: Problem, l2: float) -> bool:
        """Whether these are the correlations of a problem."""
        loss, about = problem.loss, (problem.design, problem.loss.weights, problem.fit_intercept)
        same_target = self._y is loss.y or np.array_equal(self._y, loss.y)
        return self.l2 == l2 and same_target and self.centred.matches(*about)

    def _measure(self, problem: Problem) -> Array:
        """Measure all columns in one pass; covariances with the target."""
        centre = problem.fit_intercept
        self.centred = CentredDesign(problem.design, self.weights, centre, target=self._residual)
        lengths = np.sqrt(self.centred.variances + self.l2)
        self.lengths = np.where(self.centred.usable, lengths, np.inf)
        self.usable = np.flatnonzero(self.centred.usable)
        #: Correlations of the columns in use, with ``1 + JITTER`` on the diagonal.
        self.gram = GramCache(self.centred, scales=1.0 / self.lengths, diagonal=1.0 + JITTER)
        return self.centred.covariances

    @property
    def design(self) -> Design:
        """The features."""
        return self.centred.design

    def among(self, features: Indices) -> Array:
        """Correlations between the given columns; the diagonal is ``1 + JITTER``."""
        return self.gram.block(features, features).copy()

    def among_uncached(self, features: Indices) -> Array:
        """The same, for many columns that are not needed again, and are not stored."""
        matrix = self.centred.gram(features, 1.0 / self.lengths)
        np.fill_diagonal(matrix, 1.0 + JITTER)
        return matrix

    def columns(self, features: Indices) -> CentredColumns:
        """The given columns, centred."""
        return self.centred.columns(features)

    def with_all(self, features: Indices) -> Iterator[tuple[slice, Array]]:
        """Correlations of the given columns with all, a block of those at a time."""
        for block, product in self.centred.weighted_products(features):
            product /= self.lengths[features, None]
            product /= self.lengths[block]
            yield block, product

    def products(self, v: Array) -> Array:
        """Inner product of ``v``, of shape (n_samples,), with every column, in one pass over X."""
        return self.centred.rmatvec(v) / self.lengths

    def residual(self, coef: Array) -> Array:
        """Targets less the predictor, with the best intercept; adds up the columns in use."""
        return self._residual - self.centred.matvec(coef, exact=True)

    def residual_correlations(self, features: Indices, coef: Array) -> Array:
        """Magnitude of each column's correlation with the residual of a model.

        ``coef`` belongs to ``features`` and a target of unit length.
        """
        scaled = np.zeros(self.design.n_features)
        scaled[features] = coef * self.target_length / self.lengths[features]
        return np.abs(self.products(self.weights * self.residual(scaled)))

    def intercept(self, coef: Array) -> float:
        """The best intercept for given coefficients, zero where none is fitted."""
        return self._target_mean - float(self.centred.means @ coef)

    def refit(self, features: Indices, slope: Array | float = 0.0) -> Array:
        """Least-squares (or ridge) coefficients of independent columns, in their own units.

        Normal equations, with the solution refined against the residual of the data unless the
        columns are far from dependent. ``slope`` is that of a term added to the loss, linear in
        the coefficients.
        """
        if not features.size:
            return np.empty(0)
        lengths, among = self.lengths[features], self.among(features)
        factor, _ = lapack.dpotrf(among, lower=1)
        if np.diag(factor).min() ** 2 > TUNING.well_conditioned:
            right = self.target[features] * self.target_length - slope / lengths
            coef, _ = lapack.dpotrs(factor, right, lower=1)
            right -= among @ coef - JITTER * coef
            coef += lapack.dpotrs(factor, right, lower=1)[0]
            return np.asarray(coef / lengths)
        columns, coef = self.columns(features), np.zeros(len(features))
        for _ in range(TUNING.refinements):
            residual = self._residual - columns.matvec(coef)
            gradient = columns.rmatvec(self.weights * residual) - self.l2 * coef - slope
            step = lapack.dpotrs(factor, gradient / lengths, lower=1)[0] / lengths
            coef += step
            if np.all(np.abs(step) <= TUNING.refined * np.abs(coef)):
                break
        return coef
