"""Branch and bound on the perspective relaxation.

Hazimeh, Mazumder and Saab (Mathematical Programming, 2022), without their bound on the
coefficients: the perspective of the ridge term is a valid relaxation on its own. Nodes are solved
by coordinate descent over a working set of columns; a look at all columns brings in those that
would lower the bound.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .._typing import Array, Indices
from ._columns_in_use import ColumnsInUse
from ._correlations import Correlations
from ._problem import Problem
from ._search import ROUNDING, Branching, Incumbent, Node

_MOST_NEW = 2000
# Columns that nearly lower a bound, by this share of their price, join the working set as well.
_NEAR = 1.5
_SHARE_OF_GAP = 0.05
# Multiplications between two looks at the clock.
_WORK = 5e7


@dataclass
class RelaxedNode(Node):
    """Columns that are in or out, and the parent's solution to start from.

    Parameters
    ----------
    state : ndarray of shape (m,)
        0 for a column of the working set that is free, 1 for one that is in, 2 for one that is
        out. It may be shorter than the working set has become since; so may ``coef``.
    coef : ndarray of shape (m,)
        Coefficients.
    multiplier : float
        Price of a place, where these are limited.
    places : int
        How many more features there may be; negative without a limit.
    """

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
        Positive; the correlations less their diagonal matrix must be positive semidefinite.
    prices : ndarray of shape (n_features,)
        What a feature costs, in units of the null model's loss.
    kept : ndarray
        Features always kept.
    limit : int or None
        How many others there may be.
    working : ndarray
        Features to start the working set from.
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
    ) -> None:
        self._target, self._shares, self._prices = data.target, shares, prices
        self._kept, self._limit = kept, limit
        self._use = ColumnsInUse(problem, data, np.union1d(working, kept))

    def roots(self) -> list[RelaxedNode]:
        state = np.isin(self._use.features, self._kept).astype(np.int8)
        places = -1 if self._limit is None else self._limit
        multiplier = 0.0 if self._limit is None else 0.5 / self._limit
        return [RelaxedNode(0.0, state, np.zeros(len(state)), multiplier, places)]

    def expand(self, node: RelaxedNode, best: Incumbent) -> tuple[list[RelaxedNode], int]:
        from .._kernels.perspective import Search, search

        self._solve(node, best)
        max_nodes = 1
        if self._use.rows is not None:
            max_nodes += int(_WORK / (len(node.coef) * len(self._target)))
        options = Search(best.value, best.gap, ROUNDING, self._limit is not None, max_nodes)
        start = (node.state, node.coef, node.multiplier, node.places, node.bound)
        value, columns, n_nodes, cut, *left = search(
            self._columns(), self._seen(), *start, options
        )
        best.cut = min(best.cut, cut)
        best.offer(value, self._use.features[columns])
        children = [
            RelaxedNode(float(bound), state, coef, float(multiplier), int(places))
            for state, coef, multiplier, places, bound in zip(*left, strict=True)
        ]
        return children, n_nodes

    def _columns(self) -> Any:
        from .._kernels.perspective import Columns

        at = self._use.features
        return Columns(self._target[at], self._shares[at], self._prices[at])

    def _seen(self) -> Any:
        from .._kernels.perspective import Seen

        use = self._use
        if use.rows is not None:
            return Seen(use.rows, use.features, self._target, self._shares, self._prices)
        return Seen(use.gram, np.arange(len(use.gram)), *self._columns())

    def _solve(self, node: RelaxedNode, best: Incumbent) -> None:
        """Solve a relaxation, with all the columns in the working set that it needs."""
        from .._kernels.perspective import Seen, excess, needs_columns, relax

        use = self._use
        tol = max(_SHARE_OF_GAP * (best.value - best.cutoff), 0.1 * ROUNDING)
        while True:
            new = len(use.features) - len(node.coef)
            node.state = np.append(node.state, np.zeros(new, dtype=np.int8))
            node.coef = np.append(node.coef, np.zeros(new))
            start = (node.state, node.coef, node.multiplier, node.places)
            bound, node.multiplier, descent = relax(
                self._columns(), self._seen(), *start, best.cutoff, tol
            )
            if use.rows is None:
                descent = use.descent(node.coef)
            everything = Seen(descent[:0, None], use.features, self._target, self._shares, self._prices)
            over = excess(everything, descent, node.multiplier, use.rounding)
            lost = float(over[over > 0.0].sum())
            node.bound = max(node.bound, bound - lost)
            if not needs_columns(bound, lost, best.value, best.cutoff):
                return
            near = np.flatnonzero(over > -_NEAR * (self._prices + node.multiplier))
            order = np.argsort(-over[near], kind="stable")[:_MOST_NEW]
            use.extend(near[order])
