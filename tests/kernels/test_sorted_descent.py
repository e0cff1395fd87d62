"""Coordinate descent on a sorted L1 problem: each move is the best on its line."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from sksparse._kernels.sorted_descent import best_magnitude, descend
from sksparse._kernels.sorted_newton import newton_step
from sksparse.penalties import SortedL1


def value(coef: np.ndarray, gram: np.ndarray, q: np.ndarray, weights: np.ndarray) -> float:
    return float(0.5 * coef @ gram @ coef - q @ coef + weights @ np.sort(np.abs(coef))[::-1])


def cumulative(weights: np.ndarray) -> np.ndarray:
    return np.append(0.0, np.cumsum(weights))


def memory(p: int) -> tuple[np.ndarray, np.ndarray]:
    return np.empty((4, p), dtype=np.intp), np.empty((4, p))


@pytest.mark.parametrize("size", [1, 3])
def test_best_magnitude_is_the_minimum_on_the_line(size: int, rng: np.random.Generator) -> None:
    for _ in range(200):
        others = np.sort(rng.exponential(size=5))[::-1].copy()
        weights = np.sort(rng.exponential(size=10))[::-1].copy()
        curvature, pull = rng.exponential(), 6.0 * rng.exponential()
        at = int(rng.integers(6))
        here = np.append(others, 0.0)[at]
        magnitudes = np.insert(others, at, np.full(size, here))

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

        t, to = best_magnitude(
            curvature, pull, at, size, magnitudes, 5 + size, cumulative(weights), 1.0
        )
        best = minimize_scalar(along, bounds=(0.0, 100.0), method="bounded")
        assert along(t) <= min(best.fun, along(0.0)) + 1e-9
        assert np.all(others[:to] >= t)
        assert np.all(others[to:] <= t)


def random_problem(rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    p = int(rng.integers(1, 30))
    A = rng.standard_normal((20, p)) * 10.0 ** rng.integers(-3, 4, p)
    gram, q = A.T @ A / 20, A.T @ rng.standard_normal(20)
    weights = np.sort(rng.exponential(size=p))[::-1].copy()
    coef = rng.standard_normal(p) * (rng.random(p) < 0.7)
    coef[: p // 2] = np.round(coef[: p // 2])
    return gram, q, weights, coef, A.std(axis=0)


def test_rounds_never_raise_the_objective_and_know_the_gradient(rng: np.random.Generator) -> None:
    for _ in range(50):
        gram, q, weights, coef, scales = random_problem(rng)
        descent, places = q - gram @ coef, memory(len(q))
        before, curvature = value(coef, gram, q, weights), gram.diagonal().max()
        for k in range(6):
            sums = cumulative(weights)
            expected = SortedL1(weights).violations(coef, -descent, 1.0, scales).max()
            found, curvature, _, _ = descend(
                gram, descent, coef, scales, sums, 1.0, 0.0, curvature, 3, *places
            )
            assert found == pytest.approx(expected, rel=1e-9, abs=1e-9)
            if k % 2:
                newton_step(gram, q, descent, coef, sums, 1.0, np.inf, True, *places)
            after = value(coef, gram, q, weights)
            assert after <= before + 1e-9 * (1.0 + abs(before))
            before = after
            np.testing.assert_allclose(descent, q - gram @ coef, rtol=1e-6, atol=1e-6)


def test_nothing_is_done_where_violations_are_small(rng: np.random.Generator) -> None:
    gram, q, weights, coef, scales = random_problem(rng)
    start, descent = coef.copy(), q - gram @ coef
    descend(gram, descent, coef, scales, cumulative(weights), 1.0, np.inf, 1.0, 3, *memory(len(q)))
    np.testing.assert_array_equal(coef, start)


def test_newton_step_on_the_right_pattern_is_the_solution(rng: np.random.Generator) -> None:
    A = rng.standard_normal((40, 6))
    gram, weights = A.T @ A / 40, np.linspace(1.0, 0.5, 6)
    solution = np.array([3.0, -3.0, 2.0, 0.0, -1.0, 0.0])
    # the subgradient of cluster means, inside for the zeros and the tie
    subgradient = np.array([0.95, -0.95, 0.8, 0.1, -0.7, 0.0])
    q = gram @ solution + subgradient
    coef = np.array([5.0, -5.0, 4.0, 0.0, -0.5, 0.0])
    places, work = memory(6)
    descent = q - gram @ coef
    newton_step(gram, q, descent, coef, cumulative(weights), 1.0, np.inf, True, places, work)
    np.testing.assert_allclose(coef, solution, atol=1e-9)
    assert coef[0] == -coef[1]


def test_a_gradient_that_is_not_finite_is_not_followed() -> None:
    H, weights = np.eye(3), np.ones(3)
    for bad in (np.nan, np.inf):
        coef, descent = np.array([1.0, 1.0, 2.0]), np.array([bad, 1.0, 0.0])
        descend(H, descent, coef, np.ones(3), cumulative(weights), 0.1, 0.0, 1.0, 5, *memory(3))
        assert np.isfinite(coef).all()
