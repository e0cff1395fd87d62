"""Coordinate descent on a quadratic with an L1 norm and bounds, with extrapolation.

The quadratic is ``w^T H w / 2 - q^T w`` plus a ridge, and H is stored. What the loop maintains is
the state ``q - H w``. It is the special case of block descent on a stored H for groups of one
column and one output, where an epoch takes so little that all of the loop has to be compiled.
"""

import numpy as np

from sksparse._kernels._compiled import njit

# Iterates that an extrapolation combines, and what is added to its system, as a share of the trace.
MEMORY, JITTER = 5, 1e-12


@njit(cache=True, inner=True)
def _epoch(matrix, ridge, thresholds, lower, upper, visited, state, coef):
    """Visit coordinates once; the largest square of a move in the metric of the curvature."""
    largest = 0.0
    for j in visited:
        curvature, old = matrix[j, j] + ridge, coef[j]
        if curvature <= 0.0:
            continue
        pull = state[j] + matrix[j, j] * old
        value = max(pull - thresholds[j], 0.0) + min(pull + thresholds[j], 0.0)
        value = min(max(value / curvature, lower[j]), upper[j])
        delta = value - old
        if delta != 0.0:
            coef[j] = value
            largest = max(largest, curvature * delta * delta)
            row = matrix[j]
            for i in range(state.shape[0]):
                state[i] -= delta * row[i]
    return largest


@njit(cache=True, inner=True)
def _value(origin, ridge, thresholds, state, coef):
    """Quadratic, ridge and L1 norm, up to a constant."""
    total = 0.0
    for j in range(coef.shape[0]):
        if coef[j] != 0.0:
            total += thresholds[j] * abs(coef[j]) + 0.5 * ridge * coef[j] * coef[j]
            total -= 0.5 * coef[j] * (origin[j] + state[j])
    return total


@njit(cache=True)
def _affine_weights(system):
    """Weights with sum one of the combination of rows that is shortest, from their products.

    By elimination without pivots, which a positive definite system allows; zeros where it is not.
    """
    size = system.shape[0]
    weights, total = np.ones(size), 0.0
    for k in range(size):
        if system[k, k] <= 0.0:
            return np.zeros(size)
        for i in range(k + 1, size):
            factor = system[i, k] / system[k, k]
            for j in range(k, size):
                system[i, j] -= factor * system[k, j]
            weights[i] -= factor * weights[k]
    for k in range(size - 1, -1, -1):
        for j in range(k + 1, size):
            weights[k] -= system[k, j] * weights[j]
        weights[k] /= system[k, k]
        total += weights[k]
    return weights / total if total > 0.0 else np.zeros(size)


@njit(cache=True)
def _extrapolated(history, lower, upper):
    """The combination of iterates whose moves cancel best; the last one where there is none."""
    count = history.shape[0] - 1
    system, trace = np.zeros((count, count)), 0.0
    for a in range(count):
        for b in range(a + 1):
            for j in range(history.shape[1]):
                left = history[a + 1, j] - history[a, j]
                system[a, b] += left * (history[b + 1, j] - history[b, j])
            system[b, a] = system[a, b]
        trace += system[a, a]
    for a in range(count):
        system[a, a] += JITTER * trace
    weights, found = _affine_weights(system), np.zeros(history.shape[1])
    if not weights.any():
        return history[count].copy()
    for j in range(history.shape[1]):
        for a in range(count):
            found[j] += weights[a] * history[a + 1, j]
        found[j] = min(max(found[j], lower[j]), upper[j])
    return found


@njit(cache=True)
def coordinate_descent(
    matrix, origin, state, coef, epochs, ridge, thresholds, lower, upper, visited, tol
):
    """Visit the given coordinates until none moves by more than ``tol``, at most ``epochs`` times.

    ``state`` and ``coef`` are changed in place; ``origin`` is the state at zero. Returns the
    largest move of the last epoch, in the metric of the curvatures.
    """
    history = np.empty((MEMORY, coef.shape[0]))
    largest, kept = 0.0, 0
    for _ in range(epochs):
        largest = _epoch(matrix, ridge, thresholds, lower, upper, visited, state, coef)
        if largest <= tol * tol:
            break
        history[kept] = coef
        kept += 1
        if kept < MEMORY:
            continue
        kept = 0
        trial = _extrapolated(history, lower, upper)
        ahead = origin.copy()
        for j in range(trial.shape[0]):
            if trial[j] != 0.0:
                row = matrix[j]
                for i in range(ahead.shape[0]):
                    ahead[i] -= trial[j] * row[i]
        now = _value(origin, ridge, thresholds, state, coef)
        if _value(origin, ridge, thresholds, ahead, trial) < now:
            coef[:], state[:] = trial, ahead
    return np.sqrt(largest)
