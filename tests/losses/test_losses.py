"""Values, derivatives and conjugates of the data terms."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import approx_fprime, minimize_scalar
from sklearn.metrics import mean_poisson_deviance

from sksparse.losses import (
    LOSSES,
    ConjugateLoss,
    Cox,
    Huber,
    Logistic,
    Loss,
    Multinomial,
    Poisson,
    Squared,
)


@pytest.fixture(params=sorted(LOSSES))
def loss(request: pytest.FixtureRequest, rng: np.random.Generator) -> Loss:
    kind = LOSSES[request.param]
    y = rng.integers(0, 2 if kind.for_classes else 5, 12).astype(float)
    if kind is Cox:
        y = np.column_stack((y, np.arange(12) % 3 > 0))
    weights = rng.random(12)
    weights[3] = 0.0
    return kind(y, weights / weights.sum())


def test_derivatives_match_finite_differences(loss: Loss, rng: np.random.Generator) -> None:
    z = rng.standard_normal(12)
    numeric = approx_fprime(z, loss.value, 1e-7)
    np.testing.assert_allclose(loss.gradient(z), numeric, atol=1e-6)
    ahead, behind = loss.gradient(z + 1e-5), loss.gradient(z - 1e-5)
    bends = (ahead - behind) / 2e-5
    if loss.exact_curvature:
        np.testing.assert_allclose(loss.curvature(z), bends, atol=1e-7)
    assert loss.constant_curvature(z) == pytest.approx(bends.sum(), abs=1e-7)
    assert np.all(loss.curvature(z)[loss.weights > 0.0] >= 0.0)


def test_conjugate_meets_fenchel_young(loss: Loss, rng: np.random.Generator) -> None:
    assert isinstance(loss, ConjugateLoss)
    z = rng.standard_normal(12)
    u = loss.gradient(z)
    assert loss.value(z) + loss.conjugate(u) == pytest.approx(u @ z, abs=1e-12)
    for _ in range(20):
        other = rng.standard_normal(12)
        assert loss.value(other) + loss.conjugate(u) >= u @ other - 1e-12
        gap = loss.value(other) + loss.conjugate(u) - u @ other
        assert loss.fenchel_gap(other, u) == pytest.approx(gap, abs=1e-12)


def test_conjugate_is_infinite_where_a_weightless_sample_is_charged(loss: Loss) -> None:
    assert isinstance(loss, ConjugateLoss)
    u = np.zeros(12)
    u[3] = 0.1
    assert loss.conjugate(u) == np.inf


def test_logistic_conjugate_is_infinite_outside_its_domain() -> None:
    loss = Logistic(np.array([1.0, 0.0]), np.array([0.5, 0.5]))
    assert loss.conjugate(np.array([0.1, 0.0])) == np.inf


def test_best_constant_minimises(loss: Loss) -> None:
    best = minimize_scalar(lambda b: loss.value(np.full(12, b)))
    assert loss.value(np.full(12, loss.best_constant())) <= best.fun + 1e-14
    if not loss.shift_invariant:
        assert loss.best_constant() == pytest.approx(best.x, abs=1e-4)


def test_no_constant_lowers_a_loss_after_its_best_shift(
    loss: Loss, rng: np.random.Generator
) -> None:
    for scale in (1.0, 30.0):
        z = scale * rng.standard_normal(12)
        derivatives = loss.gradient(z + loss.best_shift(z))
        assert abs(derivatives.sum()) <= 1e-12 * np.abs(derivatives).sum()


def test_nothing_is_below_the_lower_bound(loss: Loss, rng: np.random.Generator) -> None:
    for scale in (0.0, 1.0, 30.0, 500.0):
        z = scale * rng.standard_normal(12)
        assert loss.excess(z) == loss.value(z) - loss.lower_bound >= 0.0


def test_samples_without_weight_change_nothing(loss: Loss, rng: np.random.Generator) -> None:
    z = rng.standard_normal(12)
    far = z.copy()
    far[3] = 1e6
    assert loss.value(far) == loss.value(z)
    assert np.array_equal(loss.gradient(far), loss.gradient(z))
    assert loss.saturation(far) == loss.saturation(z)
    assert loss.best_shift(far) == pytest.approx(loss.best_shift(z))
    assert np.array_equal(loss.curvature(far), loss.curvature(z))
    rest = loss.of_samples(np.delete(np.arange(12), 3))
    assert rest.value(np.delete(z, 3)) == pytest.approx(loss.value(z), rel=1e-14)


def test_other_weights_give_the_same_loss_otherwise(rng: np.random.Generator) -> None:
    y, z = rng.standard_normal(6), 3.0 * rng.standard_normal(6)
    first, second = np.full(6, 1 / 6), np.arange(6) / 15.0
    loss = Huber(y, first, epsilon=0.5)
    other = loss.with_weights(second)
    assert other.value(z) == Huber(y, second, epsilon=0.5).value(z)
    assert loss.value(z) == Huber(y, first, epsilon=0.5).value(z)
    part = loss.of_samples(np.array([1, 4]))
    assert part.value(z[[1, 4]]) == Huber(y[[1, 4]], first[:2], epsilon=0.5).value(z[[1, 4]])


def test_the_median_is_the_best_constant_of_a_small_epsilon(rng: np.random.Generator) -> None:
    y = rng.standard_normal(9)
    loss = Huber(y, np.full(9, 1 / 9), epsilon=1e-6)
    assert loss.best_constant() == pytest.approx(np.median(y), abs=1e-5)


@pytest.mark.parametrize(
    "kind, y, remedy",
    [
        (Logistic, [0.0, 2.0], "Code the classes 0 and 1"),
        (Multinomial, [0.0, 1.5], "Code the classes"),
        (Poisson, [1.0, -1.0], "got a smallest y of -1"),
        (Poisson, [1.0, np.nan], "y >= 0"),
    ],
)
def test_targets_outside_the_domain_are_refused(
    kind: type[Loss], y: list[float], remedy: str
) -> None:
    with pytest.raises(ValueError, match=remedy):
        kind(np.array(y), np.full(2, 0.5))


def test_a_bound_that_is_none_is_refused() -> None:
    class Shifted(Huber):
        def value(self, z: np.ndarray) -> float:
            return super().value(z) - 1.0

    y = np.array([0.0, 1.0])
    loss = Shifted(y, np.full(2, 0.5))
    with pytest.raises(ValueError, match=r"Shifted.lower_bound=0 .* the value -1"):
        loss.excess(y)


def test_poisson_is_half_the_mean_deviance(rng: np.random.Generator) -> None:
    y, weights = rng.poisson(2.0, 50).astype(float), rng.random(50)
    z = rng.standard_normal(50)
    loss = Poisson(y, weights / weights.sum())
    deviance = mean_poisson_deviance(y, np.exp(z), sample_weight=weights)
    assert loss.value(z) == pytest.approx(0.5 * deviance)


def test_poisson_keeps_the_digits_of_large_counts() -> None:
    y = np.array([1e6, 1e12])
    r = np.array([1e-4, -1e-6])
    exact = 0.5 * float(y @ (r**2 / 2 * (1 + r / 3 + r**2 / 12)))
    assert Poisson(y, np.full(2, 0.5)).value(np.log(y) + r) == pytest.approx(exact, rel=1e-8)


def test_poisson_overflows_to_infinity_without_a_warning() -> None:
    loss = Poisson(np.array([1.0, 0.0]), np.array([0.5, 0.5]))
    assert loss.value(np.array([800.0, 0.0])) == np.inf
    assert loss.value(np.array([0.0, 800.0])) == np.inf
    z = np.array([1e5, -1e5])
    assert loss.gradient(z + loss.best_shift(z)) == pytest.approx([0.0, 0.0], abs=1e-12)


def test_poisson_of_zeros_has_no_best_constant() -> None:
    loss = Poisson(np.array([0.0, 0.0, 2.0]), np.array([0.5, 0.5, 0.0]))
    with pytest.raises(ValueError, match="y is zero for every sample with a positive weight"):
        loss.best_constant()


def test_poisson_saturates_at_zeros_only() -> None:
    loss = Poisson(np.array([0.0, 3.0, 5.0]), np.array([0.4, 0.4, 0.2]))
    assert loss.saturation(np.array([5.0, -40.0, 40.0])) == 0.0
    assert loss.saturation(np.array([-20.0, 0.0, 0.0])) == pytest.approx(20.0 + np.log(3.0))


def test_squared_is_half_the_weighted_mean_square() -> None:
    loss = Squared(np.array([1.0, 3.0]), np.array([0.25, 0.75]))
    assert loss.value(np.zeros(2)) == 0.5 * (0.25 * 1 + 0.75 * 9)
