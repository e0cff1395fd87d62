"""Proximal operator of the sorted L1 norm."""

import numpy as np
from numba import njit


@njit(cache=True)
def prox_sorted_l1(v, weights):
    """``argmin_w ||w - v||^2 / 2 + sum_i weights_i |w|_(i)`` by pooling adjacent violators.

    The sorted magnitudes minus the weights are made non-increasing: a stack of blocks, each with
    its mean, where a block that exceeds its left neighbour is merged into it.
    """
    p = v.shape[0]
    order = np.argsort(-np.abs(v))
    total = np.empty(p)
    size = np.empty(p, dtype=np.intp)
    top = 0
    for i in range(p):
        total[top] = abs(v[order[i]]) - weights[i]
        size[top] = 1
        while top > 0 and total[top - 1] * size[top] <= total[top] * size[top - 1]:
            total[top - 1] += total[top]
            size[top - 1] += size[top]
            top -= 1
        top += 1
    result = np.empty(p)
    at = 0
    for block in range(top):
        mean = max(total[block] / size[block], 0.0)
        for _ in range(size[block]):
            j = order[at]
            result[j] = mean if v[j] >= 0.0 else -mean
            at += 1
    return result
