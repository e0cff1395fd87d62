"""Coordinate descent on a sorted L1 problem: each move is the best on its line."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from sksparse._kernels.sorted_descent import _best_magnitude, sorted_descent


def value(coef: np.ndarray, gram: np.ndarray, q: np.ndarray, weights: np.ndarray) -> float:
    return float(0.5 * coef @ gram @ coef - q @ coef + weights @ np.sort(np.abs(coef))[::-1])


@pytest.mark.parametrize("size", [1, 3])
def test_best_magnitude_is_the_minimum_on_the_line(size: int, rng: np.random.Generator) -> None:
    for _ in range(200):
        others = np.sort(rng.exponential(size=5))[::-1].copy()
        weights = np.sort(rng.exponential(size=10))[::-1].copy()
        curvature, pull = rng.exponential(), 6.0 * rng.exponential()

        def along(
            t: float,
            curvature: float = curvature,
            pull: float = pull,
            others: np.ndarray = others,
            weights: np.ndarray = weights,
        ) -> float:
            all_of_them = np.sort(np.r_[others, np.full(size, abs(t))])[::-1]
            penalty = weights[: len(all_of_them)] @ all_of_them
            return 0.5 * curvature * t * t - pull * t + float(penalty)

        t = _best_magnitude(curvature, pull, size, others, 5, weights, 1.0)
        best = minimize_scalar(along, bounds=(0.0, 100.0), method="bounded")
        assert along(t) <= min(best.fun, along(0.0)) + 1e-9


def test_sweeps_never_raise_the_objective_and_update_the_ranking(rng: np.random.Generator) -> None:
    for _ in range(50):
        p = int(rng.integers(1, 30))
        A = rng.standard_normal((20, p)) * 10.0 ** rng.integers(-3, 4, p)
        gram, q = A.T @ A / 20, A.T @ rng.standard_normal(20)
        weights = np.sort(rng.exponential(size=p))[::-1].copy()
        coef = rng.standard_normal(p) * (rng.random(p) < 0.7)
        coef[: p // 2] = np.round(coef[: p // 2])
        descent = q - gram @ coef
        ranked = np.sort(np.abs(coef))[::-1].copy()
        before = value(coef, gram, q, weights)
        for _ in range(4):
            sorted_descent(gram, descent, coef, ranked, weights, 1.0)
            after = value(coef, gram, q, weights)
            assert after <= before + 1e-9 * (1.0 + abs(before))
            before = after
            np.testing.assert_array_equal(ranked, np.sort(np.abs(coef))[::-1])
            np.testing.assert_allclose(descent, q - gram @ coef, rtol=1e-6, atol=1e-6)


def test_nan_is_not_ranked() -> None:
    H, weights = np.eye(3), np.ones(3)
    for bad in (np.nan, np.inf):
        coef, descent = np.array([1.0, 1.0, 2.0]), np.array([bad, 1.0, 0.0])
        ranked = np.sort(np.abs(coef))[::-1].copy()
        for _ in range(5):
            sorted_descent(H, descent, coef, ranked, weights, 0.1)
        assert np.all(np.isfinite(coef))
