"""Working-set block coordinate descent for block penalties.

The outer loop makes one pass over X per step, for the gradient; everything else happens on the
groups that violate optimality. A squared loss keeps its Gram matrix over the working set; other
losses are minimised by proximal Newton steps (Lee, Sun and Saunders, 2014) with a line search.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from sksparse._typing import Array, Indices
from sksparse.penalties import BlockPenalty
from sksparse.solvers._problem import Problem
from sksparse.solvers.convex._base import ConvexIterate, ConvexSolver
from sksparse.solvers.convex._block_newton import NewtonModels, solve_newton
from sksparse.solvers.convex._block_subproblem import TUNING, Working, minimise
from sksparse.solvers.convex._squared_quadratics import SquaredQuadratics
from sksparse.solvers.convex._working_set import enlarge


@dataclass
class BlockIterate(ConvexIterate):
    """Iterate of block descent."""

    quadratics: SquaredQuadratics = field(kw_only=True)
    groups: Indices = field(default_factory=lambda: np.empty(0, dtype=np.intp))


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

    def step(self, problem: Problem, state: BlockIterate) -> None:
        state.groups = enlarge(state.groups, state.violations, TUNING.first_groups)
        working = Working(problem.penalty_as(BlockPenalty), state.groups, problem.centred.scales)
        tol = self.inner_tolerance(state)
        if problem.loss.quadratic:
            self._solve_squared(problem, state, working, tol)
        else:
            solve_newton(problem, state, working, self._newton_models(problem), tol)

    def _newton_models(self, problem: Problem) -> NewtonModels:
        """What is kept of the features between the steps and strengths of a curved loss."""
        if self._models is None or self._models.centred is not problem.centred:
            self._models = NewtonModels(problem.centred)
        return self._models

    def _solve_squared(
        self, problem: Problem, state: BlockIterate, working: Working, tol: float
    ) -> None:
        features = working.features
        before = state.coef[..., features]
        quadratic = state.quadratics.at(problem, state, features)
        after = minimise(quadratic, working, problem.alpha, before, tol)
        state.progress = bool(np.any(after != before))
        state.coef[..., features] = after
        state.z = problem.centred.matvec(state.coef) + state.level
