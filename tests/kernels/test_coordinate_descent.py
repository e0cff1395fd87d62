"""Coordinate descent on a stored Gram matrix: optimality, bounds, and hard designs."""

from __future__ import annotations

import numpy as np
import pytest

from sksparse._kernels.coordinate_descent import coordinate_descent


@pytest.mark.parametrize("bound", [np.inf, 0.3])
@pytest.mark.parametrize("ridge", [0.0, 0.5])
@pytest.mark.parametrize("correlated", [False, True])
def test_the_end_is_optimal(
    rng: np.random.Generator, bound: float, ridge: float, correlated: bool
) -> None:
    X = rng.standard_normal((80, 30))
    if correlated:
        X = np.cumsum(X, axis=1)
    X /= np.linalg.norm(X, axis=0)
    matrix, origin = X.T @ X, X.T @ rng.standard_normal(80)
    thresholds = rng.uniform(0.0, 0.3, 30)
    lower, upper = np.full(30, -bound), np.full(30, bound)
    state, coef, visited = origin.copy(), np.zeros(30), np.arange(30)
    moved = coordinate_descent(
        matrix, origin, state, coef, 20000, ridge, thresholds, lower, upper, visited, 1e-10
    )
    assert moved <= 1e-10
    np.testing.assert_allclose(state, origin - matrix @ coef, atol=1e-10)
    # one step of proximal gradient descent leaves an optimum where it is
    ahead = coef + origin - matrix @ coef - ridge * coef
    ahead = np.sign(ahead) * np.maximum(np.abs(ahead) - thresholds, 0.0)
    np.testing.assert_allclose(np.clip(ahead, lower, upper), coef, atol=1e-7)


def test_only_what_is_visited_moves() -> None:
    matrix, origin, coef = np.eye(3), np.array([2.0, 2.0, 2.0]), np.zeros(3)
    state, infinite = origin.copy(), np.full(3, np.inf)
    about = 0.0, np.full(3, 0.5), -infinite, infinite, np.array([2]), 1e-12
    coordinate_descent(matrix, origin, state, coef, 10, *about)
    np.testing.assert_array_equal(coef, [0.0, 0.0, 1.5])
    np.testing.assert_array_equal(state, [2.0, 2.0, 0.5])


def test_equal_columns_and_columns_of_zeros_end() -> None:
    matrix = np.array([[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    origin, coef, infinite = np.array([1.0, 1.0, 0.0]), np.zeros(3), np.full(3, np.inf)
    about = 0.0, np.full(3, 0.25), -infinite, infinite, np.arange(3), 1e-12
    moved = coordinate_descent(matrix, origin, origin.copy(), coef, 100, *about)
    assert moved <= 1e-12
    np.testing.assert_allclose([coef[:2].sum(), coef[2]], [0.75, 0.0])
