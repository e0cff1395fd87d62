"""Newton steps for coefficients of several outputs while zeros, ties and their order stay.

Let ``w`` be the coefficients in use, a row for each output, ``r`` the lengths of the clusters and
``u_j`` the direction of feature j. With the pulls ``mu_j`` along the directions, the Lagrangian of
lengths that are tied has the second derivatives ``H + diag(d)``, ``d_j = mu_j / r_j``, for each
output, less ``d_j`` along ``u_j``, where the move is that of the cluster. Given the moves along the
directions, those of all outputs follow from one system, and the moves along the directions from
another: both are as large as there are features in use, however many outputs there are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.linalg
from scipy.optimize import isotonic_regression

from sksparse._typing import Array, Indices
from sksparse.penalties import SortedL1, cluster_labels
from sksparse.penalties._operators import divide
from sksparse.penalties._sorted_l1 import magnitudes
from sksparse.solvers.convex._quadratic_model import Quadratic
from sksparse.solvers.convex._scaled_solve import scaled_solve

# Added to the diagonal of a system, as a share of it.
_JITTER = 1e-13
# What conjugate gradients leave of a force, and products with H that they may take.
_INEXACT, _MOST_PRODUCTS = 1e-3, 200
# Curvatures below this share of the mean are taken for it where they scale a force.
_FLAT = 1e-6
# Least share of the mean weight of its cluster that a feature takes: less might be indefinite.
_LEAST_SHARE = 1e-3
# Shares of a Newton step that are tried, and multiples of the one that leads to a border.
_SHARES, _BORDERS = (1.0, 0.5, 0.25, 0.0625), (64.0, 16.0, 4.0, 1.0 + 1e-9)
# Times the curvature of H at which the norm's own is infinite.
_SHARPEST = 1e10
# Objectives this close, as a share, are equal; then violations this much smaller are better.
_ROUNDING, _BETTER = 1e-14, 0.9


@dataclass(frozen=True)
class RowsProblem:
    """``quadratic + alpha * penalty`` over a working set.

    Parameters
    ----------
    quadratic : Quadratic
        The quadratic, of which H or A is stored.
    penalty : SortedL1
        The norm.
    alpha : float
        Its strength.
    scales : ndarray of shape (n_columns,)
        Length of each column, the unit of violations.
    """

    quadratic: Quadratic
    penalty: SortedL1
    alpha: float
    scales: Array

    @cached_property
    def rows(self) -> Array:
        """H, or the columns of A one after the other."""
        matrix, columns = self.quadratic.gram, self.quadratic.columns
        return np.ascontiguousarray(matrix if columns is None else columns.T)

    @cached_property
    def diagonal(self) -> Array:
        """The diagonal of H."""
        if self.quadratic.gram is not None:
            return np.diag(self.quadratic.gram).copy()
        return np.asarray(np.einsum("ij,ij->i", self.rows, self.rows))

    @cached_property
    def sums(self) -> Array:
        """Sums of the first weights, from zero on."""
        return np.append(0.0, np.cumsum(self.penalty.weights))


class RowsPoint:
    """Coefficients, of which features are tied where lengths are equal bit for bit.

    Parameters
    ----------
    problem : RowsProblem
        The problem.
    coef : ndarray of shape (n_outputs, n_columns)
        Coefficients.
    lengths : ndarray of shape (n_columns,)
        Length of each feature's coefficients, but for rounding.
    """

    def __init__(self, problem: RowsProblem, coef: Array, lengths: Array) -> None:
        self.problem, self.coef, self.lengths = problem, coef, lengths
        #: Of the quadratic.
        self.state: Array = problem.quadratic.origin - coef @ problem.rows

    @classmethod
    def at(cls, problem: RowsProblem, coef: Array) -> RowsPoint:
        """Coefficients of which only values are known."""
        return cls(problem, coef, tied_lengths(coef))

    @cached_property
    def value(self) -> float:
        """Quadratic plus penalty, up to a constant."""
        return self.problem.quadratic.value(self.coef, self.state) + self.cost

    @cached_property
    def cost(self) -> float:
        """The penalty at its strength."""
        return self.problem.alpha * self.problem.penalty.value(self.lengths)

    @cached_property
    def descent(self) -> Array:
        """Minus the gradient of the quadratic."""
        return self.problem.quadratic.descent(self.state)

    @cached_property
    def worst(self) -> float:
        """Largest violation."""
        problem = self.problem
        found = problem.penalty.violations(self.coef, -self.descent, problem.alpha, problem.scales)
        return float(found.max(initial=0.0))

    def is_better(self, other: RowsPoint) -> bool:
        """Whether the value is lower or, where rounding hides that, the violations are smaller."""
        rounding = _ROUNDING * abs(other.value)
        if self.value < other.value - rounding:
            return True
        return self.value <= other.value + rounding and self.worst < _BETTER * other.worst

    def exact(self) -> Array:
        """The coefficients, scaled to their lengths."""
        return self.coef * divide(self.lengths, magnitudes(self.coef))


def tied_lengths(coef: Array) -> Array:
    """Lengths of the features' coefficients, equal bit for bit where they are tied."""
    labels, lengths = cluster_labels(coef), magnitudes(coef)
    used = np.flatnonzero(labels >= 0)
    _, first = np.unique(labels[used], return_index=True)
    lengths[used] = lengths[used[first]][labels[used]]
    return lengths


class Pattern:
    """What is in use, in clusters from the largest length on."""

    def __init__(self, lengths: Array) -> None:
        self._n, used = len(lengths), np.flatnonzero(lengths)
        self.used: Indices = used[np.argsort(-lengths[used], kind="stable")]
        ranked = lengths[self.used]
        self.starts = np.flatnonzero(np.diff(ranked, prepend=np.inf))
        self.sizes = np.diff(self.starts, append=len(ranked))
        self.levels = ranked[self.starts]
        self.cluster = np.repeat(np.arange(len(self.starts)), self.sizes)

    def sums(self, values: Array, axis: int = 0) -> Array:
        """Sums over the members of each cluster."""
        if len(self.starts) == len(self.used):
            return values
        return np.asarray(np.add.reduceat(values, self.starts, axis=axis))

    def members(self, values: Array) -> Array:
        """The value of its cluster for each feature in use."""
        return values[self.cluster]

    def in_order(self, levels: Array) -> Array:
        """The nearest lengths in the order of the clusters, of which those that meet are tied."""
        if not len(levels):
            return levels
        fit = isotonic_regression(levels, weights=self.sizes, increasing=False).x
        return np.maximum(fit, 0.0)

    def border(self, along: Array) -> float:
        """Share of moves of the lengths at which the first clusters meet or become zero."""
        gaps, closing = np.diff(-self.levels, append=0.0), np.diff(along, append=0.0)
        meeting = closing > 0.0
        return float(np.min(gaps[meeting] / closing[meeting], initial=np.inf))

    def placed(self, moved: Array, levels: Array | None = None) -> tuple[Array, Array]:
        """Coefficients and lengths along those in use that were ``moved``.

        Without the lengths of clusters, those nearest to the ones of what was moved.
        """
        if levels is None:
            levels = self.in_order(self.sums(magnitudes(moved)) / self.sizes)
        coef, lengths = np.zeros((len(moved), self._n)), np.zeros(self._n)
        lengths[self.used] = self.members(levels)
        coef[:, self.used] = moved * divide(lengths[self.used], magnitudes(moved))
        return coef, lengths


def newton_ends(
    point: RowsPoint, damping: float, largest: int
) -> Iterator[tuple[float, RowsPoint]]:
    """Shares of a Newton step and their ends, those in the order of the pattern last.

    The last one is where the pattern ends, and clusters meet or become zero.

    Parameters
    ----------
    point : RowsPoint
        Where to begin.
    damping : float
        Share by which the diagonal of H is raised, which shortens steps where it is flat.
    largest : int
        Features in use above which the system is solved by conjugate gradients.
    """
    problem, pattern = point.problem, Pattern(_in_smooth_part(point))
    used = pattern.used
    if not used.size:
        return
    frame = _Frame(point, pattern, damping)
    step = frame.exact_step() if len(used) <= largest else frame.approximate_step()
    if step is None:
        return
    along, move = step
    border = pattern.border(along)
    multiples = [border * multiple for multiple in _BORDERS]
    for share in [*_SHARES, *(share for share in multiples if share < _SHARES[-1])]:
        levels, moved = pattern.levels + share * along, point.coef[:, used] + share * move
        if share >= _SHARES[-1]:
            yield share, RowsPoint(problem, *pattern.placed(moved, np.maximum(levels, 0.0)))
        if share > border:
            yield share, RowsPoint(problem, *pattern.placed(moved, pattern.in_order(levels)))


def _in_smooth_part(point: RowsPoint) -> Array:
    """Lengths, zero where they are so small that the norm has a corner there in any digit."""
    along = np.sum(point.coef * point.descent, axis=0)
    flat = along <= _SHARPEST * point.problem.diagonal * point.lengths**2
    return np.where(flat, point.lengths, 0.0)


def combination(history: list[RowsPoint]) -> RowsPoint | None:
    """The affine combination of iterates whose steps cancel best (Anderson, 1965).

    It keeps the ties and zeros of the last one.
    """
    last, pattern = history[-1], Pattern(history[-1].lengths)
    coefs = np.array([point.coef[:, pattern.used] for point in history])
    steps = np.diff(coefs, axis=0).reshape(len(coefs) - 1, -1)
    system = steps @ steps.T
    trace = float(np.trace(system))
    if not trace > 0.0:
        return None
    system[np.diag_indices_from(system)] += _JITTER * trace
    weights = np.linalg.solve(system, np.ones(len(system)))
    found = np.tensordot(weights / weights.sum(), coefs[1:], axes=1)
    return RowsPoint(last.problem, *pattern.placed(found))


class _Frame:
    """The Newton system at a point."""

    def __init__(self, point: RowsPoint, pattern: Pattern, damping: float) -> None:
        problem, used = point.problem, pattern.used
        self._pattern, self._stored = pattern, problem.quadratic.gram is not None
        self._rows = problem.rows[used]
        if self._stored:
            self._rows = np.ascontiguousarray(self._rows[:, used])
        self._diagonal = problem.diagonal[used]
        self._raised = damping * self._diagonal
        self._pull = point.descent[:, used]
        coef = point.coef[:, used]
        self._directions = coef / magnitudes(coef)
        # what of its cluster's weights each feature takes, which its pull tells
        weights = problem.alpha * pattern.sums(problem.penalty.weights[: len(used)])
        along = self._along(self._pull)
        shares = along + pattern.members((weights - pattern.sums(along)) / pattern.sizes)
        least = _LEAST_SHARE * pattern.members(weights / pattern.sizes)
        self._weights, self._bend = weights, np.maximum(shares, least) / point.lengths[used]

    def _along(self, values: Array) -> Array:
        return np.asarray(np.sum(self._directions * values, axis=0))

    def exact_step(self) -> tuple[Array, Array] | None:
        """Moves of the lengths of clusters and of the coefficients in use; None if singular."""
        pattern = self._pattern
        system = self._rows.copy() if self._stored else self._rows @ self._rows.T
        system[np.diag_indices_from(system)] += self._bend + self._raised
        inverse = _inverse(system)
        if inverse is None:
            return None
        resistance = _inverse(inverse * (self._directions.T @ self._directions))
        if resistance is None:
            return None
        # where lengths are free to move, and the forces that move them elsewhere
        free = self._pull @ inverse
        reached = self._along(free)
        reduced = pattern.sums(pattern.sums(resistance), axis=1).copy()
        reduced[np.diag_indices_from(reduced)] -= pattern.sums(self._bend)
        right = pattern.sums(resistance @ reached) - self._weights
        along = scaled_solve(reduced, right)
        if along is None:
            return None
        force = resistance @ (pattern.members(along) - reached)
        return along, free + (self._directions * force) @ inverse

    def approximate_step(self) -> tuple[Array, Array] | None:
        """The same by conjugate gradients in the space of moves that keep the ties."""
        pattern, sizes = self._pattern, self._pattern.sizes
        rest = self._keeping(self._pull - self._directions * pattern.members(self._weights / sizes))
        move, direction, known = np.zeros_like(rest), np.zeros_like(rest), 1.0
        goal = _INEXACT**2 * float(np.vdot(rest, rest))
        curvatures = self._cluster_curvatures()
        for _ in range(_MOST_PRODUCTS):
            if float(np.vdot(rest, rest)) <= goal:
                break
            ahead = self._preconditioned(rest, curvatures)
            slope = float(np.vdot(rest, ahead))
            direction = ahead + slope / known * direction
            product = self._keeping(self._product(direction))
            curvature = float(np.vdot(direction, product))
            if not curvature > 0.0:
                break
            move += slope / curvature * direction
            rest -= slope / curvature * product
            known = slope
        return pattern.sums(self._along(move)) / sizes, move

    def _product(self, move: Array) -> Array:
        product = move @ self._rows
        if not self._stored:
            product = product @ self._rows.T
        across = move - self._directions * self._along(move)
        return np.asarray(product + self._raised * move + self._bend * across)

    def _keeping(self, move: Array) -> Array:
        """The nearest move that keeps the ties."""
        return self._with_along(move, self._pattern.sums(self._along(move)) / self._pattern.sizes)

    def _with_along(self, move: Array, levels: Array) -> Array:
        """A move whose parts along the directions are replaced."""
        change = self._pattern.members(levels) - self._along(move)
        return np.asarray(move + self._directions * change)

    def _cluster_curvatures(self) -> Array:
        """Curvature along the move of each cluster, per member."""
        pattern, directions = self._pattern, self._directions
        total = np.zeros(len(pattern.sizes))
        for row in directions:
            sums = pattern.sums(self._rows * row[:, None])
            if self._stored:
                # of products with H, those with the cluster's own members
                own = np.take_along_axis(sums, pattern.cluster[None, :], axis=0)[0]
                total += pattern.sums(own * row)
            else:
                total += np.einsum("ij,ij->i", sums, sums)
        total += pattern.sums(self._raised)
        return np.maximum(total / pattern.sizes, _FLAT * self._diagonal.mean())

    def _preconditioned(self, rest: Array, curvatures: Array) -> Array:
        levels = self._pattern.sums(self._along(rest)) / self._pattern.sizes
        return self._with_along(rest / (self._diagonal + self._bend), levels / curvatures)


def _inverse(matrix: Array) -> Array | None:
    """Inverse of a positive definite matrix, None where it is not."""
    roots = np.sqrt(np.maximum(np.diag(matrix), 0.0))
    if not (roots > 0.0).all():
        return None
    units = np.outer(roots, roots)
    scaled = matrix / units
    scaled[np.diag_indices_from(scaled)] += _JITTER
    factor, failed = scipy.linalg.lapack.dpotrf(scaled, lower=1)
    if failed:
        return None
    lower, failed = scipy.linalg.lapack.dpotri(factor, lower=1)
    if failed:
        return None
    lower = np.tril(lower)
    return np.asarray((lower + np.tril(lower, -1).T) / units)
