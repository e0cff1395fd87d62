"""Perspective relaxation of best subset on a Gram matrix with unit diagonal.

Over columns that are free, in or out, the relaxation minimises::

    1 - 2 c^T u + u^T H u + sum_{j in} a_j + sum_{j free} min_z (a_j z + d_j u_j^2 (1 / z - 1))

with z in [0, 1] and ``|u_j| <= M z``, where the share ``d_j`` of the diagonal of H is such that
``H - diag(d)`` is positive semidefinite, and M may be infinite where all shares are positive. The
last term is ``2 sqrt(a_j d_j) |u_j| - d_j u_j^2`` up to ``|u_j| = sqrt(a_j / d_j)`` and ``a_j``
beyond, a reverse Huber function; where M is smaller, ``(a_j / M + d_j M) |u_j| - d_j u_j^2``.

Any u gives a lower bound: with ``Q = H - diag(d)`` and ``g = c - Q u``, the relaxation is at
least ``1 - u^T Q u + sum_{in} w_j + sum_{free} min(0, w_j)``, with ``w_j = a_j + min_{|v| <= M}
(d_j v^2 - 2 g_j v)``.
"""

from typing import NamedTuple

import numpy as np

from sksparse._kernels._compiled import njit

FREE, IN, OUT = 0, 1, 2
# Sweeps between two looks at the bound, and all, which end with a look.
_CYCLE, _SWEEPS = 3, 501
# Multipliers tried at a node.
_ROUNDS = 12
# A relaxation is solved to a share of the gap that is asked for, and to this or a larger share at
# least; while it is below the cutoff, to a share of the difference.
_SHARE_OF_GAP, _FINEST, _SHARE_OF_LEAST, _SHARE_LEFT = 0.05, 1e-10, 0.1, 0.1
# Columns outside the working set may lower a bound by this share of what the node leaves open.
_TOLERATED = 0.2
# Rounding of an inner product of numbers of unit size, with room to spare.
_ROUNDING = 1e-14
# Columns this near to use, as a share of their price, are taken into use with others.
_NEARLY = 0.2
# Nodes that wait while one is followed to the end.
_DEPTH = 100


class Columns(NamedTuple):
    """c, d, a and M over the working set."""

    target: np.ndarray
    share: np.ndarray
    price: np.ndarray
    most: float


class Seen(NamedTuple):
    """What the gradient is computed of: all columns, or the working set if rows are not at hand.

    ``rows`` of H belong to the working set, whose places among the columns are ``features``.
    """

    rows: np.ndarray
    features: np.ndarray
    target: np.ndarray
    share: np.ndarray
    price: np.ndarray
    most: float


class Part(NamedTuple):
    """H, c, d, a and M over the columns in use."""

    gram: np.ndarray
    target: np.ndarray
    share: np.ndarray
    price: np.ndarray
    most: float


class Waiting(NamedTuple):
    """Nodes: states and coefficients of the working set, multipliers, places and bounds."""

    state: np.ndarray
    coef: np.ndarray
    multiplier: np.ndarray
    places: np.ndarray
    bound: np.ndarray


class Search(NamedTuple):
    best: float
    gap: float
    least: float
    limited: bool
    max_nodes: int


@njit(cache=True)
def _minimiser(slope, share, price, most):
    """Minimise ``-2 slope u + u^2`` plus what a free column costs."""
    size, within = abs(slope), price < share * most**2
    threshold = np.sqrt(price * share) if within else 0.5 * (price / most + share * most)
    if size <= threshold:
        return 0.0
    if not within or size * share < threshold:
        size = (size - threshold) / (1.0 - share)
    size = min(size, most)
    return size if slope > 0.0 else -size


@njit(cache=True, fastmath={"contract"})
def _sweep(part, state, coef, descent, multiplier):
    """One cycle of coordinate descent; returns the largest move."""
    gram, _, share, price, most = part
    moved = 0.0
    for j in range(coef.shape[0]):
        old = coef[j]
        new = old + descent[j]
        if state[j] == FREE:
            new = _minimiser(new, share[j], price[j] + multiplier, most)
        else:
            new = min(max(new, -most), most)
        delta = new - old
        if delta != 0.0:
            coef[j] = new
            moved = max(moved, abs(delta))
            row = gram[j]
            for k in range(descent.shape[0]):
                descent[k] -= delta * row[k]
    return moved


@njit(cache=True)
def _indicator(size, share, price, most):
    """The z that belongs to ``|u| = size``."""
    if size == 0.0 or price == 0.0:
        return np.sign(size)
    return min(1.0, size * max(np.sqrt(share / price), 1.0 / most))


@njit(cache=True)
def _worth(size, share, price, most):
    """What a column adds to a lower bound if it is in, for ``|g| = size``."""
    if size < share * most:
        return price - size**2 / share
    return price + (share * most - 2.0 * size) * most


@njit(cache=True)
def _values(part, state, coef, descent, multiplier):
    """Relaxation at ``coef``, its lower bound, and the sum of z over the free columns."""
    _, target, share, price, most = part
    primal, curved, length, taken = 1.0, 0.0, 0.0, 0.0
    for j in range(coef.shape[0]):
        primal -= coef[j] * (target[j] + descent[j])
        curved += coef[j] * (target[j] - descent[j] - share[j] * coef[j])
        length += abs(coef[j])
    dual = 1.0 - curved - _ROUNDING * (1.0 + length) ** 2
    for j in range(coef.shape[0]):
        gradient = abs(descent[j] + share[j] * coef[j]) + _ROUNDING * (1.0 + length)
        if state[j] == IN:
            primal += price[j]
            dual += _worth(gradient, share[j], price[j], most)
            continue
        cost = price[j] + multiplier
        dual += min(0.0, _worth(gradient, share[j], cost, most))
        z = _indicator(abs(coef[j]), share[j], cost, most)
        if z > 0.0:
            taken += z
            primal += cost * z + share[j] * coef[j] ** 2 * (1.0 / z - 1.0)
    return primal, dual, taken


@njit(cache=True)
def _descend(part, state, coef, descent, multiplier, paid, cutoff, tol):
    """Coordinate descent in place until the bound is close, or high enough to cut the node.

    Returns the bound at the coefficients reached less ``paid``, and the sum of z there.
    """
    bound, taken = -np.inf, 0.0
    for sweep in range(_SWEEPS):
        moved = _sweep(part, state, coef, descent, multiplier)
        if sweep % _CYCLE == _CYCLE - 1 or moved == 0.0:
            primal, bound, taken = _values(part, state, coef, descent, multiplier)
            # A node that stays open anyway need not be bounded to the last digit.
            still_open = _SHARE_LEFT * (cutoff - primal + paid)
            if bound - paid >= cutoff or primal - bound <= max(tol, still_open):
                break
    return bound - paid, taken


@njit(cache=True)
def _solve(part, state, coef, multiplier, places, cutoff, tol):
    """Minimise over all given columns in place, the multiplier of a limit with them."""
    descent = part.target - part.gram @ coef
    if places < 0:
        bound, _ = _descend(part, state, coef, descent, 0.0, 0.0, cutoff, tol)
        return bound, 0.0
    lower, upper = 0.0, np.inf
    best, best_multiplier, best_coef = -np.inf, multiplier, coef.copy()
    for _ in range(_ROUNDS):
        paid = multiplier * places
        bound, taken = _descend(part, state, coef, descent, multiplier, paid, cutoff, tol)
        if bound > best:
            best, best_multiplier = bound, multiplier
            best_coef[:] = coef
        error = abs(taken - places) * multiplier
        if best >= cutoff or error <= max(tol, _SHARE_LEFT * (cutoff - best)):
            break
        if taken > places:
            lower = multiplier
        else:
            upper = multiplier
        multiplier *= min(max((max(taken, 0.1) / places) ** 1.5, 0.25), 4.0)
        if not lower < multiplier < upper:
            multiplier = np.sqrt(max(lower, 1e-3 * upper) * upper)
    coef[:] = best_coef
    return best, best_multiplier


@njit(cache=True)
def _pick(columns, seen, at):
    """The problem over some columns of the working set."""
    gram = np.empty((len(at), len(at)))
    for a in range(len(at)):
        for b in range(len(at)):
            gram[a, b] = seen.rows[at[a], seen.features[at[b]]]
    return Part(gram, columns.target[at], columns.share[at], columns.price[at], columns.most)


@njit(cache=True, fastmath={"contract"})
def gradient(rows, target, coef):
    """``target - H coef``, from the rows of H that ``coef`` is on."""
    descent = target.copy()
    for a in range(coef.shape[0]):
        if coef[a] != 0.0:
            row = rows[a]
            for k in range(descent.shape[0]):
                descent[k] -= coef[a] * row[k]
    return descent


@njit(cache=True)
def relax(columns, seen, state, coef, multiplier, places, best, cutoff):
    """Solve the relaxation over the working set in place, as far as a search for ``best`` needs.

    A bound of ``cutoff`` ends it. Only columns in use are visited, until no other lowers the
    bound. Under a limit of ``places`` free columns (none if negative) the multiplier is a price
    for each, moved until the sum of z is as large. Returns a bound, valid for every multiplier
    and lowered by columns outside the working set, the multiplier, and minus half the gradient
    of all columns that are ``seen``.
    """
    tol = max(_SHARE_OF_GAP * (best - cutoff), min(_FINEST, _SHARE_OF_LEAST * (best - cutoff)))
    coef[state == OUT] = 0.0
    active = (coef != 0.0) | (state == IN)
    while True:
        at = np.flatnonzero(active)
        part, u = _pick(columns, seen, at), coef[at]
        bound, multiplier = _solve(part, state[at], u, multiplier, places, cutoff, tol)
        coef[at] = u
        descent = gradient(seen.rows, seen.target, coef)
        rounding = _ROUNDING * (1.0 + np.abs(u).sum())
        more = False
        for j in range(len(coef)):
            if not active[j] and state[j] == FREE:
                size, cost = (
                    abs(descent[seen.features[j]]) + rounding,
                    columns.price[j] + multiplier,
                )
                worth = _worth(size, columns.share[j], cost, columns.most)
                more |= worth < 0.0
                active[j] = worth < _NEARLY * cost
        if not more:
            return bound, multiplier, descent


@njit(cache=True)
def excess(seen, descent, coef, multiplier, rounding):
    """By how much each column outside the working set lowers the bound; negative: not at all."""
    result = np.empty(descent.shape[0])
    rounding *= 1.0 + np.abs(coef).sum()
    for j in range(descent.shape[0]):
        size, cost = abs(descent[j]) + rounding, seen.price[j] + multiplier
        result[j] = -_worth(size, seen.share[j], cost, seen.most)
    for j in seen.features:
        result[j] = -np.inf
    return result


@njit(cache=True)
def needs_columns(bound, lost, best, cutoff):
    """Whether columns outside the working set cost a bound too much."""
    if bound - lost >= cutoff:
        return False
    return bound >= cutoff or lost > _TOLERATED * (best - bound)


@njit(cache=True)
def _refit(columns, seen, members):
    """Objective of the subset ``members``, infinite where its columns are dependent."""
    size = len(members)
    root, half = np.empty((size, size)), np.empty(size)
    value = 1.0
    for a in range(size):
        for b in range(a + 1):
            entry = seen.rows[members[a], seen.features[members[b]]]
            for k in range(b):
                entry -= root[a, k] * root[b, k]
            if a > b:
                root[a, b] = entry / root[b, b]
            elif entry <= _FINEST:
                return np.inf
            else:
                root[a, a] = np.sqrt(entry)
        half[a] = columns.target[members[a]]
        for k in range(a):
            half[a] -= root[a, k] * half[k]
        half[a] /= root[a, a]
        value += columns.price[members[a]] - half[a] ** 2
    return value


@njit(cache=True)
def _rounded(columns, waiting, at):
    """The subset nearest to a relaxation, and the free column that is most in it, or -1."""
    state, coef, places = waiting.state[at], waiting.coef[at], waiting.places[at]
    multiplier = waiting.multiplier[at]
    z = np.zeros(len(coef))
    for j in range(len(coef)):
        if state[j] == FREE:
            cost = columns.price[j] + multiplier
            z[j] = _indicator(abs(coef[j]), columns.share[j], cost, columns.most)
    branch = np.argmax(z)
    if z[branch] <= 0.0:
        branch = np.int64(-1)
    chosen = state == IN
    if places < 0:
        chosen |= z > 0.5
    for _ in range(places):
        most = np.argmax(z)
        if z[most] <= 0.0:
            break
        chosen[most] = True
        z[most] = 0.0
    return np.flatnonzero(chosen), branch


@njit(cache=True)
def _move(waiting, origin, to):
    waiting.state[to], waiting.coef[to] = waiting.state[origin], waiting.coef[origin]
    waiting.multiplier[to] = waiting.multiplier[origin]
    waiting.places[to], waiting.bound[to] = waiting.places[origin], waiting.bound[origin]


@njit(cache=True)
def _bound(columns, seen, waiting, at, best, cutoff):
    """Solve a node; returns whether it needs more columns in the working set."""
    state, coef, places = waiting.state[at], waiting.coef[at], waiting.places[at]
    bound, multiplier, descent = relax(
        columns, seen, state, coef, waiting.multiplier[at], places, best, cutoff
    )
    lost = 0.0
    if len(seen.features) < len(descent):
        over = excess(seen, descent, coef, multiplier, _ROUNDING)
        lost = np.maximum(over, 0.0).sum()
    waiting.multiplier[at] = multiplier
    waiting.bound[at] = max(waiting.bound[at], bound - lost)
    return needs_columns(bound, lost, best, cutoff)


@njit(cache=True)
def search(columns, seen, state, coef, multiplier, places, bound, options):
    """Search depth first below a node that is solved.

    Nodes that need more columns in the working set are left to the caller, and so is what
    waits when the nodes run out. Returns the best objective, its columns (none where it is not
    better), the number of nodes, the least bound of what was cut off, and what is left.
    """
    best, gap, least, limited, max_nodes = options
    size, m = 2 * _DEPTH, len(coef)
    states, coefs = np.empty((size, m), np.int8), np.empty((size, m))
    rooms = np.empty(size, np.int64)
    waiting = Waiting(states, coefs, np.empty(size), rooms, np.empty(size))
    waiting.state[0], waiting.coef[0] = state, coef
    waiting.multiplier[0], waiting.places[0], waiting.bound[0] = multiplier, places, bound
    found = np.empty(0, np.int64)
    cut, nodes, top, left = np.inf, 0, 1, size
    while 0 < top < _DEPTH < left and nodes < max_nodes:
        top -= 1
        nodes += 1
        cutoff = best - max(gap * best - least, least)
        if nodes > 1 and _bound(columns, seen, waiting, top, best, cutoff):
            left -= 1
            _move(waiting, top, left)
            continue
        members, branch = _rounded(columns, waiting, top)
        value = _refit(columns, seen, members)
        improved = value < best
        if improved:
            best, found = value, members
            cutoff = best - max(gap * best - least, least)
        if waiting.bound[top] >= cutoff or (branch < 0 and not improved):
            cut = min(cut, waiting.bound[top])
            continue
        if branch < 0:
            # A single subset, better than what the relaxation was solved for: solve it again.
            left -= 1
            _move(waiting, top, left)
            continue
        _move(waiting, top, top + 1)
        waiting.state[top, branch], waiting.state[top + 1, branch] = OUT, IN
        waiting.places[top + 1] -= limited
        # With no place left the node is one subset: the rounded one.
        top += 1
        if waiting.places[top] != 0:
            top += 1
    rest = np.concatenate((np.arange(top), np.arange(left, size)))
    return (
        best,
        found,
        nodes,
        cut,
        (
            waiting.state[rest],
            waiting.coef[rest],
            waiting.multiplier[rest],
            waiting.places[rest],
            waiting.bound[rest],
        ),
    )
