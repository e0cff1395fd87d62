"""Our public estimators, called as the peers are."""

from __future__ import annotations

import numpy as np

from benchmarks.measuring import Answer
from sksparse.linear_model import (
    SLOPE,
    GroupLassoRegressor,
    SLOPEClassifier,
    group_lasso_path,
    slope_path,
)

from .problems import SortedProblem


def ours(problem: SortedProblem, alphas: np.ndarray, tol: float) -> Answer:
    """A fit for one strength, the path for more."""
    X, y, weights = problem.X, problem.y, problem.weights
    if len(alphas) > 1:
        loss = "logistic" if problem.logistic else "squared"
        path = slope_path(X, y, lambdas=weights, loss=loss, alphas=alphas, tol=tol)
        return path.coefs, path.intercepts
    kind = SLOPEClassifier if problem.logistic else SLOPE
    return of_model(kind(float(alphas[0]), lambdas=weights, tol=tol).fit(X, y))


def group_solver(problem: SortedProblem, alphas: np.ndarray, tol: float) -> Answer:
    """The lasso by our solver of groups, of one feature each."""
    X, y = problem.X, problem.y
    if len(alphas) > 1:
        path = group_lasso_path(X, y, None, alphas=alphas, tol=tol)
        return path.coefs, path.intercepts
    return of_model(GroupLassoRegressor(float(alphas[0]), None, tol=tol).fit(X, y))


def of_model(model: SLOPE | SLOPEClassifier | GroupLassoRegressor) -> Answer:
    """Coefficients and intercept of an estimator, as a path of one."""
    return np.reshape(model.coef_, (-1, 1)), np.reshape(model.intercept_, 1)
