"""Compiled best-subset moves against refits of every neighbour."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from sksparse._kernels.moments import LONG, moments_by_columns, moments_by_rows
from sksparse._kernels.penalised_subset import descend
from sksparse._kernels.subset_moves import (
    Bounds,
    Limits,
    Objective,
    Tableau,
    add_gains,
    local_search,
    swap_gains,
)

FLOOR = 1e-9


def correlations(rng: np.random.Generator, m: int, n: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """Correlations of m related columns with each other and with a target."""
    X = rng.standard_normal((n, m)) + 0.8 * rng.standard_normal((n, 1))
    y = X[:, ::3].sum(axis=1) + rng.standard_normal(n)
    X, y = X - X.mean(axis=0), y - y.mean()
    X, y = X / np.linalg.norm(X, axis=0), y / np.linalg.norm(y)
    return X.T @ X, X.T @ y


def loss(gram: np.ndarray, target: np.ndarray, support: list[int]) -> float:
    c = target[support]
    return 1.0 - float(c @ np.linalg.solve(gram[np.ix_(support, support)], c))


def tableau(gram: np.ndarray, target: np.ndarray, support: list[int], capacity: int) -> Tableau:
    """A tableau from its definition."""
    k, m = len(support), len(target)
    inverse = np.linalg.inv(gram[np.ix_(support, support)])
    projections, coef = inverse @ gram[support], inverse @ target[support]
    table = Tableau(
        np.full(capacity, -1),
        np.full((capacity, capacity), np.nan),
        np.full((capacity, m), np.nan),
        np.full(capacity, np.nan),
        np.diag(gram) - np.einsum("ij,ij->j", gram[support], projections),
        target - gram[support].T @ coef,
    )
    table.support[:k], table.inverse[:k, :k], table.projections[:k] = support, inverse, projections
    table.projections[:k, support] = np.eye(k)
    table.coef[:k] = coef
    table.schur[support] = table.descent[support] = 0.0
    return table


def search(
    gram: np.ndarray,
    target: np.ndarray,
    table: Tableau,
    k: int,
    penalty: float,
    max_features: int,
    swaps: bool,
    max_moves: int,
) -> tuple[int, int]:
    """Local search with one penalty for all features, all of which may leave."""
    penalties = np.full(len(target), penalty)
    objective = Objective(gram, target, penalties, penalties)
    limits = Limits(FLOOR, 1e-12, 1e-14, max_moves)
    return local_search(objective, table, k, max_features, swaps, limits)


def used(table: Tableau, k: int) -> tuple[np.ndarray, ...]:
    return (
        table.inverse[:k, :k],
        table.projections[:k],
        table.coef[:k],
        table.schur,
        table.descent,
    )


@pytest.mark.parametrize("alpha", [0.0, 0.002, 0.05])
@pytest.mark.parametrize("limit", [4, 12])
@pytest.mark.parametrize("swaps", [True, False])
def test_each_move_is_the_best_and_updates_exactly(
    rng: np.random.Generator, alpha: float, limit: int, swaps: bool
) -> None:
    kinds = set()
    for problem in range(24):
        gram, target = correlations(rng, 12)
        before = sorted(rng.choice(12, problem % limit + 1, replace=False).tolist())
        table = tableau(gram, target, before, capacity=limit)
        size, moves = search(gram, target, table, len(before), alpha, limit, swaps, 1)
        after = table.support[:size].tolist()
        outside = sorted(set(range(12)) - set(before))
        steps = [[i for i in before if i != gone] for gone in before]
        if len(before) < limit:
            steps += [[*before, j] for j in outside]
        start = loss(gram, target, before) + alpha * len(before)
        best = min(loss(gram, target, s) + alpha * len(s) for s in steps)
        if best >= start and swaps:
            exchanges = product(before, outside)
            steps = [[*(i for i in before if i != gone), j] for gone, j in exchanges]
            best = min((loss(gram, target, s) + alpha * len(s) for s in steps), default=np.inf)
        assert moves == (best < start)
        reached = loss(gram, target, after) + alpha * size
        assert reached == pytest.approx(min(best, start), abs=1e-12)
        fresh = tableau(gram, target, after, capacity=limit)
        for found, expected in zip(used(table, size), used(fresh, size), strict=True):
            np.testing.assert_allclose(found, expected, atol=1e-9)
        kinds.add(np.sign(size - len(before)) if moves else "none")
    assert len(kinds) > 1


def test_updates_do_not_drift_over_many_moves(rng: np.random.Generator) -> None:
    gram, target = correlations(rng, 60, n=200)
    start = rng.choice(60, 30, replace=False)
    table = tableau(gram, target, start.tolist(), capacity=60)
    size, moves = search(gram, target, table, 30, 0.001, 60, True, 1000)
    assert 10 < moves < 1000
    fresh = tableau(gram, target, table.support[:size].tolist(), capacity=60)
    for found, expected in zip(used(table, size), used(fresh, size), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-10)


def test_swap_gains_are_those_of_refits(rng: np.random.Generator) -> None:
    gram, target = correlations(rng, 10)
    support, outside = [1, 4, 7], [0, 2, 3, 5, 6, 8, 9]
    table = tableau(gram, target, support, capacity=3)
    gains, leaving = np.full(10, -np.inf), np.full(10, -1)
    _, projections, coef, schur, descent = used(table, 3)
    diagonal = np.diag(table.inverse).copy()
    inside, columns = (coef[None], diagonal, -(coef**2) / diagonal), (schur, descent[None], FLOOR)
    swap_gains(projections, *inside, *columns, None, gains, leaving)
    start = loss(gram, target, support)
    exact = [
        [start - loss(gram, target, [*(i for i in support if i != gone), j]) for gone in support]
        for j in outside
    ]
    np.testing.assert_allclose(gains[outside], np.max(exact, axis=1), atol=1e-12)
    np.testing.assert_array_equal(leaving[outside], np.argmax(exact, axis=1))
    unnoted = np.full(10, -np.inf)
    swap_gains(projections, *inside, *columns, None, unnoted, None)
    np.testing.assert_array_equal(unnoted, gains)


@pytest.mark.parametrize("n_outputs", [1, 3])
def test_bounds_that_do_not_bind_change_no_gain(rng: np.random.Generator, n_outputs: int) -> None:
    gram, target = correlations(rng, 10)
    table = tableau(gram, target, [1, 4, 7], capacity=3)
    _, projections, coef, schur, descent = used(table, 3)
    diagonal, none = np.diag(table.inverse).copy(), np.zeros(10)
    outside = np.setdiff1d(np.arange(10), [1, 4, 7])
    unbounded = Bounds(none, none.astype(bool), none)
    found = []
    for bounds, n in ((None, 1), (unbounded, n_outputs)):
        repeated = (np.repeat(coef[None], n, axis=0), np.repeat(descent[None], n, axis=0))
        gains, leaving = np.empty(10), np.full(10, -1)
        add_gains(schur, repeated[1], FLOOR, bounds, gains)
        inside = (repeated[0], diagonal, -n * coef**2 / diagonal)
        swap_gains(projections, *inside, schur, repeated[1], FLOOR, bounds, gains, leaving)
        found.append((gains[outside] / n, leaving[outside]))
    np.testing.assert_allclose(found[1][0], found[0][0], rtol=1e-12)
    np.testing.assert_array_equal(found[1][1], found[0][1])


@pytest.mark.parametrize("positive", [False, True])
def test_gains_with_an_l1_norm_are_those_of_the_model(
    rng: np.random.Generator, positive: bool
) -> None:
    gram, target = correlations(rng, 6)
    table = tableau(gram, target, [2], capacity=1)
    _, projections, coef, schur, descent = used(table, 1)
    bounds = Bounds(np.full(6, 0.05), np.full(6, positive), np.zeros(6))
    added, swapped = np.empty(6), np.full(6, -np.inf)
    diagonal, columns = np.diag(table.inverse).copy(), (schur, descent[None], FLOOR, bounds)
    add_gains(*columns, added)
    inside = (coef[None], diagonal, -(coef**2) / diagonal)
    swap_gains(projections, *inside, *columns, swapped, np.full(6, -1))
    grid = np.linspace(0.0 if positive else -2.0, 2.0, 200_001)
    for j in (0, 1, 3, 4, 5):
        # the feature in use follows the one that enters, or has left
        value = schur[j] * grid**2 - 2.0 * descent[j] * grid + 0.1 * np.abs(grid)
        assert added[j] == pytest.approx(-value.min(), abs=1e-8)
        alone = grid**2 - 2.0 * target[j] * grid + 0.1 * np.abs(grid)
        assert swapped[j] == pytest.approx(-alone.min() - target[2] ** 2, abs=1e-8)


def test_collinear_columns_are_not_eligible(rng: np.random.Generator) -> None:
    gram, target = correlations(rng, 6)
    # Column 6 is the sum of columns 0 and 1.
    mix = np.zeros((7, 6))
    mix[:6], mix[6, :2] = np.eye(6), 1.0
    mix[6] /= np.sqrt(mix[6] @ gram @ mix[6])
    gram, target = mix @ gram @ mix.T, mix @ target
    table = tableau(gram, target, [0], capacity=7)
    size, _ = search(gram, target, table, 1, 0.0, 7, True, 100)
    assert size == 6
    assert not {0, 1, 6} <= set(table.support[:size].tolist())


def test_too_large_a_support_drops_the_least_important_first(rng: np.random.Generator) -> None:
    gram, target = correlations(rng, 8)
    table = tableau(gram, target, list(range(8)), capacity=8)
    left = list(range(8))
    size, moves = search(gram, target, table, 8, 0.0, 5, False, 100)
    for _ in range(3):
        left = min(
            ([i for i in left if i != gone] for gone in left), key=lambda s: loss(gram, target, s)
        )
    assert moves == 3
    assert sorted(table.support[:size].tolist()) == left


@pytest.mark.parametrize("alpha", [0.0, 0.005, 0.05, 2.0])
def test_coordinate_descent_ends_coordinate_wise_minimal(
    rng: np.random.Generator, alpha: float
) -> None:
    gram, target = correlations(rng, 15)
    coef = np.zeros(15)
    descent = target.copy()
    none = np.zeros(15)
    options = (np.full(15, alpha), none, none.astype(bool), 1e-12, 10_000, 10_000)
    descend(gram, descent, coef, *options)
    np.testing.assert_allclose(descent, target - gram @ coef, atol=1e-10)
    value = descent + coef
    expected = np.where(np.abs(value) > np.sqrt(alpha), value, 0.0)
    np.testing.assert_allclose(coef, expected, atol=1e-10)
    assert coef.any() == (alpha < 1.0)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("centre", [True, False])
@pytest.mark.parametrize("mean", [0.0, 1e4])
@pytest.mark.parametrize("n_samples", [50, LONG])
def test_moments(
    rng: np.random.Generator, dtype: type, order: str, centre: bool, mean: float, n_samples: int
) -> None:
    X = np.asarray(rng.standard_normal((n_samples, 7)) + mean, dtype=dtype, order=order)
    weights = rng.random(n_samples)
    weights /= weights.sum()
    target = rng.standard_normal(n_samples)
    measure = moments_by_rows if order == "C" else moments_by_columns
    moments = np.empty((4, 7))
    measure(X, weights, target, centre, moments)
    means, variances, covariances, _ = moments
    exact = X.astype(np.float64)
    expected = weights @ exact if centre else np.zeros(7)
    np.testing.assert_allclose(means, expected, rtol=1e-13, atol=1e-13)
    centred = exact - expected
    np.testing.assert_allclose(variances, weights @ centred**2, rtol=1e-11)
    np.testing.assert_allclose(covariances, (weights * target) @ centred, rtol=1e-9, atol=1e-11)
