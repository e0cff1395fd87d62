"""Exact best subset from all subsets, and constants of the search set to what a test needs."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
import scipy.sparse as sp

from sksparse.penalties import L0
from sksparse.solvers import Problem
from sksparse.solvers.branch_and_bound import (
    _best_first,
    _diagonal,
    _enumeration,
    _leaps_and_bounds,
    _perspective,
    _solver,
)

# Shares of the gap from which relaxations are preferred: never, and always.
LEAPS, RELAXED = 0.0, np.inf


def tune(monkeypatch: pytest.MonkeyPatch, **changes: float) -> None:
    """Change constants of branch and bound."""
    tuning = replace(_solver.TUNING, **changes)
    for module in (_best_first, _diagonal, _enumeration, _leaps_and_bounds, _perspective, _solver):
        monkeypatch.setattr(module, "TUNING", tuning)


def exhaustive(problem: Problem, penalty: L0) -> float:
    """Least objective of all subsets, from the normal equations of each."""
    X = problem.design.columns(np.arange(problem.design.n_features))
    X = X.toarray() if sp.issparse(X) else X
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
