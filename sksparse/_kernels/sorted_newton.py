"""Newton steps for a quadratic plus a sorted L1 norm, on the pattern of a point.

While the pattern of zeros, signs, order and ties stays, the penalty is linear in the magnitudes of
the clusters, and the minimum solves a linear system. Where that leaves the pattern, the objective
along the step, which is convex across all borders, is minimised.
"""

import numpy as np

from sksparse._kernels._compiled import njit

# Added to the diagonal of systems of equations, for rows and columns of one scale.
_JITTER = 1e-13
# Doublings of a step from the first border on, and halvings that follow.
_MOST_DOUBLINGS, _HALVINGS = 60, 8
# So far beyond a border the order of magnitudes is the one behind it.
_BEYOND = 1e-6
# A change of the objective by this share is none.
_ROUNDING = 1e-14


@njit(cache=True, inner=True)
def _sort(order, n, keys):
    """Sort the first entries of ``order`` by decreasing keys; fast where they nearly are."""
    gap = 1
    while gap < n // 9:
        gap = 3 * gap + 1
    while gap > 0:
        for i in range(gap, n):
            item = order[i]
            key, k = keys[item], i
            while k >= gap and keys[order[k - gap]] < key:
                order[k] = order[k - gap]
                k -= gap
            order[k] = item
        gap //= 3


@njit(cache=True, inner=True, fastmath={"reassoc", "contract"})
def _dot(left, right, n):
    total = 0.0
    for i in range(n):
        total += left[i] * right[i]
    return total


@njit(cache=True, inner=True, fastmath={"reassoc", "contract"})
def _four_dots(rows, start, right, n):
    """Products of four rows, from ``start`` on, with one vector: faster than one by one."""
    row0, row1, row2, row3 = rows[start], rows[start + 1], rows[start + 2], rows[start + 3]
    dot0, dot1, dot2, dot3 = 0.0, 0.0, 0.0, 0.0
    for i in range(n):
        dot0 += row0[i] * right[i]
        dot1 += row1[i] * right[i]
        dot2 += row2[i] * right[i]
        dot3 += row3[i] * right[i]
    return dot0, dot1, dot2, dot3


@njit(cache=True, inner=True)
def _solve(system, right):
    """Solve a positive definite system in place, by Cholesky; returns whether it is one."""
    k = right.shape[0]
    roots = np.empty(k)
    for i in range(k):
        if not system[i, i] > 0.0:
            return False
        roots[i] = np.sqrt(system[i, i])
    for i in range(k):
        right[i] /= roots[i]
        for j in range(i):
            system[i, j] /= roots[i] * roots[j]
    for start in range(0, k, 4):
        # four rows up to their common part, then each to its end
        common = start if start + 4 <= k else 0
        for j in range(common):
            dots = _four_dots(system, start, system[j], j)
            system[start, j] = (system[start, j] - dots[0]) / system[j, j]
            system[start + 1, j] = (system[start + 1, j] - dots[1]) / system[j, j]
            system[start + 2, j] = (system[start + 2, j] - dots[2]) / system[j, j]
            system[start + 3, j] = (system[start + 3, j] - dots[3]) / system[j, j]
        for i in range(start, min(start + 4, k)):
            row = system[i]
            for j in range(common, i):
                row[j] = (row[j] - _dot(row, system[j], j)) / system[j, j]
            left = 1.0 + _JITTER - _dot(row, row, i)
            if not left > 0.0:
                return False
            row[i] = np.sqrt(left)
            right[i] = (right[i] - _dot(row, right, i)) / row[i]
    for i in range(k - 1, -1, -1):
        right[i] /= system[i, i]
        for j in range(i):
            right[j] -= right[i] * system[i, j]
    for i in range(k):
        right[i] /= roots[i]
    return True


@njit(cache=True, inner=True)
def _best_on_pattern(matrix, descent, coef, order, labels, n_used, cumulative, alpha, levels):
    """Write the magnitudes of the clusters at the minimum while the pattern stays, if any.

    The system is one for their changes, so that repeated steps correct its rounding.
    """
    k = levels.shape[0]
    system, signs, first = np.zeros((k, k)), np.empty(n_used), 0
    for r in range(n_used):
        i = order[r]
        sign, row, along = np.sign(coef[i]), system[labels[r]], matrix[i]
        signs[r] = sign
        if r > 0 and labels[r] != labels[r - 1]:
            first = r
        levels[labels[r]] += sign * descent[i] - alpha * (cumulative[r + 1] - cumulative[r])
        for s in range(first):
            row[labels[s]] += sign * signs[s] * along[order[s]]
        within = along[i]
        for s in range(first, r):
            within += 2.0 * sign * signs[s] * along[order[s]]
        row[labels[r]] += within
    if not _solve(system, levels):
        return False
    for r in range(n_used):
        if r == 0 or labels[r] != labels[r - 1]:
            levels[labels[r]] += abs(coef[order[r]])
    return True


@njit(cache=True, inner=True)
def _penalty(coef, order, n_used, cumulative):
    """Sorted L1 norm of coefficients in order."""
    total = 0.0
    for r in range(n_used):
        total += (cumulative[r + 1] - cumulative[r]) * abs(coef[order[r]])
    return total


@njit(cache=True, inner=True)
def _slope(coef, step, share, order, n_used, keys, cumulative, alpha):
    """Derivative of the penalty along a step."""
    for r in range(n_used):
        keys[order[r]] = abs(coef[order[r]] + share * step[order[r]])
    _sort(order, n_used, keys)
    slope = 0.0
    for r in range(n_used):
        i = order[r]
        sign = np.sign(coef[i] + share * step[i])
        slope += alpha * (cumulative[r + 1] - cumulative[r]) * sign * step[i]
    return slope


@njit(cache=True, inner=True)
def _label(coef, order, n_used, labels):
    """Number the clusters of coefficients in order; returns how many they are."""
    last = -1
    for r in range(n_used):
        if r == 0 or abs(coef[order[r]]) != abs(coef[order[r - 1]]):
            last += 1
        labels[r] = last
    return last + 1


@njit(cache=True, inner=True)
def _first_border(coef, order, labels, n_used, levels):
    """The share of a step that first ties two clusters, or one with zero, and the larger one.

    Beyond one where the pattern stays.
    """
    share, closing = 2.0, -1
    for r in range(n_used):
        k = labels[r]
        if r < n_used - 1 and labels[r + 1] == k:
            continue
        gap, target = abs(coef[order[r]]), levels[k]
        if r < n_used - 1:
            gap -= abs(coef[order[r + 1]])
            target -= levels[k + 1]
        if target <= 0.0 and gap < share * (gap - target):
            share, closing = gap / (gap - target), k
    return share, closing


@njit(cache=True, inner=True)
def _best_share(coef, step, pull, curvature, order, n_used, keys, cumulative, alpha, border):
    """The share of a step that is best, from the first border on; that itself where it is best."""
    low, high, share = 0.0, -1.0, min(border * (1.0 + _BEYOND), 1.0)
    for _ in range(_MOST_DOUBLINGS):
        slope = _slope(coef, step, share, order, n_used, keys, cumulative, alpha)
        if share * curvature - pull + slope > 0.0:
            high = share
            break
        low = share
        if share == 1.0:
            break
        share = min(2.0 * share, 1.0)
    if low == 0.0:
        return border
    for _ in range(_HALVINGS if low < high else 0):
        share = 0.5 * (low + high)
        slope = _slope(coef, step, share, order, n_used, keys, cumulative, alpha)
        if share * curvature - pull + slope > 0.0:
            high = share
        else:
            low = share
    return low


@njit(cache=True)
def newton_step(matrix, origin, descent, coef, cumulative, alpha, budget, crosses, places, work):
    """A Newton step in place, as long as is best.

    Parameters
    ----------
    matrix : ndarray of shape (n, n)
        H, symmetric.
    origin, descent, coef : ndarrays of shape (n,)
        q, minus the gradient, and the coefficients.
    cumulative : ndarray of shape (n + 1,)
        Sums of the first weights, from zero on.
    alpha : float
        Strength.
    budget : float
        Multiplications that the step may take.
    crosses : bool
        Whether the step may cross borders of the pattern, or ends at the first.
    places : ndarray of shape (4, n)
        Memory for positions.
    work : ndarray of shape (4, n)
        Memory for numbers.

    Returns
    -------
    cost : float
        Multiplications that were spent.
    share : float
        How much of the step was made: below one, another step on the new pattern may follow.
    """
    order, ranked, labels, p = places[0], places[2], places[3], coef.shape[0]
    keys, trial, step, after = work[0], work[1], work[2], work[3]
    n_used = 0
    for j in range(p):
        keys[j] = abs(coef[j])
        if coef[j] != 0.0:
            order[n_used] = j
            n_used += 1
    _sort(order, n_used, keys)
    n_levels = _label(coef, order, n_used, labels)
    cost = n_used * (n_used + p) + n_levels**3 / 6.0
    levels = np.zeros(n_levels)
    if n_used == 0 or cost > budget:
        return 0.0, 0.0
    if not _best_on_pattern(
        matrix, descent, coef, order, labels, n_used, cumulative, alpha, levels
    ):
        return cost, 0.0
    border, closing = _first_border(coef, order, labels, n_used, levels)
    for j in range(p):
        step[j], after[j] = 0.0, origin[j]
    before = alpha * _penalty(coef, order, n_used, cumulative)
    for r in range(n_used):
        i = order[r]
        value = levels[labels[r]] if coef[i] > 0.0 else -levels[labels[r]]
        step[i] = value - coef[i]
        for j in range(p):
            after[j] -= value * matrix[i, j]
    pull, curvature, size = 0.0, 0.0, before
    for j in range(p):
        pull += step[j] * descent[j]
        curvature += step[j] * (descent[j] - after[j])
        size += 0.5 * abs(coef[j]) * (abs(origin[j]) + abs(descent[j]))
    share = 1.0
    if border <= 1.0:
        for r in range(n_used):
            ranked[r] = order[r]
        share = border
        if crosses:
            share = _best_share(
                coef, step, pull, curvature, ranked, n_used, keys, cumulative, alpha, border
            )
    for r in range(n_used - 1, -1, -1):
        i = order[r]
        ranked[r], trial[i] = i, coef[i] + share * step[i]
        keys[i] = abs(trial[i])
        if share == border and labels[r] == closing:
            # exactly that of the next cluster, or zero
            keys[i] = keys[order[r + 1]] if r + 1 < n_used else 0.0
            trial[i] = keys[i] if coef[i] > 0.0 else -keys[i]
    _sort(ranked, n_used, keys)
    change = share * (0.5 * share * curvature - pull) - before
    for r in range(n_used):
        change += alpha * (cumulative[r + 1] - cumulative[r]) * keys[ranked[r]]
    if change > _ROUNDING * size:
        return cost, 0.0
    for r in range(n_used):
        coef[order[r]] = trial[order[r]]
    for j in range(p):
        descent[j] += share * (after[j] - descent[j])
    return cost, share
