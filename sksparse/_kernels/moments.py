"""Weighted means, variances and covariances with a target of all columns, in one pass over X.

Sums are taken of differences from the first row that has a weight, so that a large mean costs no
digits and a constant has no variance.
``weights`` have sum one; without centring the means are zero and the moments those about zero.
The caller makes the array of results: in a kernel that would take long to compile.
"""

import numpy as np

from sksparse._kernels._compiled import njit

# Samples from which two columns are measured at once.
LONG = 10_000


@njit(cache=True, inner=True)
def _first(weights):
    """The first row that has a weight."""
    for i in range(weights.shape[0]):
        if weights[i] > 0.0:
            return i
    return 0


@njit(cache=True, inner=True)
def _around_means(weights, target, centre, moments):
    """Moments around the means, or around zero, from sums of shifted columns, in place."""
    means, variances, covariances, shift = moments[0], moments[1], moments[2], moments[3]
    total = 0.0
    for i in range(weights.shape[0]):
        total += weights[i] * target[i]
    for j in range(moments.shape[1]):
        if centre:
            variances[j] -= means[j] * means[j]
            covariances[j] -= means[j] * total
            means[j] += shift[j]
        else:
            means[j] = 0.0


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
    _around_means(weights, target, centre, moments)


@njit(cache=True, fastmath={"reassoc", "contract"})
def moments_by_columns(X, weights, target, centre, moments):
    """Write means, variances and covariances with the target; columns of X are contiguous.

    ``moments`` has a fourth row, for what is subtracted from the columns.
    """
    (n, p), first = X.shape, _first(weights)
    # Of long columns two at once: weights and targets, no longer in the cache, are read half as
    # often.
    paired = p - p % 2 if n >= LONG else 0
    for j in range(p):
        moments[3, j] = X[first, j] if centre else 0.0
    for j in range(0, paired, 2):
        left, right = X[:, j], X[:, j + 1]
        left_shift, right_shift = moments[3, j], moments[3, j + 1]
        mean, variance, covariance = 0.0, 0.0, 0.0
        other_mean, other_variance, other_covariance = 0.0, 0.0, 0.0
        for i in range(n):
            x, other = left[i] - left_shift, right[i] - right_shift
            wx, weighted = weights[i] * x, weights[i] * other
            mean += wx
            variance += wx * x
            covariance += wx * target[i]
            other_mean += weighted
            other_variance += weighted * other
            other_covariance += weighted * target[i]
        moments[0, j], moments[1, j], moments[2, j] = mean, variance, covariance
        moments[0, j + 1], moments[1, j + 1] = other_mean, other_variance
        moments[2, j + 1] = other_covariance
    for j in range(paired, p):
        column, shift = X[:, j], moments[3, j]
        mean, variance, covariance = 0.0, 0.0, 0.0
        for i in range(n):
            x = column[i] - shift
            wx = weights[i] * x
            mean += wx
            variance += wx * x
            covariance += wx * target[i]
        moments[0, j], moments[1, j], moments[2, j] = mean, variance, covariance
    _around_means(weights, target, centre, moments)


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
