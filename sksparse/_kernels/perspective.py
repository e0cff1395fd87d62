"""Depth-first search below one node of branch and bound on the perspective relaxation.

H is a Gram matrix with unit diagonal, c, a and d are the target, penalty and share of a column, u
is its coefficient, z its indicator and M the largest magnitude; ``descent`` is ``c - H u``. See
``solvers/branch_and_bound/_perspective.py`` for the relaxation and its bounds.
"""

from typing import NamedTuple

import numpy as np

from sksparse._kernels._compiled import njit

# States of a column.
FREE, IN, OUT = 0, 1, 2

# A column: c, d and a.
COLUMN = np.dtype([(name, np.float64) for name in ("target", "share", "penalty")], align=True)
# A node: multiplier, how many more features there may be (negative: any), lower bound.
NODE = np.dtype([("multiplier", "f8"), ("remaining", "i8"), ("bound", "f8")], align=True)


class Tuning(NamedTuple):
    """What steers the search; losses are in units of the null model's."""

    cycle: int = 3  # sweeps between two looks at the bound, which cost as much as one
    sweeps: int = 501  # all sweeps: whole cycles
    rounds: int = 12  # multipliers tried at a node
    # A relaxation is solved to a share of the gap asked for, but at least to ``finest`` or to the
    # least share; and below the cutoff, where it stays open, to a share of the difference.
    share_of_gap: float = 0.05
    finest: float = 1e-10
    least_share: float = 0.1
    share_open: float = 0.1
    # Columns outside the working set may lower a bound by this share of what the node leaves open.
    tolerated: float = 0.2
    nearly: float = 0.2  # as a share of their penalty: so near to use, columns join those in use
    rounding: float = 1e-14  # error of an inner product of numbers of unit size


TUNING = Tuning()


class Relaxation(NamedTuple):
    """Rows of H of the working set, its positions among the columns, the columns, and M.

    The columns are all there are, or the working set if the others' entries of H are not at hand.
    """

    rows: np.ndarray
    features: np.ndarray
    columns: np.ndarray
    largest: float


@njit(cache=True, inner=True)
def _minimiser(slope, share, penalty, largest):
    """Minimise ``-2 slope u + u^2`` plus what a free column costs."""
    size, within = abs(slope), penalty < share * largest**2
    threshold = np.sqrt(penalty * share) if within else 0.5 * (penalty / largest + share * largest)
    if size <= threshold:
        return 0.0
    if not within or size * share < threshold:
        size = (size - threshold) / (1.0 - share)
    return np.copysign(min(size, largest), slope)


@njit(cache=True, inner=True, fastmath={"contract"})
def _sweep(part, coef, descent, multiplier):
    """One cycle of coordinate descent; returns the largest move."""
    gram, columns, state, largest = part
    moved = 0.0
    for j in range(coef.shape[0]):
        new = coef[j] + descent[j]
        if state[j] == FREE:
            new = _minimiser(new, columns[j].share, columns[j].penalty + multiplier, largest)
        else:
            new = min(max(new, -largest), largest)
        delta = new - coef[j]
        if delta != 0.0:
            coef[j] = new
            moved = max(moved, abs(delta))
            row = gram[j]
            for k in range(descent.shape[0]):
                descent[k] -= delta * row[k]
    return moved


@njit(cache=True, inner=True)
def _indicator(size, share, penalty, largest):
    """The z that belongs to ``|u| = size``."""
    if size == 0.0 or penalty == 0.0:
        return np.sign(size)
    return min(1.0, size * max(np.sqrt(share / penalty), 1.0 / largest))


@njit(cache=True, inner=True)
def _least_cost(size, share, penalty, largest):
    """What a column adds to a lower bound if it is in, for ``|g| = size``."""
    if size < share * largest:
        return penalty - size**2 / share
    return penalty + (share * largest - 2.0 * size) * largest


@njit(cache=True, inner=True)
def _values(part, coef, descent, multiplier):
    """Relaxation at ``coef``, its lower bound, and the sum of z over the free columns."""
    _, columns, state, largest = part
    primal, curved, length, n_used = 1.0, 0.0, 0.0, 0.0
    for j in range(coef.shape[0]):
        target, share = columns[j].target, columns[j].share
        primal -= coef[j] * (target + descent[j])
        curved += coef[j] * (target - descent[j] - share * coef[j])
        length += abs(coef[j])
    dual = 1.0 - curved - TUNING.rounding * (1.0 + length) ** 2
    for j in range(coef.shape[0]):
        share, penalty = columns[j].share, columns[j].penalty
        gradient = abs(descent[j] + share * coef[j]) + TUNING.rounding * (1.0 + length)
        if state[j] == IN:
            primal += penalty
            dual += _least_cost(gradient, share, penalty, largest)
            continue
        penalty += multiplier
        dual += min(0.0, _least_cost(gradient, share, penalty, largest))
        z = _indicator(abs(coef[j]), share, penalty, largest)
        if z > 0.0:
            n_used += z
            primal += penalty * z + share * coef[j] ** 2 * (1.0 / z - 1.0)
    return primal, dual, n_used


@njit(cache=True, inner=True, inline="always")
def _descend(part, coef, descent, multiplier, paid, cutoff, tol):
    """Coordinate descent until the bound, less ``paid``, is close or high; it and the sum of z."""
    bound, n_used = -np.inf, 0.0
    for sweep in range(TUNING.sweeps):
        moved = _sweep(part, coef, descent, multiplier)
        if sweep % TUNING.cycle == TUNING.cycle - 1 or moved == 0.0:
            primal, bound, n_used = _values(part, coef, descent, multiplier)
            # A node that stays open anyway need not be bounded to the last digit.
            still_open = TUNING.share_open * (cutoff - primal + paid)
            if bound - paid >= cutoff or primal - bound <= max(tol, still_open):
                break
    return bound - paid, n_used


@njit(cache=True, inner=True, fastmath={"contract"})
def _gradient(rows, columns, coef, descent):
    """Write ``c - H coef`` from the rows of H that ``coef`` belongs to."""
    for k in range(descent.shape[0]):
        descent[k] = columns[k].target
    for a in range(coef.shape[0]):
        if coef[a] != 0.0:
            row = rows[a]
            for k in range(descent.shape[0]):
                descent[k] -= coef[a] * row[k]


@njit(cache=True, inner=True, inline="always")
def _solve(part, coef, multiplier, remaining, cutoff, tol):
    """Minimise over all given columns in place, the multiplier of a limit with them."""
    if remaining < 0:
        multiplier = 0.0
    descent, best_coef = np.empty(len(coef)), coef.copy()
    _gradient(part[0], part[1], coef, descent)
    lower, upper, best, best_multiplier = 0.0, np.inf, -np.inf, multiplier
    for _ in range(TUNING.rounds):
        paid = multiplier * remaining
        bound, n_used = _descend(part, coef, descent, multiplier, paid, cutoff, tol)
        if bound > best:
            best, best_multiplier = bound, multiplier
            for j in range(len(coef)):
                best_coef[j] = coef[j]
        error = abs(n_used - remaining) * multiplier
        if best >= cutoff or error <= max(tol, TUNING.share_open * (cutoff - best)):
            break
        if n_used > remaining:
            lower = multiplier
        else:
            upper = multiplier
        multiplier *= min(max((max(n_used, 0.1) / remaining) ** 1.5, 0.25), 4.0)
        if not lower < multiplier < upper:
            multiplier = np.sqrt(max(lower, 1e-3 * upper) * upper)
    for j in range(len(coef)):
        coef[j] = best_coef[j]
    return best, best_multiplier


@njit(cache=True, inner=True, inline="always")
def _restricted(problem, state, at):
    """The relaxation over some columns: H, the columns, their states and M."""
    size = len(at)
    gram, columns, states = np.empty((size, size)), np.empty(size, COLUMN), np.empty(size, np.int8)
    for a in range(size):
        for b in range(size):
            gram[a, b] = problem.rows[at[a], problem.features[at[b]]]
        columns[a], states[a] = problem.columns[problem.features[at[a]]], state[at[a]]
    return gram, columns, states, problem.largest


@njit(cache=True, inner=True, inline="always")
def _activate(problem, state, coef, multiplier, descent, active):
    """Take what lowers the bound, and nearly does, into use; whether anything lowers it."""
    length = 0.0
    for j in range(len(coef)):
        length += abs(coef[j])
    rounding = TUNING.rounding * (1.0 + length)
    more = False
    for j in range(len(coef)):
        if not active[j] and state[j] == FREE:
            column = problem.columns[problem.features[j]]
            size = abs(descent[problem.features[j]]) + rounding
            penalty = column.penalty + multiplier
            cost = _least_cost(size, column.share, penalty, problem.largest)
            more |= cost < 0.0
            active[j] = cost < TUNING.nearly * penalty
    return more


@njit(cache=True)
def relax(problem, state, coef, multiplier, remaining, best, cutoff, descent):
    """Solve the relaxation over the working set in place, as far as a search for ``best`` needs.

    A bound of ``cutoff`` ends it. Only columns in use are visited, until no other lowers the
    bound. Under a limit of ``remaining`` free columns (none if negative) the multiplier is moved
    until the sum of z is as large. Returns a bound, valid for every multiplier and lowered by
    columns outside the working set, and the multiplier; ``descent`` is filled in for all columns.
    """
    least = min(TUNING.finest, TUNING.least_share * (best - cutoff))
    tol = max(TUNING.share_of_gap * (best - cutoff), least)
    m = len(coef)
    active, buffer, used = np.empty(m, np.bool_), np.empty(m, np.int64), np.empty(m)
    for j in range(m):
        if state[j] == OUT:
            coef[j] = 0.0
        active[j] = coef[j] != 0.0 or state[j] == IN
    while True:
        size = 0
        for j in range(m):
            if active[j]:
                buffer[size], used[size] = j, coef[j]
                size += 1
        at, u = buffer[:size], used[:size]
        part = _restricted(problem, state, at)
        bound, multiplier = _solve(part, u, multiplier, remaining, cutoff, tol)
        for a in range(size):
            coef[at[a]] = u[a]
        _gradient(problem.rows, problem.columns, coef, descent)
        if not _activate(problem, state, coef, multiplier, descent, active):
            return bound, multiplier


@njit(cache=True)
def excess(problem, descent, coef, multiplier, rounding, result):
    """Write by how much each column outside the working set lowers the bound; returns the sum."""
    length, total = 0.0, 0.0
    for j in range(len(coef)):
        length += abs(coef[j])
    rounding *= 1.0 + length
    for j in range(len(descent)):
        size, column = abs(descent[j]) + rounding, problem.columns[j]
        penalty = column.penalty + multiplier
        result[j] = -_least_cost(size, column.share, penalty, problem.largest)
    for j in problem.features:
        result[j] = -np.inf
    for j in range(len(descent)):
        total += max(result[j], 0.0)
    return total


@njit(cache=True)
def needs_columns(bound, lost, best, cutoff):
    """Whether columns outside the working set cost a bound too much."""
    hidden = bound >= cutoff or lost > TUNING.tolerated * (best - bound)
    return bound - lost < cutoff and hidden


@njit(cache=True, inner=True)
def _refit(problem, members):
    """Objective of the subset ``members``, infinite where its columns are dependent."""
    size = len(members)
    root, projected = np.empty((size, size)), np.empty(size)
    value = 1.0
    for a in range(size):
        column = problem.columns[problem.features[members[a]]]
        projected[a] = column.target
        for b in range(a + 1):
            entry = problem.rows[members[a], problem.features[members[b]]]
            for k in range(b):
                entry -= root[a, k] * root[b, k]
            if a == b and entry <= TUNING.finest:
                return np.inf
            root[a, b] = np.sqrt(entry) if a == b else entry / root[b, b]
            if a > b:
                projected[a] -= root[a, b] * projected[b]
        projected[a] /= root[a, a]
        value += column.penalty - projected[a] ** 2
    return value


@njit(cache=True, inner=True)
def _largest(z):
    """The first column of the largest z, or -1 where none is positive."""
    largest, column = 0.0, -1
    for j in range(len(z)):
        if z[j] > largest:
            largest, column = z[j], j
    return column


@njit(cache=True, inner=True)
def _rounded(problem, node, state, coef, z, members):
    """List the subset nearest to a relaxation; its size, and the free column most in it, or -1."""
    for j in range(len(coef)):
        z[j] = 0.0
        if state[j] == FREE:
            column = problem.columns[problem.features[j]]
            penalty = column.penalty + node.multiplier
            z[j] = _indicator(abs(coef[j]), column.share, penalty, problem.largest)
    branch = _largest(z)
    # z of a column that is taken is negative
    for j in range(len(coef)):
        if state[j] == IN or (node.remaining < 0 and z[j] > 0.5):
            z[j] = -1.0
    for _ in range(node.remaining):
        column = _largest(z)
        if column >= 0:
            z[column] = -1.0
    size = 0
    for j in range(len(coef)):
        if z[j] < 0.0:
            members[size] = j
            size += 1
    return size, branch


@njit(cache=True, inner=True)
def _copy_node(nodes, states, coefs, origin, to):
    nodes[to] = nodes[origin]
    for j in range(states.shape[1]):
        states[to, j], coefs[to, j] = states[origin, j], coefs[origin, j]


@njit(cache=True, inner=True, inline="always")
def _bound(problem, node, state, coef, best, cutoff, descent, over):
    """Solve a node; returns whether it needs more columns in the working set."""
    bound, node.multiplier = relax(
        problem, state, coef, node.multiplier, node.remaining, best, cutoff, descent
    )
    lost = 0.0
    if len(problem.features) < len(descent):
        lost = excess(problem, descent, coef, node.multiplier, TUNING.rounding, over)
    node.bound = max(node.bound, bound - lost)
    return needs_columns(bound, lost, best, cutoff)


@njit(cache=True)
def search(problem, nodes, states, coefs, best, found, gap, rounding, max_nodes):
    """Search below the first of a stack of nodes, which is solved.

    A node has a row of ``states`` and one of ``coefs`` on the working set. Nodes that need more
    columns there are left to the caller, at the end of the stack, and so is what waits when
    ``max_nodes`` are searched. Returns the best objective, the number of
    its columns, which are written to ``found`` (none where it is not better), the number of nodes,
    the least bound of what was cut off, and where the waiting nodes end and those left begin.
    """
    m, end, limited = len(found), len(nodes), nodes[0].remaining >= 0
    members, z = np.empty(m, np.int64), np.empty(m)
    descent, over = np.empty(len(problem.columns)), np.empty(len(problem.columns))
    cut, n_found, n_nodes, top, left = np.inf, 0, 0, 1, end
    while 0 < top < end // 2 < left and n_nodes < max_nodes:
        top -= 1
        n_nodes += 1
        node, state, coef = nodes[top], states[top], coefs[top]
        cutoff = best - max(gap * best - rounding, rounding)
        wanting = n_nodes > 1 and _bound(problem, node, state, coef, best, cutoff, descent, over)
        if not wanting:
            size, branch = _rounded(problem, node, state, coef, z, members)
            value = _refit(problem, members[:size])
            improved = value < best
            if improved:
                best, n_found = value, size
                for a in range(size):
                    found[a] = members[a]
                cutoff = best - max(gap * best - rounding, rounding)
            if node.bound >= cutoff or (branch < 0 and not improved):
                cut = min(cut, node.bound)
                continue
        if wanting or branch < 0:
            # The latter is one subset, better than what its relaxation was solved for: once more.
            left -= 1
            _copy_node(nodes, states, coefs, top, left)
            continue
        _copy_node(nodes, states, coefs, top, top + 1)
        states[top, branch], states[top + 1, branch] = OUT, IN
        nodes[top + 1].remaining -= limited
        # With none left to add the node is one subset: the rounded one.
        top += 1 if nodes[top + 1].remaining == 0 else 2
    return best, n_found, n_nodes, cut, top, left
