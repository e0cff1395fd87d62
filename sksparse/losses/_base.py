"""What every data term offers to a solver."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, final

import numpy as np

from sksparse._typing import Array


class Loss(ABC):
    """A smooth convex data term, separable over samples.

    Parameters
    ----------
    y : ndarray of shape (n_samples,)
        Targets in the coding that the loss documents.
    weights : ndarray of shape (n_samples,)
        Non-negative sample weights with sum one.
    """

    #: A constant curvature lets a solver cache Gram matrices and skip line searches.
    quadratic: ClassVar[bool]

    @final
    def __init__(self, y: Array, weights: Array) -> None:
        self.y = np.asarray(y, dtype=np.float64)
        self.weights = np.asarray(weights, dtype=np.float64)

    @property
    def n_outputs(self) -> int:
        """Predictors per sample; ``z`` is a vector where this is one."""
        return 1

    def metric(self, z: Array) -> Array:
        """Second derivatives of each sample over its outputs, (n_samples, n_outputs, n_outputs).

        In directions that do not change the loss, its mean curvature, so that all are definite.
        """
        return self.curvature(z)[:, None, None]

    @abstractmethod
    def value(self, z: Array) -> float:
        """Weighted mean loss at the predictor ``z`` of shape (n_samples,)."""

    @abstractmethod
    def gradient(self, z: Array) -> Array:
        """Derivative of the value with respect to each ``z_i``."""

    @abstractmethod
    def curvature(self, z: Array) -> Array:
        """Second derivative of the value with respect to each ``z_i``."""

    @abstractmethod
    def curvature_bound(self) -> Array:
        """Largest curvature that each sample can reach, whatever ``z``."""

    @abstractmethod
    def conjugate(self, u: Array) -> float:
        """Fenchel conjugate ``sup_z <u, z> - f(z)``; infinite outside its domain."""

    def fenchel_gap(self, z: Array, u: Array) -> float:
        """``value(z) + conjugate(u) - <z, u>``: zero where u is the gradient at z, else positive.

        A loss that bounds a duality gap writes it without cancellation.
        """
        return self.value(z) + self.conjugate(u) - float(np.sum(z * u))

    @abstractmethod
    def best_constant(self) -> float:
        """The intercept that minimises the value when every coefficient is zero."""
