"""Exact best subset: against all subsets, and what the certificate says when it stops early."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.optimize import lsq_linear
from subset_reference import with_penalty

from sksparse.losses import Squared
from sksparse.penalties import L0
from sksparse.solvers import (
    BranchAndBound,
    Design,
    Problem,
    Status,
    SubsetDescent,
)
from sksparse.solvers.branch_and_bound import _best_first as _search
from sksparse.solvers.branch_and_bound import _correlation_store as _columns_in_use
from sksparse.solvers.branch_and_bound import _leaps_and_bounds as _leaps
from sksparse.solvers.branch_and_bound import _perspective
from sksparse.solvers.branch_and_bound import _solver as module
from sksparse.solvers.branch_and_bound._diagonal import diagonal_share
from sksparse.solvers.subset._correlations import Correlations

LEAPS, RELAXED = 0.0, np.inf


@pytest.fixture(params=[LEAPS, RELAXED], ids=["leaps", "relaxed"])
def search(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> float:
    """Either search, whatever would be chosen."""
    monkeypatch.setattr(module, "_WORTH_RELAXING", request.param)
    return request.param


def make_problem(
    X: np.ndarray, y: np.ndarray, alpha: float = 0.0, *, fit_intercept: bool = True, weights=None
) -> Problem:
    weights = np.ones(len(y)) if weights is None else weights
    return Problem(Design(X), Squared(y, weights / weights.sum()), L0(), alpha, fit_intercept)


def exhaustive(problem: Problem, penalty: L0) -> float:
    """Least objective of all subsets, from the normal equations of each."""
    X = problem.design.X
    X = np.asarray(X.toarray() if sp.issparse(X) else X, dtype=float)
    s, y = problem.loss.weights, problem.loss.y
    if problem.fit_intercept:
        X, y = X - s @ X, y - s @ y
    p = X.shape[1]
    gram, target = X.T @ (s[:, None] * X) + penalty.l2 * np.eye(p), X.T @ (s * y)
    lengths = np.sqrt(np.diag(gram))
    factors, rank = penalty.factors(p), np.linalg.matrix_rank(gram / np.outer(lengths, lengths))
    kept = np.flatnonzero(factors == 0)
    others = np.flatnonzero(factors > 0)
    sizes = [penalty.max_features] if penalty.max_features else range(len(others) + 1)
    alpha = 0.0 if penalty.max_features else problem.alpha
    best = np.inf
    for size in sizes:
        if size + len(kept) > rank:
            break
        chosen = list(combinations(others, size))
        chosen = np.array(chosen, dtype=int).reshape(len(chosen), size)
        sets = np.hstack([np.tile(kept, (len(chosen), 1)), chosen])
        grams = gram[sets[:, :, None], sets[:, None, :]]
        fitted = np.linalg.solve(grams, target[sets][:, :, None])[:, :, 0]
        losses = 0.5 * (s @ (y * y) - np.einsum("ij,ij->i", fitted, target[sets]))
        best = min(best, float((losses + alpha * factors[sets].sum(axis=1)).min()))
    return best


def draw(rng: np.random.Generator, n: int, p: int) -> tuple[np.ndarray, np.ndarray]:
    """Correlated columns of various scales, and a target on some of them."""
    X = rng.standard_normal((n, p)) + rng.uniform(0, 2) * rng.standard_normal((n, 1))
    X = X * 10.0 ** rng.uniform(-2, 2, p) + rng.uniform(-3, 3)
    coef = rng.standard_normal(p) * (rng.random(p) < 0.5)
    return X, (X / X.std(axis=0)) @ coef + rng.standard_normal(n)


@pytest.mark.parametrize("form", ["price", "number"])
@pytest.mark.parametrize("l2", [0.0, 0.05])
def test_equals_exhaustive_search(
    rng: np.random.Generator, search: float, form: str, l2: float
) -> None:
    for trial in range(50):
        p = int(rng.integers(4, 13))
        X, y = draw(rng, int(rng.integers(p + 3, 60)), p)
        penalty = L0(max_features=1 + trial % 4 if form == "number" else None, l2=l2)
        problem = make_problem(X, y, alpha=y.var() * rng.uniform(0.001, 0.1))
        solution = BranchAndBound(gap=0.0).solve(with_penalty(problem, penalty))
        expected = exhaustive(problem, penalty)
        rounding = 1e-8 * y.var()
        assert solution.objective == pytest.approx(expected, abs=rounding)
        assert expected - rounding <= solution.lower_bound <= expected + 1e-12 * y.var()
        assert solution.status is Status.CONVERGED
        assert solution.message == ""
        z = X @ solution.coef + solution.intercept
        alpha = 0.0 if form == "number" else problem.alpha
        own = problem.loss.value(z) + penalty.cost(solution.coef, alpha)
        assert solution.objective == pytest.approx(own)


@pytest.mark.parametrize("max_features", [None, 3])
def test_options(rng: np.random.Generator, search: float, max_features: int | None) -> None:
    X, y = draw(rng, 40, 9)
    X[rng.random(X.shape) < 0.5] = 0.0
    prices = np.array([1.0, 0.0, 2.0, 0.5, 1.0, 0.0, 1.0, 3.0, 1.0])
    weights = rng.random(40)
    for penalty in (
        L0(max_features=max_features),
        L0(max_features=max_features, penalty_weights=prices),
        L0(max_features=max_features, penalty_weights=prices, l2=0.1),
    ):
        for form in (X, np.asfortranarray(X), X.astype(np.float32), sp.csc_array(X)):
            for fit_intercept in (True, False):
                alpha = 0.02 * y.var()
                options = {"fit_intercept": fit_intercept, "weights": weights}
                solution = BranchAndBound(gap=0.0).solve(
                    with_penalty(make_problem(form, y, alpha, **options), penalty)
                )
                expected = exhaustive(make_problem(form, y, alpha, **options), penalty)
                assert solution.objective == pytest.approx(expected, rel=1e-5)
                assert solution.lower_bound <= expected * (1 + 1e-6)
                assert np.all(solution.coef[penalty.free(9)] != 0)


@pytest.mark.parametrize("gap", [0.01, 0.3])
def test_gap_is_kept_and_no_more_is_claimed(
    rng: np.random.Generator, search: float, gap: float
) -> None:
    for _ in range(10):
        X, y = draw(rng, 30, 10)
        problem = make_problem(X, y, 0.02 * y.var())
        for penalty in (L0(l2=0.01), L0(max_features=4)):
            solution = BranchAndBound(gap=gap).solve(with_penalty(problem, penalty))
            expected = exhaustive(problem, penalty)
            assert solution.lower_bound <= expected + 1e-9
            assert solution.objective * (1 - gap) <= solution.lower_bound + 1e-8
            assert solution.certificate.value == pytest.approx(
                1 - solution.lower_bound / solution.objective
            )


@pytest.mark.parametrize("penalty", [L0(l2=0.02), L0(l2=0.02, max_features=4)])
def test_fewer_samples_than_features(rng: np.random.Generator, search: float, penalty: L0) -> None:
    for _ in range(5):
        X = rng.standard_normal((7, 12))
        y = X[:, 0] + X[:, 5] + 0.3 * rng.standard_normal(7)
        problem = make_problem(X, y, 0.05)
        solution = BranchAndBound(gap=0.0).solve(with_penalty(problem, penalty))
        assert solution.objective == pytest.approx(exhaustive(problem, penalty), abs=1e-8)


def test_dependent_columns_without_a_ridge(rng: np.random.Generator) -> None:
    X = rng.standard_normal((60, 8))
    X = np.c_[X, X[:, 0], X[:, 1] - X[:, 2], np.ones(60), 2.0 * X[:, 3] + X[:, 4]]
    y = X[:, 8] + X[:, 9] + X[:, 11] + rng.standard_normal(60)
    for k in (2, 3, 5):
        solution = BranchAndBound(gap=0.0).solve(
            with_penalty(make_problem(X, y), L0(max_features=k))
        )
        best = min(
            np.linalg.lstsq(np.c_[X[:, list(s)], np.ones(60)], y)[1][0] / 120
            for s in combinations(range(12), k)
            if np.linalg.matrix_rank(np.c_[X[:, list(s)], np.ones(60)]) == k + 1
        )
        assert solution.objective == pytest.approx(best, rel=1e-9)
        assert solution.message == ""


def test_few_samples_without_a_ridge_are_searched(rng: np.random.Generator) -> None:
    X = rng.standard_normal((8, 12))
    y = rng.standard_normal(8)
    penalty = L0(max_features=3)
    solution = BranchAndBound(gap=0.0).solve(with_penalty(make_problem(X, y), penalty))
    assert solution.objective == pytest.approx(exhaustive(make_problem(X, y), penalty), rel=1e-8)
    assert solution.message == ""


def test_no_bound_is_no_certificate(rng: np.random.Generator) -> None:
    X = rng.standard_normal((20, 200))
    solution = BranchAndBound().solve(
        with_penalty(make_problem(X, X[:, 0] + X[:, 9]), L0(max_features=3))
    )
    assert solution.status is Status.CONVERGED  # a perfect fit needs no bound
    y = rng.standard_normal(20)
    solution = BranchAndBound().solve(with_penalty(make_problem(X, y), L0(max_features=3)))
    assert solution.status is Status.STALLED
    assert solution.lower_bound == 0.0
    assert solution.certificate.value == 1.0
    assert "l2" in solution.message


@pytest.mark.parametrize("max_features", [None, 5])
def test_small_steps_and_small_stores_change_nothing(
    rng: np.random.Generator, search: float, max_features: int | None, monkeypatch
) -> None:
    X = rng.standard_normal((60, 40)) + rng.standard_normal((60, 1))
    y = X[:, :6].sum(axis=1) + 3.0 * rng.standard_normal(60)
    problem = make_problem(X, y, 0.03 * y.var())
    penalty = L0(max_features=max_features, l2=0.05)
    expected = BranchAndBound(gap=0.0).solve(with_penalty(problem, penalty))
    monkeypatch.setattr(_leaps, "_WORK", 0.0)
    monkeypatch.setattr(_perspective, "_WORK", 0.0)
    for room in (0, 40 * 12 * 8):
        # X is read for every gradient; or the working set starts afresh now and then.
        monkeypatch.setattr(_columns_in_use, "_ROOM", room)
        monkeypatch.setattr(_columns_in_use, "_ROOM_AMONG", 8 * 20**2)
        monkeypatch.setattr(_perspective, "_MOST_NEW", 3)
        for form in (X, sp.csc_array(X)):
            stepwise = BranchAndBound(gap=0.0).solve(
                with_penalty(
                    Problem(Design(form), problem.loss, L0(), problem.alpha, True), penalty
                )
            )
            assert stepwise.objective == pytest.approx(expected.objective, abs=1e-9)
            assert stepwise.message == ""


@pytest.mark.parametrize("max_features", [None, 8])
def test_early_stop_is_honest(
    rng: np.random.Generator, search: float, max_features: int | None, monkeypatch
) -> None:
    monkeypatch.setattr(_leaps, "_WORK", 0.0)
    monkeypatch.setattr(_perspective, "_WORK", 0.0)
    X = rng.standard_normal((40, 25)) + 2.0 * rng.standard_normal((40, 1))
    y = rng.standard_normal(40)
    problem = make_problem(X, y, 0.01)
    penalty = L0(max_features=max_features)
    best = BranchAndBound(gap=0.0).solve(with_penalty(problem, penalty))
    bounds = []
    for max_nodes in (0, 10, 100):
        solution = BranchAndBound(gap=0.0, max_nodes=max_nodes).solve(
            with_penalty(problem, penalty)
        )
        assert solution.status is Status.MAX_ITER
        assert f"max_nodes={max_nodes}" in solution.message
        assert solution.lower_bound < best.objective <= solution.objective + 1e-9
        assert solution.gap == pytest.approx(solution.objective - solution.lower_bound)
        bounds.append(solution.lower_bound)
    assert bounds == sorted(bounds)
    late = BranchAndBound(gap=0.0, time_limit=0.0).solve(with_penalty(problem, penalty))
    assert late.status is Status.TIME_LIMIT
    assert "time_limit=0.0" in late.message
    assert np.count_nonzero(late.coef) > 0


def test_interruption_loses_nothing(
    rng: np.random.Generator, search: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    X = rng.standard_normal((40, 20)) + 2.0 * rng.standard_normal((40, 1))
    y = X[:, ::3].sum(axis=1) + 4.0 * rng.standard_normal(40)
    monkeypatch.setattr(_leaps, "_WORK", 0.0)
    monkeypatch.setattr(_perspective, "_WORK", 0.0)
    kind = _leaps.Leaps if search == LEAPS else _perspective.Perspective
    expand, calls = kind.expand, []

    def interrupted(*args: object) -> object:
        calls.append(1)
        if len(calls) > 5:
            raise KeyboardInterrupt
        return expand(*args)

    monkeypatch.setattr(kind, "expand", interrupted)
    penalty = L0(max_features=6)
    solution = BranchAndBound(gap=0.0).solve(with_penalty(make_problem(X, y), penalty))
    assert solution.status is Status.INTERRUPTED
    assert "interrupted" in solution.message
    expected = exhaustive(make_problem(X, y), penalty)
    assert solution.lower_bound <= expected <= solution.objective + 1e-12 * y.var()


def boxed_value(gram: np.ndarray, target: np.ndarray, largest: float) -> float:
    """Least ``1 - 2 c^T u + u^T H u`` with no entry of u beyond a bound."""
    if not len(target):
        return 1.0
    root = np.linalg.cholesky(gram)
    right = np.linalg.solve(root, target)
    found = lsq_linear(root.T, right, bounds=(-largest, largest), tol=1e-14)
    return float(1.0 - 2.0 * target @ found.x + found.x @ gram @ found.x)


@pytest.mark.parametrize("largest", [np.inf, 0.4, 0.1])
@pytest.mark.parametrize("l2", [0.0, 0.1, None])
def test_bounds_of_nodes_hold_for_their_subsets(
    rng: np.random.Generator, l2: float | None, largest: float
) -> None:
    from sksparse._kernels.perspective import FREE, IN, OUT, Columns, Seen, relax

    without_shares = l2 is None
    l2 = l2 or 0.0

    X, y = draw(rng, 30, 8)
    data = Correlations(make_problem(X, y), l2)
    gram = data.among(np.arange(8))
    np.fill_diagonal(gram, 1.0)
    share = diagonal_share(gram, l2 / data.lengths**2)
    assert np.linalg.eigvalsh(gram - np.diag(share))[0] >= 0
    if without_shares:
        # without a share of the diagonal only a bound on the coefficients makes a relaxation
        share, largest = np.zeros(8), min(largest, 1.0)
    price = rng.uniform(0.01, 0.1, 8)
    columns = Columns(data.target, share, price, largest)
    seen = Seen(gram, np.arange(8), data.target, share, price, largest)
    for _ in range(100):
        state = rng.choice([FREE, IN, OUT], 8).astype(np.int8)
        places = int(rng.integers(-1, 4))
        inside, free = np.flatnonzero(state == IN), np.flatnonzero(state == FREE)
        places = -1 if places == 0 else places
        most = len(free) if places < 0 else min(places, len(free))
        sets = [
            np.r_[inside, np.array(more, dtype=int)]
            for size in range(most + 1)
            for more in combinations(free, size)
        ]
        best = min(
            boxed_value(gram[np.ix_(s, s)], data.target[s], largest) + price[s].sum() for s in sets
        )
        for cutoff in (0.3, 1.0, 1.0 - 1e-6):
            start = (state, rng.standard_normal(8), 0.05, places)
            bound, *_ = relax(columns, seen, *start, 1.0, cutoff)
            assert bound <= best + 1e-12


@pytest.mark.parametrize("form", ["price", "number"])
def test_bounded_coefficients_equal_exhaustive_search(
    rng: np.random.Generator, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MOST_REFITTED", 0)
    # A poor first answer: its bound is too tight, until better ones turn up.
    monkeypatch.setattr(
        module,
        "_descent",
        lambda solver, problem, coef: SubsetDescent(tol=1e-8, max_iter=1).solve(
            with_penalty(problem, L0(max_features=1))
        ),
    )
    for _ in range(10):
        X, y = draw(rng, 10, 12)
        penalty = L0(max_features=3) if form == "number" else L0(l2=0.01)
        problem = make_problem(X, y, 0.0 if form == "number" else 0.05 * y.var())
        solution = BranchAndBound(gap=0.0, big_m=3.0).solve(with_penalty(problem, penalty))
        expected = exhaustive(problem, penalty)
        assert solution.message == ""
        assert solution.objective == pytest.approx(expected, rel=1e-6, abs=1e-9 * y.var())
        assert solution.certificate.name == "relative gap within big_m"


@pytest.mark.parametrize("penalty", [L0(), L0(max_features=3)])
def test_bounded_coefficients_need_no_ridge(rng: np.random.Generator, penalty: L0) -> None:
    X = rng.standard_normal((200, 300))
    y = X[:, :3].sum(axis=1) + 0.5 * rng.standard_normal(200)
    problem = make_problem(X, y, 0.25)
    assert "big_m" in BranchAndBound().solve(with_penalty(problem, penalty)).message
    solution = BranchAndBound(big_m=1.2).solve(with_penalty(problem, penalty))
    assert solution.message == ""
    np.testing.assert_array_equal(np.flatnonzero(solution.coef), np.arange(3))
    assert 0.0 < solution.lower_bound <= solution.objective


def test_the_share_of_the_diagonal_is_larger_than_the_least_eigenvalue(
    rng: np.random.Generator,
) -> None:
    X = rng.standard_normal((100, 30)) * rng.uniform(0.1, 1.0, 30) + rng.standard_normal((100, 1))
    gram = np.corrcoef(X.T)
    share = diagonal_share(gram, np.zeros(30))
    assert share.min() > 0
    assert share.mean() > 1.5 * np.linalg.eigvalsh(gram)[0]
    assert np.linalg.eigvalsh(gram - np.diag(share))[0] > -1e-12


def test_many_columns_with_a_ridge(rng: np.random.Generator) -> None:
    X = rng.standard_normal((200, 700))
    y = X[:, :5].sum(axis=1) + rng.standard_normal(200)
    solution = BranchAndBound(gap=0.01).solve(with_penalty(make_problem(X, y, 0.2), L0(l2=0.1)))
    np.testing.assert_array_equal(np.flatnonzero(solution.coef), np.arange(5))
    assert solution.message == ""
    assert solution.n_nodes >= 1


@pytest.mark.parametrize("penalty", [L0(max_features=2), L0(l2=0.1)])
def test_nothing_to_explain(rng: np.random.Generator, penalty: L0) -> None:
    X = rng.standard_normal((30, 5))
    X[:, 2] = 4.0
    flat = BranchAndBound().solve(with_penalty(make_problem(X, np.full(30, 2.0), 0.1), penalty))
    assert flat.objective == pytest.approx(0.0, abs=1e-20)
    assert flat.message == ""
    assert flat.intercept == pytest.approx(2.0)
    exact = BranchAndBound().solve(
        with_penalty(make_problem(X, X[:, 0] - X[:, 4]), L0(max_features=2))
    )
    assert exact.objective == pytest.approx(0.0, abs=1e-12)
    assert exact.message == ""


@pytest.mark.parametrize(
    "penalty, name",
    [(L0(l1=0.1), "l1"), (L0(positive=np.array([True, False])), "positive")],
)
def test_what_is_not_supported(penalty: L0, name: str) -> None:
    problem = with_penalty(make_problem(np.eye(2), np.arange(2.0)), penalty)
    with pytest.raises(ValueError, match=name):
        BranchAndBound().solve(problem)


def test_progress(
    rng: np.random.Generator, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_search, "_SECONDS_BETWEEN_LINES", 0.0)
    X, y = draw(rng, 40, 12)
    BranchAndBound(gap=0.0, verbose=1).solve(with_penalty(make_problem(X, y), L0(max_features=4)))
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.startswith("[BranchAndBound]") for line in lines) >= 2
    assert all(word in lines[-1] for word in ("nodes", "open", "bound", "gap", " s"))


def test_another_search_goes_on_where_one_stalls(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_WORTH_RELAXING", RELAXED)
    # The relaxation cuts off nodes a little below the cutoff, as by rounding.
    monkeypatch.setattr(_perspective.Perspective, "expand", lambda self, node, best: lowered(best))

    def lowered(best: _search.Incumbent) -> tuple[list[object], int]:
        best.cut = 0.9 * best.cutoff
        return [], 1

    X, y = draw(rng, 30, 8)
    penalty = L0(max_features=3, l2=0.05)
    solution = BranchAndBound(gap=0.0).solve(with_penalty(make_problem(X, y), penalty))
    assert solution.message == ""
    assert solution.objective == pytest.approx(exhaustive(make_problem(X, y), penalty))
