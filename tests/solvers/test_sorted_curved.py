"""Curved losses with a sorted L1 norm, against FISTA with a proximal operator of another make."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.isotonic import isotonic_regression

from sksparse.losses import Cox, Huber, Logistic, Loss, Poisson
from sksparse.penalties import SortedL1, oscar_weights, slope_weights
from sksparse.solvers import Design, Problem, Solution, SortedDescent, Status

SHAPES = [(40, 12), (30, 60)]
KINDS = ["logistic", "poisson", "huber", "cox"]
WEIGHTS: dict[str, Any] = {
    "oscar": lambda p: oscar_weights(p, 0.7),
    "bh": lambda p: slope_weights(p, "bh", 0.1),
    "lasso": np.ones,
    "largest alone": lambda p: np.eye(p)[0],
}


def make_loss(kind: str, score: np.ndarray, rng: np.random.Generator) -> Loss:
    n = len(score)
    weights = rng.random(n)
    weights[:2] = 0.0
    weights /= weights.sum()
    if kind == "cox":
        times = np.ceil(4.0 * rng.exponential(size=n) * np.exp(-score))
        y = np.column_stack((times, rng.random(n) < 0.7)).astype(float)
        return Cox(y, weights, "efron")
    makers: dict[str, Any] = {
        "logistic": lambda: Logistic((score + rng.logistic(size=n) > 0.0).astype(float), weights),
        "poisson": lambda: Poisson(rng.poisson(np.exp(0.5 * score)).astype(float), weights),
        "huber": lambda: Huber(score + rng.standard_normal(n) ** 3, weights, 0.7),
    }
    return makers[kind]()


def make_problem(
    kind: str, shape: tuple[int, int], factors: np.ndarray, share: float, rng: np.random.Generator
) -> tuple[Problem, np.ndarray]:
    n, p = shape
    X = rng.standard_normal((n, p)) + 0.5 * rng.standard_normal((n, 1)) + 0.3
    effects = np.zeros(p)
    effects[:5] = [0.5, -0.25, 0.25, 0.5, -0.35][:p]
    loss = make_loss(kind, X @ effects, rng)
    problem = Problem(Design(X), loss, SortedL1(factors), 1.0, kind != "cox")
    strongest = SortedL1(factors).dual_norm(problem.null_gradient)
    return replace(problem, alpha=share * strongest), X


def prox(v: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """Proximal operator of a sorted L1 norm, by isotonic regression."""
    order = np.argsort(-np.abs(v), kind="stable")
    result = np.empty_like(v)
    fitted = isotonic_regression(np.abs(v)[order] - thresholds, increasing=False)
    result[order] = np.maximum(fitted, 0.0)
    return np.sign(v) * result


def least_objective(problem: Problem, X: np.ndarray, steps: int = 3000) -> float:
    """Least objective that FISTA with restarts finds, a column of ones for the intercept."""
    loss, factors = problem.loss, problem.alpha * problem.penalty_as(SortedL1).weights
    A = np.c_[X - loss.weights @ X, np.ones(len(X))] if problem.fit_intercept else X
    p = X.shape[1]
    w = point = np.zeros(A.shape[1])
    w[p:] = problem.null_intercept
    t, step, known = 1.0, 1.0, loss.value(A @ w)
    for _ in range(steps):
        z = A @ point
        gradient, value = A.T @ loss.gradient(z), loss.value(z)
        while True:
            new = point - step * gradient
            new[:p] = prox(new[:p], step * factors)
            move, known = new - point, loss.value(A @ new)
            bound = value + float(gradient @ move) + float(move @ move) / (2.0 * step)
            if known <= bound + 1e-15 * abs(value):
                break
            step *= 0.5
        done = np.abs(new - w).max() < 1e-11
        if (point - new) @ (new - w) > 0.0:
            t, point = 1.0, w
            continue
        following = 0.5 * (1.0 + np.sqrt(1.0 + 4.0 * t * t))
        point, w, t = new + (t - 1.0) / following * (new - w), new, following
        if done:
            break
    return loss.excess(A @ w) + float(factors @ np.sort(np.abs(w[:p]))[::-1])


def objective(problem: Problem, X: np.ndarray, found: Solution) -> float:
    """The documented objective of an answer, for features as they are."""
    magnitudes = np.sort(np.abs(found.coef))[::-1]
    penalty = problem.alpha * float(problem.penalty_as(SortedL1).weights @ magnitudes)
    return problem.loss.excess(X @ found.coef + found.intercept) + penalty


def fit(problem: Problem, tol: float = 1e-9) -> Solution:
    solution = SortedDescent(tol=tol, max_iter=100).solve(problem)
    assert solution.status is Status.CONVERGED
    return solution


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("factors", WEIGHTS)
@pytest.mark.parametrize("kind", KINDS)
def test_objective_is_that_of_fista(
    kind: str, factors: str, shape: tuple[int, int], rng: np.random.Generator
) -> None:
    problem, X = make_problem(kind, shape, WEIGHTS[factors](shape[1]), 0.2, rng)
    found = fit(problem)
    least, value = least_objective(problem, X), objective(problem, X, found)
    assert value == pytest.approx(least, rel=1e-8)
    if kind != "cox":
        assert value - least <= found.gap + 1e-12 * value
        assert found.gap <= 1e-9 * value


@pytest.mark.parametrize("kind", ["logistic", "poisson", "huber"])
def test_points_of_a_path_are_those_of_single_fits(kind: str, rng: np.random.Generator) -> None:
    problem, X = make_problem(kind, (40, 80), oscar_weights(80, 0.7), 1.0, rng)
    alphas = problem.alpha * np.geomspace(1.0, 0.03, 8)
    solve = SortedDescent(tol=1e-7, max_iter=100).along(problem, alphas)
    before = None
    for alpha in alphas.tolist():
        other = problem.with_alpha(alpha)
        before = solve(alpha, before)
        assert before.status is Status.CONVERGED
        values = [objective(other, X, found) for found in (before, fit(other, 1e-7))]
        assert values[0] == pytest.approx(values[1], rel=2e-7)
        assert 0.0 <= before.gap <= 1e-7 * values[0] * (1.0 + 1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_equal_columns_get_equal_coefficients(kind: str, rng: np.random.Generator) -> None:
    problem, X = make_problem(kind, (40, 12), oscar_weights(12, 0.7), 0.1, rng)
    X[:, 3], X[:, 4], X[:, 7] = X[:, 0], -X[:, 0], 5.0
    problem = replace(problem, design=Design(X), alpha=0.5 * problem.alpha)
    coef = fit(problem).coef
    assert coef[0] != 0.0
    assert coef[3] == coef[0] == -coef[4]
    assert not problem.fit_intercept or coef[7] == 0.0


@pytest.mark.parametrize("kind", KINDS)
def test_zero_at_the_largest_strength_alone(kind: str, rng: np.random.Generator) -> None:
    problem, _ = make_problem(kind, (40, 12), oscar_weights(12, 0.7), 1.0, rng)
    assert not fit(problem.with_alpha(problem.alpha * (1.0 + 1e-9))).coef.any()
    assert fit(problem.with_alpha(0.99 * problem.alpha)).coef.any()


@pytest.mark.parametrize("kind", KINDS)
def test_sparse_and_float32_features_and_weights(kind: str, rng: np.random.Generator) -> None:
    problem, X = make_problem(kind, (40, 12), oscar_weights(12, 0.7), 0.1, rng)
    expected = objective(problem, X, fit(problem))
    sparse = replace(problem, design=Design(sp.csc_array(X)))
    assert objective(problem, X, fit(sparse)) == pytest.approx(expected, rel=1e-8)
    single = X.astype(np.float32)
    found = fit(replace(problem, design=Design(single)), 1e-5)
    assert objective(problem, X, found) == pytest.approx(expected, rel=2e-5)
    used = problem.loss.weights > 0.0
    fewer = problem.loss.of_samples(np.flatnonzero(used))
    other = replace(problem, design=Design(X[used]), loss=fewer)
    if kind != "cox":
        # Efron's form counts tied samples, not their weights
        assert objective(other, X[used], fit(other)) == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize("kind", KINDS)
def test_one_feature(kind: str, rng: np.random.Generator) -> None:
    problem, X = make_problem(kind, (40, 5), np.ones(5), 1.0, rng)
    problem = replace(problem, design=Design(X[:, :1]), penalty=SortedL1(np.array([2.0])))
    alpha = 0.2 * SortedL1(np.array([2.0])).dual_norm(problem.null_gradient)
    problem = replace(problem, alpha=alpha)
    value = objective(problem, X[:, :1], fit(problem))
    assert value == pytest.approx(least_objective(problem, X[:, :1]), rel=1e-8)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("share", [1e-2, 1e-4, 1e-6, 1e-9, 0.0])
def test_separable_classes_end(share: float, shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    X = rng.standard_normal(shape)
    loss = Logistic((X[:, 0] > 0.1).astype(float), np.full(shape[0], 1.0 / shape[0]))
    problem = Problem(Design(X), loss, SortedL1(oscar_weights(shape[1], 0.5)), 1.0, True)
    alpha = share * SortedL1(oscar_weights(shape[1], 0.5)).dual_norm(problem.null_gradient)
    problem = replace(problem, alpha=alpha)
    found = SortedDescent(tol=1e-6, max_iter=50).solve(problem)
    value = objective(problem, X, found)
    assert np.isfinite(value)
    assert value < loss.excess(np.full(shape[0], problem.null_intercept))
    if share >= 1e-4:
        assert found.status is Status.CONVERGED
        assert found.gap <= 1e-6 * value
    else:
        assert found.status is Status.CONVERGED or found.message


@pytest.mark.parametrize("kind", ["logistic", "poisson"])
def test_constant_targets_need_no_feature(kind: str, rng: np.random.Generator) -> None:
    X, weights = rng.standard_normal((30, 8)), np.full(30, 1.0 / 30)
    loss = {"logistic": Logistic, "poisson": Poisson}[kind](np.ones(30), weights)
    problem = Problem(Design(X), loss, SortedL1(oscar_weights(8, 0.5)), 0.01, True)
    assert not fit(problem, 1e-6).coef.any()


def test_counts_of_zero_without_an_intercept(rng: np.random.Generator) -> None:
    X, weights = rng.standard_normal((30, 8)), np.full(30, 1.0 / 30)
    problem = Problem(Design(X), Poisson(np.zeros(30), weights), SortedL1(np.ones(8)), 0.01, False)
    value = objective(problem, X, fit(problem))
    assert value == pytest.approx(least_objective(problem, X), rel=1e-8)
