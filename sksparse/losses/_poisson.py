"""Half the deviance of counts."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from scipy.special import logsumexp, xlogy

from sksparse._typing import Array
from sksparse._validation import check_target_scale
from sksparse.losses._base import ConjugateLoss

# Rounding can push the mean of a dual point below zero by this share of the mean target.
_DOMAIN_SLACK = 1e-12


class Poisson(ConjugateLoss):
    """Half the Poisson deviance with a log link, for targets that are not negative.

    ``loss(y, z) = exp(z) - y z + y log(y) - y``, which is zero where ``exp(z) = y``. The mean of a
    sample is ``exp(z)``. Targets need not be whole: a rate per unit of exposure has the exposure
    for its sample weight.
    """

    title: ClassVar[str] = "Poisson deviance"
    unbounded_if: ClassVar[str] = "single out samples with y = 0"
    lower_bound = 0.0

    def check_targets(self, y: Array) -> None:
        if y.size and not y.min() >= 0.0:
            raise ValueError(
                "The Poisson loss needs y >= 0, counts or rates; got a smallest y of "
                f"{y.min():.6g}. Shift or clip y, or use the squared loss."
            )
        if y.size:
            check_target_scale(y)

    def value(self, z: Array) -> float:
        return _divergence(self.y, z, self.weights)

    def gradient(self, z: Array) -> Array:
        return self.weights * (self._means(z) - self.y)

    def curvature(self, z: Array) -> Array:
        return self.weights * self._means(z)

    def _means(self, z: Array) -> Array:
        """Means of the samples that have a weight; zero, which nothing depends on, of others."""
        with np.errstate(over="ignore"):
            return np.exp(np.where(self.weights > 0.0, z, -np.inf))

    def saturation(self, z: Array) -> float:
        zeros = (self.y == 0.0) & (self.weights > 0.0)
        least = self.y.min(where=self.y > 0.0, initial=np.inf)
        unit = np.log(least) if np.isfinite(least) else 0.0
        return float(np.max(unit - z, where=zeros, initial=0.0))

    def conjugate(self, u: Array) -> float:
        means = self._dual_means(u)
        if means is None:
            return np.inf
        y, s = self.y, self.weights
        return float(s @ (xlogy(means, means) - means - xlogy(y, y) + y))

    def fenchel_gap(self, z: Array, u: Array) -> float:
        means = self._dual_means(u)
        return np.inf if means is None else _divergence(means, z, self.weights)

    def _dual_means(self, u: Array) -> Array | None:
        """Means at which u is the gradient; None outside the domain of the conjugate."""
        used = self.weights > 0.0
        if np.any(u[~used] != 0.0):
            return None
        means = self.y + np.divide(u, self.weights, out=np.zeros_like(u), where=used)
        if means.min(where=used, initial=0.0) < -_DOMAIN_SLACK * float(self.weights @ self.y):
            return None
        return np.maximum(means, 0.0)

    def best_shift(self, z: Array) -> float:
        counted = (self.weights > 0.0) & (self.y > 0.0)
        if not counted.any():
            raise ValueError(
                "y is zero for every sample with a positive weight: the Poisson deviance falls as "
                "the intercept goes to minus infinity. Give samples with a positive y."
            )
        return float(np.log(self.weights @ self.y) - logsumexp(z, b=self.weights))

    def best_constant(self) -> float:
        return self.best_shift(np.zeros(len(self.y)))


def _divergence(y: Array, z: Array, weights: Array) -> float:
    """``sum_i s_i (exp(z_i) - y_i z_i + y_i log(y_i) - y_i)``, without cancellation.

    With r the predictor above ``log(y)`` it is ``y (exp(r) - 1 - r)``.
    """
    positive = y > 0.0
    logs = np.log(y, out=np.zeros_like(y), where=positive)
    z = np.where(weights > 0.0, z, logs)
    r = np.where(positive, z - logs, 0.0)
    with np.errstate(over="ignore"):
        terms = y * (np.expm1(r) - r)
        terms[~positive] = np.exp(z[~positive])
        return max(float(weights @ terms), 0.0)
