"""Our public estimators, called as the peers are."""

from __future__ import annotations

import numpy as np

from benchmarks.measuring import Answer
from sksparse.linear_model import GroupLassoClassifier, GroupLassoRegressor, group_lasso_path

from .problems import GroupProblem


def ours(problem: GroupProblem, alphas: np.ndarray, tol: float) -> Answer:
    """A fit for one strength, the path for more."""
    groups = problem.labels if problem.sizes.max() > 1 else None
    options = {"l1_ratio": problem.l1_ratio, "tol": tol}
    if len(alphas) > 1:
        loss = "logistic" if problem.logistic else "squared"
        path = group_lasso_path(problem.X, problem.y, groups, loss=loss, alphas=alphas, **options)
        return path.coefs, path.intercepts
    kind = GroupLassoClassifier if problem.logistic else GroupLassoRegressor
    model = kind(float(alphas[0]), groups, **options).fit(problem.X, problem.y)
    return np.reshape(model.coef_, (-1, 1)), np.reshape(model.intercept_, 1)
