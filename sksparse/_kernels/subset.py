"""Best-subset moves on a Gram matrix with unit diagonal.

Columns and target are scaled so that the model without features loses 1. For a support S, the
smooth objective is ``1 - c_S^T M c_S`` with ``M = (H_SS)^{-1}``; each feature costs ``alpha``.
A :class:`Tableau` holds what the exact effect of every add, drop and swap is read from:

* ``support`` S, as positions in the working set; the first ``size`` entries are in use here and
  along the first axis of the next three;
* ``inverse`` M, ``coef`` ``b = M c_S``, ``rows`` ``V = M H_{S,:}``;
* ``spare`` ``s = diag(H) - sum_S H_S V``, what a column has left beside the support;
* ``descent`` ``d = c - H_{:,S} b``, half of minus the gradient.

Adding j gains ``d_j^2 / s_j - alpha``, dropping i gains ``alpha - b_i^2 / M_ii``, and swapping i
for j gains ``(d_j + V_ij b_i / M_ii)^2 / (s_j + V_ij^2 / M_ii) - b_i^2 / M_ii``. A column with no
more than ``floor`` left is collinear with the support and not eligible. For columns of the support
V is the identity and s and d are zero, exactly, through every update.
"""

from typing import NamedTuple

import numpy as np
from numba import njit


class Tableau(NamedTuple):
    support: np.ndarray
    inverse: np.ndarray
    rows: np.ndarray
    coef: np.ndarray
    spare: np.ndarray
    descent: np.ndarray


@njit(cache=True)
def _sweep(gram, descent, coef, everything, threshold):
    """Minimise over all or all non-zero coordinates, one after the other.

    Returns the largest move and how many coordinates entered or left the support.
    """
    moved, flips = 0.0, 0
    for j in range(coef.shape[0]):
        old = coef[j]
        if not everything and old == 0.0:
            continue
        new = old + descent[j]
        if abs(new) <= threshold:
            new = 0.0
        delta = new - old
        if delta == 0.0:
            continue
        flips += (old == 0.0) != (new == 0.0)
        moved = max(moved, abs(delta))
        coef[j] = new
        for k in range(coef.shape[0]):
            descent[k] -= delta * gram[j, k]
    return moved, flips


@njit(cache=True)
def coordinate_descent(gram, descent, coef, alpha, tol, max_sweeps):
    """Cyclic descent with hard thresholding, in place; ``descent`` is ``c - H coef``.

    Once a sweep over all columns leaves the support as it was, only the support is visited until
    it moves no more; then all columns are checked again.
    """
    threshold = np.sqrt(alpha)
    everything = True
    for _ in range(max_sweeps):
        moved, flips = _sweep(gram, descent, coef, everything, threshold)
        if everything and moved <= tol:
            return
        everything = flips > 0 if everything else moved <= tol


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


@njit(cache=True)
def swap_gains(rows, spare, descent, coef, diagonal, floor, gains):
    """Raise ``gains[j]`` to the best swap of a feature of the support for column j."""
    for i in range(coef.shape[0]):
        row = rows[i]
        scaled = coef[i] / diagonal[i]
        rise = coef[i] * scaled
        for j in range(row.shape[0]):
            left = spare[j] + row[j] * row[j] / diagonal[i]
            gradient = descent[j] + row[j] * scaled
            gain = gradient * gradient / left - rise if left > floor else -np.inf
            gains[j] = max(gains[j], gain)


@njit(cache=True)
def _leaver(table, size, j, floor):
    """Entry of the support whose swap for column j gains most."""
    best, entry = -np.inf, -1
    for i in range(size):
        pivot, v = table.inverse[i, i], table.rows[i, j]
        left = table.spare[j] + v * v / pivot
        gradient = table.descent[j] + v * table.coef[i] / pivot
        gain = gradient * gradient / left - table.coef[i] ** 2 / pivot
        if left > floor and gain > best:
            best, entry = gain, i
    return entry


@njit(cache=True)
def _best_add(table, floor):
    best, column = -np.inf, -1
    for j in range(table.spare.shape[0]):
        if table.spare[j] > floor and table.descent[j] ** 2 > best * table.spare[j]:
            best, column = table.descent[j] ** 2 / table.spare[j], j
    return best, column


@njit(cache=True)
def _best_drop(table, size):
    least, entry = np.inf, -1
    for i in range(size):
        rise = table.coef[i] ** 2 / table.inverse[i, i]
        if rise < least:
            least, entry = rise, i
    return least, entry


@njit(cache=True)
def local_search(gram, table, size, alpha, limit, swaps, floor, threshold, max_moves):
    """Make the best add or drop, or failing these the best swap, while one gains ``threshold``.

    A support above ``limit`` features first drops to it. Returns the new size and the number of
    moves, fewer than ``max_moves`` when no move is left.
    """
    gains = np.empty(table.spare.shape[0])
    diagonal = np.empty(table.coef.shape[0])
    for move in range(max_moves):
        rise, entry = _best_drop(table, size)
        fall, column = _best_add(table, floor) if size < limit else (-np.inf, -1)
        if size > limit or (alpha - rise > threshold and alpha - rise >= fall - alpha):
            _drop(table, size, entry)
            size -= 1
            continue
        if fall - alpha > threshold:
            _add(gram, table, size, column)
            size += 1
            continue
        if not swaps or size == 0:
            return size, move
        for i in range(size):
            diagonal[i] = table.inverse[i, i]
        gains.fill(-np.inf)
        rows, coef = table.rows[:size], table.coef[:size]
        swap_gains(rows, table.spare, table.descent, coef, diagonal, floor, gains)
        column = np.argmax(gains)
        if not gains[column] > threshold:
            return size, move
        entry = _leaver(table, size, column, floor)
        _drop(table, size, entry)
        _add(gram, table, size - 1, column)
    return size, max_moves
