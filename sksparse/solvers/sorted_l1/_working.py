"""The part of a sorted L1 penalty that a working set sees."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from sksparse._typing import Array, Indices
from sksparse.penalties import SortedL1
from sksparse.solvers.convex._quadratic_model import Quadratic
from sksparse.solvers.convex._working_set import WorkingModel, WorkingSet
from sksparse.solvers.sorted_l1._subproblem import TUNING, GapAim, Limits, minimise_sorted

#: From near the minimum a few sweeps are enough,
NEARBY_SQUARED = Limits(sweeps=3)
#: and of curved losses, whose models change, few systems are worth their while.
NEARBY = Limits(sweeps=2, system_share=1.0)


class SortedWorking(WorkingSet):
    """Features with the largest weights: those outside are zero, and take the smallest.

    Parameters
    ----------
    penalty : SortedL1
        The whole penalty.
    features : ndarray
        Features of the working set.
    scales : ndarray of shape (n_features,)
        Length of each column.
    aim : GapAim or None, default=None
        A gap of a squared loss that is small enough, if any.
    """

    needs_gram: ClassVar[bool] = True
    penalty: SortedL1

    def __init__(
        self, penalty: SortedL1, features: Indices, scales: Array, aim: GapAim | None = None
    ) -> None:
        self.aim = aim
        inner = SortedL1(penalty.weights[: len(features)])
        super().__init__(features, features, inner, scales[features])

    def admitted(self, combined: Array, end: Array) -> Array | None:
        """A combination of iterates, if it has the ties and zeros of the last of them."""
        tied = len(np.unique(np.abs(combined))) <= len(np.unique(np.abs(end)))
        return combined if tied else None

    def violation_unit(self) -> float:
        lengths = np.cumsum(np.sort(self.scales)[::-1])
        units = np.cumsum(self.penalty.weights)[lengths > 0.0] / lengths[lengths > 0.0]
        return float(units[units > 0.0].min(initial=np.inf)) if units.any() else 1.0

    def model(self, quadratic: Quadratic, curvature: float) -> WorkingModel:
        return SortedModel(quadratic, self, curvature)


class SortedModel(WorkingModel):
    """A quadratic and a sorted L1 norm over a working set.

    Parameters
    ----------
    quadratic : Quadratic
        Model of the loss.
    working : SortedWorking
        The penalty.
    curvature : float
        Sum of the curvatures of the samples.
    """

    def __init__(self, quadratic: Quadratic, working: SortedWorking, curvature: float) -> None:
        self.quadratic, self._working = quadratic, working
        # the weights of a squared loss have sum one
        self._nearby = NEARBY_SQUARED if curvature == 1.0 else NEARBY
        self._part: tuple[Indices, SortedModel] | None = None

    def minimise(
        self, alpha: float, coef: Array, tol: float, visited: Indices | None = None
    ) -> Array:
        working, limits = self._working, self._nearby if coef.any() else TUNING.limits
        if visited is None or len(visited) == len(coef):
            about = working.penalty, alpha, coef, working.scales, tol, limits, working.aim
            return minimise_sorted(self.quadratic, *about)
        found = coef.copy()
        found[visited] = self._over(visited).minimise(alpha, coef[visited], tol)
        return found

    def _over(self, visited: Indices) -> SortedModel:
        """The model where all other coefficients are zero, kept for the next strength."""
        if self._part is None or not np.array_equal(self._part[0], visited):
            outer = self._working
            inner = SortedWorking(outer.penalty, visited, outer.scales, outer.aim)
            self._part = visited, SortedModel(self.quadratic.over(visited), inner, 1.0)
        return self._part[1]
