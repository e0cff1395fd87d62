"""The squared loss of targets with several columns against that of each column."""

from __future__ import annotations

import numpy as np
import pytest

from sksparse.losses import Squared
from sksparse.penalties import L1
from sksparse.solvers import Design, Problem


@pytest.fixture
def loss(rng: np.random.Generator) -> Squared:
    weights = rng.random(12)
    weights[3] = 0.0
    return Squared(rng.standard_normal((12, 3)), weights / weights.sum())


def test_everything_is_that_of_the_columns(rng: np.random.Generator, loss: Squared) -> None:
    z = rng.standard_normal((12, 3))
    u = loss.gradient(rng.standard_normal((12, 3)))
    columns = [Squared(column, loss.weights) for column in loss.y.T]
    pairs = list(zip(columns, z.T, u.T, strict=True))
    assert loss.n_outputs == 3
    assert loss.value(z) == pytest.approx(sum(c.value(part) for c, part, _ in pairs))
    assert loss.conjugate(u) == pytest.approx(sum(c.conjugate(dual) for c, _, dual in pairs))
    assert loss.fenchel_gap(z, u) == pytest.approx(sum(c.fenchel_gap(a, b) for c, a, b in pairs))
    gradients = [c.gradient(part) for c, part, _ in pairs]
    np.testing.assert_array_equal(loss.gradient(z), np.column_stack(gradients))
    np.testing.assert_allclose(loss.best_constant(), [c.best_constant() for c in columns])
    shifts = [c.best_shift(part) for c, part, _ in pairs]
    np.testing.assert_allclose(loss.best_shift(z), shifts, atol=1e-15)
    np.testing.assert_array_equal(loss.curvature(z), loss.weights)
    np.testing.assert_array_equal(loss.metric(z), loss.weights[:, None, None] * np.eye(3))


def test_fenchel_young_is_an_equality_at_the_gradient(
    rng: np.random.Generator, loss: Squared
) -> None:
    z = rng.standard_normal((12, 3))
    u = loss.gradient(z)
    assert loss.value(z) + loss.conjugate(u) == pytest.approx(float(np.sum(u * z)))
    assert loss.fenchel_gap(z, u) == pytest.approx(0.0, abs=1e-30)
    u[3, 1] = 0.1
    assert loss.conjugate(u) == loss.fenchel_gap(z, u) == np.inf


def test_copies_keep_the_outputs(loss: Squared) -> None:
    assert loss.is_half_squared_error()
    part = loss.of_samples(np.array([1, 4]))
    assert part.y.shape == (2, 3)
    equal = loss.with_weights(np.full(12, 1 / 12))
    np.testing.assert_allclose(equal.best_constant(), loss.y.mean(axis=0))


def test_a_single_column_is_refused() -> None:
    with pytest.raises(ValueError, match=r"at least two outputs; got shape \(3, 1\)"):
        Squared(np.zeros((3, 1)), np.full(3, 1 / 3))


def test_a_problem_takes_them_and_counts_samples(rng: np.random.Generator) -> None:
    X, y = rng.integers(0, 2, (40, 2)).astype(float), rng.integers(0, 2, (40, 2)).astype(float)
    problem = Problem(Design(X), Squared(y, np.full(40, 1 / 40)), L1(np.ones(2)), 0.1, True)
    different = len(np.unique(np.column_stack((X, y)), axis=0))
    assert problem.distinct(40) == different
    assert problem.distinct(3) == 3
    np.testing.assert_allclose(problem.null_intercept, y.mean(axis=0))
