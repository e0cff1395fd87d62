"""A linear model to fit: data, loss, penalty and strength."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.linalg

from .._typing import Array, Indices
from ..losses import Loss
from ..penalties import ConvexPenalty, Penalty
from ._design import Design

# Projections of two samples that differ by so many machine epsilons are of equal ones.
_SAME_PLACE = 64.0


@dataclass(frozen=True)
class Problem:
    """``min_{w, b} loss(X w + b) + alpha * penalty(w)``.

    Parameters
    ----------
    design : Design
        Features.
    loss : Loss
        Data term with targets and weights.
    penalty : Penalty
        Penalty at unit strength.
    alpha : float
        Strength.
    fit_intercept : bool
        Whether ``b`` is free; it is zero otherwise and never penalised.
    """

    design: Design
    loss: Loss
    penalty: Penalty
    alpha: float
    fit_intercept: bool

    @property
    def precision(self) -> float:
        """Smallest relative tolerance that the features' float type can support."""
        return 100.0 * float(np.finfo(self.design.dtype).eps)

    def objective(self, coef: Array, z: Array) -> float:
        """Loss at the predictor ``z`` plus the penalty of ``coef``."""
        return self.loss.value(z) + self.alpha * self.penalty.value(coef)

    @cached_property
    def null_intercept(self) -> float:
        """Intercept of the model without features."""
        return self.loss.best_constant() if self.fit_intercept else 0.0

    def sample_gradient(self, z: Array) -> Array:
        """Gradient of the loss over the predictor, orthogonal to the intercept where it is free.

        Rounding of ``z`` leaves a small sum, which a column with a large mean would blow up.
        """
        gradient = self.loss.gradient(z)
        if not self.fit_intercept:
            return gradient
        curvature = self.loss.curvature(z)
        return gradient - curvature * (gradient.sum() / curvature.sum())

    def gradient(self, z: Array) -> Array:
        """Gradient of the loss over the coefficients, the intercept minimised out."""
        return self.design.rmatvec(self.sample_gradient(z))

    def distinct(self, most: int) -> int:
        """Number of samples with a weight, repetitions counted once; at most ``most``.

        So many coefficients can be told apart. A weight of two and two equal samples must lead to
        the same answer, and so to the same limits.
        """
        used = np.flatnonzero(self.loss.weights > 0.0)
        if len(used) <= 1:
            return min(len(used), most)
        for rows in (used[: 4 * most], used):
            targets = len(np.unique(self.loss.y[rows]))
            if targets >= most:
                return most
            if targets == len(used):
                return targets
            found = self._distinct_pairs(rows)
            if found >= most or len(rows) == len(used):
                break
        return min(found, most)

    def _distinct_pairs(self, rows: Indices) -> int:
        """Number of different samples among some, told apart by a projection."""
        X, n_features = self.design.X, self.design.n_features
        part = X if len(rows) == self.design.n_samples else X[rows]
        direction = np.random.default_rng(0).standard_normal(n_features)
        # equal rows may be added up in another order
        places = np.asarray(part @ direction.astype(X.dtype), dtype=np.float64)
        steps = _SAME_PLACE * float(np.finfo(X.dtype).eps) * max(np.abs(places).max(), 1e-300)
        order = np.lexsort((places, self.loss.y[rows]))
        apart = np.diff(places[order]) > steps
        apart |= np.diff(self.loss.y[rows][order]) != 0.0
        return 1 + int(np.count_nonzero(apart))

    @cached_property
    def null_gradient(self) -> Array:
        """Gradient of the loss over the coefficients, at the model without features."""
        return self.gradient(np.full(self.design.n_samples, self.null_intercept))

    @cached_property
    def gradient_scale(self) -> float:
        """Size of a gradient entry in this problem, the unit of optimality conditions."""
        return max(float(np.max(np.abs(self.null_gradient))), float(np.finfo(np.float64).tiny))


def duality_gap(
    problem: Problem, penalty: ConvexPenalty, coef: Array, z: Array, objective: float
) -> float:
    """Objective minus a dual bound: how far, at most, ``coef`` is from the optimum.

    The dual point is the negative loss gradient, moved onto the null space of what is not
    penalised and shrunk until the penalty's dual norm allows it. The move is a projection in the
    metric of the curvature, which keeps the point inside the domain of the conjugate.
    """
    if problem.alpha == 0:
        return np.nan
    theta = -problem.loss.gradient(z)
    theta = _project(problem, theta, penalty, problem.loss.curvature(z))
    correlation = problem.design.rmatvec(theta)
    shrink = max(1.0, penalty.dual_norm(correlation) / problem.alpha)
    return float(objective + problem.loss.conjugate(-theta / shrink))


def _project(problem: Problem, theta: Array, penalty: ConvexPenalty, curvature: Array) -> Array:
    free = penalty.unpenalised()
    parts = [np.ones((len(theta), 1))] if problem.fit_intercept else []
    if free.size:
        columns = problem.design.columns(free)
        parts.append(columns.toarray() if problem.design.is_sparse else columns)
    if not parts:
        return theta
    basis = np.hstack(parts)
    normal = basis.T @ (curvature[:, None] * basis)
    return theta - curvature * (basis @ (scipy.linalg.pinvh(normal) @ (basis.T @ theta)))
