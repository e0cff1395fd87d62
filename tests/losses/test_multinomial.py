"""The multinomial log loss against differences, the binary loss and Fenchel-Young."""

from __future__ import annotations

import numpy as np
import pytest

from sksparse.losses import Logistic, Multinomial


@pytest.fixture
def loss(rng: np.random.Generator) -> Multinomial:
    weights = rng.random(12)
    weights[3] = 0.0
    return Multinomial(np.arange(12.0) % 4, weights / weights.sum())


def test_derivatives_are_limits_of_differences(rng: np.random.Generator, loss: Multinomial) -> None:
    z, step = rng.standard_normal((12, 4)), 1e-6 * rng.standard_normal((12, 4))
    rise = loss.value(z + step) - loss.value(z - step)
    assert rise == pytest.approx(2 * float((loss.gradient(z) * step).sum()), rel=1e-6)
    bend = loss.gradient(z + step) - loss.gradient(z - step)
    step -= step.mean(axis=1, keepdims=True)
    along = np.einsum("iab,ib->ia", loss.metric(z), step)
    np.testing.assert_allclose(bend, 2 * along, atol=1e-12)
    used = loss.weights > 0
    eigenvalues = np.linalg.eigvalsh(loss.metric(z)[used])
    assert eigenvalues.min() > 0
    # Three directions change the loss; the fourth has the mean curvature of these.
    np.testing.assert_allclose(eigenvalues.mean(axis=1), loss.curvature(z)[used])


def test_two_classes_are_the_binary_loss(rng: np.random.Generator) -> None:
    y, weights, z = np.array([0.0, 1.0, 1.0, 0.0]), np.full(4, 0.25), rng.standard_normal(4)
    binary, both = Logistic(y, weights), Multinomial(y, weights)
    pair = np.column_stack((np.zeros(4), z))
    assert both.value(pair) == pytest.approx(binary.value(z))
    np.testing.assert_allclose(both.gradient(pair)[:, 1], binary.gradient(z))
    np.testing.assert_allclose(both.curvature(pair), 2 * binary.curvature(z))
    assert np.diff(both.best_constant())[0] == pytest.approx(binary.best_constant())


def test_best_constant_has_no_gradient(loss: Multinomial) -> None:
    z = np.tile(loss.best_constant(), (12, 1))
    np.testing.assert_allclose(loss.gradient(z).sum(axis=0), 0.0, atol=1e-14)


def test_conjugate(rng: np.random.Generator, loss: Multinomial) -> None:
    z = rng.standard_normal((12, 4))
    gradient = loss.gradient(z)
    assert loss.conjugate(gradient) == pytest.approx(float((gradient * z).sum()) - loss.value(z))
    assert loss.conjugate(gradient + 0.1) == np.inf
    assert loss.conjugate(2.0 * loss.gradient(50.0 * z)) == np.inf


@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_best_shift_leaves_no_slope(scale: float, rng: np.random.Generator) -> None:
    weights = rng.random(60)
    loss = Multinomial(
        rng.permutation(np.repeat([0, 1, 2, 3], [40, 12, 7, 1])), weights / weights.sum()
    )
    z = scale * rng.standard_normal((60, 4))
    shift = loss.best_shift(z)
    assert abs(shift.sum()) < 1e-12 * scale
    slope = loss.gradient(z + shift).sum(axis=0)
    assert np.abs(slope).max() < 1e-13
    for other in 1e-3 * rng.standard_normal((10, 4)):
        assert loss.value(z + shift + other) >= loss.value(z + shift) * (1.0 - 1e-14)
    np.testing.assert_allclose(loss.best_shift(np.zeros((60, 4))), loss.best_constant(), atol=1e-12)
