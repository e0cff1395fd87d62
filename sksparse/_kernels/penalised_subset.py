"""Coordinate descent with hard and soft thresholds on a Gram matrix with unit diagonal."""

import numpy as np

from sksparse._kernels._compiled import njit


@njit(cache=True, inner=True)
def _best(v, penalty, half, positive):
    """``argmin_u (u - v)^2 + 2 half |u| + penalty 1[u != 0]``, non-negative where asked."""
    if positive and v < 0.0:
        return 0.0
    magnitude = max(abs(v) - half, 0.0)
    return np.copysign(magnitude, v) if magnitude * magnitude > penalty else 0.0


@njit(cache=True)
def descend(gram, descent, coef, penalties, l1, positive, tol, stable, max_sweeps):
    """Cyclic descent, in place; ``descent`` is ``c - H coef``.

    Once a sweep over all columns leaves the support as it was, only the support is visited until it
    moves no more; then all columns are checked again. Returns early after ``stable`` sweeps in a
    row over an unchanged support.
    """
    everything, unchanged = True, 0
    for _ in range(max_sweeps):
        moved, flips = 0.0, 0
        for j in range(coef.shape[0]):
            old = coef[j]
            if not everything and old == 0.0:
                continue
            new = _best(old + descent[j], penalties[j], 0.5 * l1[j], positive[j])
            delta = new - old
            if delta == 0.0:
                continue
            flips += (old == 0.0) != (new == 0.0)
            moved = max(moved, abs(delta))
            coef[j] = new
            for k in range(coef.shape[0]):
                descent[k] -= delta * gram[j, k]
        unchanged = 0 if flips > 0 else unchanged + 1
        if unchanged == stable or (everything and moved <= tol):
            return
        everything = flips > 0 if everything else moved <= tol
