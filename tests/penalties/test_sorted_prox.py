"""The proximal operator of the sorted L1 norm, for arrays and for tensors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.isotonic import IsotonicRegression

from sksparse.penalties import L1, SortedL1, oscar_weights, prox_sorted_l1, slope_weights

# l1 + l2 (p - i) with l1 = .3 and l2 = .1
WEIGHTS = np.array([0.7, 0.6, 0.5, 0.4, 0.3])
BY_HAND = [
    ([3, -2.9, 1, 0.2, -0.1], [2.3, -2.3, 0.5, 0, 0]),
    # two blocks are pooled
    ([3, -2.95, 1, 0.2, -0.1], [2.325, -2.325, 0.5, 0, 0]),
]


def problems(rng: np.random.Generator) -> list[tuple[np.ndarray, np.ndarray]]:
    """Vectors and weights: without and with ties, zeros, weights of zero, few and many entries."""
    found = []
    for p in (1, 2, 3, 8, 100, 2000):
        v, weights = rng.standard_normal(p), np.sort(rng.random(p))[::-1]
        kept = np.where(np.arange(p) < p // 2, weights, 0.0)
        found += [
            (v, weights),
            (np.round(v, 1), weights),
            (v * (rng.random(p) < 0.5), weights),
            (v, kept),
            (v, np.zeros(p)),
            (v, np.full(p, 0.5)),
            (2.0 * v, oscar_weights(p, 0.9)),
            (3.0 * v, slope_weights(p)),
            (np.full(p, -1.5), weights),
        ]
    return found


def dual_norm(u: np.ndarray, weights: np.ndarray) -> float:
    loads = np.cumsum(np.sort(np.abs(u))[::-1])
    return float(np.max(loads / np.cumsum(weights)))


@pytest.mark.parametrize("v, expected", BY_HAND)
def test_by_hand(v: list[float], expected: list[float]) -> None:
    for result in (
        prox_sorted_l1(v, WEIGHTS),
        prox_sorted_l1(torch.tensor(v, dtype=torch.float64), WEIGHTS),
        prox_sorted_l1(np.array(v), torch.from_numpy(WEIGHTS)),
        SortedL1(WEIGHTS / 2).prox(np.array(v), 2.0),
    ):
        np.testing.assert_allclose(np.asarray(result), expected, rtol=0, atol=1e-15)
    shape = np.reshape(v, (5, 1))
    np.testing.assert_array_equal(prox_sorted_l1(shape, WEIGHTS)[:, 0], prox_sorted_l1(v, WEIGHTS))


def test_isotonic_regression(rng: np.random.Generator) -> None:
    for v, weights in problems(rng):
        order = np.argsort(-np.abs(v))
        fit = IsotonicRegression(y_min=0.0, increasing=False)
        expected = np.empty(len(v))
        expected[order] = fit.fit_transform(np.arange(len(v)), np.abs(v)[order] - weights)
        result = prox_sorted_l1(v, weights)
        np.testing.assert_allclose(result, np.sign(v) * expected, rtol=1e-12, atol=1e-13)


def test_means_of_blocks(rng: np.random.Generator) -> None:
    # The closed form of isotonic regression: the lowest over left ends of the highest mean.
    for v, weights in problems(rng):
        if len(v) <= 8:
            order = np.argsort(-np.abs(v))
            u = np.abs(v)[order] - weights
            fit = [
                min(max(u[j : k + 1].mean() for k in range(i, len(u))) for j in range(i + 1))
                for i in range(len(u))
            ]
            result = np.abs(prox_sorted_l1(v, weights))[order]
            np.testing.assert_allclose(result, np.maximum(fit, 0.0), rtol=1e-12, atol=1e-14)


def test_equal_weights_shrink_softly(rng: np.random.Generator) -> None:
    v = rng.standard_normal(200)
    expected = L1(np.ones(200)).prox(v, 0.4)
    np.testing.assert_allclose(prox_sorted_l1(v, np.full(200, 0.4)), expected, atol=1e-15)


def test_weights_of_zero_leave_all_as_it_is(rng: np.random.Generator) -> None:
    v = rng.standard_normal(50)
    np.testing.assert_array_equal(prox_sorted_l1(v, np.zeros(50)), v)


def test_moreau_identity(rng: np.random.Generator) -> None:
    # What is taken away is the nearest point of the dual ball.
    for v, weights in problems(rng):
        if not weights.all():
            continue
        x = prox_sorted_l1(v, weights)
        nearest = v - x
        assert dual_norm(nearest, weights) <= 1.0 + 1e-10
        assert nearest @ x == pytest.approx(SortedL1(weights).value(x), rel=1e-10, abs=1e-10)
        for _ in range(20):
            other = rng.standard_normal(len(v))
            other /= dual_norm(other, weights)
            assert (v - nearest) @ (other - nearest) <= 1e-9


def test_no_expansion(rng: np.random.Generator) -> None:
    for v, weights in problems(rng):
        other = v + rng.standard_normal(len(v))
        moved = prox_sorted_l1(v, weights) - prox_sorted_l1(other, weights)
        # firm: it also moves in the direction of its argument
        assert moved @ moved <= moved @ (v - other) + 1e-10


def test_permutations_and_signs(rng: np.random.Generator) -> None:
    for v, weights in problems(rng):
        x = prox_sorted_l1(v, weights)
        order, signs = rng.permutation(len(v)), rng.choice([-1.0, 1.0], len(v))
        np.testing.assert_array_equal(prox_sorted_l1(v[order], weights), x[order])
        np.testing.assert_array_equal(prox_sorted_l1(signs * v, weights), signs * x)
        assert not np.signbit(x[x == 0.0]).any()


def test_order_and_ties_are_kept(rng: np.random.Generator) -> None:
    for v, weights in problems(rng):
        magnitudes = np.abs(v)
        order = np.argsort(magnitudes)
        x = np.abs(prox_sorted_l1(v, weights))[order]
        assert (np.diff(x) >= 0.0).all()
        assert (np.diff(x)[np.diff(magnitudes[order]) == 0.0] == 0.0).all()


@pytest.mark.parametrize("exponent", [-1060, -500, 500, 950, 1020])
def test_scales(exponent: int, rng: np.random.Generator) -> None:
    # At 2 ** 1020 sums of many entries overflow, at 2 ** -1060 numbers have few digits.
    for p in (5, 3000):
        v, weights = rng.uniform(-1, 1, p), np.sort(rng.random(p))[::-1] * 0.1
        if exponent < -1000:
            v, weights = np.round(v, 4), np.round(weights, 4)
        large = prox_sorted_l1(np.ldexp(v, exponent), np.ldexp(weights, exponent))
        expected = prox_sorted_l1(v, weights)
        assert np.isfinite(large).all()
        atol = max(1e-13, 2.0 ** (-1074 - exponent) * 4)
        np.testing.assert_allclose(np.ldexp(large, -exponent), expected, rtol=1e-12, atol=atol)


def test_weights_of_any_size(rng: np.random.Generator) -> None:
    v = rng.standard_normal(500)
    assert not prox_sorted_l1(v, np.full(500, 1e308)).any()
    tiny = prox_sorted_l1(v, np.full(500, 5e-324))
    np.testing.assert_array_equal(tiny, v)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("shape", [(7,), (), (0,), (4, 5), (3, 2, 4, 1)])
def test_tensors_are_as_arrays(
    dtype: torch.dtype, shape: tuple[int, ...], rng: np.random.Generator
) -> None:
    v = torch.from_numpy(np.asarray(2.0 * rng.standard_normal(shape))).to(dtype)
    weights = np.sort(rng.random(v.numel()))[::-1]
    x = prox_sorted_l1(v, weights)
    assert x.dtype == dtype
    assert x.shape == v.shape
    assert x.device == v.device
    exact = prox_sorted_l1(v.double().numpy(), weights)
    assert torch.equal(x, torch.from_numpy(exact).to(dtype))


def test_tensors_of_any_layout(rng: np.random.Generator) -> None:
    weights = np.sort(rng.random(12))[::-1]
    v = torch.from_numpy(rng.standard_normal((3, 4))).requires_grad_()
    before = v.detach().clone()
    x = prox_sorted_l1(v, torch.from_numpy(weights.copy()))
    assert not x.requires_grad
    assert torch.equal(v, before)
    assert torch.equal(prox_sorted_l1(v.T, weights), x.T)
    assert prox_sorted_l1(torch.arange(12), weights).dtype == torch.float64


def test_types_of_arrays(rng: np.random.Generator) -> None:
    v = rng.standard_normal(6)
    for dtype in (np.float32, np.float16, np.float64):
        given = v.astype(dtype)
        x = prox_sorted_l1(given, np.full(6, 0.1))
        assert x.dtype == dtype
        np.testing.assert_array_equal(given, v.astype(dtype))
    assert prox_sorted_l1([3, 1], [1, 1]).tolist() == [2.0, 0.0]


def test_the_penalty_works_on_a_layer(rng: np.random.Generator) -> None:
    layer = torch.nn.Linear(8, 3)
    penalty = SortedL1(oscar_weights(8, 0.8))
    before = layer.weight.detach().numpy().copy()
    with torch.no_grad():
        layer.weight.copy_(penalty.prox(layer.weight, 0.3))
        layer.bias.copy_(SortedL1(np.ones(3)).prox(layer.bias, 10.0))
    after = layer.weight.detach().numpy()
    norms = np.linalg.norm(before.astype(float), axis=0)
    shrunk = prox_sorted_l1(norms, 0.3 * oscar_weights(8, 0.8))
    np.testing.assert_allclose(np.linalg.norm(after, axis=0), shrunk, atol=1e-7)
    np.testing.assert_allclose(after, before * shrunk / norms, atol=1e-7)
    np.testing.assert_array_equal(after, penalty.prox(before, 0.3))
    assert not layer.bias.any()


@pytest.mark.parametrize(
    "v, weights, message",
    [
        ([1.0, 2.0], [1.0], "weights must have one entry for each of the 2 of v; got 1"),
        ([1.0], [[1.0]], r"weights must have one dimension; got shape \(1, 1\)"),
        ([1.0, 2.0], [0.5, 1.0], "weights must not increase; got 0.5 followed by 1.0"),
        ([1.0, 2.0], [1.0, -1.0], "weights must be finite and not negative; got a smallest of -1"),
        ([1.0, 2.0], [np.inf, 1.0], "weights must be finite"),
        ([1.0, np.nan], [1.0, 1.0], "v must be finite"),
        (torch.tensor([1.0, -torch.inf]), [1.0, 1.0], "v must be finite"),
        ([1.0, 2.0j], [1.0, 1.0], "takes real numbers; got an array of complex128"),
        (torch.tensor([1.0j]), [1.0], "takes real numbers; got an array of complex64"),
        (["a"], [1.0], "takes real numbers; got an array of <U1"),
    ],
)
def test_bad_arguments(v: Any, weights: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        prox_sorted_l1(v, weights)


@pytest.mark.parametrize("shape", [(3,), (4, 3), (2, 2, 4)])
def test_a_penalty_of_other_features(shape: tuple[int, ...]) -> None:
    penalty = SortedL1(np.ones(4))
    for v in (np.ones(shape), torch.ones(shape)):
        with pytest.raises(ValueError, match=r"v must have shape \(4,\) or \(n_outputs, 4\)"):
            penalty.prox(v, 1.0)
