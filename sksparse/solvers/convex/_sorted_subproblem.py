"""Minimise a quadratic plus a sorted L1 norm over a working set.

Coordinate descent over clusters and single coefficients (Larsson et al., AISTATS 2023) brings every
coefficient to its scale, and accelerated proximal gradient steps take ties apart. Given which
coefficients are tied, zero, and in which order, the problem is a small linear system, which is then
solved exactly.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from sksparse._interrupts import check
from sksparse._typing import Array, Indices
from sksparse.penalties import SortedL1
from sksparse.solvers.convex._quadratic_model import Quadratic
from sksparse.solvers.convex._scaled_solve import scaled_solve

_SWEEPS_PER_ROUND = 3
_STEPS_PER_ROUND = 20
_MAX_ROUNDS = 1000
# Rounds without a violation that is smaller by a tenth, after which no more is to be had.
_PATIENCE, _BETTER = 20, 0.9
_POWER_STEPS = 10
# Linear systems may take this many times the arithmetic of the gradient steps so far.
_SYSTEM_SHARE = 4.0


def minimise_sorted(
    quadratic: Quadratic, penalty: SortedL1, alpha: float, coef: Array, scales: Array, tol: float
) -> Array:
    """Coordinates of the working set that minimise ``quadratic + alpha * penalty``.

    Stops when the optimality conditions over the working set, for columns of the given lengths,
    hold up to ``tol``, or violations become no smaller.
    """

    def objective(coef: Array, state: Array) -> float:
        return quadratic.value(coef, state) + alpha * penalty.value(coef)

    if not len(coef):
        return coef
    if alpha == 0.0 and quadratic.gram is not None:
        # least squares knows no pattern
        exact = scaled_solve(quadratic.gram, quadratic.descent(quadratic.origin))
        coef = coef if exact is None else exact
    state = quadratic.state(coef)
    lipschitz = _curvature_estimate(quadratic, len(coef))
    budget, best, stale = 0.0, np.inf, 0
    for _ in range(_MAX_ROUNDS):
        check()
        budget += _SYSTEM_SHARE * _STEPS_PER_ROUND * quadratic.size
        if quadratic.gram is not None:
            coef = _sweep(quadratic.gram, penalty, alpha, coef, state)
            state = quadratic.state(coef)
        value = objective(coef, state)
        moved, moved_state, lipschitz = _accelerated(
            quadratic, penalty, alpha, coef, state, lipschitz
        )
        if objective(moved, moved_state) <= value:
            coef, state = moved, moved_state
        trial, budget = _solve_pattern(quadratic, penalty, alpha, coef, budget)
        trial_state = quadratic.state(trial)
        if objective(trial, trial_state) <= objective(coef, state):
            coef, state = trial, trial_state
        worst = penalty.violations(coef, -quadratic.descent(state), alpha, scales).max()
        stale = 0 if worst < _BETTER * best else stale + 1
        best = min(best, worst)
        if worst <= tol or stale > _PATIENCE:
            break
    return coef


def _sweep(gram: Array, penalty: SortedL1, alpha: float, coef: Array, state: Array) -> Array:
    """Some sweeps of coordinate descent; the state of a Gram matrix is minus the gradient."""
    from sksparse._kernels.sorted_descent import sorted_descent

    coef, descent = coef.copy(), state.copy()
    ranked = np.sort(np.abs(coef))[::-1].copy()
    for _ in range(_SWEEPS_PER_ROUND):
        sorted_descent(gram, descent, coef, ranked, penalty.weights, alpha)
    return coef


def _curvature_estimate(quadratic: Quadratic, size: int) -> float:
    """A lower bound on the largest eigenvalue of H, close to it, by power iteration.

    It starts from a direction that no symmetry of the columns makes orthogonal to the answer.
    """
    v: Array = np.random.default_rng(0).standard_normal(size)
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
    # Magnitudes and clusters go from small to large, zero apart.
    used = np.flatnonzero(coef)
    levels, cluster = np.unique(np.abs(coef[used]), return_inverse=True)
    cost = quadratic.size + len(levels) ** 3 / 3.0
    if not used.size or cost > budget:
        return coef, budget
    signs = np.sign(coef[used])
    basis = sp.csc_array((signs, (used, cluster)), shape=(len(coef), len(levels)))
    system = quadratic.reduced(basis)
    pull = basis.T @ quadratic.descent(quadratic.origin)
    pull -= alpha * _cluster_weights(penalty.weights, cluster)
    while len(levels) and cost <= budget:
        budget -= cost
        target = scaled_solve(system, pull)
        if target is None:
            break
        gaps, target_gaps = np.diff(levels, prepend=0.0), np.diff(target, prepend=0.0)
        closing = target_gaps <= 0
        if not closing.any():
            levels = target
            break
        shares = gaps[closing] / (gaps[closing] - target_gaps[closing])
        gaps += shares.min() * (target_gaps - gaps)
        gaps[np.flatnonzero(closing)[shares == shares.min()]] = 0.0
        levels, system, pull, cluster = _merge(np.maximum(gaps, 0.0), system, pull, cluster)
        cost = len(levels) ** 3 / 3.0
    result = np.zeros_like(coef)
    kept = cluster >= 0
    result[used[kept]] = signs[kept] * levels[cluster[kept]]
    return result, budget


def _merge(
    gaps: Array, system: Array, pull: Array, cluster: Indices
) -> tuple[Array, Array, Array, Indices]:
    """Join each cluster without a gap to the one below; number -1 are those joined to zero."""
    starts = np.flatnonzero(gaps > 0)
    renumber = np.append(np.cumsum(gaps > 0) - 1, -1)
    if not starts.size:
        return np.empty(0), np.empty((0, 0)), np.empty(0), renumber[cluster]
    rows = np.add.reduceat(system, starts, axis=0)
    both = np.add.reduceat(rows, starts, axis=1)
    return np.cumsum(gaps[starts]), both, np.add.reduceat(pull, starts), renumber[cluster]


def _cluster_weights(weights: Array, cluster: Indices) -> Array:
    """Sum of the sorted weights that each cluster takes, smallest magnitude first."""
    counts = np.bincount(cluster)[::-1]
    # Ranks start at the largest magnitude.
    ranked = weights[: len(cluster)]
    return np.add.reduceat(ranked, np.concatenate(([0], np.cumsum(counts[:-1]))))[::-1]
