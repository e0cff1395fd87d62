"""The best-subset penalty in scale-free form."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sksparse._typing import Array, Indices, Mask
from sksparse.penalties import L0
from sksparse.solvers._problem import Problem
from sksparse.solvers.subset._checks import largest_rank
from sksparse.solvers.subset._correlations import Correlations


@dataclass(frozen=True)
class ScaledPenalty:
    """:class:`L0` for columns of unit length and a null model that loses 1.

    The objective over scaled coefficients u is ``1 - 2 c^T u + u^T H u + sum_{u_j != 0} p_j + l1^T
    |u|``, with H and c the correlations of the columns with each other and with the target.

    Parameters
    ----------
    per_feature : ndarray of shape (n_features,)
        p, the penalty of each feature; zero with ``max_features``.
    l1 : ndarray of shape (n_features,)
        Strength of the absolute values.
    positive : ndarray of shape (n_features,)
        Features whose coefficient must not be negative.
    free : ndarray of shape (n_features,)
        Features that are always kept, and not counted.
    limit : int
        Largest number of features that count.
    capacity : int
        Largest number of features, the free ones included, that can be independent.
    """

    per_feature: Array
    l1: Array
    positive: Mask
    free: Mask
    limit: int
    capacity: int

    @classmethod
    def of(cls, problem: Problem, data: Correlations) -> ScaledPenalty:
        penalty, p = problem.penalty_as(L0), problem.design.n_features
        usable = np.zeros(p, dtype=np.bool_)
        usable[data.usable] = True
        free = penalty.free(p)
        capacity = largest_rank(problem) if penalty.l2 == 0.0 else p
        capacity = min(capacity, len(data.usable))
        most = p if penalty.max_features is None else penalty.max_features
        return cls(
            per_feature=penalty.factors(p) * (penalty.strength(problem.alpha) / data.null_loss),
            l1=2.0 * penalty.l1 / (data.lengths * data.target_length),
            positive=penalty.positive_mask(p),
            free=free,
            limit=min(most, int((usable & ~free).sum()), capacity),
            capacity=capacity,
        )

    def shrink(self, v: Array, features: Indices | slice, curvature: float = 1.0) -> Array:
        """``argmin_u curvature (u - v)^2 + l1 |u|`` for non-zero u within their limits."""
        magnitude = np.maximum(np.abs(v) - 0.5 * self.l1[features] / curvature, 0.0)
        return np.where(self.positive[features] & (v < 0.0), 0.0, np.copysign(magnitude, v))

    def cost(self, u: Array) -> float:
        """What is added to the loss."""
        return float(self.per_feature @ (u != 0.0)) + float(self.l1 @ np.abs(u))
