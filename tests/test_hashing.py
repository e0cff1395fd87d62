"""The hash of hashed layers: XXH32 of row and column, with even loads and unbiased products."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from scipy import stats

from sksparse._hashing import hash_positions, hashed_matrix, signed_buckets

WORD = 0xFFFFFFFF


def xxh32(data: bytes, seed: int = 0) -> int:
    """XXH32 of fewer than 16 bytes in Python's integers, from its specification."""
    primes = (2654435761, 2246822519, 3266489917, 668265263, 374761393)
    state = (seed + primes[4] + len(data)) & WORD
    n_words = len(data) // 4
    for (word,) in struct.iter_unpack("<I", data[: 4 * n_words]):
        state = (state + word * primes[2]) & WORD
        state = ((state << 17 | state >> 15) & WORD) * primes[3] & WORD
    for byte in data[4 * n_words :]:
        state = (state + byte * primes[4]) & WORD
        state = ((state << 11 | state >> 21) & WORD) * primes[0] & WORD
    for shift, factor in ((15, primes[1]), (13, primes[2]), (16, 1)):
        state = (state ^ state >> shift) * factor & WORD
    return state


def test_the_reference_is_the_published_hash() -> None:
    assert xxh32(b"") == 0x02CC5D05
    assert xxh32(b"abc") == 0x32D153FF


@pytest.mark.parametrize("seed", [0, 1, 2**31, 2**32 - 1])
def test_positions_are_hashed_as_two_words(seed: int) -> None:
    found = hash_positions(4, 5, seed)
    assert found.dtype == np.uint32
    for i, row in enumerate(found.tolist()):
        assert row == [xxh32(struct.pack("<II", i, j), seed) for j in range(5)]


@pytest.mark.parametrize("n_values", [1, 3, 1000])
def test_buckets_and_signs_follow_from_two_hashes(n_values: int) -> None:
    found = signed_buckets(6, 7, n_values, 11)
    for (i, j), bucket in np.ndenumerate(found):
        key = struct.pack("<II", i, j)
        expected = xxh32(key, 11) * n_values >> 32
        if xxh32(key, 11 ^ WORD) & 1:
            expected += n_values
        assert bucket == expected


def test_loads_are_even_and_signs_balanced() -> None:
    buckets = signed_buckets(200, 301, 50, 3)
    loads = np.bincount(buckets.ravel() % 50, minlength=50)
    assert stats.chisquare(loads).pvalue > 1e-3
    signs = np.where(buckets < 50, 1.0, -1.0)
    assert abs(signs.mean()) < 4 / np.sqrt(signs.size)
    # signs are independent of buckets
    counts = np.bincount(buckets.ravel(), minlength=100).reshape(2, 50)
    assert stats.chi2_contingency(counts).pvalue > 1e-3


def test_a_matrix_holds_its_values_and_their_negatives() -> None:
    values = np.array([1.0, 2.0, 3.0])
    matrix = hashed_matrix(values, 20, 30, 0)
    assert set(np.unique(matrix)) == {-3.0, -2.0, -1.0, 1.0, 2.0, 3.0}
    assert hashed_matrix(values.astype(np.float32), 2, 2, 0).dtype == np.float32


def test_hashed_features_keep_products_in_the_mean(rng: np.random.Generator) -> None:
    x, z = rng.normal(size=(2, 12))
    products = []
    for seed in range(4000):
        buckets = signed_buckets(1, 12, 5, seed)[0]
        signs = np.where(buckets < 5, 1.0, -1.0)
        hashed = [np.bincount(buckets % 5, signs * v, 5) for v in (x, z)]
        products.append(hashed[0] @ hashed[1])
    error = np.std(products) / np.sqrt(len(products))
    assert abs(np.mean(products) - x @ z) < 4 * error
