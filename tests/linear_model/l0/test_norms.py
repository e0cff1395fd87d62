"""Subsets with norms and signs, judged from the objective in the docstrings by plain numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from subset_reference import with_penalty

from sksparse.linear_model import L0Classifier, L0Regressor
from sksparse.losses import Squared
from sksparse.penalties import L0
from sksparse.solvers import Design, Problem, SubsetNewton

NORMS = [
    {"l1": 0.05, "l2": 0.5},
    {"l1": 0.02, "l2": 5.0},
    {"positive": True, "l2": 0.5},
    {"positive": True, "l1": 0.05, "l2": 0.1},
]


def problem(rng: np.random.Generator, n: int = 40, p: int = 8) -> tuple[np.ndarray, np.ndarray]:
    X = rng.standard_normal((n, p)) + rng.standard_normal((n, 1))
    return X * rng.uniform(0.5, 2.0, p), X @ rng.standard_normal(p) + rng.standard_normal(n)


def refitted(
    X: np.ndarray, y: np.ndarray, support: list[int], l1: float, l2: float, positive: bool
) -> float:
    """Loss and norms of the best fit on a support, by cyclic coordinate descent."""
    n = len(y)
    X, y = (X - X.mean(axis=0))[:, support], y - y.mean()
    w, residual = np.zeros(len(support)), y.copy()
    curvature = (X**2).mean(axis=0) + l2
    for _ in range(5000):
        moved = 0.0
        for j in range(len(support)):
            slope = X[:, j] @ residual / n - l2 * w[j] + curvature[j] * w[j]
            new = np.sign(slope) * max(abs(slope) - l1, 0.0) / curvature[j]
            new = max(new, 0.0) if positive else new
            residual -= X[:, j] * (new - w[j])
            moved, w[j] = max(moved, abs(new - w[j])), new
        if moved < 1e-13:
            break
    return float(0.5 * residual @ residual / n + l1 * np.abs(w).sum() + 0.5 * l2 * w @ w)


def objective(model: Any, X: np.ndarray, y: np.ndarray) -> float:
    w, residual = model.coef_, y - X @ model.coef_ - model.intercept_
    norms = model.l1 * np.abs(w).sum() + 0.5 * model.l2 * w @ w
    return float(0.5 * np.mean(residual**2) + model.alpha * np.count_nonzero(w) + norms)


@pytest.mark.parametrize("norms", NORMS)
@pytest.mark.parametrize("alpha", [1e-3, 0.02])
def test_no_add_or_drop_improves_and_no_other_solver_is_better(
    seed: int, norms: dict[str, Any], alpha: float
) -> None:
    terms = {"l1": 0.0, "positive": False} | norms
    for draw in range(8):
        X, y = problem(np.random.default_rng([seed, draw]))
        model = L0Regressor(alpha=alpha, **norms).fit(X, y)
        value, support = objective(model, X, y), model.get_support(indices=True).tolist()
        slack = 1e-7 * value
        assert value == pytest.approx(
            refitted(X, y, support, **terms) + alpha * len(support), rel=1e-9
        )
        for j in range(X.shape[1]):
            other = sorted({*support} ^ {j})
            assert value <= refitted(X, y, other, **terms) + alpha * len(other) + slack
        for solver in ("cd", "iht"):
            reference = L0Regressor(alpha=alpha, solver=solver, **norms).fit(X, y)
            assert value <= objective(reference, X, y) + slack


@pytest.mark.parametrize("l2", [0.1, 2.0])
def test_no_add_or_drop_improves_a_classifier(seed: int, l2: float) -> None:
    def value(model: L0Classifier, X: np.ndarray, y: np.ndarray) -> float:
        z, w = model.decision_function(X), model.coef_.ravel()
        losses = np.logaddexp(0.0, z) - y * z
        return float(losses.mean() + 0.5 * l2 * w @ w)

    for draw in range(4):
        X, z = problem(np.random.default_rng([seed, draw]), 80)
        y, alpha = (z > 0).astype(int), 2e-3
        model = L0Classifier(alpha=alpha, l2=l2).fit(X, y)
        support = model.get_support(indices=True).tolist()
        least = value(model, X, y) + alpha * len(support)
        for j in range(X.shape[1]):
            other = sorted({*support} ^ {j})
            rest = L0Classifier(alpha=0.0, l2=l2).fit(X[:, other], y)
            assert least <= value(rest, X[:, other], y) + alpha * len(other) + 1e-7


def test_the_certificate_does_not_trust_a_wrong_model(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    X, y = problem(rng)
    loss = Squared(y, np.full(len(y), 1.0 / len(y)))
    task = Problem(Design(X), loss, L0(), 1e-3, True)

    def solve() -> Any:
        solver = SubsetNewton(tol=1e-8, max_iter=50)
        return solver.solve(with_penalty(task, L0(l1=0.01)))

    assert solve().message == ""
    monkeypatch.setattr("sksparse.solvers.subset_newton._local_search.best_move", lambda *_: None)
    monkeypatch.setattr("sksparse.solvers.subset_newton._local_search.single_moves", lambda *_: [])
    stuck = solve()
    assert not stuck.coef.any()
    assert stuck.certificate.value > 1e-3
    assert "above tol" in stuck.message
