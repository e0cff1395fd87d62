"""Proximal Newton steps on a working set, for losses other than the squared one.

A quadratic model of the loss is minimised together with the penalty, and a line search takes the
largest share of the step that lowers the objective (Lee, Sun and Saunders, 2014).
"""

from __future__ import annotations

import numpy as np

from sksparse._interrupts import check
from sksparse._typing import Array, Indices
from sksparse.solvers._problem import Problem
from sksparse.solvers.convex._base import ConvexIterate
from sksparse.solvers.convex._block_subproblem import TUNING, Working, minimise
from sksparse.solvers.convex._quadratic_model import quadratic_from_columns


def solve_newton(problem: Problem, state: ConvexIterate, working: Working, tol: float) -> None:
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
    state: ConvexIterate,
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
