"""One-dimensional k-means: the optimum over sorted points, and Lloyd's iterations."""

import numpy as np

from sksparse._kernels._compiled import njit


@njit(cache=True, inner=True)
def _spread(sums, first, last):
    """The weighted squares around the mean of the points from `first` to before `last`."""
    weight = sums[0, last] - sums[0, first]
    if weight <= 0.0:
        return 0.0
    total = sums[1, last] - sums[1, first]
    return max(sums[2, last] - sums[2, first] - total * total / weight, 0.0)


@njit(cache=True)
def best_partition(sums, k, cost, cut, stack):
    """The ends of the k clusters of least weighted squares, by dynamic programming.

    The first point of the last cluster does not fall as points are added, so that the best ones
    are found by halving: ``O(k n log n)``.

    Parameters
    ----------
    sums : ndarray of shape (3, n + 1)
        Sums of the weights, of weights times values, and of weights times their squares, of the
        first points in increasing order.
    k : int
        Number of clusters, n at most.
    cost : ndarray of shape (2, n + 1)
        Work space.
    cut : ndarray of shape (k, n + 1)
        Filled with the first point of the last cluster, for each number of clusters and points.
    stack : ndarray of shape (64, 4)
        Work space.
    """
    n = sums.shape[1] - 1
    for j in range(n + 1):
        cost[0, j] = _spread(sums, 0, j)
        cut[0, j] = 0
    for c in range(1, k):
        before, now = (c - 1) % 2, c % 2
        stack[0, 0], stack[0, 1], stack[0, 2], stack[0, 3] = c + 1, n, c, n - 1
        size = 1
        while size > 0:
            size -= 1
            low, high = stack[size, 0], stack[size, 1]
            least, most = stack[size, 2], stack[size, 3]
            if low > high:
                continue
            j = (low + high) // 2
            best, at = np.inf, least
            for first in range(least, min(most, j - 1) + 1):
                value = cost[before, first] + _spread(sums, first, j)
                if value < best:
                    best, at = value, first
            cost[now, j], cut[c, j] = best, at
            stack[size, 0], stack[size, 1], stack[size, 2], stack[size, 3] = low, j - 1, least, at
            size += 1
            stack[size, 0], stack[size, 1], stack[size, 2], stack[size, 3] = j + 1, high, at, most
            size += 1


@njit(cache=True)
def lloyd(values, weights, centres, labels, sums, max_iter):
    """Move centres, which increase, to the means of the points closest to them, in place.

    Parameters
    ----------
    values : ndarray of shape (n,)
        Points in increasing order.
    weights : ndarray of shape (n,)
        Their weights.
    centres : ndarray of shape (k,)
        Where to start; a centre without points stays.
    labels : ndarray of shape (n,)
        Filled with the number of the centre of each point.
    sums : ndarray of shape (2, k)
        Work space.
    max_iter : int
        Iterations at most.

    Returns
    -------
    n_iter : int
        Iterations until no point changed its centre.
    """
    k = len(centres)
    for iteration in range(max_iter + 1):
        changed, c = iteration == 0, 0
        for j in range(k):
            sums[0, j] = sums[1, j] = 0.0
        for i in range(len(values)):
            while c < k - 1 and values[i] - centres[c] > centres[c + 1] - values[i]:
                c += 1
            changed |= labels[i] != c
            labels[i] = c
            sums[0, c] += weights[i]
            sums[1, c] += weights[i] * values[i]
        if not changed or iteration == max_iter:
            return iteration
        for j in range(k):
            if sums[0, j] > 0.0:
                centres[j] = sums[1, j] / sums[0, j]
        # a centre without points may have been passed by others
        for j in range(1, k):
            centres[j] = max(centres[j], centres[j - 1])
    return max_iter
