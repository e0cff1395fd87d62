"""Paths of a loss with a block penalty: strengths are solved in batches.

A batch of strengths is solved over candidate groups alone, chosen by the strong rule (Tibshirani et
al., 2012), and each from the line through the two before it. Then one product of
matrices checks them all against all features; where groups outside of the candidates violate
optimality, these join them and the points from the first such one on are solved again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from sksparse._interrupts import check
from sksparse._typing import Array, Indices, Mask
from sksparse.penalties import BlockPenalty
from sksparse.solvers._problem import Problem
from sksparse.solvers.convex._newton_candidates import ByNewton
from sksparse.solvers.convex._path_candidates import ByCovariances, ByResiduals, Candidates


@dataclass(frozen=True)
class Tuning:
    """How a path is cut into batches.

    Parameters
    ----------
    first, most : int
        Strengths in the first batch, and at most. Batches without a violation double.
    slack : float
        A group is a candidate where its dual norm, on the line through the two points before, is
        above this share of the smallest strength of a batch.
    first_groups, growth : int, float
        Candidates that a batch may add before it is solved, in groups and as a share of those that
        there are.
    goal : float
        Share of the tolerance of the gap that is aimed at.
    sharper : float
        Share of that where the gap of a point is still too large.
    rounds : int
        Checks of a batch.
    exceeds : float
        Share of a strength by which a dual norm may exceed it, which is rounding.
    largest : int
        Features of candidates up to which batches are solved.
    covariance : float
        Products of candidates with all features are kept where there are so many times as many
        samples as features.
    """

    first: int = 4
    most: int = 16
    slack: float = 0.98
    first_groups: int = 10
    growth: float = 0.25
    goal: float = 1.0
    sharper: float = 0.1
    rounds: int = 20
    exceeds: float = 1e-9
    largest: int = 10000
    covariance: float = 10.0


TUNING = Tuning()


class PathPoint(NamedTuple):
    """An answer of a path.

    Parameters
    ----------
    alpha : float
        Strength.
    coef, gradient : ndarray of shape (n_features,) or (n_outputs, n_features)
        Coefficients, and the gradient there of what is smooth.
    objective : float
        Value of the objective.
    violation : float
        Largest violation of optimality over the candidates.
    residual : float
        Root mean square of the loss's derivatives.
    level : float or ndarray of shape (n_outputs,)
        Intercept for centred columns.
    n_checks : int
        How often the batch was checked.
    """

    alpha: float
    coef: Array
    gradient: Array
    objective: float
    violation: float
    residual: float
    level: Any
    n_checks: int


class BlockPath:
    """The points of a path, computed in batches from the largest strength down.

    Parameters
    ----------
    problem : Problem
        A loss with a block penalty, at any strength, and features of moderate scale.
    alphas : ndarray of shape (n_points,)
        Strengths, decreasing and positive.
    tol : float
        Tolerance of the duality gap, relative to the objective of each point.
    """

    def __init__(self, problem: Problem, alphas: Array, tol: float) -> None:
        self._problem, self._alphas, self._tol = problem, alphas, tol
        self._penalty = problem.penalty_as(BlockPenalty)
        derivatives = problem.loss.gradient(problem.null_predictor)
        self._gradient = problem.gradient_over(problem.null_coef, derivatives)
        n, p = problem.design.n_samples, problem.design.n_features
        kind: Callable[..., Candidates] = ByResiduals
        if not problem.loss.quadratic:
            kind = ByNewton
        elif n >= TUNING.covariance * p:
            kind = ByCovariances
        self._candidates = kind(problem, self._gradient)
        self._size, self._ratio, self.points = TUNING.first, 1.0, list[PathPoint]()

    @property
    def covariances(self) -> bool:
        """Whether gradients are made of covariances, in float64, with nothing to refit."""
        exact = self._problem.design.dtype == np.float64 and not self._penalty.bounded
        free = self._penalty.unpenalised().size > 0
        return isinstance(self._candidates, ByCovariances) and exact and not free

    def next_batch(self) -> list[PathPoint]:
        """The next points; none where the candidates have become too many."""
        done = len(self.points)
        batch = self._alphas[done : done + self._size]
        live = self._predict(float(batch[-1]))
        starts: list[Array] = []
        goal, n_checks = TUNING.goal, 0
        while len(self.points) < done + len(batch):
            if len(self._candidates.features) > TUNING.largest or n_checks == TUNING.rounds:
                break
            left = batch[len(self.points) - done :]
            found = self._solve(left, live, starts, goal)
            n_checks += 1
            accepted, wrong = self._check(left, found, n_checks)
            starts = found[accepted:]
            if not live[wrong].all():
                live[wrong] = True
                self._candidates.admit(wrong)
            elif accepted < len(left):
                goal *= TUNING.sharper
        self._size = min(2 * self._size, TUNING.most) if n_checks == 1 else max(self._size // 2, 2)
        return self.points[done:]

    def _predict(self, alpha: float) -> Mask:
        """The groups in use, and those likely to enter down to a strength, as candidates."""
        penalty, gradient = self._penalty, self._gradient
        live = np.zeros(len(penalty.l2), dtype=np.bool_)
        live[penalty.blocks.labels[penalty.unpenalised()]] = True
        if self.points:
            gradient = self.points[-1].gradient
            live |= penalty.blocks.norms(self.points[-1].coef) > 0.0
        if len(self.points) > 1:
            last, before = self.points[-1], self.points[-2]
            ahead = (alpha - last.alpha) / (last.alpha - before.alpha)
            gradient = gradient + ahead * (gradient - before.gradient)
        excess = self._beyond(gradient[None], np.array([TUNING.slack * alpha]))[0]
        excess[live] = 0.0
        most = max(TUNING.first_groups, int(TUNING.growth * np.count_nonzero(live)))
        likely = np.argsort(-excess, kind="stable")[:most]
        live[likely[excess[likely] > 0.0]] = True
        self._candidates.admit(np.flatnonzero(live))
        return live

    def _beyond(self, gradients: Array, alphas: Array) -> Array:
        """About by how much the dual norm of each group exceeds the strength, at each point."""
        if self._penalty.bounded:
            norms = np.array([self._penalty.group_dual_norms(g) for g in gradients])
            return np.maximum(norms - alphas[:, None], 0.0)
        return beyond(self._penalty, gradients, alphas)

    def _solve(self, alphas: Array, live: Mask, starts: list[Array], goal: float) -> list[Array]:
        """Coefficients of the candidates at each strength."""
        candidates, found = self._candidates, list[Array]()
        before = [(point.alpha, candidates.reduced(point.coef)) for point in self.points[-2:]]
        for k, alpha in enumerate(alphas.tolist()):
            check()
            known = candidates.padded(starts[k]) if k < len(starts) else None
            start = self._line(before, alpha) if known is None else known
            coef = candidates.minimise(alpha, start, self._inner_tolerance(alpha, goal), live)
            found.append(coef)
            before = [*before[-1:], (alpha, coef)]
        return found

    def _line(self, before: list[tuple[float, Array]], alpha: float) -> Array:
        """Where the line through two answers is at a strength, but for what was zero last."""
        if not before:
            return self._candidates.reduced(self._problem.null_coef)
        last, coef = before[-1]
        if len(before) == 1:
            return coef
        first, other = before[0]
        ahead = coef + (coef - other) * ((alpha - last) / (last - first))
        return np.where(coef * ahead > 0.0, ahead, 0.0)

    def _inner_tolerance(self, alpha: float, goal: float) -> float:
        """Violations that a duality gap of the tolerance allows, about."""
        return goal * self._tol * self._ratio * alpha * self._candidates.unit

    def _check(self, alphas: Array, found: list[Array], n_checks: int) -> tuple[int, Indices]:
        """Accept points up to the first that is not optimal; how many, and the groups at fault."""
        candidates, penalty = self._candidates, self._penalty
        gradients, losses = candidates.gradients(np.array(found))
        coefs = [candidates.expanded(coef) for coef in found]
        if penalty.ridge:
            gradients += penalty.ridge * np.array(coefs)
        excess = self._beyond(gradients, alphas)
        outside = np.ones(excess.shape[1], dtype=np.bool_)
        outside[candidates.groups] = False
        accepted = 0
        for k, alpha in enumerate(alphas.tolist()):
            value = penalty.value(coefs[k])
            objective = losses[k] + penalty.cost(coefs[k], alpha)
            share = alpha / (alpha + excess[k].max())
            slack = alpha * value + share * float(np.vdot(coefs[k], gradients[k]))
            gap = max(slack, 0.0) + candidates.loss_gap(k, share)
            missing = excess[k][outside].max(initial=0.0) > TUNING.exceeds * alpha
            if missing or gap > self._tol * objective:
                break
            violation = candidates.violation(found[k], gradients[k], alpha)
            self.points.append(
                PathPoint(
                    alpha=alpha,
                    coef=coefs[k],
                    gradient=gradients[k],
                    objective=objective,
                    violation=violation,
                    residual=candidates.residual(k),
                    level=candidates.level(k),
                    n_checks=n_checks,
                )
            )
            if objective > 0.0:
                self._ratio = objective / max(alpha * value, self._tol * objective)
            accepted += 1
        return accepted, np.flatnonzero((excess[accepted:] > 0.0).any(axis=0))


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
