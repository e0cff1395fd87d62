"""Bounds of stability selection: closed forms, brute force over distributions, inverses."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pytest
from scipy.optimize import linprog, minimize

from sksparse.feature_selection.stability._bounds import (
    ASSUMPTIONS,
    error_bound,
    fewest_votes,
    most_features,
    r_concave_tails,
    unimodal_tail,
    votes_needed,
)

EXPONENTS = [-0.5, -0.25]


def largest_unimodal_tail(mean: float, least: int, n: int) -> float:
    """A linear programme for each mode: probabilities rise up to it and fall beyond."""
    best = 0.0
    steps = np.arange(n + 1)
    for mode in range(n + 1):
        slopes = np.diff(np.eye(n + 1), axis=0)
        slopes[:mode] *= -1.0
        done = linprog(
            -(steps >= least).astype(float),
            A_ub=np.vstack([slopes, steps / n]),
            b_ub=np.append(np.zeros(n), mean),
            A_eq=np.ones((1, n + 1)),
            b_eq=[1.0],
        )
        best = max(best, -done.fun if done.status == 0 else 0.0)
    return best


@pytest.mark.parametrize("n", [4, 7, 10])
@pytest.mark.parametrize("mean", [0.01, 0.1, 0.3])
def test_the_unimodal_bound_is_sharp(n: int, mean: float) -> None:
    n_checked = 0
    for least in range(1, n + 1):
        bound = unimodal_tail(mean, least, n)
        if bound < 1.0:
            n_checked += 1
            assert largest_unimodal_tail(mean, least, n) == pytest.approx(bound, rel=1e-6)
    assert n_checked >= 2


def largest_r_concave_tail(mean: float, least: int, n: int, r: float, rng: Any) -> float:
    """A general optimiser over r-concave probabilities on every support."""
    best = 0.0
    for first, last in combinations(range(n + 1), 2):
        if first / n > mean or last < least:
            continue
        steps = np.arange(first, last + 1)

        def normal(x: Any) -> Any:
            weights = np.exp(x - x.max())
            return weights / weights.sum()

        limits: list[dict[str, Any]] = [
            {"type": "ineq", "fun": lambda x, s=steps: mean - normal(x) @ s / n}
        ]
        if len(steps) > 2:
            limits.append({"type": "ineq", "fun": lambda x: np.diff(np.exp(r * x), 2)})
        for scale in (0.3, 1.0, 3.0):
            start = -np.sort(scale * rng.exponential(size=len(steps)))
            done = minimize(
                lambda x, s=steps: -normal(x)[s >= least].sum(),
                start,
                constraints=limits,
                method="SLSQP",
                options={"maxiter": 200, "ftol": 1e-12},
            )
            if all(np.min(limit["fun"](done.x)) > -1e-9 for limit in limits):
                best = max(best, -done.fun)
    return best


@pytest.mark.slow
@pytest.mark.parametrize("r", EXPONENTS)
@pytest.mark.parametrize("mean", [0.05, 0.2, 0.45])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_no_r_concave_tail_is_larger(r: float, mean: float, rng: np.random.Generator) -> None:
    n = 5
    tails = r_concave_tails(mean, n, r)
    for least in range(int(mean * n) + 1, n + 1):
        found = largest_r_concave_tail(mean, least, n, r, rng)
        assert found == pytest.approx(tails[least], rel=1e-3, abs=1e-9)
        assert found < tails[least] + 1e-7


@pytest.mark.parametrize("r", EXPONENTS)
def test_no_drawn_r_concave_tail_is_larger(r: float, rng: np.random.Generator) -> None:
    n = 12
    tails: dict[float, Any] = {}
    for _ in range(300):
        # convex powers, of supports that end anywhere
        curve = np.cumsum(np.cumsum(rng.exponential(size=n + 1) ** 3)) - rng.exponential() * n
        powers = curve - curve.min() + rng.exponential() + 1e-3
        shape = np.where(np.arange(n + 1) <= rng.integers(2, n + 1), powers ** (1 / r), 0.0)
        shape /= shape.sum()
        mean = round(float(shape @ np.arange(n + 1) / n) + 5e-4, 3)
        tails[mean] = tails.get(mean, r_concave_tails(mean, n, r))
        assert (np.cumsum(shape[::-1])[::-1] <= tails[mean] + 1e-9).all()


@pytest.mark.parametrize("r", EXPONENTS)
@pytest.mark.parametrize("mean", [1e-4, 0.05, 0.3, 0.7])
def test_assumptions_order_the_tails(r: float, mean: float) -> None:
    n = 20
    tails = r_concave_tails(mean, n, r)
    steps = np.arange(1, n + 1)
    assert tails[0] == 1.0
    assert (np.diff(tails) <= 1e-12).all()
    assert (tails[1:] <= np.minimum(1.0, mean * n / steps) + 1e-12).all()
    unimodal = np.array([unimodal_tail(mean, k, n) for k in steps])
    assert (tails[1:] <= unimodal + 1e-9).all()
    # a weaker exponent allows more
    assert (r_concave_tails(mean, n, -0.25) <= r_concave_tails(mean, n, -0.5) + 1e-9).all()


def test_without_assumptions_it_is_the_formula_of_the_paper() -> None:
    for q, p, threshold, n_pairs in [(5.0, 100, 0.75, 50), (31.2, 1000, 0.6, 100), (2, 50, 1, 2)]:
        votes = votes_needed(threshold, n_pairs)
        share = votes / (2 * n_pairs)
        expected = q**2 / ((2 * share - 1) * p)
        assert error_bound(q, p, votes, n_pairs, "none") == pytest.approx(expected)


@pytest.mark.parametrize(
    "threshold, factor",
    [(0.7, lambda t, b: 1 / (2 * (2 * t - 1 - 1 / (2 * b)))),
     (0.9, lambda t, b: 4 * (1 - t + 1 / (2 * b)) / (1 + 1 / b))],
)  # fmt: skip
def test_the_unimodal_bound_is_the_formula_of_the_paper(threshold: float, factor: Any) -> None:
    q, p, n_pairs = 8, 200, 50
    found = error_bound(q, p, votes_needed(threshold, n_pairs), n_pairs, "unimodal")
    assert found == pytest.approx(factor(threshold, n_pairs) * q**2 / p)


def test_votes_are_the_fewest_that_reach_the_threshold() -> None:
    for n_pairs in (2, 3, 50):
        for threshold in (0.500001, 0.55, 0.6, 0.7, 0.75, 2 / 3, 0.9, 1.0):
            votes = votes_needed(threshold, n_pairs)
            assert votes / (2 * n_pairs) >= threshold - 1e-9
            assert votes == n_pairs + 1 or (votes - 1) / (2 * n_pairs) < threshold
            assert n_pairs < votes <= 2 * n_pairs


@pytest.mark.parametrize("assumption", ASSUMPTIONS)
@pytest.mark.parametrize("error", [0.2, 1.0, 5.0])
def test_what_follows_is_the_best_that_keeps_the_error(assumption: str, error: float) -> None:
    p, n_pairs = 60, 25
    for votes in (28, 38, 50):
        q = most_features(error, p, votes, n_pairs, assumption)
        assert q == 0 or error_bound(q, p, votes, n_pairs, assumption) <= error
        assert q == p or error_bound(q + 1, p, votes, n_pairs, assumption) > error
    for q in (1, 4, 12):
        votes = fewest_votes(q, error, p, n_pairs, assumption)
        assert votes == 51 or error_bound(q, p, votes, n_pairs, assumption) <= error
        assert votes == 26 or error_bound(q, p, votes - 1, n_pairs, assumption) > error


@pytest.mark.parametrize("assumption", ASSUMPTIONS)
def test_bounds_rise_with_the_selections_and_fall_with_the_threshold(assumption: str) -> None:
    p, n_pairs = 40, 10
    bounds = np.array([
        [error_bound(q, p, votes, n_pairs, assumption) for votes in range(11, 21)]
        for q in np.linspace(0.0, p, 30)
    ])  # fmt: skip
    assert (np.diff(bounds, axis=0) >= -1e-9).all()
    assert (np.diff(bounds, axis=1) <= 1e-9).all()
    assert (bounds[0] == 0.0).all()
    assert bounds.max() == p
