"""Backward elimination on the inverse of a matrix of correlations."""

import numpy as np

from sksparse._kernels._compiled import njit


@njit(cache=True, inner=True)
def _least_salient(inverse, coef, penalties, free, k):
    """Entry whose removal raises the loss least beyond its penalty, and by how much."""
    least, entry = np.inf, -1
    for i in range(k):
        if not free[i]:
            rise = coef[i] * coef[i] / inverse[i, i] - penalties[i]
            if rise < least:
                least, entry = rise, i
    return least, entry


@njit(cache=True, inner=True)
def _remove(inverse, coef, features, penalties, free, k, i):
    """Refit without entry i; the last entry moves to its place."""
    pivot = inverse[i, i]
    gone = inverse[i, :k].copy()
    step = coef[i] / pivot
    for a in range(k):
        coef[a] -= gone[a] * step
        factor = gone[a] / pivot
        for b in range(k):
            inverse[a, b] -= factor * gone[b]
    last = k - 1
    features[i], coef[i] = features[last], coef[last]
    penalties[i], free[i] = penalties[last], free[last]
    for a in range(k):
        inverse[i, a] = inverse[last, a]
    for a in range(k):
        inverse[a, i] = inverse[a, last]


@njit(cache=True)
def eliminate(inverse, coef, features, penalties, free, k, limit, tol, most):
    """Drop up to ``most`` of the first k features, in place, while more than ``limit`` count or
    dropping one lowers the objective by more than ``tol``; returns how many are left, in front."""
    counted = 0
    for i in range(k):
        counted += not free[i]
    for _ in range(most):
        rise, entry = _least_salient(inverse, coef, penalties, free, k)
        if entry < 0 or (counted <= limit and rise >= -tol):
            break
        _remove(inverse, coef, features, penalties, free, k, entry)
        k -= 1
        counted -= 1
    return k
