"""Half the squared error."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from sksparse._typing import Array
from sksparse.losses._base import ConjugateLoss


class Squared(ConjugateLoss):
    """Half the squared error, ``loss(y, z) = (y - z)^2 / 2``, for real targets."""

    quadratic: ClassVar[bool] = True
    title: ClassVar[str] = "squared loss"
    lower_bound = 0.0

    def value(self, z: Array) -> float:
        residual = self.y - z
        return 0.5 * float(self.weights @ (residual * residual))

    def gradient(self, z: Array) -> Array:
        return self.weights * (z - self.y)

    def curvature(self, z: Array) -> Array:
        return self.weights

    def conjugate(self, u: Array) -> float:
        used = self.weights > 0
        if np.any(u[~used] != 0.0):
            return np.inf
        u, s = u[used], self.weights[used]
        return float(u @ (0.5 * u / s + self.y[used]))

    def fenchel_gap(self, z: Array, u: Array) -> float:
        used = self.weights > 0
        if np.any(u[~used] != 0.0):
            return np.inf
        s = self.weights[used]
        difference = u[used] / s - (z[used] - self.y[used])
        return 0.5 * float(s @ (difference * difference))

    def best_constant(self) -> float:
        return float(self.weights @ self.y)
