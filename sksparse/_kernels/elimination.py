"""Backward elimination on the inverse of a matrix of correlations."""

import numpy as np

from sksparse._kernels._compiled import njit


@njit(cache=True)
def _cheapest(inverse, coef, prices, free, size):
    """Entry whose removal raises the loss least beyond its price, and by how much."""
    least, entry = np.inf, -1
    for i in range(size):
        if not free[i]:
            rise = coef[i] * coef[i] / inverse[i, i] - prices[i]
            if rise < least:
                least, entry = rise, i
    return least, entry


@njit(cache=True)
def _remove(inverse, coef, features, prices, free, size, i):
    """Refit without entry i; the last entry moves to its place."""
    pivot = inverse[i, i]
    gone = inverse[i, :size].copy()
    step = coef[i] / pivot
    for a in range(size):
        coef[a] -= gone[a] * step
        factor = gone[a] / pivot
        for b in range(size):
            inverse[a, b] -= factor * gone[b]
    last = size - 1
    features[i], coef[i], prices[i], free[i] = features[last], coef[last], prices[last], free[last]
    for a in range(size):
        inverse[i, a] = inverse[last, a]
    for a in range(size):
        inverse[a, i] = inverse[a, last]


@njit(cache=True)
def eliminate(inverse, coef, features, prices, free, size, limit, tol, most):
    """Drop up to ``most`` of the first ``size`` features, in place, while more than ``limit`` count
    or one is not worth its price by more than ``tol``; returns how many are left, at the front."""
    counted = 0
    for i in range(size):
        counted += not free[i]
    for _ in range(most):
        rise, entry = _cheapest(inverse, coef, prices, free, size)
        if entry < 0 or (counted <= limit and rise >= -tol):
            break
        _remove(inverse, coef, features, prices, free, size, entry)
        size -= 1
        counted -= 1
    return size
