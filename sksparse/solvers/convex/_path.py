"""Paths of a loss with a convex penalty: strengths are solved in batches.

A batch of strengths is solved over candidate units (groups, or single features) alone, chosen by
the strong rule (Tibshirani et al., 2012), and each from the line through the two before it. Then
one product of matrices checks them all against all features; where units outside of the candidates
violate optimality, these join them and the points from the first such one on are solved again.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from sksparse._interrupts import check
from sksparse._typing import Array, Indices, Mask
from sksparse.penalties import ConvexPenalty
from sksparse.solvers._problem import Problem
from sksparse.solvers._solution import Certificate, Solution, Status
from sksparse.solvers.convex._base import VIOLATION, ConvexSolver
from sksparse.solvers.convex._duality import Known, duality_gaps
from sksparse.solvers.convex._newton_candidates import ByNewton
from sksparse.solvers.convex._path_candidates import (
    ByCovariances,
    ByResiduals,
    Candidates,
    SquaredCandidates,
)
from sksparse.solvers.convex._probe import Probe
from sksparse.solvers.convex._working_set import WorkingSet

_TINY = float(np.finfo(np.float64).tiny)


@dataclass(frozen=True)
class Tuning:
    """How a path is cut into batches.

    Parameters
    ----------
    first, most : int
        Strengths in the first batch, and at most. Batches without a violation double.
    slack : float
        A unit is a candidate where it would exceed this share of the smallest strength of a
        batch, on the line through the two points before.
    first_units, growth : int, float
        Candidates that a batch may add before it is solved, in units and as a share of those that
        there are.
    goal : float
        Share of the tolerance of the gap that is aimed at.
    sharper : float
        Share of that where the gap of a point is still too large.
    rounds : int
        Checks of a batch.
    largest : int
        Features of candidates up to which batches are solved.
    covariance : float
        Products of candidates with all features are kept where there are so many times as many
        samples as features.
    """

    first: int = 4
    most: int = 16
    slack: float = 0.98
    first_units: int = 10
    growth: float = 0.25
    goal: float = 1.0
    sharper: float = 0.1
    rounds: int = 20
    largest: int = 10000
    covariance: float = 10.0


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


class BatchedPath(ABC):
    """The points of a path, computed in batches from the largest strength down.

    A subclass says what the units of its penalty are, and which of them are at fault.

    Parameters
    ----------
    problem : Problem
        A loss with a convex penalty, at any strength, and features of moderate scale.
    alphas : ndarray of shape (n_points,)
        Strengths, decreasing and positive.
    tol : float
        Tolerance of the duality gap, relative to the objective of each point.
    tuning : Tuning
        How it is cut into batches.
    """

    def __init__(self, problem: Problem, alphas: Array, tol: float, tuning: Tuning) -> None:
        self.problem, self._alphas, self._tol, self.tuning = problem, alphas, tol, tuning
        self._penalty = problem.penalty_as(ConvexPenalty)
        derivatives = problem.loss.gradient(problem.null_predictor)
        self._gradient = problem.gradient_over(problem.null_coef, derivatives)
        self._candidates = self._first_candidates()
        self._size, self._ratio, self.points = tuning.first, 1.0, list[PathPoint]()

    def _first_candidates(self) -> Candidates:
        """What solves and checks points, with the candidates that there always are."""
        problem, tuning = self.problem, self.tuning
        always = np.flatnonzero(self._in_use(problem.null_coef))
        about = problem, self._gradient, self._working, always
        if not problem.loss.quadratic:
            return ByNewton(*about)
        n, p = problem.design.n_samples, problem.design.n_features
        by_covariances = n >= tuning.covariance * p
        kind: type[SquaredCandidates] = ByCovariances if by_covariances else ByResiduals
        return kind(*about)

    @abstractmethod
    def _working(self, units: Indices) -> WorkingSet:
        """The penalty over some units."""

    @abstractmethod
    def _in_use(self, coef: Array) -> Mask:
        """The units with coefficients that are not zero, and those that are always candidates."""

    @abstractmethod
    def _foreseen(self, gradient: Array, alpha: float, live: Mask) -> Indices:
        """Units beside the live ones that exceed a strength, those that do most first."""

    @abstractmethod
    def _excess(self, gradients: Array, alphas: Array) -> tuple[Array, Mask]:
        """By how much dual norms of gradients exceed the strengths, zero where not at all.

        And whether units outside of the candidates do, by more than rounding.
        """

    @abstractmethod
    def _at_fault(self, coefs: Array, gradients: Array, alphas: Array) -> Indices:
        """The units that exceed the strength at any of some points."""

    @property
    def gradients_serve(self) -> bool:
        """Whether gradients are those of answers in float64, with nothing to refit."""
        penalty = self._penalty
        unbounded = all(np.isinf(bound).all() for bound in penalty.bounds)
        exact = self.problem.design.dtype == np.float64 and unbounded
        free = penalty.unpenalised().size > 0
        return exact and not free

    def next_batch(self) -> list[PathPoint]:
        """The next points; none where the candidates have become too many."""
        done, tuning = len(self.points), self.tuning
        batch = self._alphas[done : done + self._size]
        live = self._predict(float(batch[-1]))
        starts: list[Array] = []
        goal, n_checks = tuning.goal, 0
        while len(self.points) < done + len(batch):
            if len(self._candidates.features) > tuning.largest or n_checks == tuning.rounds:
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
                goal *= tuning.sharper
        self._size = min(2 * self._size, tuning.most) if n_checks == 1 else max(self._size // 2, 2)
        return self.points[done:]

    def _predict(self, alpha: float) -> Mask:
        """The units in use, and those likely to enter down to a strength, as candidates."""
        tuning, gradient, live = self.tuning, self._gradient, self._in_use(self.problem.null_coef)
        if self.points:
            gradient = self.points[-1].gradient
            live |= self._in_use(self.points[-1].coef)
        if len(self.points) > 1:
            last, before = self.points[-1], self.points[-2]
            ahead = (alpha - last.alpha) / (last.alpha - before.alpha)
            gradient = gradient + ahead * (gradient - before.gradient)
        most = max(tuning.first_units, int(tuning.growth * np.count_nonzero(live)))
        live[self._foreseen(gradient, tuning.slack * alpha, live)[:most]] = True
        self._candidates.admit(np.flatnonzero(live))
        return live

    def _solve(self, alphas: Array, live: Mask, starts: list[Array], goal: float) -> list[Array]:
        """Coefficients of the candidates at each strength."""
        candidates, found = self._candidates, list[Array]()
        before = [(point.alpha, candidates.reduced(point.coef)) for point in self.points[-2:]]
        for k, alpha in enumerate(alphas.tolist()):
            check()
            known = candidates.padded(starts[k]) if k < len(starts) else None
            start = self._line(before, alpha) if known is None else known
            coef = self._minimise(alpha, start, goal, live)
            found.append(coef)
            before = [*before[-1:], (alpha, coef)]
        return found

    def _line(self, before: list[tuple[float, Array]], alpha: float) -> Array:
        """Where the line through two answers is at a strength."""
        if not before:
            return self._candidates.reduced(self.problem.null_coef)
        last, coef = before[-1]
        if len(before) == 1:
            return coef
        first, other = before[0]
        return self._ahead(coef, (coef - other) * ((alpha - last) / (last - first)))

    def _ahead(self, coef: Array, move: Array) -> Array:
        """The end of a move, but for what was zero or would change its sign."""
        ahead = coef + move
        return np.where(coef * ahead > 0.0, ahead, 0.0)

    def _minimise(self, alpha: float, start: Array, goal: float, live: Mask) -> Array:
        """Coefficients of the candidates whose gap is about so much of the tolerance."""
        tol = self._inner_tolerance(alpha, goal)
        return self._candidates.minimise(alpha, start, tol, live)

    def _inner_tolerance(self, alpha: float, goal: float) -> float:
        """Violations that a duality gap of the tolerance allows, about."""
        return goal * self._tol * self._ratio * alpha * self._candidates.unit

    def _check(self, alphas: Array, found: list[Array], n_checks: int) -> tuple[int, Indices]:
        """Accept points up to the first that is not optimal; how many, and the units at fault."""
        candidates, penalty = self._candidates, self._penalty
        gradients, losses = candidates.gradients(np.array(found))
        coefs = np.array([candidates.expanded(coef) for coef in found])
        if penalty.ridge:
            gradients += penalty.ridge * coefs
        excess, missing = self._excess(gradients, alphas)
        accepted = 0
        for k, alpha in enumerate(alphas.tolist()):
            inner = candidates.reduced(gradients[k])
            value = candidates.penalty.value(found[k])
            objective = losses[k] + candidates.penalty.cost(found[k], alpha)
            share = alpha / (alpha + excess[k])
            slack = alpha * value + share * float(np.vdot(found[k], inner))
            gap = max(slack, 0.0) + candidates.loss_gap(k, share)
            if missing[k] or gap > self._tol * objective:
                break
            violation = candidates.violation(found[k], inner, alpha)
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
        left = slice(accepted, None)
        if accepted == len(alphas):
            return accepted, np.empty(0, dtype=np.intp)
        return accepted, self._at_fault(coefs[left], gradients[left], alphas[left])


def solve_in_batches(
    solver: ConvexSolver[Any],
    path: BatchedPath,
    one_by_one: Callable[[float, Solution | None], Solution],
) -> Callable[[float, Solution | None], Solution]:
    """What solves decreasing strengths, whole batches ahead of what is asked.

    Parameters
    ----------
    solver : ConvexSolver
        Whose tolerance the gaps are to meet.
    path : BatchedPath
        The path.
    one_by_one : callable
        What solves a single strength, where a batch did not.
    """
    known: dict[float, Solution] = {}
    probe = Probe(path.problem) if path.gradients_serve else None
    in_batches = True

    def solve(alpha: float, before: Solution | None) -> Solution:
        nonlocal in_batches
        if alpha not in known:
            known.clear()
        while alpha not in known and in_batches:
            points = path.next_batch()
            in_batches = len(points) > 0
            # strengths that only lead to those asked for have no answer
            points = [point for point in points if point.alpha <= alpha]
            solutions = _solutions(solver, path.problem, points, probe)
            known.update(zip((p.alpha for p in points), solutions, strict=True))
        found = known.get(alpha)
        if found is not None and found.status is Status.CONVERGED:
            return found
        start = before if found is None else found
        return one_by_one(alpha, start)

    return solve


def _solutions(
    solver: ConvexSolver[Any], problem: Problem, points: list[PathPoint], probe: Probe | None
) -> list[Solution]:
    """Points of a path with their duality gaps; those too large are not converged.

    A ``probe`` confirms gradients where they are those of what the user is given.
    """
    intercepts = [_intercept(problem, point) for point in points]
    answers = zip((p.coef for p in points), intercepts, strict=True)
    rounded = [solver.rounded(problem, *answer) for answer in answers]
    ridge = problem.penalty_as(ConvexPenalty).ridge
    gaps = duality_gaps(
        problem,
        [point.alpha for point in points],
        [coef for coef, _ in rounded],
        [intercept for _, intercept in rounded],
        None
        if probe is None
        else Known([point.gradient - ridge * point.coef for point in points], probe),
    )
    tol = solver.tolerance(problem)
    return [
        Solution(
            coef=point.coef,
            intercept=intercept,
            status=Status.CONVERGED if gap <= tol * point.objective else Status.STALLED,
            certificate=Certificate(VIOLATION, point.violation / max(point.residual, _TINY)),
            gap=float(gap),
            n_iter=point.n_checks,
            message="",
        )
        for point, intercept, gap in zip(points, intercepts, gaps, strict=True)
    ]


def _intercept(problem: Problem, point: PathPoint) -> Any:
    """The intercept for columns as they are."""
    if not problem.free_intercept:
        return problem.null_intercept
    return point.level - point.coef @ problem.centred.means
