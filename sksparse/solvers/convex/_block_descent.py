"""Working-set block coordinate descent for block penalties.

The outer loop makes one pass over X per step, for the gradient; everything else happens on the
groups that violate optimality. A squared loss keeps its Gram matrix over the working set; other
losses are minimised by proximal Newton steps (Lee, Sun and Saunders, 2014) with a line search.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from sksparse._interrupts import check
from sksparse._typing import Array, Indices
from sksparse.penalties import BlockPenalty
from sksparse.solvers._problem import Problem
from sksparse.solvers.convex._base import ConvexIterate, ConvexSolver
from sksparse.solvers.convex._block_subproblem import TUNING, Working, minimise
from sksparse.solvers.convex._quadratic_model import quadratic_from_columns
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

    def check(self, problem: Problem) -> None:
        problem.penalty_as(BlockPenalty)
        if problem.loss.n_outputs > 1:
            raise ValueError(
                f"BlockDescent fits one output, got a loss with {problem.loss.n_outputs} outputs."
            )

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
        used = penalty.blocks.labels[np.flatnonzero(coef)]
        state.groups = np.union1d(unpenalised, used).astype(np.intp)
        return state

    def step(self, problem: Problem, state: BlockIterate) -> None:
        state.groups = enlarge(state.groups, state.violations, TUNING.first_groups)
        working = Working(problem.penalty_as(BlockPenalty), state.groups, problem.centred.scales)
        tol = self.inner_tolerance(state)
        if problem.loss.quadratic:
            self._solve_squared(problem, state, working, tol)
        else:
            self._solve_newton(problem, state, working, tol)

    def _solve_squared(
        self, problem: Problem, state: BlockIterate, working: Working, tol: float
    ) -> None:
        features = working.features
        before = state.coef[features]
        quadratic = state.quadratics.at(problem, state, features)
        after = minimise(quadratic, working, problem.alpha, before, tol)
        state.progress = bool(np.any(after != before))
        state.coef[features] = after
        state.z = problem.centred.matvec(state.coef) + state.level

    def _solve_newton(
        self, problem: Problem, state: BlockIterate, working: Working, tol: float
    ) -> None:
        features = working.features
        columns = problem.centred.columns(features)
        state.progress = False
        for _ in range(TUNING.newton_steps):
            check()
            before = state.coef[features]
            gradient = problem.loss.gradient(state.z)
            curvature = problem.loss.curvature(state.z)
            curvature = np.maximum(curvature, TUNING.curvature_floor * curvature.max())
            quadratic = quadratic_from_columns(
                columns,
                gradient,
                curvature,
                before,
                centre=problem.fit_intercept,
                gram=len(features) <= TUNING.largest_newton_gram,
            )
            delta = minimise(quadratic, working, problem.alpha, before, 0.1 * tol) - before
            move = columns.matvec(delta)
            shift = 0.0
            if problem.fit_intercept:
                shift = -float(gradient.sum() + curvature @ move) / float(curvature.sum())
            if not _line_search(problem, state, features, delta, move + shift, shift):
                return
            state.progress = True
            inner = columns.rmatvec(problem.sample_gradient(state.z))
            left = working.violations(state.coef[features], inner, problem.alpha)
            if left.max(initial=0.0) <= tol:
                return


def _line_search(
    problem: Problem,
    state: BlockIterate,
    features: Indices,
    delta: Array,
    move: Array,
    shift: float,
) -> bool:
    """Take the largest tried share of a step that does not raise the objective, if there is one."""
    # Close to the optimum a good step changes the objective by less than its rounding.
    rounding = 8.0 * np.finfo(np.float64).eps
    bound = problem.objective(state.coef, state.z) * (1.0 + rounding)
    bound += rounding * abs(problem.loss.lower_bound)
    coef, share = state.coef.copy(), 1.0
    for _ in range(TUNING.line_search_steps):
        coef[features] = state.coef[features] + share * delta
        z = state.z + share * move
        if problem.objective(coef, z) <= bound:
            state.coef, state.z = coef, z
            state.level += share * shift
            return True
        share *= 0.5
    return False
