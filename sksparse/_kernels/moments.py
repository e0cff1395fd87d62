"""Weighted means, variances and covariances with a target of all columns, in one pass over X.

Sums are taken of differences from the first row that has a weight, so that a large mean costs no
digits and a constant has no variance.
``weights`` have sum one; without centring the means are zero and the moments those about zero.
The caller makes the array of results: in a kernel that would take long to compile.
"""

import numpy as np

from sksparse._kernels._compiled import njit


@njit(cache=True, inner=True)
def _first(weights):
    """The first row that has a weight."""
    for i in range(weights.shape[0]):
        if weights[i] > 0.0:
            return i
    return 0


@njit(cache=True, inner=True)
def _total(weights, target):
    total = 0.0
    for i in range(weights.shape[0]):
        total += weights[i] * target[i]
    return total


@njit(cache=True, fastmath={"contract"})
def moments_by_rows(X, weights, target, centre, moments):
    """Moments of a matrix whose rows are contiguous; see ``moments_by_columns``.

    ``moments`` has a fourth row, for what is subtracted from the columns.
    """
    (n, p), first = X.shape, _first(weights)
    means, variances, covariances, shift = moments[0], moments[1], moments[2], moments[3]
    for j in range(p):
        shift[j] = X[first, j] if centre else 0.0
        means[j], variances[j], covariances[j] = 0.0, 0.0, 0.0
    # Four rows at once: the sums of all columns are read and written a quarter as often.
    for i in range(0, n - n % 4, 4):
        w0, w1, w2, w3 = weights[i], weights[i + 1], weights[i + 2], weights[i + 3]
        t0, t1, t2, t3 = target[i], target[i + 1], target[i + 2], target[i + 3]
        for j in range(p):
            x0, x1 = X[i, j] - shift[j], X[i + 1, j] - shift[j]
            x2, x3 = X[i + 2, j] - shift[j], X[i + 3, j] - shift[j]
            wx0, wx1, wx2, wx3 = w0 * x0, w1 * x1, w2 * x2, w3 * x3
            means[j] += (wx0 + wx1) + (wx2 + wx3)
            variances[j] += (wx0 * x0 + wx1 * x1) + (wx2 * x2 + wx3 * x3)
            covariances[j] += (wx0 * t0 + wx1 * t1) + (wx2 * t2 + wx3 * t3)
    for i in range(n - n % 4, n):
        w, t = weights[i], target[i]
        for j in range(p):
            x = X[i, j] - shift[j]
            wx = w * x
            means[j] += wx
            variances[j] += wx * x
            covariances[j] += wx * t
    if centre:
        total = _total(weights, target)
        for j in range(p):
            variances[j] -= means[j] * means[j]
            covariances[j] -= means[j] * total
            means[j] += shift[j]
    else:
        for j in range(p):
            means[j] = 0.0


@njit(cache=True, fastmath={"reassoc", "contract"})
def moments_by_columns(X, weights, target, centre, moments):
    """Write means, variances and covariances with the target; columns of X are contiguous."""
    n, p = X.shape
    total, first = _total(weights, target), _first(weights)
    for j in range(p):
        shift = np.float64(X[first, j]) if centre else 0.0
        mean, variance, covariance = 0.0, 0.0, 0.0
        for i in range(n):
            x = X[i, j] - shift
            wx = weights[i] * x
            mean += wx
            variance += wx * x
            covariance += wx * target[i]
        if centre:
            variance -= mean * mean
            covariance -= mean * total
            mean += shift
        else:
            mean = 0.0
        moments[0, j], moments[1, j], moments[2, j] = mean, variance, covariance


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
