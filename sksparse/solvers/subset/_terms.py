"""What the textbook solvers for best-subset regression share."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from sksparse._typing import Array, Indices, Mask
from sksparse.penalties import L0
from sksparse.solvers._base import Iterate
from sksparse.solvers._problem import Problem
from sksparse.solvers.subset._checks import largest_rank
from sksparse.solvers.subset._correlations import Correlations
from sksparse.solvers.subset._factorised_support import NOISE

# Features, sizes or strengths that one step of the outer loop works through: an interruption
# loses no more, and they do not use up max_iter.
ROUND = 10


@dataclass(frozen=True)
class Terms:
    """:class:`L0` for columns of unit length and a null model that loses 1.

    The objective over scaled coefficients u is, with H and c the correlations of the columns with
    each other and with the target, ``1 - 2 c^T u + u^T H u + sum_{u_j != 0} prices_j + l1^T |u|``.

    Parameters
    ----------
    prices : ndarray of shape (n_features,)
        Price of each feature; zero with ``max_features``.
    l1 : ndarray of shape (n_features,)
        Strength of the absolute values.
    positive : ndarray of shape (n_features,)
        Features whose coefficient must not be negative.
    free : ndarray of shape (n_features,)
        Features that are always kept, and not counted.
    limit : int
        Largest number of features that count.
    room : int
        Largest number of features, the free ones included, that can be independent.
    """

    prices: Array
    l1: Array
    positive: Mask
    free: Mask
    limit: int
    room: int

    @classmethod
    def of(cls, problem: Problem, data: Correlations) -> Terms:
        penalty, p = problem.penalty_as(L0), problem.design.n_features
        usable = np.zeros(p, dtype=np.bool_)
        usable[data.usable] = True
        free = penalty.free(p)
        room = largest_rank(problem) if penalty.l2 == 0.0 else p
        room = min(room, len(data.usable))
        most = p if penalty.max_features is None else penalty.max_features
        return cls(
            prices=penalty.factors(p) * (penalty.strength(problem.alpha) / data.null_loss),
            l1=2.0 * penalty.l1 / (data.lengths * data.target_length),
            positive=penalty.positive_mask(p),
            free=free,
            limit=min(most, int((usable & ~free).sum()), room),
            room=room,
        )

    def shrink(self, v: Array, features: Indices | slice, curvature: float = 1.0) -> Array:
        """``argmin_u curvature (u - v)^2 + l1 |u|`` for non-zero u within their limits."""
        size = np.maximum(np.abs(v) - 0.5 * self.l1[features] / curvature, 0.0)
        return np.where(self.positive[features] & (v < 0.0), 0.0, np.copysign(size, v))

    def cost(self, u: Array) -> float:
        """What the terms add to the loss."""
        return float(self.prices @ (u != 0.0)) + float(self.l1 @ np.abs(u))


@dataclass
class SupportIterate(Iterate):
    """Coefficients, and the scale-free form of the problem.

    Parameters
    ----------
    data : Correlations
        Features and targets.
    terms : Terms
        Everything but the loss.
    support : ndarray
        Features of the model.
    """

    data: Correlations = field(kw_only=True)
    terms: Terms = field(kw_only=True)
    support: Indices = field(default_factory=lambda: np.empty(0, dtype=np.intp))

    @property
    def counted(self) -> Indices:
        """Features of the model that count."""
        return self.support[~self.terms.free[self.support]]

    @property
    def scaled(self) -> Array:
        """Coefficients of columns of unit length for a target of unit length."""
        in_use = self.coef != 0.0
        scaled = np.zeros_like(self.coef)
        scaled[in_use] = self.coef[in_use] * self.data.lengths[in_use] / self.data.target_length
        return scaled

    def units(self, features: Indices) -> Array:
        """Coefficients, in units of the data, whose scaled value is one."""
        return self.data.target_length / self.data.lengths[features]

    def measure_descent(self, coef: Array) -> Array:
        """Half of minus the gradient over the scaled coefficients, in one pass over X."""
        data = self.data
        products = data.products(data.weights * data.residual(coef))
        return (products - data.l2 * coef / data.lengths) / data.target_length

    def refine(self, u: Array) -> Array:
        """Coefficients of the support of ``u``, optimal for its signs to the digits of the data."""
        at, data, terms = np.flatnonzero(u), self.data, self.terms
        slope = terms.l1[at] * data.null_loss * np.sign(u[at]) / self.units(at)
        values = data.refit(at, slope)
        turned = (values * u[at] < 0.0) & (terms.positive[at] | (terms.l1[at] > 0.0))
        return u[at] * self.units(at) if turned.any() else values

    def move(self, features: Indices, values: Array) -> None:
        """Set the coefficients, in units of the data, and the intercept that suits them."""
        self.coef = np.zeros_like(self.coef)
        self.coef[features] = values
        self.intercept = self.data.intercept(self.coef)


def worth(objective: float, tol: float) -> float:
    """Smallest gain that counts: ``tol`` times the objective, and more than rounding.

    Both are in units of the null model's loss; relative to that alone, a column that explains
    nearly all of it would hide what others gain.
    """
    return max(tol * objective, 2.0 * NOISE)
