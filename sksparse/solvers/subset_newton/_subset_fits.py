"""Refits of subsets, over a working set of columns, and what a gain is measured by."""

from __future__ import annotations

from typing import Any

import numpy as np

from sksparse._interrupts import check
from sksparse._typing import Array, Indices
from sksparse.penalties import L0
from sksparse.solvers._problem import Problem
from sksparse.solvers.subset._checks import largest_rank
from sksparse.solvers.subset_newton._columns import SubsetColumns
from sksparse.solvers.subset_newton._move_gains import ColumnPenalties, Metric
from sksparse.solvers.subset_newton._newton_refit import (
    Fit,
    Outputs,
    RefitOptions,
    refit,
)
from sksparse.solvers.subset_newton._tuning import TUNING


class SubsetFits:
    """Fits of a problem on chosen features, without the penalty on their number.

    Parameters
    ----------
    problem : Problem
        Data, loss and penalty.
    tol : float
        Gains below this share of the loss that is left are not looked for.

    Attributes
    ----------
    columns : SubsetColumns
        The features, with a working set of them in memory.
    outputs : Outputs
        The loss.
    free : ndarray of shape (n_features,)
        Features that are always kept, and not counted.
    scale : float
        Loss of the model without features, above its lower bound as all losses here.
    floor : float
        Loss that counts as zero; minus infinity where the objective has a minimum.
    """

    def __init__(self, problem: Problem, tol: float) -> None:
        penalty, p = problem.penalty_as(L0), problem.design.n_features
        self.problem, self.penalty, self.tol = problem, penalty, tol
        self.columns = SubsetColumns(problem)
        self.outputs = Outputs(problem.loss)
        self._factors, self.free = penalty.factors(p), penalty.free(p)
        self._positive = penalty.positive_mask(p)
        self._kept = self.columns.at(np.flatnonzero(self.free & self.columns.usable))
        # number of features that the samples determine, and the largest number it was counted for
        self._rank = self._counted = p if penalty.l2 > 0 else 0
        self._ridge = penalty.l2 + penalty.scaled_l2 * self.columns.variances
        shape = (problem.design.n_samples, self.outputs.n_outputs)
        null = self.outputs.value(np.full(shape, problem.null_intercept))
        self.scale = max(null, float(np.finfo(np.float64).tiny))
        bounded = penalty.l1 > 0 or penalty.has_ridge or not problem.loss.unbounded_if
        self.floor = -np.inf if bounded else problem.loss.negligible * self.scale

    def determines(self, n_features: int) -> bool:
        """Whether the samples, or a ridge, determine the coefficients of so many features."""
        if n_features > self._counted:
            self._counted = max(2 * n_features, TUNING.first_rank)
            self._rank = largest_rank(self.problem, self._counted)
        return n_features <= self._rank

    def n_counted(self, support: Indices) -> int:
        """How many features of a support count."""
        return int(np.count_nonzero(~self.free[self.columns.features[support]]))

    def left(self, fit: Fit) -> float:
        """Loss and norms of a fit, or what counts as zero."""
        return max(fit.value, self.floor, TUNING.nothing * self.scale)

    def noise(self, fit: Fit) -> float:
        """Rounding error of a gain, which is proportional to the residual."""
        return TUNING.noise * float(np.sqrt(self.left(fit) * self.scale))

    def threshold(self, fit: Fit) -> float:
        """Smallest gain of an accepted move.

        It is relative to the current loss, so that a column that explains nearly all of the null
        model's loss does not hide others.
        """
        return max(self.tol * self.left(fit), self.noise(fit))

    def finished(self, fit: Fit) -> bool:
        """Whether the loss is negligible, so that no feature can lower it."""
        return fit.value <= self.floor

    def null_fit(self) -> Fit:
        """The model of the features that are always kept."""
        return self.fit(self._kept, None)

    def with_kept(self, support: Indices) -> Indices:
        """A support with the features that are always kept, in the order of the working set."""
        return np.union1d(support, self._kept)

    def fit(
        self,
        support: Indices,
        start: Fit | None,
        *,
        exact: bool = False,
        target: float = np.inf,
    ) -> Fit:
        """Refit on a support, from the coefficients of another fit.

        ``target`` is a value that the fit should undercut; a refit that cannot, ends early.
        """
        check()
        support = self.with_kept(support)
        features, first = self.columns.features[support], int(self.problem.fit_intercept)
        rows = np.empty((first + len(support), self.problem.design.n_samples))
        rows[:first] = 1.0
        np.take(self.columns.rows, support, axis=0, out=rows[first:])
        left = self.scale
        if start is not None and self.problem.loss.quadratic:
            # for other losses what Newton steps leave is far below what they are asked for
            left = self.left(start)
        tol = (TUNING.final if exact else TUNING.trial) * left
        fitted, z, value = refit(
            self.outputs,
            self._options(features, left),
            rows,
            bool(first),
            self._first_iterate(support, start),
            tol,
            target,
        )
        coef = fitted[first:]
        used = (coef != 0).any(axis=1)
        intercept = fitted[0] if first else np.zeros(self.outputs.n_outputs)
        return Fit(support[used], coef[used], intercept, z, value)

    def _first_iterate(self, support: Indices, start: Fit | None) -> Array:
        """Intercept, where there is one, and coefficients from which Newton steps begin."""
        first = int(self.problem.fit_intercept)
        theta = np.zeros((first + len(support), self.outputs.n_outputs))
        theta[:first] = self.problem.null_intercept
        if start is not None:
            theta[:first] = start.intercept
            _, here, there = np.intersect1d(
                support, start.support, assume_unique=True, return_indices=True
            )
            theta[first:][here] = start.coef[there]
        return theta

    def _options(self, features: Indices, left: float) -> RefitOptions:
        accuracy = max(1e-9 * np.sqrt(left), TUNING.finest * np.sqrt(self.scale))
        return RefitOptions(
            l1=self.penalty.l1,
            l2=self._ridge[features],
            positive=self._positive[features],
            floor=self.floor,
            accuracy=float(accuracy),
            follow_saturated=len(self._factors) <= TUNING.few_features,
        )

    def polish(self, fit: Fit) -> Fit:
        """The same support to full precision.

        From nothing where the loss is saturated: it need not have a minimum, and the end of the
        steps would depend on their start.
        """
        flat = self.outputs.is_saturated(fit.z)
        return self.fit(fit.support, None if flat else fit, exact=True)

    def metric(self, fit: Fit) -> Metric:
        """Curvature and gradient of the loss at a fit."""
        curvature = self.outputs.curvature(fit.z)
        if not curvature.sum() > 0.0:
            raise ValueError(
                f"{type(self.problem.loss).__name__} has no curvature at any sample of the present "
                "fit, so that it has no quadratic model; use a loss that is curved there."
            )
        gradient = self.outputs.gradient(fit.z)
        if self.problem.fit_intercept:
            # Rounding leaves a small sum, which a column with a large mean would amplify.
            gradient = gradient - np.outer(curvature / curvature.sum(), gradient.sum(axis=0))
        return Metric(curvature, gradient, self.problem.fit_intercept)

    def cost(self, features: Indices, alpha: float) -> float:
        """Penalty on the number of features, at a strength."""
        return alpha * float(self._factors[features].sum())

    def penalties(self, features: Indices | slice, alpha: float) -> ColumnPenalties:
        """Penalties, at a strength, and constraints of each feature."""
        return ColumnPenalties(
            self.penalty.l1,
            self._ridge[features],
            self._positive[features],
            alpha * self._factors[features],
            self.free[features],
            self.columns.usable[features],
        )

    def solution(self, fit: Fit) -> tuple[Array, Any]:
        """Coefficients over all features, and intercept, in the shape of the loss's outputs."""
        features = self.columns.features[fit.support]
        coef = np.zeros((self.outputs.n_outputs, self.problem.design.n_features))
        coef[:, features] = fit.coef.T
        intercept = fit.intercept - self.columns.means[features] @ fit.coef
        if self.outputs.n_outputs == 1:
            return coef[0], float(intercept[0])
        return coef, intercept
