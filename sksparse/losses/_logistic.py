"""The log loss of a two-class problem."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from scipy.special import expit, kl_div, xlogy

from sksparse._typing import Array
from sksparse.losses._base import ConjugateLoss

# Rounding can push y + u / s out of [0, 1] by a few ulps without the point being infeasible.
_DOMAIN_SLACK = 1e-12
# Predictors beyond which probabilities come too close to 0 to be divided by.
_NEAR = 30.0


class Logistic(ConjugateLoss):
    """The log loss, ``loss(y, z) = log(1 + exp(z)) - y z``, for targets 0 and 1."""

    for_classes: ClassVar[bool] = True
    title: ClassVar[str] = "log loss"
    unbounded_if: ClassVar[str] = "separate the classes"
    negligible: ClassVar[float] = 1e-6
    lower_bound = 0.0

    def check_targets(self, y: Array) -> None:
        if y.size and not (y.min() >= 0.0 and y.max() <= 1.0):
            raise ValueError(
                "The log loss of two classes needs y from 0 to 1; got values from "
                f"{y.min():.6g} to {y.max():.6g}. Code the classes 0 and 1."
            )

    def value(self, z: Array) -> float:
        # log(1 + exp(z)) in a form that does not overflow and is faster than logaddexp
        softplus = np.maximum(z, 0.0) + np.log1p(np.exp(-np.abs(z)))
        return float(self.weights @ (softplus - self.y * z))

    def gradient(self, z: Array) -> Array:
        return self.weights * (expit(z) - self.y)

    def curvature(self, z: Array) -> Array:
        p = expit(z)
        return self.weights * p * (1.0 - p)

    def saturation(self, z: Array) -> float:
        return float(np.max(np.abs(z), where=self.weights > 0.0, initial=0.0))

    def conjugate(self, u: Array) -> float:
        used = self.weights > 0
        if np.any(u[~used] != 0.0):
            return np.inf
        s = self.weights[used]
        v = self.y[used] + u[used] / s
        if v.min() < -_DOMAIN_SLACK or v.max() > 1.0 + _DOMAIN_SLACK:
            return np.inf
        v = np.clip(v, 0.0, 1.0)
        return float(s @ (xlogy(v, v) + xlogy(1.0 - v, 1.0 - v)))

    def fenchel_gap(self, z: Array, u: Array) -> float:
        used = self.weights > 0
        if np.any(u[~used] != 0.0):
            return np.inf
        s, y, z = self.weights[used], self.y[used], z[used]
        v = y + u[used] / s
        if v.min() < -_DOMAIN_SLACK or v.max() > 1.0 + _DOMAIN_SLACK:
            return np.inf
        v = np.clip(v, 0.0, 1.0)
        # the relative entropy between v and the probabilities at z
        near = kl_div(v, expit(z)) + kl_div(1.0 - v, expit(-z))
        softplus = np.maximum(z, 0.0) + np.log1p(np.exp(-np.abs(z)))
        far = xlogy(v, v) + xlogy(1.0 - v, 1.0 - v) + softplus - v * z
        entropy = np.where(np.abs(z) < _NEAR, near, far)
        return float(s @ entropy)

    def best_constant(self) -> float:
        # Bounded, so that a problem in which one class has no weight still has a finite answer.
        share = np.clip(self.weights @ self.y, 1e-12, 1.0 - 1e-12)
        return float(np.log(share) - np.log1p(-share))
