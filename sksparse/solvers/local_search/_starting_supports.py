"""Supports from which a descent begins."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

from sksparse._typing import Array, Indices
from sksparse.solvers.local_search._moves import LocalSearch, MoveProblem
from sksparse.solvers.local_search._tuning import TUNING
from sksparse.solvers.local_search._working_set import WorkingSet
from sksparse.solvers.subset._correlations import Correlations
from sksparse.solvers.subset._factorised_support import Support


class Searched(Protocol):
    """The parts of an iterate that starting supports are computed from."""

    data: Correlations
    working: WorkingSet
    kept: Indices
    limit: int

    def move_problem(self) -> MoveProblem:
        """The problem over the working set."""


def forward_starts(state: Searched) -> list[Indices]:
    """One or two supports of the largest cardinality, in a working set that grows as needed.

    Forward selection comes first; then, twice, columns that correlate with the residual are added
    and moves of all kinds are made; then, for a second support, forward selection beyond the limit
    and elimination back to it.
    """
    working, data = state.working, state.data
    wanted = state.limit - len(state.kept)
    first = TUNING.few_first + TUNING.few_per_feature * wanted
    working.extend(working.outside(np.abs(data.target), first))
    search = _search(state, working.positions(state.kept))
    search.exhaust(swaps=False)
    for _ in range(TUNING.few_rounds):
        scores = data.residual_correlations(working.features[search.columns], search.coef)
        working.extend(working.outside(scores, TUNING.few_new + wanted))
        search = _search(state, search.columns)
        if not search.exhaust():
            break
    columns = search.columns
    search.exhaust(swaps=False, limit=_beyond(len(columns)))
    search.exhaust()
    again = search.columns
    return [columns] if set(columns.tolist()) == set(again.tolist()) else [columns, again]


def _search(state: Searched, columns: Indices) -> LocalSearch:
    problem = state.move_problem()
    return LocalSearch(problem, problem.support(columns), _beyond(state.limit))


def _beyond(n_features: int) -> int:
    """Largest cardinality of a forward selection beyond the limit."""
    return 2 * n_features + TUNING.overshoot


def long_starts(
    move_problem: Callable[[], MoveProblem], working: WorkingSet, scores: Array
) -> list[Indices]:
    """Starts for long supports: forward selection, up to the limit and beyond it."""
    problem = move_problem()
    wanted = 0 if problem.penalties.any() else problem.limit
    most = min(TUNING.long_per_feature * wanted, TUNING.long_beyond + wanted)
    columns = max(TUNING.long_first, most)
    working.extend(working.outside(scores, max(columns - len(working.features), 0)))
    problem = move_problem()
    forward = problem.search(np.flatnonzero(np.isneginf(problem.saved)), swaps=False)
    return [forward.columns, _overshoot(problem, forward)]


def _overshoot(problem: MoveProblem, support: Support) -> Indices:
    """Forward selection without penalties from a support to twice its cardinality."""
    limit = min(_beyond(len(support.columns)), len(problem.target))
    return problem.without_penalties(limit).search(support.columns, swaps=False).columns


def local_optima(problem: MoveProblem, starts: list[Indices], kept: Indices) -> list[Support]:
    """The ends of descents from different starts."""
    unique = {tuple(np.union1d(start, kept).tolist()) for start in starts}
    admissible = (_admissible(problem, np.array(s, np.intp), kept) for s in sorted(unique))
    return [problem.search(start) for start in admissible]


def _admissible(problem: MoveProblem, start: Indices, kept: Indices) -> Indices:
    """An independent support with the features that are always kept; these alone, if it is not."""
    columns = problem.independent(start)
    return columns if not len(kept) or np.isin(kept, columns).all() else kept
