"""Quadratics of a squared loss over changing working sets."""

from __future__ import annotations

from sksparse._typing import Indices
from sksparse.solvers._gram_cache import GramCache
from sksparse.solvers._problem import Problem
from sksparse.solvers.convex._base import ConvexIterate
from sksparse.solvers.convex._quadratic_model import (
    GramQuadratic,
    Quadratic,
    quadratic_from_columns,
)

# Larger working sets are met through their columns: a Gram matrix must fit and pay.
_LARGEST_GRAM = 4000


class SquaredQuadratics:
    """Quadratics of a squared loss over changing working sets, from one Gram cache.

    Parameters
    ----------
    gram : GramCache or None
        Cache to share; a new one is made at first use otherwise.
    """

    def __init__(self, gram: GramCache | None) -> None:
        self._gram = gram

    def at(self, problem: Problem, state: ConvexIterate, features: Indices) -> Quadratic:
        """The loss over ``features`` around an iterate whose gradient is known."""
        coef, weights = state.coef[features], problem.loss.weights
        if len(features) <= _LARGEST_GRAM:
            if self._gram is None:
                means = problem.centred.means
                self._gram = GramCache(problem.design, weights, problem.fit_intercept, means)
            return GramQuadratic(self._gram.matrix(features), -state.gradient[features], coef)
        return quadratic_from_columns(
            problem.centred.columns(features),
            problem.loss.gradient(state.z),
            weights,
            coef,
            centre=problem.fit_intercept,
            gram=False,
        )
