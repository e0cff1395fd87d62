"""The contract of all best-subset solvers: weights, sparse data, single precision."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from subset_reference import make_problem, planted, run

from sksparse.solvers import (
    BackwardElimination,
    CoordinateDescentL0,
    ForwardSelection,
    IterativeHardThresholding,
    Solver,
    Splicing,
    SubsetDescent,
    SubsetNewton,
)

N, P = 50, 12
SOLVERS = [
    BackwardElimination,
    CoordinateDescentL0,
    ForwardSelection,
    IterativeHardThresholding,
    Splicing,
    SubsetDescent,
    SubsetNewton,
]
# Strengths for those that know an L1 norm.
L1 = {CoordinateDescentL0: 0.05, IterativeHardThresholding: 0.1, SubsetNewton: 0.05}


@pytest.mark.parametrize("solver", SOLVERS)
def test_weights_equal_repeated_and_dropped_rows(
    rng: np.random.Generator, solver: type[Solver]
) -> None:
    X, y = planted(rng, N, P)
    counts = rng.integers(0, 4, N)
    rows = np.repeat(np.arange(N), counts)
    for alpha, limit in ((0.0, 5), (0.05, None)):
        support, weighted = run(solver, X, y, alpha, max_features=limit, weights=counts)
        again, repeated = run(solver, X[rows], y[rows], alpha, max_features=limit)
        np.testing.assert_array_equal(support, again)
        np.testing.assert_allclose(weighted.coef, repeated.coef, rtol=1e-9)
        assert weighted.intercept == pytest.approx(repeated.intercept)


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("solver", [s for s in SOLVERS if s is not BackwardElimination])
def test_weights_equal_repeated_rows_where_samples_are_few(
    seed: int, solver: type[Solver], fit_intercept: bool
) -> None:
    """Limits come from the samples that differ, however often each is there."""
    for draw in range(6):
        rng = np.random.default_rng([seed, draw])
        X, y = planted(rng, 52, 40)
        counts = rng.integers(0, 4, 52)
        rows = np.repeat(np.arange(52), counts)
        for alpha, limit in ((0.1, None), (0.0, 4)):
            data = {"max_features": limit, "fit_intercept": fit_intercept}
            support, weighted = run(solver, X, y, alpha, weights=counts, **data)
            again, repeated = run(solver, X[rows], y[rows], alpha, **data)
            np.testing.assert_array_equal(support, again)
            np.testing.assert_allclose(weighted.coef, repeated.coef, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("form", [np.asarray, np.asfortranarray, sp.csc_array])
@pytest.mark.parametrize("rounded", [False, True])
def test_samples_that_differ_are_counted_once(
    rng: np.random.Generator, form: Callable[[np.ndarray], Any], rounded: bool
) -> None:
    X, y = rng.standard_normal((30, 5)), rng.standard_normal(30)
    y = np.sign(y) if rounded else y
    rows = rng.permutation(np.repeat(np.arange(30), rng.integers(1, 5, 30)))
    problem = make_problem(form(X[rows]), y[rows])
    assert [problem.distinct(most) for most in (1, 7, 30, 31, 200)] == [1, 7, 30, 30, 30]
    weights = np.bincount(rng.choice(len(rows), 12, replace=False), minlength=len(rows))
    problem = make_problem(form(X[rows]), y[rows], weights=weights)
    assert problem.distinct(200) == len(np.unique(rows[weights > 0]))
    assert make_problem(form(np.zeros((9, 2))), np.ones(9)).distinct(5) == 1
    # columns that could hide the others: a huge constant, a huge one of two values
    X = np.c_[np.full(30, 1.7e18), X, 1e17 * (np.arange(30) % 2)]
    problem = make_problem(form(X), np.arange(30) % 2 + 0.0)
    assert problem.distinct(200) == 30
    if form is not sp.csc_array:
        X = X[:, 1:6] / np.ptp(X[:, 1:6], axis=0) + [0.0, 0.0, 0.0, 0.0, 1e7]
        assert make_problem(form(X), np.ones(30)).distinct(200) == 30


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_sparse_and_single_precision(
    rng: np.random.Generator, solver: type[Solver], fit_intercept: bool
) -> None:
    X, y = planted(rng, N, P)
    X[rng.random(X.shape) < 0.4] = 0.0
    options = {"l1": L1.get(solver, 0.0), "l2": 0.01, "fit_intercept": fit_intercept}
    for alpha, limit in ((0.0, 5), (0.05, None)):
        support, dense = run(solver, X, y, alpha, max_features=limit, **options)
        for form in (sp.csc_array(X), np.asfortranarray(X), X.astype(np.float32)):
            again, solution = run(solver, form, y, alpha, max_features=limit, **options)
            np.testing.assert_array_equal(support, again)
            rtol = 1e-5 if form.dtype == np.float32 else 1e-9
            np.testing.assert_allclose(solution.coef, dense.coef, rtol=rtol)
