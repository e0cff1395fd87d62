"""Quadratics of a squared loss over changing working sets."""

from __future__ import annotations

from dataclasses import dataclass

from sksparse._typing import Indices
from sksparse.solvers._gram_cache import GramCache
from sksparse.solvers._problem import Problem
from sksparse.solvers.convex._base import ConvexIterate
from sksparse.solvers.convex._quadratic_model import (
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
    """

    largest_gram: int = 4000


TUNING = Tuning()


class SquaredQuadratics:
    """Quadratics of a squared loss over changing working sets, from one Gram cache.

    Parameters
    ----------
    gram : GramCache or None
        Cache to share between problems that differ in penalty or strength only. A problem with
        other features or weights, or none given, gets a cache of its own.
    """

    def __init__(self, gram: GramCache | None) -> None:
        self._gram = gram

    def at(self, problem: Problem, state: ConvexIterate, features: Indices) -> Quadratic:
        """The loss over ``features`` around an iterate whose gradient is known."""
        coef, weights = state.coef[..., features], problem.loss.weights
        if len(features) <= TUNING.largest_gram:
            matrix = self._cache(problem).matrix(features)
            return GramQuadratic(matrix, -state.gradient[..., features], coef)
        return quadratic_from_columns(
            problem.centred.columns(features),
            problem.loss.gradient(state.z),
            weights,
            coef,
            centre=problem.fit_intercept,
            gram=False,
        )

    def _cache(self, problem: Problem) -> GramCache:
        """The cache for a problem."""
        about = (problem.design, problem.loss.weights, problem.fit_intercept)
        if self._gram is None or not self._gram.centred.matches(*about):
            self._gram = GramCache(problem.centred)
        return self._gram
