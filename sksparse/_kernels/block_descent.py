"""Block coordinate descent on a penalised quadratic.

The quadratic is ``w^T H w / 2 - q^T w`` and comes in three forms that share one loop. What the
loop maintains is a *state* whose product with column j is minus the gradient of coordinate j:

* :class:`Gram` holds H itself; the state is ``q - H w``;
* :class:`Dense` holds a matrix A with ``H = A^T A``; the state is the residual;
* :class:`Sparse` holds ``A = diag(roots) (X - 1 means^T)`` through the stored entries of
  ``diag(roots) X``; the state is a residual without its centring, and as last entry the multiple
  of ``roots`` to subtract from it. True residuals are orthogonal to ``roots``.

Coordinates of one group are adjacent. Group g owns ``pointers[g] : pointers[g + 1]``, its block of
H stands in ``blocks`` from ``offsets[g]`` on, and ``lipschitz[g]`` is that block's top eigenvalue.
"""

from typing import NamedTuple

import numpy as np
from numba.extending import overload

from ._compiled import njit

# Proximal gradient steps inside one visit of a group, and when to leave earlier.
INNER_STEPS = 20
INNER_RATIO = 1e-2


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


class Groups(NamedTuple):
    pointers: np.ndarray
    offsets: np.ndarray
    blocks: np.ndarray
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


@njit(cache=True)
def _shrink(value, threshold):
    if value > threshold:
        return value - threshold
    if value < -threshold:
        return value + threshold
    return 0.0


@njit(cache=True)
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


@njit(cache=True)
def _minimise_block(coef, descent, block, lipschitz, l1, l2):
    """Minimise over one group from ``coef``, in place; return the first step's gradient mapping."""
    size = coef.shape[0]
    first = 0.0
    trial = np.empty(size)
    for step in range(INNER_STEPS):
        for a in range(size):
            trial[a] = coef[a] + descent[a] / lipschitz
        _block_prox(trial, l1, l2, 1.0 / lipschitz)
        moved = 0.0
        for a in range(size):
            trial[a] -= coef[a]
            moved += trial[a] * trial[a]
        for a in range(size):
            coef[a] += trial[a]
            if trial[a] != 0.0:
                for c in range(size):
                    descent[c] -= block[a * size + c] * trial[a]
        if step == 0:
            first = moved
        if moved <= INNER_RATIO * INNER_RATIO * first:
            break
    return np.sqrt(first) * lipschitz


@njit(cache=True)
def block_descent(design, groups, alpha, state, coef, history):
    """Visit every group once for each row of ``history``, which receives the iterates.

    Returns the largest gradient mapping of the last epoch,
    a distance from optimality in units of the gradient.
    """
    worst = 0.0
    n_groups = groups.lipschitz.shape[0]
    widest = 0
    for g in range(n_groups):
        widest = max(widest, groups.pointers[g + 1] - groups.pointers[g])
    before = np.empty(widest)
    descent = np.empty(widest)
    for epoch in range(history.shape[0]):
        worst = 0.0
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
                worst = max(worst, abs(coef[start] - old) * lipschitz)
                if coef[start] != old:
                    _move(design, start, coef[start] - old, state)
                continue
            size = stop - start
            for a in range(size):
                before[a] = coef[start + a]
                descent[a] = _descent(design, start + a, state)
            block = groups.blocks[groups.offsets[g] : groups.offsets[g + 1]]
            l1 = alpha * groups.l1[start:stop]
            mapping = _minimise_block(coef[start:stop], descent[:size], block, lipschitz, l1, l2)
            worst = max(worst, mapping)
            for a in range(size):
                if coef[start + a] != before[a]:
                    _move(design, start + a, coef[start + a] - before[a], state)
        history[epoch] = coef
    return worst
