"""The log loss of a problem with more than two classes."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from scipy.special import softmax, xlogy

from sksparse._typing import Array
from sksparse.losses._base import ConjugateLoss

_DOMAIN_SLACK = 1e-12
# Newton steps for the intercepts at most, their length, halvings of one, and what share of all
# derivatives is rounding of a slope.
_STEPS = 100
_LONGEST = 10.0
_HALVINGS = 30
_SLOPE = 1e-15


class Multinomial(ConjugateLoss):
    """The log loss, ``loss(y, z) = log(sum_c exp(z_c)) - z_y``, for targets 0, 1, ..., m - 1.

    Predictors and gradients have shape (n_samples, m). The same number added to all predictors of
    a sample changes nothing.

    Parameters
    ----------
    y : ndarray of shape (n_samples,)
        Codes of the classes, up to m - 1.
    weights : ndarray of shape (n_samples,)
        Non-negative sample weights with sum one.
    """

    for_classes: ClassVar[bool] = True
    title: ClassVar[str] = "log loss"
    unbounded_if: ClassVar[str] = "separate the classes"
    negligible: ClassVar[float] = 1e-6
    lower_bound = 0.0

    def __init__(self, y: Array, weights: Array) -> None:
        super().__init__(y, weights)
        self._n_outputs = int(self.y.max()) + 1

    def check_targets(self, y: Array) -> None:
        if not (y.min() >= 0.0 and np.array_equal(y, np.floor(y))):
            raise ValueError(
                "The log loss of several classes needs whole y from 0 on; got a smallest y of "
                f"{y.min():.6g}. Code the classes 0, 1, 2, ..."
            )

    @property
    def n_outputs(self) -> int:
        return self._n_outputs

    @property
    def _hits(self) -> Array:
        return np.equal.outer(self.y, np.arange(self.n_outputs)).astype(np.float64)

    def value(self, z: Array) -> float:
        own = np.take_along_axis(z, self.y.astype(np.intp)[:, None], axis=1)[:, 0]
        largest = z.max(axis=1)
        total = np.exp(z - largest[:, None]).sum(axis=1)
        return float(self.weights @ (largest - own + np.log(total)))

    def gradient(self, z: Array) -> Array:
        return np.asarray(self.weights[:, None] * (softmax(z, axis=1) - self._hits))

    def curvature(self, z: Array) -> Array:
        """Mean second derivative of each sample over the directions that change the loss."""
        p = softmax(z, axis=1)
        return np.asarray(self.weights * (p * (1.0 - p)).sum(axis=1) / (z.shape[1] - 1))

    def metric(self, z: Array) -> Array:
        p = softmax(z, axis=1)
        hessian = -p[:, :, None] * p[:, None, :]
        diagonal = np.arange(z.shape[1])
        hessian[:, diagonal, diagonal] += p
        hessian *= self.weights[:, None, None]
        return np.asarray(hessian + self.curvature(z)[:, None, None] / z.shape[1])

    def saturation(self, z: Array) -> float:
        used = (self.weights > 0.0)[:, None]
        return float(np.max(np.abs(z), where=used, initial=0.0))

    def best_shift(self, z: Array) -> Any:
        """What to add to the outputs, with sum zero, so that no other constants lower the loss.

        Newton's method, steps halved until the value or the slope becomes smaller.
        """
        shift, value = np.zeros(z.shape[1]), self.value(z)
        derivatives = self.gradient(z)
        for _ in range(_STEPS):
            slope = derivatives.sum(axis=0)
            if np.abs(slope).max() <= _SLOPE * np.abs(derivatives).sum():
                break
            p = softmax(z + shift, axis=1)
            weighted = self.weights[:, None] * p
            hessian = np.diag(weighted.sum(axis=0)) - p.T @ weighted
            # the same number added to all outputs changes nothing
            hessian += np.trace(hessian) / len(shift) ** 2
            step = -np.linalg.lstsq(hessian, slope, rcond=None)[0]
            step *= min(1.0, _LONGEST / np.abs(step).max())
            for _ in range(_HALVINGS):
                derivatives = self.gradient(z + (shift + step))
                reached = self.value(z + (shift + step))
                smaller = np.linalg.norm(derivatives.sum(axis=0)) < np.linalg.norm(slope)
                if smaller or reached < value:
                    break
                step = 0.5 * step
            else:
                break
            shift, value = shift + step, reached
        return shift - shift.mean()

    def conjugate(self, u: Array) -> float:
        used = self.weights > 0
        if np.any(u[~used] != 0.0):
            return np.inf
        s = self.weights[used]
        v = self._hits[used] + u[used] / s[:, None]
        outside = np.abs(v.sum(axis=1) - 1.0).max() > _DOMAIN_SLACK * u.shape[1]
        if outside or v.min() < -_DOMAIN_SLACK:
            return np.inf
        v = np.clip(v, 0.0, 1.0)
        return float(s @ xlogy(v, v).sum(axis=1))

    def best_constant(self) -> Any:
        """The intercepts, with sum zero, that minimise the value when every coefficient is zero."""
        shares = np.log(np.maximum(self.weights @ self._hits, 1e-12))
        return shares - shares.mean()
