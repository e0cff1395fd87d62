"""Best subsets of each size by leaps and bounds.

Furnival and Wilson (Technometrics, 1974): no subset of some columns fits better than all of them.
The bound needs independent columns and costs the square of their number, so it serves few columns;
it needs neither a ridge nor a bound on the coefficients.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sksparse._typing import Array, Indices
from sksparse.solvers.branch_and_bound._best_first import Branching, Incumbent, Node
from sksparse.solvers.subset._factorised_support import COLLINEAR, Support

# Multiplications between two looks at the clock.
_WORK = 5e7


@dataclass
class SizeNode(Node):
    """Subsets with so many more columns than those that are in.

    Parameters
    ----------
    state : ndarray of shape (m,)
        0 for a column that is free, 1 for one that is in, 2 for one that is out.
    remaining : int
        Columns still to be taken.
    """

    state: Any
    remaining: int


class Leaps(Branching[SizeNode]):
    """Search by size, with exact refits.

    Parameters
    ----------
    features : ndarray of shape (m,)
        Features to choose from, those always kept included.
    gram : ndarray of shape (m, m)
        Their correlations.
    target : ndarray of shape (m,)
        Their correlations with the target.
    prices : ndarray of shape (m,)
        What a feature costs, in units of the null model's loss.
    kept : ndarray of shape (m,)
        Mask of those always kept, which must be independent.
    sizes : range
        How many others to take.
    """

    def __init__(
        self,
        features: Indices,
        gram: Array,
        target: Array,
        prices: Array,
        kept: Any,
        sizes: range,
    ) -> None:
        self._features, self._gram, self._target = features, gram, target
        self._prices, self._kept, self._sizes = prices, kept, sizes

    def roots(self) -> list[SizeNode]:
        cheapest = np.cumsum(np.r_[0.0, np.sort(self._prices[~self._kept])])
        state = self._kept.astype(np.int8)
        return [SizeNode(float(cheapest[size]), state, size) for size in self._sizes]

    def root_bound(self) -> float:
        """Loss of the fit on all features."""
        everything = np.arange(len(self._target))
        return 1.0 - Support.of(everything, self._gram, self._target, COLLINEAR).explained

    def expand(self, node: SizeNode, best: Incumbent) -> tuple[list[SizeNode], int]:
        from sksparse._kernels.leaps import Options, search

        max_nodes = 1 + int(_WORK / len(self._target) ** 2)
        options = Options(best.gap, best.rounding, COLLINEAR, max_nodes)
        data = (self._gram, self._target, self._prices, node.state, node.remaining)
        value, columns, n_nodes, cut, *frontier = search(*data, node.bound, best.value, options)
        best.cut = min(best.cut, cut)
        best.offer(value, self._features[columns])
        children = [
            SizeNode(float(bound), state, int(remaining))
            for state, remaining, bound in zip(*frontier, strict=True)
        ]
        return children, n_nodes
