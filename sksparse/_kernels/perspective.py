"""Perspective relaxation of best subset on a Gram matrix with unit diagonal.

Over columns that are free, in or out, the relaxation minimises::

    1 - 2 c^T u + u^T H u + sum_{j in} a_j + sum_{j free} min_z (a_j z + d_j u_j^2 (1 / z - 1))

with z in [0, 1], where the share ``d_j`` of the diagonal of H is such that ``H - diag(d)`` is
positive semidefinite. The last term is a reverse Huber function: ``2 sqrt(a_j d_j) |u_j| - d_j
u_j^2`` up to ``|u_j| = sqrt(a_j / d_j)``, and ``a_j`` beyond. No bound on u is needed.

Any u gives a lower bound: with ``g = c - (H - diag(d)) u``, the relaxation is at least
``1 - u^T (H - diag(d)) u + sum_{in} (a_j - g_j^2 / d_j) + sum_{free} min(0, a_j - g_j^2 / d_j)``.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

FREE, IN, OUT = 0, 1, 2
# Sweeps between two looks at the bound.
_SWEEPS = 4
# Rounding of an inner product of numbers of unit size, with room to spare.
_ROUNDING = 1e-14


class Relaxation(NamedTuple):
    gram: np.ndarray
    target: np.ndarray
    share: np.ndarray
    price: np.ndarray
    state: np.ndarray


class Stopping(NamedTuple):
    cutoff: float
    tol: float
    max_sweeps: int


@njit(cache=True)
def _minimiser(slope, share, price):
    """Minimise ``-2 slope u + u^2`` plus the reverse Huber function."""
    size = abs(slope)
    threshold = np.sqrt(price * share)
    if size <= threshold:
        return 0.0
    if size * share < threshold:
        size = (size - threshold) / (1.0 - share)
    return size if slope > 0.0 else -size


@njit(cache=True)
def _sweep(problem, coef, descent, multiplier, everything):
    """One cycle of coordinate descent; returns the largest move."""
    gram, _, share, price, state = problem
    moved = 0.0
    for j in range(coef.shape[0]):
        old = coef[j]
        if state[j] == OUT or (not everything and old == 0.0):
            continue
        new = old + descent[j]
        if state[j] == FREE:
            new = _minimiser(new, share[j], price[j] + multiplier)
        delta = new - old
        if delta != 0.0:
            coef[j] = new
            moved = max(moved, abs(delta))
            row = gram[j]
            for k in range(descent.shape[0]):
                descent[k] -= delta * row[k]
    return moved


@njit(cache=True)
def _values(problem, coef, descent, multiplier):
    """Relaxation at ``coef``, its lower bound, and the sum of z over the free columns."""
    _, target, share, price, state = problem
    smooth, curved, length, size = 1.0, 0.0, 0.0, 0.0
    for j in range(coef.shape[0]):
        smooth -= coef[j] * (target[j] + descent[j])
        curved += coef[j] * (target[j] - descent[j] - share[j] * coef[j])
        length += abs(coef[j])
    primal, dual = smooth, 1.0 - curved - _ROUNDING * (1.0 + length) ** 2
    for j in range(coef.shape[0]):
        if state[j] == OUT:
            continue
        gradient = abs(descent[j] + share[j] * coef[j]) + _ROUNDING * (1.0 + length)
        if state[j] == IN:
            primal += price[j]
            dual += price[j] - gradient**2 / share[j]
            continue
        cost = price[j] + multiplier
        dual += min(0.0, cost - gradient**2 / share[j])
        if coef[j] != 0.0:
            z = min(1.0, abs(coef[j]) * np.sqrt(share[j] / cost)) if cost > 0.0 else 1.0
            size += z
            primal += cost * z + share[j] * coef[j] ** 2 * (1.0 / z - 1.0)
    return primal, dual, size


@njit(cache=True)
def descend(problem, coef, descent, multiplier, places, stopping):
    """Coordinate descent in place until the bound is close, or high enough to cut the node.

    ``multiplier`` is added to the price of every free column, and ``multiplier * places`` is
    subtracted from the bound. Returns the value, the bound and the sum of z.
    """
    cutoff, tol, max_sweeps = stopping
    primal, dual, size = np.inf, -np.inf, 0.0
    paid = multiplier * places
    for sweep in range(max_sweeps):
        moved = _sweep(problem, coef, descent, multiplier, sweep % _SWEEPS == 0)
        if sweep % _SWEEPS == _SWEEPS - 1 or moved == 0.0:
            primal, bound, size = _values(problem, coef, descent, multiplier)
            dual = max(dual, bound)
            if dual - paid >= cutoff or primal - bound <= tol:
                break
    return primal - paid, dual - paid, size


@njit(cache=True)
def descend_to_size(problem, coef, descent, multiplier, places, stopping, rounds):
    """Adjust the multiplier until the sum of z over the free columns is ``places``.

    The bound is valid for every multiplier, and concave in it. Returns the value, the bound and
    the multiplier of the best bound, whose coefficients are left in place.
    """
    lower, upper = 0.0, np.inf
    best_value, best, best_multiplier = np.inf, -np.inf, multiplier
    best_coef, best_descent = coef.copy(), descent.copy()
    for _ in range(rounds):
        value, bound, size = descend(problem, coef, descent, multiplier, places, stopping)
        if bound > best:
            best_value, best, best_multiplier = value, bound, multiplier
            best_coef[:] = coef
            best_descent[:] = descent
        error = size - places
        if best >= stopping.cutoff or abs(error) * multiplier <= stopping.tol:
            break
        if error > 0:
            lower = multiplier
        else:
            upper = multiplier
        factor = (max(size, 0.1) / places) ** 1.5 if places > 0 else 4.0
        multiplier *= min(max(factor, 0.25), 4.0)
        if not lower < multiplier < upper:
            multiplier = np.sqrt(max(lower, 1e-3 * upper) * upper)
    coef[:] = best_coef
    descent[:] = best_descent
    return best_value, best, best_multiplier


@njit(cache=True)
def gradient_everywhere(rows, target, coef, descent):
    """``descent = target - H coef`` for all columns, from the rows of H that ``coef`` is on."""
    descent[:] = target
    for a in range(coef.shape[0]):
        if coef[a] != 0.0:
            row = rows[a]
            for k in range(descent.shape[0]):
                descent[k] -= coef[a] * row[k]
