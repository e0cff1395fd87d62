"""Best subset for any loss: against exhaustive search, and what its answers promise."""

from __future__ import annotations

from itertools import combinations, pairwise, product
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.optimize import minimize
from subset_reference import with_penalty

from sksparse.losses import Logistic, Loss, Multinomial, Squared
from sksparse.penalties import L0
from sksparse.solvers import (
    Design,
    Problem,
    Solution,
    Status,
    SubsetDescent,
    SubsetNewton,
)

LOSSES: dict[str, type[Loss]] = {
    "squared": Squared,
    "logistic": Logistic,
    "multinomial": Multinomial,
}


def make_data(rng: np.random.Generator, loss: str, n: int, p: int) -> tuple[np.ndarray, np.ndarray]:
    """Correlated columns, a third of which matter."""
    X = rng.standard_normal((n, p)) + 0.7 * rng.standard_normal((n, 1))
    z = X[:, ::3] @ rng.standard_normal((len(range(0, p, 3)), 3)) + rng.gumbel(size=(n, 3))
    if loss == "squared":
        return X, z[:, 0]
    if loss == "logistic":
        return X, (z[:, 0] > z[:, 1]).astype(np.float64)
    return X, np.argmax(z, axis=1).astype(np.float64)


def make_problem(
    X: Any, y: np.ndarray, loss: str, alpha: float = 0.0, *, fit_intercept: bool = True
) -> Problem:
    weights = np.full(len(y), 1.0 / len(y))
    return Problem(Design(X), LOSSES[loss](y, weights), L0(), alpha, fit_intercept)


def solve(problem: Problem, **penalty: Any) -> Solution:
    return SubsetNewton(tol=1e-8, max_iter=100).solve(with_penalty(problem, L0(**penalty)))


def smooth_value(problem: Problem, penalty: L0, solution: Solution) -> float:
    """Loss and norms of a solution."""
    coef, z = np.atleast_2d(solution.coef), predictor(problem, solution)
    norms = penalty.l1 * np.abs(coef).sum() + 0.5 * penalty.l2 * (coef**2).sum()
    return problem.loss.value(z) + float(norms)


def predictor(problem: Problem, solution: Solution) -> np.ndarray:
    X = problem.design.columns(np.arange(problem.design.n_features))
    return np.asarray(X @ np.asarray(solution.coef).T + solution.intercept)


def reference_value(problem: Problem, penalty: L0, support: tuple[int, ...]) -> float:
    """Minimum of loss and norms on a support, by a general optimiser over split coefficients."""
    loss, m, k = problem.loss, problem.loss.n_outputs, len(support)
    columns = problem.design.columns(np.array(support, dtype=np.intp))
    signs = [1.0] if penalty.positive is not None else [1.0, -1.0]
    A = np.hstack([s * columns for s in signs])
    size = A.shape[1]

    def value(theta: np.ndarray) -> tuple[float, np.ndarray]:
        w, b = theta[: size * m].reshape(size, m), theta[size * m :]
        z = A @ w + b
        flat = z[:, 0] if m == 1 else z
        g = loss.gradient(flat).reshape(z.shape)
        net = sum(s * w[i * k : (i + 1) * k] for i, s in enumerate(signs))
        f = loss.value(flat) + penalty.l1 * w.sum() + 0.5 * penalty.l2 * float(np.sum(net**2))
        ridge = np.vstack([s * penalty.l2 * net for s in signs])
        return f, np.concatenate(((A.T @ g + penalty.l1 + ridge).ravel(), g.sum(axis=0)))

    bounds = [(0.0, None)] * (size * m) + [(None, None)] * m
    options = {"maxiter": 5000, "maxfun": 20000, "ftol": 1e-15, "gtol": 1e-10}
    start = np.zeros((size + 1) * m)
    return float(minimize(value, start, jac=True, bounds=bounds, options=options).fun)


VARIANTS: list[dict[str, Any]] = [{}, {"l2": 0.1}, {"l1": 0.02}, {"l1": 0.02, "l2": 0.05}]


#: A bound has a meaning for one output only.
POSITIVE = {"positive": np.ones(6, dtype=bool)}
CASES = [
    (loss, variant)
    for loss in LOSSES
    for variant in ([*VARIANTS] if loss == "multinomial" else [*VARIANTS, POSITIVE])
]


@pytest.mark.parametrize("loss, variant", CASES)
def test_equals_exhaustive_search(
    rng: np.random.Generator, loss: str, variant: dict[str, Any]
) -> None:
    X, y = make_data(rng, loss, 60, 6)
    problem, exact = make_problem(X, y, loss), 0
    for size in (1, 2, 3):
        penalty = L0(max_features=size, **variant)
        solution = solve(problem, max_features=size, **variant)
        assert solution.status is Status.CONVERGED
        assert np.atleast_2d(solution.coef).any(axis=0).sum() <= size
        best = min(reference_value(problem, penalty, s) for s in combinations(range(6), size))
        found = smooth_value(problem, penalty, solution)
        assert best * (1 - 1e-6) <= found <= best * 1.02
        exact += found <= best * (1 + 1e-6)
    assert exact >= 2


@pytest.mark.parametrize("loss", LOSSES)
def test_a_penalty_equals_exhaustive_search(rng: np.random.Generator, loss: str) -> None:
    X, y = make_data(rng, loss, 60, 6)
    factors = np.array([1.0, 0.0, 2.0, 0.5, 1.0, 1.0])
    penalty = L0(penalty_weights=factors)
    for alpha in (0.01, 0.05, 10.0):
        problem = make_problem(X, y, loss, alpha)
        solution = solve(problem, penalty_weights=factors)
        used = np.atleast_2d(solution.coef).any(axis=0)
        assert used[1]
        supports = [s for k in range(1, 7) for s in combinations(range(6), k) if 1 in s]
        if loss == "multinomial":
            supports = [s for s in supports if len(s) <= 3]
        best = min(
            reference_value(problem, penalty, s) + alpha * factors[list(s)].sum() for s in supports
        )
        found = smooth_value(problem, penalty, solution) + alpha * factors[used].sum()
        assert found <= best * 1.02 + 2e-6


def test_where_no_exact_move_is_left_the_model_finds_none(rng: np.random.Generator) -> None:
    X, y = make_data(rng, "squared", 100, 400)
    problem = make_problem(X, y, "squared")
    for size in (3, 8):
        penalty = L0(max_features=size)
        exact = SubsetDescent(tol=1e-8, max_iter=100).solve(with_penalty(problem, penalty))
        solver = SubsetNewton(tol=1e-8, max_iter=100)
        state = solver.start(with_penalty(problem, L0(max_features=size)), exact.coef)
        fits = state.search.fits
        start = fits.fit(fits.columns.at(state.start), None)
        assert state.search.improve(start) == (start, True)
        assert state.search.gains(start).max() <= 1e-8 * start.value
        np.testing.assert_allclose(fits.solution(start)[0], exact.coef, rtol=1e-6)


def test_effort_never_hurts(rng: np.random.Generator) -> None:
    # The working set holds all columns, so that more starts are all that changes.
    X, y = make_data(rng, "logistic", 200, 200)
    for max_features in (8, None):
        problem, values = make_problem(X, y, "logistic", 0.005), []
        for effort in (1, 2, 3):
            penalty = L0(max_features=max_features)
            solver = SubsetNewton(effort=effort, tol=1e-8, max_iter=100)
            solution = solver.solve(with_penalty(problem, penalty))
            added = 0.0 if max_features else 0.005 * np.count_nonzero(solution.coef)
            values.append(smooth_value(problem, penalty, solution) + added)
        assert values[2] <= values[1] * (1 + 1e-9) <= values[0] * (1 + 2e-9)


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("loss", LOSSES)
def test_the_answer_is_stationary_on_its_support(
    rng: np.random.Generator, loss: str, fit_intercept: bool
) -> None:
    X, y = make_data(rng, loss, 80, 20)
    problem = make_problem(X + 100.0, y, loss, fit_intercept=fit_intercept)
    solution = solve(problem, max_features=4, l2=1e-3)
    z = predictor(problem, solution)
    gradient = problem.loss.gradient(z)
    if fit_intercept:
        np.testing.assert_allclose(gradient.sum(axis=0), 0.0, atol=1e-10)
    else:
        assert not np.any(solution.intercept)
    coef = np.atleast_2d(solution.coef)
    slope = ((X + 100.0).T @ gradient).T + 1e-3 * coef
    np.testing.assert_allclose(slope[:, coef.any(axis=0)], 0.0, atol=1e-7)


@pytest.mark.parametrize("loss", ["logistic", "multinomial"])
def test_hardly_any_single_move_improves(rng: np.random.Generator, loss: str) -> None:
    X, y = make_data(rng, loss, 100, 15)
    problem = make_problem(X, y, loss)
    solution = solve(problem, max_features=3)
    inside = np.flatnonzero(np.atleast_2d(solution.coef).any(axis=0)).tolist()
    outside = sorted(set(range(15)) - set(inside))
    swaps = [(*(i for i in inside if i != gone), j) for gone, j in product(inside, outside)]
    best = min(reference_value(problem, L0(), tuple(s)) for s in swaps)
    assert smooth_value(problem, L0(), solution) <= best * 1.001


@pytest.mark.parametrize("loss", LOSSES)
def test_sparse_single_and_memory_order_agree_with_dense(
    rng: np.random.Generator, loss: str
) -> None:
    X, y = make_data(rng, loss, 70, 40)
    X *= rng.random(X.shape) < 0.4
    X = X.astype(np.float32).astype(np.float64)
    for fit_intercept in (True, False):
        expected = solve(make_problem(X, y, loss, fit_intercept=fit_intercept), max_features=4)
        for form in (np.asfortranarray(X), sp.csc_array(X), X.astype(np.float32)):
            found = solve(make_problem(form, y, loss, fit_intercept=fit_intercept), max_features=4)
            np.testing.assert_allclose(found.coef, expected.coef, rtol=1e-6, atol=1e-8)


def test_columns_that_matter_only_given_others_join_the_working_set(
    rng: np.random.Generator,
) -> None:
    # The predictor is a difference of two columns; one alone says nothing of the target.
    X = rng.standard_normal((300, 2000))
    z, hidden = 4 * rng.standard_normal(300), rng.standard_normal(300)
    y = (z + rng.logistic(size=300) > 0).astype(np.float64)
    hidden -= (hidden @ (y - y.mean())) / ((y - y.mean()) @ (y - y.mean())) * (y - y.mean())
    X[:, 0], X[:, 1999] = z + 3 * hidden, 3 * hidden
    solution = solve(make_problem(X, y, "logistic"), max_features=2)
    np.testing.assert_array_equal(np.flatnonzero(solution.coef), [0, 1999])
    assert solution.n_iter > 2


@pytest.mark.parametrize("loss", ["logistic", "multinomial"])
def test_separable_data_end_where_the_loss_is_as_good_as_zero(
    rng: np.random.Generator, loss: str
) -> None:
    X, y = make_data(rng, loss, 40, 500)
    X[:, 7] = 10 * y + rng.random(40)
    for penalty in ({"max_features": 5}, {}):
        problem = make_problem(X, y, loss, alpha=0.001)
        solution = solve(problem, **penalty)
        assert solution.status is Status.CONVERGED
        assert np.all(np.isfinite(solution.coef))
        null = problem.loss.value(np.zeros((40, 3))[:, : problem.loss.n_outputs].squeeze())
        assert 0 < problem.loss.value(predictor(problem, solution)) < 2e-6 * null
        if loss == "logistic":
            np.testing.assert_array_equal(np.flatnonzero(solution.coef), [7])


def test_more_features_than_samples_stay_below_the_rank(rng: np.random.Generator) -> None:
    X, y = make_data(rng, "squared", 15, 100)
    solution = solve(make_problem(X, y, "squared"), max_features=40)
    assert np.count_nonzero(solution.coef) <= 14
    np.testing.assert_allclose(X @ solution.coef + solution.intercept, y, atol=1e-2)


def test_free_features_are_kept_and_not_counted(rng: np.random.Generator) -> None:
    X, y = make_data(rng, "logistic", 100, 30)
    factors = np.ones(30)
    factors[[4, 5]] = 0.0
    used = solve(make_problem(X, y, "logistic"), max_features=2, penalty_weights=factors).coef != 0
    assert used[[4, 5]].all()
    assert used.sum() == 4


def test_constant_and_repeated_columns_are_never_needed(rng: np.random.Generator) -> None:
    X, y = make_data(rng, "logistic", 80, 6)
    X = np.c_[X, X, np.full(80, 1e6 + 0.1)]
    for form in (X, sp.csc_array(X)):
        used = np.flatnonzero(solve(make_problem(form, y, "logistic"), max_features=13).coef)
        assert len(set(used % 6)) == len(used) == 6


@pytest.mark.parametrize("loss", LOSSES)
def test_an_answer_of_a_path_depends_on_no_other(rng: np.random.Generator, loss: str) -> None:
    X, y = make_data(rng, loss, 60, 400)
    problem = make_problem(X, y, loss, alpha=1e6)
    solver = SubsetNewton(tol=1e-8, max_iter=100)
    for wrong in ([], [0, 2]):
        with pytest.raises(ValueError, match="max_features must hold numbers from 1 on"):
            solver.path(problem, wrong)
    whole = solver.path(problem, range(1, 10))
    values = [problem.loss.value(predictor(problem, s)) for s in whole]
    assert values[8] < 0.8 * values[0]
    assert all(b <= a * (1 + 1e-9) for a, b in pairwise(values))
    for sizes in ([2], [1, 2], [9, 2], [5]):
        for size, solution in zip(sizes, solver.path(problem, sizes), strict=True):
            assert np.atleast_2d(solution.coef).any(axis=0).sum() <= size
            np.testing.assert_array_equal(solution.coef, whole[size - 1].coef)


def test_an_earlier_answer_is_one_more_start(rng: np.random.Generator) -> None:
    X, y = make_data(rng, "logistic", 60, 50)
    problem = make_problem(X, y, "logistic")
    solver = SubsetNewton(tol=1e-8, max_iter=100)
    cold = solver.solve(with_penalty(problem, L0(max_features=4)))
    for start in (rng.standard_normal(50), np.zeros(50), cold.coef):
        warm = solver.solve(with_penalty(problem, L0(max_features=4)), start)
        assert smooth_value(problem, L0(), warm) <= smooth_value(problem, L0(), cold) + 1e-12


def test_interruption_keeps_a_start_and_is_passed_on_without_one(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    X, y = make_data(rng, "logistic", 60, 50)
    problem = make_problem(X, y, "logistic")
    solver = SubsetNewton(tol=1e-8, max_iter=100)
    start = solver.solve(with_penalty(problem, L0(max_features=4))).coef

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(solver, "step", interrupted)
    assert (
        solver.solve(with_penalty(problem, L0(max_features=4)), start).status is Status.INTERRUPTED
    )
    with pytest.raises(KeyboardInterrupt):
        solver.solve(with_penalty(problem, L0(max_features=4)))


def test_a_feature_that_varies_only_where_all_is_certain_does_no_harm(
    rng: np.random.Generator,
) -> None:
    X, y = make_data(rng, "logistic", 60, 4)
    X[:, 3] = 0.0
    X[np.argmax(y), 3] = 1.0
    factors = np.array([1.0, 1.0, 1.0, 0.0])
    solution = solve(make_problem(X, y, "logistic"), max_features=2, penalty_weights=factors)
    assert solution.status is Status.CONVERGED
    assert np.all(np.isfinite(solution.coef))
    assert np.count_nonzero(solution.coef) == 3


@pytest.mark.parametrize("eps", [3e-3, 1e-3, 1e-4])
def test_bounded_refits_of_nearly_collinear_columns_are_exact(
    rng: np.random.Generator, eps: float
) -> None:
    # The free optimum has signs that the bounds and a vanishing l1 allow.
    z = rng.standard_normal(40)
    X = np.c_[z, z + eps * rng.standard_normal(40)]
    y = (X[:, 0] - X[:, 1]) / eps + 0.1 * rng.standard_normal(40)
    A = np.c_[X, np.ones(40)]
    residual = y - A @ np.linalg.lstsq(A, y)[0]
    for penalty in ({"positive": np.array([True, False])}, {"l1": 1e-12}):
        problem = Problem(Design(X), Squared(y, np.full(40, 1 / 40)), L0(), 0.0, True)
        solution = solve(problem, max_features=2, **penalty)
        z = X @ solution.coef + solution.intercept
        assert problem.loss.value(z) == pytest.approx(0.5 * residual @ residual / 40, rel=1e-6)
