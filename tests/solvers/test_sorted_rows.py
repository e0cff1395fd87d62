"""Sorted L1 norms of several outputs, against an independent method, closed forms and duality."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from sksparse._kernels.sorted_rows import sorted_rows
from sksparse.losses import Loss, Multinomial, Squared
from sksparse.penalties import Blocks, GroupL2, SortedL1, cluster_labels, oscar_weights
from sksparse.solvers import (
    BlockDescent,
    Design,
    GramCache,
    Problem,
    Solution,
    SortedDescent,
    Status,
)
from sksparse.solvers.convex._duality import duality_gap
from sksparse.solvers.convex._quadratic_model import DenseQuadratic, GramQuadratic
from sksparse.solvers.sorted_l1 import _rows as rows_module
from sksparse.solvers.sorted_l1._row_pattern import (
    Pattern,
    RowsPoint,
    RowsProblem,
    newton_ends,
)

sys.path.insert(0, str(Path(__file__).parent))
from convex_problems import proximal_gradient

SHAPES = {"tall": (40, 12), "wide": (15, 40)}
WEIGHTS: dict[str, Any] = {
    "oscar": lambda p: oscar_weights(p, 0.7),
    "few ranks": lambda p: oscar_weights(p, 0.9, 5),
    "equal": np.ones,
    "to zero": lambda p: np.linspace(1.0, 0.0, p) ** 2,
    "largest only": lambda p: np.eye(p)[0],
}
KINDS = ["outputs", "multinomial"]


def make_data(shape: str, rng: np.random.Generator) -> np.ndarray:
    n, p = SHAPES[shape]
    X = rng.standard_normal((n, p)) + 0.8 * rng.standard_normal((n, 1)) + 1.0
    X[:, 7] = 3.0
    X[:, 9] = X[:, 0]
    X[:, 10] = -X[:, 1]
    return X * np.linspace(0.5, 2.0, p)[np.r_[: min(7, p), 7, 8, 0, 1, 11:p]]


def make_loss(kind: str, X: np.ndarray, rng: np.random.Generator) -> Loss:
    n = len(X)
    weights = rng.random(n)
    weights[:2] = 0.0
    weights /= weights.sum()
    score = np.outer((X - X.mean(axis=0))[:, :4].sum(axis=1), [1.0, -0.5, 0.2])
    if kind == "multinomial":
        y = np.argmax(score + rng.gumbel(size=(n, 3)), axis=1)
        y[2:5] = [0, 1, 2]
        return Multinomial(y.astype(float), weights)
    return Squared(score + rng.standard_normal((n, 3)), weights)


def make_problem(kind: str, weights: str, shape: str, share: float = 0.2) -> tuple[Problem, Any]:
    rng = np.random.default_rng(5)
    X = make_data(shape, rng)
    return posed(X, make_loss(kind, X, rng), WEIGHTS[weights](X.shape[1]), share), X


def posed(X: Any, loss: Loss, weights: np.ndarray, share: float) -> Problem:
    problem = Problem(Design(X), loss, SortedL1(weights), 1.0, True)
    return problem.with_alpha(share * problem.penalty.dual_norm(problem.null_gradient))


def solve(problem: Problem, tol: float = 1e-10, start: np.ndarray | None = None) -> Solution:
    solution = SortedDescent(tol=tol, max_iter=200).solve(problem, start)
    assert solution.status is Status.CONVERGED, solution.message
    return solution


def objective(problem: Problem, solution: Solution) -> float:
    z = problem.predictor(solution.coef, solution.intercept)
    return problem.objective(solution.coef, z)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("kind", KINDS)
def test_the_objective_is_that_of_proximal_gradients(kind: str, weights: str, shape: str) -> None:
    problem, X = make_problem(kind, weights, shape)
    solution = solve(problem)
    least, coef, _ = proximal_gradient(problem, X, 5000)
    value = objective(problem, solution)
    assert value <= least * (1.0 + 1e-8)
    assert least - 1e-12 * abs(least) <= value + max(solution.gap, 0.0) + 1e-6 * abs(least)
    assert solution.gap <= 1e-10 * value
    assert coef.any()


@pytest.mark.parametrize("kind", KINDS)
def test_no_point_nearby_is_better(kind: str, rng: np.random.Generator) -> None:
    problem, _ = make_problem(kind, "oscar", "wide")
    solution = solve(problem)
    best = objective(problem, solution)
    for scale in (1e-5, 1e-3, 1e-1):
        for _ in range(20):
            coef = solution.coef * (1.0 + scale * rng.standard_normal(solution.coef.shape))
            coef += scale * rng.standard_normal(coef.shape) * (rng.random(coef.shape[1]) < 0.2)
            assert problem.objective(coef, problem.predictor(coef, solution.intercept)) >= (
                best * (1.0 - 1e-9)
            )


@pytest.mark.parametrize("kind", KINDS)
def test_forms_of_the_quadratic_agree(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    X = make_data("wide", np.random.default_rng(5))
    X[X < 0.5] = 0.0
    loss = make_loss(kind, X, np.random.default_rng(5))
    weights = oscar_weights(X.shape[1], 0.6, 10)
    values = []
    for features in (X, sp.csc_array(X)):
        for tuned in ({}, {"per_sample": 0.0}, {"per_sample": np.inf, "largest_system": 0}):
            monkeypatch.setattr(
                rows_module, "TUNING", replace(rows_module.Tuning(), **tuned), raising=True
            )
            problem = posed(features, loss, weights, 0.1)
            values.append(objective(problem, solve(problem)))
    np.testing.assert_allclose(values, values[0], rtol=1e-9)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", KINDS)
def test_equal_weights_are_the_multi_task_group_lasso(kind: str, shape: str) -> None:
    problem, X = make_problem(kind, "equal", shape)
    # distinct columns have one solution
    X = X[:, [0, 1, 2, 3, 4, 5, 6, 8, 11]]
    problem = posed(X, problem.loss, np.ones(9), 0.1)
    solution = solve(problem, 1e-12)
    group = replace(problem, penalty=GroupL2(Blocks.from_labels(np.arange(9)), np.ones(9)))
    expected = BlockDescent(tol=1e-12, max_iter=200).solve(group)
    scale = np.abs(expected.coef).max()
    np.testing.assert_allclose(solution.coef, expected.coef, atol=1e-5 * scale)
    assert objective(problem, solution) == pytest.approx(objective(group, expected), rel=1e-11)


def test_the_outcome_of_one_output_among_zeros_is_that_of_one_output() -> None:
    problem, X = make_problem("outputs", "oscar", "tall")
    y = problem.loss.y[:, 0]
    alone = posed(X, Squared(y, problem.loss.weights), problem.penalty.weights, 0.2)
    both = replace(alone, loss=Squared(np.c_[0.0 * y, y], problem.loss.weights))
    one, two = solve(alone, 1e-13), solve(both, 1e-13)
    assert not two.coef[0].any()
    np.testing.assert_allclose(two.coef[1], one.coef, atol=1e-7 * np.abs(one.coef).max())


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_selected_from_the_largest_strength_on(kind: str, weights: str) -> None:
    above, _ = make_problem(kind, weights, "wide", 1.0 + 1e-9)
    below, _ = make_problem(kind, weights, "wide", 1.0 - 1e-3)
    assert not solve(above).coef.any()
    assert solve(below, 1e-12).coef.any()


@pytest.mark.parametrize("kind", KINDS)
def test_equal_columns_have_equal_rows(kind: str) -> None:
    problem, X = make_problem(kind, "oscar", "tall")
    # columns of the same scale, as copies are
    X[:, 9], X[:, 10] = X[:, 0], -X[:, 1]
    problem = posed(X, problem.loss, problem.penalty.weights, 0.2)
    coef = solve(problem, 1e-13).coef
    scale = np.abs(coef).max()
    labels = cluster_labels(coef)
    for first, second, sign in ((0, 9, 1.0), (1, 10, -1.0)):
        assert labels[first] == labels[second] >= 0
        np.testing.assert_allclose(coef[:, second], sign * coef[:, first], atol=1e-6 * scale)
    assert not coef[:, 7].any()


@pytest.mark.parametrize("kind", KINDS)
def test_rows_are_tied_in_clusters(kind: str) -> None:
    problem, _ = make_problem(kind, "few ranks", "wide", 0.3)
    coef = solve(problem, 1e-12).coef
    norms, labels = np.linalg.norm(coef, axis=0), cluster_labels(coef)
    n_used, n_clusters = np.count_nonzero(norms), labels.max() + 1
    assert 0 < n_clusters < n_used
    means = np.array([norms[labels == k].mean() for k in range(n_clusters)])
    np.testing.assert_allclose(norms[labels >= 0], means[labels[labels >= 0]], rtol=1e-14)
    # ties are rounding, and what is not tied is apart
    assert np.diff(means).max(initial=-1.0) < -1e-9 * means[0]


def fenchel_dual(problem: Problem, X: np.ndarray, u: np.ndarray) -> float:
    """The dual objective at a gradient of the loss with sum zero, shrunk into the dual ball."""
    pull = np.sort(np.linalg.norm(u.T @ X, axis=0))[::-1]
    budget = problem.alpha * np.cumsum(problem.penalty.weights)
    shrunk = u / max(1.0, float((np.cumsum(pull) / budget).max()))
    return -problem.loss.conjugate(shrunk)


@pytest.mark.parametrize("weights", ["oscar", "few ranks", "equal", "largest only"])
def test_the_gap_is_that_of_a_dual_point(weights: str, rng: np.random.Generator) -> None:
    problem, X = make_problem("outputs", weights, "tall")
    best = objective(problem, solve(problem))
    for scale in (0.0, 0.01, 1.0):
        coef = solve(problem, 1e-6).coef
        coef = coef + scale * rng.standard_normal(coef.shape)
        z = X @ coef.T
        intercept = problem.loss.best_shift(z)
        gap = duality_gap(problem, coef, intercept)
        value = problem.objective(coef, z + intercept)
        bound = fenchel_dual(problem, X, problem.loss.gradient(z + intercept))
        assert gap == pytest.approx(value - bound, rel=1e-6, abs=1e-12 * value)
        assert gap >= value - best - 1e-12 * value


def test_without_a_strength_it_is_least_squares() -> None:
    problem, X = make_problem("outputs", "oscar", "tall")
    X = X[:, [0, 1, 2, 3, 4, 5, 6, 8, 11]]
    s = problem.loss.weights
    A, y = X - s @ X, problem.loss.y - s @ problem.loss.y
    expected = np.linalg.solve(A.T @ (s[:, None] * A), A.T @ (s[:, None] * y)).T
    for weights, alpha in ((oscar_weights(9, 0.5), 0.0), (np.zeros(9), 1.0)):
        least = Problem(Design(X), problem.loss, SortedL1(weights), alpha, True)
        solution = SortedDescent(tol=1e-8, max_iter=100).solve(least)
        np.testing.assert_allclose(solution.coef, expected, rtol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_strengths_one_after_the_other_share_what_is_known(kind: str) -> None:
    problem, _ = make_problem(kind, "oscar", "wide")
    alphas = problem.alpha * np.geomspace(5.0, 0.3, 8)
    solver = SortedDescent(tol=1e-8, max_iter=100, gram=GramCache(problem.centred))
    follow, before = solver.along(problem, alphas), None
    for alpha in alphas.tolist():
        before = follow(alpha, before)
        at = problem.with_alpha(alpha)
        value = objective(at, before)
        assert before.status is Status.CONVERGED
        assert before.gap <= 1e-8 * value
        assert value == pytest.approx(objective(at, solve(at)), rel=1e-7)


def test_answers_that_are_known() -> None:
    # of an orthogonal design the solution is the prox
    rng = np.random.default_rng(0)
    n, weights = 6, oscar_weights(6, 0.8)
    y = rng.standard_normal((n, 2))
    loss = Squared(y, np.full(n, 1.0 / n))
    problem = Problem(Design(np.eye(n)), loss, SortedL1(weights), 0.1, False)
    expected = problem.penalty.prox(y.T, 0.1 * n)
    assert expected.any()
    np.testing.assert_allclose(solve(problem, 1e-13).coef, expected, atol=1e-12)
    for targets in (np.zeros((n, 2)), np.full((n, 2), 3.0)):
        constant = Problem(
            Design(rng.standard_normal((n, 6))),
            Squared(targets, loss.weights),
            SortedL1(weights),
            0.1,
            True,
        )
        solution = solve(constant)
        assert not solution.coef.any()
        np.testing.assert_allclose(solution.intercept, targets[0])
    # and of one feature it is the prox of the covariances
    x = rng.standard_normal(n)
    one = Problem(Design(x[:, None]), loss, SortedL1(np.ones(1)), 0.05, False)
    pull = (x @ y / n)[:, None]
    expected = one.penalty.prox(pull, 0.05) / (x @ x / n)
    np.testing.assert_allclose(solve(one, 1e-13).coef, expected, atol=1e-12)


@pytest.mark.parametrize("kind", ["few ranks", "to zero", "equal", "oscar"])
def test_copies_of_columns_at_small_strengths(kind: str) -> None:
    # copies leave directions without curvature, in which only the norm changes
    rng = np.random.default_rng(3)
    X = rng.standard_normal((30, 25))[:, rng.integers(0, 25, 50)] * np.exp(rng.standard_normal(50))
    y = X[:, :4] @ rng.standard_normal((4, 3)) + 0.1 * rng.standard_normal((30, 3))
    problem = posed(X, Squared(y, np.full(30, 1.0 / 30.0)), WEIGHTS[kind](50), 0.005)
    for tol in (1e-6, 1e-9):
        solution = solve(problem, tol)
        assert solution.gap <= tol * objective(problem, solution)


@pytest.mark.parametrize("stored", [True, False])
def test_sweeps_lower_the_objective_and_know_its_state(
    stored: bool, rng: np.random.Generator
) -> None:
    A, residual = rng.standard_normal((12, 9)), rng.standard_normal((2, 12))
    dense = DenseQuadratic(np.asfortranarray(A), residual, np.zeros(9))
    gram = GramQuadratic(A.T @ A, residual @ A, np.zeros(9))
    weights = oscar_weights(9, 0.9)
    problem = RowsProblem(gram if stored else dense, SortedL1(weights), 1.5, np.ones(9))
    start = problem.penalty.prox(rng.standard_normal((2, 9)), 0.5)
    point = RowsPoint.at(problem, start)
    assert cluster_labels(start).max() < 8
    for _ in range(30):
        coef, lengths, state = point.coef.copy(), point.lengths.copy(), point.state.copy()
        about = problem.rows, stored, problem.diagonal, state, coef, lengths
        sorted_rows(*about, np.argsort(-lengths), problem.sums, problem.alpha, 1)
        before, point = point, RowsPoint(problem, coef, lengths)
        np.testing.assert_allclose(state, point.state, atol=1e-12)
        np.testing.assert_allclose(np.linalg.norm(coef, axis=0), lengths, atol=1e-13)
        assert point.value <= before.value + 1e-12
    # where nothing moves any more, all conditions of optimality hold
    assert point.worst < 1e-4


@pytest.mark.parametrize("largest", [0, 100])
def test_newton_steps_end_at_the_minimum_of_the_pattern(largest: int) -> None:
    problem, X = make_problem("outputs", "few ranks", "tall")
    s = problem.loss.weights
    A = np.sqrt(s)[:, None] * (X - s @ X)[:, :7]
    y = np.sqrt(s)[:, None] * (problem.loss.y - s @ problem.loss.y)
    quadratic = GramQuadratic(A.T @ A, (A.T @ y).T, np.zeros(7))
    rows = RowsProblem(quadratic, SortedL1(oscar_weights(7, 0.95)), 0.8, np.ones(7))
    best = RowsPoint.at(rows, rows_module.minimise_rows(rows, np.zeros((3, 7)), 1e-13))
    assert 0 < cluster_labels(best.coef).max() + 1 < best.n_used
    # turned and scaled a little, with its ties
    turned = best.coef + 1e-3 * np.roll(best.coef, 1, axis=0)
    point = RowsPoint(rows, *Pattern(best.lengths).placed(turned))
    for _ in range(6):
        _, point = next(newton_ends(point, 0.0, largest))
    assert point.value == pytest.approx(best.value, rel=1e-12)
    np.testing.assert_allclose(point.coef, best.coef, atol=1e-7)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("shape", [(15, 4), (101, 2), (8, 3)])
@pytest.mark.parametrize("alpha", [1e-4, 1e-2])
def test_few_samples_of_several_classes_converge(
    alpha: float, shape: tuple[int, int], seed: int
) -> None:
    # nearly separable classes, whose curvature differs much between directions of the outputs
    rng = np.random.default_rng(seed)
    X = rng.standard_normal(shape)
    y = (3.0 * X[:, 0] + 0.3 * rng.standard_normal(len(X)) > np.array([[-1.0], [1.0]])).sum(axis=0)
    weights = np.full(len(X), 1.0 / len(X))
    for penalty in (SortedL1(oscar_weights(shape[1], 0.7)), SortedL1(np.eye(shape[1])[0])):
        problem = Problem(Design(X), Multinomial(y.astype(float), weights), penalty, alpha, True)
        solution = SortedDescent(tol=1e-6, max_iter=100).solve(problem)
        found = problem.predictor(solution.coef, solution.intercept)
        assert solution.status is Status.CONVERGED
        assert solution.gap <= 1e-6 * problem.objective(solution.coef, found)
