"""The units over which a path is solved, and the gradients there over all features."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from sksparse._typing import Array, Indices, Mask
from sksparse.penalties import ConvexPenalty
from sksparse.solvers._column_store import ColumnStore
from sksparse.solvers._gram_cache import GramCache
from sksparse.solvers._problem import Problem
from sksparse.solvers.convex._quadratic_model import DenseQuadratic, GramQuadratic, Quadratic
from sksparse.solvers.convex._squared_quadratics import WeightedColumns
from sksparse.solvers.convex._working_set import WorkingSet


@dataclass(frozen=True)
class Tuning:
    """How a path is solved over its candidates.

    Parameters
    ----------
    gram_share : float
        Features of candidates, as a share of the samples, up to which a Gram matrix is formed:
        with more, an epoch over the columns themselves takes no longer.
    copied : int
        Numbers of columns that are copied at once for their products with all features.
    """

    gram_share: float = 0.7
    copied: int = 2**25


TUNING = Tuning()


class Candidates(ABC):
    """Units of a path that may be in use, with what is known of their columns.

    Parameters
    ----------
    problem : Problem
        A loss with a convex penalty.
    null_gradient : ndarray of shape (n_features,) or (n_outputs, n_features)
        Gradient of the loss at the model without features.
    working : callable
        The penalty over some units.
    always : ndarray
        The first units.

    Attributes
    ----------
    units, features : ndarray
        Units in the order in which they came, and their columns that vary.
    unit : float
        Least violation per unit of strength by which a dual norm exceeds it.
    """

    def __init__(
        self,
        problem: Problem,
        null_gradient: Array,
        working: Callable[[Indices], WorkingSet],
        always: Indices,
    ) -> None:
        self.problem, self.null_gradient, self._over = problem, null_gradient, working
        self.units = always
        self._renew()

    def admit(self, units: Indices) -> None:
        """Add units."""
        new = np.setdiff1d(units, self.units)
        if new.size:
            self.units = np.concatenate((self.units, new))
            self._renew()

    def _renew(self) -> None:
        working = self._over(self.units)
        self._working, self.features = working, working.features
        self.unit = working.violation_unit()

    @abstractmethod
    def minimise(self, alpha: float, coef: Array, tol: float, live: Mask) -> Array:
        """Coefficients of the candidates that are optimal at a strength.

        Of units that are not ``live`` they may stay as they are.
        """

    @property
    def penalty(self) -> ConvexPenalty:
        """The penalty over the candidates."""
        return self._working.penalty

    def violation(self, coef: Array, gradient: Array, alpha: float) -> float:
        """Largest violation over the candidates."""
        return self._working.violation(coef, gradient, alpha)

    def reduced(self, coef: Array) -> Array:
        """What belongs to the candidates, of coefficients or gradients of all features."""
        return coef[..., self.features]

    def expanded(self, coef: Array) -> Array:
        """Coefficients of all features, from those of the candidates."""
        full = self.problem.null_coef
        full[..., self.features] = coef
        return full

    def padded(self, coef: Array) -> Array:
        """Coefficients of fewer candidates as those of all, which came later."""
        more = np.zeros((*coef.shape[:-1], len(self.features) - coef.shape[-1]))
        return np.concatenate((coef, more), axis=-1)

    @abstractmethod
    def gradients(self, coefs: Array) -> tuple[Array, Array]:
        """Gradients of the loss over all features, and its values, for several points.

        Parameters
        ----------
        coefs : ndarray of shape (n_points, ..., n_candidate_features)
            Coefficients of the candidates.
        """

    @abstractmethod
    def loss_gap(self, point: int, share: float) -> float:
        """What Fenchel's inequality lacks at a point that was checked last.

        Between the loss there and its conjugate at a share of the gradient.
        """

    @abstractmethod
    def residual(self, point: int) -> float:
        """Root mean square of the loss's derivatives, at a point that was checked last."""

    @abstractmethod
    def level(self, point: int) -> Any:
        """Intercept for centred columns, at a point that was checked last."""


class SquaredCandidates(Candidates):
    """Candidates of a squared loss, over which it is one quadratic for all strengths."""

    # values at the points that were checked last
    _losses: Array = np.empty(0)

    def __init__(
        self,
        problem: Problem,
        null_gradient: Array,
        working: Callable[[Indices], WorkingSet],
        always: Indices,
    ) -> None:
        null, weights = problem.loss.gradient(problem.null_predictor), problem.loss.weights
        used = weights > 0.0
        self._null_loss = 0.5 * float(np.sum((null[used].T) ** 2 / weights[used]))
        super().__init__(problem, null_gradient, working, always)

    def _renew(self) -> None:
        super()._renew()
        self._subproblem = self._working.model(self._quadratic(), 1.0)

    def minimise(self, alpha: float, coef: Array, tol: float, live: Mask) -> Array:
        visited = np.flatnonzero(live[self._working.units])
        return self._subproblem.minimise(alpha, coef, tol, visited)

    @abstractmethod
    def _quadratic(self) -> Quadratic:
        """The loss over the candidates."""

    def _gram_quadratic(self, matrix: Array) -> Quadratic:
        """The same from the Gram matrix of the candidates."""
        zero = self.reduced(self.problem.null_coef)
        return GramQuadratic(matrix, -self.null_gradient[..., self.features], zero)

    def gradients(self, coefs: Array) -> tuple[Array, Array]:
        gradients, self._losses = self._gradients(coefs)
        return gradients, self._losses

    @abstractmethod
    def _gradients(self, coefs: Array) -> tuple[Array, Array]:
        """See `gradients`."""

    def loss_gap(self, point: int, share: float) -> float:
        return float((1.0 - share) ** 2 * self._losses[point])

    def residual(self, point: int) -> float:
        # what is left of a target that is fitted exactly may round below zero
        return float(np.sqrt(2.0 * max(self._losses[point], 0.0)))

    def level(self, point: int) -> Any:
        return self.problem.null_intercept


class ByResiduals(SquaredCandidates):
    """Gradients are a product of X with the residuals of all points."""

    def __init__(
        self,
        problem: Problem,
        null_gradient: Array,
        working: Callable[[Indices], WorkingSet],
        always: Indices,
    ) -> None:
        self._cache, self._columns = GramCache(problem.centred), WeightedColumns(problem.centred)
        self._null = problem.loss.gradient(problem.null_predictor)
        super().__init__(problem, null_gradient, working, always)

    def _quadratic(self) -> Quadratic:
        n, features = self.problem.design.n_samples, self.features
        if self._working.needs_gram or len(features) <= TUNING.gram_share * n:
            return self._gram_quadratic(self._cache.matrix(features))
        roots = np.sqrt(self.problem.loss.weights)
        null = -self._null.T
        residual = np.divide(null, roots, out=np.zeros(null.shape), where=roots > 0.0)
        zero = self.reduced(self.problem.null_coef)
        return DenseQuadratic(self._columns.weighted(features), residual, zero)

    def _gradients(self, coefs: Array) -> tuple[Array, Array]:
        problem, roots = self.problem, np.sqrt(self.problem.loss.weights)
        rows = coefs.reshape(len(coefs) * problem.loss.n_outputs, len(self.features))
        pulls = roots * (rows @ self._columns.weighted(self.features).T)
        pulls += np.tile(np.atleast_2d(self._null.T), (len(coefs), 1))
        scaled = np.divide(pulls, roots, out=np.zeros_like(pulls), where=roots > 0.0)
        losses = 0.5 * np.einsum("ij,ij->i", scaled, scaled)
        gradients = problem.centred.rmatvec(pulls.T)
        shape = (len(coefs), *problem.null_coef.shape)
        return gradients.reshape(shape), losses.reshape(len(coefs), -1).sum(axis=1)


class ByCovariances(SquaredCandidates):
    """Gradients are made of the products of candidates with all features."""

    def __init__(
        self,
        problem: Problem,
        null_gradient: Array,
        working: Callable[[Indices], WorkingSet],
        always: Indices,
    ) -> None:
        self._store = ColumnStore(problem.design.n_features, problem.design.n_features)
        super().__init__(problem, null_gradient, working, always)

    def _quadratic(self) -> Quadratic:
        new = self._store.missing(self.features)
        together = max(TUNING.copied // self.problem.design.n_samples, 1)
        for start in range(0, len(new), together):
            part = new[start : start + together]
            rows = self._store.append(part)
            for block, product in self.problem.centred.weighted_products(part):
                self._store.matrix[rows, block] = product
        return self._gram_quadratic(np.ascontiguousarray(self._rows[:, self.features]))

    @property
    def _rows(self) -> Array:
        return self._store.matrix[self._store.position[self.features]]

    def _gradients(self, coefs: Array) -> tuple[Array, Array]:
        gradients = self.null_gradient + coefs @ self._rows
        both = self.null_gradient[..., self.features] + gradients[..., self.features]
        products = (coefs * both).reshape(len(coefs), -1)
        return gradients, self._null_loss + 0.5 * products.sum(axis=1)
