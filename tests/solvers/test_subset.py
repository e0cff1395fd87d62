"""Best-subset descent: what its certificate says, and its working sets."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
import pytest
import scipy.sparse as sp
from subset_reference import with_penalty

from sksparse.losses import Squared
from sksparse.penalties import L0
from sksparse.solvers import (
    Design,
    Problem,
    Status,
    SubsetDescent,
    subset_path,
)
from sksparse.solvers.local_search._cardinality_search import CardinalitySearch
from sksparse.solvers.local_search._moves import MoveProblem
from sksparse.solvers.subset._correlations import Correlations


def make_problem(
    X: np.ndarray, y: np.ndarray, alpha: float, *, fit_intercept: bool = True
) -> Problem:
    weights = np.full(len(y), 1.0 / len(y))
    return Problem(Design(X), Squared(y, weights), L0(), alpha, fit_intercept)


def refit_loss(X: np.ndarray, y: np.ndarray, support: list[int], l2: float) -> float:
    """Half the mean squared error of a least-squares or ridge refit, plus its ridge term."""
    n, k = len(y), len(support)
    A = np.r_[X[:, support] - X[:, support].mean(axis=0), np.sqrt(n * l2) * np.eye(k)]
    b = np.r_[y - y.mean(), np.zeros(k)]
    residual = b - A @ np.linalg.lstsq(A, b)[0] if k else b
    return 0.5 * float(residual @ residual) / n


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("l2", [0.0, 0.1])
@pytest.mark.parametrize("size", [0, 1, 4])
@pytest.mark.parametrize("max_features", [None, 4])
def test_certificate_is_the_largest_gain_of_all_refits(
    rng: np.random.Generator, sparse: bool, l2: float, size: int, max_features: int | None
) -> None:
    X = rng.standard_normal((30, 12)) + rng.standard_normal((30, 1)) + 3.0
    y = X[:, :6] @ np.arange(1.0, 7.0) + rng.standard_normal(30)
    alpha = 0.0 if max_features else 0.4
    solver = SubsetDescent(tol=0.0, max_iter=1)
    problem = make_problem(sp.csc_array(X) if sparse else X, y, alpha)
    state = solver.start(with_penalty(problem, L0(l2=l2, max_features=max_features)), None)
    state.explored = True
    state.support = np.sort(rng.choice(12, size, replace=False))
    inside = state.support.tolist()
    outside = sorted(set(range(12)) - set(inside))
    moves = [[i for i in inside if i != gone] for gone in inside]
    moves += [[*kept, j] for kept, j in product(moves, outside)]
    if max_features is None or size < max_features:
        moves += [[*inside, j] for j in outside]
    here = refit_loss(X, y, inside, l2) + alpha * size
    best = min(refit_loss(X, y, s, l2) + alpha * len(s) for s in moves)
    expected = max(0.0, here - best) / here
    assert solver.certify(problem, state).value == pytest.approx(expected, abs=1e-9)


def test_columns_that_matter_only_given_others_join_the_working_set(
    rng: np.random.Generator,
) -> None:
    # The target is a difference of two columns, and one of them does not correlate with it.
    X = rng.standard_normal((100, 2000))
    y = X[:, 0] - X[:, 0].mean()
    hidden = X[:, 1999] - X[:, 1999].mean()
    hidden -= (hidden @ y) / (y @ y) * y
    X[:, 0], X[:, 1999] = y + hidden, hidden
    problem = make_problem(X, y, 0.0)
    order = np.argsort(-(Correlations(problem, 0.0).target ** 2))
    assert 1999 in order[1000:]
    solver = SubsetDescent(tol=1e-8, max_iter=100)
    solution = solver.solve(with_penalty(problem, L0(max_features=2)))
    np.testing.assert_array_equal(np.flatnonzero(solution.coef), [0, 1999])
    np.testing.assert_allclose(solution.coef[[0, 1999]], [1.0, -1.0])


def test_correlations_are_shared(rng: np.random.Generator) -> None:
    X = rng.standard_normal((50, 600))
    problem = make_problem(X, X[:, :5].sum(axis=1), 0.0)
    data = Correlations(problem, 0.0)
    alone = SubsetDescent(tol=1e-8, max_iter=100)
    alone = alone.solve(with_penalty(problem, L0(max_features=7)))
    for k in (7, 3, 9, 7):
        solver = SubsetDescent(data=data, tol=1e-8, max_iter=100)
        solution = solver.solve(with_penalty(problem, L0(max_features=k)))
    np.testing.assert_allclose(solution.coef, alone.coef, rtol=1e-9)


def test_interruption_keeps_the_last_complete_iterate(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    X = rng.standard_normal((50, 20))
    problem = make_problem(X, X[:, 0] + 5.0, 0.01)
    solver = SubsetDescent(tol=1e-8, max_iter=100)

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(solver, "step", interrupted)
    start = np.full(20, 0.5)
    solution = solver.solve(problem, start)
    assert solution.status is Status.INTERRUPTED
    np.testing.assert_array_equal(solution.coef, start)
    assert solution.intercept == pytest.approx((problem.loss.y - X @ start).mean())
    assert "interrupted" in solution.message


def make_move_problem(rng: np.random.Generator, m: int, limit: int, alpha: float) -> MoveProblem:
    X = rng.standard_normal((3 * m, m))
    data = Correlations(make_problem(X, X @ rng.standard_normal(m), 0.0), 0.0)
    penalties = np.full(m, alpha)
    return MoveProblem(data.among(np.arange(m)), data.target, penalties, penalties, limit, 1e-10)


def test_a_start_far_above_the_limit_comes_down_to_it(rng: np.random.Generator) -> None:
    found = make_move_problem(rng, 200, limit=10, alpha=0.0).search(np.arange(200))
    assert len(found.columns) == 10


def test_a_search_never_ends_worse_than_it_started(rng: np.random.Generator) -> None:
    for _ in range(10):
        inner = make_move_problem(rng, 30, limit=30, alpha=0.01)
        start = rng.choice(30, 10, replace=False)
        before = inner.objective(inner.support(start))
        forward = inner.search(start, swaps=False)
        both = inner.search(forward.columns)
        assert inner.objective(both) <= inner.objective(forward) + 1e-14 <= before + 2e-14


def test_dependent_columns_are_left_out_of_a_start(rng: np.random.Generator) -> None:
    X = rng.standard_normal((40, 4))
    X = np.c_[X, X[:, 0], X[:, 1] - X[:, 2]]
    data = Correlations(make_problem(X, X.sum(axis=1), 0.0), 0.0)
    everything = np.arange(6)
    free = np.zeros(6)
    inner = MoveProblem(data.among(everything), data.target, free, free, 6, 1e-10)
    assert len(inner.independent(everything)) == 4
    assert inner.search(inner.independent(everything)).explained == pytest.approx(1.0)
    # A support that holds them all the same is factorised without harm.
    assert inner.support(everything).explained == pytest.approx(1.0)


@pytest.mark.parametrize("kind", ["dense", "fortran", "single", "sparse"])
@pytest.mark.parametrize("mean", [0.0, 1e3])
@pytest.mark.parametrize("l2", [0.0, 0.2])
def test_correlations_and_refit(
    rng: np.random.Generator, kind: str, mean: float, l2: float
) -> None:
    X = rng.standard_normal((60, 9)) * 10.0 ** rng.uniform(-3, 3, 9)
    X += mean * X.std(axis=0)
    if kind == "single":
        X = X.astype(np.float32).astype(np.float64)
    y = rng.standard_normal(60) + 10.0
    weights = rng.random(60)
    weights /= weights.sum()
    forms = {
        "dense": X,
        "fortran": np.asfortranarray(X),
        "single": X.astype(np.float32),
        "sparse": sp.csc_array(X),
    }
    problem = Problem(Design(forms[kind]), Squared(y, weights), L0(), 0.0, True)
    data = Correlations(problem, l2)
    centred = X - weights @ X
    gram = centred.T @ (weights[:, None] * centred) + l2 * np.eye(9)
    lengths = np.sqrt(np.diag(gram))
    residual = y - weights @ y
    target = (weights * residual) @ centred / lengths / np.sqrt(weights @ residual**2)
    # Sparse columns keep their means implicit, which costs digits where these are large.
    atol = 1e-8 if kind == "sparse" else 1e-11
    np.testing.assert_allclose(data.lengths, lengths, rtol=atol)
    np.testing.assert_allclose(data.target, target, atol=atol)
    chosen = np.array([5, 2, 7])
    corner = (gram / np.outer(lengths, lengths))[chosen]
    np.testing.assert_allclose(data.among(chosen), corner[:, chosen], atol=atol)
    crosses = np.hstack([product for _, product in data.with_all(chosen)])
    outside = np.setdiff1d(np.arange(9), chosen)
    np.testing.assert_allclose(crosses[:, outside], corner[:, outside], atol=atol)
    expected = np.linalg.solve(
        gram[np.ix_(chosen, chosen)], centred[:, chosen].T @ (weights * residual)
    )
    np.testing.assert_allclose(data.refit(chosen), expected, rtol=1e-6 if mean else 1e-9)


def test_refit_of_nearly_collinear_columns_is_least_squares(rng: np.random.Generator) -> None:
    X = rng.standard_normal((50, 3))
    X[:, 2] = X[:, 0] + X[:, 1] + 1e-3 * X[:, 2]
    y = X @ np.array([1.0, -2.0, 3.0])
    data = Correlations(make_problem(X, y, 0.0), 0.0)
    np.testing.assert_allclose(data.refit(np.arange(3)), [1.0, -2.0, 3.0], rtol=1e-8)


@pytest.mark.parametrize("max_features", [None, 2])
def test_penalty_weights_and_kept_features_against_all_supports(
    rng: np.random.Generator, max_features: int | None
) -> None:
    equal = 0
    for _ in range(20):
        X = rng.standard_normal((30, 7)) + rng.standard_normal((30, 1))
        y = X[:, :4] @ rng.standard_normal(4) + rng.standard_normal(30)
        factors = rng.choice([0.0, 0.5, 1.0, 3.0], 7)
        alpha = 0.1 * y.var()
        penalty = L0(penalty_weights=factors, max_features=max_features, l2=0.01)
        found = SubsetDescent(tol=1e-8, max_iter=100).solve(
            with_penalty(make_problem(X, y, alpha), penalty)
        )
        assert np.all(found.coef[factors == 0.0])
        strength = 0.0 if max_features else alpha
        limit = 7 if max_features is None else max_features

        kept, others = np.flatnonzero(factors == 0.0).tolist(), np.flatnonzero(factors).tolist()
        sizes = range(min(limit, len(others)) + 1)
        supports = [[*kept, *s] for k in sizes for s in combinations(others, k)]
        supports.append(np.flatnonzero(found.coef).tolist())
        values = [refit_loss(X, y, s, 0.01) + strength * factors[s].sum() for s in supports]
        best, reached = min(values), values[-1]
        assert np.count_nonzero(found.coef[factors > 0]) <= limit
        assert reached >= best * (1 - 1e-10)
        equal += reached <= best * (1 + 1e-9)
    assert equal >= 19


def test_supports_of_all_cardinalities_are_what_they_say(rng: np.random.Generator) -> None:
    X = rng.standard_normal((60, 200)) + rng.standard_normal((60, 1))
    y = X[:, :9].sum(axis=1) + rng.standard_normal(60)
    problem = make_problem(X, y, 0.0)
    for effort in (1, 2):
        path = subset_path(problem, [0, 1, 5, 12, 20], effort=effort, tol=1e-8, max_iter=100)
        losses = []
        for size, solution in zip((0, 1, 5, 12, 20), path, strict=True):
            support = np.flatnonzero(solution.coef)
            assert len(support) == size
            z = X @ solution.coef + solution.intercept
            losses.append(problem.loss.value(z))
            assert losses[-1] == pytest.approx(refit_loss(X, y, support.tolist(), 0.0), rel=1e-9)
        assert np.all(np.diff(losses) < 0)


@pytest.mark.parametrize("sizes", [[7], [3, 7], [7, 30], [40, 7, 1]])
def test_a_support_of_a_path_depends_on_nothing_else(
    rng: np.random.Generator, sizes: list[int]
) -> None:
    X = rng.standard_normal((70, 300)) + rng.standard_normal((70, 1))
    y = X[:, :20] @ rng.standard_normal(20) + rng.standard_normal(70)
    problem = make_problem(X, y, 0.0)
    whole = subset_path(problem, range(1, 41), tol=1e-8, max_iter=100)
    some = subset_path(problem, sizes, tol=1e-8, max_iter=100)
    for size, solution in zip(sizes, some, strict=True):
        np.testing.assert_array_equal(solution.coef != 0, whole[size - 1].coef != 0)


def test_more_effort_finds_no_less_on_correlated_columns(rng: np.random.Generator) -> None:
    X = rng.standard_normal((80, 400))
    for j in range(1, 400):
        X[:, j] = 0.95 * X[:, j - 1] + 0.3 * X[:, j]
    y = X[:, 10::60].sum(axis=1) + 0.5 * rng.standard_normal(80)
    problem = make_problem(X, y, 0.0)
    totals = []
    for effort in (1, 3):
        path = subset_path(problem, range(1, 25), effort=effort, tol=1e-8, max_iter=100)
        z = [X @ solution.coef + solution.intercept for solution in path]
        totals.append(sum(problem.loss.value(part) for part in z))
    assert totals[1] <= totals[0] * (1 + 1e-9)


def test_an_interrupted_path_keeps_the_supports_so_far(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    X = rng.standard_normal((50, 40))
    problem = make_problem(X, X[:, :6].sum(axis=1), 0.0)
    budget = {"tol": 1e-8, "max_iter": 100}
    whole = subset_path(problem, [2, 4, 9], **budget)
    reach = CardinalitySearch.reach

    def interrupted(search: CardinalitySearch, k: int) -> None:
        if k > 4:
            raise KeyboardInterrupt
        reach(search, k)

    monkeypatch.setattr(CardinalitySearch, "reach", interrupted)
    path = subset_path(problem, [2, 4, 9], **budget)
    assert [solution.status for solution in path] == [Status.CONVERGED, Status.INTERRUPTED]
    assert "interrupted after 2 of 3" in path[-1].message
    for found, expected in zip(path, whole[:2], strict=True):
        np.testing.assert_array_equal(found.coef, expected.coef)
    with pytest.raises(KeyboardInterrupt):
        subset_path(problem, [9], **budget)
