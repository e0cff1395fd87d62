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

# Columns touched at once, which bounds the memory beside X.
_CHUNK = 256


class ScaleError(ValueError):
    """Squares of some features are beyond the range of float64."""


def exponent_of(X: Any) -> int:
    """The k for which ``2^-k X`` has a largest magnitude between a half and one; 0 for zeros."""
    largest = 0.0
    if sp.issparse(X):
        largest = float(np.abs(X.data).max(initial=0.0))
    else:
        for start in range(0, X.shape[1], _CHUNK):
            largest = max(largest, float(np.abs(X[:, start : start + _CHUNK]).max(initial=0.0)))
    return int(np.frexp(largest)[1])


def times_power_of_two(X: Any, exponent: int) -> Any:
    """A copy of ``2^exponent X`` in the same format and memory order."""
    if sp.issparse(X):
        scaled = X.copy()
        scaled.data = np.ldexp(scaled.data, exponent)
        return scaled
    return np.ldexp(X, exponent)


def strength(alpha: float, exponent: int) -> float:
    """``2^exponent alpha``, at most the largest number there is."""
    with np.errstate(over="ignore"):
        return float(min(np.ldexp(alpha, exponent), np.finfo(np.float64).max))
