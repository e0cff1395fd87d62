"""Coordinate descent on a quadratic plus a sorted L1 norm.

A coefficient, or all coefficients of one magnitude together, move to the minimum along their line.
The penalty along it is piecewise linear with corners at the other magnitudes, so that the minimum
is between two of them, at one of them (which ties the two), or at zero. The quadratic is
``w^T H w / 2 - q^T w``, and ``descent`` is ``q - H w``.
"""

import numpy as np

from sksparse._kernels._compiled import njit


@njit(cache=True)
def _best_magnitude(curvature, pull, size, others, n_others, weights, alpha):
    """The t >= 0 that minimises ``curvature t^2 / 2 - pull t + alpha * penalty``.

    ``others`` are the positive magnitudes that stay, not increasing; ``size`` coefficients share t.
    """
    if not (abs(pull) < np.inf and curvature < np.inf):
        return 0.0  # a nan would break the ranking of all later steps
    # From zero upwards: below the k-th of the others, t takes the weights from k on.
    slope = 0.0
    for i in range(n_others, n_others + size):
        slope += weights[i]
    k = n_others
    while True:
        t = (pull - alpha * slope) / curvature
        lower = others[k] if k < n_others else 0.0
        if t <= lower:
            return lower
        if k == 0 or t <= others[k - 1]:
            return t
        k -= 1
        slope += weights[k] - weights[k + size]


@njit(cache=True, inner=True)
def _place(sorted_magnitudes, n, value):
    """Insert a magnitude into the first n, which do not increase."""
    i = n
    while i > 0 and sorted_magnitudes[i - 1] < value:
        sorted_magnitudes[i] = sorted_magnitudes[i - 1]
        i -= 1
    sorted_magnitudes[i] = value


@njit(cache=True, inner=True)
def _remove(sorted_magnitudes, n, value, size):
    """Remove ``size`` entries of one value from the first n."""
    low, high = 0, n
    while low < high:
        middle = (low + high) // 2
        if sorted_magnitudes[middle] > value:
            low = middle + 1
        else:
            high = middle
    for i in range(low, n - size):
        sorted_magnitudes[i] = sorted_magnitudes[i + size]


@njit(cache=True, inner=True)
def _move(matrix, descent, coef, j, value):
    delta = value - coef[j]
    if delta != 0.0:
        for i in range(descent.shape[0]):
            descent[i] -= delta * matrix[j, i]
        coef[j] = value


@njit(cache=True)
def sorted_descent(matrix, descent, coef, ranked, weights, alpha):
    """One sweep over clusters and over single coefficients, in place.

    ``ranked`` holds the magnitudes of ``coef``, not increasing, and does so afterwards.
    """
    p = coef.shape[0]
    n_used = 0
    while n_used < p and ranked[n_used] > 0.0:
        n_used += 1
    members = np.empty(p, dtype=np.intp)
    done = np.zeros(p, dtype=np.bool_)
    for j in range(p):
        magnitude = abs(coef[j])
        if magnitude == 0.0 or done[j]:
            continue
        size = 0
        for i in range(j, p):
            if abs(coef[i]) == magnitude:
                members[size] = i
                done[i] = True
                size += 1
        if size == 1:
            continue
        pull, curvature = 0.0, 0.0
        for a in range(size):
            sign_a = 1.0 if coef[members[a]] > 0.0 else -1.0
            pull += sign_a * descent[members[a]]
            for c in range(size):
                sign_c = 1.0 if coef[members[c]] > 0.0 else -1.0
                curvature += sign_a * sign_c * matrix[members[a], members[c]]
        if curvature <= 0.0:
            continue
        pull += curvature * magnitude
        _remove(ranked, n_used, magnitude, size)
        n_used -= size
        t = _best_magnitude(curvature, abs(pull), size, ranked, n_used, weights, alpha)
        if t > 0.0:
            for _ in range(size):
                _place(ranked, n_used, t)
                n_used += 1
        turn = 1.0 if pull > 0.0 else -1.0
        for a in range(size):
            sign = turn if coef[members[a]] > 0.0 else -turn
            _move(matrix, descent, coef, members[a], sign * t)
    for j in range(p):
        curvature = matrix[j, j]
        pull = descent[j] + curvature * coef[j]
        if curvature <= 0.0 or (coef[j] == 0.0 and abs(pull) <= alpha * weights[n_used]):
            continue
        if coef[j] != 0.0:
            _remove(ranked, n_used, abs(coef[j]), 1)
            n_used -= 1
        t = _best_magnitude(curvature, abs(pull), 1, ranked, n_used, weights, alpha)
        if t > 0.0:
            _place(ranked, n_used, t)
            n_used += 1
        _move(matrix, descent, coef, j, t if pull > 0.0 else -t)
    ranked[n_used:] = 0.0
