"""Paths of sorted L1 norms: every point is an answer, however it was found."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from sksparse.losses import Squared
from sksparse.penalties import BlockPenalty, Blocks, SortedL1
from sksparse.solvers import BlockDescent, Design, Problem, Solution, SortedDescent, Status
from sksparse.solvers.sorted_l1 import _path as path_module

TOL = 1e-7
SHAPES = pytest.mark.parametrize("shape", [(60, 200), (600, 40)], ids=["wide", "tall"])


def sorted_weights(kind: str, p: int) -> np.ndarray:
    return {
        "falling": np.linspace(3.0, 1.0, p),
        "lasso": np.ones(p),
        "steep": np.linspace(1.0, 0.0, p),
        "largest": np.eye(p)[0],
        "steps": np.where(np.arange(p) < 7, 2.0, 0.5),
    }[kind]


def make(rng: np.random.Generator, n: int, p: int, kind: str = "falling", X: Any = None) -> Problem:
    if X is None:
        X = rng.standard_normal((n, p)) + 0.5 * rng.standard_normal((n, 1)) + 3.0
        X[:, 1:6] += X[:, :1]
        X[:, -1] = 1.0
    coef = np.zeros(p)
    coef[:8] = [1.0, 1.0, -1.0, 1.0, 0.3, 2.0, 2.0, -2.0]
    y = X @ coef + rng.standard_normal(n)
    weights = rng.random(n)
    weights[0] = 0.0
    loss = Squared(y, weights / weights.sum())
    return Problem(Design(X), loss, SortedL1(sorted_weights(kind, p)), 1.0, True)


def strengths(problem: Problem, n_points: int = 20, lowest: float = 0.02) -> np.ndarray:
    highest = problem.penalty_as(SortedL1).dual_norm(problem.null_gradient)
    return highest * np.geomspace(1.0, lowest, n_points)


def along(problem: Problem, alphas: np.ndarray, tol: float = TOL) -> list[Solution]:
    solve = SortedDescent(tol=tol, max_iter=100).along(problem, alphas)
    found: list[Solution] = []
    for alpha in alphas:
        found.append(solve(float(alpha), found[-1] if found else None))
    return found


def gap(problem: Problem, solution: Solution) -> float:
    """Objective minus the dual value at the scaled residual, from the textbook."""
    X, y, s = problem.design.columns(np.arange(problem.design.n_features)), *_data(problem)
    X = X.toarray() if sp.issparse(X) else X
    weights = problem.penalty_as(SortedL1).weights
    residual = y - X @ solution.coef - solution.intercept
    penalty = problem.alpha * weights @ np.sort(np.abs(solution.coef))[::-1]
    primal = 0.5 * s @ residual**2 + penalty
    dual = residual - s @ residual
    pulls = np.cumsum(np.sort(np.abs(X.T @ (s * dual)))[::-1])
    totals = problem.alpha * np.cumsum(weights)
    largest = np.max(pulls[totals > 0] / totals[totals > 0])
    dual /= max(1.0, largest)
    return float(primal - (s @ (dual * y) - 0.5 * s @ dual**2))


def _data(problem: Problem) -> tuple[np.ndarray, np.ndarray]:
    return problem.loss.y, problem.loss.weights


def assert_optimal(problem: Problem, alphas: np.ndarray, found: list[Solution]) -> None:
    """Every point has the gap that it claims, and some the objective of a fit of their own."""
    for k, (alpha, solution) in enumerate(zip(alphas, found, strict=True)):
        at = problem.with_alpha(float(alpha))
        ours = at.objective(solution.coef, at.predictor(solution.coef, solution.intercept))
        assert solution.status is Status.CONVERGED
        assert solution.gap <= TOL * ours
        assert gap(at, solution) <= 1.01 * TOL * ours + 1e-12 * problem.loss.excess(
            problem.null_predictor
        )
        if k % 6 == 0:
            single = SortedDescent(tol=1e-10, max_iter=200).solve(at)
            theirs = at.objective(single.coef, at.predictor(single.coef, single.intercept))
            assert -1e-9 * theirs <= ours - theirs <= TOL * ours


@SHAPES
@pytest.mark.parametrize("kind", ["falling", "steep", "largest", "steps"])
def test_points_are_optimal(rng: np.random.Generator, kind: str, shape: tuple[int, int]) -> None:
    problem = make(rng, *shape, kind)
    alphas = strengths(problem)
    assert_optimal(problem, alphas, along(problem, alphas))


@SHAPES
def test_equal_weights_are_the_lasso(rng: np.random.Generator, shape: tuple[int, int]) -> None:
    problem = make(rng, *shape, "lasso")
    p = shape[1]
    blocks = Blocks.from_labels(np.arange(p))
    lasso = BlockPenalty(blocks, np.ones(p), np.zeros(p))
    other = Problem(problem.design, problem.loss, lasso, 1.0, True)
    alphas = strengths(problem)
    solve = BlockDescent(tol=1e-10, max_iter=100).along(other, alphas)
    for alpha, ours in zip(alphas, along(problem, alphas, 1e-10), strict=True):
        theirs = solve(float(alpha), None)
        np.testing.assert_allclose(ours.coef, theirs.coef, atol=1e-4)
        assert ours.gap <= 1e-9 * problem.loss.excess(problem.null_predictor)


@SHAPES
def test_nothing_is_selected_from_the_largest_strength_on(
    rng: np.random.Generator, shape: tuple[int, int]
) -> None:
    problem = make(rng, *shape)
    highest = strengths(problem)[0]
    alphas = highest * np.array([3.0, 1.5, 1.0 + 1e-10, 0.99, 0.9])
    used = [np.count_nonzero(point.coef) for point in along(problem, alphas)]
    assert used[:3] == [0, 0, 0]
    assert used[3] > 0


@SHAPES
def test_features_that_were_not_foreseen_are_found(
    rng: np.random.Generator, shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    # nothing is foreseen: all features have to be found by the checks
    tuned = path_module.Tuning(slack=1e9, most=20, first=20)
    monkeypatch.setattr(path_module, "TUNING", tuned)
    problem = make(rng, *shape)
    alphas = strengths(problem)
    assert_optimal(problem, alphas, along(problem, alphas))


def test_too_many_candidates_are_fitted_one_by_one(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(path_module, "TUNING", path_module.Tuning(largest=20))
    problem = make(rng, 60, 200)
    alphas = strengths(problem)
    assert_optimal(problem, alphas, along(problem, alphas))


@SHAPES
@pytest.mark.parametrize("tol", [1e-3, 1e-9])
def test_copies_of_columns_are_tied(
    rng: np.random.Generator, shape: tuple[int, int], tol: float
) -> None:
    """Equal and negated columns have one magnitude, bit for bit, wherever both are in use."""
    X = rng.standard_normal(shape)
    X[:, 10], X[:, 11] = X[:, 0], -X[:, 5]
    problem = make(rng, *shape, X=X)
    found = along(problem, strengths(problem), tol)
    assert found[-1].coef[0] != 0.0
    for point in found[1:] if tol < 1e-6 else found[-1:]:
        assert point.coef[10] == point.coef[0]
        assert point.coef[11] == -point.coef[5]


@SHAPES
@pytest.mark.parametrize("form", ["sparse", "float32", "C order"])
def test_forms_of_features_agree(
    rng: np.random.Generator, form: str, shape: tuple[int, int]
) -> None:
    X = np.where(rng.random(shape) < 0.4, rng.standard_normal(shape), 0.0)
    forms = {
        "sparse": sp.csc_array(X),
        "float32": X.astype(np.float32),
        "C order": np.ascontiguousarray(X),
    }
    one = make(rng, *shape, X=np.asfortranarray(X))
    other = Problem(Design(forms[form]), one.loss, one.penalty, 1.0, True)
    alphas = strengths(one)
    atol = 1e-3 if form == "float32" else 1e-5
    for a, b in zip(along(one, alphas, 1e-9), along(other, alphas, 1e-9), strict=True):
        np.testing.assert_allclose(b.coef, a.coef, atol=atol)
        assert b.status is Status.CONVERGED


@pytest.mark.parametrize("shape", [(2, 5), (3, 40), (30, 1)])
def test_few_samples_or_features(rng: np.random.Generator, shape: tuple[int, int]) -> None:
    n, p = shape
    X = rng.standard_normal(shape)
    loss = Squared(X[:, 0] + rng.standard_normal(n), np.full(n, 1.0 / n))
    problem = Problem(Design(X), loss, SortedL1(np.linspace(2.0, 1.0, p)), 1.0, True)
    alphas = strengths(problem)
    assert_optimal(problem, alphas, along(problem, alphas))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_constant_target_needs_no_features(rng: np.random.Generator, dtype: type) -> None:
    X = rng.standard_normal((30, 8)).astype(dtype)
    loss = Squared(np.full(30, 2.7), np.full(30, 1.0 / 30.0))
    problem = Problem(Design(X), loss, SortedL1(np.linspace(2.0, 1.0, 8)), 1.0, True)
    for point in along(problem, np.geomspace(1.0, 1e-3, 8)):
        assert point.status is Status.CONVERGED
        assert not point.coef.any()
        assert point.intercept == pytest.approx(2.7)


def test_without_an_intercept_and_with_a_strength_of_zero(rng: np.random.Generator) -> None:
    X = rng.standard_normal((80, 6))
    loss = Squared(X @ np.arange(6.0) + rng.standard_normal(80), np.full(80, 1.0 / 80.0))
    problem = Problem(Design(X), loss, SortedL1(np.linspace(2.0, 1.0, 6)), 1.0, False)
    found = along(problem, np.append(strengths(problem, 5), 0.0))
    assert all(point.intercept == 0.0 for point in found)
    np.testing.assert_allclose(found[-1].coef, np.linalg.lstsq(X, loss.y)[0], atol=1e-6)


def test_over_full_pulls(rng: np.random.Generator) -> None:
    """The prefix whose excess is largest, as by sorting all of them."""
    for _ in range(200):
        n = int(rng.integers(1, 40))
        pull, weights = rng.random(n) * rng.random(), np.sort(rng.random(n))[::-1]
        excess = np.cumsum(np.sort(pull)[::-1] - weights)
        expected = int(excess.argmax()) + 1 if excess.max() > 0.0 else 0
        found = path_module.over_full(pull, weights)
        assert len(found) == expected
        np.testing.assert_array_equal(np.sort(pull)[::-1][:expected], pull[found])


@pytest.mark.parametrize("alpha", [0.05, 0.5, 50.0])
def test_the_gap_over_candidates_is_that_of_fenchel(rng: np.random.Generator, alpha: float) -> None:
    from sksparse._kernels.sorted_l1 import quadratic_gap

    A, b = rng.standard_normal((12, 8)), rng.standard_normal(12)
    coef = np.array([0.3, -0.3, 0.0, 0.1, 0.0, -0.7, 0.0, 0.2])
    weights = np.array([2.0, 1.5, 1.5, 1.0, 0.4, 0.1, 0.0, 0.0])
    penalty, residual = SortedL1(weights), b - A @ coef
    # a residual that is shrunk to be feasible is a dual point
    dual = residual * min(1.0, alpha / penalty.dual_norm(A.T @ residual))
    objective = 0.5 * residual @ residual + alpha * penalty.value(coef)
    expected = (objective - (b @ dual - 0.5 * dual @ dual)) / objective
    about = A.T @ b, A.T @ residual, coef, np.append(0.0, np.cumsum(weights)), alpha
    assert quadratic_gap(*about, 0.5 * b @ b) == pytest.approx(expected, rel=1e-10)
