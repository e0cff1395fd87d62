"""What every penalty offers to a solver."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from sksparse._typing import Array, Indices


class Penalty(ABC):
    """A penalty of coefficients, at unit strength."""

    @abstractmethod
    def value(self, coef: Array) -> float:
        """Penalty of ``coef``."""

    def check_features(self, n_features: int) -> None:  # noqa: B027
        """Raise a ValueError where the penalty is one of another number of features."""

    def cost(self, coef: Array, alpha: float) -> float:
        """What is added to the loss at a strength."""
        return alpha * self.value(coef)

    @abstractmethod
    def prox(self, v: Array, step: float) -> Array:
        """Proximal operator ``argmin_w ||w - v||^2 / 2 + step * value(w)``."""


def check_factors(name: str, factors: Array, n: int | None = None) -> None:
    """Raise a ValueError unless factors are finite, not negative and, where asked, ``n``."""
    if n is not None and factors.shape != (n,):
        raise ValueError(f"{name} must have shape ({n},) for this X; got shape {factors.shape}.")
    if not np.all(np.isfinite(factors)) or np.any(factors < 0.0):
        raise ValueError(
            f"{name} must be finite and not negative; got a smallest of {factors.min()} and a "
            f"largest of {factors.max()}."
        )


class ConvexPenalty(Penalty):
    """A convex, positively homogeneous penalty: it has a dual norm and a subdifferential.

    A subclass may add a ridge and bounds, which do not depend on the strength.
    """

    #: Factor of ``||w||^2 / 2`` in the objective.
    ridge: float = 0.0

    def cost(self, coef: Array, alpha: float) -> float:
        ridge = 0.5 * self.ridge * float(np.sum(coef * coef)) if self.ridge else 0.0
        return alpha * self.value(coef) + ridge

    @property
    def bounds(self) -> tuple[Any, Any]:
        """Lower and upper bounds of the coefficients, infinite where there are none."""
        return -np.inf, np.inf

    def feasible(self, coef: Array) -> Array:
        """The nearest coefficients within the bounds."""
        return coef

    def held(self, coef: Array, pull: Array, alpha: float) -> Array:
        """The part of a pull on the coefficients that bounds hold; of the rest, they let pass all.

        A pull is minus the gradient of what is smooth. At the optimum the rest is ``alpha`` times
        a subgradient of the penalty.
        """
        return np.zeros_like(pull)

    def rescaled(self, exponent: int) -> ConvexPenalty:
        """The same ridge and bounds for coefficients that are multiplied by ``2 ** exponent``."""
        return self

    @abstractmethod
    def dual_norm(self, gradient: Array) -> float:
        """Largest ``-<gradient, w>`` over ``value(w) <= 1``, never-penalised features left out.

        Where a bound is zero, w has no entry beyond it; other bounds are left out.

        At the gradient of the null model this is the smallest strength that selects nothing.
        """

    @abstractmethod
    def violations(
        self, coef: Array, gradient: Array, alpha: float, scales: Array | None = None
    ) -> Array:
        """How far ``-gradient`` is from ``alpha`` times the subdifferential, per unit.

        The unit is a group for block penalties and a feature for sorted ones; the optimum is where
        all entries are zero, and a working set grows where they are large. Where a bound stops a
        coefficient, nothing is violated.

        Parameters
        ----------
        coef, gradient : ndarrays of shape (n_features,) or (n_outputs, n_features)
            Coefficients, and the gradient over them of what is smooth, the loss and the ridge.
        alpha : float
            Strength.
        scales : ndarray of shape (n_features,) or None, default=None
            Length of each column, by which violations are divided: the square of one is then,
            about, what the loss has to gain there. Columns of length zero are left out. None is
            one.
        """

    @abstractmethod
    def unpenalised(self) -> Indices:
        """Indices of the features that are never penalised."""
