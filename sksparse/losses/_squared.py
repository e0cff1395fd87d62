"""Half the squared error."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from sksparse._typing import Array
from sksparse.losses._base import ConjugateLoss


class Squared(ConjugateLoss):
    """Half the squared error, ``loss(y, z) = ||y - z||^2 / 2``, for real targets.

    Where targets have several columns, each sample has as many predictors and its loss is the sum
    over them; predictors and gradients have the shape of ``y``, and curvatures are those of each
    output.

    Parameters
    ----------
    y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
        Targets; a table has at least two columns.
    weights : ndarray of shape (n_samples,)
        Non-negative sample weights with sum one.
    """

    quadratic: ClassVar[bool] = True
    predicts_targets: ClassVar[bool] = True
    title: ClassVar[str] = "squared loss"
    lower_bound = 0.0

    def check_targets(self, y: Array) -> None:
        if y.ndim > 2 or (y.ndim == 2 and y.shape[1] < 2):
            raise ValueError(
                "The squared loss needs y of shape (n_samples,), or (n_samples, n_outputs) with at "
                f"least two outputs; got shape {y.shape}. Give y[:, 0] of a single column."
            )

    @property
    def n_outputs(self) -> int:
        return 1 if self.y.ndim == 1 else self.y.shape[1]

    @property
    def _row_weights(self) -> Array:
        """The weights in a shape that meets the rows of the targets."""
        return self.weights if self.y.ndim == 1 else self.weights[:, None]

    def value(self, z: Array) -> float:
        residual = self.y - z
        return 0.5 * float(np.vdot(self._row_weights * residual, residual))

    def gradient(self, z: Array) -> Array:
        return self._row_weights * (z - self.y)

    def curvature(self, z: Array) -> Array:
        return self.weights

    def metric(self, z: Array) -> Array:
        return self.weights[:, None, None] * np.eye(self.n_outputs)

    def conjugate(self, u: Array) -> float:
        used = self.weights > 0
        if np.any(u[~used] != 0.0):
            return np.inf
        u, s = u[used], self._row_weights[used]
        return float(np.vdot(u, 0.5 * u / s + self.y[used]))

    def fenchel_gap(self, z: Array, u: Array) -> float:
        s, y, used = self._row_weights, self.y, self.weights > 0
        if not used.all():
            if np.any(u[~used] != 0.0):
                return np.inf
            s, y, u, z = s[used], y[used], u[used], z[used]
        difference = u / s
        difference -= z
        difference += y
        return 0.5 * float(np.vdot(s * difference, difference))

    def best_shift(self, z: Array) -> Any:
        shift = self._mean(self.y - z)
        # once more, for what rounding left
        return shift + self._mean(self.y - (z + shift))

    def best_constant(self) -> Any:
        """The weighted mean of the targets, for several outputs an array."""
        return self._mean(self.y)

    def _mean(self, values: Array) -> Any:
        return self.weights @ values / self.weights.sum()
