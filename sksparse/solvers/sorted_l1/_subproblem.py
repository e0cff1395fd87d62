"""Minimise a quadratic plus a sorted L1 norm over a working set.

Where a Gram matrix is stored, one compiled loop alternates coordinate descent over clusters
(Larsson et al., AISTATS 2023), proximal gradient steps and Newton steps on the pattern of zeros,
signs, order and ties. Where there is none, accelerated proximal gradient steps find the
coefficients in use, and the same loop works on these.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

from sksparse._interrupts import check
from sksparse._typing import Array
from sksparse.penalties import SortedL1
from sksparse.solvers.convex._quadratic_model import GramQuadratic, Quadratic
from sksparse.solvers.convex._scaled_solve import scaled_solve


class Limits(NamedTuple):
    """How much a round does.

    Parameters
    ----------
    sweeps : int
        Most sweeps of coordinate descent; they end where the pattern stays.
    system_share : float
        Arithmetic that linear systems may take, relative to that of the sweeps so far: solving for
        a pattern far from the final one is wasted.
    """

    sweeps: int = 20
    system_share: float = 4.0


#: What a round does where little is known of the solution.
USUAL = Limits()


@dataclass(frozen=True)
class Tuning:
    """When the steps for a sorted L1 norm are used, and when they end.

    Parameters
    ----------
    limits : Limits
        How much a round does.
    steps : int
        Accelerated gradient steps in a round, where there is no Gram matrix.
    largest_gram : int
        Coefficients in use for which one is formed nevertheless.
    max_rounds : int
        Rounds over one working set.
    patience : int
        Rounds in which the violations have not become ``better`` times smaller, after which they
        are at the level of rounding.
    better : float
        Share of the violations that counts as progress.
    stuck : int
        Rounds without progress from which accelerated gradient steps are made as well, and Newton
        steps from border to border of the pattern.
    power_steps : int
        Power iterations for the largest curvature; backtracking corrects an estimate that is too
        low.
    """

    limits: Limits = USUAL
    steps: int = 20
    largest_gram: int = 4000
    max_rounds: int = 1000
    patience: int = 20
    better: float = 0.9
    stuck: int = 6
    power_steps: int = 10


TUNING = Tuning()
# Coefficients and the state of the quadratic there.
_Point = tuple[Array, Array]


def minimise_sorted(
    quadratic: Quadratic,
    penalty: SortedL1,
    alpha: float,
    coef: Array,
    scales: Array,
    tol: float,
    limits: Limits = TUNING.limits,
) -> Array:
    """Coordinates of the working set that minimise ``quadratic + alpha * penalty``.

    Stops when the optimality conditions over the working set, for columns of the given lengths,
    hold up to ``tol``, or violations no longer fall. Rounds on a Gram matrix keep to ``limits``.
    """
    if not len(coef):
        return coef
    if quadratic.gram is None:
        return _by_products(quadratic, penalty, alpha, coef, scales, tol)
    exact = None
    if alpha == 0.0:
        # without a penalty there is no pattern to find
        exact = scaled_solve(quadratic.gram, quadratic.descent(quadratic.origin))
    start = coef if exact is None else exact
    return _on_gram(quadratic, quadratic.gram, penalty, alpha, start, scales, tol, limits)


def _on_gram(
    quadratic: Quadratic,
    matrix: Array,
    penalty: SortedL1,
    alpha: float,
    coef: Array,
    scales: Array,
    tol: float,
    limits: Limits = TUNING.limits,
) -> Array:
    """By the compiled loop; the state of a Gram matrix is minus the gradient."""
    from sksparse._kernels.sorted_descent import descend
    from sksparse._kernels.sorted_newton import newton_step

    origin, size = quadratic.origin, len(coef)
    coef, descent = coef.copy(), quadratic.state(coef)
    cumulative = np.append(0.0, np.cumsum(penalty.weights))
    memory = np.empty((4, size), dtype=np.intp), np.empty((4, size))
    curvature, budget = float(matrix.diagonal().max()), 0.0
    best, stale, lipschitz = np.inf, 0, 0.0
    for _ in range(TUNING.max_rounds):
        check()
        violation, curvature, n_used, n_moves = descend(
            matrix,
            descent,
            coef,
            scales,
            cumulative,
            alpha,
            tol,
            curvature,
            limits.sweeps,
            *memory,
        )
        stale = 0 if violation < TUNING.better * best else stale + 1
        best = min(best, violation)
        if violation <= tol or stale > TUNING.patience:
            break
        budget += limits.system_share * size * (n_moves + n_used)
        spent, share = newton_step(
            matrix, origin, descent, coef, cumulative, alpha, budget, True, *memory
        )
        budget -= spent
        if stale >= TUNING.stuck:
            # columns that are hardly different: steps along all of them, then from tie to tie
            lipschitz = lipschitz or _curvature_estimate(quadratic, size)
            point = coef, quadratic.state(coef)
            (coef, descent), lipschitz = _accelerated(quadratic, penalty, alpha, point, lipschitz)
            coef, descent = coef.copy(), descent.copy()
            for _ in range(size):
                share = newton_step(
                    matrix, origin, descent, coef, cumulative, alpha, np.inf, False, *memory
                )[1]
                if share in (0.0, 1.0):
                    break
    return coef


def _by_products(
    quadratic: Quadratic, penalty: SortedL1, alpha: float, coef: Array, scales: Array, tol: float
) -> Array:
    """By products with H: steps over all coefficients, and exact solutions over those in use."""
    point, best, stale = (coef, quadratic.state(coef)), np.inf, 0
    lipschitz, budget = _curvature_estimate(quadratic, len(coef)), 0.0
    for _ in range(TUNING.max_rounds):
        gradient = -quadratic.descent(point[1])
        worst = float(penalty.violations(point[0], gradient, alpha, scales).max())
        stale = 0 if worst < TUNING.better * best else stale + 1
        best = min(best, worst)
        if worst <= tol or stale > TUNING.patience:
            break
        check()
        point, lipschitz = _accelerated(quadratic, penalty, alpha, point, lipschitz)
        budget += TUNING.limits.system_share * TUNING.steps * quadratic.size
        used = np.flatnonzero(point[0])
        cost = quadratic.size / len(coef) * len(used) ** 2
        if 0 < len(used) <= TUNING.largest_gram and cost <= budget:
            budget -= cost
            point = _over_used(quadratic, penalty, alpha, point, scales, 0.1 * max(tol, worst))
    return point[0]


def _over_used(
    quadratic: Quadratic,
    penalty: SortedL1,
    alpha: float,
    point: _Point,
    scales: Array,
    tol: float,
) -> _Point:
    """The minimum over the coefficients in use, by their Gram matrix."""
    coef, state = point
    used = np.flatnonzero(coef)
    picks = np.ones(len(used)), (used, np.arange(len(used)))
    matrix = quadratic.reduced(sp.csc_array(picks, (len(coef), len(used))))
    inner = GramQuadratic(matrix, quadratic.descent(state)[used], coef[used])
    result = np.zeros_like(coef)
    among = SortedL1(penalty.weights[: len(used)])
    result[used] = _on_gram(inner, matrix, among, alpha, coef[used], scales[used], tol)
    return result, quadratic.state(result)


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
    while step < TUNING.steps:
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
            if step < TUNING.steps:
                continue
        following = 0.5 * (1.0 + np.sqrt(1.0 + 4.0 * momentum**2))
        share = (momentum - 1.0) / following
        point = new + share * (new - coef)
        point_state = new_state + share * (new_state - state)
        coef, state, momentum = new, new_state, following

    def value(point: _Point) -> float:
        return quadratic.value(*point) + alpha * penalty.value(point[0])

    return ((coef, state) if value((coef, state)) <= value(start) else start), lipschitz
