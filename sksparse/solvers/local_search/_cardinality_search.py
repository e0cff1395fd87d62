"""The best supports of each cardinality, found together: those of a block improve each other.

Blocks end at 4, 8, 16, 32, 50 and 100 features. A local search goes up to the end of its block,
features that correlate with the residual join the working set, and then searches go beyond the end,
back down through all cardinalities of the block and up again, with the best swaps at each. What is
found for a cardinality depends on the blocks up to its own, and never on which ones are asked for.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sksparse._interrupts import check
from sksparse._typing import Array, Indices
from sksparse.solvers.local_search._moves import LocalSearch, MoveProblem
from sksparse.solvers.local_search._tuning import TUNING
from sksparse.solvers.local_search._working_set import WorkingSet
from sksparse.solvers.subset._correlations import Correlations
from sksparse.solvers.subset._factorised_support import NOISE


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
        Cardinalities from which backward searches begin, as multiples of the end of the block.
    perturbations : int
        Random exchanges that are tried at each cardinality.
    """

    first: int = 200
    new: int = 100
    rounds: int = 1
    overshoots: tuple[float, ...] = (1.5,)
    perturbations: int = 0

    @classmethod
    def of(cls, level: int) -> Effort:
        """The effort for a level of the public parameter ``effort``."""
        if level < 2:
            return cls()
        turns = level - 1
        overshoots = (3.0, 1.5, 2.0, 1.2) * turns
        return cls(300, 120, 2 + turns, overshoots, perturbations=25 * turns**2)

    def beyond(self, end: int, factor: float | None = None) -> int:
        """Largest number of features from which, by default, a backward search begins."""
        return int((max(self.overshoots) if factor is None else factor) * end) + 2


class CardinalitySearch:
    """The best supports known of each cardinality.

    Parameters
    ----------
    data : Correlations
        The problem in scale-free form.
    working : WorkingSet
        The columns among which is searched; grows.
    kept : ndarray
        Independent features that every support holds; the first in ``working``.
    limit : int
        Largest number of features, these included.
    threshold : float
        Smallest gain of an accepted move, relative to the loss that is left.
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
        base = self._problem(limit).support(working.positions(kept))
        self._values, self._supports = np.full(0, -np.inf), np.empty((0, 0), dtype=np.intp)
        self._extend(self.end)
        self._values[self.end] = base.explained
        self._supports[self.end, : self.end] = base.columns

    @property
    def cardinalities(self) -> Indices:
        """Those of the blocks that are done for which a support is known."""
        known = self._values[: self.end + 1] > -np.inf
        return np.flatnonzero(known)

    def explained(self, k: int) -> float:
        """Share of the null model's loss that the support of k features takes away."""
        return float(self._values[k])

    def support(self, k: int) -> Indices:
        """The support of k features, as positions in the working set."""
        return np.asarray(self._supports[k, :k])

    def reach(self, k: int) -> None:
        """Go through all blocks up to the one with k features, as far as there are columns."""
        while self.end < min(k, self._limit) and self.cardinalities[-1] == self.end:
            check()
            self._next_block()

    def _next_block(self) -> None:
        first, known = self.end, self.end - self._n_kept
        length = next((end for end in TUNING.block_ends if end > known), 2 * known)
        self.end = end = min(self._n_kept + length, self._limit)
        self._extend(self._effort.beyond(end))
        search = self._search(first)
        search.sweep(end, *self._best)
        for _ in range(self._effort.rounds):
            check()
            search, improved = self._grow(search)
            if not improved:
                break
        for factor in self._effort.overshoots:
            check()
            self._search_backward(search, first, self._effort.beyond(end, factor))
            search = self._search(int(self.cardinalities[-1]))
        if self._effort.perturbations:
            self._perturb(first)

    def _search_backward(self, search: LocalSearch, first: int, beyond: int) -> None:
        """Go beyond the end of the block, down through its cardinalities and up again."""
        top = len(search.columns)
        search.improve(swaps=False, limit=min(beyond, self._limit))
        if len(search.columns) > top:
            search.sweep(top, *self._best)
        search.sweep(first + 1, *self._best)
        search.sweep(top, *self._best)

    def _perturb(self, first: int) -> None:
        """Leave local optima by random exchanges, and improve the neighbouring cardinalities."""
        top = int(self.cardinalities[-1])
        for k in range(first + 1, top + 1):
            check()
            search = self._search(k)
            if search.perturb(_draws(self._effort.perturbations, k)):
                self._record(search.columns)
        self._search(top).sweep(first + 1, *self._best)
        self._search(first).sweep(top, *self._best)

    def _grow(self, search: LocalSearch) -> tuple[LocalSearch, bool]:
        """Add columns to the working set; whether the support improved by them."""
        top = len(search.columns)
        scores = self._data.residual_correlations(
            self._working.features[search.columns], search.coef
        )
        length = self.end - self._n_kept
        new = TUNING.block_new + TUNING.block_new_per_feature * length
        self._working.extend(self._working.outside(scores, min(self._effort.new, new)))
        search = self._search(top)
        if top < self.end:
            return search, search.sweep(self.end, *self._best) > 0
        improved = search.improve(limit=top)
        if improved:
            self._record(search.columns)
        return search, improved

    def _record(self, columns: Indices) -> None:
        """Keep a support where it is the best known of its cardinality."""
        support = self._problem(len(columns)).support(columns)
        k = len(support.columns)
        least_gain = max(self._threshold * (1.0 - support.explained), NOISE)
        if support.explained > self._values[k] + least_gain:
            self._values[k] = support.explained
            self._supports[k, :k] = support.columns

    def _search(self, k: int) -> LocalSearch:
        """A local search from the best support of k features."""
        problem = self._problem(k)
        support = problem.support(self.support(k))
        return LocalSearch(problem, support, self._effort.beyond(self.end))

    def _problem(self, limit: int) -> MoveProblem:
        working, m = self._working, len(self._working.features)
        saved = np.zeros(m)
        saved[: self._n_kept] = -np.inf
        return MoveProblem(working.gram, working.target, np.zeros(m), saved, limit, self._threshold)

    @property
    def _best(self) -> tuple[Array, Indices]:
        return self._values, self._supports

    def _extend(self, k: int) -> None:
        """Hold supports of up to k features."""
        known = len(self._values)
        if k < known:
            return
        values, supports = self._values, self._supports
        self._values = np.full(k + 1, -np.inf)
        self._supports = np.zeros((k + 1, k + 1), dtype=np.intp)
        self._values[:known] = values
        self._supports[:known, :known] = supports


def _draws(n_draws: int, k: int) -> Array:
    """Which entries of a support of k features to exchange: always the same for this k."""
    rng, most = np.random.default_rng(k), TUNING.most_exchanged
    draws = rng.random((n_draws, most))
    draws[np.arange(most) > rng.integers(0, most, n_draws)[:, None]] = -1.0
    return np.asarray(draws)
