"""The Huber loss at its threshold, and fits by it."""

from __future__ import annotations

import numpy as np
import pytest

from sksparse.losses import Huber, Squared
from sksparse.penalties import L1
from sksparse.solvers import BlockDescent, Design, Problem, Status


def test_value_is_quadratic_up_to_epsilon_and_linear_beyond() -> None:
    y, weights = np.zeros(4), np.full(4, 0.25)
    r = np.array([0.5, -2.0, 3.0, -10.0])
    loss = Huber(y, weights, epsilon=2.0)
    assert loss.value(r) == pytest.approx(np.mean([0.125, 2.0, 4.0, 18.0]))
    np.testing.assert_allclose(loss.gradient(r), 0.25 * np.array([0.5, -2.0, 2.0, -2.0]))


def test_a_large_epsilon_is_the_squared_loss(rng: np.random.Generator) -> None:
    y, z, weights = rng.standard_normal(9), rng.standard_normal(9), np.full(9, 1 / 9)
    huber, squared = Huber(y, weights, epsilon=100.0), Squared(y, weights)
    u = squared.gradient(rng.standard_normal(9))
    assert huber.value(z) == pytest.approx(squared.value(z))
    assert huber.conjugate(u) == pytest.approx(squared.conjugate(u))
    assert huber.fenchel_gap(z, u) == pytest.approx(squared.fenchel_gap(z, u))
    np.testing.assert_allclose(huber.curvature(z), squared.curvature(z))


def test_gaps_across_the_threshold_are_sums_of_parts(rng: np.random.Generator) -> None:
    y, weights = rng.standard_normal(30), rng.random(30)
    loss = Huber(y, weights / weights.sum(), epsilon=0.5)
    for _ in range(10):
        z, u = y + rng.standard_normal(30), loss.gradient(y + rng.standard_normal(30))
        gap = loss.value(z) + loss.conjugate(u) - z @ u
        assert loss.fenchel_gap(z, u) == pytest.approx(gap, abs=1e-14)
    assert loss.conjugate(1.1 * loss.gradient(y + 100.0)) == np.inf


def test_there_is_curvature_where_all_residuals_are_large(rng: np.random.Generator) -> None:
    loss = Huber(rng.standard_normal(9), np.full(9, 1 / 9), epsilon=1e-3)
    assert np.all(loss.curvature(np.full(9, 50.0)) > 0.0)
    assert loss.constant_curvature(np.full(9, 50.0)) == 0.0


@pytest.mark.parametrize("epsilon", [0.0, -1.0, np.nan, np.inf])
def test_a_bad_epsilon_is_refused(epsilon: float) -> None:
    with pytest.raises(ValueError, match=r"epsilon=.*must be positive and finite"):
        Huber(np.zeros(2), np.full(2, 0.5), epsilon)


@pytest.mark.parametrize("epsilon", [1.0, 0.1, 0.01])
def test_fits_are_proved_by_their_gap(rng: np.random.Generator, epsilon: float) -> None:
    X = rng.standard_normal((100, 15))
    y = X[:, 2] - X[:, 5] + rng.standard_t(1.5, 100)
    loss = Huber(y, np.full(100, 0.01), epsilon)
    penalty = L1(np.ones(15))
    null = Problem(Design(X), loss, penalty, 0.0, True)
    alpha = 0.1 * penalty.dual_norm(null.null_gradient)
    problem = Problem(Design(X), loss, penalty, alpha, True)
    solution = BlockDescent(tol=1e-7, max_iter=200).solve(problem)
    assert solution.status is Status.CONVERGED
    assert solution.coef[[2, 5]].all()
    objective = problem.objective(solution.coef, X @ solution.coef + solution.intercept)
    assert -1e-12 <= solution.gap <= 1e-5 * objective
