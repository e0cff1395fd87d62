"""Descent over rows and clusters for a quadratic of several outputs plus a sorted L1 norm.

The quadratic is ``sum_o w_o^T H w_o / 2 - q_o^T w_o``. It comes in two forms: ``rows`` is H, and
the *state* ``q - H w``; or with ``H = A^T A`` the rows are the columns of A, and the state is a
residual, whose products with them are ``q - H w``. States and coefficients have a row for each
output.

The norm sorts the lengths of the features' coefficients: features are tied where these are equal
bit for bit. One feature moves to its minimum, which is along its pull; features of one length move
along their directions together, and as many of them as pull harder than their weights leave the
others behind. The penalty along such a line is piecewise linear with corners at the other lengths,
so that the minimum is between two of them, at one of them (which ties the two), or at zero.
"""

import numpy as np

from sksparse._kernels._compiled import njit


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


@njit(cache=True)
def _best_length(curvature, pull, at, size, ranked, n_used, sums, alpha):
    """The t >= 0 that minimises ``curvature t^2 / 2 - pull t + alpha * penalty``.

    It is to be the length of the ``size`` features that are ranked from ``at`` on; the others stay.
    ``sums`` are those of the first weights.
    """
    if not (pull < np.inf and curvature < np.inf):
        return 0.0  # a nan would break the ranking of all later steps
    # With k of the others above it t takes the weights from k on, which makes it the larger the
    # larger k is. Those of the others that are above it are the first ones.
    low, high = 0, n_used - size
    while low < high:
        k = (low + high) // 2
        t = (pull - alpha * (sums[k + size] - sums[k])) / curvature
        if t <= (ranked[k] if k < at else ranked[k + size]):
            low = k + 1
        else:
            high = k
    t = max((pull - alpha * (sums[low + size] - sums[low])) / curvature, 0.0)
    if low > 0:
        t = min(t, ranked[low - 1] if low <= at else ranked[low - 1 + size])
    return t


@njit(cache=True, inner=True)
def _rerank(ranked, n_used, at, size, t):
    """Let the features ranked from ``at`` on have the length t; how many are not zero then."""
    if t == 0.0:
        for i in range(at, n_used - size):
            ranked[i] = ranked[i + size]
        return n_used - size
    while at > 0 and ranked[at - 1] < t:
        at -= 1
        ranked[at + size] = ranked[at]
    while at + size < n_used and ranked[at + size] > t:
        ranked[at] = ranked[at + size]
        at += 1
    for i in range(at, at + size):
        ranked[i] = t
    return n_used


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


@njit(cache=True, inner=True, fastmath={"reassoc", "contract"})
def _pull(rows, state, o, j, stored):
    """Minus the gradient over the coefficient of a feature for an output."""
    if stored:
        return state[o, j]
    total = 0.0
    for i in range(rows.shape[1]):
        total += rows[j, i] * state[o, i]
    return total


@njit(cache=True, inner=True)
def _pulling(rows, stored, state, coef, lengths, members, keys, n):
    """Sort members by how hard they are pulled along their directions, hardest first."""
    for k in range(n):
        j, total = members[k], 0.0
        for o in range(state.shape[0]):
            pull = _pull(rows, state, o, j, stored)
            total += pull * (coef[o, j] if lengths[j] > 0.0 else pull)
        keys[k] = total / lengths[j] if lengths[j] > 0.0 else np.sqrt(total)
    _sort_down(keys, members, n)


@njit(cache=True, inner=True)
def _leading(keys, n, sums, first, alpha):
    """How many of the first n pull harder than their weights, taken together, by the most each."""
    excess, most, size = 0.0, 0.0, 0
    for k in range(n):
        excess += keys[k] - alpha * (sums[first + k + 1] - sums[first + k])
        if excess > most * (k + 1):
            most, size = excess / (k + 1), k + 1
    return size


@njit(cache=True)
def _move_together(rows, stored, state, coef, lengths, members, size, ranked, n_used, sums, alpha):
    """Move features of one length along their directions; how many features are not zero then."""
    n_outputs, n = state.shape
    product, unit = np.zeros((n_outputs, n)), np.empty((n_outputs, size))
    length = lengths[members[0]]
    curvature, pull = 0.0, 0.0
    for k in range(size):
        j, norm = members[k], 0.0
        for o in range(n_outputs):
            unit[o, k] = coef[o, j] if length > 0.0 else _pull(rows, state, o, j, stored)
            norm += unit[o, k] * unit[o, k]
        norm = np.sqrt(norm)
        if norm == 0.0:
            return n_used
        for o in range(n_outputs):
            unit[o, k] /= norm
            for i in range(n):
                product[o, i] += unit[o, k] * rows[j, i]
    for o in range(n_outputs):
        if stored:
            for k in range(size):
                curvature += unit[o, k] * product[o, members[k]]
                pull += unit[o, k] * state[o, members[k]]
        else:
            for i in range(n):
                curvature += product[o, i] * product[o, i]
                pull += product[o, i] * state[o, i]
    if curvature <= 0.0:
        return n_used
    pull += curvature * length
    at = _rank(ranked, n_used, length)
    if length == 0.0:
        n_used += size
    t = _best_length(curvature, abs(pull), at, size, ranked, n_used, sums, alpha)
    signed = t if pull > 0.0 else -t
    for o in range(n_outputs):
        for i in range(n):
            state[o, i] -= (signed - length) * product[o, i]
        for k in range(size):
            coef[o, members[k]] = signed * unit[o, k]
    for k in range(size):
        lengths[members[k]] = t
    return _rerank(ranked, n_used, at, size, t)


@njit(cache=True)
def _move_row(rows, stored, curvature, state, coef, lengths, j, ranked, n_used, sums, alpha, pull):
    """Move one feature to its minimum; how many features are not zero then."""
    if curvature <= 0.0:
        return n_used
    total = 0.0
    for o in range(state.shape[0]):
        pull[o] = _pull(rows, state, o, j, stored) + curvature * coef[o, j]
        total += pull[o] * pull[o]
    norm = np.sqrt(total)
    at = n_used
    if lengths[j] > 0.0:
        at = _rank(ranked, n_used, lengths[j])
    elif norm <= alpha * (sums[n_used + 1] - sums[n_used]):
        return n_used
    else:
        n_used += 1
    t = _best_length(curvature, norm, at, 1, ranked, n_used, sums, alpha)
    factor = t / norm if t > 0.0 else 0.0
    for o in range(state.shape[0]):
        value = factor * pull[o]
        delta = value - coef[o, j]
        if delta != 0.0:
            coef[o, j] = value
            for i in range(state.shape[1]):
                state[o, i] -= delta * rows[j, i]
    lengths[j] = t
    return _rerank(ranked, n_used, at, 1, t)


@njit(cache=True)
def sorted_rows(rows, stored, diagonal, state, coef, lengths, order, sums, alpha, sweeps):
    """Move what is tied together once, and then each feature ``sweeps`` times, in place.

    Parameters
    ----------
    rows : ndarray of shape (n_features, n)
        H, or the columns of A.
    stored : bool
        Whether it is H.
    diagonal : ndarray of shape (n_features,)
        That of H.
    state : ndarray of shape (n_outputs, n)
        State of the quadratic; in place.
    coef : ndarray of shape (n_outputs, n_features)
        Coefficients; in place.
    lengths : ndarray of shape (n_features,)
        Their lengths; in place.
    order : ndarray of shape (n_features,)
        The features by their lengths, largest first.
    sums : ndarray of shape (n_features + 1,)
        Sums of the first weights of the norm, from zero on.
    alpha : float
        Its strength.
    sweeps : int
        Moves of each feature.
    """
    n_outputs, p = coef.shape
    ranked, keys, pull = np.empty(p), np.empty(p), np.empty(n_outputs)
    members, n_used = np.empty(p, dtype=np.intp), 0
    for k in range(p):
        ranked[k] = lengths[order[k]]
        n_used += ranked[k] > 0.0
    start, n_first = 0, n_used
    while start < p:
        # all of one length; the last ones are zero
        length, size = lengths[order[start]] if start < n_first else 0.0, 0
        while start < p and (lengths[order[start]] if start < n_first else 0.0) == length:
            j = order[start]
            start += 1
            if diagonal[j] > 0.0:
                members[size] = j
                size += 1
        if size < 2:
            continue
        _pulling(rows, stored, state, coef, lengths, members, keys, size)
        first = _rank(ranked, n_used, length)
        leading = _leading(keys, size, sums, first, alpha)
        if length > 0.0 and leading == 0:
            leading = size
        # alone, a feature moves below
        if leading > 1 or (leading == 1 and length > 0.0):
            n_used = _move_together(
                rows, stored, state, coef, lengths, members, leading, ranked, n_used, sums, alpha
            )
    for _ in range(sweeps):
        for j in range(p):
            n_used = _move_row(
                rows,
                stored,
                diagonal[j],
                state,
                coef,
                lengths,
                j,
                ranked,
                n_used,
                sums,
                alpha,
                pull,
            )
