"""Which of a few stored values stands at a position of a hashed matrix, and with which sign.

The hash is XXH32 of the row and the column, two unsigned integers of 32 bits in little-endian
order, as its specification says: integers alone, so that it is the same on every platform and
what is stored of a hashed layer are its values, its shape and its seed.
"""

from __future__ import annotations

import numpy as np

_PRIMES = np.array([2654435761, 2246822519, 3266489917, 668265263, 374761393], dtype=np.uint32)
_ALL_BITS = 0xFFFFFFFF


def hash_positions(n_rows: int, n_columns: int, seed: int) -> np.ndarray:
    """XXH32 of every position of a matrix.

    Parameters
    ----------
    n_rows, n_columns : int
        Shape of the matrix, each below 2**32.
    seed : int
        From 0 up to but not including 2**32.

    Returns
    -------
    hashes : ndarray of shape (n_rows, n_columns) of uint32
    """
    _, second, third, _, fifth = _PRIMES
    # unsigned arrays wrap around, as the hash asks for
    start = np.array([[seed]], dtype=np.uint32) + fifth + np.uint32(8)
    rows = _mixed(start, np.arange(n_rows, dtype=np.uint32)[:, None])
    hashes = _mixed(rows, np.arange(n_columns, dtype=np.uint32))
    hashes ^= hashes >> np.uint32(15)
    hashes *= second
    hashes ^= hashes >> np.uint32(13)
    hashes *= third
    hashes ^= hashes >> np.uint32(16)
    return hashes


def _mixed(state: np.ndarray, word: np.ndarray) -> np.ndarray:
    """The state of the hash after one more word of 32 bits."""
    state = state + word * _PRIMES[2]
    return ((state << np.uint32(17)) | (state >> np.uint32(15))) * _PRIMES[3]


def signed_buckets(n_rows: int, n_columns: int, n_values: int, seed: int) -> np.ndarray:
    """For every position of a hashed matrix the number of its value, or of its negative.

    Parameters
    ----------
    n_rows, n_columns : int
        Shape of the matrix.
    n_values : int
        Number of values, below 2**30.
    seed : int
        From 0 up to but not including 2**32. A second hash, of the seed with all bits flipped,
        draws the signs.

    Returns
    -------
    buckets : ndarray of shape (n_rows, n_columns) of int32
        k where the value with the number k stands, ``n_values + k`` where its negative does.
    """
    hashes = hash_positions(n_rows, n_columns, seed)
    buckets = ((hashes.astype(np.uint64) * np.uint64(n_values)) >> np.uint64(32)).astype(np.int32)
    signs = hash_positions(n_rows, n_columns, seed ^ _ALL_BITS)
    buckets += (signs & np.uint32(1)).astype(np.int32) * np.int32(n_values)
    return buckets


def hashed_matrix(values: np.ndarray, n_rows: int, n_columns: int, seed: int) -> np.ndarray:
    """The matrix that a few values stand for.

    Parameters
    ----------
    values : ndarray of shape (n_values,)
        What is stored.
    n_rows, n_columns : int
        Shape of the matrix.
    seed : int
        Seed of the hash.

    Returns
    -------
    matrix : ndarray of shape (n_rows, n_columns)
        In the type of the values.
    """
    both = np.concatenate([values, -values])
    return both[signed_buckets(n_rows, n_columns, len(values), seed)]
