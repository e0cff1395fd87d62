"""Descent on a quadratic plus a sorted L1 norm, over clusters of coefficients with one magnitude.

The quadratic is ``w^T H w / 2 - q^T w``, and ``descent`` is ``q - H w``. A round has three parts.

* Sweeps of coordinate descent: all coefficients of one magnitude move together to the minimum along
  their line. The penalty along it has corners at the other magnitudes, so that the minimum is
  between two of them, at one of them (which ties the two), or at zero. Coefficients in use are kept
  in the order of their magnitudes; a move is mostly short, and the search for its end begins where
  it was.
* Splits: members of a cluster, and zeros, that pull more than the weights which they share can hold
  move together, whatever their scale. A point that neither sweeps nor splits move is optimal.
* A proximal gradient step, which ties and splits many of one scale at once.
"""

import numpy as np

from sksparse._kernels._compiled import njit


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
def _sign(coef, descent, j):
    """Sign of a coefficient, or of its pull where it is zero."""
    of = coef[j] if coef[j] != 0.0 else descent[j]
    return -1.0 if of < 0.0 else 1.0


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
def _violation(descent, coef, scales, places, n_used, keys, cumulative, alpha):
    """The largest violation of optimality, for columns of the given lengths.

    In each cluster, and at zero, the k largest pulls together stay below the first k weights there,
    and in clusters the totals are equal.
    """
    p, members = coef.shape[0], places[2]
    least, worst, at = alpha * (cumulative[p] - cumulative[p - 1]), 0.0, 0
    while True:
        size = _members(descent, coef, places, n_used, at, keys, least)
        excess, length = 0.0, 0.0
        for a in range(size):
            excess += keys[members[a]] - alpha * (cumulative[at + a + 1] - cumulative[at + a])
            length += scales[members[a]]
            if length > 0.0:
                worst = max(worst, excess / length)
        if at == n_used:
            return worst
        if length > 0.0:
            worst = max(worst, -excess / length)
        at += size


@njit(cache=True, inner=True)
def _blocks(members, size, at, keys, cumulative, alpha, sums, ends):
    """Pool members into blocks whose mean pulls beyond their weights decrease.

    Returns how many there are; ``ends`` says where they end.
    """
    top = 0
    for a in range(size):
        sums[top] = keys[members[a]] - alpha * (cumulative[at + a + 1] - cumulative[at + a])
        ends[top] = a + 1
        while top > 0:
            start = ends[top - 2] if top > 1 else 0
            left, right = ends[top - 1] - start, ends[top] - ends[top - 1]
            if sums[top - 1] * right > sums[top] * left:
                break
            sums[top - 1] += sums[top]
            ends[top - 1] = ends[top]
            top -= 1
        top += 1
    return top


@njit(cache=True, inner=True)
def _split(matrix, descent, coef, places, work, n_used, cumulative, alpha):
    """Move the blocks of zeros and of clusters that pull too much; returns how many are in use.

    From small magnitudes to large ones, since blocks move up.
    """
    order, members, ends = places[0], places[2], places[3]
    magnitudes, keys, sums = work[0], work[1], work[2]
    p, end, zeros = coef.shape[0], n_used, True
    least = alpha * (cumulative[p] - cumulative[p - 1])
    while zeros or end > 0:
        at = end
        if not zeros:
            at -= 1
            while at > 0 and magnitudes[at - 1] == magnitudes[at]:
                at -= 1
        size = _members(descent, coef, places, n_used, at, keys, least)
        n_blocks = _blocks(members, size, at, keys, cumulative, alpha, sums, ends)
        for a in range(size):
            order[at + a] = members[a]
            if zeros:
                magnitudes[at + a] = 0.0
        start = 0
        for block in range(n_blocks if zeros else n_blocks - 1):
            length = ends[block] - start
            if not sums[block] > 0.0:
                break
            n_used, moved, _ = _move(
                matrix,
                descent,
                coef,
                places,
                magnitudes,
                at + start,
                length,
                n_used + length if zeros else n_used,
                cumulative,
                alpha,
            )
            if moved == 0:
                break
            start += length
        end = n_used if zeros else at
        zeros = False
    return n_used


@njit(cache=True, inner=True)
def _proximal_step(matrix, descent, coef, places, work, cumulative, alpha, lipschitz):
    """A proximal gradient step in place; returns the curvature for which it is one.

    That is as large as the curvature along the step.
    """
    p = coef.shape[0]
    order, ends = places[0], places[3]
    keys, sums, old, old_descent = work[0], work[1], work[2], work[3]
    for j in range(p):
        old[j], old_descent[j] = coef[j], descent[j]
    while True:
        n, step = 0, alpha / lipschitz
        least = step * (cumulative[p] - cumulative[p - 1])
        for j in range(p):
            keys[j] = abs(old[j] + old_descent[j] / lipschitz)
            # what does not exceed the least weight is pooled with nothing above it
            if keys[j] > least:
                order[n] = j
                n += 1
            else:
                keys[j] = 0.0
        _sort(order, n, keys)
        top = _blocks(order, n, 0, keys, cumulative, step, sums, ends)
        at = 0
        for block in range(top):
            for a in range(at, ends[block]):
                keys[order[a]] = max(sums[block] / (ends[block] - at), 0.0)
            at = ends[block]
        length, curvature = 0.0, 0.0
        for j in range(p):
            value = keys[j] if old[j] + old_descent[j] / lipschitz > 0.0 else -keys[j]
            delta = value - coef[j]
            if delta != 0.0:
                coef[j] = value
                for i in range(p):
                    descent[i] -= delta * matrix[j, i]
        for j in range(p):
            length += (coef[j] - old[j]) ** 2
            curvature += (coef[j] - old[j]) * (old_descent[j] - descent[j])
        if not curvature > lipschitz * length * (1.0 + 1e-10):
            return lipschitz
        lipschitz *= 2.0


@njit(cache=True)
def descend(matrix, descent, coef, scales, cumulative, alpha, tol, curvature, most, places, work):
    """A round of descent in place, unless no violation is above ``tol``, or one is not finite.

    Parameters
    ----------
    matrix : ndarray of shape (n, n)
        H, symmetric.
    descent, coef, scales : ndarrays of shape (n,)
        Minus the gradient, the coefficients, and the lengths of the columns.
    cumulative : ndarray of shape (n + 1,)
        Sums of the first weights, from zero on.
    alpha, tol : float
        Strength, and violation that is small enough.
    curvature : float
        Where proximal gradient steps begin to look for their curvature.
    most : int
        Largest number of sweeps.
    places : ndarray of shape (4, n)
        Memory for positions; the first row lists the coefficients by magnitude afterwards.
    work : ndarray of shape (4, n)
        Memory for numbers.

    Returns
    -------
    violation : float
        The largest one before the round.
    curvature : float
        That of the proximal gradient step.
    n_used, n_moves : int
        Coefficients in use, and those that moved in the sweeps.
    """
    order, magnitudes, keys = places[0], work[0], work[1]
    n_used, n_moves = _rank(coef, order, magnitudes), 0
    violation = _violation(descent, coef, scales, places, n_used, keys, cumulative, alpha)
    if tol < violation < np.inf:
        n_used, n_moves = _sweeps(
            matrix, descent, coef, places, magnitudes, n_used, cumulative, alpha, most
        )
        _split(matrix, descent, coef, places, work, n_used, cumulative, alpha)
        curvature = _proximal_step(
            matrix, descent, coef, places, work, cumulative, alpha, curvature
        )
        n_used = _rank(coef, order, magnitudes)
    return violation, curvature, n_used, n_moves
