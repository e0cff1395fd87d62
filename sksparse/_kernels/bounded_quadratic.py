"""Coordinate descent on a small quadratic with an L1 norm and lower bounds."""

import numpy as np

from sksparse._kernels._compiled import njit


@njit(cache=True)
def minimise_bounded(matrix, linear, l1, lower, x, tol, max_sweeps):
    """Minimise ``x^T H x / 2 - q^T x + sum_j l1_j |x_j|`` over ``x >= lower``, in place.

    Stops when a sweep moves no coordinate by more than ``tol`` of the length ``1 / sqrt(H_jj)``.
    """
    size = x.shape[0]
    descent = linear - matrix @ x
    for _ in range(max_sweeps):
        worst = 0.0
        for j in range(size):
            curvature = matrix[j, j]
            if curvature <= 0.0:
                continue
            value = x[j] + descent[j] / curvature
            shrunk = max(abs(value) - l1[j] / curvature, 0.0)
            new = max(shrunk if value > 0.0 else -shrunk, lower[j])
            delta = new - x[j]
            if delta != 0.0:
                worst = max(worst, abs(delta) * np.sqrt(curvature))
                x[j] = new
                for k in range(size):
                    descent[k] -= delta * matrix[j, k]
        if worst <= tol:
            return
