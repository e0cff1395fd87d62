"""What every solver of best-subset regression owes: weights, sparse data, single precision."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from subset_reference import planted, run

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
