"""Best-subset moves on a Gram matrix with unit diagonal.

Columns and target are scaled so that the model without features loses 1. For a support S, the
smooth objective is ``1 - c_S^T M c_S`` with ``M = (H_SS)^{-1}``; feature j costs ``price_j``.
A :class:`Tableau` holds what the exact effect of every add, drop and swap is read from:

* ``support`` S, as positions in the working set; the first ``size`` entries are in use here and
  along the first axis of the next three;
* ``inverse`` M, ``coef`` ``b = M c_S``, ``rows`` ``V = M H_{S,:}``;
* ``spare`` ``s = diag(H) - sum_S H_S V``, what a column has left beside the support;
* ``descent`` ``d = c - H_{:,S} b``, half of minus the gradient.

Adding j gains ``d_j^2 / s_j - price_j``, dropping i gains ``refund_i - b_i^2 / M_ii``, and swapping
i for j gains ``(d_j + V_ij b_i / M_ii)^2 / (s_j + V_ij^2 / M_ii) - b_i^2 / M_ii + refund_i -
price_j``. The refund is the price, or minus infinity for a feature that is always kept. A column
with no more than ``floor`` left is collinear with the support and not eligible. For columns of the
support V is the identity and s and d are zero, exactly, through every update.
"""

from typing import NamedTuple

import numpy as np

from sksparse._kernels._compiled import njit

# Gains below this share of the null model's loss are rounding.
_NOISE = 1e-14


class Tableau(NamedTuple):
    support: np.ndarray
    inverse: np.ndarray
    rows: np.ndarray
    coef: np.ndarray
    spare: np.ndarray
    descent: np.ndarray


@njit(cache=True)
def _add(gram, table, size, j):
    """Bring column j into the support as entry ``size``."""
    support, inverse, rows, coef, spare, descent = table
    left, gradient = spare[j], descent[j]
    new = rows[size]
    for k in range(new.shape[0]):
        new[k] = gram[j, k]
    for a in range(size):
        h = gram[j, support[a]]
        for k in range(new.shape[0]):
            new[k] -= h * rows[a, k]
    for k in range(new.shape[0]):
        descent[k] -= new[k] * (gradient / left)
        spare[k] -= new[k] * (new[k] / left)
        new[k] /= left
    for a in range(size):
        v = rows[a, j]
        for k in range(new.shape[0]):
            rows[a, k] -= v * new[k]
        coef[a] -= v * (gradient / left)
        inverse[a, size] = -v / left
        inverse[size, a] = -v / left
        rows[a, j] = 0.0
    for a in range(size):
        for c in range(size):
            inverse[a, c] += inverse[a, size] * inverse[size, c] * left
    inverse[size, size] = 1.0 / left
    coef[size] = gradient / left
    new[j] = 1.0
    spare[j] = 0.0
    descent[j] = 0.0
    support[size] = j


@njit(cache=True)
def _drop(table, size, i):
    """Take entry i out of the support; the last entry moves to its place."""
    support, inverse, rows, coef, spare, descent = table
    pivot = inverse[i, i]
    gone = rows[i]
    for k in range(gone.shape[0]):
        spare[k] += gone[k] * (gone[k] / pivot)
        descent[k] += gone[k] * (coef[i] / pivot)
    for a in range(size):
        if a != i:
            factor = inverse[a, i] / pivot
            for k in range(gone.shape[0]):
                rows[a, k] -= factor * gone[k]
            coef[a] -= factor * coef[i]
    for a in range(size):
        if a != i:
            factor = inverse[a, i] / pivot
            for c in range(size):
                if c != i:
                    inverse[a, c] -= factor * inverse[i, c]
    last = size - 1
    if i != last:
        support[i] = support[last]
        coef[i] = coef[last]
        for k in range(gone.shape[0]):
            gone[k] = rows[last, k]
        for a in range(size):
            inverse[i, a] = inverse[last, a]
        for a in range(size):
            inverse[a, i] = inverse[a, last]


# Without checks for division by zero and for NaN the inner loop runs on whole vectors: ten times
# faster. No NaN can arise, since what is divided by is at least ``floor``.
@njit(cache=True, error_model="numpy", fastmath={"contract", "nnan"})
def swap_gains(rows, spare, descent, coef, diagonal, refund, floor, gains):
    """Raise ``gains[j]`` to the best swap of a feature of the support for column j.

    ``refund`` belongs to the features of the support; the price of j is left to the caller.
    """
    for i in range(coef.shape[0]):
        if refund[i] == -np.inf:
            continue
        row, inverse = rows[i], 1.0 / diagonal[i]
        scaled = coef[i] * inverse
        rise = coef[i] * scaled - refund[i]
        for j in range(gains.shape[0]):
            left = spare[j] + row[j] * row[j] * inverse
            gradient = descent[j] + row[j] * scaled
            gain = gradient * gradient / max(left, floor) - rise
            gain = gain if left > floor else -np.inf
            gains[j] = gain if gain > gains[j] else gains[j]


@njit(cache=True)
def _leaver(table, size, refund, j, floor):
    """Entry of the support whose swap for column j gains most."""
    best, entry = -np.inf, -1
    for i in range(size):
        pivot, v = table.inverse[i, i], table.rows[i, j]
        left = table.spare[j] + v * v / pivot
        gradient = table.descent[j] + v * table.coef[i] / pivot
        gain = gradient * gradient / left - table.coef[i] ** 2 / pivot + refund[table.support[i]]
        if left > floor and gain > best:
            best, entry = gain, i
    return entry


@njit(cache=True)
def _best_add(table, price, floor):
    best, column = -np.inf, -1
    for j in range(table.spare.shape[0]):
        if table.spare[j] > floor:
            gain = table.descent[j] ** 2 / table.spare[j] - price[j]
            if gain > best:
                best, column = gain, j
    return best, column


@njit(cache=True)
def _best_drop(table, size, refund):
    best, entry = -np.inf, -1
    for i in range(size):
        gain = refund[table.support[i]] - table.coef[i] ** 2 / table.inverse[i, i]
        if gain > best:
            best, entry = gain, i
    return best, entry


@njit(cache=True)
def _best_swap(table, size, price, refund, floor, gains, released, diagonal):
    """Gain and column of the best swap; the last three arguments are room to work in."""
    for i in range(size):
        diagonal[i] = table.inverse[i, i]
        released[i] = refund[table.support[i]]
    gains.fill(-np.inf)
    rows, coef = table.rows[:size], table.coef[:size]
    swap_gains(rows, table.spare, table.descent, coef, diagonal, released, floor, gains)
    best, column = -np.inf, -1
    for j in range(gains.shape[0]):
        if gains[j] - price[j] > best:
            best, column = gains[j] - price[j], j
    return best, column


@njit(cache=True)
def _explained(table, target, size):
    total = 0.0
    for a in range(size):
        total += table.coef[a] * target[table.support[a]]
    return total


@njit(cache=True)
def _worth(explained, threshold):
    """Smallest gain that counts where so much of the loss is explained.

    It is relative to what is left, so that a column that explains nearly all hides no other.
    """
    return max(threshold * (1.0 - explained), _NOISE)


@njit(cache=True)
def local_search(
    gram, target, table, size, price, refund, limit, swaps, floor, threshold, max_moves
):
    """Make the best add or drop, or failing these the best swap, while one is worth it.

    That is, while it gains ``threshold`` times the loss that is left. A support above ``limit``
    features first drops to it. Returns the new size and the number of moves, fewer than
    ``max_moves`` when no move is left.
    """
    gains = np.empty(table.spare.shape[0])
    diagonal, released = np.empty(table.coef.shape[0]), np.empty(table.coef.shape[0])
    for move in range(max_moves):
        worth = _worth(_explained(table, target, size), threshold)
        saved, entry = _best_drop(table, size, refund)
        won, column = _best_add(table, price, floor) if size < limit else (-np.inf, -1)
        if entry >= 0 and (size > limit or (saved > worth and saved >= won)):
            _drop(table, size, entry)
            size -= 1
            continue
        if won > worth:
            _add(gram, table, size, column)
            size += 1
            continue
        if not swaps or size == 0:
            return size, move
        room = (gains, released, diagonal)
        won, column = _best_swap(table, size, price, refund, floor, *room)
        if not won > worth:
            return size, move
        entry = _leaver(table, size, refund, column, floor)
        _drop(table, size, entry)
        _add(gram, table, size - 1, column)
    return size, max_moves


@njit(cache=True)
def _copy(source, target, size):
    """Copy a tableau with a support of so many features."""
    target.support[:size] = source.support[:size]
    target.coef[:size] = source.coef[:size]
    for a in range(size):
        target.inverse[a, :size] = source.inverse[a, :size]
        target.rows[a] = source.rows[a]
    target.spare[:] = source.spare
    target.descent[:] = source.descent


@njit(cache=True)
def _become(gram, table, size, wanted):
    """Turn the support into the columns ``wanted``."""
    stays = np.zeros(table.spare.shape[0], dtype=np.bool_)
    stays[wanted] = True
    for entry in range(size - 1, -1, -1):
        if not stays[table.support[entry]]:
            _drop(table, size, entry)
            size -= 1
    stays[table.support[:size]] = False
    for column in wanted:
        if stays[column]:
            _add(gram, table, size, column)
            size += 1
    return size


@njit(cache=True)
def sweep(gram, target, table, size, last, refund, values, supports, floor, threshold, max_moves):
    """Walk to a support of ``last`` features one by one, with swaps at each size.

    ``values[k]`` and ``supports[k, :k]`` are the best known of each size: they are replaced where
    the walk finds better ones, and taken over where it does not. Returns the last size, and how
    many sizes improved.
    """
    free = np.zeros(table.spare.shape[0])
    improved, step = 0, 1 if last > size else -1
    for k in range(size + step, last + step, step):
        size, _ = local_search(
            gram, target, table, size, free, refund, k, True, floor, threshold, max_moves
        )
        if size != k:
            break
        value = _explained(table, target, k)
        worth = _worth(value, threshold)
        if value > values[k] + worth:
            values[k] = value
            supports[k, :k] = table.support[:k]
            improved += 1
        elif values[k] > value + worth:
            size = _become(gram, table, size, supports[k, :k])
    return size, improved


@njit(cache=True)
def perturb(gram, target, table, room, size, refund, draws, floor, threshold, max_moves):
    """Leave a local optimum of fixed size by random exchanges, and descend by swaps again.

    Each row of ``draws``, numbers in [0, 1), names features of the support that are exchanged
    for the best others; -1 ends a row early. What does not improve is undone. ``room`` is a
    second tableau. Returns how many rows improved.
    """
    m = table.spare.shape[0]
    free, price = np.zeros(m), np.zeros(m)
    best = _explained(table, target, size)
    _copy(table, room, size)
    improved = 0
    for t in range(draws.shape[0]):
        here = size
        price[:] = 0.0
        for draw in draws[t]:
            if draw < 0.0 or here == 0:
                break
            entry = int(draw * here)
            column = table.support[entry]
            if refund[column] == -np.inf:
                continue
            _drop(table, here, entry)
            price[column] = np.inf
            here -= 1
        for prices, swaps in ((price, False), (free, True)):
            here, _ = local_search(
                gram, target, table, here, prices, refund, size, swaps, floor, threshold, max_moves
            )
        value = _explained(table, target, here)
        if here == size and value > best + _worth(best, threshold):
            best = value
            improved += 1
            _copy(table, room, size)
        else:
            _copy(room, table, size)
    return improved
