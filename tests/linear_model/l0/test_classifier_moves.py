"""Where all single moves are few, none of them improves on a fit: refits by plain NumPy say so."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.special import expit

from sksparse.linear_model import L0Classifier


def value(
    X: np.ndarray, y: np.ndarray, support: list[int], l2: np.ndarray, *, intercept: bool = True
) -> float:
    """Mean log loss plus ridge at the best fit on a support, by damped Newton steps."""
    A = np.column_stack((X[:, support], np.ones(len(y))))[:, : len(support) + intercept]
    ridge = np.append(l2[support], 0.0)[: A.shape[1]]
    theta, n = np.zeros(A.shape[1]), len(y)

    def objective(theta: np.ndarray) -> float:
        z = A @ theta
        return float(np.mean(np.logaddexp(0.0, z) - y * z) + 0.5 * ridge @ theta**2)

    best = objective(theta)
    for _ in range(200):
        p = expit(A @ theta)
        gradient = A.T @ (p - y) / n + ridge * theta
        hessian = (A * (p * (1 - p))[:, None]).T @ A / n + np.diag(ridge + 1e-14)
        step = np.linalg.solve(hessian, -gradient)
        length = 1.0
        while objective(theta + length * step) > best and length > 1e-8:
            length /= 2
        if length <= 1e-8 or -(gradient @ step) < 1e-15:
            break
        theta, best = theta + length * step, objective(theta + length * step)
    return best


def neighbours(support: list[int], p: int, limit: int) -> list[list[int]]:
    """All subsets that a single add, drop or swap leads to."""
    others = [j for j in range(p) if j not in support]
    drops = [[j for j in support if j != i] for i in support]
    swaps = [[*rest, j] for rest in drops for j in others]
    adds = [[*support, j] for j in others] if len(support) < limit else []
    return drops + swaps + adds


@pytest.mark.filterwarnings("ignore:The features selected separate the classes")
@pytest.mark.parametrize(
    "options",
    [
        {"max_features": 3},
        {"max_features": 5, "l2": 0.02},
        {"max_features": 4, "fit_intercept": False},
        {"alpha": 0.02},
        {"alpha": 0.005, "l2": 0.05},
    ],
)
@pytest.mark.parametrize("shape", [(60, 8), (40, 24), (30, 40)])
def test_no_single_move_improves(
    seed: int, shape: tuple[int, int], options: dict[str, Any]
) -> None:
    p = shape[1]
    for draw in range(4):
        rng = np.random.default_rng([seed, draw])
        X = rng.standard_normal(shape) + rng.uniform(0, 1.5) * rng.standard_normal((shape[0], 1))
        z = X @ (rng.standard_normal(p) * rng.uniform(0.2, 1.0))
        y = (rng.random(shape[0]) < expit(z)).astype(int)
        if len(np.unique(y)) < 2:
            continue
        model = L0Classifier(**options).fit(X, y)
        intercept, limit = model.fit_intercept, options.get("max_features", p)
        centred = X - X.mean(axis=0) * intercept
        l2 = np.full(p, model.l2_) if "l2" in options else model.l2_ * (centred**2).mean(axis=0)
        penalty = 0.0 if "max_features" in options else model.alpha
        support = model.get_support(indices=True).tolist()
        if len(support) * (p - len(support)) > 200:
            continue
        assert model.optimality_ <= 1e-8
        z = model.decision_function(X)
        own = np.mean(np.logaddexp(0.0, z) - y * z) + 0.5 * l2 @ model.coef_[0] ** 2
        own += penalty * len(support)
        assert own <= value(X, y, support, l2, intercept=intercept) + penalty * len(support) + 1e-7
        for other in neighbours(support, p, limit):
            moved = value(X, y, other, l2, intercept=intercept) + penalty * len(other)
            assert own <= moved + 1e-6 * own + 1e-9
