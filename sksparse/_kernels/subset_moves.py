"""What each column gains by entering a subset, or by taking the place of one of its features."""

import numpy as np

from sksparse._kernels._compiled import njit


@njit(cache=True)
def _reach(descent, l1, positive):
    """What the L1 norm and a bound at zero leave of minus a gradient entry."""
    size = descent if positive else abs(descent)
    return max(size - l1, 0.0)


@njit(cache=True, error_model="numpy")
def column_gains(rows, cross, coef, diagonal, drops, descent, l1, positive, prices, usable, adds):
    """Best gain of each column, and the feature whose place it takes; -1 where it is added.

    ``rows`` is ``M H_S``, ``cross`` is ``H_S`` and ``diagonal`` that of M, for the correlations H
    and the inverse M of its part among the support; ``drops`` is the gain of dropping each feature;
    ``usable`` holds the share of its squared length that a column must keep beside the support.
    ``adds`` says whether a column may enter without taking a place.
    """
    size, width = rows.shape
    outputs = coef.shape[1]
    spare = np.ones(width)
    for i in range(size):
        for j in range(width):
            spare[j] -= rows[i, j] * cross[i, j]
    gains, leavers = np.full(width, -np.inf), np.full(width, -1)
    if adds:
        for j in range(width):
            if spare[j] > usable[j]:
                total = 0.0
                for o in range(outputs):
                    total += _reach(descent[j, o], l1[j], positive[j]) ** 2
                gains[j] = total / (2.0 * spare[j]) - prices[j]
    for i in range(size):
        for j in range(width):
            ratio = rows[i, j] / diagonal[i]
            left = spare[j] + rows[i, j] * ratio
            total = 0.0
            for o in range(outputs):
                total += _reach(descent[j, o] + ratio * coef[i, o], l1[j], positive[j]) ** 2
            gain = total / (2.0 * left) + drops[i] - prices[j]
            if left > usable[j] and gain > gains[j]:
                gains[j], leavers[j] = gain, i
    return gains, leavers


@njit(cache=True, fastmath={"reassoc", "contract"})
def row_moments(rows, weights):
    """Weighted sums of the entries of each row, and of their squares."""
    sums, squares = np.empty(rows.shape[0]), np.empty(rows.shape[0])
    for i in range(rows.shape[0]):
        row, total, square = rows[i], 0.0, 0.0
        for k in range(weights.shape[0]):
            weighted = weights[k] * row[k]
            total += weighted
            square += weighted * row[k]
        sums[i], squares[i] = total, square
    return sums, squares
