"""Exact best subset where there is no bound: all subsets are compared."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from exhaustive import draw, exhaustive, tune
from sklearn.exceptions import ConvergenceWarning
from subset_reference import make_problem, with_penalty

from sksparse.linear_model import L0Regressor
from sksparse.penalties import L0
from sksparse.solvers import BranchAndBound, Problem, Solution, Solver, Status, SubsetDescent
from sksparse.solvers.branch_and_bound import _solver
from sksparse.solvers.branch_and_bound._enumeration import Enumeration


@pytest.fixture
def enumerated(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few columns are treated like many, from a poor first answer, with a pause at each prefix."""
    tune(monkeypatch, max_refitted=0, max_factorised=0, work=0.0)

    def poor(solver: Solver, problem: Problem, coef: object) -> Solution:
        return SubsetDescent(tol=1e-8, max_iter=1).solve(with_penalty(problem, L0(max_features=1)))

    monkeypatch.setattr(_solver, "_descent", poor)


@pytest.mark.parametrize("form", ["penalty", "number"])
@pytest.mark.parametrize("priced", [False, True])
def test_equals_exhaustive_search(
    rng: np.random.Generator, enumerated: None, form: str, priced: bool
) -> None:
    for trial in range(20):
        n, p = int(rng.integers(8, 14)), int(rng.integers(7, 14))
        X, y = draw(rng, n, p)
        factors = np.r_[0.0, rng.choice([0.5, 1.0, 2.0], p - 1)] if priced else None
        penalty = L0(max_features=2 + trial % 4 if form == "number" else None)
        penalty = L0(max_features=penalty.max_features, penalty_weights=factors)
        problem = make_problem(X, y, alpha=y.var() * rng.uniform(0.05, 0.1))
        solution = BranchAndBound(gap=0.0).solve(with_penalty(problem, penalty))
        expected = exhaustive(problem, penalty)
        rounding = 1e-8 * y.var()
        assert solution.objective == pytest.approx(expected, abs=rounding)
        assert expected - rounding <= solution.lower_bound <= expected + 1e-12 * y.var()


def test_dependent_columns_are_left_out(rng: np.random.Generator, enumerated: None) -> None:
    X = rng.standard_normal((12, 5))
    X = np.c_[X, X[:, 0], X[:, 1] - X[:, 2], np.ones(12), 1e5 * X[:, 3]]
    y = X[:, 0] + X[:, 6] + 0.5 * rng.standard_normal(12)
    solution = BranchAndBound(gap=0.0).solve(with_penalty(make_problem(X, y), L0(max_features=3)))
    independent = make_problem(X[:, [0, 1, 2, 3, 4, 6]], y)
    pairs = [[i for i in range(6) if i != out] for out in (1, 2, 5)]
    best = min(
        exhaustive(make_problem(independent.design.columns(np.array(kept)), y), L0(max_features=3))
        for kept in pairs
    )
    assert solution.objective == pytest.approx(best)
    assert solution.message == ""


def test_few_of_many_features_are_proved_without_a_ridge(rng: np.random.Generator) -> None:
    X = rng.standard_normal((20, 170)) + rng.standard_normal((20, 1))
    y = X[:, 3] - X[:, 7] + rng.standard_normal(20)
    expected = exhaustive(make_problem(X, y), L0(max_features=2))
    for form in (X, sp.csc_array(X), X.astype(np.float32)):
        model = L0Regressor(solver="exact", max_features=2).fit(form, y)
        assert model.gap_ <= 1e-6
        assert model.lower_bound_ == pytest.approx(expected, rel=1e-5)
        residual = y - model.predict(form)
        assert 0.5 * np.mean(residual**2) == pytest.approx(expected, rel=1e-5)


def test_a_penalty_proves_what_larger_subsets_cost(
    rng: np.random.Generator, enumerated: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    tune(monkeypatch, max_refitted=0, max_factorised=0, max_enumerated=0.0)
    X, y = draw(rng, 10, 12)
    problem = make_problem(X, y, 0.01 * y.var())
    tune(
        monkeypatch, max_refitted=0, max_factorised=0, max_enumerated=0, max_enumerated_in_part=80.0
    )
    solution = BranchAndBound(gap=0.0).solve(with_penalty(problem, L0()))
    assert solution.status is Status.STALLED
    # up to two of twelve features were compared
    assert solution.lower_bound == pytest.approx(3 * problem.alpha)
    assert solution.lower_bound <= exhaustive(problem, L0())


def test_what_the_search_needs_is_said_before_it_begins(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    X, y = rng.standard_normal((20, 160)), rng.standard_normal(20)

    def descend(*_: object) -> None:
        raise AssertionError("the search has begun")

    monkeypatch.setattr(_solver, "_descent", descend)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ConvergenceWarning, match=r"max_features=\d at most") as caught:
            L0Regressor(solver="exact", max_features=10).fit(X, y)
    assert "l2=0" in str(caught.value)
    assert "big_m=1.2" in str(caught.value)


def test_an_early_stop_keeps_the_answer(
    rng: np.random.Generator, enumerated: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    X, y = draw(rng, 10, 14)
    problem = with_penalty(make_problem(X, y), L0(max_features=4))
    best = BranchAndBound(gap=0.0).solve(problem)
    stopped = BranchAndBound(gap=0.0, max_nodes=20).solve(problem)
    assert stopped.status is Status.MAX_ITER
    assert stopped.lower_bound == 0.0
    assert stopped.objective >= best.objective * (1 - 1e-12)
    expand = Enumeration.expand
    shares: list[str] = []

    def noted(self: Enumeration, node: object, best: object) -> object:
        result = expand(self, node, best)
        shares.append(self.describe())
        return result

    monkeypatch.setattr(Enumeration, "expand", noted)
    BranchAndBound(gap=0.0).solve(problem)
    assert shares[-1].startswith(", 100.0% of")
