"""Working sets: their growth, and what their problems have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, NamedTuple

import numpy as np

from sksparse._typing import Array, Indices
from sksparse.penalties import ConvexPenalty
from sksparse.solvers._centred import CentredColumns
from sksparse.solvers._problem import Problem
from sksparse.solvers.convex._quadratic_model import Quadratic


class Place(NamedTuple):
    """Coefficients of a working set, with the predictor and the level that belong to them."""

    coef: Array
    z: Array
    level: Any


class WorkingModel(ABC):
    """A quadratic and a penalty over a working set, to minimise.

    Attributes
    ----------
    quadratic : Quadratic
        Model of the loss, without the ridge.
    """

    quadratic: Quadratic

    @abstractmethod
    def minimise(
        self, alpha: float, coef: Array, tol: float, visited: Indices | None = None
    ) -> Array:
        """Coordinates that minimise ``quadratic + alpha * penalty``.

        Parameters
        ----------
        alpha : float
            Strength of the penalty.
        coef : ndarray of shape (n_columns,) or (n_outputs, n_columns)
            Where to begin, within the bounds.
        tol : float
            Violation that is small enough.
        visited : ndarray or None, default=None
            Positions of the units that move, without which all are zero; None is all.
        """


class WorkingSet(ABC):
    """Features that may be in use, and the penalty over them where all others are zero.

    Parameters
    ----------
    units : ndarray
        Units of the penalty, groups or single features, that are not left out.
    features : ndarray
        Their features.
    penalty : ConvexPenalty
        The penalty over them, with its ridge and bounds.
    scales : ndarray of shape (n_columns,)
        Length of each of their columns.
    """

    #: Whether models need H itself, however many columns there are.
    needs_gram: ClassVar[bool] = False

    def __init__(
        self, units: Indices, features: Indices, penalty: ConvexPenalty, scales: Array
    ) -> None:
        self.units, self.features, self.penalty, self.scales = units, features, penalty, scales

    def violations(self, coef: Array, gradient: Array, alpha: float) -> Array:
        """Violations of optimality, for columns of length one."""
        return self.penalty.violations(coef, gradient, alpha, self.scales)

    def violation(self, coef: Array, gradient: Array, alpha: float) -> float:
        """The largest of them."""
        return float(self.violations(coef, gradient, alpha).max(initial=0.0))

    def cost(self, coef: Array, alpha: float) -> float:
        """Penalty and ridge."""
        return self.penalty.cost(coef, alpha)

    def admitted(self, combined: Array, end: Array) -> Array | None:
        """What may take the place of an iterate: an affine combination with those before it.

        None where that is not feasible; what is near to it where ties have to be kept.
        """
        return combined if np.array_equal(self.penalty.feasible(combined), combined) else None

    def newton_end(self, problem: Problem, columns: CentredColumns, place: Place) -> Place | None:
        """Where a Newton step of the objective itself leads, where one is known to be worth it."""
        return None

    @abstractmethod
    def violation_unit(self) -> float:
        """Least violation where a dual norm exceeds the strength, per unit of the excess."""

    @abstractmethod
    def model(self, quadratic: Quadratic, curvature: float) -> WorkingModel:
        """The problem with a quadratic in place of the loss.

        Parameters
        ----------
        quadratic : Quadratic
            Model of the loss, without the ridge.
        curvature : float
            Sum of the curvatures of the samples in it.
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
