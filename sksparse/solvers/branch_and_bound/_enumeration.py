"""All subsets of few columns, where there is no bound to prune with.

With fewer samples than columns and neither a ridge nor a bound on the coefficients, the best fit on
all columns left explains everything, so that no relaxation says anything. Small subsets can still
be compared, a thousand million a second or so.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import comb

import numpy as np

from sksparse._typing import Array, Indices
from sksparse.solvers.branch_and_bound._best_first import Branching, Incumbent, Node
from sksparse.solvers.branch_and_bound._tuning import TUNING
from sksparse.solvers.subset._correlations import Correlations
from sksparse.solvers.subset._factorised_support import COLLINEAR, Support


@dataclass
class SubsetsFrom(Node):
    """Subsets of one size from a place in their order on; or those that are not looked at.

    Parameters
    ----------
    size : int
        Number of features.
    prefix : ndarray
        Columns of the first subset but its last two; those of one feature have none.
    row : int
        The last but one.
    """

    size: int
    prefix: Indices
    row: int


class Enumeration(Branching[SubsetsFrom]):
    """Compare all subsets of the sizes that can be compared.

    Parameters
    ----------
    data : Correlations
        The problem in scale-free form.
    penalties : ndarray of shape (n_features,)
        Penalty of each feature, in units of the null model's loss.
    kept : ndarray
        Independent features that are always kept.
    others : ndarray of shape (m,)
        Features to choose from.
    sizes : range
        How many of them to add, in order; all other numbers that are possible are larger.
    is_complete : bool
        Whether no larger number can be better.
    """

    def __init__(
        self,
        data: Correlations,
        penalties: Array,
        kept: Indices,
        others: Indices,
        sizes: range,
        is_complete: bool,
    ) -> None:
        from sksparse._kernels.subset_pairs import Columns

        self._features, self._kept, self._sizes = others, kept, sizes
        self._is_complete = is_complete
        columns = np.concatenate((kept, others))
        gram = data.among_uncached(columns)
        np.fill_diagonal(gram, 1.0)
        target, n_kept = data.target[columns], len(kept)
        support = Support.of(np.arange(n_kept), gram[:n_kept, :n_kept], target[:n_kept])
        half = support.root @ gram[support.columns, n_kept:]
        self._columns = Columns(
            gram[n_kept:, n_kept:] - half.T @ half if n_kept else gram,
            target[n_kept:] - support.target @ half,
            penalties[others],
            1.0 - support.explained + float(penalties[kept].sum()),
            COLLINEAR,
        )
        self._n_compared, self._n_subsets = 0, sum(comb(len(others), size) for size in sizes)
        self._cheapest = np.cumsum(np.r_[0.0, np.sort(penalties[others])])

    def roots(self) -> list[SubsetsFrom]:
        roots = [self._root(size) for size in self._sizes]
        return roots if self._is_complete else [*roots, self._root(self._sizes.stop)]

    def _root(self, size: int) -> SubsetsFrom:
        depth = max(size - 2, 0)
        return SubsetsFrom(float(self._cheapest[size]), size, np.arange(depth), depth)

    def expand(self, node: SubsetsFrom, best: Incumbent) -> tuple[list[SubsetsFrom], int]:
        from sksparse._kernels.subset_pairs import search

        if node.size not in self._sizes:
            best.cut = min(best.cut, node.bound)
            return [], 0
        if node.size == 1:
            self._offer(np.argmax(self._gains(), keepdims=True), best)
            self._n_compared += len(self._features)
            return [], 1
        prefix, goal = node.prefix.copy(), best.value - best.rounding
        row, partner, n_prefixes, done, n_compared = search(
            self._columns, prefix, node.row, goal, int(TUNING.work)
        )
        self._n_compared += n_compared
        if partner >= 0:
            self._offer(np.r_[prefix, row, partner], best)
            row += 1
        left = [] if done else [SubsetsFrom(node.bound, node.size, prefix, row)]
        return left, n_prefixes

    def describe(self) -> str:
        return f", {self._n_compared / self._n_subsets:.1%} of {self._n_subsets:.2g} subsets"

    def _gains(self) -> Array:
        """What each column alone takes from the objective."""
        lengths = np.diag(self._columns.gram)
        independent = lengths > COLLINEAR
        gains = np.full(len(lengths), -np.inf)
        explained = self._columns.target[independent] ** 2 / lengths[independent]
        gains[independent] = explained - self._columns.penalties[independent]
        return gains

    def _offer(self, chosen: Indices, best: Incumbent) -> None:
        """Refit a subset that looks better than the best one."""
        among = self._columns.gram[np.ix_(chosen, chosen)]
        support = Support.of(chosen, among, self._columns.target[chosen], COLLINEAR)
        penalty = float(self._columns.penalties[support.columns].sum())
        features = np.concatenate((self._kept, self._features[support.columns]))
        best.offer(self._columns.loss - support.explained + penalty, features)


def sizes_to_enumerate(m: int, largest: int) -> tuple[range, bool]:
    """The sizes of subsets of m features to compare, and whether these are all up to ``largest``.

    All sizes if that can be done in minutes; otherwise those that take a moment.
    """
    if largest <= largest_enumerable(m, TUNING.max_enumerated):
        return range(1, largest + 1), True
    return range(1, largest_enumerable(m, TUNING.max_enumerated_in_part) + 1), False


def largest_enumerable(m: int, n_subsets: float) -> int:
    """The size up to which m features have at most so many subsets; zero for too many features."""
    if m > TUNING.max_enumerated_columns:
        return 0
    size, total = 0, 0
    while size < m and total + comb(m, size + 1) <= n_subsets:
        size += 1
        total += comb(m, size)
    return size
