"""Working-set block coordinate descent for block penalties.

The outer loop makes one pass over X per step, for the gradient; everything else happens on the
groups that violate optimality. A squared loss keeps its Gram matrix over the working set; other
losses are minimised by proximal Newton steps (Lee, Sun and Saunders, 2014) with a line search.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from sksparse._typing import Array, Indices
from sksparse.losses import ConjugateLoss
from sksparse.penalties import BlockPenalty
from sksparse.solvers._problem import Problem
from sksparse.solvers._solution import Solution
from sksparse.solvers.convex._base import ConvexIterate, ConvexSolver, moderate
from sksparse.solvers.convex._block_path import BlockPath
from sksparse.solvers.convex._block_subproblem import TUNING, EigenBlocks, Working
from sksparse.solvers.convex._path import solve_in_batches
from sksparse.solvers.convex._proximal_newton import NewtonModels, models_of, solve_newton
from sksparse.solvers.convex._squared_quadratics import SquaredQuadratics
from sksparse.solvers.convex._working_set import enlarge


@dataclass
class BlockIterate(ConvexIterate):
    """Iterate of block descent.

    Parameters
    ----------
    quadratics : SquaredQuadratics
        Models of a squared loss.
    groups : ndarray
        The working set.
    eigen : dict
        Blocks of the Hessian of a squared loss that are known.
    """

    quadratics: SquaredQuadratics = field(kw_only=True)
    groups: Indices = field(default_factory=lambda: np.empty(0, dtype=np.intp))
    eigen: EigenBlocks = field(default_factory=dict)


class BlockDescent(ConvexSolver[BlockIterate]):
    """Minimise a smooth loss plus a block penalty.

    Parameters
    ----------
    gram, tol, max_iter, verbose
        As in :class:`ConvexSolver`.
    """

    _models: NewtonModels | None = None

    def check(self, problem: Problem) -> None:
        problem.penalty_as(BlockPenalty)

    def start(self, problem: Problem, coef: Array | None) -> BlockIterate:
        penalty = problem.penalty_as(BlockPenalty)
        coef, level = self.first_coef(problem, coef), problem.null_intercept
        state = BlockIterate(
            coef,
            level,
            level=level,
            target=self.tolerance(problem),
            quadratics=SquaredQuadratics(self.gram),
        )
        state.z = problem.centred.matvec(coef) + level
        unpenalised = penalty.blocks.labels[penalty.unpenalised()]
        used = penalty.blocks.labels[np.flatnonzero(np.atleast_2d(coef).any(axis=0))]
        state.groups = np.union1d(unpenalised, used).astype(np.intp)
        return state

    def _inner_tolerance(
        self, problem: Problem, state: BlockIterate, working: Working, settled: bool
    ) -> float:
        """Violations that are small enough over a working set, ``settled`` if it hardly grew.

        A share of those that there are, or about what the gap that is aimed at allows.
        """
        penalty, alpha = problem.penalty_as(BlockPenalty), problem.alpha
        worst = float(state.violations.max(initial=0.0))
        n, size = problem.design.n_samples, len(working.features)
        little = size * min(size, n) <= TUNING.little * n * problem.design.n_features
        share = TUNING.deeper if little or settled else TUNING.inner
        cost = alpha * penalty.value(state.coef)
        if not isinstance(problem.loss, ConjugateLoss):
            return max(share * worst, self.inner_tolerance(state))
        excess = self.tolerance(problem)
        if cost > 0.0:
            excess *= state.objective / cost
        unit = working.violation_unit()
        return max(share * worst, TUNING.goal * state.sharper * excess * alpha * unit)

    def along(
        self, problem: Problem, alphas: Array
    ) -> Callable[[float, Solution | None], Solution]:
        """Whole batches are solved ahead of what is asked."""
        one_by_one = super().along(problem, alphas)
        self.check(problem)
        known_gap = isinstance(problem.loss, ConjugateLoss) and not _pulled_beyond(problem)
        if not known_gap or alphas[-1] == 0.0 or moderate(problem)[1] != 0:
            return one_by_one
        path = BlockPath(problem, alphas, self.tolerance(problem))
        return solve_in_batches(self, path, one_by_one)

    def step(self, problem: Problem, state: BlockIterate) -> None:
        known = len(state.groups)
        most = max(TUNING.first_groups, TUNING.growth * known)
        state.groups = enlarge(state.groups, state.violations, most)
        penalty, scales = problem.penalty_as(BlockPenalty), problem.centred.scales
        eigen = state.eigen if problem.loss.quadratic else None
        working = Working(penalty, state.groups, scales, eigen)
        settled = len(state.groups) <= TUNING.settled * known
        tol = self._inner_tolerance(problem, state, working, settled)
        if problem.loss.quadratic:
            self._solve_squared(problem, state, working, tol)
        else:
            self._models = models_of(problem, self._models)
            solve_newton(problem, state, working, self._models, tol)

    def _solve_squared(
        self, problem: Problem, state: BlockIterate, working: Working, tol: float
    ) -> None:
        features = working.features
        before = state.coef[..., features]
        quadratic = state.quadratics.at(problem, state, features)
        after = working.model(quadratic, 1.0).minimise(problem.alpha, before, tol)
        state.progress = bool(np.any(after != before))
        state.coef[..., features] = after
        state.z = state.quadratics.predictor(problem, features, after, state)


def _pulled_beyond(problem: Problem) -> bool:
    """Whether bounds other than zero hold coefficients, of which checks of a path know nothing."""
    bounds = problem.penalty_as(BlockPenalty).bounds
    return any(np.any(np.isfinite(bound) & (bound != 0.0)) for bound in bounds)
