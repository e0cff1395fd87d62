"""Working-set solver for a smooth loss with a sorted L1 penalty.

A squared loss is minimised over the working set, other losses by proximal Newton steps (Lee, Sun
and Saunders, 2014) with a line search.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from sksparse._typing import Array, Indices
from sksparse.losses import ConjugateLoss
from sksparse.penalties import SortedL1
from sksparse.penalties._sorted_l1 import magnitudes
from sksparse.solvers._gram_cache import GramCache
from sksparse.solvers._problem import Problem
from sksparse.solvers._solution import Solution
from sksparse.solvers.convex._base import ConvexIterate, ConvexSolver, moderate
from sksparse.solvers.convex._path import solve_in_batches
from sksparse.solvers.convex._proximal_newton import NewtonModels, models_of, solve_newton
from sksparse.solvers.convex._squared_quadratics import SquaredQuadratics
from sksparse.solvers.convex._working_set import enlarge
from sksparse.solvers.sorted_l1._path import SortedPath, leading
from sksparse.solvers.sorted_l1._rows import TUNING as ROWS
from sksparse.solvers.sorted_l1._rows import RowsWorking
from sksparse.solvers.sorted_l1._rows_path import RowsPath
from sksparse.solvers.sorted_l1._working import SortedWorking


@dataclass(frozen=True)
class Tuning:
    """How the working set of a sorted L1 norm grows.

    Parameters
    ----------
    first_features, per_root : int, float
        Features that enter at first, or so many times the root of their number, which balances
        passes over X and Gram matrices; the set doubles from there.
    inner, deeper : float
        A problem over the working set is solved to this share of the largest violation, the second
        where the set has settled,
    goal : float
        or to this share of the violations that the duality gap allows.
    settled : float
        Features over those of the step before, up to which a working set has settled.
    """

    first_features: int = 100
    per_root: float = 2.0
    inner: float = 0.01
    deeper: float = 1e-4
    goal: float = 0.3
    settled: float = 1.1


TUNING = Tuning()


@dataclass
class SortedIterate(ConvexIterate):
    """Iterate of the sorted L1 solver."""

    quadratics: SquaredQuadratics = field(kw_only=True)
    features: Indices = field(default_factory=lambda: np.empty(0, dtype=np.intp))


class SortedDescent(ConvexSolver[SortedIterate]):
    """Minimise a smooth loss plus a sorted L1 penalty.

    Features outside the working set are zero and take the smallest weights, so inside it the
    problem is of the same form with the largest weights.

    Parameters
    ----------
    gram, tol, max_iter, verbose
        As in :class:`ConvexSolver`.
    """

    _models: NewtonModels | None = None

    def check(self, problem: Problem) -> None:
        problem.penalty_as(SortedL1)

    def start(self, problem: Problem, coef: Array | None) -> SortedIterate:
        level = problem.null_intercept
        coef = self.first_coef(problem, self._led(problem) if coef is None else coef)
        per_sample = np.inf if problem.loss.n_outputs == 1 else ROWS.per_sample
        state = SortedIterate(
            coef,
            level,
            level=level,
            target=self.tolerance(problem),
            # sweeps over one output need a Gram matrix, whatever the shape of X
            quadratics=SquaredQuadratics(self.gram or GramCache(problem.centred), per_sample),
        )
        state.z = problem.centred.matvec(coef) + level
        state.features = np.flatnonzero(magnitudes(coef))
        return state

    def along(
        self, problem: Problem, alphas: Array
    ) -> Callable[[float, Solution | None], Solution]:
        """Whole batches are solved ahead of what is asked."""
        one_by_one = super().along(problem, alphas)
        self.check(problem)
        if not _has_batches(problem, float(alphas[-1])):
            return one_by_one
        return solve_in_batches(self, self._path(problem, alphas), one_by_one)

    def _path(self, problem: Problem, alphas: Array) -> SortedPath:
        kind = SortedPath if problem.loss.n_outputs == 1 else RowsPath
        return kind(problem, alphas, self.tolerance(problem))

    def _led(self, problem: Problem) -> Array | None:
        """Coefficients at a strength that is so weak that stronger ones lead to it faster."""
        if not _has_batches(problem, problem.alpha):
            return None
        derivatives = problem.loss.gradient(problem.null_predictor)
        gradient = problem.gradient_over(problem.null_coef, derivatives)
        highest = problem.penalty_as(SortedL1).dual_norm(gradient)
        if not leading(highest, problem.alpha).size:
            return None
        path = self._path(problem, np.array([problem.alpha]))
        while not path.points or path.points[-1].alpha > problem.alpha:
            if not path.next_batch():
                break
        return path.points[-1].coef if path.points else None

    def step(self, problem: Problem, state: SortedIterate) -> None:
        known, n_features = len(state.features), problem.design.n_features
        first = max(TUNING.first_features, int(TUNING.per_root * np.sqrt(n_features)))
        state.features = enlarge(state.features, state.violations, first)
        kind = SortedWorking if problem.loss.n_outputs == 1 else RowsWorking
        working = kind(problem.penalty_as(SortedL1), state.features, problem.centred.scales)
        settled = len(state.features) <= TUNING.settled * known
        tol = self._inner_tolerance(problem, state, TUNING.deeper if settled else TUNING.inner)
        if problem.loss.quadratic:
            self._solve_squared(problem, state, working, tol)
        else:
            self._models = models_of(problem, self._models)
            solve_newton(problem, state, working, self._models, tol)

    @staticmethod
    def _solve_squared(
        problem: Problem, state: SortedIterate, working: SortedWorking, tol: float
    ) -> None:
        features = working.features
        before = state.coef[..., features]
        quadratic = state.quadratics.at(problem, state, features)
        after = working.model(quadratic, 1.0).minimise(problem.alpha, before, tol)
        state.progress = bool(np.any(after != before))
        state.coef[..., features] = after
        state.z = problem.centred.matvec(state.coef) + state.level

    def _inner_tolerance(self, problem: Problem, state: SortedIterate, share: float) -> float:
        """Violations that are small enough over a working set.

        A ``share`` of those that there are, or about what the gap that is aimed at allows: each
        counts as often as its coefficient is large.
        """
        cost = float(problem.centred.scales @ magnitudes(state.coef))
        if problem.alpha == 0.0 or cost == 0.0:
            return self.inner_tolerance(state)
        worst = float(state.violations.max(initial=0.0))
        allowed = self.tolerance(problem) * state.objective / cost
        return max(share * worst, TUNING.goal * state.sharper * allowed)


def _has_batches(problem: Problem, weakest: float) -> bool:
    """Whether strengths down to one can be solved in batches."""
    known_gap = isinstance(problem.loss, ConjugateLoss)
    unpenalised = problem.penalty_as(SortedL1).unpenalised().size > 0
    return known_gap and not unpenalised and weakest > 0.0 and moderate(problem)[1] == 0
