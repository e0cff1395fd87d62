"""Values, derivatives and conjugates of the data terms."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import approx_fprime, minimize_scalar

from sksparse.losses import LOSSES, Logistic, Loss, Squared


@pytest.fixture(params=sorted(LOSSES))
def loss(request: pytest.FixtureRequest, rng: np.random.Generator) -> Loss:
    y = rng.integers(0, 2, 12).astype(float)
    weights = rng.random(12)
    weights[3] = 0.0
    return LOSSES[request.param](y, weights / weights.sum())


def test_derivatives_match_finite_differences(loss: Loss, rng: np.random.Generator) -> None:
    z = rng.standard_normal(12)
    numeric = approx_fprime(z, loss.value, 1e-7)
    np.testing.assert_allclose(loss.gradient(z), numeric, atol=1e-6)
    ahead, behind = loss.gradient(z + 1e-5), loss.gradient(z - 1e-5)
    np.testing.assert_allclose(loss.curvature(z), (ahead - behind) / 2e-5, atol=1e-7)


def test_curvature_stays_below_its_bound(loss: Loss, rng: np.random.Generator) -> None:
    for scale in (0.1, 1.0, 10.0):
        z = scale * rng.standard_normal(12)
        assert np.all(loss.curvature(z) <= loss.curvature_bound() + 1e-15)


def test_conjugate_meets_fenchel_young(loss: Loss, rng: np.random.Generator) -> None:
    z = rng.standard_normal(12)
    u = loss.gradient(z)
    assert loss.value(z) + loss.conjugate(u) == pytest.approx(u @ z, abs=1e-12)
    for _ in range(20):
        other = rng.standard_normal(12)
        assert loss.value(other) + loss.conjugate(u) >= u @ other - 1e-12


def test_conjugate_is_infinite_where_a_weightless_sample_is_charged(loss: Loss) -> None:
    u = np.zeros(12)
    u[3] = 0.1
    assert loss.conjugate(u) == np.inf


def test_logistic_conjugate_is_infinite_outside_its_domain() -> None:
    loss = Logistic(np.array([1.0, 0.0]), np.array([0.5, 0.5]))
    assert loss.conjugate(np.array([0.1, 0.0])) == np.inf


def test_best_constant_minimises(loss: Loss) -> None:
    best = minimize_scalar(lambda b: loss.value(np.full(12, b)))
    assert loss.best_constant() == pytest.approx(best.x, abs=1e-4)


def test_squared_is_half_the_weighted_mean_square() -> None:
    loss = Squared(np.array([1.0, 3.0]), np.array([0.25, 0.75]))
    assert loss.value(np.zeros(2)) == 0.5 * (0.25 * 1 + 0.75 * 9)
