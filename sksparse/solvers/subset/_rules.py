"""What a subset of the features may be, and what it costs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sksparse._typing import Array, Mask


@dataclass(frozen=True)
class SubsetRules:
    """``alpha sum_{j in S} prices_j + l1 ||w||_1 + 1/2 sum_j ridge_j w_j^2``, and limits on w.

    The ridge is ``l2 + scaled_l2 v_j`` for features of variance v_j, or mean square v_j where no
    intercept is fitted.

    Parameters
    ----------
    max_features : int or None, default=None
        Largest number of features with a positive price; ``alpha`` is then not used.
    l1, l2 : float, default=0.0
        Strengths of the norms.
    prices : ndarray of shape (n_features,) or None, default=None
        Factors on ``alpha``; None is one for all. A feature of price zero is always kept, and
        not counted.
    positive : ndarray of shape (n_features,) or None, default=None
        Features whose coefficient must not be negative; None is none.
    scaled_l2 : float, default=0.0
        Ridge for features of unit variance. With it alone, a price selects no more features than
        there are samples. Solvers of least squares do not know it.
    """

    max_features: int | None = None
    l1: float = 0.0
    l2: float = 0.0
    prices: Array | None = None
    positive: Mask | None = None
    scaled_l2: float = 0.0

    @property
    def has_ridge(self) -> bool:
        """Whether a ridge makes the coefficients of any features unique."""
        return self.l2 > 0.0 or self.scaled_l2 > 0.0

    def factors(self, n_features: int) -> Array:
        """The price of every feature, in units of ``alpha``."""
        return np.ones(n_features) if self.prices is None else self.prices

    def free(self, n_features: int) -> Mask:
        """Features that are always kept."""
        return self.factors(n_features) == 0.0

    def cost(self, coef: Array, alpha: float) -> float:
        """What is added to the loss, the price of features included."""
        price = alpha * float(self.factors(len(coef)) @ (coef != 0.0))
        return price + self.l1 * float(np.abs(coef).sum()) + 0.5 * self.l2 * float(coef @ coef)
