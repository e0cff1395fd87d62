"""Features so large or small that their squares leave the range of float64.

Multiplying all features by one power of two is exact, and so is undoing it: with ``X' = 2^k X`` and
``w' = 2^-k w`` predictions are the same, and a penalty that is homogeneous of degree d has
``alpha' = 2^(k d) alpha``. Solvers are given features of moderate size, users get coefficients for
those that they passed.
"""

from __future__ import annotations

import numpy as np


class ScaleError(ValueError):
    """Squares of some features are beyond the range of float64."""


def strength(alpha: float, exponent: int) -> float:
    """``2^exponent alpha``, at most the largest number there is."""
    with np.errstate(over="ignore"):
        return float(min(np.ldexp(alpha, exponent), np.finfo(np.float64).max))
