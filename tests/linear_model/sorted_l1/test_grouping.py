"""Which columns are tied: equal ones, opposite ones, and those that are close enough."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sksparse.linear_model import OSCAR, SLOPE, OSCARClassifier, SLOPEClassifier, slope_path
from sksparse.penalties import oscar_weights


def centred(X: np.ndarray) -> np.ndarray:
    """Columns of mean zero and length sqrt(n)."""
    X = X - X.mean(axis=0)
    return X * np.sqrt(len(X)) / np.linalg.norm(X, axis=0)


@pytest.mark.parametrize("shape", [(80, 6), (20, 60)], ids=["tall", "wide"])
@pytest.mark.parametrize(
    "model, kind",
    [
        (OSCAR(alpha=0.05, pairwise=0.9), "numbers"),
        (OSCAR(alpha=0.05, pairwise=0.1, ranks="all"), "numbers"),
        (OSCAR(alpha=0.05, loss="poisson"), "counts"),
        (OSCARClassifier(alpha=0.02), "classes"),
        (SLOPE(alpha=0.02), "numbers"),
        (SLOPEClassifier(alpha=0.01), "classes"),
    ],
    ids=str,
)
def test_equal_and_opposite_columns_are_tied(
    model: Any, kind: str, shape: tuple[int, int], rng: np.random.Generator
) -> None:
    X = rng.standard_normal(shape)
    X[:, 1], X[:, 2] = X[:, 0], -X[:, 0]
    numbers = 2 * X[:, 0] + X[:, 3] + 0.1 * rng.standard_normal(len(X))
    targets = {"numbers": numbers, "classes": numbers > 0, "counts": rng.poisson(np.exp(numbers))}
    coef = model.fit(X, targets[kind]).coef_.ravel()
    assert coef[0] == coef[1] == -coef[2] != 0
    (cluster,) = [c for c in model.clusters_ if 0 in c]
    assert {0, 1, 2} <= set(cluster.tolist())


@pytest.mark.parametrize("pairwise", [0.2, 1.0])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_columns_that_are_close_are_tied(
    pairwise: float, sign: float, rng: np.random.Generator
) -> None:
    # Columns of one length with ||x_i - s x_j|| ||y|| / n below the fall of the weights from rank
    # to rank get coefficients of one magnitude.
    n, p = 50, 6
    n_tied = 0
    for _ in range(20):
        X = rng.standard_normal((n, p))
        X[:, 1] = sign * X[:, 0] + 0.05 * rng.random() * rng.standard_normal(n)
        X = centred(X)
        y = X[:, 0] + 0.5 * X[:, 2] + rng.standard_normal(n)
        y -= y.mean()
        bound = np.linalg.norm(X[:, 0] - sign * X[:, 1]) * np.linalg.norm(y) / n
        alpha = 1.01 * bound * (p - 1) / pairwise
        coef = OSCAR(alpha=alpha, pairwise=pairwise, ranks="all", tol=1e-10).fit(X, y).coef_
        assert abs(coef[0]) == abs(coef[1])
        n_tied += coef[0] != 0.0
    assert n_tied > 0


def test_the_bound_holds_for_every_pair_of_wide_data(rng: np.random.Generator) -> None:
    n, p = 30, 100
    X = centred(np.repeat(rng.standard_normal((n, p // 5)), 5, axis=1))
    X = centred(X + 0.0003 * rng.standard_normal((n, p)))
    y = 2.0 * X[:, 0] + X[:, 5] + 0.1 * rng.standard_normal(n)
    y -= y.mean()
    lambdas = oscar_weights(p, 1.0)
    alpha = 0.1 * slope_path(X, y, lambdas=lambdas, alphas=1).alpha_max
    coef = SLOPE(alpha=alpha, lambdas=lambdas, tol=1e-10).fit(X, y).coef_
    slope = alpha * np.min(-np.diff(lambdas))
    squares = 2.0 * (n - np.abs(X.T @ X))
    bound = np.sqrt(np.maximum(squares, 0.0)) * np.linalg.norm(y) / n
    i, j = np.nonzero(bound < slope)
    assert (i != j).sum() >= p
    assert np.unique(np.abs(coef)).size > 1
    np.testing.assert_array_equal(np.abs(coef[i]), np.abs(coef[j]))
