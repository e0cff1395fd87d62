"""Supports of each size, found together: the sizes of a block improve each other.

Blocks end at 4, 8, 16, 32, 50 and 100 features. A walk goes up to the end of its block, features
that correlate with what is left of the target join the working set, and then walks go on beyond the
end, come back down through all sizes of the block and up again, with the best swaps at each. What
is found for a size depends on the blocks up to its own, and never on which sizes are asked for.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sksparse._interrupts import check
from sksparse._typing import Array, Indices
from sksparse.solvers.local_search._subproblem import Subproblem, Walk
from sksparse.solvers.local_search._working_set import WorkingSet
from sksparse.solvers.subset._correlations import Correlations
from sksparse.solvers.subset._factorised_support import NOISE

# Each about twice the one before, and sizes that people ask for.
_ENDS = (4, 8, 16, 32, 50, 100)
# Short blocks take in fewer columns.
_FIRST_NEW, _NEW_PER_SIZE = 16, 12
#: Longer supports are left to forward selection and swaps.
LONGEST = _ENDS[-1]
# Features that one random exchange replaces at most.
_MOST_KICKED = 4


@dataclass(frozen=True)
class Effort:
    """How much work a block may be.

    Parameters
    ----------
    first : int
        Columns that begin the working set.
    new : int
        Columns that join it at once, at most.
    rounds : int
        How often they do at the end of a block.
    overshoots : tuple of float
        Sizes from which walks come down, as multiples of the end of the block.
    kicks : int
        Random exchanges that are tried at each size.
    """

    first: int = 200
    new: int = 100
    rounds: int = 1
    overshoots: tuple[float, ...] = (1.5,)
    kicks: int = 0

    @classmethod
    def of(cls, level: int) -> Effort:
        """What a level of the public parameter stands for."""
        if level < 2:
            return cls()
        turns = level - 1
        overshoots = (3.0, 1.5, 2.0, 1.2) * turns
        return cls(300, 120, 2 + turns, overshoots, kicks=25 * turns**2)


class SizeSearch:
    """The best supports known of each size.

    Parameters
    ----------
    data : Correlations
        The problem in scale-free form.
    working : WorkingSet
        The columns among which is searched; grows.
    kept : ndarray
        Independent features that every support holds; the first in ``working``.
    limit : int
        Largest size, these included.
    threshold : float
        Smallest gain worth a move, relative to the loss that is left.
    effort : Effort
        How much work a block may be.
    """

    def __init__(
        self,
        data: Correlations,
        working: WorkingSet,
        kept: Indices,
        limit: int,
        threshold: float,
        effort: Effort,
    ) -> None:
        self._data, self._working, self._effort = data, working, effort
        self._limit, self._threshold = limit, threshold
        self._n_kept = self.end = len(kept)
        working.extend(working.outside(np.abs(data.target), effort.first))
        base = self._inner(limit).support(working.positions(kept))
        self._values, self._supports = np.full(0, -np.inf), np.empty((0, 0), dtype=np.intp)
        self._make_room(self.end)
        self._values[self.end] = base.explained
        self._supports[self.end, : self.end] = base.columns

    @property
    def sizes(self) -> Indices:
        """Sizes of the blocks that are done for which a support is known."""
        known = self._values[: self.end + 1] > -np.inf
        return np.flatnonzero(known)

    def explained(self, size: int) -> float:
        """Share of the null model's loss that the support of this size takes away."""
        return float(self._values[size])

    def support(self, size: int) -> Indices:
        """The support of this size, as positions in the working set."""
        return np.asarray(self._supports[size, :size])

    def reach(self, size: int) -> None:
        """Go through all blocks up to the one with this size, as far as there are columns."""
        while self.end < min(size, self._limit) and self.sizes[-1] == self.end:
            check()
            self._next_block()

    def _next_block(self) -> None:
        first, known = self.end, self.end - self._n_kept
        length = next((end for end in _ENDS if end > known), 2 * known)
        self.end = end = min(self._n_kept + length, self._limit)
        self._make_room(int(max(self._effort.overshoots) * end) + 2)
        walk = self._walk(first)
        walk.sweep(end, *self._best)
        for _ in range(self._effort.rounds):
            check()
            walk, improved = self._grow(walk)
            if not improved:
                break
        for factor in self._effort.overshoots:
            check()
            self._come_back(walk, first, int(factor * end) + 2)
            walk = self._walk(int(self.sizes[-1]))
        if self._effort.kicks:
            self._kick(first)

    def _come_back(self, walk: Walk, first: int, beyond: int) -> None:
        """Go beyond the end of the block, down through its sizes and up again."""
        top = len(walk.columns)
        walk.search(swaps=False, limit=min(beyond, self._limit))
        if len(walk.columns) > top:
            walk.sweep(top, *self._best)
        walk.sweep(first + 1, *self._best)
        walk.sweep(top, *self._best)

    def _kick(self, first: int) -> None:
        """Leave local optima by random exchanges at each size, then pass on what was found."""
        top = int(self.sizes[-1])
        for size in range(first + 1, top + 1):
            check()
            walk = self._walk(size)
            if walk.perturb(_draws(self._effort.kicks, size)):
                self._record(walk.columns)
        self._walk(top).sweep(first + 1, *self._best)
        self._walk(first).sweep(top, *self._best)

    def _grow(self, walk: Walk) -> tuple[Walk, bool]:
        """Bring columns into the working set; whether the walk's size improved by them."""
        top = len(walk.columns)
        scores = self._data.unexplained(self._working.features[walk.columns], walk.coef)
        new = min(self._effort.new, _FIRST_NEW + _NEW_PER_SIZE * (self.end - self._n_kept))
        self._working.extend(self._working.outside(scores, new))
        walk = self._walk(top)
        if top < self.end:
            return walk, walk.sweep(self.end, *self._best) > 0
        improved = walk.search(limit=top)
        if improved:
            self._record(walk.columns)
        return walk, improved

    def _record(self, columns: Indices) -> None:
        support = self._inner(len(columns)).support(columns)
        size = len(support.columns)
        worth = max(self._threshold * (1.0 - support.explained), NOISE)
        if support.explained > self._values[size] + worth:
            self._values[size] = support.explained
            self._supports[size, :size] = support.columns

    def _walk(self, size: int) -> Walk:
        inner = self._inner(size)
        room = int(max(self._effort.overshoots) * self.end) + 2
        return Walk(inner, inner.support(self.support(size)), room)

    def _inner(self, limit: int) -> Subproblem:
        working, m = self._working, len(self._working.features)
        refund = np.zeros(m)
        refund[: self._n_kept] = -np.inf
        threshold = self._threshold
        return Subproblem(working.gram, working.target, np.zeros(m), refund, limit, threshold)

    @property
    def _best(self) -> tuple[Array, Indices]:
        return self._values, self._supports

    def _make_room(self, size: int) -> None:
        known = len(self._values)
        if size < known:
            return
        values, supports = self._values, self._supports
        self._values = np.full(size + 1, -np.inf)
        self._supports = np.zeros((size + 1, size + 1), dtype=np.intp)
        self._values[:known] = values
        self._supports[:known, :known] = supports


def _draws(n_kicks: int, size: int) -> Array:
    """Which entries of a support to exchange: up to ``_MOST_KICKED``, the same for each size."""
    rng = np.random.default_rng(size)
    draws = rng.random((n_kicks, _MOST_KICKED))
    draws[np.arange(_MOST_KICKED) > rng.integers(0, _MOST_KICKED, n_kicks)[:, None]] = -1.0
    return np.asarray(draws)
