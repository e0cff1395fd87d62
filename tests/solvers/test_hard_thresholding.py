"""Iterative hard thresholding: fixed points, descent, and what it shares with the other solvers."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import subset_reference as reference
from scipy.optimize import nnls
from subset_reference import correlated, make_problem, planted, refit, with_penalty

from sksparse.penalties import L0
from sksparse.solvers import (
    BackwardElimination,
    CoordinateDescentL0,
    ForwardSelection,
    IterativeHardThresholding,
    Splicing,
)

N, P = 50, 12
run = partial(reference.run, IterativeHardThresholding)
make_data = partial(planted, n=N, p=P)


@pytest.mark.parametrize(
    "solver",
    [
        ForwardSelection,
        BackwardElimination,
        Splicing,
        IterativeHardThresholding,
        CoordinateDescentL0,
    ],
)
def test_orthonormal_columns_are_thresholded(rng: np.random.Generator, solver: type) -> None:
    # Each feature is judged alone: it gains half the square of its product with the target.
    X = np.linalg.qr(rng.standard_normal((80, 20)))[0] * np.sqrt(80)
    y = 3.0 * X @ rng.standard_normal(20) + rng.standard_normal(80)
    products = X.T @ y / 80
    largest = np.argsort(-np.abs(products))
    for k in (1, 6, 15):
        expected = np.zeros(20)
        expected[largest[:k]] = products[largest[:k]]
        problem = make_problem(X, y, fit_intercept=False)
        by_size = solver(tol=1e-12, max_iter=100)
        np.testing.assert_allclose(
            by_size.solve(with_penalty(problem, L0(max_features=k))).coef, expected, atol=1e-12
        )
        alpha = 0.25 * (products[largest[k - 1]] ** 2 + products[largest[k]] ** 2)
        problem = make_problem(X, y, alpha, fit_intercept=False)
        by_price = solver(tol=1e-12, max_iter=100)
        np.testing.assert_allclose(by_price.solve(problem).coef, expected, atol=1e-12)


@pytest.mark.parametrize("limit", [5, None])
def test_soft_thresholds_and_signs_on_orthonormal_columns(
    rng: np.random.Generator, limit: int | None
) -> None:
    X = np.linalg.qr(rng.standard_normal((80, 20)))[0] * np.sqrt(80)
    y = 3.0 * X @ rng.standard_normal(20) + rng.standard_normal(80)
    products, l1, alpha = X.T @ y / 80, 0.5, 1.0
    positive = np.arange(20) % 2 == 0
    shrunk = np.sign(products) * np.maximum(np.abs(products) - l1, 0.0)
    shrunk[positive & (products < 0)] = 0.0
    if limit:
        shrunk[np.argsort(-np.abs(shrunk))[limit:]] = 0.0
    else:
        shrunk[0.5 * shrunk**2 <= alpha] = 0.0
    penalty = L0(max_features=limit, l1=l1, positive=positive)
    for solver in (IterativeHardThresholding, CoordinateDescentL0):
        problem = make_problem(X, y, alpha, fit_intercept=False)
        solution = solver(tol=1e-12, max_iter=100).solve(with_penalty(problem, penalty))
        np.testing.assert_allclose(solution.coef, shrunk, atol=1e-12)


@pytest.mark.parametrize("limit", [6, None])
@pytest.mark.parametrize("l2", [0.0, 0.1])
def test_the_answer_is_a_fixed_point(
    rng: np.random.Generator, limit: int | None, l2: float
) -> None:
    X = correlated(rng, 100, 150, common=0.2)
    y = X[:, ::25].sum(axis=1) + rng.standard_normal(100)
    penalty = L0(max_features=limit, l2=l2)
    solver = IterativeHardThresholding(tol=1e-13, max_iter=100)
    problem = make_problem(X, y, 0.01 * y.var())
    state = solver.start(with_penalty(problem, penalty), None)
    objectives = [state.fit.objective]
    while solver.certify(problem, state).value > solver.tol:
        solver.step(problem, state)
        objectives.append(state.fit.objective)
    assert len(objectives) > 2
    assert np.diff(objectives).max() < 0.0
    # b = H(b + X^T r / L), written for columns of unit length, ridge rows included.
    centred = X - X.mean(axis=0)
    gram = centred.T @ centred / 100 + l2 * np.eye(150)
    lengths, scale = np.sqrt(np.diag(gram)), y.std()
    u = state.coef * lengths / scale
    descent = (centred.T @ (y - y.mean()) / 100 - gram @ state.coef) / lengths / scale
    bound = np.linalg.eigvalsh(gram / np.outer(lengths, lengths))[-1]
    assert state.curvature <= 2.0 * bound
    for curvature in (state.curvature, 10.0 * state.curvature):
        v = u + descent / curvature
        if limit:
            kept = np.isin(np.arange(150), np.argsort(-np.abs(v))[:limit])
        else:
            kept = np.abs(v) > np.sqrt(0.02 / curvature)
        np.testing.assert_allclose(np.where(kept, v, 0.0), u, atol=1e-10)


@pytest.mark.parametrize("alpha, limit", [(0.0, 5), (0.05, None)])
def test_the_answer_is_a_refit(rng: np.random.Generator, alpha: float, limit: int | None) -> None:
    X, y = make_data(rng)
    weights = rng.random(N)
    for l2 in (0.0, 0.3):
        options = {"max_features": limit, "l2": l2, "weights": weights}
        support, solution = run(X, y, alpha, **options)
        assert 0 < len(support) <= (limit or P)
        expected, _ = refit(X, y, support, l2, weights)
        np.testing.assert_allclose(solution.coef[support], expected, rtol=1e-9)
        assert solution.intercept == pytest.approx(
            weights @ (y - X @ solution.coef) / weights.sum()
        )


def test_positive_coefficients_are_those_of_non_negative_least_squares(
    rng: np.random.Generator,
) -> None:
    X = correlated(rng, N, P)
    y = X[:, :4] @ np.array([3.0, 2.0, 1.0, -1.0]) + rng.standard_normal(N)
    support, solution = run(X, y, max_features=6, positive=np.ones(P, dtype=bool))
    assert len(support) > 1
    assert solution.coef.min() >= 0.0
    centred = X[:, support] - X[:, support].mean(axis=0)
    np.testing.assert_allclose(solution.coef[support], nnls(centred, y - y.mean())[0], rtol=1e-8)


def test_l1_obeys_its_optimality_conditions(rng: np.random.Generator) -> None:
    X, y = make_data(rng)
    support, solution = run(X, y, max_features=6, l1=0.2, l2=0.1)
    residual = y - X @ solution.coef - solution.intercept
    gradient = X.T @ residual / N - 0.1 * solution.coef
    np.testing.assert_allclose(gradient[support], 0.2 * np.sign(solution.coef[support]))


def test_penalty_weights(rng: np.random.Generator) -> None:
    X, y = make_data(rng)
    factors = np.ones(P)
    factors[[7, 9]] = 0.0
    for k in (0, 1, 4):
        support, solution = run(X, y, max_features=k, penalty_weights=factors)
        assert {7, 9} <= set(support.tolist())
        assert len(support) == k + 2
        np.testing.assert_allclose(solution.coef[support], refit(X, y, support)[0], rtol=1e-9)
    factors[:5] = 100.0
    support, _ = run(X, y, 0.1 * y.var(), penalty_weights=factors)
    assert {7, 9} <= set(support.tolist())
    assert set(support.tolist()).isdisjoint(range(5))


def test_a_start_is_improved(rng: np.random.Generator) -> None:
    X, y = make_data(rng)
    start = np.zeros(P)
    start[:7] = rng.standard_normal(7)
    largest = np.argsort(-np.abs(start * X.std(axis=0)))[:4]
    support, _ = run(X, y, max_features=4, start=start)
    assert refit(X, y, support)[1] <= refit(X, y, largest)[1] + 1e-12


def test_degenerate_columns_and_targets(rng: np.random.Generator) -> None:
    X, y = make_data(rng)
    X[:, 3] = 5.0
    X[:, 8] = X[:, 0]
    support, solution = run(X, y, start=np.ones(P))
    assert solution.coef[3] == 0.0
    assert refit(X, y, support)[1] == pytest.approx(refit(X, y, range(P))[1], rel=1e-9)
    support, solution = run(X, np.full(N, 3.0), 0.01)
    assert not len(support)
    assert solution.intercept == pytest.approx(3.0)
    assert len(run(X[:8], y[:8], max_features=P)[0]) <= 7
