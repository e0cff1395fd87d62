"""Depth-first search over subsets of a given size, bounded by refits on all columns still allowed.

The problem is ``min 1 - 2 c^T u + u^T H u + sum_{j in S} prices_j`` over subsets S of a given
size and coefficients u on S, with H of unit diagonal. A node has columns that are in, out, or
free, and the number of free ones still to take. Two matrices move with it:

* ``left``, the Schur complement of H given the columns that are in, with ``descent``, minus half
  the gradient beside them: what adding columns gains;
* ``inverse`` of H over the columns that are in or free, with its solution ``coef``: the loss that
  no subset of them can beat, and what leaving one out costs on top of it.

When at most two columns are to be taken, all choices are tried. Where columns are dependent there
is no inverse, and a dependent one is decided next.
"""

from typing import NamedTuple

import numpy as np

from sksparse._kernels._compiled import njit

FREE, IN, OUT = 0, 1, 2
# A diagonal entry of the inverse above this makes a downdate too inexact: factorise afresh.
_STIFF = 1e4


class Options(NamedTuple):
    gap: float
    least: float
    collinear: float
    max_nodes: int


class Stack(NamedTuple):
    state: np.ndarray
    remaining: np.ndarray
    bound: np.ndarray
    loss: np.ndarray
    full: np.ndarray
    paid: np.ndarray
    opened: np.ndarray
    branch: np.ndarray
    forward: np.ndarray
    backward: np.ndarray
    buffers: np.ndarray
    left: np.ndarray
    descent: np.ndarray
    inverse: np.ndarray
    coef: np.ndarray


@njit(cache=True)
def _stack(m, remaining):
    depth = m + 2
    return Stack(
        np.empty((depth, m), np.int8),
        np.zeros(depth, np.int64),
        np.zeros(depth),
        np.zeros(depth),
        np.zeros(depth),
        np.zeros(depth),
        np.zeros(depth, np.bool_),
        np.zeros(depth, np.int64),
        np.zeros(depth, np.int64),
        np.zeros(depth, np.int64),
        np.zeros(depth, np.int64),
        np.empty((remaining + 1, m, m)),
        np.empty((remaining + 1, m)),
        np.empty((depth, m, m)),
        np.empty((depth, m)),
    )


@njit(cache=True)
def _eliminate(left, descent, j, columns, new_left, new_descent):
    """Take column j in; returns the fall of the loss."""
    pivot = left[j, j]
    ratio = descent[j] / pivot
    for i in columns:
        share = left[i, j] / pivot
        new_descent[i] = descent[i] - left[i, j] * ratio
        for k in columns:
            new_left[i, k] = left[i, k] - share * left[j, k]
    return descent[j] * ratio


@njit(cache=True)
def _invert(gram, target, members, floor, inverse, coef):
    """Inverse over ``members`` and its solution; returns a dependent member, or -1.

    Members that come first are not called dependent on later ones.
    """
    size = len(members)
    root = np.zeros((size, size))
    for a in range(size):
        for b in range(a + 1):
            value = gram[members[a], members[b]]
            for k in range(b):
                value -= root[a, k] * root[b, k]
            if a > b:
                root[a, b] = value / root[b, b]
            elif value <= floor:
                return members[a]
            else:
                root[a, a] = np.sqrt(value)
    for b in range(size):
        root[b, b] = 1.0 / root[b, b]
        for a in range(b + 1, size):
            value = 0.0
            for k in range(b, a):
                value -= root[a, k] * root[k, b]
            root[a, b] = value / root[a, a]
    for a in range(size):
        i = members[a]
        coef[i] = 0.0
        for b in range(size):
            value = 0.0
            for k in range(max(a, b), size):
                value += root[k, a] * root[k, b]
            inverse[i, members[b]] = value
            coef[i] += value * target[members[b]]
    return -1


@njit(cache=True)
def _downdate(inverse, coef, j, members, new_inverse, new_coef):
    """Leave column j out."""
    pivot = inverse[j, j]
    for i in members:
        share = inverse[i, j] / pivot
        new_coef[i] = coef[i] - share * coef[j]
        for k in members:
            new_inverse[i, k] = inverse[i, k] - share * inverse[j, k]


@njit(cache=True, fastmath={"reassoc", "contract"})
def _best_pair(left, descent, prices, columns, floor):
    """The two columns whose gain less their prices is largest."""
    best, first, second = -np.inf, -1, -1
    for a in range(len(columns)):
        i = columns[a]
        if left[i, i] <= floor:
            continue
        gain = descent[i] ** 2 / left[i, i] - prices[i]
        ratio, row = descent[i] / left[i, i], left[i]
        for b in range(a):
            j = columns[b]
            spare = left[j, j] - row[j] * row[j] / left[i, i]
            if spare <= floor:
                continue
            value = gain + (descent[j] - row[j] * ratio) ** 2 / spare - prices[j]
            if value > best:
                best, first, second = value, i, j
    return best, first, second


@njit(cache=True)
def _best_single(left, descent, prices, columns, floor):
    best, first = -np.inf, -1
    for i in columns:
        if left[i, i] > floor and descent[i] ** 2 / left[i, i] - prices[i] > best:
            best, first = descent[i] ** 2 / left[i, i] - prices[i], i
    return best, first


@njit(cache=True)
def _leaf(stack, at, prices, free, floor):
    """Objective and columns of the best way to take the last two, one or none."""
    here = stack.loss[at] + stack.paid[at]
    left, descent = stack.left[stack.forward[at]], stack.descent[stack.forward[at]]
    if stack.remaining[at] == 0:
        return here, -1, -1
    if stack.remaining[at] == 1:
        gain, first = _best_single(left, descent, prices, free, floor)
        return here - gain, first, -1
    gain, first, second = _best_pair(left, descent, prices, free, floor)
    return here - gain, first, second


@njit(cache=True)
def _drop_bound(stack, at, free, cheapest, cutoff):
    """Bound of a node; more columns that none may drop than places means it can be cut."""
    here = stack.full[at] + stack.paid[at] + stack.remaining[at] * cheapest
    if here >= cutoff or stack.backward[at] < 0:
        return here
    inverse, coef = stack.inverse[stack.backward[at]], stack.coef[stack.backward[at]]
    needed, least = 0, np.inf
    for j in free:
        rise = coef[j] ** 2 / inverse[j, j]
        if here + rise >= cutoff:
            needed += 1
            least = min(least, rise)
    return here + least if needed > stack.remaining[at] else here


@njit(cache=True)
def _widest(stack, at, free):
    """The free column whose addition gains most."""
    left, descent = stack.left[stack.forward[at]], stack.descent[stack.forward[at]]
    best, column = -1.0, -1
    for j in free:
        if descent[j] ** 2 > best * left[j, j]:
            best, column = descent[j] ** 2 / left[j, j], j
    return column


@njit(cache=True)
def _child(stack, at):
    """Copy a node to the next level, where the caller changes it."""
    new = at + 1
    stack.state[new] = stack.state[at]
    for row in (stack.remaining, stack.forward, stack.backward, stack.buffers):
        row[new] = row[at]
    for row in (stack.bound, stack.loss, stack.full, stack.paid):
        row[new] = row[at]
    stack.opened[new] = False
    return new


@njit(cache=True)
def _include(stack, at, prices, free):
    j = stack.branch[at]
    new = _child(stack, at)
    old, level = stack.forward[at], stack.forward[at] + 1
    stack.state[new, j] = IN
    stack.remaining[new] -= 1
    stack.paid[new] += prices[j]
    stack.forward[new] = level
    stack.loss[new] -= _eliminate(
        stack.left[old], stack.descent[old], j, free, stack.left[level], stack.descent[level]
    )


@njit(cache=True)
def _exclude(stack, at, cheapest, cutoff):
    """Make the other child, its loss bounded but its inverse not yet computed."""
    j, level = stack.branch[at], stack.backward[at]
    new = _child(stack, at)
    stack.state[new, j] = OUT
    if level < 0:
        return
    if stack.inverse[level, j, j] > _STIFF:
        stack.backward[new] = -1
        return
    stack.full[new] += stack.coef[level, j] ** 2 / stack.inverse[level, j, j]
    here = stack.full[new] + stack.paid[new] + stack.remaining[new] * cheapest
    stack.bound[new] = max(stack.bound[new], here)
    if here >= cutoff:
        return
    own = stack.buffers[new]
    stack.buffers[new] += 1
    stack.backward[new] = own
    members = np.flatnonzero(stack.state[new] != OUT)
    _downdate(
        stack.inverse[level], stack.coef[level], j, members, stack.inverse[own], stack.coef[own]
    )


@njit(cache=True)
def _factorise(stack, at, gram, target, floor):
    """Fill in the inverse of a node that has none; returns a dependent column, or -1."""
    inside = np.flatnonzero(stack.state[at] == IN)
    members = np.concatenate((inside, np.flatnonzero(stack.state[at] == FREE)))
    own = stack.buffers[at]
    dependent = _invert(gram, target, members, floor, stack.inverse[own], stack.coef[own])
    if dependent < 0:
        stack.buffers[at] += 1
        stack.backward[at] = own
        full = 1.0
        for j in members:
            full -= stack.coef[own, j] * target[j]
        stack.full[at] = max(stack.full[at], full)
    return dependent


@njit(cache=True)
def _root(stack, gram, target, prices, state, remaining, floor):
    stack.state[0] = state
    stack.remaining[0] = remaining
    stack.backward[0] = -1
    stack.left[0] = gram
    stack.descent[0] = target
    stack.loss[0] = 1.0
    everything = np.arange(len(target))
    for j in everything:
        if state[j] == IN:
            if stack.left[0, j, j] > floor:
                left, descent = stack.left[0].copy(), stack.descent[0].copy()
                stack.loss[0] -= _eliminate(
                    left, descent, j, everything, stack.left[0], stack.descent[0]
                )
            stack.paid[0] += prices[j]


@njit(cache=True)
def _set_aside(stack, at, floor):
    """Put out the free columns that depend on those that are in; returns what stays free."""
    left = stack.left[stack.forward[at]]
    for j in range(left.shape[0]):
        if stack.state[at, j] == FREE and left[j, j] <= floor:
            stack.state[at, j] = OUT
    return np.flatnonzero(stack.state[at] == FREE)


@njit(cache=True)
def _frontier(stack, at):
    """States, places and bounds of the nodes that are still to be opened."""
    pending = np.zeros(at + 1, np.bool_)
    for level in range(at + 1):
        pending[level] = not stack.opened[level] or stack.branch[level] >= 0
    levels = np.flatnonzero(pending)
    states = stack.state[levels]
    for row in range(len(levels)):
        level = levels[row]
        if stack.opened[level]:
            states[row, stack.branch[level]] = OUT
    return states, stack.remaining[levels], stack.bound[levels]


@njit(cache=True)
def _columns_of_leaf(stack, at, first, second):
    inside = np.flatnonzero(stack.state[at] == IN)
    found = np.empty(len(inside) + (first >= 0) + (second >= 0), np.int64)
    found[: len(inside)] = inside
    if first >= 0:
        found[len(inside)] = first
    if second >= 0:
        found[len(inside) + 1] = second
    return found


@njit(cache=True)
def _open(stack, at, gram, target, prices, free, cheapest, cutoff, floor):
    """Bound a node and go to its first child; returns whether it has one."""
    dependent = -1
    if stack.backward[at] < 0:
        dependent = _factorise(stack, at, gram, target, floor)
    stack.bound[at] = max(stack.bound[at], _drop_bound(stack, at, free, cheapest, cutoff))
    if stack.bound[at] >= cutoff:
        return False
    stack.branch[at] = dependent if dependent >= 0 else _widest(stack, at, free)
    stack.opened[at] = True
    _include(stack, at, prices, free)
    return True


@njit(cache=True)
def search(gram, target, prices, state, remaining, bound, best, options):
    """Search below one node for subsets better than ``best``.

    Returns the best objective, its columns (none where it is not better), the number of nodes,
    the least bound of what was cut off, and the frontier where the nodes ran out: states,
    numbers of columns to take, and bounds.
    """
    gap, least, floor, max_nodes = options
    stack = _stack(len(target), remaining)
    _root(stack, gram, target, prices, state, remaining, floor)
    stack.bound[0] = bound
    found = np.empty(0, np.int64)
    cut, nodes, at = np.inf, 0, 0
    cheapest = np.min(prices[state == FREE]) if np.any(state == FREE) else 0.0
    while at >= 0:
        cutoff = best - max(gap * best - least, least)
        if stack.opened[at] and stack.branch[at] < 0:
            at -= 1
            continue
        if stack.opened[at]:
            _exclude(stack, at, cheapest, cutoff)
            stack.branch[at] = -1
            at += 1
        if nodes >= max_nodes:
            break
        nodes += 1
        free = _set_aside(stack, at, floor)
        if stack.bound[at] >= cutoff:
            cut = min(cut, stack.bound[at])
            at -= 1
        elif len(free) < stack.remaining[at]:
            at -= 1
        elif stack.remaining[at] <= 2:
            value, first, second = _leaf(stack, at, prices, free, floor)
            if value < best:
                best, found = value, _columns_of_leaf(stack, at, first, second)
            at -= 1
        elif _open(stack, at, gram, target, prices, free, cheapest, cutoff, floor):
            at += 1
        else:
            cut = min(cut, stack.bound[at])
            at -= 1
    states, places, bounds = _frontier(stack, at)
    return best, found, nodes, cut, states, places, bounds
