"""Best subsets of each cardinality by leaps and bounds.

Furnival and Wilson (Technometrics, 1974): no subset of some columns fits better than all of them.
The bound needs independent columns and costs the square of their number, so it serves few columns;
it needs neither a ridge nor a bound on the coefficients.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sksparse._typing import Array, Indices, Mask
from sksparse.solvers.branch_and_bound._best_first import Branching, Incumbent, Node
from sksparse.solvers.branch_and_bound._tuning import TUNING
from sksparse.solvers.subset._factorised_support import COLLINEAR, Support

if TYPE_CHECKING:
    from sksparse._kernels.leaps import Stack


@dataclass
class CardinalityNode(Node):
    """Subsets with so many more columns than those that are in.

    Parameters
    ----------
    state : ndarray of shape (m,)
        0 for a column that is free, 1 for one that is in, 2 for one that is out.
    remaining : int
        Columns still to be added.
    """

    state: Any
    remaining: int


class Leaps(Branching[CardinalityNode]):
    """Search by cardinality, with exact refits.

    Parameters
    ----------
    features : ndarray of shape (m,)
        Features to choose from, those always kept included.
    gram : ndarray of shape (m, m)
        Their correlations.
    target : ndarray of shape (m,)
        Their correlations with the target.
    penalties : ndarray of shape (m,)
        Penalty of each feature, in units of the null model's loss.
    kept : ndarray of shape (m,)
        Mask of those always kept, which must be independent.
    cardinalities : range
        How many others to add.
    """

    def __init__(
        self,
        features: Indices,
        gram: Array,
        target: Array,
        penalties: Array,
        kept: Mask,
        cardinalities: range,
    ) -> None:
        self._features, self._gram, self._target = features, gram, target
        self._penalties, self._kept, self._cardinalities = penalties, kept, cardinalities

    def roots(self) -> list[CardinalityNode]:
        cheapest = np.cumsum(np.r_[0.0, np.sort(self._penalties[~self._kept])])
        state = self._kept.astype(np.int8)
        return [CardinalityNode(float(cheapest[size]), state, size) for size in self._cardinalities]

    def root_bound(self) -> float:
        """Loss of the fit on all features."""
        everything = np.arange(len(self._target))
        return 1.0 - Support.of(everything, self._gram, self._target, COLLINEAR).explained

    def expand(self, node: CardinalityNode, best: Incumbent) -> tuple[list[CardinalityNode], int]:
        from sksparse._kernels.leaps import FREE, Options, search

        m = len(self._target)
        options = Options(best.gap, best.rounding, COLLINEAR, 1 + int(TUNING.work / m**2))
        stack, found = self._stack(node), np.empty(m, np.int64)
        free = self._penalties[node.state == FREE]
        data = (self._gram, self._target, self._penalties, float(free.min() if free.size else 0.0))
        value, size, n_nodes, cut, level = search(stack, *data, best.value, found, options)
        best.cut = min(best.cut, cut)
        best.offer(value, self._features[found[:size]])
        return _waiting(stack, level), n_nodes

    def _stack(self, node: CardinalityNode) -> Stack:
        """Memory of the search, with a node at the bottom of the stack."""
        from sksparse._kernels.leaps import IN, NODE, Stack

        m, depth, n_added = len(self._target), len(self._target) + 2, node.remaining + 1
        stack = Stack(
            nodes=np.zeros(depth, NODE),
            state=np.empty((depth, m), np.int8),
            schur=np.empty((n_added, m, m)),
            descent=np.empty((n_added, m)),
            inverse=np.empty((depth, m, m)),
            coef=np.empty((depth, m)),
        )
        inside = np.flatnonzero(node.state == IN)
        loss, stack.schur[0], stack.descent[0] = self._given(inside)
        penalty = 0.0
        for j in inside:
            penalty += self._penalties[j]
        stack.nodes[0] = _root(node, loss, penalty)
        stack.state[0] = node.state
        return stack

    def _given(self, inside: Indices) -> tuple[float, Array, Array]:
        """Loss of the columns that are in, and Schur complement and descent given these."""
        loss, schur, descent = 1.0, self._gram, self._target
        for j in inside:
            pivot = schur[j, j]
            if pivot > COLLINEAR:
                loss -= descent[j] * (descent[j] / pivot)
                descent = descent - schur[:, j] * (descent[j] / pivot)
                schur = schur - np.outer(schur[:, j] / pivot, schur[j])
        return loss, schur, descent


def _root(node: CardinalityNode, loss: float, penalty: float) -> Any:
    """The record of a node that is not opened."""
    from sksparse._kernels.leaps import NODE, UNOPENED

    record = np.zeros((), NODE)
    record["remaining"], record["bound"] = node.remaining, node.bound
    record["loss"], record["penalty"] = loss, penalty
    record["branch"], record["inverse"] = UNOPENED, -1
    return record


def _waiting(stack: Stack, level: int) -> list[CardinalityNode]:
    """The nodes still to be searched, up to a level of the stack."""
    from sksparse._kernels.leaps import DONE, OUT

    waiting = []
    for at in np.flatnonzero(stack.nodes["branch"][: level + 1] != DONE):
        node, state = stack.nodes[at], stack.state[at].copy()
        if node["branch"] >= 0:  # of its two children, the one without the column is left
            state[node["branch"]] = OUT
        waiting.append(CardinalityNode(float(node["bound"]), state, int(node["remaining"])))
    return waiting
