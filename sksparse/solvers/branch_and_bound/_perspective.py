"""Branch and bound on the perspective relaxation.

Hazimeh, Mazumder and Saab (Mathematical Programming, 2022); their bound on the coefficients is
optional, since the perspective of the ridge term is a valid relaxation on its own. Nodes are solved
by coordinate descent over a working set of columns, to which a pass over all columns adds those
that would lower the bound.

For the correlations H of the columns with each other, c of the columns with the target and
penalties a, the relaxation over columns that are free, in or out minimises::

    1 - 2 c^T u + u^T H u + sum_{j in} a_j + sum_{j free} min_z (a_j z + d_j u_j^2 (1 / z - 1))

with z in [0, 1] and ``|u_j| <= M z``, where the share ``d_j`` of the diagonal of H is such that
``H - diag(d)`` is positive semidefinite, and M may be infinite where all shares are positive. The
last term is ``2 sqrt(a_j d_j) |u_j| - d_j u_j^2`` up to ``|u_j| = sqrt(a_j / d_j)`` and ``a_j``
beyond, a reverse Huber function; where M is smaller, ``(a_j / M + d_j M) |u_j| - d_j u_j^2``.

Any u gives a lower bound: with ``Q = H - diag(d)`` and ``g = c - Q u``, the relaxation is at
least ``1 - u^T Q u + sum_{in} w_j + sum_{free} min(0, w_j)``, with ``w_j = a_j + min_{|v| <= M}
(d_j v^2 - 2 g_j v)``.

Under a limit on the number of features a multiplier is added to the penalty of every free column.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sksparse._interrupts import check
from sksparse._typing import Array, Indices
from sksparse.solvers.branch_and_bound._best_first import Branching, Incumbent, Node
from sksparse.solvers.branch_and_bound._correlation_store import ColumnsInUse
from sksparse.solvers.branch_and_bound._tuning import TUNING
from sksparse.solvers.subset._correlations import Correlations

if TYPE_CHECKING:
    from sksparse._kernels.perspective import Relaxation


@dataclass
class RelaxedNode(Node):
    """Columns that are in or out, and the parent's solution to start from.

    Parameters
    ----------
    features : ndarray of shape (m,)
        Features that are in, or out, or have a coefficient.
    state : ndarray of shape (m,)
        0 for those that are free, 1 for those that are in, 2 for those that are out.
    coef : ndarray of shape (m,)
        Coefficients.
    multiplier : float
        Added to the penalty of every free feature, where their number is limited.
    remaining : int
        How many more features there may be; negative without a limit.
    """

    features: Indices
    state: Any
    coef: Array
    multiplier: float
    remaining: int


class Perspective(Branching[RelaxedNode]):
    """Search by relaxations.

    Parameters
    ----------
    data : Correlations
        The problem in scale-free form.
    shares : ndarray of shape (n_features,)
        The correlations less their diagonal matrix must be positive semidefinite. Positive where
        ``largest`` is infinite.
    penalties : ndarray of shape (n_features,)
        Penalty of each feature, in units of the null model's loss.
    kept : ndarray
        Features always kept.
    limit : int or None
        How many others there may be.
    working : ndarray
        Features to start the working set from.
    largest : float
        Bound on coefficients of columns of unit length, for a target of unit length.
    """

    def __init__(
        self,
        data: Correlations,
        shares: Array,
        penalties: Array,
        kept: Indices,
        limit: int | None,
        working: Indices,
        largest: float,
    ) -> None:
        from sksparse._kernels.perspective import COLUMN

        self._columns = np.empty(len(shares), COLUMN)
        self._columns["target"], self._columns["share"] = data.target, shares
        self._columns["penalty"] = penalties
        self._largest, self._kept, self._limit = largest, kept, limit
        self._use = ColumnsInUse(data, eager=bool(np.isinf(largest)))
        strongest = np.argmax(np.abs(data.target), keepdims=True)
        self._use.use(np.unique(np.concatenate((working, kept, strongest))))

    def roots(self) -> list[RelaxedNode]:
        state, coef = np.ones(len(self._kept), dtype=np.int8), np.zeros(len(self._kept))
        if self._limit is None:
            return [RelaxedNode(0.0, self._kept, state, coef, 0.0, -1)]
        return [RelaxedNode(0.0, self._kept, state, coef, 0.5 / self._limit, self._limit)]

    def root_bound(self, best: Incumbent) -> float:
        """Bound of the relaxation before any branching."""
        root = self.roots()[0]
        self._solve(root, best)
        return root.bound

    def expand(self, node: RelaxedNode, best: Incumbent) -> tuple[list[RelaxedNode], int]:
        from sksparse._kernels.perspective import search

        state, coef = self._solve(node, best)
        max_nodes, found = 1, np.empty(len(coef), np.int64)
        if self._use.sees_all:
            max_nodes += int(TUNING.work / (len(coef) * len(self._columns)))
        stack, options = _stack(node, state, coef), (best.gap, best.rounding, max_nodes)
        value, size, n_nodes, cut, top, left = search(
            self._relaxation(), *stack, best.value, found, *options
        )
        best.cut = min(best.cut, cut)
        best.offer(value, self._use.features[found[:size]])
        waiting = (*range(top), *range(left, len(stack[0])))
        return [self._node(*(rows[at] for rows in stack)) for at in waiting], n_nodes

    def _node(self, record: Any, state: Any, coef: Array) -> RelaxedNode:
        used = np.flatnonzero((state != 0) | (coef != 0.0))
        return RelaxedNode(
            float(record["bound"]),
            self._use.features[used],
            state[used],
            coef[used],
            float(record["multiplier"]),
            int(record["remaining"]),
        )

    def _relaxation(self) -> Relaxation:
        """The columns that the stored correlations tell the gradient of: all, or those in use."""
        from sksparse._kernels.perspective import Relaxation

        use = self._use
        if use.sees_all:
            return self._relaxation_over_all()
        in_use = self._columns[use.features]
        return Relaxation(use.rows, np.arange(len(in_use)), in_use, self._largest)

    def _relaxation_over_all(self) -> Relaxation:
        from sksparse._kernels.perspective import Relaxation

        return Relaxation(self._use.rows, self._use.features, self._columns, self._largest)

    def _placed(self, features: Indices, state: Any, coef: Array) -> tuple[Any, Array]:
        """States and coefficients on the working set."""
        m, at = len(self._use.features), self._use.position[features]
        states, coefs = np.zeros(m, dtype=np.int8), np.zeros(m)
        states[at], coefs[at] = state, coef
        return states, coefs

    def _solve(self, node: RelaxedNode, best: Incumbent) -> tuple[Any, Array]:
        """Solve a relaxation, with all the columns in the working set that it needs."""
        from sksparse._kernels.perspective import excess, needs_columns, relax

        use, new = self._use, node.features[:0]
        while True:
            check()
            use.use(np.union1d(node.features, new))
            state, coef = self._placed(node.features, node.state, node.coef)
            relaxation = self._relaxation()
            descent: Array = np.empty(len(relaxation.columns))
            over = np.empty(len(self._columns))
            start = (state, coef, node.multiplier, node.remaining)
            bound, node.multiplier = relax(relaxation, *start, best.value, best.cutoff, descent)
            if not use.sees_all:
                descent = use.descent(coef)
            everything = self._relaxation_over_all()
            lost = excess(everything, descent, coef, node.multiplier, use.rounding, over)
            node.bound = max(node.bound, bound - lost)
            full = len(node.features) > TUNING.max_active
            if full or not needs_columns(bound, lost, best.value, best.cutoff):
                return state, coef
            penalties = self._columns["penalty"] + node.multiplier
            near = np.flatnonzero(over > -TUNING.nearly * penalties)
            new = near[np.argsort(-over[near], kind="stable")[: TUNING.max_entering]]
            used = np.flatnonzero((state != 0) | (coef != 0.0))
            node.features, node.state, node.coef = use.features[used], state[used], coef[used]


def _stack(node: RelaxedNode, state: Any, coef: Array) -> tuple[Any, Any, Array]:
    """Memory of a search: nodes, states and coefficients, with a node at the bottom."""
    from sksparse._kernels.perspective import NODE

    depth = 2 * TUNING.depth
    nodes, states = np.zeros(depth, NODE), np.empty((depth, len(state)), np.int8)
    coefs = np.empty((depth, len(coef)))
    nodes[0] = (node.multiplier, node.remaining, node.bound)
    states[0], coefs[0] = state, coef
    return nodes, states, coefs
