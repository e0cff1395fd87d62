"""What a penalty is over a working set, and how the set grows."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from sksparse._typing import Array, Indices
from sksparse.penalties import ConvexPenalty
from sksparse.solvers.convex._quadratic_model import Quadratic


class WorkingPenalty(ABC):
    """The part of a penalty that a working set of units sees: groups, or single features.

    Parameters
    ----------
    units : ndarray
        Units of the working set that are not left out.
    features : ndarray
        Its columns.
    penalty : ConvexPenalty
        The penalty over these columns, where all others are zero.
    scales : ndarray of shape (n_columns,)
        Length of each column, positive.
    """

    def __init__(
        self, units: Indices, features: Indices, penalty: ConvexPenalty, scales: Array
    ) -> None:
        self.units, self.features, self.penalty, self.scales = units, features, penalty, scales

    def violations(self, coef: Array, gradient: Array, alpha: float) -> Array:
        """Violations of the units, for columns of length one."""
        return self.penalty.violations(coef, gradient, alpha, self.scales)

    def cost(self, coef: Array, alpha: float) -> float:
        """Penalty and ridge."""
        return self.penalty.cost(coef, alpha)

    @abstractmethod
    def violation_unit(self) -> float:
        """Least violation where a dual norm exceeds the strength, per unit of the excess."""

    @abstractmethod
    def over(self, quadratic: Quadratic) -> WorkingProblem:
        """What minimises a quadratic of these columns plus the penalty."""


class WorkingProblem(ABC):
    """A quadratic and a penalty over a working set, to minimise at several strengths.

    Parameters
    ----------
    quadratic : Quadratic
        Model of the loss, without the ridge.
    """

    def __init__(self, quadratic: Quadratic) -> None:
        self.quadratic = quadratic

    @abstractmethod
    def minimise(
        self, alpha: float, coef: Array, tol: float, visited: Indices | None = None
    ) -> Array:
        """Coordinates of the working set that minimise ``quadratic + alpha * penalty``.

        Parameters
        ----------
        alpha : float
            Strength of the penalty.
        coef : ndarray of shape (n_columns,) or (n_outputs, n_columns)
            Where to begin, within the bounds.
        tol : float
            Violation that is small enough.
        visited : ndarray or None, default=None
            Positions of the units that move, without which all others are zero; None is all.

        Returns
        -------
        coef : ndarray
            In the shape of the one passed.
        """


def enlarge(current: Indices, violations: Array, first: int) -> Indices:
    """Add the units that violate optimality most, at most doubling the set.

    All units that share the largest violation enter: for a penalty that couples them only the
    whole prefix is sure to make progress.

    Parameters
    ----------
    current : ndarray
        Units of the working set.
    violations : ndarray of shape (n_units,)
        How much each unit violates optimality.
    first : int
        Units that may enter while the set is small.
    """
    outside = violations.copy()
    outside[current] = 0.0
    largest = outside.max()
    most = max(first, len(current), np.count_nonzero(outside == largest))
    new = np.argsort(-outside, kind="stable")[:most]
    return np.concatenate((current, new[outside[new] > 0])).astype(np.intp)
