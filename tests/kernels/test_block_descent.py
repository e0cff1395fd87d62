"""Block descent where a group has an L1 norm as well: one group against a general minimiser."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from sksparse._kernels.block_descent import _best_coordinate, _minimise_block
from sksparse.feature_selection import GroupLassoSelector


def violation(coef: np.ndarray, gradient: np.ndarray, l1: float, l2: float) -> float:
    """Distance of zero from the subdifferential of a group."""
    shrunk = np.sign(gradient) * np.maximum(np.abs(gradient) - l1, 0.0)
    if not coef.any():
        return max(float(np.linalg.norm(shrunk)) - l2, 0.0)
    slopes = gradient + l2 * coef / np.linalg.norm(coef)
    return float(np.linalg.norm(np.where(coef == 0.0, shrunk, slopes + l1 * np.sign(coef))))


@pytest.mark.parametrize("others", [0.0, 1e-12, 1.0, 1e6])
def test_a_coefficient_moves_to_its_minimum(rng: np.random.Generator, others: float) -> None:
    for _ in range(50):
        curvature, l1, l2 = 10.0 ** rng.uniform(-3, 3, 3)
        pull = float((l1 + l2) * rng.uniform(-3, 3))

        def objective(w: float) -> float:
            smooth = 0.5 * curvature * w * w - pull * w  # noqa: B023
            return smooth + l1 * abs(w) + l2 * np.sqrt(others + w * w)  # noqa: B023

        w = _best_coordinate(pull, curvature, others, l1, l2)
        for factor in (0.0, 1.0 - 1e-5, 1.0 + 1e-5):
            assert objective(w) <= objective(w * factor) + 1e-12 * abs(objective(w))
        assert objective(w) <= objective(1e-6 * pull) + 1e-12 * abs(objective(w))


@pytest.mark.parametrize("spread", [0.0, 3.0])
def test_a_group_of_unlike_columns_reaches_its_minimum(
    rng: np.random.Generator, spread: float
) -> None:
    for size in (2, 3, 6):
        scales = 10.0 ** rng.uniform(-spread, spread, size)
        A = rng.standard_normal((20, size)) * scales
        H, q = A.T @ A, A.T @ rng.standard_normal(20)
        l1, free = 0.2 * float(np.median(np.abs(q))), np.full(size, np.inf)
        for l2 in (0.0, l1, 1e3 * float(np.abs(q).max())):
            coef, descent = np.zeros(size), q.copy()
            lipschitz = float(np.linalg.eigvalsh(H)[-1])
            for _ in range(200):
                _minimise_block(coef, descent, H.ravel(), lipschitz, l1, l2, -free, free, False)
            np.testing.assert_allclose(descent, q - H @ coef, atol=1e-9 * np.abs(q).max())
            assert violation(coef, -descent, l1, l2) < 1e-5 * (l1 + l2)
            if spread == 0.0:
                signs = minimize(
                    lambda w: (
                        0.5 * w @ H @ w - q @ w + l1 * np.abs(w).sum()  # noqa: B023
                        + l2 * np.linalg.norm(w)  # noqa: B023
                    ),
                    coef + 1e-3, method="Nelder-Mead", options={"maxiter": 4000},
                )  # fmt: skip
                value = 0.5 * coef @ H @ coef - q @ coef + l1 * np.abs(coef).sum()
                assert value + l2 * np.linalg.norm(coef) <= signs.fun + 1e-6 * abs(signs.fun)


@pytest.mark.parametrize("loss", ["squared", "logistic"])
def test_groups_of_one_hot_and_unlike_columns_do_not_stall(
    rng: np.random.Generator, loss: str
) -> None:
    # The levels add up to the intercept, so that nothing is curved along their common shift, and
    # the numeric columns of each group differ in scale by four orders of magnitude.
    codes = rng.integers(0, 6, 120)
    X = np.c_[np.eye(6)[codes], rng.standard_normal((120, 6)) * 10.0 ** np.arange(-2.0, 4.0)]
    y = X[:, 0] - X[:, 3] + X[:, 8] + 0.3 * rng.standard_normal(120)
    y = y if loss == "squared" else (y > np.median(y)).astype(int)
    groups = [0, 1, 0, 1, 2, 2, 3, 4, 3, 4, 3, 4]
    for alpha in (1e-4, 1e-3, 1e-2):
        selector = GroupLassoSelector(alpha, groups, l1_ratio=0.3, loss=loss, max_iter=25)
        selector.fit(X, y)
        assert selector.optimality_ <= selector.tol
