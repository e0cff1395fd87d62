"""Half the squared error of small residuals, the absolute error of large ones."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from sksparse._typing import Array
from sksparse.losses._base import ConjugateLoss

# Rounding can push a dual point out of its bounds by this share of them.
_DOMAIN_SLACK = 1e-12
# Share of the curvature of the touching parabola, which the weights of iteratively reweighted least
# squares have. With all of it Newton steps are up to four times as many, and with nothing they are
# too long where few residuals are small.
_BEYOND = 0.1


class Huber(ConjugateLoss):
    """The Huber loss: with ``r = z - y``, ``r^2 / 2`` up to a threshold and linear beyond.

    ``loss(y, z)`` is ``r^2 / 2`` where ``|r| <= epsilon``, else ``epsilon |r| - epsilon^2 / 2``
    (Huber, 1964). The second derivative beyond is zero, of which no step can be made where most
    samples are there. The curvature is a tenth of that of the parabola that touches the loss at
    ``z`` and is nowhere below it, ``epsilon / |r|``: steps need a line search.

    Parameters
    ----------
    y : ndarray of shape (n_samples,)
        Targets.
    weights : ndarray of shape (n_samples,)
        Non-negative sample weights with sum one.
    epsilon : float, default=1.35
        Residual from which the loss is linear, positive, in units of the targets.

    References
    ----------
    .. [1] P. J. Huber (1964). "Robust estimation of a location parameter". The Annals of
       Mathematical Statistics 35, 73-101.
    """

    exact_curvature: ClassVar[bool] = False
    curvature_jumps: ClassVar[bool] = True
    predicts_targets: ClassVar[bool] = True
    title: ClassVar[str] = "Huber loss"
    lower_bound = 0.0

    def __init__(self, y: Array, weights: Array, epsilon: float = 1.35) -> None:
        super().__init__(y, weights)
        if not 0.0 < epsilon < np.inf:
            raise ValueError(
                f"epsilon={epsilon!r} must be positive and finite: the residual, in units of y, "
                "from which the Huber loss is linear."
            )
        self.epsilon = float(epsilon)

    def value(self, z: Array) -> float:
        r = np.abs(z - self.y)
        inside = np.minimum(r, self.epsilon)
        return float(self.weights @ (inside * (r - 0.5 * inside)))

    def gradient(self, z: Array) -> Array:
        return self.weights * np.clip(z - self.y, -self.epsilon, self.epsilon)

    def curvature(self, z: Array) -> Array:
        r = np.abs(z - self.y)
        touching = self.epsilon / np.maximum(r, self.epsilon)
        return self.weights * np.where(r <= self.epsilon, 1.0, _BEYOND * touching)

    def constant_curvature(self, z: Array) -> float:
        return float(self.weights.sum(where=np.abs(z - self.y) <= self.epsilon))

    def conjugate(self, u: Array) -> float:
        v = self._dual_residuals(u)
        return np.inf if v is None else float(self.weights @ (v * (0.5 * v + self.y)))

    def fenchel_gap(self, z: Array, u: Array) -> float:
        v = self._dual_residuals(u)
        if v is None:
            return np.inf
        r = z - self.y
        beyond = np.maximum(np.abs(r) - self.epsilon, 0.0)
        # what a residual lacks to its part inside, and the distance that the part beyond costs
        inside = np.clip(r, -self.epsilon, self.epsilon) - v
        return float(self.weights @ (0.5 * inside * inside + np.abs(inside) * beyond))

    def _dual_residuals(self, u: Array) -> Array | None:
        """Residuals at which u is the gradient; None outside the domain of the conjugate."""
        used = self.weights > 0.0
        if np.any(u[~used] != 0.0):
            return None
        v = np.divide(u, self.weights, out=np.zeros_like(u), where=used)
        if np.abs(v).max(initial=0.0) > self.epsilon * (1.0 + _DOMAIN_SLACK):
            return None
        return np.clip(v, -self.epsilon, self.epsilon)
