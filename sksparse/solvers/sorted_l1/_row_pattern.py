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
from sksparse.solvers.convex._scaled_solve import scaled_solve

# Added to the diagonal of a system, as a share of it.
_JITTER = 1e-13
# Objectives this close, as a share, are equal; then violations this much smaller are better.
_ROUNDING, _BETTER = 1e-14, 0.9


@dataclass(frozen=True)
class RowsProblem:
    """``sum_o w_o^T H w_o / 2 - q_o^T w_o + alpha * penalty(w)`` over a working set.

    Parameters
    ----------
    matrix : ndarray of shape (n_columns, n_columns)
        H.
    linear : ndarray of shape (n_outputs, n_columns)
        The q of each output.
    penalty : SortedL1
        The norm.
    alpha : float
        Its strength.
    scales : ndarray of shape (n_columns,)
        Length of each column, the unit of violations.
    """

    matrix: Array
    linear: Array
    penalty: SortedL1
    alpha: float
    scales: Array


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
        #: Minus the gradient of the quadratic.
        self.descent: Array = problem.linear - coef @ problem.matrix

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
        smooth = -0.5 * float(np.vdot(self.coef, problem.linear + self.descent))
        return smooth + problem.alpha * problem.penalty.value(self.lengths)

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
        self._cluster = np.repeat(np.arange(len(self.starts)), self.sizes)

    def sums(self, values: Array, axis: int = 0) -> Array:
        """Sums over the members of each cluster."""
        if len(self.starts) == len(self.used):
            return values
        return np.asarray(np.add.reduceat(values, self.starts, axis=axis))

    def members(self, values: Array) -> Array:
        """The value of its cluster for each feature in use."""
        return values[self._cluster]

    def in_order(self, levels: Array) -> Array:
        """The nearest lengths in the order of the clusters, of which those that meet are tied."""
        fit = isotonic_regression(levels, weights=self.sizes, increasing=False).x
        return np.maximum(fit, 0.0)


def newton_ends(point: RowsPoint, shares: tuple[float, ...]) -> Iterator[RowsPoint]:
    """Ends of shares of a Newton step, those in the order of the pattern after those as they are.

    None where the system is singular.
    """
    problem, pattern = point.problem, _Pattern(point.lengths)
    used = pattern.used
    step = _newton_step(point, pattern)
    if step is None:
        return
    along, move = step
    for share in shares:
        levels = pattern.levels + share * along
        ends = [np.maximum(levels, 0.0)]
        if (np.diff(levels) > 0.0).any():
            ends.append(pattern.in_order(levels))
        moved = point.coef[:, used] + share * move
        directions = moved * divide(np.ones(len(used)), magnitudes(moved))
        for end in ends:
            coef, lengths = np.zeros_like(point.coef), np.zeros_like(point.lengths)
            lengths[used] = pattern.members(end)
            coef[:, used] = directions * lengths[used]
            yield RowsPoint(problem, coef, lengths)


def _newton_step(point: RowsPoint, pattern: _Pattern) -> tuple[Array, Array] | None:
    """Moves of the lengths of clusters and of the coefficients in use; None if singular."""
    problem, used = point.problem, pattern.used
    coef, pull = point.coef[:, used], point.descent[:, used]
    directions = coef / magnitudes(coef)
    # a pull against its direction would make the system indefinite
    bend = np.maximum(np.sum(directions * pull, axis=0), 0.0) / point.lengths[used]
    system = problem.matrix[np.ix_(used, used)]
    system[np.diag_indices_from(system)] += bend + _JITTER * np.diag(system)
    inverse = _inverse(system)
    if inverse is None:
        return None
    radial = inverse * (directions.T @ directions)
    radial[np.diag_indices_from(radial)] *= 1.0 + _JITTER
    resistance = _inverse(radial)
    if resistance is None:
        return None
    # where lengths are free to move, and the forces that move them elsewhere
    free = pull @ inverse
    reached = np.sum(directions * free, axis=0)
    reduced = pattern.sums(pattern.sums(resistance), axis=1).copy()
    reduced[np.diag_indices_from(reduced)] -= pattern.sums(bend)
    weights = pattern.sums(problem.penalty.weights[: len(used)])
    right = pattern.sums(resistance @ reached) - problem.alpha * weights
    along = scaled_solve(reduced, right)
    if along is None:
        return None
    force = resistance @ (pattern.members(along) - reached)
    return along, free + (directions * force) @ inverse


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
