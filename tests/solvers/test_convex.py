"""Block descent and the sorted L1 solver against an independent solver and duality."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from sksparse.losses import LOSSES
from sksparse.penalties import (
    L1,
    Blocks,
    ConvexPenalty,
    GroupL2,
    SortedL1,
    SparseGroup,
    oscar_weights,
)
from sksparse.solvers import (
    BlockDescent,
    CentredDesign,
    Design,
    GramCache,
    Problem,
    Solution,
    SortedDescent,
    Status,
)
from sksparse.solvers.convex import _block_descent as block_module
from sksparse.solvers.convex import _proximal_newton as newton_module
from sksparse.solvers.convex import _squared_quadratics as gram_module
from sksparse.solvers.sorted_l1 import _descent as sorted_module

sys.path.insert(0, str(Path(__file__).parent))
from reference import fista

N, P = 60, 30
LABELS = np.repeat(np.arange(10), 3)


def tune(monkeypatch: pytest.MonkeyPatch, module: Any, **values: Any) -> None:
    monkeypatch.setattr(module, "TUNING", replace(module.TUNING, **values))


def make_penalty(name: str, p: int = P) -> ConvexPenalty:
    blocks = Blocks.from_labels(np.arange(p) // 3)
    weights = np.full(blocks.sizes.size, 3**0.5)
    free = weights.copy()
    free[1] = 0.0
    return {
        "l1": lambda: L1(np.ones(p)),
        "group": lambda: GroupL2(blocks, weights),
        "group, one free": lambda: GroupL2(blocks, free),
        "sparse group": lambda: SparseGroup(blocks, weights, 0.5),
        "sparse group, one free": lambda: SparseGroup(blocks, free, 0.5),
        "oscar": lambda: SortedL1(oscar_weights(p, 0.6)),
        "sorted l1": lambda: SortedL1(np.linspace(1.0, 0.0, p) ** 2),
    }[name]()


def make_data(rng: np.random.Generator, loss: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    X = rng.standard_normal((N, P)) + 0.7 * rng.standard_normal((N, 1)) + 2.0
    X[:, 7] = 3.0
    X[:, 9] = X[:, 0]
    X[rng.random((N, P)) < 0.3] = 0.0
    y = X[:, :5].sum(axis=1) + rng.standard_normal(N)
    weights = rng.random(N)
    weights[:3] = 0.0
    if loss == "logistic":
        y = (y > np.median(y)).astype(float)
    return X, y, weights / weights.sum()


def solve(
    X: object,
    y: np.ndarray,
    weights: np.ndarray,
    loss: str,
    penalty: ConvexPenalty,
    share: float,
    fit_intercept: bool = True,
    tol: float = 1e-9,
) -> tuple[Problem, Solution]:
    solver_type = SortedDescent if isinstance(penalty, SortedL1) else BlockDescent
    null = Problem(Design(X), LOSSES[loss](y, weights), penalty, 1.0, fit_intercept)
    alpha = share * penalty.dual_norm(null.null_gradient)
    problem = Problem(Design(X), LOSSES[loss](y, weights), penalty, alpha, fit_intercept)
    return problem, solver_type(tol=tol, max_iter=200).solve(problem)


CASES = [
    (loss, penalty)
    for loss in ("squared", "logistic")
    for penalty in ("l1", "group", "group, one free", "sparse group", "sparse group, one free")
] + [("squared", "oscar"), ("squared", "sorted l1")]


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("loss, name", CASES)
def test_equals_an_independent_solver(
    loss: str, name: str, fit_intercept: bool, rng: np.random.Generator
) -> None:
    X, y, weights = make_data(rng, loss)
    penalty = make_penalty(name)
    problem, solution = solve(X, y, weights, loss, penalty, 0.2, fit_intercept)
    assert solution.status is Status.CONVERGED
    coef, intercept = fista(X, y, weights, loss, penalty, problem.alpha, fit_intercept)
    ours = problem.objective(solution.coef, X @ solution.coef + solution.intercept)
    theirs = problem.objective(coef, X @ coef + intercept)
    assert ours <= theirs + 1e-10
    assert ours == pytest.approx(theirs, rel=1e-7)
    np.testing.assert_allclose(
        X @ solution.coef + solution.intercept, X @ coef + intercept, atol=1e-3
    )


@pytest.mark.parametrize("share", [1.0001, 0.5, 0.05, 0.001])
@pytest.mark.parametrize("loss, name", CASES)
def test_certificate_and_gap(loss: str, name: str, share: float, rng: np.random.Generator) -> None:
    X, y, weights = make_data(rng, loss)
    penalty = make_penalty(name)
    problem, solution = solve(X, y, weights, loss, penalty, share, tol=1e-7)
    assert solution.status is Status.CONVERGED
    assert solution.message == ""
    derivatives = problem.loss.gradient(X @ solution.coef + solution.intercept)
    scales = np.sqrt(weights @ (X - weights @ X) ** 2)
    scales[7] = 0.0  # constant
    violations = penalty.violations(solution.coef, X.T @ derivatives, problem.alpha, scales)
    used = weights > 0
    residual = np.sqrt(np.sum(derivatives[used] ** 2 / weights[used]))
    z = X @ solution.coef + solution.intercept
    assert solution.gap <= 1.01e-7 * problem.objective(solution.coef, z)
    # an answer is as far above the minimum as its violations are squared
    assert violations.max() <= 1e-3 * residual
    # The gap bounds the error from above: it is non-negative, and small at the optimum.
    null_loss = problem.loss.value(np.full(N, problem.null_intercept))
    assert -1e-12 <= solution.gap / null_loss < 1e-4
    if share > 1 and not penalty.unpenalised().size:
        assert not solution.coef.any()


@pytest.mark.parametrize("index_dtype", [np.int32, np.int64])
@pytest.mark.parametrize("loss, name", CASES)
def test_sparse_and_memory_orders_agree(
    loss: str, name: str, index_dtype: type, rng: np.random.Generator
) -> None:
    X, y, weights = make_data(rng, loss)
    X = X[:, [j for j in range(P) if j != 9] + [9]][:, : P - 3]  # without the duplicate: unique
    penalty = make_penalty(name, P - 3)
    reference = solve(np.ascontiguousarray(X), y, weights, loss, penalty, 0.1)[1]
    sparse = sp.csc_array(X)
    sparse.indices = sparse.indices.astype(index_dtype)
    sparse.indptr = sparse.indptr.astype(index_dtype)
    for other in (np.asfortranarray(X), sparse):
        solution = solve(other, y, weights, loss, penalty, 0.1)[1]
        np.testing.assert_allclose(solution.coef, reference.coef, atol=1e-6)
        assert solution.intercept == pytest.approx(reference.intercept, abs=1e-5)


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("loss, name", CASES)
def test_large_working_sets_go_through_their_columns(
    loss: str, name: str, sparse: bool, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    X, y, weights = make_data(rng, loss)
    X = np.delete(X, [9, 10, 11], axis=1)
    penalty = make_penalty(name, P - 3)
    with_gram = solve(X, y, weights, loss, penalty, 0.05)[1]
    tune(monkeypatch, gram_module, largest_gram=0)
    tune(monkeypatch, newton_module, largest_gram=0)
    without = solve(sp.csc_array(X) if sparse else X, y, weights, loss, penalty, 0.05)[1]
    assert without.status is Status.CONVERGED
    np.testing.assert_allclose(without.coef, with_gram.coef, atol=1e-6)


@pytest.mark.parametrize("name", ["group", "oscar"])
def test_working_set_finds_the_answer_over_all_features(
    name: str, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    tune(monkeypatch, sorted_module, first_features=2, per_root=0.0)
    tune(monkeypatch, block_module, first_groups=1)
    X, y, weights = make_data(rng, "squared")
    penalty = make_penalty(name)
    problem, solution = solve(X, y, weights, "squared", penalty, 0.05)
    assert solution.n_iter > 2
    coef, intercept = fista(X, y, weights, "squared", penalty, problem.alpha)
    ours = problem.objective(solution.coef, X @ solution.coef + solution.intercept)
    assert ours <= problem.objective(coef, X @ coef + intercept) + 1e-10


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("centre", [False, True])
def test_gram_cache_grows_in_any_order(
    sparse: bool, centre: bool, rng: np.random.Generator
) -> None:
    X = rng.standard_normal((20, 8)) + 1.0
    weights = rng.random(20)
    weights /= weights.sum()
    cache = GramCache(CentredDesign(Design(sp.csc_array(X) if sparse else X), weights, centre))
    means = weights @ X if centre else np.zeros(8)
    full = (X - means).T @ (weights[:, None] * (X - means))
    for features in ([5], [2, 5], [5, 1, 7, 2], [0, 1, 2, 3], list(range(8))):
        at = np.array(features)
        np.testing.assert_allclose(cache.matrix(at), full[np.ix_(at, at)], atol=1e-13)


def test_warm_start_at_the_answer_stops_at_once(rng: np.random.Generator) -> None:
    X, y, weights = make_data(rng, "squared")
    for name in ("group", "oscar"):
        penalty = make_penalty(name)
        problem, solution = solve(X, y, weights, "squared", penalty, 0.1)
        solver_type = SortedDescent if name == "oscar" else BlockDescent
        again = solver_type(tol=1e-8, max_iter=10).solve(problem, solution.coef)
        assert again.n_iter == 1
        np.testing.assert_array_equal(again.coef, solution.coef)


def test_budget_that_runs_out_is_said(rng: np.random.Generator) -> None:
    X, y, weights = make_data(rng, "logistic")
    penalty = make_penalty("group")
    problem = Problem(Design(X), LOSSES["logistic"](y, weights), penalty, 1e-4, True)
    solution = BlockDescent(tol=1e-12, max_iter=1).solve(problem)
    assert solution.status is Status.MAX_ITER
    assert "increase max_iter=1" in solution.message
    assert f"{solution.certificate.value:.3g}" in solution.message


def test_interruption_keeps_the_last_complete_iterate(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    X, y, weights = make_data(rng, "squared")
    penalty = make_penalty("group")
    problem = Problem(Design(X), LOSSES["squared"](y, weights), penalty, 1e-3, True)
    solver = BlockDescent(tol=1e-12, max_iter=50)
    step = solver.step
    calls = []

    def interrupted(problem: Problem, state: object) -> None:
        calls.append(1)
        if len(calls) == 2:
            state.coef[:] = np.nan
            raise KeyboardInterrupt
        step(problem, state)

    monkeypatch.setattr(solver, "step", interrupted)
    tune(monkeypatch, block_module, first_groups=1)
    solution = solver.solve(problem)
    assert solution.status is Status.INTERRUPTED
    assert np.all(np.isfinite(solution.coef))
    assert solution.coef.any()


def test_verbose_prints_progress(
    rng: np.random.Generator, capsys: pytest.CaptureFixture[str]
) -> None:
    X, y, weights = make_data(rng, "squared")
    penalty = make_penalty("l1")
    problem = Problem(Design(X), LOSSES["squared"](y, weights), penalty, 0.1, True)
    BlockDescent(tol=1e-6, max_iter=50, verbose=1).solve(problem)
    lines = capsys.readouterr().out.splitlines()
    assert re.match(r"\[BlockDescent\] step 1, \S+ s: 0 features", lines[0])


@pytest.mark.parametrize("offset", [1e6, 1e9])
@pytest.mark.parametrize(
    "loss, name", [("squared", "group"), ("logistic", "l1"), ("squared", "oscar")]
)
def test_columns_with_a_large_mean(
    loss: str, name: str, offset: float, rng: np.random.Generator
) -> None:
    X, y, weights = make_data(rng, loss)
    X = np.delete(X, [7, 9, 11], axis=1)
    penalty = make_penalty(name, P - 3)
    near = solve(X, y, weights, loss, penalty, 0.1, tol=1e-6)[1]
    X[:, 2] += offset
    far = solve(X, y, weights, loss, penalty, 0.1, tol=1e-6)[1]
    np.testing.assert_allclose(far.coef, near.coef, atol=1e-13 * offset + 1e-4)
