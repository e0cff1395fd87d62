"""Descent over rows and clusters for a quadratic of several outputs plus a sorted L1 norm.

The quadratic is ``sum_o w_o^T H w_o / 2 - q_o^T w_o``, and ``descent`` is ``q - H w``, both with a
row for each output. The norm sorts the lengths of the features' coefficients, ``radius``: features
are tied where these are equal bit for bit. One feature moves to its minimum, which is along its
pull; features of one length move along their directions together, and as many of them as pull
harder than their weights leave the others behind. The penalty along such a line is piecewise linear
with corners at the other lengths, so that the minimum is between two of them, at one of them (which
ties the two), or at zero.
"""

import numpy as np

from sksparse._kernels._compiled import njit


@njit(cache=True)
def _best_length(curvature, pull, size, ranked, n_ranked, weights, alpha):
    """The t >= 0 that minimises ``curvature t^2 / 2 - pull t + alpha * penalty``.

    The first ``n_ranked`` of ``ranked``, not increasing, are the lengths that stay; ``size``
    features share t.
    """
    if not (pull < np.inf and curvature < np.inf):
        return 0.0  # a nan would break the ranking of all later steps
    slope = 0.0
    for i in range(n_ranked, n_ranked + size):
        slope += weights[i]
    k = n_ranked
    while True:
        # between the k-th of the others and the one before, t takes the weights from k on
        t = (pull - alpha * slope) / curvature
        lower = ranked[k] if k < n_ranked else 0.0
        if t <= lower:
            return lower
        if k == 0 or t <= ranked[k - 1]:
            return t
        k -= 1
        slope += weights[k] - weights[k + size]


@njit(cache=True, inner=True)
def _rank(ranked, n, value):
    """How many of the first n, which do not increase, are larger than a value."""
    low, high = 0, n
    while low < high:
        middle = (low + high) // 2
        if ranked[middle] > value:
            low = middle + 1
        else:
            high = middle
    return low


@njit(cache=True, inner=True)
def _replace(ranked, n, old, new, size):
    """Let ``size`` features of length ``old`` have the length ``new``; how many are not zero."""
    if old > 0.0:
        n -= size
        for i in range(_rank(ranked, n + size, old), n):
            ranked[i] = ranked[i + size]
    if new > 0.0:
        first = _rank(ranked, n, new)
        for i in range(n - 1, first - 1, -1):
            ranked[i + size] = ranked[i]
        for i in range(first, first + size):
            ranked[i] = new
        n += size
    return n


@njit(cache=True, inner=True)
def _sort_down(keys, members, n):
    """Sort the first n keys, largest first, and the members with them (Shell's method)."""
    step = n // 2
    while step > 0:
        for i in range(step, n):
            key, member, at = keys[i], members[i], i
            while at >= step and keys[at - step] < key:
                keys[at], members[at] = keys[at - step], members[at - step]
                at -= step
            keys[at], members[at] = key, member
        step //= 2


@njit(cache=True, inner=True)
def _pulling(descent, coef, radius, members, keys, n):
    """Sort members by how hard they are pulled along their directions, hardest first."""
    for k in range(n):
        j, total = members[k], 0.0
        if radius[j] > 0.0:
            for o in range(descent.shape[0]):
                total += descent[o, j] * coef[o, j]
            keys[k] = total / radius[j]
        else:
            for o in range(descent.shape[0]):
                total += descent[o, j] * descent[o, j]
            keys[k] = np.sqrt(total)
    _sort_down(keys, members, n)


@njit(cache=True, inner=True)
def _leading(keys, n, weights, first, alpha):
    """How many of the first n pull harder than their weights, taken together, by the most each."""
    excess, most, size = 0.0, 0.0, 0
    for k in range(n):
        excess += keys[k] - alpha * weights[first + k]
        if excess > most * (k + 1):
            most, size = excess / (k + 1), k + 1
    return size


@njit(cache=True)
def _move_together(matrix, descent, coef, radius, members, size, ranked, n_used, weights, alpha):
    """Move features of one length along their directions; how many features are not zero then."""
    n_outputs, p = descent.shape
    product = np.zeros((n_outputs, p))
    unit = np.empty((n_outputs, size))
    length = radius[members[0]]
    for k in range(size):
        j, norm = members[k], 0.0
        for o in range(n_outputs):
            unit[o, k] = coef[o, j] if length > 0.0 else descent[o, j]
            norm += unit[o, k] * unit[o, k]
        norm = np.sqrt(norm)
        if norm == 0.0:
            return n_used
        for o in range(n_outputs):
            unit[o, k] /= norm
            for i in range(p):
                product[o, i] += unit[o, k] * matrix[j, i]
    curvature, pull = 0.0, 0.0
    for k in range(size):
        for o in range(n_outputs):
            curvature += unit[o, k] * product[o, members[k]]
            pull += unit[o, k] * descent[o, members[k]]
    if curvature <= 0.0:
        return n_used
    pull += curvature * length
    n_others = _replace(ranked, n_used, length, 0.0, size)
    t = _best_length(curvature, abs(pull), size, ranked, n_others, weights, alpha)
    signed = t if pull > 0.0 else -t
    for o in range(n_outputs):
        for i in range(p):
            descent[o, i] -= (signed - length) * product[o, i]
        for k in range(size):
            coef[o, members[k]] = signed * unit[o, k]
    for k in range(size):
        radius[members[k]] = t
    return _replace(ranked, n_others, 0.0, t, size)


@njit(cache=True)
def _move_row(matrix, descent, coef, radius, j, ranked, n_used, weights, alpha, pull):
    """Move one feature to its minimum; how many features are not zero then."""
    curvature, total = matrix[j, j], 0.0
    for o in range(descent.shape[0]):
        pull[o] = descent[o, j] + curvature * coef[o, j]
        total += pull[o] * pull[o]
    norm = np.sqrt(total)
    if curvature <= 0.0 or (radius[j] == 0.0 and norm <= alpha * weights[n_used]):
        return n_used
    n_others = _replace(ranked, n_used, radius[j], 0.0, 1)
    t = _best_length(curvature, norm, 1, ranked, n_others, weights, alpha)
    factor = t / norm if t > 0.0 else 0.0
    for o in range(descent.shape[0]):
        value = factor * pull[o]
        delta = value - coef[o, j]
        if delta != 0.0:
            coef[o, j] = value
            for i in range(descent.shape[1]):
                descent[o, i] -= delta * matrix[j, i]
    radius[j] = t
    return _replace(ranked, n_others, 0.0, t, 1)


@njit(cache=True)
def sorted_rows(matrix, descent, coef, radius, order, weights, alpha, sweeps):
    """Move what is tied together once, and then each feature ``sweeps`` times, in place.

    ``order`` sorts the features by ``radius``, largest first.
    """
    n_outputs, p = coef.shape
    ranked, keys, pull = np.empty(p), np.empty(p), np.empty(n_outputs)
    members = np.empty(p, dtype=np.intp)
    n_used = 0
    for k in range(p):
        ranked[k] = radius[order[k]]
        if ranked[k] > 0.0:
            n_used += 1
    start, n_first = 0, n_used
    while start < n_first:
        length, size = radius[order[start]], 0
        while start + size < n_first and radius[order[start + size]] == length:
            members[size] = order[start + size]
            size += 1
        start += size
        if size > 1:
            _pulling(descent, coef, radius, members, keys, size)
            first = _rank(ranked, n_used, length)
            leading = _leading(keys, size, weights, first, alpha)
            n_used = _move_together(
                matrix,
                descent,
                coef,
                radius,
                members,
                leading if leading > 0 else size,
                ranked,
                n_used,
                weights,
                alpha,
            )
    size = 0
    for k in range(n_first, p):
        if matrix[order[k], order[k]] > 0.0:
            members[size] = order[k]
            size += 1
    _pulling(descent, coef, radius, members, keys, size)
    leading = _leading(keys, size, weights, n_used, alpha)
    # alone, a feature enters below
    if leading > 1:
        n_used = _move_together(
            matrix,
            descent,
            coef,
            radius,
            members,
            leading,
            ranked,
            n_used,
            weights,
            alpha,
        )
    for _ in range(sweeps):
        for j in range(p):
            n_used = _move_row(
                matrix, descent, coef, radius, j, ranked, n_used, weights, alpha, pull
            )
