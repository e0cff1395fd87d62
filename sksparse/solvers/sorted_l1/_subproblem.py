"""Minimise a quadratic plus a sorted L1 norm over a working set.

Coordinate descent over clusters and single coefficients (Larsson et al., AISTATS 2023) brings every
coefficient to its scale, and accelerated proximal gradient steps separate ties. Given which
coefficients are tied, zero, and in which order, the problem is a small linear system, which is then
solved exactly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from sksparse._interrupts import check
from sksparse._typing import Array, Indices
from sksparse.penalties import SortedL1
from sksparse.solvers.convex._quadratic_model import Quadratic
from sksparse.solvers.convex._scaled_solve import scaled_solve


@dataclass(frozen=True)
class Tuning:
    """When the steps for a sorted L1 norm are used, and when they end.

    Parameters
    ----------
    small : int
        Features up to which the working set holds all of them from the start.
    first_features : int
        Features that enter a larger one at first; it doubles from there.
    sweeps_per_round, steps_per_round : int
        Sweeps of coordinate descent and accelerated gradient steps between exact solutions on a
        pattern.
    max_rounds : int
        Rounds over one working set.
    patience : int
        Rounds in which the violations have not become ``better`` times smaller, after which they
        are at the level of rounding.
    better : float
        Share of the violations that counts as progress.
    power_steps : int
        Power iterations for the largest curvature; backtracking corrects an estimate that is too
        low.
    system_share : float
        Arithmetic that linear systems may take, relative to that of the gradient steps so far:
        solving for a pattern far from the final one is wasted.
    """

    small: int = 300
    first_features: int = 100
    sweeps_per_round: int = 3
    steps_per_round: int = 20
    max_rounds: int = 1000
    patience: int = 20
    better: float = 0.9
    power_steps: int = 10
    system_share: float = 4.0


TUNING = Tuning()
# Coefficients and the state of the quadratic there.
_Point = tuple[Array, Array]


def minimise_sorted(
    quadratic: Quadratic, penalty: SortedL1, alpha: float, coef: Array, scales: Array, tol: float
) -> Array:
    """Coordinates of the working set that minimise ``quadratic + alpha * penalty``.

    Stops when the optimality conditions over the working set, for columns of the given lengths,
    hold up to ``tol``, or violations no longer fall.
    """

    def better(new: _Point, old: _Point) -> _Point:
        values = [quadratic.value(*point) + alpha * penalty.value(point[0]) for point in (new, old)]
        return new if values[0] <= values[1] else old

    if not len(coef):
        return coef
    coef = _unpenalised(quadratic, alpha, coef)
    state = quadratic.state(coef)
    lipschitz = _curvature_estimate(quadratic, len(coef))
    budget, best, stale = 0.0, np.inf, 0
    for _ in range(TUNING.max_rounds):
        check()
        budget += TUNING.system_share * TUNING.steps_per_round * quadratic.size
        if quadratic.gram is not None:
            coef = _sweep(quadratic.gram, penalty, alpha, coef, state)
            state = quadratic.state(coef)
        moved, lipschitz = _accelerated(quadratic, penalty, alpha, (coef, state), lipschitz)
        coef, state = better(moved, (coef, state))
        trial, budget = _solve_pattern(quadratic, penalty, alpha, coef, budget)
        coef, state = better((trial, quadratic.state(trial)), (coef, state))
        worst = penalty.violations(coef, -quadratic.descent(state), alpha, scales).max()
        stale = 0 if worst < TUNING.better * best else stale + 1
        best = min(best, worst)
        if worst <= tol or stale > TUNING.patience:
            break
    return coef


def _unpenalised(quadratic: Quadratic, alpha: float, coef: Array) -> Array:
    """The solution of least squares where there is no penalty, and so no pattern to find."""
    if alpha != 0.0 or quadratic.gram is None:
        return coef
    exact = scaled_solve(quadratic.gram, quadratic.descent(quadratic.origin))
    return coef if exact is None else exact


def _sweep(gram: Array, penalty: SortedL1, alpha: float, coef: Array, state: Array) -> Array:
    """Some sweeps of coordinate descent; the state of a Gram matrix is minus the gradient."""
    from sksparse._kernels.sorted_descent import sorted_descent

    coef, descent = coef.copy(), state.copy()
    ranked = np.sort(np.abs(coef))[::-1].copy()
    for _ in range(TUNING.sweeps_per_round):
        sorted_descent(gram, descent, coef, ranked, penalty.weights, alpha)
    return coef


def _curvature_estimate(quadratic: Quadratic, size: int) -> float:
    """A lower bound on the largest eigenvalue of H, close to it, by power iteration.

    It starts from a direction that no symmetry of the columns makes orthogonal to the answer.
    """
    v: Array = np.random.default_rng(0).standard_normal(size)
    estimate = 0.0
    for _ in range(TUNING.power_steps):
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
    start: _Point,
    lipschitz: float,
) -> tuple[_Point, float]:
    """Some steps of FISTA (Beck and Teboulle, 2009) with backtracking and gradient restart."""
    coef, state = start
    point, point_state, momentum = coef, state, 1.0
    step = 0
    while step < TUNING.steps_per_round:
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
            if step < TUNING.steps_per_round:
                continue
        following = 0.5 * (1.0 + np.sqrt(1.0 + 4.0 * momentum**2))
        share = (momentum - 1.0) / following
        point = new + share * (new - coef)
        point_state = new_state + share * (new_state - state)
        coef, state, momentum = new, new_state, following
    return (coef, state), lipschitz


def _solve_pattern(
    quadratic: Quadratic, penalty: SortedL1, alpha: float, coef: Array, budget: float
) -> tuple[Array, float]:
    """Minimise while signs, order and ties stay; clusters that reach each other or zero are joined.

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
    right = basis.T @ quadratic.descent(quadratic.origin)
    right -= alpha * _cluster_weights(penalty.weights, cluster)
    while len(levels) and cost <= budget:
        budget -= cost
        target = scaled_solve(system, right)
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
        levels, system, right, cluster = _merge(np.maximum(gaps, 0.0), system, right, cluster)
        cost = len(levels) ** 3 / 3.0
    result = np.zeros_like(coef)
    kept = cluster >= 0
    result[used[kept]] = signs[kept] * levels[cluster[kept]]
    return result, budget


def _merge(
    gaps: Array, system: Array, right: Array, cluster: Indices
) -> tuple[Array, Array, Array, Indices]:
    """Join each cluster without a gap to the one below; number -1 are those joined to zero."""
    starts = np.flatnonzero(gaps > 0)
    renumber = np.append(np.cumsum(gaps > 0) - 1, -1)
    if not starts.size:
        return np.empty(0), np.empty((0, 0)), np.empty(0), renumber[cluster]
    rows = np.add.reduceat(system, starts, axis=0)
    both = np.add.reduceat(rows, starts, axis=1)
    return np.cumsum(gaps[starts]), both, np.add.reduceat(right, starts), renumber[cluster]


def _cluster_weights(weights: Array, cluster: Indices) -> Array:
    """Sum of the sorted weights that each cluster takes, smallest magnitude first."""
    counts = np.bincount(cluster)[::-1]
    # Ranks start at the largest magnitude.
    ranked = weights[: len(cluster)]
    return np.add.reduceat(ranked, np.concatenate(([0], np.cumsum(counts[:-1]))))[::-1]
