"""Paths of several outputs with a sorted L1 penalty, in batches over candidate features."""

from __future__ import annotations

from sksparse._typing import Array, Indices
from sksparse.penalties import SortedL1
from sksparse.solvers.sorted_l1._path import SortedPath
from sksparse.solvers.sorted_l1._row_pattern import Pattern, tied_lengths
from sksparse.solvers.sorted_l1._rows import RowsWorking


class RowsPath(SortedPath):
    """The points of a path of several outputs, whose units are features.

    Parameters
    ----------
    problem, alphas, tol
        As in :class:`BatchedPath`.
    """

    def _working(self, units: Indices) -> RowsWorking:
        return RowsWorking(self.problem.penalty_as(SortedL1), units, self.problem.centred.scales)

    def _ahead(self, coef: Array, move: Array) -> Array:
        """The end of a move, with the ties and zeros of its beginning."""
        pattern = Pattern(tied_lengths(coef))
        return pattern.placed((coef + move)[:, pattern.used])[0]
