"""Moves of best-subset searches: what adding, dropping and swapping features gain.

The model is ``const - 2 c^T u + u^T H u`` over columns of unit length: H holds the correlations of
the columns with each other, c those with the target. With several outputs u and c have one column
for each. A support S has the coefficients ``b = M c_S`` with ``M = (H_SS)^{-1}``, and given S a
column j has

* the projection ``V_j = M H_Sj``, its coefficients on the support,
* the Schur complement ``s_j = H_jj - H_jS V_j``, its residual squared norm,
* the descent ``d_j = c_j - H_jS b``, its correlation with the residual: half of minus the gradient.

A feature j in use adds its penalty ``p_j``, and leaving it out saves ``p_j``, or minus infinity
where it must stay. With ``r_j(d) = d``, the moves gain

* drop i: ``p_i - b_i^2 / M_ii``,
* add j: ``r_j(d_j)^2 / s_j - p_j``,
* swap i for j, which is to drop i and then add j:
  ``p_i - b_i^2 / M_ii + r_j(d_j + V_ij b_i / M_ii)^2 / (s_j + V_ij^2 / M_ii) - p_j``,

with squares summed over the outputs. A column whose Schur complement (in a swap, the one after the
drop) is at most ``floor`` is collinear with the support and may not enter. A further penalty
``2 l1_j |u_j|`` and a bound at zero make ``r_j(d)`` what a soft threshold leaves of d, see
:class:`Bounds`; the gains are then exact as long as no other coefficient changes its sign.

``p_j``, which all moves of a column share, is left to whoever calls :func:`add_gains` and
:func:`swap_gains`. For least squares without bounds a :class:`Tableau` holds all of the above and
is updated by rank-one steps.
"""

from typing import NamedTuple

import numpy as np

from sksparse._kernels._compiled import njit

# Without checks for division by zero the inner loop runs on whole vectors: ten times faster.
_VECTORISED = {"error_model": "numpy", "fastmath": {"contract"}}


class Bounds(NamedTuple):
    """What is asked of each column that may enter, beyond its penalty: arrays of shape (m,)."""

    l1: np.ndarray  # half the strength of the penalty on the magnitude of its coefficient
    positive: np.ndarray  # whether its coefficient must not be negative
    extra: np.ndarray  # added to ``floor``; infinite for columns that may not enter


class Tableau(NamedTuple):
    """A support of k features, and all columns given the support.

    For columns of the support the projections are the identity, and Schur complements and descents
    are zero, exactly, through every update.

    Parameters
    ----------
    support, inverse, projections, coef : ndarrays
        S, M, V and b, of shapes (k,), (k, k), (k, m) and (k,), with capacity for a larger k.
    schur, descent : ndarrays of shape (m,)
        s and d.
    """

    support: np.ndarray
    inverse: np.ndarray
    projections: np.ndarray
    coef: np.ndarray
    schur: np.ndarray
    descent: np.ndarray


class Objective(NamedTuple):
    """Least squares over a working set of m columns; the empty model loses 1."""

    gram: np.ndarray  # H, which may have more rows and columns than m
    target: np.ndarray  # c
    penalties: np.ndarray  # what each feature costs
    saved: np.ndarray  # what leaving it out saves


class Limits(NamedTuple):
    """When a move counts."""

    floor: float  # Schur complement up to which a column is collinear with the support
    threshold: float  # smallest gain, relative to what is left: no column hides the others
    noise: float  # smallest gain that is not rounding
    max_moves: int  # moves after which rounding of the updates may matter


@njit(cache=True, inner=True, **_VECTORISED)
def _shrunk(descent, l1, positive):
    """What a soft threshold and a bound at zero leave of a descent."""
    return max((descent if positive else abs(descent)) - l1, 0.0)


@njit(cache=True, inner=True, **_VECTORISED)
def _after_drop(schur, descent, projection, coef, scale):
    """Schur complement and descent of a column once a feature has left; scale is ``1 / M_ii``."""
    share = projection * scale
    return schur + projection * share, descent + share * coef


@njit(cache=True, **_VECTORISED)
def add_gains(schur, descent, floor, bounds, gains):
    """Write into ``gains[j]`` what adding column j gains, minus infinity where it may not enter."""
    for j in range(gains.shape[0]):
        square, least = descent[0, j] ** 2, floor
        if bounds is not None:
            square, least = 0.0, floor + bounds.extra[j]
            for o in range(descent.shape[0]):
                square += _shrunk(descent[o, j], bounds.l1[j], bounds.positive[j]) ** 2
        gain = square / schur[j]
        gains[j] = gain if schur[j] > least else -np.inf


@njit(cache=True, **_VECTORISED)
def swap_gains(projections, coef, diagonal, drops, schur, descent, floor, bounds, gains, leaving):
    """Raise ``gains[j]`` to the best swap of a feature of the support for column j.

    ``coef`` and ``descent`` have one row for each output, ``diagonal`` is that of M and ``drops``
    holds what each drop gains. ``leaving[j]`` becomes the entry that leaves where ``gains[j]`` is
    raised. ``bounds`` None (for one output) and ``leaving`` None cost nothing once compiled.
    """
    for i in range(diagonal.shape[0]):
        if drops[i] == -np.inf:
            continue
        row, first, scale, drop = projections[i], coef[0, i], 1.0 / diagonal[i], drops[i]
        for j in range(gains.shape[0]):
            left, d = _after_drop(schur[j], descent[0, j], row[j], first, scale)
            square, least = d * d, floor
            if bounds is not None:
                square, least = 0.0, floor + bounds.extra[j]
                for o in range(coef.shape[0]):
                    _, d = _after_drop(schur[j], descent[o, j], row[j], coef[o, i], scale)
                    square += _shrunk(d, bounds.l1[j], bounds.positive[j]) ** 2
            gain = square / left + drop
            gain = gain if left > least else -np.inf
            better = gain > gains[j]
            gains[j] = gain if better else gains[j]
            if leaving is not None:
                leaving[j] = i if better else leaving[j]


@njit(cache=True, inner=True)
def _add(gram, table, k, j):
    """Bring column j into the support as entry k."""
    support, inverse, projections, coef, schur, descent = table
    left, gradient = schur[j], descent[j]
    new = projections[k]
    for c in range(new.shape[0]):
        new[c] = gram[j, c]
    for a in range(k):
        h = gram[j, support[a]]
        for c in range(new.shape[0]):
            new[c] -= h * projections[a, c]
    for c in range(new.shape[0]):
        descent[c] -= new[c] * (gradient / left)
        schur[c] -= new[c] * (new[c] / left)
        new[c] /= left
    for a in range(k):
        v = projections[a, j]
        for c in range(new.shape[0]):
            projections[a, c] -= v * new[c]
        coef[a] -= v * (gradient / left)
        inverse[a, k] = inverse[k, a] = -v / left
        projections[a, j] = 0.0
    for a in range(k):
        for b in range(k):
            inverse[a, b] += inverse[a, k] * inverse[k, b] * left
    inverse[k, k] = 1.0 / left
    support[k], coef[k] = j, gradient / left
    new[j], schur[j], descent[j] = 1.0, 0.0, 0.0


@njit(cache=True, inner=True)
def _drop(table, k, i):
    """Take entry i out of the support; the last entry moves to its place."""
    support, inverse, projections, coef, schur, descent = table
    pivot, gone, last = inverse[i, i], projections[i], k - 1
    for c in range(gone.shape[0]):
        schur[c] += gone[c] * (gone[c] / pivot)
        descent[c] += gone[c] * (coef[i] / pivot)
    for a in range(k):
        if a == i:
            continue
        factor = inverse[a, i] / pivot
        for c in range(gone.shape[0]):
            projections[a, c] -= factor * gone[c]
        coef[a] -= factor * coef[i]
        for b in range(k):
            if b != i:
                inverse[a, b] -= factor * inverse[i, b]
    if i != last:
        support[i], coef[i] = support[last], coef[last]
        for c in range(gone.shape[0]):
            gone[c] = projections[last, c]
        for a in range(k):
            inverse[i, a] = inverse[last, a]
        for a in range(k):
            inverse[a, i] = inverse[a, last]


@njit(cache=True, inner=True)
def _best_drop(table, k, saved, drops):
    """Gain and entry of the best drop; ``drops`` receives the gain of each."""
    best, entry = -np.inf, -1
    for i in range(k):
        drops[i] = saved[table.support[i]] - table.coef[i] ** 2 / table.inverse[i, i]
        if drops[i] > best:
            best, entry = drops[i], i
    return best, entry


@njit(cache=True, inner=True)
def _best_column(gains, penalties):
    """Gain and column of the best entry, its penalty included."""
    best, column = -np.inf, -1
    for j in range(gains.shape[0]):
        if gains[j] - penalties[j] > best:
            best, column = gains[j] - penalties[j], j
    return best, column


@njit(cache=True, inner=True, inline="always")
def _best_add(table, penalties, floor, gains):
    """Gain and column of the best add; ``gains`` is overwritten."""
    add_gains(table.schur, table.descent.reshape((1, gains.shape[0])), floor, None, gains)
    return _best_column(gains, penalties)


@njit(cache=True, inner=True)
def _leaving_entry(table, k, column, floor, drops):
    """Entry of the support whose swap for a column gains most."""
    schur, descent = table.schur[column], table.descent[column]
    best, entry = -np.inf, -1
    for i in range(k):
        projection, scale = table.projections[i, column], 1.0 / table.inverse[i, i]
        left, d = _after_drop(schur, descent, projection, table.coef[i], scale)
        if left > floor and d * d / left + drops[i] > best:
            best, entry = d * d / left + drops[i], i
    return entry


@njit(cache=True, inner=True, inline="always")
def _best_swap(table, k, penalties, floor, drops, gains):
    """Gain, leaving entry and entering column of the best swap; ``gains`` is overwritten."""
    diagonal = np.empty(k)
    for i in range(k):
        diagonal[i] = table.inverse[i, i]
    for j in range(gains.shape[0]):
        gains[j] = -np.inf
    coef, descent = table.coef.reshape((1, len(drops))), table.descent.reshape((1, len(gains)))
    support = (table.projections, coef, diagonal, drops)
    swap_gains(*support, table.schur, descent, floor, None, gains, None)
    best, column = _best_column(gains, penalties)
    if column < 0:
        return best, -1, -1
    # Which entry leaves is found for this column alone: for all it would take a quarter longer.
    return best, _leaving_entry(table, k, column, floor, drops), column


@njit(cache=True, inner=True)
def _explained(table, target, k):
    """Share of the empty model's loss that the support takes away."""
    total = 0.0
    for a in range(k):
        total += table.coef[a] * target[table.support[a]]
    return total


@njit(cache=True, inner=True)
def _least_gain(explained, limits):
    """Smallest gain that counts where so much of the loss is explained."""
    return max(limits.threshold * (1.0 - explained), limits.noise)


@njit(cache=True)
def local_search(objective, table, k, max_features, swaps, limits):
    """Make the best add or drop, or failing these the best swap, while one is worth it.

    A support of more than ``max_features`` first drops to it. Returns the new number of features
    and the number of moves, fewer than ``limits.max_moves`` where no move is left.
    """
    gains, drops = np.empty(table.schur.shape[0]), np.empty(table.coef.shape[0])
    for move in range(limits.max_moves):
        least = _least_gain(_explained(table, objective.target, k), limits)
        saved, entry = _best_drop(table, k, objective.saved, drops)
        won, column = -np.inf, -1
        if k < max_features:
            won, column = _best_add(table, objective.penalties, limits.floor, gains)
        if entry >= 0 and (k > max_features or (saved > least and saved >= won)):
            column = -1
        elif won > least:
            entry = -1
        else:
            if not swaps or k == 0:
                return k, move
            costs = objective.penalties
            won, entry, column = _best_swap(table, k, costs, limits.floor, drops, gains)
            if not won > least:
                return k, move
        if entry >= 0:
            _drop(table, k, entry)
            k -= 1
        if column >= 0:
            _add(objective.gram, table, k, column)
            k += 1
    return k, limits.max_moves


@njit(cache=True, inner=True)
def _copy(source, target, k):
    """Copy a tableau with a support of k features."""
    for a in range(k):
        target.support[a], target.coef[a] = source.support[a], source.coef[a]
        for b in range(k):
            target.inverse[a, b] = source.inverse[a, b]
        for c in range(source.schur.shape[0]):
            target.projections[a, c] = source.projections[a, c]
    for c in range(source.schur.shape[0]):
        target.schur[c], target.descent[c] = source.schur[c], source.descent[c]


@njit(cache=True, inner=True)
def _exchange_support(gram, table, k, wanted):
    """Turn the support into the columns ``wanted``; returns their number."""
    stays = np.zeros(table.schur.shape[0], dtype=np.bool_)
    for column in wanted:
        stays[column] = True
    for entry in range(k - 1, -1, -1):
        if not stays[table.support[entry]]:
            _drop(table, k, entry)
            k -= 1
    for entry in range(k):
        stays[table.support[entry]] = False
    for column in wanted:
        if stays[column]:
            _add(gram, table, k, column)
            k += 1
    return k


@njit(cache=True)
def sweep(objective, table, k, last, values, supports, limits):
    """Go to ``last`` features one by one, with the best swaps at each number.

    The objective has no penalties. ``values[k]`` and ``supports[k, :k]``, the best known of k
    features, are replaced where the search finds better ones, and taken over where it does not.
    Returns the number of features reached, and for how many numbers the best improved.
    """
    improved, step = 0, 1 if last > k else -1
    swaps = step != 0  # always: a literal would have the local search compiled twice
    for wanted in range(k + step, last + step, step):
        k, _ = local_search(objective, table, k, wanted, swaps, limits)
        if k != wanted:
            break
        value = _explained(table, objective.target, k)
        least = _least_gain(value, limits)
        if value > values[k] + least:
            values[k] = value
            for a in range(k):
                supports[k, a] = table.support[a]
            improved += 1
        elif values[k] > value + least:
            k = _exchange_support(objective.gram, table, k, supports[k, :k])
    return k, improved


@njit(cache=True)
def perturb(objective, table, undo, k, draws, limits):
    """Leave a local optimum by random exchanges, and descend by swaps again.

    The objective has no penalties. Each row of ``draws``, numbers in [0, 1), names features of the
    support that are exchanged for the best others; -1 ends a row early. The tableau ``undo`` keeps
    what to return to where that does not improve. Returns how many rows improved.
    """
    barred = np.zeros(objective.target.shape[0])
    barring = Objective(objective.gram, objective.target, barred, objective.saved)
    best, improved = _explained(table, objective.target, k), 0
    _copy(table, undo, k)
    for row in draws:
        here = k
        barred[:] = 0.0
        for draw in row:
            if draw < 0.0 or here == 0:
                break
            entry = int(draw * here)
            column = table.support[entry]
            if objective.saved[column] > -np.inf:
                _drop(table, here, entry)
                barred[column] = np.inf
                here -= 1
        here, _ = local_search(barring, table, here, k, False, limits)
        here, _ = local_search(objective, table, here, k, True, limits)
        value = _explained(table, objective.target, here)
        if here == k and value > best + _least_gain(best, limits):
            best, improved = value, improved + 1
            _copy(table, undo, k)
        else:
            _copy(undo, table, k)
    return improved
