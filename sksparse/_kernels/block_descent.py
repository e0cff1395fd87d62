"""Block coordinate descent on a penalised quadratic.

The quadratic is ``sum_o w_o^T H w_o / 2 - q_o^T w_o`` with one row ``w_o`` of coefficients for each
output, and comes in three forms that share one loop. What the loop maintains is a *state*, one row
for each output, whose product with column j is minus the gradient of coordinate j:

* :class:`Gram` holds H itself, in Fortran order; the state is ``q - H w``;
* :class:`Dense` holds a matrix A with ``H = A^T A``; the state is the residual;
* :class:`Sparse` holds ``A = diag(roots) (X - 1 means^T)`` through the stored entries of
  ``diag(roots) X``; the state is a residual without its centring, and as last entry the multiple
  of ``roots`` to subtract from it. True residuals are orthogonal to ``roots``.

A ridge is added to all of H by the loop, outside of these forms.

Coordinates of one group are adjacent. Group g owns ``pointers[g] : pointers[g + 1]``; its block of
H with the ridge is in ``blocks`` from ``offsets[g]`` on, the eigenvectors, one a column, in
``vectors``, the rising eigenvalues in ``values``, and the last of them in ``lipschitz[g]``.
``bounded`` says whether it has a finite bound. Its coefficients travel output by output.
"""

from typing import NamedTuple

import numpy as np
from numba.extending import overload

from sksparse._kernels._compiled import njit

# Most rounds of steps in one visit of a group, and the last move over the first that ends them.
INNER_STEPS, INNER_RATIO = 5, 1e-1
# Columns of a group are of unlike scales where their squares differ by more than this factor.
UNLIKE = 30.0
# Newton steps for the norm of a group, and the share of the largest eigenvalue that is rounding.
NORM_STEPS, FLAT = 100, 1e-14


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
    widest: int
    pointers: np.ndarray
    offsets: np.ndarray
    blocks: np.ndarray
    vectors: np.ndarray
    values: np.ndarray
    lipschitz: np.ndarray
    l1: np.ndarray
    l2: np.ndarray
    ridge: float
    bounded: np.ndarray
    lower: np.ndarray
    upper: np.ndarray


@njit(cache=True, inner=True, fastmath={"reassoc", "contract"})
def _dot(left, right):
    total = 0.0
    for i in range(right.shape[0]):
        total += left[i] * right[i]
    return total


def _descent(design, j, state):
    raise TypeError(design)


def _move(design, j, delta, state):
    raise TypeError(design)


@overload(_descent)
def _descent_of(design, j, state):
    if design.instance_class is Gram:
        return lambda design, j, state: state[j]
    if design.instance_class is Dense:
        return lambda design, j, state: _dot(design.matrix[:, j], state)

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
    return max(value - threshold, 0.0) + min(value + threshold, 0.0)


@njit(cache=True, inner=True)
def _norm_within(v, l2, lower, upper):
    """The t > 0 that is the norm of ``v t / (t + l2)`` clipped to bounds; 0 where there is none."""
    size, total = lower.shape[0], 0.0
    for i in range(v.shape[0]):
        if (v[i] > 0.0 and upper[i % size] > 0.0) or (v[i] < 0.0 and lower[i % size] < 0.0):
            total += v[i] * v[i]
    below, above = 0.0, np.sqrt(total)
    if above <= l2:
        return 0.0
    for _ in range(NORM_STEPS):
        if above - below <= 1e-15 * above:
            break
        t = 0.5 * (below + above)
        share, square = t / (t + l2), 0.0
        for i in range(v.shape[0]):
            square += min(max(v[i] * share, lower[i % size]), upper[i % size]) ** 2
        below, above = (t, above) if square >= t * t else (below, t)
    return below


@njit(cache=True, inner=True)
def _block_prox(v, l1, l2, lower, upper, bounded):
    """Prox of the block penalty within the bounds, in place."""
    total = 0.0
    for i in range(v.shape[0]):
        v[i] = _shrink(v[i], l1)
        total += v[i] * v[i]
    if not bounded:
        norm = np.sqrt(total)
        factor = 1.0 - l2 / norm if norm > l2 else 0.0
        for i in range(v.shape[0]):
            v[i] *= factor
        return
    norm = _norm_within(v, l2, lower, upper)
    factor = norm / (norm + l2) if norm > 0.0 else 0.0
    for i in range(v.shape[0]):
        a = i % lower.shape[0]
        v[i] = min(max(v[i] * factor, lower[a]), upper[a])


@njit(cache=True, inner=True)
def _norm_at_minimum(squares, total, values, l2):
    """The t > 0 with ``sum_a squares_a / (t values_a + l2)^2 = 1``; -1 where there is none.

    The inverse of its root is concave in t, so Newton steps from below stay below; ``total`` is
    the sum of the squares.
    """
    t = (np.sqrt(total) - l2) / values[-1]
    for _ in range(NORM_STEPS):
        total, slope = 0.0, 0.0
        for a in range(squares.shape[0]):
            share = 1.0 / (t * values[a] + l2)
            square = squares[a] * share * share
            total += square
            slope += square * values[a] * share
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

    For a norm t of the coefficients the eigenvectors solve a linear system; t is a root.
    """
    size = values.shape[0]
    linear, pull, squares = descent.copy(), np.zeros(coef.shape[0]), np.zeros(size)
    total = 0.0
    for first in range(0, coef.shape[0], size):
        for c in range(size):
            for a in range(size):
                linear[first + a] += block[c * size + a] * coef[first + c]
        for a in range(size):
            total += linear[first + a] ** 2
    t = 0.0
    if total > l2 * l2:
        for first in range(0, coef.shape[0], size):
            for c in range(size):
                for a in range(size):
                    pull[first + a] += vectors[c * size + a] * linear[first + c]
            for a in range(size):
                squares[a] += pull[first + a] ** 2
        if l2 == 0.0:
            if values[0] <= FLAT * values[-1]:
                return False
            t = 1.0
        else:
            t = _norm_at_minimum(squares, total, values, l2)
        if t < 0.0:
            return False
    for i in range(coef.shape[0]):
        coef[i] = 0.0
        descent[i] = linear[i]
    if t == 0.0:
        return True
    for first in range(0, coef.shape[0], size):
        for a in range(size):
            pull[first + a] *= t / (t * values[a] + l2)
        for c in range(size):
            for a in range(size):
                coef[first + c] += vectors[c * size + a] * pull[first + a]
            for a in range(size):
                descent[first + a] -= block[c * size + a] * coef[first + c]
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
def _is_zero_at_minimum(coef, descent, block, l1, l2, lower, upper):
    """Whether all coefficients of the group are zero at the minimum."""
    size, total = lower.shape[0], 0.0
    for first in range(0, coef.shape[0], size):
        for a in range(size):
            pull = descent[first + a]
            for c in range(size):
                pull += block[a * size + c] * coef[first + c]
            pull = _shrink(pull, l1)
            if (pull > 0.0 and upper[a] > 0.0) or (pull < 0.0 and lower[a] < 0.0):
                total += pull * pull
    return total <= l2 * l2


@njit(cache=True, inner=True)
def _shift(coef, descent, block, size, i, value):
    """Set one coefficient of a group; the square of its move in the metric of the block."""
    delta, a = value - coef[i], i % size
    if delta != 0.0:
        coef[i] = value
        for c in range(size):
            descent[i - a + c] -= block[a * size + c] * delta
    return block[a * size + a] * delta * delta


@njit(cache=True, inner=True)
def _sweep_block(coef, descent, block, l1, l2, lower, upper):
    """Exact steps of single coefficients; the square of the move in the metric of the block."""
    size, moved = lower.shape[0], 0.0
    for i in range(coef.shape[0]):
        a = i % size
        curvature = block[a * size + a]
        if curvature <= 0.0:
            continue
        others = 0.0
        for c in range(coef.shape[0]):
            if c != i:
                others += coef[c] * coef[c]
        pull = descent[i] + curvature * coef[i]
        value = _best_coordinate(pull, curvature, others, l1, l2)
        value = min(max(value, lower[a]), upper[a])
        moved += _shift(coef, descent, block, size, i, value)
    return moved


@njit(cache=True)
def _minimise_block(coef, descent, block, lipschitz, l1, l2, lower, upper, bounded):
    """Minimise over one group from ``coef``, in place.

    Proximal gradient steps, which leave zero where single coefficients may not be able to, and
    exact steps of single coefficients where columns are of unlike scales or bounds shorten steps.
    """
    size = lower.shape[0]
    smallest = largest = block[0]
    for a in range(1, size):
        smallest = min(smallest, block[a * size + a])
        largest = max(largest, block[a * size + a])
    sweeps = bounded or largest > UNLIKE * smallest
    if sweeps and _is_zero_at_minimum(coef, descent, block, l1, l2, lower, upper):
        for i in range(coef.shape[0]):
            _shift(coef, descent, block, size, i, 0.0)
        return
    first, trial = 0.0, np.empty(coef.shape[0])
    for step in range(INNER_STEPS):
        for i in range(coef.shape[0]):
            trial[i] = coef[i] + descent[i] / lipschitz
        _block_prox(trial, l1 / lipschitz, l2 / lipschitz, lower, upper, bounded)
        moved = 0.0
        for i in range(coef.shape[0]):
            moved += lipschitz * (trial[i] - coef[i]) ** 2
            _shift(coef, descent, block, size, i, trial[i])
        if sweeps:
            moved += _sweep_block(coef, descent, block, l1, l2, lower, upper)
        if step == 0:
            first = moved
        if moved <= INNER_RATIO * INNER_RATIO * first:
            break


@njit(cache=True)
def subtract_product(design, coef, state):
    """Subtract from a state what coefficients contribute to it, in place."""
    for o in range(coef.shape[0]):
        for j in range(coef.shape[1]):
            if coef[o, j] != 0.0:
                _move(design, j, coef[o, j], state[o])


@njit(cache=True)
def block_descent(design, groups, visited, alpha, tol, state, coef, history):
    """Visit the given groups once for each row of ``history``, which receives the iterates.

    Ends where no group moved by more than ``tol``, and returns the largest move: in the metric of
    the curvatures, about a violation of optimality for columns of length one.
    """
    n_outputs, widest = coef.shape[0], groups.widest
    now, descent, largest = np.empty(n_outputs * widest), np.empty(n_outputs * widest), 0.0
    for epoch in range(history.shape[0]):
        largest = 0.0
        for g in visited:
            start, stop = groups.pointers[g], groups.pointers[g + 1]
            lipschitz, size = groups.lipschitz[g], stop - start
            if lipschitz <= 0.0:
                continue
            l1, l2, total = alpha * groups.l1[g], alpha * groups.l2[g], 0.0
            used = False
            for o in range(n_outputs):
                for a in range(size):
                    j, i = start + a, o * size + a
                    now[i] = coef[o, j]
                    descent[i] = _descent(design, j, state[o]) - groups.ridge * now[i]
                    total += _shrink(descent[i], l1) ** 2
                    used |= now[i] != 0.0
            if not used and total <= l2 * l2:
                continue
            lower, upper = groups.lower[start:stop], groups.upper[start:stop]
            w, d = now[: n_outputs * size], descent[: n_outputs * size]
            bounded, solved = groups.bounded[g], size * n_outputs == 1
            if solved:
                value = _shrink(d[0] + lipschitz * w[0], l1 + l2) / lipschitz
                w[0] = min(max(value, lower[0]), upper[0])
            block = groups.blocks[groups.offsets[g] : groups.offsets[g + 1]]
            if l1 == 0.0 and not solved and not bounded:
                vectors = groups.vectors[groups.offsets[g] : groups.offsets[g + 1]]
                solved = _solve_block(w, d, block, vectors, groups.values[start:stop], l2)
            if not solved:
                _minimise_block(w, d, block, lipschitz, l1, l2, lower, upper, bounded)
            moved = 0.0
            for o in range(n_outputs):
                for a in range(size):
                    j, delta = start + a, w[o * size + a] - coef[o, start + a]
                    if delta != 0.0:
                        coef[o, j] = w[o * size + a]
                        moved += block[a * size + a] * delta * delta
                        _move(design, j, delta, state[o])
            largest = max(largest, moved)
        if largest <= tol * tol:
            break
        for o in range(n_outputs):
            for j in range(coef.shape[1]):
                history[epoch, o, j] = coef[o, j]
    return np.sqrt(largest)
