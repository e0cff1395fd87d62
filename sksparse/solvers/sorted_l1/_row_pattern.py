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
        labels, lengths = cluster_labels(coef), magnitudes(coef)
        used = np.flatnonzero(labels >= 0)
        _, first = np.unique(labels[used], return_index=True)
        lengths[used] = lengths[used[first]][labels[used]]
        return cls(problem, coef, lengths)

    @cached_property
    def value(self) -> float:
        """Quadratic plus penalty, up to a constant."""
        problem = self.problem
        smooth = problem.quadratic.value(self.coef, self.state)
        return smooth + problem.alpha * problem.penalty.value(self.lengths)

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


class _Pattern:
    """What is in use, in clusters from the largest length on."""

    def __init__(self, lengths: Array) -> None:
        used = np.flatnonzero(lengths)
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
        fit = isotonic_regression(levels, weights=self.sizes, increasing=False).x
        return np.maximum(fit, 0.0)

    def placed(self, problem: RowsProblem, moved: Array, levels: Array) -> RowsPoint:
        """Coefficients in use along those that were ``moved``, with the lengths of clusters."""
        coef, lengths = np.zeros((len(moved), len(problem.scales))), np.zeros(len(problem.scales))
        lengths[self.used] = self.members(levels)
        coef[:, self.used] = moved * divide(lengths[self.used], magnitudes(moved))
        return RowsPoint(problem, coef, lengths)


def newton_ends(point: RowsPoint, shares: tuple[float, ...], largest: int) -> Iterator[RowsPoint]:
    """Ends of shares of a Newton step, those in the order of the pattern after those as they are.

    Systems with more features in use than ``largest`` are solved by conjugate gradients. There is
    no end where a system is singular.
    """
    problem, pattern = point.problem, _Pattern(point.lengths)
    used = pattern.used
    frame = _Frame(point, pattern)
    step = frame.exact_step() if len(used) <= largest else frame.approximate_step()
    if step is None:
        return
    along, move = step
    for share in shares:
        levels, moved = pattern.levels + share * along, point.coef[:, used] + share * move
        yield pattern.placed(problem, moved, np.maximum(levels, 0.0))
        if (np.diff(levels) > 0.0).any():
            yield pattern.placed(problem, moved, pattern.in_order(levels))


def combination(history: list[RowsPoint]) -> RowsPoint | None:
    """The affine combination of iterates whose steps cancel best (Anderson, 1965).

    It keeps the ties and zeros of the last one.
    """
    last, pattern = history[-1], _Pattern(history[-1].lengths)
    coefs = np.array([point.coef[:, pattern.used] for point in history])
    steps = np.diff(coefs, axis=0).reshape(len(coefs) - 1, -1)
    system = steps @ steps.T
    trace = float(np.trace(system))
    if not trace > 0.0:
        return None
    system[np.diag_indices_from(system)] += _JITTER * trace
    weights = np.linalg.solve(system, np.ones(len(system)))
    found = np.tensordot(weights / weights.sum(), coefs[1:], axes=1)
    levels = pattern.sums(magnitudes(found)) / pattern.sizes
    return pattern.placed(last.problem, found, pattern.in_order(levels))


class _Frame:
    """The Newton system at a point."""

    def __init__(self, point: RowsPoint, pattern: _Pattern) -> None:
        problem, used = point.problem, pattern.used
        self._pattern, self._stored = pattern, problem.quadratic.gram is not None
        self._rows = problem.rows[used]
        if self._stored:
            self._rows = np.ascontiguousarray(self._rows[:, used])
        self._diagonal = problem.diagonal[used]
        self._pull = point.descent[:, used]
        coef = point.coef[:, used]
        self._directions = coef / magnitudes(coef)
        # a pull against its direction would make the system indefinite
        along = np.maximum(self._along(self._pull), 0.0)
        self._bend = along / point.lengths[used]
        self._weights = problem.alpha * pattern.sums(problem.penalty.weights[: len(used)])

    def _along(self, values: Array) -> Array:
        return np.asarray(np.sum(self._directions * values, axis=0))

    def exact_step(self) -> tuple[Array, Array] | None:
        """Moves of the lengths of clusters and of the coefficients in use; None if singular."""
        pattern = self._pattern
        system = self._rows.copy() if self._stored else self._rows @ self._rows.T
        system[np.diag_indices_from(system)] += self._bend + _JITTER * self._diagonal
        inverse = _inverse(system)
        if inverse is None:
            return None
        radial = inverse * (self._directions.T @ self._directions)
        radial[np.diag_indices_from(radial)] *= 1.0 + _JITTER
        resistance = _inverse(radial)
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
        return np.asarray(product + self._bend * (move - self._directions * self._along(move)))

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
        return np.maximum(total / pattern.sizes, _FLAT * self._diagonal.mean())

    def _preconditioned(self, rest: Array, curvatures: Array) -> Array:
        levels = self._pattern.sums(self._along(rest)) / self._pattern.sizes
        return self._with_along(rest / (self._diagonal + self._bend), levels / curvatures)


def _inverse(matrix: Array) -> Array | None:
    """Inverse of a positive definite matrix, None where it is not."""
    factor, failed = scipy.linalg.lapack.dpotrf(matrix, lower=1)
    if failed:
        return None
    lower, failed = scipy.linalg.lapack.dpotri(factor, lower=1)
    if failed:
        return None
    lower = np.tril(lower)
    return np.asarray(lower + np.tril(lower, -1).T)
