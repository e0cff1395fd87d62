"""Depth-first search over subsets of a given cardinality, bounded by refits on all columns allowed.

The problem is ``min 1 - 2 c^T u + u^T H u + sum_{j in S} penalties_j`` over subsets S of a given
cardinality and coefficients u on S, with H of unit diagonal. A node has columns that are in, out,
or free, and the number of free ones still to be added. Two matrices move with it:

* ``schur``, the Schur complement of H given the columns that are in, with ``descent``, minus half
  the gradient there: what adding columns gains;
* ``inverse`` of H over the columns that are in or free, with its solution ``coef``: the loss that
  no subset of them can beat, and what leaving one out costs on top of it.

When at most two columns are to be added, all choices are tried. Where columns are dependent there
is no inverse, and a dependent one is decided next.
"""

from typing import NamedTuple

import numpy as np

from sksparse._kernels._compiled import njit

# States of a column.
FREE, IN, OUT = 0, 1, 2
# Columns that a node branches on: none yet, or none any more.
UNOPENED, DONE = -2, -1
# A diagonal entry of the inverse above this makes a downdate too inexact: factorise afresh.
_LARGEST_PIVOT = 1e4

# A node: the number of columns still to be added; lower bounds of its subsets' objective and of
# their loss; loss and penalty of the columns that are in; the column that it branches on; the
# entries of the stack with its Schur complement and its inverse (-1: not computed); and the number
# of inverses in use up to here.
NODE = np.dtype(
    [
        ("remaining", np.int64),
        ("bound", np.float64),
        ("least_loss", np.float64),
        ("loss", np.float64),
        ("penalty", np.float64),
        ("branch", np.int64),
        ("schur", np.int64),
        ("inverse", np.int64),
        ("n_inverses", np.int64),
    ],
    align=True,
)


class Options(NamedTuple):
    gap: float
    rounding: float
    collinear: float
    max_nodes: int


class Stack(NamedTuple):
    """Nodes and states of columns, one a level, and the matrices that nodes refer to."""

    nodes: np.ndarray
    state: np.ndarray
    schur: np.ndarray
    descent: np.ndarray
    inverse: np.ndarray
    coef: np.ndarray


@njit(cache=True, inner=True)
def _eliminate(schur, descent, j, columns, new_schur, new_descent):
    """Add column j; returns the fall of the loss."""
    pivot = schur[j, j]
    ratio = descent[j] / pivot
    for i in columns:
        share = schur[i, j] / pivot
        new_descent[i] = descent[i] - schur[i, j] * ratio
        for k in columns:
            new_schur[i, k] = schur[i, k] - share * schur[j, k]
    return descent[j] * ratio


@njit(cache=True, inner=True)
def _invert(gram, target, members, floor, inverse, coef):
    """Inverse over ``members`` and its solution; returns a dependent member, or -1.

    Members that come first are not called dependent on later ones.
    """
    size = len(members)
    root = np.empty((size, size))
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


@njit(cache=True, inner=True)
def _downdate(inverse, coef, j, members, new_inverse, new_coef):
    """Leave column j out."""
    pivot = inverse[j, j]
    for i in members:
        share = inverse[i, j] / pivot
        new_coef[i] = coef[i] - share * coef[j]
        for k in members:
            new_inverse[i, k] = inverse[i, k] - share * inverse[j, k]


@njit(cache=True, inner=True, fastmath={"reassoc", "contract"})
def _best_pair(schur, descent, penalties, columns, floor):
    """The two columns whose gain less their penalties is largest."""
    best, first, second = -np.inf, -1, -1
    for a in range(len(columns)):
        i = columns[a]
        if schur[i, i] <= floor:
            continue
        gain = descent[i] ** 2 / schur[i, i] - penalties[i]
        ratio, row = descent[i] / schur[i, i], schur[i]
        for b in range(a):
            j = columns[b]
            residual = schur[j, j] - row[j] * row[j] / schur[i, i]
            if residual <= floor:
                continue
            value = gain + (descent[j] - row[j] * ratio) ** 2 / residual - penalties[j]
            if value > best:
                best, first, second = value, i, j
    return best, first, second


@njit(cache=True, inner=True)
def _best_single(schur, descent, penalties, columns, floor):
    best, first = -np.inf, -1
    for i in columns:
        if schur[i, i] > floor and descent[i] ** 2 / schur[i, i] - penalties[i] > best:
            best, first = descent[i] ** 2 / schur[i, i] - penalties[i], i
    return best, first


@njit(cache=True, inner=True)
def _leaf(node, schur, descent, penalties, free, floor):
    """Objective and columns of the best way to add the last two, one or none."""
    gain, first, second = 0.0, -1, -1
    if node.remaining == 1:
        gain, first = _best_single(schur, descent, penalties, free, floor)
    elif node.remaining == 2:
        gain, first, second = _best_pair(schur, descent, penalties, free, floor)
    return node.loss + node.penalty - gain, first, second


@njit(cache=True, inner=True)
def _drop_bound(node, inverses, coefs, free, cheapest, cutoff):
    """Bound of a node: cut where more columns are needed for it than can still be added."""
    here = node.least_loss + node.penalty + node.remaining * cheapest
    if here >= cutoff or node.inverse < 0:
        return here
    inverse, coef = inverses[node.inverse], coefs[node.inverse]
    needed, least = 0, np.inf
    for j in free:
        rise = coef[j] ** 2 / inverse[j, j]
        if here + rise >= cutoff:
            needed += 1
            least = min(least, rise)
    return here + least if needed > node.remaining else here


@njit(cache=True, inner=True)
def _largest_gain(schur, descent, free):
    """The free column whose addition gains most."""
    best, column = -1.0, -1
    for j in free:
        if descent[j] ** 2 > best * schur[j, j]:
            best, column = descent[j] ** 2 / schur[j, j], j
    return column


@njit(cache=True, inner=True)
def _copy_node(nodes, state, at):
    """Copy a node to the next level, where the caller changes it."""
    nodes[at + 1] = nodes[at]
    nodes[at + 1].branch = UNOPENED
    for j in range(state.shape[1]):
        state[at + 1, j] = state[at, j]


@njit(cache=True, inner=True)
def _columns_with(state, wanted, columns, count):
    """Append the columns of a state to the first ``count`` entries of a list; the new count."""
    for j in range(len(state)):
        if state[j] == wanted:
            columns[count] = j
            count += 1
    return count


@njit(cache=True, inner=True)
def _include(stack, at, penalties, free):
    """Make the child in which the branching column is in."""
    _copy_node(stack.nodes, stack.state, at)
    node, j, old = stack.nodes[at + 1], stack.nodes[at].branch, stack.nodes[at].schur
    stack.state[at + 1, j] = IN
    node.remaining -= 1
    node.penalty += penalties[j]
    node.schur = old + 1
    node.loss -= _eliminate(
        stack.schur[old], stack.descent[old], j, free, stack.schur[old + 1], stack.descent[old + 1]
    )


@njit(cache=True, inner=True)
def _exclude(stack, at, cheapest, cutoff, columns):
    """Make the other child, its loss bounded but its inverse not yet computed."""
    _copy_node(stack.nodes, stack.state, at)
    node, j, old = stack.nodes[at + 1], stack.nodes[at].branch, stack.nodes[at].inverse
    stack.state[at + 1, j] = OUT
    if old < 0:
        return
    inverse, coef = stack.inverse[old], stack.coef[old]
    if inverse[j, j] > _LARGEST_PIVOT:
        node.inverse = -1
        return
    node.least_loss += coef[j] ** 2 / inverse[j, j]
    here = node.least_loss + node.penalty + node.remaining * cheapest
    node.bound = max(node.bound, here)
    if here >= cutoff:
        return
    new = node.n_inverses
    node.n_inverses += 1
    node.inverse = new
    count = 0
    for k in range(len(columns)):
        if stack.state[at + 1, k] != OUT:
            columns[count] = k
            count += 1
    _downdate(inverse, coef, j, columns[:count], stack.inverse[new], stack.coef[new])


@njit(cache=True, inner=True)
def _factorise(stack, at, gram, target, floor, columns):
    """Fill in the inverse of a node that has none; returns a dependent column, or -1."""
    node, state = stack.nodes[at], stack.state[at]
    count = _columns_with(state, FREE, columns, _columns_with(state, IN, columns, 0))
    members, new = columns[:count], node.n_inverses
    coef = stack.coef[new]
    dependent = _invert(gram, target, members, floor, stack.inverse[new], coef)
    if dependent < 0:
        node.n_inverses += 1
        node.inverse = new
        loss = 1.0
        for j in members:
            loss -= coef[j] * target[j]
        node.least_loss = max(node.least_loss, loss)
    return dependent


@njit(cache=True, inner=True)
def _set_aside(state, schur, floor, free):
    """Put out the free columns that depend on those that are in; lists and counts the others."""
    for j in range(len(state)):
        if state[j] == FREE and schur[j, j] <= floor:
            state[j] = OUT
    return _columns_with(state, FREE, free, 0)


@njit(cache=True, inner=True)
def _open(stack, at, gram, target, penalties, free, cheapest, cutoff, floor, columns):
    """Bound a node and go to its first child; returns whether it has one."""
    node, dependent = stack.nodes[at], -1
    if node.inverse < 0:
        dependent = _factorise(stack, at, gram, target, floor, columns)
    bound = _drop_bound(node, stack.inverse, stack.coef, free, cheapest, cutoff)
    node.bound = max(node.bound, bound)
    if node.bound >= cutoff:
        return False
    node.branch = dependent
    if dependent < 0:
        node.branch = _largest_gain(stack.schur[node.schur], stack.descent[node.schur], free)
    _include(stack, at, penalties, free)
    return True


@njit(cache=True)
def search(stack, gram, target, penalties, cheapest, best, found, options):
    """Search below the node at the bottom of the stack for subsets better than ``best``.

    ``cheapest`` is the least penalty of a free column. Returns the best objective, the number of
    its columns, which are written to ``found`` (none where it is not better), the number of nodes,
    the least bound of what was cut off, and the level at which the nodes ran out: nodes up to it
    that are not ``DONE`` are still to be searched, without their branching column if they have
    one.
    """
    gap, rounding, floor, max_nodes = options
    nodes = stack.nodes
    buffer, columns = np.empty(len(target), np.int64), np.empty(len(target), np.int64)
    cut, n_found, n_nodes = np.inf, 0, 0
    at = np.int64(0)  # a literal would have what it is passed to compiled twice
    while at >= 0:
        cutoff = best - max(gap * best - rounding, rounding)
        if nodes[at].branch == DONE:
            at -= 1
            continue
        if nodes[at].branch != UNOPENED:
            _exclude(stack, at, cheapest, cutoff, columns)
            nodes[at].branch = DONE
            at += 1
        if n_nodes >= max_nodes:
            break
        n_nodes += 1
        node, state = nodes[at], stack.state[at]
        schur, descent = stack.schur[node.schur], stack.descent[node.schur]
        free = buffer[: _set_aside(state, schur, floor, buffer)]
        if node.bound >= cutoff:
            cut = min(cut, node.bound)
            at -= 1
        elif len(free) < node.remaining:
            at -= 1
        elif node.remaining <= 2:
            value, first, second = _leaf(node, schur, descent, penalties, free, floor)
            if value < best:
                best, n_found = value, _columns_with(state, IN, found, 0)
                for j in (first, second):
                    if j >= 0:
                        found[n_found] = j
                        n_found += 1
            at -= 1
        elif _open(stack, at, gram, target, penalties, free, cheapest, cutoff, floor, columns):
            at += 1
        else:
            cut = min(cut, node.bound)
            at -= 1
    return best, n_found, n_nodes, cut, at
