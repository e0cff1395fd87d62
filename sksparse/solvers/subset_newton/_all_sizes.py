"""Supports of growing size, each begun from the one before."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from sksparse._typing import Indices
from sksparse.solvers.subset_newton._entering_columns import best, outside
from sksparse.solvers.subset_newton._local_search import SubsetSearch
from sksparse.solvers.subset_newton._newton_refit import Fit

# On a path: columns at first, columns that join at a checkpoint, single moves that are tried.
_PATH_FIRST, _PATH_NEW, _PATH_TRIALS = 200, 100, 3
# Once a size is reached, its path looks for no gains below this share of the null loss, or of so
# many times the loss of the best feature alone where that is less.
_PATH_GAIN, _LITTLE = 3e-4, 10.0
# For a price, sizes are grown to twice the best one and so many more, and to this at most.
_BEYOND, _LONGEST = 4, 100
# A path passes over all columns when its size has grown to one of these.
_CHECKPOINTS = tuple(2**e for e in range(2, 30))


class GrownSizes:
    """Fits of sizes 0, 1, 2, ... without a price, each from the one before.

    Parameters
    ----------
    search : SubsetSearch
        Refits and moves, for a size.
    effort : int
        Factor on the number of single moves that are tried.
    """

    def __init__(self, search: SubsetSearch, effort: int) -> None:
        self.search, fit = search, search.null_fit()
        search.columns.at(best(search.gains(fit), _PATH_FIRST))
        search.chains, search.doubts, search.trials = False, 0, _PATH_TRIALS * max(effort, 1)
        self._fits = [fit]

    def reach(self, size: int) -> Fit:
        """The fit of a size; smaller ones are gone through first, whether asked for or not."""
        while len(self._fits) <= size:
            self._fits.append(self._next(self._fits[-1], len(self._fits)))
        return self._fits[size]

    def _next(self, fit: Fit, size: int) -> Fit:
        search = self.search
        search.limit = size
        if size <= 2:
            # a first feature may explain nearly all
            search.sparing = _PATH_GAIN * min(search.scale, _LITTLE * search.left(fit))
        fit = search.extend(fit)
        if size in _CHECKPOINTS:
            search.limit = size + 1
            search.columns.at(outside(search, search.gains(fit), _PATH_NEW))
            search.limit = size
            fit = search.improve(fit)[0]
        return fit

    def features(self, fit: Fit) -> Indices:
        """Features of a fit."""
        return self.search.columns.features[fit.support]

    def best_for(self, cost: Callable[[Indices], float]) -> Indices:
        """Features of the fit with the lowest loss plus what its features cost.

        Sizes are gone through to twice that of the best one, up to a hundred, or to a loss of zero.
        """
        best, lowest, size = self._fits[0], np.inf, 0
        while True:
            fit = self.reach(size)
            value = max(fit.value, self.search.floor) + cost(self.features(fit))
            if value < lowest:
                best, lowest = fit, value
            is_short = len(fit.support) < len(self._fits[0].support) + size
            enough = min(2 * len(best.support) + _BEYOND, _LONGEST)
            if is_short or self.search.finished(fit) or size >= enough:
                return self.features(best)
            size += 1
