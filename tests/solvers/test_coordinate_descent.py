"""Coordinate descent for L0: coordinate-wise minima, and the path that leads to them."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import subset_reference as reference
from subset_reference import correlated, planted, refit, subsets

from sksparse.penalties import L0
from sksparse.solvers import CoordinateDescentL0
from sksparse.solvers.subset import _coordinate_descent as module

N, P = 50, 12
run = partial(reference.run, CoordinateDescentL0)
make_data = partial(planted, n=N, p=P)


def coordinate_gain(
    X: np.ndarray, y: np.ndarray, alpha: float, penalty: L0, coef: np.ndarray
) -> float:
    """The most that the objective falls when one coefficient moves, found from the formula."""
    centred, target = X - X.mean(axis=0), y - y.mean()
    factors = alpha * penalty.factors(X.shape[1])

    def objective(w: np.ndarray) -> float:
        residual = target - centred @ w
        added = penalty.l1 * np.abs(w).sum() + 0.5 * penalty.l2 * w @ w + factors @ (w != 0)
        return 0.5 * residual @ residual / len(y) + added

    best = here = objective(coef)
    for j in range(X.shape[1]):
        w = coef.copy()
        w[j] = 0.0
        slope = centred[:, j] @ (target - centred @ w) / len(y)
        size = max(abs(slope) - penalty.l1, 0.0) / (centred[:, j].var() + penalty.l2)
        barred = penalty.positive is not None and penalty.positive[j] and slope < 0.0
        best = min(best, objective(w))
        w[j] = 0.0 if barred else np.sign(slope) * size
        best = min(best, objective(w))
    return here - best


@pytest.mark.parametrize("l1, l2", [(0.0, 0.0), (0.0, 0.2), (0.1, 0.0), (0.1, 0.2)])
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("new", [50, 2])
def test_no_coordinate_can_improve_the_answer(
    rng: np.random.Generator,
    monkeypatch: pytest.MonkeyPatch,
    l1: float,
    l2: float,
    signed: bool,
    new: int,
) -> None:
    # With 2 new columns at a time the working set does not hold all that matter at once.
    monkeypatch.setattr(module, "TUNING", replace(module.TUNING, most_new=new))
    X = correlated(rng, 60, 80, common=1.5)
    y = X[:, ::10] @ rng.choice([-1.0, 1.0], 8) + rng.standard_normal(60)
    factors = rng.uniform(0.5, 2.0, 80)
    factors[7] = 0.0
    positive = rng.random(80) < 0.5 if signed else None
    penalty = L0(l1=l1, l2=l2, penalty_weights=factors, positive=positive)
    for share in (0.001, 0.02, 0.2):
        alpha = share * y.var()
        support, solution = run(X, y, alpha, **vars(penalty))
        assert len(support) > 0 or share == 0.2
        assert 7 in support or signed or l1
        assert coordinate_gain(X, y, alpha, penalty, solution.coef) < 1e-9 * y.var()
        if positive is not None:
            assert solution.coef[positive].min() >= 0.0


def test_the_answer_is_a_refit(rng: np.random.Generator) -> None:
    X, y = make_data(rng)
    weights = rng.random(N)
    for alpha, limit in ((0.0, 5), (0.05, None)):
        options = {"max_features": limit, "l2": 0.1, "weights": weights}
        support, solution = run(X, y, alpha, **options)
        expected, _ = refit(X, y, support, 0.1, weights)
        np.testing.assert_allclose(solution.coef[support], expected, rtol=1e-9)


def test_most_answers_are_the_best_of_all_subsets(rng: np.random.Generator) -> None:
    # A coordinate-wise minimum need not be the best subset, but along a path on problems with
    # little correlation and noise it nearly always is.
    hits = 0
    for _ in range(20):
        X = rng.standard_normal((60, 8)) + 0.4 * rng.standard_normal((60, 1))
        y = X[:, ::3].sum(axis=1) + rng.standard_normal(60)
        alpha = 0.02 * y.var()
        support, _ = run(X, y, alpha)
        best = min(refit(X, y, s)[1] + alpha * len(s) for s in subsets(8, range(9)))
        hits += refit(X, y, support)[1] + alpha * len(support) <= best + 1e-12
    assert hits >= 14


def test_strengths_fall_and_each_is_a_coordinate_wise_minimum(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    X = correlated(rng, 100, 60)
    y = X[:, ::8].sum(axis=1) + rng.standard_normal(100)
    alpha = 0.001 * y.var()
    visited = []
    lower = module.CoordinateIterate.lower_strength

    def record(state: module.CoordinateIterate, threshold: float) -> None:
        visited.append((state.strength, state.coef))
        lower(state, threshold)

    monkeypatch.setattr(module.CoordinateIterate, "lower_strength", record)
    run(X, y, alpha)
    strengths = np.array([strength for strength, _ in visited])
    assert len(strengths) > 5
    # Nothing enters at the first strength; the end of the path may be nearer than a usual step.
    centred = (X - X.mean(axis=0)) / X.std(axis=0)
    entry = np.max((centred.T @ (y - y.mean()) / 100) ** 2) / y.var()
    assert strengths[0] * 0.97 == pytest.approx(entry)
    assert np.all(strengths[1:] <= 0.97 * strengths[:-1] * (1 + 1e-12))
    for strength, coef in visited:
        gain = coordinate_gain(X, y, 0.5 * strength * y.var(), L0(), coef)
        assert gain < 1e-9 * y.var()


@pytest.mark.parametrize("l1", [0.0, 0.05])
def test_a_path_that_skips_a_number_drops_the_least_salient(
    rng: np.random.Generator, l1: float
) -> None:
    # Two features of one value enter together, so that 1 and 3 features are not on the path.
    X = np.linalg.qr(rng.standard_normal((40, 6)) - 1.0)[0] * np.sqrt(40)
    y = X @ np.array([2.0, 2.0, 1.0, 1.0 - 1e-4, 0.1, 0.1])
    for k, expected in ((1, 1), (2, 2), (3, 3), (4, 4)):
        support, solution = run(X, y, max_features=k, l1=l1, fit_intercept=False)
        assert len(support) == expected
        products = np.sign(y @ X) * np.maximum(np.abs(X.T @ y) / 40 - l1, 0.0)
        np.testing.assert_allclose(solution.coef[support], products[support], rtol=1e-9)
    assert 2 in run(X, y, max_features=3, l1=l1, fit_intercept=False)[0]


def test_penalty_weights(rng: np.random.Generator) -> None:
    X, y = make_data(rng)
    factors = np.ones(P)
    factors[[7, 9]] = 0.0
    for k in (0, 1, 4):
        support, _ = run(X, y, max_features=k, penalty_weights=factors)
        assert {7, 9} <= set(support.tolist())
        assert len(support) == k + 2
    factors[:5] = 100.0
    support, _ = run(X, y, 0.1 * y.var(), penalty_weights=factors)
    assert {7, 9} <= set(support.tolist())
    assert set(support.tolist()).isdisjoint(range(5))


def test_nothing_enters_above_the_first_strength(rng: np.random.Generator) -> None:
    X, y = make_data(rng)
    support, solution = run(X, y, y.var())
    assert not len(support)
    assert solution.intercept == pytest.approx(y.mean())
    assert not len(run(X, np.full(N, 3.0), 0.01)[0])


def test_alpha_zero_uses_all_features(rng: np.random.Generator) -> None:
    X, y = make_data(rng)
    X[:, 3], X[:, 8] = 5.0, X[:, 0]
    support, _ = run(X, y)
    assert refit(X, y, support)[1] == pytest.approx(refit(X, y, range(P))[1], rel=1e-6)
    wide = rng.standard_normal((8, 30))
    support, solution = run(wide, y[:8])
    assert np.abs(wide @ solution.coef + solution.intercept - y[:8]).max() < 1e-3 * y.std()
