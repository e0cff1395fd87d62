"""Quadratics of a squared loss over changing working sets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sksparse._typing import Array, Indices
from sksparse.solvers._centred import CentredDesign
from sksparse.solvers._column_store import ColumnStore
from sksparse.solvers._gram_cache import GramCache
from sksparse.solvers._problem import Problem
from sksparse.solvers.convex._base import ConvexIterate
from sksparse.solvers.convex._quadratic_model import (
    DenseQuadratic,
    GramQuadratic,
    Quadratic,
    quadratic_from_columns,
)


@dataclass(frozen=True)
class Tuning:
    """When a Gram matrix is formed.

    Parameters
    ----------
    largest_gram : int
        Columns above which it is not: it would take more memory and time than it saves.
    epochs : float
        Epochs that a single fit takes about, which tells whether a Gram matrix pays.
    product, update : float
        Nanoseconds of a multiplication in a product of matrices, and of one in an epoch.
    copied : int
        Numbers that copies of columns may have; beyond it they are read again from X.
    """

    largest_gram: int = 4000
    epochs: float = 40.0
    product: float = 0.025
    update: float = 0.2
    copied: int = 2**26


TUNING = Tuning()


class SquaredQuadratics:
    """Quadratics of a squared loss over changing working sets.

    Parameters
    ----------
    gram : GramCache or None
        Cache to share between problems that differ in penalty or strength only. A problem with
        other features or weights, or none given, gets a cache of its own.
    per_sample : float, default=inf
        Columns of a dense X per sample above which no Gram matrix is formed.
    """

    def __init__(self, gram: GramCache | None, per_sample: float = np.inf) -> None:
        self._gram, self._shared, self._per_sample = gram, gram is not None, per_sample
        self._columns: WeightedColumns | None = None

    def at(self, problem: Problem, state: ConvexIterate, features: Indices) -> Quadratic:
        """The loss over ``features`` around an iterate whose gradient is known."""
        coef, weights = state.coef[..., features], problem.loss.weights
        if self._forms_gram(problem, len(features)):
            matrix = self._cache(problem).matrix(features)
            return GramQuadratic(matrix, -state.gradient[..., features], coef)
        gradient = problem.loss.gradient(state.z)
        if problem.design.is_sparse or len(features) * len(weights) > TUNING.copied:
            columns = problem.centred.columns(features)
            return quadratic_from_columns(
                columns, gradient, weights, coef, centre=problem.fit_intercept, gram=False
            )
        if self._columns is None or self._columns.centred is not problem.centred:
            self._columns = WeightedColumns(problem.centred)
        roots = np.sqrt(weights)
        residual = np.divide(-gradient.T, roots, out=np.zeros(gradient.T.shape), where=roots > 0)
        return DenseQuadratic(self._columns.weighted(features), residual, coef)

    def predictor(
        self, problem: Problem, features: Indices, coef: Array, state: ConvexIterate
    ) -> Array:
        """Predictor for coefficients that are zero but for those of some features."""
        if self._columns is None or not self._columns.holds(features, problem):
            return problem.centred.matvec(state.coef) + state.level
        return self._columns.combination(features, coef) + state.level

    def _forms_gram(self, problem: Problem, size: int) -> bool:
        """Whether H is worth its while."""
        n = problem.design.n_samples
        wide = size > self._per_sample * n and not problem.design.is_sparse
        if wide or size > TUNING.largest_gram:
            return False
        if self._shared or problem.design.is_sparse:
            return True
        formed = TUNING.product * n * size**2 + TUNING.epochs * TUNING.update * size**2
        return formed <= TUNING.epochs * 2.0 * TUNING.update * n * size

    def _cache(self, problem: Problem) -> GramCache:
        """The cache for a problem."""
        about = (problem.design, problem.loss.weights, problem.fit_intercept)
        if self._gram is None or not self._gram.centred.matches(*about):
            self._gram = GramCache(problem.centred)
        return self._gram


class WeightedColumns:
    """Copies of the columns that came into use, centred, times the roots of the weights."""

    def __init__(self, centred: CentredDesign) -> None:
        self.centred = centred
        self._roots = np.sqrt(centred.weights)
        self._store = ColumnStore(centred.design.n_features, centred.design.n_samples)

    def holds(self, features: Indices, problem: Problem) -> bool:
        """Whether the columns of a problem are known, and no sample is without a weight."""
        known = self.centred is problem.centred and self._store.known[features].all()
        return bool(known and self._roots.all())

    def combination(self, features: Indices, coef: Array) -> Array:
        """Combination of known columns, a column for each output."""
        return np.asarray(((coef @ self.weighted(features).T) / self._roots).T)

    def weighted(self, features: Indices) -> Array:
        """The given columns, in Fortran order; not to be written to, it may be a view."""
        store = self._store
        new = store.missing(features)
        if new.size:
            rows = store.append(new)
            fresh = store.matrix[rows]
            self.centred.write_rows(new, fresh)
            fresh *= self._roots
        if np.array_equal(store.features[: len(features)], features):
            return store.matrix[: len(features)].T
        return store.matrix[store.position[features]].T
