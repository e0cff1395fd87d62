"""The sorted L1 norm: pooling for its proximal operator, violations of optimality, and the gap."""

import numpy as np

from sksparse._kernels._compiled import njit


@njit(cache=True)
def pool_adjacent(values):
    """The non-negative, non-increasing sequence that is nearest to `values`.

    A stack of blocks, each with its sum, where a block whose mean exceeds that of its left
    neighbour is merged into it; in the end every entry is the mean of its block, or zero.
    """
    p = values.shape[0]
    total = np.empty(p)
    size = np.empty(p, dtype=np.intp)
    top = 0
    for i in range(p):
        total[top] = values[i]
        size[top] = 1
        while top > 0 and total[top - 1] * size[top] <= total[top] * size[top - 1]:
            total[top - 1] += total[top]
            size[top - 1] += size[top]
            top -= 1
        top += 1
    result = np.empty(p)
    at = 0
    for block in range(top):
        mean = max(total[block] / size[block], 0.0)
        result[at : at + size[block]] = mean
        at += size[block]
    return result


@njit(cache=True, inner=True)
def _sort(order, start, stop, keys):
    """Sort a part of ``order`` by decreasing keys."""
    gap = 1
    while gap < (stop - start) // 9:
        gap = 3 * gap + 1
    while gap > 0:
        for i in range(start + gap, stop):
            item = order[i]
            key, k = keys[item], i
            while k >= start + gap and keys[order[k - gap]] < key:
                order[k] = order[k - gap]
                k -= gap
            order[k] = item
        gap //= 3


@njit(cache=True)
def sorted_violations(levels, pull, weights, alpha, scales, result):
    """Violations of optimality of a sorted L1 norm, per unit of the lengths of columns.

    In each cluster of tied levels, every sum of the k largest pulls stays below the sum of the
    first k weights there, and where the level is not zero the total is equal. Features that move
    together are at most as long as all of them side by side.

    Parameters
    ----------
    levels : ndarray of shape (n,)
        Magnitudes, exactly equal within clusters.
    pull : ndarray of shape (n,)
        Minus the gradient along coefficients, and its magnitude where these are zero.
    weights, scales : ndarrays of shape (n,)
        Weights of the norm, and lengths of the columns.
    alpha : float
        Strength.
    result : ndarray of shape (n,)
        The violations: of a cluster the largest one, of a zero that of any prefix that holds it.
    """
    p, n = levels.shape[0], 0
    order, shares = np.empty(p, dtype=np.intp), np.empty(p)
    for j in range(p):
        result[j] = 0.0
        if levels[j] > 0.0:
            order[n] = j
            n += 1
    _sort(order, 0, n, levels)
    # zeros that pull less than all weights that they can meet are never pulled away
    end, known = p, p + 1
    while end < known:
        known, end = end, n
        least = alpha * weights[known - 1] if known > n else 0.0
        for j in range(p):
            if levels[j] == 0.0 and pull[j] > least:
                order[end] = j
                end += 1
    at = 0
    while at < end:
        stop = at + 1
        while stop < end and levels[order[stop]] == levels[order[at]]:
            stop += 1
        _sort(order, at, stop, pull)
        excess, length, worst = 0.0, 0.0, 0.0
        for r in range(at, stop):
            excess += pull[order[r]] - alpha * weights[r]
            length += scales[order[r]]
            shares[r] = excess / length if length > 0.0 else 0.0
        if at < n:
            worst = abs(shares[stop - 1])
            for r in range(at, stop):
                worst = max(worst, shares[r])
        for r in range(stop - 1, at - 1, -1):
            worst = max(worst, shares[r])
            if scales[order[r]] > 0.0:
                result[order[r]] = worst
        at = stop


@njit(cache=True)
def quadratic_gap(origin, descent, coef, cumulative, alpha, constant):
    """Duality gap of half a squared length plus a sorted L1 norm, relative to the objective.

    Parameters
    ----------
    origin, descent, coef : ndarrays of shape (n,)
        Minus the gradient at zero and at the coefficients, and these.
    cumulative : ndarray of shape (n + 1,)
        Sums of the first weights, from zero on.
    alpha : float
        Strength.
    constant : float
        Half the squared length at zero.
    """
    p = coef.shape[0]
    order, keys = np.empty(p, dtype=np.intp), np.empty(p)
    along, loss, n = 0.0, constant, 0
    for j in range(p):
        along += coef[j] * descent[j]
        loss -= 0.5 * coef[j] * (origin[j] + descent[j])
        keys[j] = abs(coef[j])
        if keys[j] > 0.0:
            order[n] = j
            n += 1
    _sort(order, 0, n, keys)
    penalty = 0.0
    for r in range(n):
        penalty += alpha * (cumulative[r + 1] - cumulative[r]) * keys[order[r]]
    for j in range(p):
        keys[j] = abs(descent[j])
        if coef[j] == 0.0:
            order[n] = j
            n += 1
    _sort(order, 0, n, keys)
    total, share = 0.0, 1.0
    for r in range(n):
        total += keys[order[r]]
        if share * total > alpha * cumulative[r + 1]:
            share = alpha * cumulative[r + 1] / total
    gap = max(penalty - share * along, 0.0) + (1.0 - share) ** 2 * loss
    return gap / (loss + penalty) if loss + penalty > 0.0 else 0.0
