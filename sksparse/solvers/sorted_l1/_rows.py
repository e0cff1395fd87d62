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
from sksparse.solvers._centred import CentredColumns
from sksparse.solvers._problem import Problem
from sksparse.solvers.convex._quadratic_model import GramQuadratic, Quadratic
from sksparse.solvers.convex._scaled_solve import scaled_solve
from sksparse.solvers.convex._working_set import Place, WorkingModel
from sksparse.solvers.sorted_l1._class_newton import class_newton_end
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
    per_sample : float
        Columns per sample up to which H takes the place of dense columns.
    sweeps : int
        Sweeps over single features in a round.
    memory : int
        Steps of rounds that are combined.
    system_share : float
        Time that Newton steps may take, relative to that of the sweeps so far: a step on a pattern
        far from the final one is wasted.
    system, products, update : float
        Nanoseconds for the cube of the size of a Newton system; for one that is solved by conjugate
        gradients, per feature in use and number of a state; and for a multiplication in a sweep.
    largest_system : int
        Features in use up to which Newton systems are factorised.
    haste, most_caution : float
        Share of that time that is waited for once a Newton step has gained more than sweeps do in
        the same time. It doubles with each that has not, up to the second number.
    short : float
        Share of a Newton step below which the next one is damped ten times as much,
    least_damping, most_damping : float
        from the first of these on, up to the second, as a share of the diagonal of H.
    max_rounds : int
        Rounds over one working set.
    patience : int
        Rounds in which the violations have not become ``better`` times smaller, after which they
        are at the level of rounding.
    better, lower : float
        Share of the violations that counts as progress, and share of the penalty by which the
        objective falls that counts as well.
    """

    per_sample: float = 1.5
    sweeps: int = 3
    memory: int = 5
    system_share: float = 2.0
    system: float = 0.4
    products: float = 5.0
    update: float = 0.3
    largest_system: int = 400
    haste: float = 0.25
    most_caution: float = 16.0
    short: float = 0.0625
    least_damping: float = 1e-4
    most_damping: float = 1e2
    max_rounds: int = 2000
    patience: int = 20
    better: float = 0.9
    lower: float = 1e-8


TUNING = Tuning()


class RowsWorking(SortedWorking):
    """Features with the largest weights, whose coefficients have a row for each output."""

    needs_gram: ClassVar[bool] = False

    def violation(self, coef: Array, gradient: Array, alpha: float) -> float:
        return float(self.violations(coef, gradient, alpha).max(initial=0.0))

    def admitted(self, combined: Array, end: Array) -> Array | None:
        pattern = Pattern(tied_lengths(end))
        return pattern.placed(combined[:, pattern.used])[0]

    def newton_end(self, problem: Problem, columns: CentredColumns, place: Place) -> Place | None:
        return class_newton_end(problem, self.penalty.weights, columns, place)

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
    descent = _Descent(RowsPoint.at(problem, coef))
    best, stale = np.inf, 0
    for _ in range(TUNING.max_rounds):
        check()
        before = descent.point
        descent.sweep()
        if descent.point.worst > tol:
            descent.combine()
        if descent.point.worst > tol:
            descent.newton(stalled=stale == TUNING.patience // 2)
        point = descent.point
        lower = before.value - point.value > TUNING.lower * point.cost
        stale = 0 if lower or point.worst < TUNING.better * best else stale + 1
        best = min(best, point.worst)
        if point.worst <= tol or stale > TUNING.patience:
            break
    return descent.point.exact()


class _Descent:
    """The steps of a round, and how often it is time for a Newton step."""

    def __init__(self, point: RowsPoint) -> None:
        self.point = point
        self._history = [point]
        # nanoseconds of sweeps since the last Newton step, and what they gain in each
        self._waited, self._gain = 0.0, 0.0
        self._caution, self._damping = 1.0, 0.0

    def sweep(self) -> None:
        """Sweeps over clusters and features."""
        from sksparse._kernels.sorted_rows import sorted_rows

        before, problem = self.point, self.point.problem
        coef, lengths = before.coef.copy(), before.lengths.copy()
        sorted_rows(
            problem.rows,
            problem.quadratic.gram is not None,
            problem.diagonal,
            before.state.copy(),
            coef,
            lengths,
            np.argsort(-lengths, kind="stable"),
            problem.sums,
            problem.alpha,
            TUNING.sweeps,
        )
        self.point = RowsPoint(problem, coef, lengths)
        self._history = [*self._history[-TUNING.memory :], self.point]
        took = TUNING.update * TUNING.sweeps * max(self.point.n_used, 1) * before.state.size
        self._waited += took
        self._gain = (before.value - self.point.value) / took

    def combine(self) -> None:
        """The combination of the last points, where that is better."""
        if len(self._history) <= TUNING.memory:
            return
        combined = combination(self._history)
        if combined is not None and combined.is_better(self.point):
            self._restart(combined)

    def newton(self, *, stalled: bool) -> None:
        """A Newton step, if it is time for one or nothing else helps."""
        used, size = self.point.n_used, self.point.state.size
        factorised = used <= TUNING.largest_system
        cost = TUNING.system * used**3 if factorised else TUNING.products * used * size
        early = self._caution * cost > TUNING.system_share * self._waited
        if not used or (early and not stalled):
            return
        before, share, self._waited = self.point, 0.0, 0.0
        for tried, end in newton_ends(before, self._damping, TUNING.largest_system):
            if end.is_better(before):
                share = tried
                self._restart(end)
                break
        useful = before.value - self.point.value > self._gain * cost
        self._caution = TUNING.haste if useful else min(2.0 * self._caution, TUNING.most_caution)
        if share == 1.0:
            damped = self._damping > TUNING.least_damping
            self._damping = 0.1 * self._damping if damped else 0.0
        elif share < TUNING.short:
            damping = max(10.0 * self._damping, TUNING.least_damping)
            self._damping = min(damping, TUNING.most_damping)

    def _restart(self, point: RowsPoint) -> None:
        self.point, self._history = point, [point]


def _least_squares(problem: RowsProblem, coef: Array) -> Array:
    """The minimum without a penalty, where there is no pattern to find."""
    quadratic, rows = problem.quadratic, problem.rows
    matrix = rows if quadratic.gram is not None else rows @ rows.T
    found = [scaled_solve(matrix, row) for row in quadratic.descent(quadratic.origin)]
    return np.array([old if new is None else new for old, new in zip(coef, found, strict=True)])
