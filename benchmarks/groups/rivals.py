"""Fits of celer, skglm and scikit-learn: strengths and a tolerance in, coefficients out.

Each solves the objective of :class:`GroupProblem`. skglm is called at its solvers, warm from one
strength to the next, since its estimators copy X and have no path for groups.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.measuring import Answer, Fit

from .problems import GroupProblem


def rivals(problem: GroupProblem, *, path: bool) -> dict[str, Fit]:
    """Who solves such a problem; paths of skglm only where it has no rival, as they take long."""
    if problem.l1_ratio > 0:
        return {"skglm": skglm_sparse}
    if problem.logistic:
        return {} if path else {"skglm": skglm_groups}
    if problem.sizes.max() > 1:
        # celer's path of groups takes no intercept
        return {} if path else {"celer": celer_group, "skglm": skglm_groups}
    if path:
        return {"sklearn": sklearn_path, "celer": celer_path, "skglm": skglm_lasso}
    return {"sklearn": sklearn_lasso, "celer": celer_lasso, "skglm": skglm_lasso}


def skglm_groups(problem: GroupProblem, alphas: np.ndarray, tol: float) -> Answer:
    """Group lasso of skglm, squared or logistic loss."""
    from skglm.datafits import LogisticGroup, QuadraticGroup
    from skglm.penalties import WeightedGroupL2
    from skglm.solvers import GroupBCD, GroupProxNewton

    n_features = problem.X.shape[1]
    indices = np.arange(n_features, dtype=np.int32)
    ends = np.concatenate(([0], np.cumsum(problem.sizes))).astype(np.int32)
    if problem.logistic:
        datafit: Any = LogisticGroup(ends, indices)
        solver: Any = GroupProxNewton(tol=tol, fit_intercept=True, max_iter=200)
    else:
        datafit = QuadraticGroup(ends, indices)
        solver = GroupBCD(tol=tol, fit_intercept=True, max_iter=1000, max_epochs=50_000)
    coef, fitted = np.zeros(n_features + 1), np.zeros(len(problem.y))
    columns = []
    for alpha in alphas:
        penalty = WeightedGroupL2(alpha, problem.weights, ends, indices)
        coef = solver.solve(problem.X, problem.y, datafit, penalty, coef, fitted)[0]
        columns.append(coef.copy())
        used = np.flatnonzero(coef[:-1])
        fitted = problem.X[:, used] @ coef[used] + coef[-1]
    coefs = np.array(columns).T
    return coefs[:-1], coefs[-1]


def skglm_sparse(problem: GroupProblem, alphas: np.ndarray, tol: float) -> Answer:
    """Sparse group lasso of skglm, which fails with an intercept: on centred data, made before."""
    from skglm.datafits import QuadraticGroup
    from skglm.penalties import WeightedL1GroupL2
    from skglm.solvers import GroupBCD

    X, means = problem.centred
    level = problem.y.mean()
    indices = np.arange(X.shape[1], dtype=np.int32)
    ends = np.concatenate(([0], np.cumsum(problem.sizes))).astype(np.int32)
    ratio = problem.l1_ratio
    factors = (1 - ratio) * problem.weights, np.full(X.shape[1], ratio)
    # it has no distances from the subdifferential of this penalty
    solver = GroupBCD(tol=tol, max_iter=1000, max_epochs=50_000, ws_strategy="fixpoint")
    coef, fitted = np.zeros(X.shape[1]), np.zeros(len(problem.y))
    columns = []
    for alpha in alphas:
        penalty = WeightedL1GroupL2(alpha, *factors, ends, indices)
        datafit = QuadraticGroup(ends, indices)
        coef = solver.solve(X, problem.y - level, datafit, penalty, coef, fitted)[0]
        columns.append(coef.copy())
        used = np.flatnonzero(coef)
        fitted = X[:, used] @ coef[used]
    coefs = np.array(columns).T
    return coefs, level - means @ coefs


def skglm_lasso(problem: GroupProblem, alphas: np.ndarray, tol: float) -> Answer:
    """The lasso of skglm: its estimator, or its path on centred targets."""
    from skglm import Lasso

    if len(alphas) == 1:
        return of_model(Lasso(alpha=alphas[0], tol=tol, max_iter=1000).fit(problem.X, problem.y))
    level = problem.y.mean()
    model = Lasso(tol=tol, max_iter=1000, fit_intercept=False)
    coefs = model.path(problem.X, problem.y - level, alphas)[1]
    return coefs, np.full(len(alphas), level)


def celer_group(problem: GroupProblem, alphas: np.ndarray, tol: float) -> Answer:
    """The group lasso of celer."""
    from celer import GroupLasso

    sizes = problem.sizes.tolist()
    model = GroupLasso(sizes, alpha=alphas[0], tol=tol, weights=problem.weights)
    return of_model(model.fit(problem.X, problem.y))


def celer_lasso(problem: GroupProblem, alphas: np.ndarray, tol: float) -> Answer:
    """The lasso of celer."""
    from celer import Lasso

    return of_model(Lasso(alpha=alphas[0], tol=tol).fit(problem.X, problem.y))


def celer_path(problem: GroupProblem, alphas: np.ndarray, tol: float) -> Answer:
    """The lasso path of celer, whose columns are centred already."""
    from celer import celer_path as path

    level = problem.y.mean()
    options = {"alphas": alphas, "tol": tol, "prune": 1, "max_iter": 100}
    return path(problem.X, problem.y - level, "lasso", **options)[1], np.full(len(alphas), level)


def sklearn_lasso(problem: GroupProblem, alphas: np.ndarray, tol: float) -> Answer:
    """The lasso of scikit-learn."""
    from sklearn.linear_model import Lasso

    model = Lasso(alpha=alphas[0], tol=tol, max_iter=100_000)
    return of_model(model.fit(problem.X, problem.y))


def sklearn_path(problem: GroupProblem, alphas: np.ndarray, tol: float) -> Answer:
    """The lasso path of scikit-learn, whose columns are centred already."""
    from sklearn.linear_model import lasso_path

    level = problem.y.mean()
    options = {"alphas": alphas, "tol": tol, "max_iter": 100_000}
    return lasso_path(problem.X, problem.y - level, **options)[1], np.full(len(alphas), level)


def of_model(model: Any) -> Answer:
    """Coefficients and intercept of an estimator, as a path of one."""
    return np.reshape(model.coef_, (-1, 1)), np.reshape(model.intercept_, 1)
