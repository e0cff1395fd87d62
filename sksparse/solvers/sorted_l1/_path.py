"""Paths of a loss with a sorted L1 penalty, in batches over candidate features."""

from __future__ import annotations

import numpy as np

from sksparse._typing import Array, Indices, Mask
from sksparse.penalties import SortedL1
from sksparse.penalties._sorted_l1 import magnitudes
from sksparse.solvers._problem import Problem
from sksparse.solvers.convex._path import BatchedPath, Tuning
from sksparse.solvers.convex._path_candidates import SquaredCandidates
from sksparse.solvers.sorted_l1._working import SortedWorking

TUNING = Tuning()
# Multiples of the violations that a gap allows for certain, at which it most often is small enough
# where the tolerance is not below the second number: smaller ones are met all at once.
_STAGES, _LARGE = (30.0, 10.0, 3.0), 1e-5
# Strengths so many times weaker than the first are reached in steps of about such a factor, unless
# they are as good as zero.
_FAR, _FURTHEST, _STEP = 30.0, 1e8, 3.0
# Share of the tolerance that the gap over the candidates may take.
_SHARE = 0.95


class SortedPath(BatchedPath):
    """The points of a path of a sorted L1 penalty, whose units are features.

    Candidates are those of the strong rule for sorted norms (Larsson, Bogdan and Wallin, 2020).

    Parameters
    ----------
    problem, alphas, tol
        As in :class:`BatchedPath`.
    """

    def __init__(self, problem: Problem, alphas: Array, tol: float) -> None:
        penalty = problem.penalty_as(SortedL1)
        self._weights = penalty.weights
        self._totals = np.cumsum(self._weights)
        super().__init__(problem, alphas, tol, TUNING)
        before = leading(penalty.dual_norm(self._gradient), float(alphas[0]))
        self._alphas = np.concatenate((before, alphas))

    def _working(self, units: Indices) -> SortedWorking:
        return SortedWorking(self.problem.penalty_as(SortedL1), units, self.problem.centred.scales)

    def _in_use(self, coef: Array) -> Mask:
        return magnitudes(coef) > 0.0

    def _foreseen(self, gradient: Array, alpha: float, live: Mask) -> Indices:
        rest = np.flatnonzero(~live)
        weights = alpha * self._weights[len(live) - len(rest) :]
        return rest[over_full(magnitudes(gradient[..., rest]), weights)]

    def _excess(self, gradients: Array, alphas: Array) -> tuple[Array, Mask]:
        largest = np.zeros(len(alphas))
        for k, alpha in enumerate(alphas.tolist()):
            pull = magnitudes(gradients[k])
            order = over_full(pull, alpha * self._weights)
            norms = np.cumsum(pull[order]) / self._totals[: len(order)]
            largest[k] = max(norms.max(initial=0.0) - alpha, 0.0)
        # the gap says whether a feature is missing
        return largest, np.zeros(len(alphas), dtype=np.bool_)

    def _at_fault(self, coefs: Array, gradients: Array, alphas: Array) -> Indices:
        wrong = np.zeros(coefs.shape[-1], dtype=np.bool_)
        for coef, gradient, alpha in zip(coefs, gradients, alphas.tolist(), strict=True):
            zero = np.flatnonzero(~self._in_use(coef))
            weights = alpha * self._weights[len(wrong) - len(zero) :]
            wrong[zero[over_full(magnitudes(gradient[..., zero]), weights)]] = True
        return np.flatnonzero(wrong)

    def _minimise(self, alpha: float, start: Array, goal: float, live: Mask) -> Array:
        """Coefficients of the candidates; a large tolerance is met long before it is certain."""
        candidates, coef = self._candidates, start
        if self._tol >= _LARGE and isinstance(candidates, SquaredCandidates):
            for stage in (0.0, *_STAGES):
                if stage > 0.0:
                    tol = stage * self._inner_tolerance(alpha, goal)
                    coef = candidates.minimise(alpha, coef, tol, live)
                if candidates.relative_gap(alpha, coef) <= _SHARE * goal * self._tol:
                    return coef
        return super()._minimise(alpha, coef, goal, live)

    def _ahead(self, coef: Array, move: Array) -> Array:
        """The end of a move of clusters, but for those at zero or that would change their sign."""
        levels, cluster = np.unique(np.abs(coef), return_inverse=True)
        along = np.bincount(cluster, np.sign(coef) * move) / np.bincount(cluster)
        ahead = np.where(levels > 0.0, np.maximum(levels + along, 0.0), 0.0)
        return np.copysign(ahead[cluster], coef)


def leading(highest: float, alpha: float) -> Array:
    """Strengths on the way from the largest one at which something is selected to a weak one.

    Without a start near by, descent on many more features than samples can be used goes from
    pattern to pattern.
    """
    if not _FAR * alpha < highest < _FURTHEST * alpha:
        return np.empty(0)
    n_steps = int(np.ceil(np.log(highest / alpha) / np.log(_STEP)))
    return np.geomspace(highest, alpha, n_steps + 1)[1:-1]


def over_full(pull: Array, weights: Array) -> Indices:
    """Positions of the largest pulls, up to where their sum exceeds that of the weights most.

    Pulls below the weights of all prefixes that hold them add nothing, and are not sorted.

    Parameters
    ----------
    pull : ndarray of shape (n,)
        Not negative.
    weights : ndarray of shape (n,)
        Not increasing.
    """
    above, known = np.flatnonzero(pull > weights[-1:]), 2 * len(pull)
    while 0 < len(above) <= 0.9 * known:
        known = len(above)
        above = above[pull[above] > weights[known - 1]]
    order = above[np.argsort(-pull[above], kind="stable")]
    excess = np.cumsum(pull[order] - weights[: len(order)])
    if not order.size or excess.max() <= 0.0:
        return order[:0]
    return order[: int(excess.argmax()) + 1]
