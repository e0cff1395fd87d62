"""Enumeration of subsets: the last two columns of each at once.

The problem is ``min loss - 2 c^T u + u^T H u + sum_{j in S} penalties_j`` over subsets S of a given
cardinality, at least two, and coefficients u on S. All but the two last columns of a subset, in the
order of columns, are its prefix. Given a prefix, the best of its pairs is found from the
correlations of the residuals of columns, without a division: with residuals of unit length,
correlations c with the target and rho with each other, a pair takes ``c_i^2 + (c_j - rho c_i)^2 /
(1 - rho^2)`` from the loss.
"""

from typing import NamedTuple

import numpy as np

from sksparse._kernels._compiled import njit


class Columns(NamedTuple):
    """Correlations with each other and with the target, penalties, and the loss without any.

    A column whose squared residual given others is at most ``floor`` depends on these, and subsets
    with it are left out.
    """

    gram: np.ndarray
    target: np.ndarray
    penalties: np.ndarray
    loss: float
    floor: float


class _Prefix(NamedTuple):
    """Factors of the columns of a prefix, and the squared residuals and descents of all columns.

    Row a of ``schur`` and ``descent``, and entry a of ``objective``, are those given the first a
    columns of the prefix.
    """

    factor: np.ndarray
    schur: np.ndarray
    descent: np.ndarray
    objective: np.ndarray


@njit(cache=True, inner=True)
def _include(columns, prefix, at, j):
    """Add column j to the first ``at`` columns of a prefix; returns whether it is independent."""
    schur, descent = prefix.schur[at], prefix.descent[at]
    if schur[j] <= columns.floor:
        return False
    factor, m = prefix.factor[at], len(schur)
    for i in range(m):
        factor[i] = columns.gram[j, i]
    for b in range(at):
        share = prefix.factor[b, j]
        for i in range(m):
            factor[i] -= share * prefix.factor[b, i]
    root = np.sqrt(schur[j])
    along = descent[j] / root
    for i in range(m):
        factor[i] /= root
        prefix.schur[at + 1, i] = schur[i] - factor[i] * factor[i]
        prefix.descent[at + 1, i] = descent[i] - factor[i] * along
    prefix.objective[at + 1] = prefix.objective[at] - along * along + columns.penalties[j]
    return True


@njit(cache=True, inner=True)
def _advance(chosen, at, m):
    """The next prefix in lexicographic order that differs at ``at`` or before; where it does."""
    depth = len(chosen)
    while at >= 0:
        chosen[at] += 1
        if chosen[at] <= m - 2 - (depth - at):
            for b in range(at + 1, depth):
                chosen[b] = chosen[b - 1] + 1
            return at
        at -= 1
    return -1


@njit(cache=True, inner=True)
def _best_partner(rho, descent, least, penalties, i):
    """The column after i that with i gains most."""
    best, partner = -np.inf, -1
    for j in range(i + 1, len(rho)):
        left = 1.0 - rho[j] * rho[j]
        if left > least[j]:
            gain = (descent[j] - rho[j] * descent[i]) ** 2 / left - penalties[j]
            if gain > best:
                best, partner = gain, j
    return partner


# Slices that begin at zero, one loop a function: the compiler makes vector instructions of these.
@njit(cache=True, inner=True, fastmath={"reassoc", "contract"})
def _residual_correlations(row, scales, scale, rho):
    for j in range(len(rho)):
        rho[j] = row[j] * scale * scales[j]


@njit(cache=True, inner=True, fastmath={"reassoc", "contract"})
def _subtract(rho, share, factor):
    for j in range(len(rho)):
        rho[j] -= share * factor[j]


@njit(cache=True, inner=True, fastmath={"reassoc", "contract"})
def _n_better(rho, descent, least, penalties, own, needed):
    """The number of columns that with another one gain what is needed."""
    count = 0
    for j in range(len(rho)):
        left, rest = 1.0 - rho[j] * rho[j], descent[j] - rho[j] * own
        count += (rest * rest > (needed + penalties[j]) * left) & (left > least[j])
    return count


@njit(cache=True, inner=True)
def _scan(columns, prefix, row, goal):
    """Rows of pairs from ``row`` on, up to the first with an objective below ``goal``: its pair."""
    gram, penalties, depth = columns.gram, columns.penalties, len(prefix.factor)
    m, objective = len(penalties), prefix.objective[depth]
    scale, least, descent, rho = np.zeros(m), np.full(m, np.inf), np.zeros(m), np.empty(m)
    factor = np.empty((depth, m))
    for j in range(row, m):
        residual = prefix.schur[depth, j]
        if residual > columns.floor:
            scale[j] = 1.0 / np.sqrt(residual)
            least[j] = columns.floor / residual
            descent[j] = prefix.descent[depth, j] * scale[j]
        for a in range(depth):
            factor[a, j] = prefix.factor[a, j] * scale[j]
    for i in range(row, m - 1):
        if scale[i] == 0.0:
            continue
        own, after = descent[i], slice(i + 1, m)
        _residual_correlations(gram[i, after], scale[after], scale[i], rho[after])
        for a in range(depth):
            _subtract(rho[after], factor[a, i], factor[a, after])
        needed = objective + penalties[i] - own * own - goal
        if _n_better(rho[after], descent[after], least[after], penalties[after], own, needed):
            return i, _best_partner(rho, descent, least, penalties, i)
    return m - 1, -1


@njit(cache=True, inner=True)
def _n_pairs(row, m):
    """The number of pairs of columns from ``row`` on."""
    return (m - row) * (m - row - 1) // 2


@njit(cache=True)
def search(columns, chosen, row, goal, max_pairs):
    """Go on from a prefix, and a row of its pairs, until an objective is below ``goal``.

    ``chosen`` holds the prefix and is moved on. Returns the last two columns of the better subset
    (the second is -1 where none was found), the number of prefixes finished, whether all were, and
    the number of subsets compared. Without a better subset it stops at the head of a prefix, when
    it has worked for about ``max_pairs`` subsets.
    """
    m, depth = len(columns.target), len(chosen)
    prefix = _Prefix(
        np.empty((depth, m)),
        np.empty((depth + 1, m)),
        np.empty((depth + 1, m)),
        np.empty(depth + 1),
    )
    for j in range(m):
        prefix.schur[0, j] = columns.gram[j, j]
        prefix.descent[0, j] = columns.target[j]
    prefix.objective[0] = columns.loss
    at, n_pairs, n_prefixes, overhead = np.int64(0), 0, 0, 0
    while True:
        while at < depth and _include(columns, prefix, at, chosen[at]):
            at += 1
            overhead += m
        if at == depth:
            first, second = _scan(columns, prefix, row, goal)
            n_pairs += _n_pairs(row, m) - _n_pairs(first + 1, m)
            if second >= 0:
                return first, second, n_prefixes, False, n_pairs
            n_prefixes += 1
            at -= 1
        at = _advance(chosen, at, m)
        if at < 0:
            return row, -1, n_prefixes, True, n_pairs
        row = chosen[depth - 1] + 1
        if n_pairs + overhead >= max_pairs:
            return row, -1, n_prefixes, False, n_pairs
