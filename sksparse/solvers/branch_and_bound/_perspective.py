"""Branch and bound on the perspective relaxation.

Hazimeh, Mazumder and Saab (Mathematical Programming, 2022); their bound on the coefficients is
optional, since the perspective of the ridge term is a valid relaxation on its own. Nodes are solved
by coordinate descent over a working set of columns; a look at all columns brings in those that
would lower the bound.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sksparse._interrupts import check
from sksparse._typing import Array, Indices
from sksparse.solvers._problem import Problem
from sksparse.solvers.branch_and_bound._best_first import Branching, Incumbent, Node
from sksparse.solvers.branch_and_bound._correlation_store import ColumnsInUse
from sksparse.solvers.subset._correlations import Correlations

_MOST_NEW = 500
# Columns that nearly lower a bound, by this share of their price, join the working set as well.
_NEAR = 0.2
# A node with more columns in use than this is content with a valid bound.
_MOST_ACTIVE = 2000
# Multiplications between two looks at the clock.
_WORK = 5e7


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
        Price of a place, where these are limited.
    places : int
        How many more features there may be; negative without a limit.
    """

    features: Indices
    state: Any
    coef: Array
    multiplier: float
    places: int


class Perspective(Branching[RelaxedNode]):
    """Search by relaxations.

    Parameters
    ----------
    problem : Problem
        Features, targets and weights.
    data : Correlations
        The same in scale-free form.
    shares : ndarray of shape (n_features,)
        The correlations less their diagonal matrix must be positive semidefinite. Positive where
        ``most`` is infinite.
    prices : ndarray of shape (n_features,)
        What a feature costs, in units of the null model's loss.
    kept : ndarray
        Features always kept.
    limit : int or None
        How many others there may be.
    working : ndarray
        Features to start the working set from.
    most : float
        Bound on coefficients of columns of unit length, for a target of unit length.
    """

    def __init__(
        self,
        problem: Problem,
        data: Correlations,
        shares: Array,
        prices: Array,
        kept: Indices,
        limit: int | None,
        working: Indices,
        most: float,
    ) -> None:
        self._target, self._shares, self._prices = data.target, shares, prices
        self._most = most
        self._kept, self._limit = kept, limit
        self._use = ColumnsInUse(problem, data, eager=bool(np.isinf(most)))
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
        from sksparse._kernels.perspective import Search, search

        state, coef = self._solve(node, best)
        max_nodes = 1
        if self._use.sees_all:
            max_nodes += int(_WORK / (len(coef) * len(self._target)))
        options = Search(best.value, best.gap, best.rounding, self._limit is not None, max_nodes)
        start = (state, coef, node.multiplier, node.places, node.bound)
        value, columns, n_nodes, cut, left = search(self._columns(), self._seen(), *start, options)
        best.cut = min(best.cut, cut)
        best.offer(value, self._use.features[columns])
        return [self._node(*entries) for entries in zip(*left, strict=True)], n_nodes

    def _node(
        self, state: Any, coef: Array, multiplier: float, places: int, bound: float
    ) -> RelaxedNode:
        at = np.flatnonzero((state != 0) | (coef != 0.0))
        return RelaxedNode(
            float(bound),
            self._use.features[at],
            state[at],
            coef[at],
            float(multiplier),
            int(places),
        )

    def _columns(self) -> Any:
        from sksparse._kernels.perspective import Columns

        at = self._use.features
        return Columns(self._target[at], self._shares[at], self._prices[at], self._most)

    def _seen(self) -> Any:
        from sksparse._kernels.perspective import Seen

        use = self._use
        if use.sees_all:
            return self._seen_by(use.features)
        return Seen(use.rows, np.arange(len(use.features)), *self._columns())

    def _seen_by(self, features: Indices) -> Any:
        from sksparse._kernels.perspective import Seen

        everything = (self._target, self._shares, self._prices, self._most)
        return Seen(self._use.rows, features, *everything)

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
            start = (state, coef, node.multiplier, node.places)
            bound, node.multiplier, descent = relax(
                self._columns(), self._seen(), *start, best.value, best.cutoff
            )
            if not use.sees_all:
                descent = use.descent(coef)
            everything = self._seen_by(use.features)
            over = excess(everything, descent, coef, node.multiplier, use.rounding)
            lost = float(over[over > 0.0].sum())
            node.bound = max(node.bound, bound - lost)
            full = len(node.features) > _MOST_ACTIVE
            if full or not needs_columns(bound, lost, best.value, best.cutoff):
                return state, coef
            near = np.flatnonzero(over > -_NEAR * (self._prices + node.multiplier))
            new = near[np.argsort(-over[near], kind="stable")[:_MOST_NEW]]
            active = np.flatnonzero((state != 0) | (coef != 0.0))
            node.features = use.features[active]
            node.state, node.coef = state[active], coef[active]
