"""Block coordinate descent on a penalised quadratic.

The quadratic is ``w^T H w / 2 - q^T w`` and comes in three forms that share one loop. What the
loop maintains is a *state* whose product with column j is minus the gradient of coordinate j:

* :class:`Gram` holds H itself; the state is ``q - H w``;
* :class:`Dense` holds a matrix A with ``H = A^T A``; the state is the residual;
* :class:`Sparse` holds ``A = diag(roots) (X - 1 means^T)`` through the stored entries of
  ``diag(roots) X``; the state is a residual without its centring, and as last entry the multiple
  of ``roots`` to subtract from it. True residuals are orthogonal to ``roots``.

Coordinates of one group are adjacent. Group g owns ``pointers[g] : pointers[g + 1]``, its block of
H is in ``blocks`` from ``offsets[g]`` on, its eigenvectors, one a column, in ``vectors``, and
its eigenvalues, not decreasing, in ``values``; ``lipschitz[g]`` is the last of them.
"""

from typing import NamedTuple

import numpy as np
from numba.extending import overload

from sksparse._kernels._compiled import njit

# Most rounds of steps in one visit of a group, and the last move over the first that ends them.
INNER_STEPS = 20
INNER_RATIO = 1e-2
# Columns of a group are of unlike scales where their squares differ by more than this factor.
UNLIKE = 30.0
# Newton steps for the norm of a group, and the share of the largest eigenvalue that is rounding.
NORM_STEPS = 100
FLAT = 1e-14


class Gram(NamedTuple):
    matrix: np.ndarray


class Dense(NamedTuple):
    matrix: np.ndarray


class Sparse(NamedTuple):
    data: np.ndarray
    indices: np.ndarray
    indptr: np.ndarray
    means: np.ndarray
    total: float


class GroupBlocks(NamedTuple):
    pointers: np.ndarray
    offsets: np.ndarray
    blocks: np.ndarray
    vectors: np.ndarray
    values: np.ndarray
    lipschitz: np.ndarray
    l1: np.ndarray
    l2: np.ndarray


def _descent(design, j, state):
    raise TypeError(design)


def _move(design, j, delta, state):
    raise TypeError(design)


@overload(_descent)
def _descent_of(design, j, state):
    if design.instance_class is Gram:
        return lambda design, j, state: state[j]
    if design.instance_class is Dense:
        return lambda design, j, state: np.dot(design.matrix[:, j], state)

    def sparse(design, j, state):
        total = 0.0
        for k in range(design.indptr[j], design.indptr[j + 1]):
            total += design.data[k] * state[design.indices[k]]
        return total - state[-1] * design.means[j] * design.total

    return sparse


@overload(_move)
def _move_of(design, j, delta, state):
    if design.instance_class is not Sparse:

        def dense(design, j, delta, state):
            column = design.matrix[:, j]
            for i in range(state.shape[0]):
                state[i] -= delta * column[i]

        return dense

    def sparse(design, j, delta, state):
        for k in range(design.indptr[j], design.indptr[j + 1]):
            state[design.indices[k]] -= delta * design.data[k]
        state[-1] -= delta * design.means[j]

    return sparse


@njit(cache=True, inner=True)
def _shrink(value, threshold):
    if value > threshold:
        return value - threshold
    if value < -threshold:
        return value + threshold
    return 0.0


@njit(cache=True, inner=True)
def _block_prox(v, l1, l2, step):
    """Prox of the block penalty, in place."""
    total = 0.0
    for a in range(v.shape[0]):
        v[a] = _shrink(v[a], step * l1[a])
        total += v[a] * v[a]
    norm = np.sqrt(total)
    factor = 1.0 - step * l2 / norm if norm > step * l2 else 0.0
    for a in range(v.shape[0]):
        v[a] *= factor


@njit(cache=True, inner=True)
def _norm_at_minimum(pull, values, l2):
    """The t > 0 with ``sum_a (pull_a / (t values_a + l2))^2 = 1``; -1 where there is none.

    The inverse of the root of that sum is concave in t, so Newton steps from below stay below.
    """
    total = 0.0
    for a in range(pull.shape[0]):
        total += pull[a] * pull[a]
    t = (np.sqrt(total) - l2) / values[-1]
    for _ in range(NORM_STEPS):
        total, slope = 0.0, 0.0
        for a in range(pull.shape[0]):
            share = t * values[a] + l2
            square = (pull[a] / share) ** 2
            total += square
            slope += square * values[a] / share
        if slope <= 0.0:
            return -1.0
        step = (np.sqrt(total) - 1.0) * total / slope
        t += step
        if step <= 1e-15 * t:
            return t
    return -1.0


@njit(cache=True, inner=True)
def _solve_block(coef, descent, block, vectors, values, l2):
    """Minimise over one group without an L1 norm, exactly; whether that could be done.

    ``vectors`` and ``values`` are the eigenvectors, one a column, and eigenvalues of the block: for
    a norm t of the coefficients these solve a linear system, and t is the root of one equation.
    """
    size = coef.shape[0]
    linear, pull = np.empty(size), np.zeros(size)
    total = 0.0
    for a in range(size):
        linear[a] = descent[a]
        for c in range(size):
            linear[a] += block[a * size + c] * coef[c]
        total += linear[a] * linear[a]
    t = 0.0
    if total > l2 * l2:
        for a in range(size):
            for c in range(size):
                pull[a] += vectors[c * size + a] * linear[c]
        if l2 == 0.0:
            if values[0] <= FLAT * values[-1]:
                return False
            t = 1.0
        else:
            t = _norm_at_minimum(pull, values, l2)
        if t < 0.0:
            return False
    for a in range(size):
        coef[a] = 0.0
        descent[a] = linear[a]
    if t == 0.0:
        return True
    for a in range(size):
        share = t * pull[a] / (t * values[a] + l2)
        for c in range(size):
            coef[c] += vectors[c * size + a] * share
    for a in range(size):
        for c in range(size):
            descent[a] -= block[a * size + c] * coef[c]
    return True


@njit(cache=True)
def _best_coordinate(pull, curvature, rest, l1, l2):
    """The t that minimises ``curvature t^2 / 2 - pull t + l1 |t| + l2 sqrt(t^2 + rest)``."""
    if rest == 0.0:
        return _shrink(pull, l1 + l2) / curvature
    goal = abs(pull) - l1
    if goal <= 0.0:
        return 0.0
    # The derivative is concave in t, so Newton steps from below stay below.
    t = goal / (curvature + l2 / np.sqrt(rest))
    for _ in range(NORM_STEPS):
        square = t * t + rest
        norm = np.sqrt(square)
        step = goal - curvature * t - l2 * t / norm
        step /= curvature + l2 * rest / (square * norm)
        t += step
        if step <= 1e-15 * t:
            break
    return t if pull > 0.0 else -t


@njit(cache=True, inner=True)
def _is_zero_at_minimum(coef, descent, block, l1, l2):
    """Whether all coefficients of the group are zero at the minimum."""
    size = coef.shape[0]
    total = 0.0
    for a in range(size):
        pull = descent[a]
        for c in range(size):
            pull += block[a * size + c] * coef[c]
        total += _shrink(pull, l1[a]) ** 2
    return total <= l2 * l2


@njit(cache=True, inner=True)
def _shift(coef, descent, block, a, value):
    """Set one coefficient of a group; the square of its move in the metric of the block."""
    size = coef.shape[0]
    delta = value - coef[a]
    if delta != 0.0:
        coef[a] = value
        for c in range(size):
            descent[c] -= block[a * size + c] * delta
    return block[a * size + a] * delta * delta


@njit(cache=True, inner=True)
def _sweep_block(coef, descent, block, l1, l2):
    """Exact steps of single coefficients; the square of the move in the metric of the block."""
    size = coef.shape[0]
    moved = 0.0
    for a in range(size):
        curvature = block[a * size + a]
        if curvature <= 0.0:
            continue
        others = 0.0
        for c in range(size):
            if c != a:
                others += coef[c] * coef[c]
        pull = descent[a] + curvature * coef[a]
        value = _best_coordinate(pull, curvature, others, l1[a], l2)
        moved += _shift(coef, descent, block, a, value)
    return moved


@njit(cache=True)
def _minimise_block(coef, descent, block, lipschitz, l1, l2):
    """Minimise over one group from ``coef``, in place.

    Proximal gradient steps, which leave zero where single coefficients may not be able to. Where
    the columns are of unlike scales, exact steps of single coefficients give each its own.
    """
    size = coef.shape[0]
    smallest, largest = block[0], block[0]
    for a in range(1, size):
        smallest = min(smallest, block[a * size + a])
        largest = max(largest, block[a * size + a])
    unlike = largest > UNLIKE * smallest
    if unlike and _is_zero_at_minimum(coef, descent, block, l1, l2):
        for a in range(size):
            _shift(coef, descent, block, a, 0.0)
        return
    first = 0.0
    trial = np.empty(size)
    for step in range(INNER_STEPS):
        for a in range(size):
            trial[a] = coef[a] + descent[a] / lipschitz
        _block_prox(trial, l1, l2, 1.0 / lipschitz)
        moved = 0.0
        for a in range(size):
            trial[a] -= coef[a]
            moved += lipschitz * trial[a] * trial[a]
        for a in range(size):
            coef[a] += trial[a]
            if trial[a] != 0.0:
                for c in range(size):
                    descent[c] -= block[a * size + c] * trial[a]
        if unlike:
            moved += _sweep_block(coef, descent, block, l1, l2)
        if step == 0:
            first = moved
        if moved <= INNER_RATIO * INNER_RATIO * first:
            break


@njit(cache=True)
def block_descent(design, groups, alpha, state, coef, history):
    """Visit every group once for each row of ``history``, which receives the iterates."""
    n_groups = groups.lipschitz.shape[0]
    widest = 0
    for g in range(n_groups):
        widest = max(widest, groups.pointers[g + 1] - groups.pointers[g])
    before, descent, l1 = np.empty(widest), np.empty(widest), np.empty(widest)
    for epoch in range(history.shape[0]):
        for g in range(n_groups):
            start, stop = groups.pointers[g], groups.pointers[g + 1]
            lipschitz = groups.lipschitz[g]
            if lipschitz <= 0.0:
                continue
            l2 = alpha * groups.l2[g]
            if stop == start + 1:
                old = coef[start]
                threshold = alpha * groups.l1[start] + l2
                value = old + _descent(design, start, state) / lipschitz
                coef[start] = _shrink(value, threshold / lipschitz)
                if coef[start] != old:
                    _move(design, start, coef[start] - old, state)
                continue
            size = stop - start
            for a in range(size):
                before[a], l1[a] = coef[start + a], alpha * groups.l1[start + a]
                descent[a] = _descent(design, start + a, state)
            block = groups.blocks[groups.offsets[g] : groups.offsets[g + 1]]
            solved = False
            if groups.l1[start] == 0.0:
                vectors = groups.vectors[groups.offsets[g] : groups.offsets[g + 1]]
                values = groups.values[start:stop]
                solved = _solve_block(coef[start:stop], descent[:size], block, vectors, values, l2)
            if not solved:
                here = (coef[start:stop], descent[:size], block, lipschitz, l1[:size], l2)
                _minimise_block(*here)
            for a in range(size):
                if coef[start + a] != before[a]:
                    _move(design, start + a, coef[start + a] - before[a], state)
        for j in range(coef.shape[0]):
            history[epoch, j] = coef[j]
