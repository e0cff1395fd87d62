"""Descent on a quadratic plus a sorted L1 norm, over clusters of coefficients with one magnitude.

The quadratic is ``w^T H w / 2 - q^T w``, and ``descent`` is ``q - H w``. A round has three parts.

* Sweeps of coordinate descent: all coefficients of one magnitude move together to the minimum along
  their line. The penalty along it has corners at the other magnitudes, so that the minimum is
  between two of them, at one of them (which ties the two), or at zero. Coefficients in use are kept
  in the order of their magnitudes; a move is mostly short, and the search for its end begins where
  it was.
* Splits: where some members of a cluster, or some zeros, pull more than the largest weights that
  they share can hold, these move together. A point that neither sweeps nor splits move is optimal.
* A Newton step: while the pattern of zeros, signs, order and ties stays, the penalty is linear, and
  the minimum solves a linear system. Where that leaves the pattern, the objective along the step,
  which is convex across all borders, is minimised.
"""

import numpy as np

from sksparse._kernels._compiled import njit

# Added to the diagonal of systems of equations, for rows and columns of one scale.
_JITTER = 1e-13
# Halvings of a Newton step.
_HALVINGS = 10
# A change of the objective by this share is none.
_ROUNDING = 1e-14


@njit(cache=True)
def best_magnitude(curvature, pull, at, size, magnitudes, n_used, cumulative, alpha):
    """The t >= 0 that minimises ``curvature t^2 / 2 - pull t + alpha * penalty``.

    ``size`` of the ``magnitudes`` have this value, those from position ``at`` on; ``cumulative``
    are sums of the first weights. Returns t and how many of the others stay before it.
    """
    if not (abs(pull) < np.inf and curvature < np.inf):
        return 0.0, n_used - size  # a nan would break the ranking of all later steps
    # With k of the others above, t takes the weights from k on.
    k = at
    t = (pull - alpha * (cumulative[k + size] - cumulative[k])) / curvature
    if k > 0 and t > magnitudes[k - 1]:
        while k > 0 and t > magnitudes[k - 1]:
            k -= 1
            t = (pull - alpha * (cumulative[k + size] - cumulative[k])) / curvature
            if t <= magnitudes[k]:
                return magnitudes[k], k + 1
        return t, k
    while k < n_used - size and t < magnitudes[k + size]:
        lower = magnitudes[k + size]
        k += 1
        t = (pull - alpha * (cumulative[k + size] - cumulative[k])) / curvature
        if t >= lower:
            return lower, k
    return max(t, 0.0), k


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


@njit(cache=True, inner=True)
def _rank(coef, order, keys):
    """Order the coefficients that are not zero by magnitude; returns how many they are."""
    n_used = 0
    for j in range(coef.shape[0]):
        keys[j] = abs(coef[j])
        if coef[j] != 0.0:
            order[n_used] = j
            n_used += 1
    _sort(order, n_used, keys)
    return n_used


@njit(cache=True, inner=True)
def _move_in_order(order, rank, magnitudes, at, size, to, t, members):
    """Move ``size`` entries, whose magnitude becomes t, from one position to another."""
    for i in range(size):
        members[i] = order[at + i]
    for r in range(at, to):
        order[r], magnitudes[r] = order[r + size], magnitudes[r + size]
        rank[order[r]] = r
    for r in range(at + size - 1, to + size - 1, -1):
        order[r], magnitudes[r] = order[r - size], magnitudes[r - size]
        rank[order[r]] = r
    for i in range(size):
        order[to + i], magnitudes[to + i] = members[i], t
        rank[members[i]] = to + i


@njit(cache=True, inner=True)
def _move(matrix, descent, coef, places, magnitudes, at, size, n_used, cumulative, alpha):
    """Move ``size`` coefficients of one magnitude, from position ``at`` on, to their minimum.

    Returns how many coefficients are in use then, how many have moved, and whether the pattern
    changed. Those that are zero move as their gradients pull.
    """
    order, rank, members = places[0], places[1], places[2]
    before, pull, curvature = magnitudes[at], 0.0, 0.0
    for a in range(at, at + size):
        sign = _sign(coef, descent, order[a])
        pull += sign * descent[order[a]]
        for b in range(at, at + size):
            curvature += sign * _sign(coef, descent, order[b]) * matrix[order[a], order[b]]
    t, to, turn = before, at, 1.0
    if curvature > 0.0:
        pull += curvature * before
        turn = -1.0 if pull < 0.0 else 1.0
        t, to = best_magnitude(
            curvature, abs(pull), at, size, magnitudes, n_used, cumulative, alpha
        )
    if t == before and turn > 0.0:
        return n_used - (size if t == 0.0 else 0), 0, False
    for a in range(size):
        members[a] = order[at + a]
    for r in range(at, to):
        order[r], magnitudes[r] = order[r + size], magnitudes[r + size]
        rank[order[r]] = r
    for r in range(at + size - 1, to + size - 1, -1):
        order[r], magnitudes[r] = order[r - size], magnitudes[r - size]
        rank[order[r]] = r
    for a in range(size):
        i = members[a]
        order[to + a], magnitudes[to + a], rank[i] = i, t, to + a
        value = turn * t * _sign(coef, descent, i)
        delta = value - coef[i]
        coef[i] = value
        for b in range(coef.shape[0]):
            descent[b] -= delta * matrix[i, b]
    changed = to != at or t == 0.0 or before == 0.0 or turn < 0.0
    changed |= to > 0 and magnitudes[to - 1] == t
    changed |= to + size < n_used and magnitudes[to + size] == t
    return n_used - (size if t == 0.0 else 0), size, changed


@njit(cache=True, inner=True)
def _sign(coef, descent, j):
    """Sign of a coefficient, or of its pull where it is zero."""
    of = coef[j] if coef[j] != 0.0 else descent[j]
    return -1.0 if of < 0.0 else 1.0


@njit(cache=True, inner=True)
def _sweeps(matrix, descent, coef, places, magnitudes, n_used, cumulative, alpha, most):
    """Move all clusters and zeros in turn, until a sweep leaves the pattern as it is.

    Returns how many coefficients are in use, and the number of moves.
    """
    order, rank, n_moves = places[0], places[1], 0
    for r in range(n_used):
        magnitudes[r] = abs(coef[order[r]])
        rank[order[r]] = r
    for _ in range(most):
        any_changed = False
        for j in range(coef.shape[0]):
            if coef[j] == 0.0:
                if not abs(descent[j]) > alpha * (cumulative[n_used + 1] - cumulative[n_used]):
                    continue
                at, size = n_used, 1
                order[at], magnitudes[at] = j, 0.0
                n_used += 1
            else:
                at, size = rank[j], 1
                if at > 0 and magnitudes[at - 1] == magnitudes[at]:
                    continue  # a cluster moves when the turn of its first member comes
                while at + size < n_used and magnitudes[at + size] == magnitudes[at]:
                    size += 1
            n_used, moved, changed = _move(
                matrix, descent, coef, places, magnitudes, at, size, n_used, cumulative, alpha
            )
            n_moves += moved
            any_changed |= changed
        if not any_changed:
            break
    return n_used, n_moves


@njit(cache=True, inner=True)
def _members(descent, coef, places, n_used, at, keys, least):
    """List the cluster that begins at a position, or zeros that pull more than the least weight.

    Those that pull most along their signs come first; returns how many they are.
    """
    order, members, size = places[0], places[2], 0
    if at < n_used:
        magnitude = abs(coef[order[at]])
        while at + size < n_used and abs(coef[order[at + size]]) == magnitude:
            members[size] = order[at + size]
            size += 1
    else:
        for j in range(coef.shape[0]):
            if coef[j] == 0.0 and abs(descent[j]) > least:
                members[size] = j
                size += 1
    for a in range(size):
        keys[members[a]] = descent[members[a]] * _sign(coef, descent, members[a])
    _sort(members, size, keys)
    return size


@njit(cache=True, inner=True)
def _prefix(members, size, at, keys, scales, cumulative, alpha):
    """The first members that together pull most beyond their weights, per length.

    Returns how many they are, by how much, and by how much all of them do.
    """
    excess, length, best, worst = 0.0, 0.0, 0, 0.0
    for a in range(size):
        excess += keys[members[a]] - alpha * (cumulative[at + a + 1] - cumulative[at + a])
        length += scales[members[a]]
        if excess > worst * length and length > 0.0:
            best, worst = a + 1, excess / length
    return best, worst, excess / length if length > 0.0 else 0.0


@njit(cache=True, inner=True)
def _violation(descent, coef, scales, places, n_used, keys, cumulative, alpha):
    """The largest violation of optimality, for columns of the given lengths."""
    p = coef.shape[0]
    least, worst, at = alpha * (cumulative[p] - cumulative[p - 1]), 0.0, 0
    while at < n_used:
        size = _members(descent, coef, places, n_used, at, keys, least)
        _, off, total = _prefix(places[2], size, at, keys, scales, cumulative, alpha)
        worst = max(worst, off, -total)
        at += size
    size = _members(descent, coef, places, n_used, n_used, keys, least)
    _, off, _ = _prefix(places[2], size, n_used, keys, scales, cumulative, alpha)
    return max(worst, off)


@njit(cache=True, inner=True)
def _split(matrix, descent, coef, scales, places, work, n_used, cumulative, alpha):
    """Move the members of clusters, and the zeros, that pull too much together.

    From small magnitudes to large ones, since they move up. Returns how many are in use.
    """
    order, members, magnitudes, keys = places[0], places[2], work[0], work[1]
    p, at = coef.shape[0], n_used
    least = alpha * (cumulative[p] - cumulative[p - 1])
    size = _members(descent, coef, places, n_used, at, keys, least)
    best, _, _ = _prefix(members, size, at, keys, scales, cumulative, alpha)
    if best > 0:
        for a in range(best):
            order[at + a], magnitudes[at + a] = members[a], 0.0
        n_used, _, _ = _move(
            matrix, descent, coef, places, magnitudes, at, best, at + best, cumulative, alpha
        )
    end = n_used
    while end > 0:
        at = end - 1
        while at > 0 and magnitudes[at - 1] == magnitudes[at]:
            at -= 1
        if end - at > 1:
            size = _members(descent, coef, places, n_used, at, keys, least)
            best, _, _ = _prefix(members, size, at, keys, scales, cumulative, alpha)
            if 0 < best < size:
                for a in range(size):
                    order[at + a] = members[a]
                n_used, _, _ = _move(
                    matrix, descent, coef, places, magnitudes, at, best, n_used, cumulative, alpha
                )
        end = at
    return n_used


@njit(cache=True, inner=True)
def _penalty(coef, order, n_used, cumulative):
    """Sorted L1 norm of coefficients in order."""
    total = 0.0
    for r in range(n_used):
        total += (cumulative[r + 1] - cumulative[r]) * abs(coef[order[r]])
    return total


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
        row = system[i]
        for j in range(i):
            row[j] /= roots[i] * roots[j]
        for j in range(i):
            row[j] = (row[j] - _dot(row, system[j], j)) / system[j, j]
        left = 1.0 + _JITTER - _dot(row, row, i)
        if not left > 0.0:
            return False
        row[i] = np.sqrt(left)
        right[i] = (right[i] / roots[i] - _dot(row, right, i)) / row[i]
    for i in range(k - 1, -1, -1):
        right[i] /= system[i, i]
        for j in range(i):
            right[j] -= right[i] * system[i, j]
    for i in range(k):
        right[i] /= roots[i]
    return True


@njit(cache=True, inner=True, fastmath={"reassoc", "contract"})
def _dot(left, right, n):
    total = 0.0
    for i in range(n):
        total += left[i] * right[i]
    return total


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
def _best_on_pattern(matrix, origin, coef, order, labels, n_used, cumulative, alpha, levels):
    """Write the magnitudes of the clusters at the minimum while the pattern stays, if any."""
    k = levels.shape[0]
    system = np.zeros((k, k))
    for r in range(n_used):
        i = order[r]
        sign, row = np.sign(coef[i]), system[labels[r]]
        levels[labels[r]] += sign * origin[i] - alpha * (cumulative[r + 1] - cumulative[r])
        for s in range(r):
            both = sign * np.sign(coef[order[s]]) * matrix[i, order[s]]
            row[labels[s]] += 2.0 * both if labels[s] == labels[r] else both
        row[labels[r]] += matrix[i, i]
    return _solve(system, levels)


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
def _newton_step(matrix, origin, descent, coef, places, work, n_used, cumulative, alpha, n_levels):
    """A Newton step in place, as long as is best; returns whether there was one."""
    order, labels, keys, step, after = places[0], places[3], work[0], work[2], work[3]
    levels = np.zeros(n_levels)
    if not _best_on_pattern(matrix, origin, coef, order, labels, n_used, cumulative, alpha, levels):
        return False
    stays = levels[n_levels - 1] > 0.0
    for k in range(1, n_levels):
        stays &= levels[k] < levels[k - 1]
    p = coef.shape[0]
    for j in range(p):
        step[j], after[j] = 0.0, origin[j]
    before = _penalty(coef, order, n_used, cumulative)
    for r in range(n_used):
        i = order[r]
        value = levels[labels[r]] if coef[i] > 0.0 else -levels[labels[r]]
        step[i] = value - coef[i]
        for j in range(p):
            after[j] -= value * matrix[i, j]
    pull, curvature, value = 0.0, 0.0, 0.0
    for j in range(p):
        pull += step[j] * descent[j]
        curvature += step[j] * (descent[j] - after[j])
        value += 0.5 * abs(coef[j]) * (abs(origin[j]) + abs(descent[j]))
    share = 1.0
    if (
        not stays
        and curvature - pull + _slope(coef, step, 1.0, order, n_used, keys, cumulative, alpha) > 0.0
    ):
        share, high = 0.0, 1.0
        for _ in range(_HALVINGS):
            middle = 0.5 * (share + high)
            slope = _slope(coef, step, middle, order, n_used, keys, cumulative, alpha)
            if middle * curvature - pull + slope > 0.0:
                high = middle
            else:
                share = middle
    trial, change = work[1], share * (0.5 * share * curvature - pull) - alpha * before
    for r in range(n_used):
        i = order[r]
        trial[i] = coef[i] + share * step[i]
        keys[i] = abs(trial[i])
    _sort(order, n_used, keys)
    for r in range(n_used):
        change += alpha * (cumulative[r + 1] - cumulative[r]) * keys[order[r]]
    if share == 0.0 or change > _ROUNDING * (value + alpha * before):
        return False
    for r in range(n_used):
        coef[order[r]] = trial[order[r]]
    for j in range(p):
        descent[j] += share * (after[j] - descent[j])
    return True


@njit(cache=True)
def descend(matrix, origin, descent, coef, scales, cumulative, alpha, tol, limits, places, work):
    """Rounds of descent in place, until no violation is above ``tol``.

    Parameters
    ----------
    matrix : ndarray of shape (n, n)
        H, symmetric.
    origin, descent, coef, scales : ndarrays of shape (n,)
        q, minus the gradient, the coefficients and the lengths of the columns.
    cumulative : ndarray of shape (n + 1,)
        Sums of the first weights, from zero on.
    alpha, tol : float
        Strength, and violation that is small enough.
    limits : Limits
        How much is done.
    places, work : ndarrays of shape (4, n)
        Memory for positions and for numbers.

    Returns
    -------
    violation : float
        The largest one that is left.
    """
    p, budget = coef.shape[0], 0.0
    order, magnitudes, keys = places[0], work[0], work[1]
    n_used = _rank(coef, order, magnitudes)
    violation = _violation(descent, coef, scales, places, n_used, keys, cumulative, alpha)
    for _ in range(limits.rounds):
        if not violation > tol:
            break
        n_used, n_moves = _sweeps(
            matrix, descent, coef, places, magnitudes, n_used, cumulative, alpha, limits.sweeps
        )
        budget += limits.system_share * p * (n_moves + n_used)
        n_used = _split(matrix, descent, coef, scales, places, work, n_used, cumulative, alpha)
        n_levels = _label(coef, order, n_used, places[3])
        cost = n_used * p + n_levels * n_levels * n_levels / 6.0
        if n_levels > 0 and cost <= budget:
            budget -= cost
            _newton_step(
                matrix, origin, descent, coef, places, work, n_used, cumulative, alpha, n_levels
            )
            n_used = _rank(coef, order, magnitudes)
        violation = _violation(descent, coef, scales, places, n_used, keys, cumulative, alpha)
    return violation
