"""What the textbook solvers for best-subset regression share."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from sksparse._typing import Array, Indices
from sksparse.solvers._base import Iterate
from sksparse.solvers.subset._correlations import Correlations
from sksparse.solvers.subset._factorised_support import NOISE
from sksparse.solvers.subset._scaled_penalty import ScaledPenalty


@dataclass
class SupportIterate(Iterate):
    """Coefficients, and the scale-free form of the problem.

    Parameters
    ----------
    data : Correlations
        Features and targets.
    penalty : ScaledPenalty
        Everything but the loss.
    support : ndarray
        Features of the model.
    """

    data: Correlations = field(kw_only=True)
    penalty: ScaledPenalty = field(kw_only=True)
    support: Indices = field(default_factory=lambda: np.empty(0, dtype=np.intp))

    @property
    def counted(self) -> Indices:
        """Features of the model that count."""
        return self.support[~self.penalty.free[self.support]]

    @property
    def scaled(self) -> Array:
        """Coefficients of columns of unit length for a target of unit length."""
        used = self.coef != 0.0
        scaled = np.zeros_like(self.coef)
        scaled[used] = self.coef[used] * self.data.lengths[used] / self.data.target_length
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
        at, data, penalty = np.flatnonzero(u), self.data, self.penalty
        slope = penalty.l1[at] * data.null_loss * np.sign(u[at]) / self.units(at)
        values = data.refit(at, slope)
        turned = (values * u[at] < 0.0) & (penalty.positive[at] | (penalty.l1[at] > 0.0))
        return u[at] * self.units(at) if turned.any() else values

    def move(self, features: Indices, values: Array) -> None:
        """Set the coefficients, in units of the data, and the intercept that suits them."""
        self.coef = np.zeros_like(self.coef)
        self.coef[features] = values
        self.intercept = self.data.intercept(self.coef)


def least_gain(objective: float, tol: float) -> float:
    """Smallest gain that counts: ``tol`` times the objective, and more than rounding.

    Both are in units of the null model's loss; relative to that alone, a column that explains
    nearly all of it would hide what others gain.
    """
    return max(tol * objective, 2.0 * NOISE)
