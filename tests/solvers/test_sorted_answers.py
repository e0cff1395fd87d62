"""Sorted L1 norms for every loss, sequence and shape, against the reference of the family."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from convex_cases import KINDS, SPOILS, far, pairs
from scipy.optimize import isotonic_regression, lsq_linear, minimize_scalar
from sklearn.linear_model import Lasso, MultiTaskLasso
from sorted_problems import LOSSES, WEIGHTS, draw
from sorted_reference import SortedProblem, alpha_max, lengths, lower_bound, minimise, violations

from sksparse.penalties import SortedL1, cluster_labels
from sksparse.solvers import Design, Problem, Solution, SortedDescent, Status

SHAPES: dict[str, dict[str, Any]] = {
    "tall": {},
    "wide": {"n": 15, "p": 30},
    "weighted": {"weighted": True},
    "no intercept": {"intercept": False},
}


def in_library(problem: SortedProblem, X: Any = None) -> Problem:
    s = np.ones(len(problem.y)) if problem.weights is None else problem.weights
    loss = KINDS[problem.loss](problem.y, s / s.sum())
    design = Design(problem.X if X is None else X)
    return Problem(design, loss, SortedL1(problem.lambdas), problem.alpha, problem.intercept)


def solve(problem: SortedProblem, X: Any = None, tol: float = 1e-10) -> Solution:
    return SortedDescent(tol=tol, max_iter=300).solve(in_library(problem, X))


def check(problem: SortedProblem, solution: Solution, tol: float = 1e-10) -> float:
    """The objective of an answer that is converged, optimal, and honest about its gap."""
    assert solution.status is Status.CONVERGED, solution.message
    W, b = solution.coef, solution.intercept
    value = problem.objective(W, b)
    least = problem.objective(*minimise(problem))
    assert least - 1e-10 * abs(least) <= value
    assert value - least <= max(1e-8, tol) * abs(least) + 1e-13
    # with the rounding of what both are computed from
    assert value - least <= solution.gap + 1e-14 + 1e-14 * abs(least)
    assert 0.0 <= solution.gap <= tol * 1.01 * value + 1e-15
    outside, missed, slopes = violations(problem, W, b)
    # as small as such a gap proves them to be
    small = 10.0 * np.sqrt(max(tol, 1e-10) * (1.0 + value))
    spread = np.sqrt(np.sum(problem.X.std(axis=0) ** 2))
    assert outside * problem.alpha <= small * (1.0 + spread)
    assert missed <= small * (1.0 + np.abs(W).sum()) * (1.0 + spread)
    assert np.abs(slopes).max() <= small
    return value


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("loss, weights", pairs(LOSSES, list(WEIGHTS), 3))
def test_answers_are_minima(loss: str, weights: str, shape: str, rng: np.random.Generator) -> None:
    problem = draw(rng, loss, weights, **SHAPES[shape])
    solution = solve(problem)
    check(problem, solution)
    assert np.any(solution.coef)


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.9, 0.1, 0.01])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("loss", LOSSES)
def test_answers_are_minima_at_other_strengths(
    loss: str, weights: str, shape: str, share: float, rng: np.random.Generator
) -> None:
    problem = draw(rng, loss, weights, share=share, **SHAPES[shape])
    check(problem, solve(problem, tol=1e-8), tol=1e-8)


@pytest.mark.parametrize("loss, tol", pairs(LOSSES, [1e-2, 1e-4, 1e-6], 2))
def test_the_gap_is_as_small_as_asked_and_no_smaller_than_the_error(
    loss: str, tol: float, rng: np.random.Generator
) -> None:
    for weights in ("falling", "equal", "half zero"):
        problem = draw(rng, loss, weights, n=30, p=40, share=0.1)
        solution = solve(problem, tol=tol)
        assert solution.status is Status.CONVERGED
        value = problem.objective(solution.coef, solution.intercept)
        error = value - problem.objective(*minimise(problem))
        assert -1e-10 <= error <= solution.gap + 1e-13
        assert solution.gap <= tol * value
        bound = lower_bound(problem, solution.coef, solution.intercept)
        assert bound <= value - error + 1e-12


@pytest.mark.parametrize("loss, spoil", pairs(LOSSES, SPOILS, 2))
def test_columns_that_solvers_stumble_over(
    loss: str, spoil: Callable[..., None], rng: np.random.Generator
) -> None:
    problem = draw(rng, loss)
    X = problem.X.copy()
    spoil(rng, X)
    near = replace(problem, X=X - X.mean(axis=0)) if spoil is far else replace(problem, X=X)
    near = replace(near, alpha=0.2 * alpha_max(near))
    if spoil is far:
        # what the intercept and a mean of 1e5 cancel to is rounding in the reference
        solution = solve(replace(near, X=X))
        moved = solution.intercept + X.mean(axis=0) @ np.atleast_2d(solution.coef).T
        check(near, replace(solution, intercept=np.atleast_1d(moved)), tol=1e-7)
        return
    check(near, solve(near))


@pytest.mark.parametrize("loss, size", pairs(LOSSES, [(8, 30), (12, 12), (30, 1), (4, 2)], 2))
def test_few_samples_and_few_features(loss: str, size: Any, rng: np.random.Generator) -> None:
    n, p = size
    problem = draw(rng, loss, n=n, p=p)
    check(problem, solve(problem))


@pytest.mark.parametrize("loss", LOSSES)
def test_nothing_is_selected_from_alpha_max_on_and_something_below(
    loss: str, rng: np.random.Generator
) -> None:
    for weights in WEIGHTS:
        problem = draw(rng, loss, weights, share=1.0 + 1e-9)
        assert not np.any(solve(problem).coef)
        below = replace(problem, alpha=0.999 * problem.alpha)
        assert np.any(solve(below, tol=1e-12).coef)


def test_equal_weights_are_the_lasso(rng: np.random.Generator) -> None:
    problem = draw(rng, "squared", "equal")
    lasso = Lasso(problem.alpha, tol=1e-12, max_iter=100_000).fit(problem.X, problem.y)
    np.testing.assert_allclose(solve(problem).coef, lasso.coef_, atol=1e-5)
    several = draw(rng, "tasks", "equal")
    tasks = MultiTaskLasso(several.alpha, tol=1e-12, max_iter=100_000).fit(several.X, several.y)
    np.testing.assert_allclose(solve(several).coef, tasks.coef_, atol=1e-5)


def test_a_first_weight_alone_penalises_the_largest_magnitude(rng: np.random.Generator) -> None:
    problem = draw(rng, "squared", "only the first")
    A, y = problem.X - problem.X.mean(axis=0), problem.y - problem.y.mean()

    def within(limit: float) -> np.ndarray:
        return lsq_linear(A, y, (-limit, limit), tol=1e-14).x

    def cost(limit: float) -> float:
        return float(np.mean((y - A @ within(limit)) ** 2)) / 2 + problem.alpha * limit

    best = minimize_scalar(cost, bounds=(1e-6, 5.0), options={"xatol": 1e-12}, method="bounded")
    solution = solve(problem)
    assert problem.objective(solution.coef, solution.intercept) == pytest.approx(best.fun, rel=1e-8)
    largest = np.abs(solution.coef).max()
    assert np.count_nonzero(np.abs(solution.coef) == largest) > 1


@pytest.mark.parametrize("weights", WEIGHTS)
def test_orthonormal_columns_have_a_closed_form(weights: str, rng: np.random.Generator) -> None:
    problem = draw(rng, "squared", weights, intercept=False)
    X = np.linalg.qr(problem.X)[0] * np.sqrt(len(problem.y))
    c = X.T @ problem.y / len(X)
    order = np.argsort(-np.abs(c))
    alpha = 0.3 * float(np.abs(c).max()) / problem.lambdas[0]
    pooled = isotonic_regression(np.abs(c)[order] - alpha * problem.lambdas, increasing=False).x
    expected = np.zeros(len(c))
    expected[order] = np.maximum(pooled, 0.0)
    found = solve(replace(problem, X=X, alpha=alpha), tol=1e-13).coef
    np.testing.assert_allclose(found, np.copysign(expected, c), atol=1e-7)


@pytest.mark.parametrize("loss", LOSSES)
def test_equal_and_opposite_columns_are_tied(loss: str, rng: np.random.Generator) -> None:
    problem = draw(rng, loss, share=0.1)
    X = problem.X.copy()
    X[:, 3], X[:, 7] = X[:, 0], -X[:, 0]
    coef = solve(replace(problem, X=X)).coef
    labels, W = cluster_labels(coef), np.atleast_2d(coef)
    assert labels[0] == labels[3] == labels[7] >= 0
    # of one output bit for bit
    rtol = 0.0 if len(W) == 1 else 1e-6
    np.testing.assert_allclose(W[:, 3], W[:, 0], rtol=rtol)
    np.testing.assert_allclose(W[:, 7], -W[:, 0], rtol=rtol)


@pytest.mark.parametrize("loss", LOSSES)
def test_columns_in_any_order_and_of_any_sign(loss: str, rng: np.random.Generator) -> None:
    problem = draw(rng, loss)
    order, signs = rng.permutation(12), rng.choice([-1.0, 1.0], 12)
    one, two = solve(problem), solve(replace(problem, X=signs * problem.X[:, order]))
    np.testing.assert_allclose(one.coef[..., order] * signs, two.coef, atol=1e-4)
    np.testing.assert_allclose(one.intercept, two.intercept, atol=1e-4)


@pytest.mark.parametrize("loss", LOSSES)
def test_a_whole_weight_is_so_many_rows(loss: str, rng: np.random.Generator) -> None:
    problem = draw(rng, loss)
    times = rng.integers(0, 4, len(problem.y))
    # the first sample of every class
    times[np.unique(np.reshape(problem.y, (len(times), -1))[:, -1], return_index=True)[1]] = 1
    weighted = replace(problem, weights=times.astype(float))
    rows = replace(problem, X=problem.X.repeat(times, axis=0), y=problem.y.repeat(times, axis=0))
    one, two = solve(weighted), solve(rows)
    np.testing.assert_allclose(one.coef, two.coef, atol=1e-4)
    assert weighted.objective(one.coef, one.intercept) == pytest.approx(
        rows.objective(two.coef, two.intercept), rel=1e-8
    )


@pytest.mark.parametrize("form", [sp.csr_array, sp.csc_array])
@pytest.mark.parametrize("loss", LOSSES)
def test_sparse_features_give_the_answer_of_dense_ones(
    loss: str, form: Any, rng: np.random.Generator
) -> None:
    problem = draw(rng, loss, n=60)
    X = np.where(rng.random(problem.X.shape) < 0.5, 0.0, problem.X)
    problem = replace(problem, X=X)
    check(problem, solve(problem, form(X)))


@pytest.mark.parametrize("loss", LOSSES)
def test_float32_features_give_the_answer_of_their_numbers(
    loss: str, rng: np.random.Generator
) -> None:
    problem = draw(rng, loss)
    X = problem.X.astype(np.float32)
    # as small as float32 is asked to be
    check(replace(problem, X=X.astype(np.float64)), solve(problem, X), tol=1.2e-5)


@pytest.mark.parametrize("powers", [-6, 5])
@pytest.mark.parametrize("loss", LOSSES)
def test_features_in_other_units(loss: str, powers: int, rng: np.random.Generator) -> None:
    problem = draw(rng, loss)
    unit = 10.0**powers
    solution = solve(replace(problem, X=problem.X * unit, alpha=problem.alpha * unit))
    check(problem, replace(solution, coef=solution.coef * unit))


@pytest.mark.parametrize("loss", ["multinomial", "tasks"])
def test_outputs_in_any_order(loss: str, rng: np.random.Generator) -> None:
    problem = draw(rng, loss)
    order = np.array([2, 0, 1])
    y = order[problem.y.astype(int)] if loss == "multinomial" else problem.y[:, np.argsort(order)]
    one, two = solve(problem), solve(replace(problem, y=y.astype(float)))
    np.testing.assert_allclose(two.coef[order], one.coef, atol=1e-4)
    np.testing.assert_allclose(np.asarray(two.intercept)[order], one.intercept, atol=1e-4)


@pytest.mark.parametrize("loss, weights", pairs(LOSSES, list(WEIGHTS), 5))
def test_every_point_of_a_path_is_a_minimum(
    loss: str, weights: str, rng: np.random.Generator
) -> None:
    problem = draw(rng, loss, weights, n=25, p=36, share=1.0)
    alphas = problem.alpha * np.geomspace(1.0, 0.05, 6)
    tol, solution = 1e-8, None
    solver = SortedDescent(tol=tol, max_iter=300)
    at = solver.along(in_library(problem), alphas)
    for alpha in alphas:
        solution = at(float(alpha), solution)
        check(replace(problem, alpha=float(alpha)), solution, tol)


def test_the_reference_bounds_products_and_proves_its_minima(rng: np.random.Generator) -> None:
    for loss in LOSSES:
        for weights in WEIGHTS:
            problem = draw(rng, loss, weights)
            W, b = minimise(problem)
            value, bound = problem.objective(W, b), lower_bound(problem, W, b)
            assert -1e-12 <= value - bound <= 1e-10 * (1.0 + abs(value))
            other = W * rng.uniform(0.8, 1.0, W.shape)
            assert problem.objective(other, b) >= value - 1e-13
            assert lower_bound(problem, other, b) <= value + 1e-12
            C = rng.standard_normal(W.shape)
            products = [np.sum(C * V) for V in rng.standard_normal((100, *W.shape))]
            # a product is largest at columns of equal length along those of C, for some first k
            first = np.argsort(-lengths(C))
            for k in range(1, W.shape[1] + 1):
                V = np.zeros_like(C)
                V[:, first[:k]] = C[:, first[:k]] / lengths(C)[first[:k]]
                products.append(np.sum(C * V) / problem.norm(V))
            assert max(products[100:]) == pytest.approx(problem.dual_norm(C), rel=1e-12)
