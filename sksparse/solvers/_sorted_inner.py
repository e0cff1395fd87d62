"""Minimise a quadratic plus a sorted L1 norm over a working set.

Accelerated proximal gradient steps find which coefficients are tied, zero, and in which order;
given that pattern the problem is a small linear system, which is then solved exactly.
"""

from __future__ import annotations

import numpy as np
import scipy.linalg
import scipy.sparse as sp

from .._typing import Array, Indices
from ..penalties import SortedL1
from ._quadratic import Quadratic

_STEPS_PER_ROUND = 20
_MAX_ROUNDS = 1000
_POWER_STEPS = 10
# Linear systems may take this many times the arithmetic of the gradient steps so far.
_SYSTEM_SHARE = 4.0


def minimise_sorted(
    quadratic: Quadratic, penalty: SortedL1, alpha: float, coef: Array, tol: float
) -> Array:
    """Coordinates of the working set that minimise ``quadratic + alpha * penalty``.

    Stops when the optimality conditions over the working set hold up to ``tol``.
    """

    def objective(coef: Array, state: Array) -> float:
        return quadratic.value(coef, state) + alpha * penalty.value(coef)

    state = quadratic.state(coef)
    lipschitz = _curvature_estimate(quadratic, len(coef))
    budget = 0.0
    for _ in range(_MAX_ROUNDS):
        budget += _SYSTEM_SHARE * _STEPS_PER_ROUND * quadratic.size
        coef, state, lipschitz = _accelerated(quadratic, penalty, alpha, coef, state, lipschitz)
        trial, budget = _solve_pattern(quadratic, penalty, alpha, coef, budget)
        trial_state = quadratic.state(trial)
        if objective(trial, trial_state) <= objective(coef, state):
            coef, state = trial, trial_state
        if penalty.violations(coef, -quadratic.descent(state), alpha).max() <= tol:
            break
    return coef


def _curvature_estimate(quadratic: Quadratic, size: int) -> float:
    """A lower bound on the largest eigenvalue of H, close to it, by power iteration."""
    v: Array = np.ones(size)
    estimate = 0.0
    for _ in range(_POWER_STEPS):
        v = quadratic.descent(quadratic.product(v))
        estimate = float(np.linalg.norm(v))
        if estimate == 0.0:
            break
        v /= estimate
    return max(estimate, float(np.finfo(np.float64).tiny))


def _accelerated(
    quadratic: Quadratic,
    penalty: SortedL1,
    alpha: float,
    coef: Array,
    state: Array,
    lipschitz: float,
) -> tuple[Array, Array, float]:
    """Some steps of FISTA (Beck and Teboulle, 2009) with backtracking and gradient restart."""
    point, point_state, momentum = coef, state, 1.0
    step = 0
    while step < _STEPS_PER_ROUND:
        v = point + quadratic.descent(point_state) / lipschitz
        new = penalty.prox(v, alpha / lipschitz)
        new_state = quadratic.state(new)
        move = new - point
        curvature = float(move @ quadratic.descent(point_state - new_state))
        if curvature > lipschitz * float(move @ move) * (1.0 + 1e-10):
            lipschitz *= 1.5
            continue
        step += 1
        if float((point - new) @ (new - coef)) > 0:
            point, point_state, momentum = coef, state, 1.0
            if step < _STEPS_PER_ROUND:
                continue
        following = 0.5 * (1.0 + np.sqrt(1.0 + 4.0 * momentum**2))
        push = (momentum - 1.0) / following
        point = new + push * (new - coef)
        point_state = new_state + push * (new_state - state)
        coef, state, momentum = new, new_state, following
    return coef, state, lipschitz


def _solve_pattern(
    quadratic: Quadratic, penalty: SortedL1, alpha: float, coef: Array, budget: float
) -> tuple[Array, float]:
    """Minimise while signs, order and ties stay; meeting a tie or a zero joins the clusters.

    On a fixed pattern the penalty is linear in the cluster magnitudes, so the minimiser solves a
    linear system; where it leaves the pattern, the segment towards it is followed to the border.
    Returns the coefficients and what is left of the ``budget`` of multiplications.
    """
    descent = quadratic.descent(quadratic.origin)
    levels, cluster = np.unique(np.abs(coef), return_inverse=True)
    while n_clusters := np.count_nonzero(levels):
        cost = quadratic.size + n_clusters**3 / 3.0
        if cost > budget:
            break
        budget -= cost
        basis = _cluster_basis(coef, levels, cluster)
        costs = alpha * _cluster_weights(penalty.weights, levels, cluster)
        current = levels[levels > 0]
        try:
            factor = scipy.linalg.cho_factor(quadratic.reduced(basis))
        except np.linalg.LinAlgError:
            break
        target = scipy.linalg.cho_solve(factor, basis.T @ descent - costs)
        gaps = np.diff(current, prepend=0.0)
        target_gaps = np.diff(target, prepend=0.0)
        if not np.all(np.isfinite(target)):
            break
        closing = target_gaps <= 0
        if not closing.any():
            levels = np.concatenate((levels[levels == 0], target))
            break
        shares = gaps[closing] / (gaps[closing] - target_gaps[closing])
        share = shares.min()
        gaps += share * (target_gaps - gaps)
        gaps[np.flatnonzero(closing)[shares == share]] = 0.0
        moved = np.concatenate((levels[levels == 0], np.cumsum(np.maximum(gaps, 0.0))))
        levels, merged = np.unique(moved, return_inverse=True)
        cluster = merged[cluster]
    return np.sign(coef) * levels[cluster], budget


def _cluster_basis(coef: Array, levels: Array, cluster: Indices) -> sp.csc_array:
    """Signs of the coefficients, one column for each non-zero cluster."""
    zeros = int(levels[0] == 0)
    rows = np.flatnonzero(cluster >= zeros)
    entries = (np.sign(coef[rows]), (rows, cluster[rows] - zeros))
    return sp.csc_array(entries, shape=(len(coef), len(levels) - zeros))


def _cluster_weights(weights: Array, levels: Array, cluster: Indices) -> Array:
    """Sum of the sorted weights that each non-zero cluster takes, smallest magnitude first."""
    counts = np.bincount(cluster, minlength=len(levels))
    # Ranks start at the largest magnitude.
    sums = np.add.reduceat(weights, np.concatenate(([0], np.cumsum(counts[::-1])[:-1])))[::-1]
    return sums[int(levels[0] == 0) :]
