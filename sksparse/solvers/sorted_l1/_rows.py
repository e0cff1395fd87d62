"""Minimise a quadratic of several outputs plus a sorted L1 norm of the features' lengths.

Descent over features and clusters of tied ones brings every length to its scale, ties and unties.
On a pattern, which says what is zero, what is tied and in which order, the objective is smooth, and
Newton steps are made.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import scipy.sparse as sp

from sksparse._interrupts import check
from sksparse._typing import Array, Indices
from sksparse.penalties import SortedL1
from sksparse.solvers.convex._quadratic_model import GramQuadratic, Quadratic
from sksparse.solvers.convex._scaled_solve import scaled_solve
from sksparse.solvers.convex._working_set import WorkingModel
from sksparse.solvers.sorted_l1._row_pattern import (
    Pattern,
    RowsPoint,
    RowsProblem,
    combination,
    newton_ends,
    tied_lengths,
)
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
    lower : float
        Share of the penalty by which the objective falls that counts as well.
    system_share : float
        Time that Newton steps may take, relative to that of the sweeps so far: a step on a pattern
        far from the final one is wasted.
    system, update : float
        Nanoseconds for the cube of the size of a Newton system, and for a multiplication of a
        sweep.
    largest_system : int
        Features in use up to which Newton systems are factorised.
    products : float
        Nanoseconds of a step by conjugate gradients, per feature in use and number of a state.
    per_sample : float
        Columns per sample up to which H takes the place of the columns.
    """

    sweeps: int = 3
    max_rounds: int = 2000
    patience: int = 20
    better: float = 0.9
    lower: float = 1e-8
    system_share: float = 2.0
    system: float = 0.4
    update: float = 0.3
    largest_system: int = 400
    products: float = 5.0
    memory: int = 5
    haste: float = 0.25
    short: float = 0.0625
    least_damping: float = 1e-4
    most_damping: float = 1e2
    most_caution: float = 16.0
    per_sample: float = 1.5


TUNING = Tuning()


class RowsWorking(SortedWorking):
    """Features with the largest weights, whose coefficients have a row for each output."""

    needs_gram: ClassVar[bool] = False

    def violation(self, coef: Array, gradient: Array, alpha: float) -> float:
        return float(self.violations(coef, gradient, alpha).max(initial=0.0))

    def admitted(self, combined: Array, end: Array) -> Array | None:
        pattern = Pattern(tied_lengths(end))
        return pattern.placed(combined[:, pattern.used])[0]

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
        self._working = working
        self.quadratic = quadratic if quadratic.gram is not None else _stored(quadratic)

    def minimise(
        self, alpha: float, coef: Array, tol: float, visited: Indices | None = None
    ) -> Array:
        working, weights = self._working, self._working.penalty.weights
        if visited is None:
            problem = RowsProblem(self.quadratic, working.penalty, alpha, working.scales)
            return minimise_rows(problem, coef, tol)
        inner = SortedL1(weights[: len(visited)])
        problem = RowsProblem(self.quadratic.over(visited), inner, alpha, working.scales[visited])
        found = np.zeros_like(coef)
        found[:, visited] = minimise_rows(problem, coef[:, visited], tol)
        return found


def _stored(quadratic: Quadratic) -> Quadratic:
    """A quadratic that stores H, unless it stores fewer numbers in dense columns."""
    n_columns = int(quadratic.descent(quadratic.origin).shape[-1])
    columns = quadratic.columns
    if columns is not None and n_columns > TUNING.per_sample * len(columns):
        return quadratic
    if columns is not None:
        matrix = columns.T @ columns
    else:
        every = sp.eye_array(n_columns, format="csc")
        matrix = np.ascontiguousarray(quadratic.reduced(every))
    return GramQuadratic(matrix, quadratic.descent(quadratic.origin), np.zeros(n_columns))


def minimise_rows(problem: RowsProblem, coef: Array, tol: float) -> Array:
    """The minimum from given coefficients on, up to violations of at most ``tol``.

    Ends as well where violations no longer fall.
    """
    if not coef.size:
        return coef
    if problem.alpha == 0.0 or not problem.penalty.weights.any():
        return _least_squares(problem, coef)
    point, history = RowsPoint.at(problem, coef), list[RowsPoint]()
    best, stale, budget, caution, damping = np.inf, 0, 0.0, 1.0, 0.0
    for _ in range(TUNING.max_rounds):
        check()
        before, point = point, _swept(point)
        used = int(np.count_nonzero(point.lengths))
        sweeps = TUNING.update * TUNING.sweeps * used * point.state.size
        gained, budget = (before.value - point.value) / max(sweeps, 1.0), budget + sweeps
        history = [*history[-TUNING.memory :], point]
        if point.worst > tol and len(history) > TUNING.memory:
            combined = combination(history)
            if combined is not None and combined.is_better(point):
                point, history = combined, [combined]
        cost = _newton_cost(used, point.state.size)
        due = caution * cost <= TUNING.system_share * budget or stale == TUNING.patience // 2
        if point.worst > tol and used and due:
            end, damping = _newton(point, damping)
            budget = 0.0
            # steps that gain less than sweeps in the same time become rare
            useful = point.value - end.value > gained * cost
            caution = TUNING.haste if useful else min(2.0 * caution, TUNING.most_caution)
            if end is not point:
                point, history = end, [end]
        lower = before.value - point.value > TUNING.lower * point.cost
        stale = 0 if lower or point.worst < TUNING.better * best else stale + 1
        best = min(best, point.worst)
        if point.worst <= tol or stale > TUNING.patience:
            break
    return point.exact()


def _newton(point: RowsPoint, damping: float) -> tuple[RowsPoint, float]:
    """The first end of a Newton step that is better, or the point itself, and the next damping."""
    reached, share = point, 0.0
    for tried, end in newton_ends(point, damping, TUNING.largest_system):
        if end.is_better(point):
            reached, share = end, tried
            break
    if share == 1.0:
        return reached, 0.1 * damping if damping > TUNING.least_damping else 0.0
    if share < TUNING.short:
        damping = max(10.0 * damping, TUNING.least_damping)
    return reached, min(damping, TUNING.most_damping)


def _newton_cost(used: int, state: int) -> float:
    """Nanoseconds of a Newton step."""
    if used <= TUNING.largest_system:
        return TUNING.system * used**3
    return TUNING.products * used * state


def _least_squares(problem: RowsProblem, coef: Array) -> Array:
    """The minimum without a penalty, where there is no pattern to find."""
    quadratic, rows = problem.quadratic, problem.rows
    matrix = rows if quadratic.gram is not None else rows @ rows.T
    found = [scaled_solve(matrix, row) for row in quadratic.descent(quadratic.origin)]
    return np.array([old if new is None else new for old, new in zip(coef, found, strict=True)])


def _swept(point: RowsPoint) -> RowsPoint:
    """A point after some sweeps over clusters and features."""
    from sksparse._kernels.sorted_rows import sorted_rows

    problem = point.problem
    coef, lengths = point.coef.copy(), point.lengths.copy()
    sorted_rows(
        problem.rows,
        problem.quadratic.gram is not None,
        problem.diagonal,
        point.state.copy(),
        coef,
        lengths,
        np.argsort(-lengths, kind="stable"),
        problem.sums,
        problem.alpha,
        TUNING.sweeps,
    )
    return RowsPoint(problem, coef, lengths)
