"""The best-subset penalty."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral

import numpy as np

from sksparse._typing import Array, Mask
from sksparse.penalties._base import Penalty, check_factors


@dataclass(frozen=True, eq=False)
class L0(Penalty):
    """``||w||_0``, the number of non-zero coefficients, with what else a subset is asked for.

    With a strength ``alpha`` the objective is the loss plus ``alpha sum_{w_j != 0} c_j + l1
    ||w||_1 + 1/2 sum_j r_j w_j^2``. The ridge r_j is ``l2 + scaled_l2 v_j`` for features of
    variance v_j, or mean square v_j where no intercept is fitted. Norms and limits do not change
    with ``alpha``.

    Parameters
    ----------
    max_features : int or None, default=None
        Largest number of features with a positive weight; ``alpha`` is then not used.
    l1, l2 : float, default=0.0
        Strengths of the norms.
    penalty_weights : ndarray of shape (n_features,) or None, default=None
        The c_j, factors on ``alpha``; None is one for all. A feature of weight zero is always
        kept, and not counted.
    positive : ndarray of shape (n_features,) or None, default=None
        Features whose coefficient must not be negative; None is none.
    scaled_l2 : float, default=0.0
        Ridge for features of unit variance. With it alone, ``alpha`` selects no more features than
        there are samples. Solvers of least squares refuse it.
    """

    max_features: int | None = None
    l1: float = 0.0
    l2: float = 0.0
    penalty_weights: Array | None = None
    positive: Mask | None = None
    scaled_l2: float = 0.0

    def __post_init__(self) -> None:
        for name in ("l1", "l2", "scaled_l2"):
            check_factors(name, np.asarray(getattr(self, name), dtype=np.float64))
        most = self.max_features
        if most is not None and (not isinstance(most, Integral) or most < 0):
            raise ValueError(f"max_features={most!r} must be None or a whole number from 0 on.")
        if self.penalty_weights is not None:
            check_factors("penalty_weights", self.penalty_weights)

    def check_features(self, n_features: int) -> None:
        if self.penalty_weights is not None:
            check_factors("penalty_weights", self.penalty_weights, n_features)
        if self.positive is not None and self.positive.shape != (n_features,):
            raise ValueError(
                f"positive must have shape ({n_features},) for this X; got shape "
                f"{self.positive.shape}."
            )

    @property
    def has_ridge(self) -> bool:
        """Whether a ridge makes the coefficients of any features unique."""
        return self.l2 > 0.0 or self.scaled_l2 > 0.0

    def factors(self, n_features: int) -> Array:
        """The weight of every feature."""
        return np.ones(n_features) if self.penalty_weights is None else self.penalty_weights

    def free(self, n_features: int) -> Mask:
        """Features that are always kept."""
        return self.factors(n_features) == 0.0

    def positive_mask(self, n_features: int) -> Mask:
        """Features whose coefficient must not be negative."""
        return np.zeros(n_features, dtype=np.bool_) if self.positive is None else self.positive

    def strength(self, alpha: float) -> float:
        """The factor of the weights: ``alpha``, or zero where a number of features governs."""
        return 0.0 if self.max_features is not None else alpha

    def value(self, coef: Array) -> float:
        used = (np.atleast_2d(coef) != 0.0).any(axis=0)
        return float(self.factors(len(used)) @ used)

    def prox(self, v: Array, step: float) -> Array:
        return np.where(np.abs(v) > np.sqrt(2.0 * step * self.factors(len(v))), v, 0.0)

    def cost(self, coef: Array, alpha: float) -> float:
        """What is added to the loss by the weights and by ``l1`` and ``l2``."""
        counted = self.strength(alpha) * self.value(coef)
        return (
            counted + self.l1 * float(np.abs(coef).sum()) + 0.5 * self.l2 * float(np.sum(coef**2))
        )
