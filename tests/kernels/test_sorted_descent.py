"""Coordinate descent with a sorted L1 norm: what a sweep leaves behind."""

from __future__ import annotations

import numpy as np

from sksparse._kernels.sorted_descent import sorted_descent


def test_magnitudes_stay_those_of_the_coefficients(rng: np.random.Generator) -> None:
    for _ in range(200):
        p = int(rng.integers(2, 9))
        A = rng.standard_normal((p + 2, p))
        H, q = A.T @ A, 3.0 * rng.standard_normal(p)
        weights = np.sort(rng.random(p))[::-1].copy()
        # rounded, so that there are ties from the start
        coef = np.round(rng.standard_normal(p))
        ranked = np.sort(np.abs(coef))[::-1].copy()
        descent = q - H @ coef
        alpha = float(rng.choice([0.1, 1.0, 5.0]))

        def objective(w: np.ndarray) -> float:
            penalty = alpha * weights @ np.sort(np.abs(w))[::-1]  # noqa: B023
            return 0.5 * w @ H @ w - q @ w + penalty  # noqa: B023

        for _ in range(4):
            before = objective(coef)
            sorted_descent(H, descent, coef, ranked, weights, alpha)
            np.testing.assert_array_equal(ranked, np.sort(np.abs(coef))[::-1])
            np.testing.assert_allclose(descent, q - H @ coef, atol=1e-9)
            assert objective(coef) <= before + 1e-9


def test_what_is_no_number_is_not_counted() -> None:
    H, weights = np.eye(3), np.ones(3)
    for bad in (np.nan, np.inf):
        coef, descent = np.array([1.0, 1.0, 2.0]), np.array([bad, 1.0, 0.0])
        ranked = np.sort(np.abs(coef))[::-1].copy()
        for _ in range(5):
            sorted_descent(H, descent, coef, ranked, weights, 0.1)
        assert np.all(np.isfinite(coef))
