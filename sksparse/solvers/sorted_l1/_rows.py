"""Minimise a quadratic of several outputs plus a sorted L1 norm of the features' lengths.

Descent over features and clusters of tied ones brings every length to its scale, ties and unties.
On a pattern, which says what is zero, what is tied, and in which order, the objective is smooth, and
a Newton step is made. As H is the same for each output, its system takes matrices of the size of
the features in use alone, however many outputs there are.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.linalg
import scipy.sparse as sp

from sksparse._interrupts import check
from sksparse._typing import Array, Indices
from sksparse.penalties import SortedL1, cluster_labels
from sksparse.penalties._operators import divide
from sksparse.penalties._sorted_l1 import magnitudes
from sksparse.solvers.convex._quadratic_model import Quadratic
from sksparse.solvers.convex._scaled_solve import scaled_solve
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
        Arithmetic that Newton steps may take, relative to that of the sweeps so far: a step on a
        pattern far from the final one is wasted.
    system, update : float
        Nanoseconds of a multiplication in a system, and of one in a sweep.
    shares : tuple of float
        Shares of a Newton step that are tried.
    jitter : float
        Share of the diagonal that is added to a system.
    rounding : float
        Objectives this close, as a share, are equal.
    """

    sweeps: int = 3
    max_rounds: int = 2000
    patience: int = 20
    better: float = 0.9
    system_share: float = 2.0
    system: float = 0.1
    update: float = 0.3
    shares: tuple[float, ...] = (1.0, 0.5, 0.25, 0.0625)
    jitter: float = 1e-13
    rounding: float = 1e-14


TUNING = Tuning()


class RowsModel:
    """prototype"""


class _Point:
    """Coefficients, whose features are tied where their ``radius`` is equal bit for bit."""

    def __init__(self, problem: _Problem, coef: Array, radius: Array) -> None:
        self.problem, self.coef, self.radius = problem, coef, radius
        self.descent: Array = problem.linear - coef @ problem.matrix

    @cached_property
    def value(self) -> float:
        """Quadratic plus penalty, up to a constant."""
        problem = self.problem
        smooth = -0.5 * float(np.vdot(self.coef, problem.linear + self.descent))
        return smooth + problem.alpha * float(problem.weights @ np.sort(self.radius)[::-1])

    @cached_property
    def worst(self) -> float:
        """Largest violation."""
        problem = self.problem
        violations = problem.penalty.violations(
            self.coef, -self.descent, problem.alpha, problem.scales
        )
        return float(violations.max(initial=0.0))

    def is_better(self, other: _Point) -> bool:
        """Whether the value is lower or, where rounding hides that, the violations are smaller."""
        if self.value < other.value - TUNING.rounding * abs(other.value):
            return True
        level = self.value <= other.value + TUNING.rounding * abs(other.value)
        return level and self.worst < TUNING.better * other.worst


@dataclass
class _Problem:
    matrix: Array
    linear: Array
    penalty: SortedL1
    alpha: float
    scales: Array

    @property
    def weights(self) -> Array:
        return self.penalty.weights


def minimise_rows(
    quadratic: Quadratic, penalty: SortedL1, alpha: float, coef: Array, scales: Array, tol: float
) -> Array:
    matrix = quadratic.gram
    if matrix is None:
        matrix = quadratic.reduced(sp.eye_array(coef.shape[1], format="csc"))
    problem = _Problem(matrix, quadratic.descent(quadratic.origin), penalty, alpha, scales)
    point = _Point(problem, *_tied(coef))
    best, stale, budget = np.inf, 0, 0.0
    trace = []
    for n_round in range(TUNING.max_rounds):
        check()
        point = _sweep(problem, point)
        used = np.count_nonzero(point.radius)
        budget += TUNING.system_share * TUNING.update * TUNING.sweeps * used * coef.size
        trace.append((point.value, point.worst, used))
        cost = TUNING.system * 4.0 * used**3
        if used and cost <= budget and point.worst > tol:
            budget -= cost
            for trial in _newton(problem, point):
                if trial.is_better(point):
                    point = trial
                    trace.append((point.value, point.worst, "newton"))
                    break
            else:
                trace.append('newton failed')
        stale = 0 if point.worst < TUNING.better * best else stale + 1
        best = min(best, point.worst)
        if point.worst <= tol or stale > TUNING.patience:
            break
    minimise_rows.trace = trace
    return _exact(point)


def _tied(coef: Array) -> tuple[Array, Array]:
    """Coefficients, and lengths that are equal bit for bit where features are tied."""
    labels, lengths = cluster_labels(coef), magnitudes(coef)
    radius, used = np.zeros_like(lengths), labels >= 0
    if used.any():
        _, first = np.unique(labels[used], return_index=True)
        radius[used] = lengths[used][first][labels[used]]
    return coef.copy(), radius


def _exact(point: _Point) -> Array:
    return point.coef * divide(point.radius, magnitudes(point.coef))


def _sweep(problem: _Problem, point: _Point) -> _Point:
    from sksparse._kernels.sorted_rows import sorted_rows

    coef, radius, descent = point.coef.copy(), point.radius.copy(), point.descent.copy()
    order = np.argsort(-radius, kind="stable")
    sorted_rows(
        problem.matrix, descent, coef, radius, order, problem.weights, problem.alpha, TUNING.sweeps
    )
    return _Point(problem, coef, radius)


def _newton(problem: _Problem, point: _Point):
    """Ends of a Newton step on the pattern."""
    used = np.flatnonzero(point.radius)
    # clusters from the largest length on
    levels, cluster = np.unique(-point.radius[used], return_inverse=True)
    levels, sizes = -levels, np.bincount(cluster)
    w, pull = point.coef[:, used], point.descent[:, used]
    unit = w / magnitudes(w)
    own = np.add.reduceat(
        problem.weights[: len(used)], np.concatenate(([0], np.cumsum(sizes[:-1])))
    )
    along = np.maximum(np.sum(unit * pull, axis=0), 0.0)
    bend = along / point.radius[used]
    matrix = problem.matrix[np.ix_(used, used)]
    diagonal = np.diag(matrix)
    system = matrix + np.diag(bend + TUNING.jitter * diagonal)
    try:
        inverse = _inverse(system)
        # of the lengths alone, once directions follow
        radial = inverse * (unit.T @ unit)
        left = _inverse(radial + np.diag(TUNING.jitter * np.diag(radial)))
    except np.linalg.LinAlgError:
        return
    free = pull @ inverse
    h = -np.sum(unit * free, axis=0)
    order = np.argsort(cluster, kind="stable")
    starts = np.concatenate(([0], np.cumsum(sizes[:-1])))

    def gather(a, axis):
        return np.add.reduceat(np.take(a, order, axis=axis), starts, axis=axis)

    reduced = gather(gather(left, 0), 1) - np.diag(gather(bend, 0))
    right = -problem.alpha * own - gather(left @ h, 0)
    step = scaled_solve(reduced, right)
    if step is None:
        return
    nu = -left @ (step[cluster] + h)
    move = free - (unit * nu) @ inverse
    for share in TUNING.shares:
        length = levels + share * step
        ends = [np.maximum(length, 0.0)]
        if (np.diff(length) > 0).any():
            ends.append(np.maximum(_falling(length, sizes), 0.0))
        new = w + share * move
        new = new * divide(np.ones(len(used)), magnitudes(new))
        for end in ends:
            coef, radius = np.zeros_like(point.coef), np.zeros_like(point.radius)
            radius[used] = end[cluster]
            coef[:, used] = new * radius[used]
            yield _Point(problem, coef, radius)


def _falling(values, sizes):
    from scipy.optimize import isotonic_regression

    return isotonic_regression(values, weights=sizes, increasing=False).x


def _inverse(matrix: Array) -> Array:
    factor, info = scipy.linalg.lapack.dpotrf(matrix, lower=1)
    if info:
        raise np.linalg.LinAlgError
    inverse, info = scipy.linalg.lapack.dpotri(factor, lower=1)
    inverse = np.tril(inverse)
    return inverse + np.tril(inverse, -1).T
