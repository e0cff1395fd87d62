"""What the bounds and the certificate of exact best subset claim."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from exhaustive import RELAXED, draw, exhaustive, tune
from scipy.optimize import lsq_linear
from sklearn.exceptions import ConvergenceWarning
from subset_reference import make_problem, with_penalty

from sksparse.penalties import L0
from sksparse.solvers import BranchAndBound, Status, SubsetDescent
from sksparse.solvers.branch_and_bound import _solver
from sksparse.solvers.branch_and_bound._best_first import Incumbent
from sksparse.solvers.branch_and_bound._diagonal import diagonal_share
from sksparse.solvers.branch_and_bound._perspective import Perspective
from sksparse.solvers.subset._correlations import Correlations


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


def test_no_bound_is_no_certificate(rng: np.random.Generator) -> None:
    X = rng.standard_normal((20, 200))
    solution = BranchAndBound().solve(
        with_penalty(make_problem(X, X[:, 0] + X[:, 9]), L0(max_features=3))
    )
    assert solution.status is Status.CONVERGED  # a perfect fit needs no bound
    y = rng.standard_normal(20)
    with pytest.warns(ConvergenceWarning, match=r"l2=0.*big_m=1.2.*max_features=\d at most"):
        solution = BranchAndBound().solve(with_penalty(make_problem(X, y), L0(max_features=9)))
    assert solution.status is Status.STALLED
    assert solution.lower_bound == 0.0
    assert solution.certificate.value == 1.0
    assert "l2" in solution.message


@pytest.mark.parametrize("max_features", [None, 8])
def test_early_stop_is_honest(
    rng: np.random.Generator, search: float, max_features: int | None, monkeypatch
) -> None:
    tune(monkeypatch, work=0.0)
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
    from sksparse._kernels.perspective import COLUMN, FREE, IN, OUT, Relaxation, relax

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
    columns, descent = np.empty(8, COLUMN), np.empty(8)
    columns["target"], columns["share"] = data.target, share
    columns["penalty"] = penalties = rng.uniform(0.01, 0.1, 8)
    relaxation = Relaxation(gram, np.arange(8), columns, largest)
    for _ in range(100):
        state = rng.choice([FREE, IN, OUT], 8).astype(np.int8)
        remaining = int(rng.integers(-1, 4))
        inside, free = np.flatnonzero(state == IN), np.flatnonzero(state == FREE)
        remaining = -1 if remaining == 0 else remaining
        largest_size = len(free) if remaining < 0 else min(remaining, len(free))
        sets = [
            np.r_[inside, np.array(more, dtype=int)]
            for size in range(largest_size + 1)
            for more in combinations(free, size)
        ]
        best = min(
            boxed_value(gram[np.ix_(s, s)], data.target[s], largest) + penalties[s].sum()
            for s in sets
        )
        for cutoff in (0.3, 1.0, 1.0 - 1e-6):
            start = (state, rng.standard_normal(8), 0.05, remaining)
            bound, _ = relax(relaxation, *start, 1.0, cutoff, descent)
            assert bound <= best + 1e-12


@pytest.mark.parametrize("form", ["penalty", "number"])
def test_bounded_coefficients_equal_exhaustive_search(
    rng: np.random.Generator, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tune(monkeypatch, max_refitted=0)
    # A poor first answer: its bound is too tight, until better ones turn up.
    monkeypatch.setattr(
        _solver,
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
def test_bounded_coefficients_need_no_ridge(
    rng: np.random.Generator, penalty: L0, monkeypatch: pytest.MonkeyPatch
) -> None:
    X = rng.standard_normal((200, 300))
    y = X[:, :3].sum(axis=1) + 0.5 * rng.standard_normal(200)
    problem = make_problem(X, y, 0.25)
    tune(monkeypatch, max_enumerated=0.0, max_enumerated_in_part=0.0)
    if penalty.max_features is None:
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


def test_another_search_continues_where_one_stalls(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    tune(monkeypatch, relaxation_gap_share=RELAXED)
    # The relaxation cuts off nodes a little below the cutoff, as by rounding.
    monkeypatch.setattr(Perspective, "expand", lambda self, node, best: lowered(best))

    def lowered(best: Incumbent) -> tuple[list[object], int]:
        best.cut = 0.9 * best.cutoff
        return [], 1

    X, y = draw(rng, 30, 8)
    penalty = L0(max_features=3, l2=0.05)
    solution = BranchAndBound(gap=0.0).solve(with_penalty(make_problem(X, y), penalty))
    assert solution.message == ""
    assert solution.objective == pytest.approx(exhaustive(make_problem(X, y), penalty))
