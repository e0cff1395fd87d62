"""Codebooks: the optimum against all partitions, starts, and what is special."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sksparse.coding import _kmeans, kmeans_1d
from sksparse.coding._rounding import round_to_levels, round_to_steps


def cost(values: NDArray[Any], weights: NDArray[Any], found: Any) -> float:
    levels, labels = found
    return float(weights @ (values - levels[labels]) ** 2)


def least_cost(values: NDArray[Any], weights: NDArray[Any], k: int) -> float:
    """The least over all partitions into k intervals."""
    order = np.argsort(values)
    v, w = values[order], weights[order]
    best = np.inf
    for cuts in itertools.combinations(range(1, len(v)), k - 1):
        total = 0.0
        for a, b in itertools.pairwise([0, *cuts, len(v)]):
            if w[a:b].sum() > 0:
                mean = w[a:b] @ v[a:b] / w[a:b].sum()
                total += w[a:b] @ (v[a:b] - mean) ** 2
        best = min(best, total)
    return best


@pytest.mark.parametrize("k", range(1, 9))
def test_no_partition_is_better(k: int, rng: np.random.Generator) -> None:
    for _ in range(5):
        values, weights = rng.standard_normal(9), rng.integers(1, 4, 9).astype(float)
        found = kmeans_1d(values, k, weights=weights)
        best = least_cost(values, weights, k)
        assert cost(values, weights, found) == pytest.approx(best, abs=1e-12)


def test_weights_are_repetitions(rng: np.random.Generator) -> None:
    values, weights = rng.standard_normal(40), rng.integers(0, 4, 40)
    weighted = kmeans_1d(values, 6, weights=weights)
    repeated = kmeans_1d(np.repeat(values, weights), 6)
    assert cost(values, weights, weighted) == pytest.approx(
        cost(np.repeat(values, weights), np.ones(weights.sum()), repeated)
    )


@pytest.mark.parametrize("init", ["linear", "density", "random"])
def test_lloyd_ends_at_means_of_the_closest_values(init: str, rng: np.random.Generator) -> None:
    values = rng.standard_normal(500)
    levels, labels = kmeans_1d(values, 12, init=init, random_state=0)
    assert (np.diff(levels) > 0).all()
    assert np.abs(values[:, None] - levels).argmin(axis=1).tolist() == labels.tolist()
    means = [values[labels == j].mean() for j in range(len(levels))]
    np.testing.assert_allclose(levels, means, rtol=1e-12)
    optimal = cost(values, np.ones(500), kmeans_1d(values, 12))
    assert optimal <= cost(values, np.ones(500), (levels, labels)) * (1 + 1e-12)


def test_many_values_are_pooled(rng: np.random.Generator, monkeypatch: Any) -> None:
    values = rng.standard_t(3, 4000)
    exact = cost(values, np.ones(4000), kmeans_1d(values, 32))
    monkeypatch.setattr(_kmeans, "_MOST_POINTS", 500)
    pooled = cost(values, np.ones(4000), kmeans_1d(values, 32))
    assert exact * (1 - 1e-12) <= pooled < 1.01 * exact


@pytest.mark.parametrize("init", ["optimal", "linear", "density", "random"])
def test_more_levels_than_values(init: str) -> None:
    levels, labels = kmeans_1d([2.0, -1.0, 2.0, 2.0], 16, init=init)
    assert levels.tolist() == [-1.0, 2.0]
    assert labels.tolist() == [1, 0, 1, 1]


def test_values_far_from_zero_keep_their_digits(rng: np.random.Generator) -> None:
    values = rng.standard_normal(200)
    near, far = kmeans_1d(values, 5), kmeans_1d(values + 1e6, 5)
    assert near[1].tolist() == far[1].tolist()


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"values": []}, "one or more finite"),
        ({"values": [np.nan]}, "one or more finite"),
        ({"values": [[1.0]]}, "one or more finite"),
        ({"n_levels": 0}, "n_levels=0"),
        ({"init": "median"}, "init='median'"),
        ({"weights": [1.0, -1.0]}, "not negative"),
        ({"weights": [0.0, 0.0]}, "not all zero"),
        ({"weights": [1.0]}, "must be 2 finite numbers"),
    ],
)
def test_bad_input(changes: dict[str, Any], message: str) -> None:
    arguments = {"values": [1.0, 2.0], "n_levels": 1, **changes}
    with pytest.raises(ValueError, match=message):
        kmeans_1d(**arguments)


def test_zeros_stay_zero_and_take_no_level(rng: np.random.Generator) -> None:
    array = np.where(rng.random((20, 30)) < 0.3, rng.standard_normal((20, 30)), 0.0)
    rounded = round_to_levels(array, 2, "float32").array()
    assert ((rounded == 0) == (array == 0)).all()
    kept = array[array != 0]
    levels, labels = kmeans_1d(kept, 4)
    np.testing.assert_array_equal(rounded[array != 0], levels.astype(np.float32)[labels])


def test_levels_that_half_precision_cannot_hold_stay_single() -> None:
    for values in ([1e6, -1.0], [1e-9, 1.0]):
        array = np.float32(values)
        np.testing.assert_array_equal(round_to_levels(array, 4, "float16").array(), array)
    array = np.float32([1.0001, 2.0])
    np.testing.assert_array_equal(round_to_levels(array, 4, "float16").array(), [1.0, 2.0])


def test_an_array_of_zeros_has_no_levels() -> None:
    rounded = round_to_levels(np.zeros((3, 2)), 4, "float16")
    assert rounded.array().tolist() == np.zeros((3, 2)).tolist()


@pytest.mark.parametrize("bits", [3, 6, 8, 12])
def test_steps_are_whole_and_close(bits: int, rng: np.random.Generator) -> None:
    vector = rng.standard_normal(300).astype(np.float32)
    rounded = round_to_steps(vector, bits)
    most = (1 << (min(bits, 8) - 1)) - 1
    step = 2.0 ** np.ceil(np.log2(np.abs(vector).max() / most))
    assert (rounded / step == np.rint(rounded / step)).all()
    assert np.abs(rounded - vector).max() <= step / 2
    assert round_to_steps(np.zeros(4), bits).tolist() == [0.0] * 4
