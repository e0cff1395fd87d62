"""Sequences of weights for the sorted L1 norm."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.stats import norm

from sksparse.penalties import SortedL1, oscar_weights, slope_weights
from sksparse.penalties._sorted_weights import steep_oscar_weights


@pytest.mark.parametrize("p", [2, 7, 60])
def test_oscar_weights_give_the_pairwise_penalty(p: int, rng: np.random.Generator) -> None:
    for pairwise in (0.0, 0.3, rng.random(), 1.0):
        w = rng.standard_normal(p) * (rng.random(p) < 0.8)
        w[p // 2 :] = np.round(w[p // 2 :], 1)
        pairs = sum(max(abs(w[i]), abs(w[j])) for i in range(p) for j in range(i))
        expected = (1 - pairwise) * np.abs(w).sum() + pairwise / (p - 1) * pairs
        value = SortedL1(oscar_weights(p, pairwise)).value(w)
        assert value == pytest.approx(expected, rel=1e-12, abs=1e-300)


def test_oscar_weights_fall_evenly_over_the_ranks() -> None:
    weights = oscar_weights(9, 0.6, ranks=4)
    np.testing.assert_allclose(weights, [1.0, 0.8, 0.6, 0.4, 0.4, 0.4, 0.4, 0.4, 0.4], rtol=1e-15)
    np.testing.assert_array_equal(oscar_weights(9, 0.6, ranks=20), oscar_weights(9, 0.6))
    np.testing.assert_array_equal(oscar_weights(4, 0.0, ranks=2), np.ones(4))
    # without a partner it is the lasso
    np.testing.assert_array_equal(oscar_weights(1, 0.6), [1.0])


@pytest.mark.parametrize("p", [2, 3, 20, 21, 22, 500])
def test_half_of_the_fall_is_at_the_first_ranks(p: int) -> None:
    weights = steep_oscar_weights(p, 0.8)
    falls = -np.diff(weights)
    assert weights[0] == 1.0
    assert weights[-1] == pytest.approx(0.2)
    assert (falls > 0.0).all()
    if p <= 21:
        np.testing.assert_allclose(weights, oscar_weights(p, 0.8), rtol=1e-14)
    else:
        np.testing.assert_allclose(falls[:10], 0.04, rtol=1e-12)
        np.testing.assert_allclose(falls[10:], 0.4 / (p - 11), rtol=1e-9)
    np.testing.assert_array_equal(steep_oscar_weights(p, 0.0), np.ones(p))


def test_thresholds_of_benjamini_and_hochberg() -> None:
    for p, q in ((1, 0.2), (10, 0.1), (5000, 0.01)):
        expected = norm.isf(q * np.arange(1, p + 1) / (2 * p))
        np.testing.assert_allclose(slope_weights(p, q=q), expected, rtol=1e-12)


def gaussian_by_definition(p: int, q: float, n: int) -> np.ndarray:
    """The sequence of the paper: the factor w(k) = 1 / (n - k - 1), cut off at its minimum."""
    bh = norm.isf(q * np.arange(1, p + 1) / (2 * p))
    sequence = [bh[0]]
    for k in range(1, min(p, n - 1)):
        sequence.append(bh[k] * np.sqrt(1 + np.sum(np.square(sequence)) / (n - k - 1)))
    lowest = int(np.argmin(sequence))
    return np.array(sequence[:lowest] + [sequence[lowest]] * (p - lowest))


@pytest.mark.parametrize("p", [1, 2, 5, 200])
@pytest.mark.parametrize("n", [1, 2, 3, 10, 150, 5000])
def test_the_correction_for_gaussian_designs(p: int, n: int) -> None:
    for q in (0.01, 0.1, 0.5):
        weights = slope_weights(p, "gaussian", q=q, n_samples=n)
        np.testing.assert_allclose(weights, gaussian_by_definition(p, q, n), rtol=1e-11)


def test_the_correction_vanishes_with_many_samples() -> None:
    corrected = slope_weights(50, "gaussian", n_samples=10**9)
    np.testing.assert_allclose(corrected, slope_weights(50, "bh"), rtol=1e-6)


@pytest.mark.parametrize("q", [5e-324, 1e-200, 1e-9, 0.5, 1 - 1e-16])
@pytest.mark.parametrize("p", [1, 2, 3, 1000])
def test_weights_are_not_negative_and_never_rise(p: int, q: float) -> None:
    assert (slope_weights(p, "lasso", q=q) == 1.0).all()
    sequences = [slope_weights(p, "gaussian", q=q, n_samples=n) for n in (1, 2, 3, 7, 500, 10**6)]
    for weights in (slope_weights(p, "bh", q=q), *sequences):
        assert weights.shape == (p,)
        assert np.isfinite(weights).all()
        # at q = 1 the last threshold is zero
        assert (weights[:-1] > 0.0).all()
        assert weights[-1] >= 0.0
        assert (np.diff(weights) <= 0.0).all()
        assert weights[0] == slope_weights(p, "bh", q=q)[0]


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"n_features": 0}, "n_features must be an integer of at least 1; got 0"),
        ({"n_features": 2.5}, "n_features must be an integer of at least 1; got 2.5"),
        ({"kind": "oscar"}, "kind must be one of 'bh', 'gaussian', 'lasso'; got 'oscar'"),
        ({"q": 0.0}, "q must be a number above 0 and below 1; got 0.0"),
        ({"q": 1.0}, "q must be a number above 0 and below 1; got 1.0"),
        ({"q": np.nan}, "q must be a number above 0 and below 1; got nan"),
        ({"q": "0.1"}, "q must be a number above 0 and below 1; got '0.1'"),
        ({"kind": "gaussian"}, 'kind="gaussian" depends on n_samples; got None'),
        ({"kind": "gaussian", "n_samples": 0}, "n_samples must be an integer of at least 1; got 0"),
    ],
)
def test_bad_arguments_of_slope_weights(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        slope_weights(**{"n_features": 4, **arguments})


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"n_features": -1}, "n_features must be an integer of at least 1; got -1"),
        ({"pairwise": 1.5}, "pairwise must be a number from 0 to 1; got 1.5"),
        ({"pairwise": np.nan}, "pairwise must be a number from 0 to 1; got nan"),
        ({"ranks": 0}, "ranks must be an integer of at least 1; got 0"),
        ({"ranks": "auto"}, "ranks must be an integer of at least 1; got 'auto'"),
    ],
)
def test_bad_arguments_of_oscar_weights(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        oscar_weights(**{"n_features": 4, "pairwise": 0.5, **arguments})
