"""Features so large or small that their squares leave the range of float64.

Multiplying all features by one power of two is exact, and so is undoing it: with ``X' = 2^k X`` and
``w' = 2^-k w`` predictions are the same, and a penalty that is homogeneous of degree d has
``alpha' = 2^(k d) alpha``. Solvers are given features of moderate size, users get coefficients for
those that they passed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp

from sksparse._typing import Array

# Columns touched at once, which bounds the memory beside X.
_CHUNK = 256


class ScaleError(ValueError):
    """Squares of some features are beyond the range of float64."""


def largest_magnitudes(X: Any) -> Array:
    """Largest magnitude of each column."""
    if sp.issparse(X):
        return np.asarray(abs(X).max(axis=0).todense(), dtype=np.float64).ravel()
    largest = np.empty(X.shape[1])
    for start in range(0, X.shape[1], _CHUNK):
        part = slice(start, start + _CHUNK)
        largest[part] = np.abs(X[:, part]).max(axis=0)
    return largest


def exponent_of(X: Any, *, constants: bool) -> int:
    """The k for which ``2^-k X`` has a largest magnitude between a half and one; 0 for zeros.

    Columns that do not vary count only if ``constants`` do.
    """
    largest = largest_magnitudes(X)
    if not constants and not sp.issparse(X):
        largest[np.flatnonzero((X[:1] == X).all(axis=0))] = 0.0
    return int(np.frexp(largest.max(initial=0.0))[1])


def times_powers_of_two(X: Any, exponents: Any) -> Any:
    """A copy of X in the same memory order, times two to the power of one exponent or of many.

    Parameters
    ----------
    X : ndarray or CSC matrix of shape (n_samples, n_features)
        Features.
    exponents : int or ndarray of shape (n_features,)
        For all columns, or for each.
    """
    if not sp.issparse(X):
        return np.ldexp(X, exponents)
    scaled, each = X.copy(), np.broadcast_to(exponents, X.shape[1])
    scaled.data = np.ldexp(scaled.data, np.repeat(each, np.diff(X.indptr)))
    return scaled


def strength(alpha: float, exponent: int) -> float:
    """``2^exponent alpha``, at most the largest number there is."""
    with np.errstate(over="ignore"):
        return float(min(np.ldexp(alpha, exponent), np.finfo(np.float64).max))
