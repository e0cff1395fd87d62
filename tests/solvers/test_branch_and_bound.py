"""Exact best subset: against all subsets."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import scipy.sparse as sp
from exhaustive import LEAPS, draw, exhaustive, tune
from subset_reference import make_problem, with_penalty

from sksparse.penalties import L0
from sksparse.solvers import BranchAndBound, Design, Problem, Status
from sksparse.solvers.branch_and_bound import _correlation_store
from sksparse.solvers.branch_and_bound._leaps_and_bounds import Leaps
from sksparse.solvers.branch_and_bound._perspective import Perspective


@pytest.mark.parametrize("form", ["penalty", "number"])
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
    factors = np.array([1.0, 0.0, 2.0, 0.5, 1.0, 0.0, 1.0, 3.0, 1.0])
    weights = rng.random(40)
    for penalty in (
        L0(max_features=max_features),
        L0(max_features=max_features, penalty_weights=factors),
        L0(max_features=max_features, penalty_weights=factors, l2=0.1),
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


@pytest.mark.parametrize("max_features", [None, 5])
def test_small_steps_and_small_stores_change_nothing(
    rng: np.random.Generator, search: float, max_features: int | None, monkeypatch
) -> None:
    X = rng.standard_normal((60, 40)) + rng.standard_normal((60, 1))
    y = X[:, :6].sum(axis=1) + 3.0 * rng.standard_normal(60)
    problem = make_problem(X, y, 0.03 * y.var())
    penalty = L0(max_features=max_features, l2=0.05)
    expected = BranchAndBound(gap=0.0).solve(with_penalty(problem, penalty))
    tune(monkeypatch, work=0.0)
    for n_bytes in (0, 40 * 12 * 8):
        # X is read for every gradient; or the working set starts afresh now and then.
        limits = _correlation_store.Tuning(with_all=n_bytes, among=8 * 20**2)
        monkeypatch.setattr(_correlation_store, "TUNING", limits)
        tune(monkeypatch, max_entering=3)
        for form in (X, sp.csc_array(X)):
            stepwise = BranchAndBound(gap=0.0).solve(
                with_penalty(
                    Problem(Design(form), problem.loss, L0(), problem.alpha, True), penalty
                )
            )
            assert stepwise.objective == pytest.approx(expected.objective, abs=1e-9)
            assert stepwise.message == ""


def test_interruption_loses_nothing(
    rng: np.random.Generator, search: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    X = rng.standard_normal((40, 20)) + 2.0 * rng.standard_normal((40, 1))
    y = X[:, ::3].sum(axis=1) + 4.0 * rng.standard_normal(40)
    tune(monkeypatch, work=0.0)
    kind = Leaps if search == LEAPS else Perspective
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


def test_progress(rng: np.random.Generator, capsys: pytest.CaptureFixture[str]) -> None:
    X, y = draw(rng, 40, 12)
    BranchAndBound(gap=0.0, verbose=2).solve(with_penalty(make_problem(X, y), L0(max_features=4)))
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.startswith("[BranchAndBound]") for line in lines) >= 2
    assert all(word in lines[-1] for word in ("node", "open", "bound", "gap", " s"))
