"""Our fits, from the solver layer."""

from __future__ import annotations

import numpy as np

from benchmarks.measuring import Answer
from sksparse.linear_model import GroupLassoRegressor, group_lasso_path
from sksparse.linear_model._convex_path import ConvexTask
from sksparse.linear_model._path_protocol import Grid
from sksparse.losses import Squared
from sksparse.penalties import SortedL1
from sksparse.solvers import Design, SortedDescent

from .problems import SortedProblem


def ours(problem: SortedProblem, alphas: np.ndarray, tol: float) -> Answer:
    """A fit for one strength, the path for more."""
    n = len(problem.y)
    task = ConvexTask(
        design=Design(problem.X),
        loss=Squared(problem.y, np.full(n, 1 / n)),
        fit_intercept=True,
        penalty=SortedL1(problem.weights),
        solver=SortedDescent,
        max_iter=100,
        tol=tol,
    )
    if len(alphas) > 1:
        path = task.path(Grid(alphas=alphas), task.fit_along(Grid(alphas=alphas)))
        return path.coefs, path.intercepts
    solution = task.solve(float(alphas[0]))
    return np.reshape(solution.coef, (-1, 1)), np.reshape(solution.intercept, 1)


def group_solver(problem: SortedProblem, alphas: np.ndarray, tol: float) -> Answer:
    """The lasso by our solver of groups, of one feature each."""
    if len(alphas) > 1:
        path = group_lasso_path(problem.X, problem.y, None, alphas=alphas, tol=tol)
        return path.coefs, path.intercepts
    model = GroupLassoRegressor(float(alphas[0]), None, tol=tol).fit(problem.X, problem.y)
    return np.reshape(model.coef_, (-1, 1)), np.reshape(model.intercept_, 1)
