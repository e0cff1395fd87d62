"""Best-subset problems, and plain least squares to judge their answers by."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import combinations

import numpy as np

from sksparse.losses import Squared
from sksparse.penalties import L0
from sksparse.solvers import Design, Problem, Solution, Solver, Status


def make_problem(
    X: object,
    y: np.ndarray,
    alpha: float = 0.0,
    *,
    weights: np.ndarray | None = None,
    fit_intercept: bool = True,
) -> Problem:
    weights = np.ones(len(y)) if weights is None else weights.astype(float)
    loss = Squared(y, weights / weights.sum())
    return Problem(Design(X), loss, L0(), alpha, fit_intercept)


def with_penalty(problem: Problem, penalty: L0) -> Problem:
    """The same data, for another penalty."""
    return replace(problem, penalty=penalty)


def refit(
    X: np.ndarray,
    y: np.ndarray,
    support: Iterable[int],
    l2: float = 0.0,
    weights: np.ndarray | None = None,
    fit_intercept: bool = True,
) -> tuple[np.ndarray, float]:
    """Coefficients of a least-squares or ridge fit on a support, and its objective."""
    support = list(support)
    weights = np.ones(len(y)) if weights is None else weights
    weights = weights / weights.sum()
    if fit_intercept:
        X, y = X - weights @ X, y - weights @ y
    roots, k = np.sqrt(weights), len(support)
    A = np.r_[roots[:, None] * X[:, support], np.sqrt(l2) * np.eye(k)]
    b = np.r_[roots * y, np.zeros(k)]
    coef = np.linalg.lstsq(A, b)[0]
    residual = b - A @ coef
    return coef, 0.5 * float(residual @ residual)


def subsets(p: int, sizes: Iterable[int]) -> list[tuple[int, ...]]:
    return [subset for size in sizes for subset in combinations(range(p), size)]


def correlated(rng: np.random.Generator, n: int, p: int, common: float = 0.7) -> np.ndarray:
    """Columns of unit variance that share a part, of different means and scales."""
    X = rng.standard_normal((n, p)) + common * rng.standard_normal((n, 1))
    return X * rng.uniform(0.5, 2.0, p) + rng.uniform(-3.0, 3.0, p)


def planted(rng: np.random.Generator, n: int, p: int) -> tuple[np.ndarray, np.ndarray]:
    """Correlated columns, of which the first five make the target, with noise."""
    X = correlated(rng, n, p)
    return X, X[:, :5] @ rng.uniform(-2.0, 2.0, 5) + 2.0 * rng.standard_normal(n)


def run(
    solver: type[Solver],
    X: object,
    y: np.ndarray,
    alpha: float = 0.0,
    *,
    start: np.ndarray | None = None,
    **options: object,
) -> tuple[np.ndarray, Solution]:
    """Support and solution; ``options`` are those of the penalty, or weights and fit_intercept."""
    data = {key: options.pop(key) for key in ("weights", "fit_intercept") if key in options}
    fitted = solver(tol=1e-10, max_iter=100)
    solution = fitted.solve(with_penalty(make_problem(X, y, alpha, **data), L0(**options)), start)
    assert solution.status is Status.CONVERGED
    return np.flatnonzero(solution.coef), solution
