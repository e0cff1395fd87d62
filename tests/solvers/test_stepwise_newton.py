"""Stepwise selection for any loss: against score and Wald tests written out, and least squares."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.special import expit
from subset_reference import with_penalty

from sksparse.losses import Logistic, Multinomial, Squared
from sksparse.penalties import L0
from sksparse.solvers import (
    BackwardElimination,
    Design,
    ForwardSelection,
    Problem,
    Solution,
    Status,
    StepwiseNewton,
)


def draw(rng: np.random.Generator, n: int, p: int) -> tuple[np.ndarray, np.ndarray]:
    """Correlated columns on different scales, and two classes with noise."""
    X = rng.standard_normal((n, p)) + 0.8 * rng.standard_normal((n, 1))
    z = X[:, ::3] @ rng.uniform(0.5, 1.0, len(range(0, p, 3))) + rng.logistic(size=n)
    return X * rng.uniform(0.5, 2.0, p) + 1.0, (z > 0).astype(float)


def make_problem(X: object, y: np.ndarray, loss: type = Logistic, alpha: float = 0.0) -> Problem:
    return Problem(Design(X), loss(y, np.full(len(y), 1.0 / len(y))), L0(), alpha, True)


def solve(problem: Problem, *, backward: bool, **penalty: object) -> Solution:
    solver = StepwiseNewton(backward=backward, tol=1e-9, max_iter=100)
    solution = solver.solve(with_penalty(problem, L0(**penalty)))
    assert solution.status is Status.CONVERGED
    return solution


def support(solution: Solution) -> list[int]:
    return np.flatnonzero(np.atleast_2d(solution.coef).any(axis=0)).tolist()


def logistic_fit(X: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients with the intercept last, and probabilities, by Newton's method."""
    A = np.column_stack((X, np.ones(len(y))))
    theta = np.zeros(A.shape[1])
    for _ in range(50):
        prob = expit(A @ theta)
        theta += np.linalg.solve(A.T @ ((prob * (1 - prob))[:, None] * A), A.T @ (y - prob))
    return theta, expit(A @ theta)


def score(X: np.ndarray, y: np.ndarray, inside: list[int], j: int) -> float:
    """Score test statistic of one more column."""
    _, prob = logistic_fit(X[:, inside], y)
    A = np.column_stack((X[:, [*inside, j]], np.ones(len(y))))
    gradient, information = A.T @ (y - prob), A.T @ ((prob * (1 - prob))[:, None] * A)
    return float(gradient @ np.linalg.solve(information, gradient))


def wald(X: np.ndarray, y: np.ndarray, inside: list[int]) -> np.ndarray:
    """Wald test statistic of each column."""
    theta, prob = logistic_fit(X[:, inside], y)
    A = np.column_stack((X[:, inside], np.ones(len(y))))
    covariance = np.linalg.inv(A.T @ ((prob * (1 - prob))[:, None] * A))
    return (theta**2 / np.diag(covariance))[:-1]


def test_forward_follows_score_tests(rng: np.random.Generator) -> None:
    X, y = draw(rng, 150, 9)
    inside: list[int] = []
    for size in range(1, 7):
        others = [j for j in range(9) if j not in inside]
        inside.append(max(others, key=lambda j: score(X, y, inside, j)))
        solution = solve(make_problem(X, y), backward=False, max_features=size)
        assert support(solution) == sorted(inside)
        theta, _ = logistic_fit(X[:, sorted(inside)], y)
        np.testing.assert_allclose(solution.coef[sorted(inside)], theta[:-1], rtol=1e-6)
        assert solution.intercept == pytest.approx(theta[-1], rel=1e-6)


def test_backward_follows_wald_tests(rng: np.random.Generator) -> None:
    X, y = draw(rng, 150, 9)
    inside = list(range(9))
    for size in range(8, 0, -1):
        del inside[int(np.argmin(wald(X, y, inside)))]
        assert support(solve(make_problem(X, y), backward=True, max_features=size)) == inside


@pytest.mark.parametrize("l2", [0.0, 0.1])
def test_least_squares_is_the_special_case(rng: np.random.Generator, l2: float) -> None:
    X, _ = draw(rng, 60, 10)
    y = X[:, :4] @ rng.uniform(-2.0, 2.0, 4) + 2.0 * rng.standard_normal(60)
    for backward, textbook in ((False, ForwardSelection), (True, BackwardElimination)):
        for size, alpha in ((1, 0.0), (4, 0.0), (7, 0.0), (None, 0.02 * y.var())):
            problem = make_problem(X, y, Squared, alpha)
            penalty = {"max_features": size, "l2": l2}
            expected = textbook(tol=1e-9, max_iter=100).solve(with_penalty(problem, L0(**penalty)))
            found = solve(problem, backward=backward, **penalty)
            assert support(found) == support(expected)
            np.testing.assert_allclose(found.coef, expected.coef, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("backward", [False, True])
def test_the_penalty_is_added_for_every_feature(rng: np.random.Generator, backward: bool) -> None:
    X, y = draw(rng, 200, 9)
    problem = make_problem(X, y, Logistic, 0.01)
    found = support(solve(problem, backward=backward))
    values = {
        size: problem.loss.value(X @ path.coef + path.intercept) + 0.01 * size
        for size in range(1, 9)
        for path in [solve(problem, backward=backward, max_features=size)]
    }
    # The first size, in the direction of the rule, that the next step does not improve.
    sizes = list(values) if not backward else list(values)[::-1]
    ends = (a for a, b in pairwise(sizes) if values[b] >= values[a])
    assert len(found) == next(ends)


@pytest.mark.parametrize("backward", [False, True])
def test_several_classes_and_what_is_kept(rng: np.random.Generator, backward: bool) -> None:
    X = rng.standard_normal((300, 8))
    z = 2.0 * X[:, :2] @ rng.standard_normal((2, 3)) + rng.gumbel(size=(300, 3))
    y = np.argmax(z, axis=1).astype(float)
    factors = np.ones(8)
    factors[7] = 0.0
    solution = solve(
        make_problem(X, y, Multinomial), backward=backward, max_features=2, penalty_weights=factors
    )
    assert support(solution) == [0, 1, 7]
    assert solution.coef.shape == (3, 8)


@pytest.mark.parametrize("backward", [False, True])
def test_sparse_columns_and_collinear_ones(rng: np.random.Generator, backward: bool) -> None:
    X, y = draw(rng, 150, 6)
    X[rng.random(X.shape) < 0.4] = 0.0
    dense = solve(make_problem(X, y), backward=backward, max_features=3)
    sparse = solve(make_problem(sp.csc_array(X), y), backward=backward, max_features=3)
    np.testing.assert_allclose(sparse.coef, dense.coef, rtol=1e-7, atol=1e-12)
    wide = np.column_stack((X, X[:, 0], np.full(150, 3.0)))
    repeated = solve(make_problem(wide, y), backward=backward, max_features=3)
    np.testing.assert_allclose(repeated.coef[:6], dense.coef, rtol=1e-7, atol=1e-12)


def test_backward_needs_a_first_fit(rng: np.random.Generator) -> None:
    X, y = draw(rng, 20, 30)
    with pytest.raises(ValueError, match=r"n_samples=20.*n_features=30"):
        solve(make_problem(X, y), backward=True, max_features=2)
    few = rng.standard_normal((40, 3))
    with pytest.raises(ValueError, match="separate the classes"):
        solve(make_problem(few, (few[:, 0] > 0).astype(float)), backward=True, max_features=1)
    assert len(support(solve(make_problem(X, y), backward=True, max_features=2, l2=0.1))) == 2
