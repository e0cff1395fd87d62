"""Pooling for the proximal operator of the sorted L1 norm."""

import numpy as np

from sksparse._kernels._compiled import njit


@njit(cache=True)
def pool_adjacent(values):
    """The non-negative, non-increasing sequence that is nearest to `values`.

    A stack of blocks, each with its sum, where a block whose mean exceeds that of its left
    neighbour is merged into it; in the end every entry is the mean of its block, or zero.
    """
    p = values.shape[0]
    total = np.empty(p)
    size = np.empty(p, dtype=np.intp)
    top = 0
    for i in range(p):
        total[top] = values[i]
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
        result[at : at + size[block]] = mean
        at += size[block]
    return result
