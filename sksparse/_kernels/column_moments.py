"""Weighted sums of the columns of a matrix and of their squares, in one pass over it."""

import numpy as np
from numba import njit


@njit(cache=True)
def sums_by_rows(X, weights, shift):
    """``sum_i w_i (x_ij - shift_j)`` and ``sum_i w_i (x_ij - shift_j)^2``, row by row.

    Four rows at a time, so that the sums are read and written less often.
    """
    n, p = X.shape
    sums, squares = np.zeros(p), np.zeros(p)
    whole = n - n % 4
    for i in range(0, whole, 4):
        a, b, c, d = weights[i], weights[i + 1], weights[i + 2], weights[i + 3]
        for j in range(p):
            s = shift[j]
            e, f, g, h = X[i, j] - s, X[i + 1, j] - s, X[i + 2, j] - s, X[i + 3, j] - s
            sums[j] += a * e + b * f + c * g + d * h
            squares[j] += a * e * e + b * f * f + c * g * g + d * h * h
    for i in range(whole, n):
        for j in range(p):
            e = X[i, j] - shift[j]
            sums[j] += weights[i] * e
            squares[j] += weights[i] * e * e
    return sums, squares


@njit(cache=True)
def sums_by_columns(X, weights, shift):
    """The same, column by column."""
    n, p = X.shape
    sums, squares = np.zeros(p), np.zeros(p)
    for j in range(p):
        first, second = 0.0, 0.0
        for i in range(n):
            e = X[i, j] - shift[j]
            first += weights[i] * e
            second += weights[i] * e * e
        sums[j], squares[j] = first, second
    return sums, squares
