"""Targets and features so large or small that their squares leave the range of float64.

Without norms the best subset does not depend on the scale of a feature, and the penalty per feature
is in squared units of the target. Multiplying by powers of two is exact, and so is undoing it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sksparse._scaling import strength
from sksparse._typing import Array
from sksparse.losses import Squared
from sksparse.solvers import BoundedSolution, Design, Solution


@dataclass(frozen=True)
class ScaledProblem:
    """Data with magnitudes of at most one, and how to undo the scaling.

    Parameters
    ----------
    design : Design
        Features, each times a power of two.
    loss : Squared
        Targets times a power of two.
    columns : ndarray of shape (n_features,)
        Exponents of the powers of two that the features were divided by.
    target : int
        That of the targets.
    """

    design: Design
    loss: Squared
    columns: Any
    target: int

    @classmethod
    def of(cls, design: Design, loss: Squared) -> ScaledProblem:
        """A scaled copy of a problem."""
        columns = np.frexp(design.largest_magnitudes())[1]
        target = int(np.frexp(np.abs(loss.y).max())[1])
        y = np.ldexp(loss.y, -target)
        return cls(
            design.times_powers_of_two(-columns),
            Squared(y, loss.weights),
            columns,
            target,
        )

    def alpha(self, alpha: float) -> float:
        """The penalty per feature in the squared units of the scaled targets."""
        return strength(alpha, -2 * self.target)

    def start(self, coef: Array | None) -> Array | None:
        """Coefficients of an earlier fit, for the scaled features."""
        return None if coef is None else self._sized(coef, self.columns - self.target)

    def undo(self, solution: Solution) -> Solution:
        """The solution for the features and targets as they were.

        Raises
        ------
        ValueError
            Where a coefficient is not a number of float64.
        """
        coef = self._sized(solution.coef, self.target - self.columns)
        intercept = float(np.ldexp(solution.intercept, self.target))
        if not (np.isfinite(coef).all() and np.array_equal(coef != 0.0, solution.coef != 0.0)):
            raise ValueError(
                "The coefficients of some features are outside the range of float64. Scale X and "
                "y, to unit variance for example."
            )
        solution = replace(solution, coef=coef, intercept=intercept)
        if isinstance(solution, BoundedSolution):
            return replace(
                solution,
                objective=self._squared(solution.objective),
                lower_bound=self._squared(solution.lower_bound),
                gap=self._squared(solution.gap),
            )
        return solution

    def _squared(self, value: float) -> float:
        """A value in the squared units of the targets."""
        with np.errstate(over="ignore"):
            return float(np.ldexp(value, 2 * self.target))

    @staticmethod
    def _sized(coef: Array, exponents: Any) -> Array:
        with np.errstate(over="ignore", under="ignore"):
            return np.asarray(np.ldexp(coef, exponents))
