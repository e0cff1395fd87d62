"""Minimise a quadratic of several outputs plus a sorted L1 norm of the features' lengths.

Descent over features and clusters of tied ones brings every length to its scale, ties and unties.
On a pattern, which says what is zero, what is tied and in which order, the objective is smooth, and
Newton steps are made.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from sksparse._interrupts import check
from sksparse._typing import Array, Indices
from sksparse.penalties import SortedL1, cluster_labels
from sksparse.solvers.convex._quadratic_model import Quadratic
from sksparse.solvers.convex._scaled_solve import scaled_solve
from sksparse.solvers.convex._working_set import WorkingModel
from sksparse.solvers.sorted_l1._row_pattern import RowsPoint, RowsProblem, newton_ends
from sksparse.solvers.sorted_l1._working import SortedWorking


@dataclass(frozen=True)
class Tuning:
    """When the steps over rows are used, and when they end.

    Parameters
    ----------
    sweeps : int
        Sweeps over single features in a round.
    max_rounds : int
        Rounds over one working set.
    patience : int
        Rounds in which the violations have not become ``better`` times smaller, after which they
        are at the level of rounding.
    better : float
        Share of the violations that counts as progress.
    system_share : float
        Time that Newton steps may take, relative to that of the sweeps so far: a step on a pattern
        far from the final one is wasted.
    system, update : float
        Nanoseconds for the cube of the size of a Newton system, and for a multiplication of a
        sweep.
    shares : tuple of float
        Shares of a Newton step that are tried.
    """

    sweeps: int = 3
    max_rounds: int = 2000
    patience: int = 20
    better: float = 0.9
    system_share: float = 2.0
    system: float = 0.4
    update: float = 0.3
    shares: tuple[float, ...] = (1.0, 0.5, 0.25, 0.0625)


TUNING = Tuning()


class RowsWorking(SortedWorking):
    """Features with the largest weights, whose coefficients have a row for each output."""

    def admits(self, combined: Array, end: Array) -> bool:
        return bool(cluster_labels(combined).max() <= cluster_labels(end).max())

    def model(self, quadratic: Quadratic, curvature: float) -> RowsModel:
        return RowsModel(quadratic, self)


class RowsModel(WorkingModel):
    """A quadratic of several outputs and a sorted L1 norm over a working set.

    Parameters
    ----------
    quadratic : Quadratic
        Model of the loss.
    working : RowsWorking
        The penalty.
    """

    def __init__(self, quadratic: Quadratic, working: RowsWorking) -> None:
        self.quadratic, self._working = quadratic, working
        matrix = quadratic.gram
        if matrix is None:
            every = sp.eye_array(len(working.features), format="csc")
            matrix = np.ascontiguousarray(quadratic.reduced(every))
        self._matrix = matrix

    def minimise(
        self, alpha: float, coef: Array, tol: float, visited: Indices | None = None
    ) -> Array:
        working, matrix = self._working, self._matrix
        chosen = slice(None) if visited is None else visited
        if visited is not None:
            matrix = np.ascontiguousarray(matrix[np.ix_(visited, visited)])
        problem = RowsProblem(
            matrix,
            self.quadratic.descent(self.quadratic.origin)[:, chosen],
            SortedL1(working.penalty.weights[: len(matrix)]),
            alpha,
            working.scales[chosen],
        )
        found = np.zeros_like(coef)
        found[:, chosen] = minimise_rows(problem, coef[:, chosen], tol)
        return found


def minimise_rows(problem: RowsProblem, coef: Array, tol: float) -> Array:
    """The minimum from given coefficients on, up to violations of at most ``tol``.

    Ends as well where violations no longer fall.
    """
    if not coef.size:
        return coef
    if problem.alpha == 0.0 or not problem.penalty.weights.any():
        return _least_squares(problem, coef)
    point = RowsPoint.at(problem, coef)
    best, stale, budget = np.inf, 0, 0.0
    for _ in range(TUNING.max_rounds):
        check()
        point = _swept(point)
        used = np.count_nonzero(point.lengths)
        budget += TUNING.system_share * TUNING.update * TUNING.sweeps * used * coef.size
        cost = TUNING.system * used**3
        if point.worst > tol and 0.0 < cost <= budget:
            budget -= cost
            ends = newton_ends(point, TUNING.shares)
            point = next((end for end in ends if end.is_better(point)), point)
        stale = 0 if point.worst < TUNING.better * best else stale + 1
        best = min(best, point.worst)
        if point.worst <= tol or stale > TUNING.patience:
            break
    return point.exact()


def _least_squares(problem: RowsProblem, coef: Array) -> Array:
    """The minimum without a penalty, where there is no pattern to find."""
    rows = [scaled_solve(problem.matrix, row) for row in problem.linear]
    return np.array([old if new is None else new for old, new in zip(coef, rows, strict=True)])


def _swept(point: RowsPoint) -> RowsPoint:
    """A point after some sweeps over clusters and features."""
    from sksparse._kernels.sorted_rows import sorted_rows

    problem = point.problem
    coef, lengths, descent = point.coef.copy(), point.lengths.copy(), point.descent.copy()
    order = np.argsort(-lengths, kind="stable")
    about = problem.penalty.weights, problem.alpha, TUNING.sweeps
    sorted_rows(problem.matrix, descent, coef, lengths, order, *about)
    return RowsPoint(problem, coef, lengths)
