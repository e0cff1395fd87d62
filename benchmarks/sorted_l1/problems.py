"""Problems with sorted L1 norms, with their objective and duality gap, in plain NumPy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

from benchmarks.judged import JudgedProblem, targets_of, toeplitz

#: Four blocks of so many features beside each other have these coefficients.
BLOCK, COEFFICIENTS = 10, (3.0, -2.0, 2.0, -1.0)
SIGNAL_TO_NOISE, CORRELATION, Q = 10.0, 0.6, 0.1


@dataclass(frozen=True)
class SortedProblem(JudgedProblem):
    """Mean loss plus ``alpha * sum_i weights_i |w|_(i)``, with an intercept.

    Parameters
    ----------
    X, y, logistic
        As in :class:`JudgedProblem`.
    weights : ndarray of shape (n_features,)
        Positive and non-increasing.
    """

    weights: np.ndarray

    def penalties(self, coefs: np.ndarray) -> np.ndarray:
        """The penalty at unit strength of each column of coefficients."""
        return self.weights @ np.sort(np.abs(coefs), axis=0)[::-1]

    def dual_norms(self, gradients: np.ndarray) -> np.ndarray:
        """The least strength at which each column of gradients allows coefficients of zero."""
        loads = np.cumsum(np.sort(np.abs(gradients), axis=0)[::-1], axis=0)
        return (loads / np.cumsum(self.weights)[:, None]).max(axis=0)


def weights_of(kind: str, n_features: int) -> np.ndarray:
    """OSCAR's fall from 5 to 1, those of Benjamini and Hochberg are normal quantiles."""
    if kind == "OSCAR":
        return np.linspace(5.0, 1.0, n_features)
    if kind == "BH":
        return norm.isf(np.arange(1, n_features + 1) * Q / (2 * n_features))
    return np.ones(n_features)


def draw(shape: tuple[int, int], kind: str, seed: int, *, logistic: bool = False) -> SortedProblem:
    """A planted problem: blocks of equal coefficients, and noise."""
    n, p = shape
    rng = np.random.default_rng(seed)
    X = toeplitz(n, p, CORRELATION, rng)
    coef = np.zeros(p)
    starts = rng.choice(p // BLOCK, len(COEFFICIENTS), replace=False) * BLOCK
    for start, value in zip(starts, COEFFICIENTS, strict=True):
        coef[start : start + BLOCK] = value
    y = targets_of(X @ coef, SIGNAL_TO_NOISE, rng, logistic=logistic)
    return SortedProblem(X, y, weights_of(kind, p), logistic=logistic)
