"""Fits of sortedl1 and skglm: strengths and a tolerance in, coefficients out."""

from __future__ import annotations

import numpy as np

from benchmarks.measuring import Answer

from .problems import SortedProblem


def sortedl1(problem: SortedProblem, alphas: np.ndarray, tol: float) -> Answer:
    """Features as they are, nothing of a path left out."""
    from sortedl1 import Slope

    loss = "logistic" if problem.logistic else "quadratic"
    y = (problem.y > 0).astype(float) if problem.logistic else problem.y
    model = Slope(lam=problem.weights, alpha=float(alphas[0]), loss=loss, tol=tol)
    if len(alphas) == 1:
        model.fit(problem.X, y)
        return np.reshape(model.coef_, (-1, 1)), np.reshape(model.intercept_, 1)
    whole = {"tol_dev_change": 0.0, "tol_dev_ratio": 1.0, "max_clusters": problem.X.shape[1] + 1}
    found = model.path(problem.X, y, alphas=alphas, **whole)
    return found.coefs[:, 0], found.intercepts[0]


def skglm(problem: SortedProblem, alphas: np.ndarray, tol: float) -> Answer:
    """FISTA on centred data, made before, warm from one strength to the next."""
    from skglm.datafits import Quadratic
    from skglm.penalties import SLOPE
    from skglm.solvers import FISTA

    X, means = problem.centred
    level = problem.y.mean()
    solver = FISTA(max_iter=100_000, tol=tol, opt_strategy="fixpoint")
    coef, fitted = np.zeros(X.shape[1]), np.zeros(len(problem.y))
    columns = []
    for alpha in alphas:
        penalty = SLOPE(problem.weights, alpha)
        coef = solver.solve(X, problem.y - level, Quadratic(), penalty, coef, fitted)[0]
        columns.append(coef.copy())
        fitted = X @ coef
    coefs = np.array(columns).T
    return coefs, level - means @ coefs
