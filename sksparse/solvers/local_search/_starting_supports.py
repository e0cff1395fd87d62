"""Supports from which a descent begins."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

from sksparse._typing import Array, Indices
from sksparse.solvers.local_search._subproblem import Subproblem, Walk
from sksparse.solvers.local_search._working_set import WorkingSet
from sksparse.solvers.subset._correlations import Correlations
from sksparse.solvers.subset._factorised_support import Support

# Supports of one size are searched among so many columns at first, and so many for each feature;
# so many join when they correlate with what is left of the target.
_FEW, _FEW_PER_FEATURE, _NEW, _ROUNDS = 40, 3, 20, 2
# Long supports are searched among this many columns at first, or so many times the features that
# may be wanted, or so many more than these.
_FIRST, _FIRST_PER_FEATURE, _FIRST_BEYOND = 300, 8, 1000
# Features that an overshooting forward selection takes beyond twice the support.
_EXTRA = 10


class Searched(Protocol):
    """What is known of a problem while it is searched."""

    data: Correlations
    working: WorkingSet
    kept: Indices
    limit: int

    def subproblem(self) -> Subproblem:
        """The problem over the working set."""


def grown(state: Searched) -> list[Indices]:
    """One or two supports of the largest size, among columns that join as they are missed.

    Forward selection comes first; then, twice, columns that correlate with what is left of the
    target, and moves of all kinds; then, for a second support, forward selection too far and back.
    """
    working, data = state.working, state.data
    wanted = state.limit - len(state.kept)
    working.extend(working.outside(np.abs(data.target), _FEW + _FEW_PER_FEATURE * wanted))
    walk = _walk(state, working.positions(state.kept))
    walk.exhaust(swaps=False)
    for _ in range(_ROUNDS):
        missed = data.unexplained(working.features[walk.columns], walk.coef)
        working.extend(working.outside(missed, _NEW + wanted))
        walk = _walk(state, walk.columns)
        if not walk.exhaust():
            break
    columns = walk.columns
    walk.exhaust(swaps=False, limit=2 * len(columns) + _EXTRA)
    walk.exhaust()
    again = walk.columns
    return [columns] if set(columns.tolist()) == set(again.tolist()) else [columns, again]


def _walk(state: Searched, columns: Indices) -> Walk:
    inner = state.subproblem()
    return Walk(inner, inner.support(columns), 2 * state.limit + _EXTRA)


def longer(
    subproblem: Callable[[], Subproblem], working: WorkingSet, scores: Array
) -> list[Indices]:
    """Starts for long supports: forward selection, and the same carried too far."""
    inner = subproblem()
    wanted = 0 if inner.price.any() else inner.limit
    room = max(_FIRST, min(_FIRST_PER_FEATURE * wanted, _FIRST_BEYOND + wanted))
    working.extend(working.outside(scores, max(room - len(working.features), 0)))
    inner = subproblem()
    forward = inner.search(np.flatnonzero(np.isneginf(inner.refund)), swaps=False)
    return [forward.columns, _beyond(inner, forward)]


def _beyond(inner: Subproblem, support: Support) -> Indices:
    """Forward selection, free of charge, from a support to twice its size."""
    limit = min(2 * len(support.columns) + _EXTRA, len(inner.target))
    return inner.free_of_charge(limit).search(support.columns, swaps=False).columns


def ends(inner: Subproblem, starts: list[Indices], kept: Indices) -> list[Support]:
    """Where descents from different starts end."""
    unique = {tuple(np.union1d(start, kept).tolist()) for start in starts}
    return [inner.search(_admissible(inner, np.array(s, np.intp), kept)) for s in sorted(unique)]


def _admissible(inner: Subproblem, start: Indices, kept: Indices) -> Indices:
    """An independent support with the features that are always kept; they alone if need be."""
    columns = inner.independent(start)
    return columns if not len(kept) or np.isin(kept, columns).all() else kept
