"""Paths of a loss with a block penalty, in batches over candidate groups."""

from __future__ import annotations

import numpy as np

from sksparse._typing import Array, Indices, Mask
from sksparse.penalties import BlockPenalty
from sksparse.solvers._problem import Problem
from sksparse.solvers.convex._block_subproblem import EigenBlocks, Working
from sksparse.solvers.convex._path import BatchedPath, Tuning

TUNING = Tuning()
# Share of a strength by which a dual norm may exceed it, which is rounding.
_ROUNDING = 1e-9


class BlockPath(BatchedPath):
    """The points of a path of a block penalty, whose units are groups.

    Parameters
    ----------
    problem, alphas, tol
        As in :class:`BatchedPath`.
    """

    def __init__(self, problem: Problem, alphas: Array, tol: float) -> None:
        self._blocks = problem.penalty_as(BlockPenalty)
        self._known: EigenBlocks | None = {} if problem.loss.quadratic else None
        super().__init__(problem, alphas, tol, TUNING)

    def _working(self, units: Indices) -> Working:
        return Working(self._blocks, units, self.problem.centred.scales, self._known)

    def _in_use(self, coef: Array) -> Mask:
        blocks = self._blocks.blocks
        used = np.asarray(blocks.norms(coef) > 0.0)
        used[blocks.labels[self._blocks.unpenalised()]] = True
        return used

    def _foreseen(self, gradient: Array, alpha: float, live: Mask) -> Indices:
        excess = self._beyond(gradient[None], np.array([alpha]))[0]
        excess[live] = 0.0
        likely = np.argsort(-excess, kind="stable")
        return likely[: np.count_nonzero(excess)]

    def _excess(self, gradients: Array, alphas: Array) -> tuple[Array, Mask]:
        excess = self._beyond(gradients, alphas)
        outside = np.ones(excess.shape[1], dtype=np.bool_)
        outside[self._candidates.units] = False
        missing = excess[:, outside].max(axis=1, initial=0.0) > _ROUNDING * alphas
        return excess.max(axis=1), missing

    def _at_fault(self, coefs: Array, gradients: Array, alphas: Array) -> Indices:
        return np.flatnonzero(self._beyond(gradients, alphas).any(axis=0))

    def _beyond(self, gradients: Array, alphas: Array) -> Array:
        """About by how much the dual norm of each group exceeds the strength, at each point."""
        if self._blocks.bounded:
            norms = np.array([self._blocks.group_dual_norms(g) for g in gradients])
            return np.maximum(norms - alphas[:, None], 0.0)
        return beyond(self._blocks, gradients, alphas)


def beyond(penalty: BlockPenalty, gradients: Array, alphas: Array) -> Array:
    """By how much the dual norms of groups exceed strengths, without bounds; zero where not at all.

    A step of Newton's method from the strength, which is exact without an L1 norm.

    Parameters
    ----------
    penalty : BlockPenalty
        The penalty.
    gradients : ndarray of shape (n_points, n_features) or (n_points, n_outputs, n_features)
        Gradients.
    alphas : ndarray of shape (n_points,)
        Strengths.
    """
    blocks = penalty.blocks
    heads = blocks.order[blocks.pointers[:-1]]
    l1, alphas = penalty.l1[heads], alphas[:, None]
    left = np.abs(gradients)
    if l1.any():
        thresholds = alphas * penalty.l1
        left -= thresholds if left.ndim == 2 else thresholds[:, None]
        np.maximum(left, 0.0, out=left)
    norms = np.sqrt(_sums(blocks.order, blocks.pointers, left * left))
    over = norms - alphas * penalty.l2
    slopes = np.broadcast_to(penalty.l2, over.shape)
    if l1.any():
        totals = _sums(blocks.order, blocks.pointers, left)
        slopes = slopes + l1 * np.divide(totals, norms, out=np.zeros_like(norms), where=norms > 0)
    over = np.divide(over, slopes, out=np.zeros_like(norms), where=slopes > 0.0)
    return np.maximum(over, 0.0)


def _sums(order: Indices, pointers: Indices, values: Array) -> Array:
    """Sums over the groups and outputs, for each point."""
    total = values if values.ndim == 2 else values.sum(axis=1)
    if np.any(order[1:] < order[:-1]):
        total = total[:, order]
    return np.add.reduceat(total, pointers[:-1], axis=1)
