"""Supports of increasing cardinality, each found from the one before."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from sksparse._typing import Indices
from sksparse.solvers.subset_newton._entering_columns import best, outside
from sksparse.solvers.subset_newton._local_search import SubsetSearch
from sksparse.solvers.subset_newton._newton_refit import Fit
from sksparse.solvers.subset_newton._tuning import TUNING


class CardinalityPath:
    """Fits of 0, 1, 2, ... features without a penalty on their number, each from the one before.

    Parameters
    ----------
    search : SubsetSearch
        Refits and moves, for a number of features.
    effort : int
        Factor on the number of single moves that are tried.

    Attributes
    ----------
    search : SubsetSearch
        The same within the budget of the largest number so far.
    """

    def __init__(self, search: SubsetSearch, effort: int) -> None:
        fit = search.fits.null_fit()
        search.fits.columns.at(best(search.gains(fit), TUNING.path_first))
        promising = TUNING.path_promising * max(effort, 1)
        self.search = search.within(descents=False, n_unpromising=0, n_promising=promising)
        self._fits = [fit]

    def admit(self, n_features: int) -> None:
        """Allow so many features, more than samples, where a small ridge determines their fit.

        Only a number that is asked for allows that; under a penalty on the number the samples limit
        it.
        """
        if self.search.fits.penalty.scaled_l2 > 0:
            admitted = max(self.search.budget.admitted, n_features)
            self.search = self.search.within(admitted=admitted)

    def reach(self, n_features: int) -> Fit:
        """The fit of a number; those of all smaller numbers are computed first."""
        while len(self._fits) <= n_features:
            self._fits.append(self._next(self._fits[-1], len(self._fits)))
        return self._fits[n_features]

    def _next(self, fit: Fit, n_features: int) -> Fit:
        search, fits = self.search.within(limit=n_features), self.search.fits
        if n_features <= 2:
            # a first feature may explain nearly all
            loss = min(fits.scale, TUNING.path_little * fits.left(fit))
            search = search.within(least_gain=TUNING.path_gain * loss)
        self.search = search
        fit = search.extend(fit)
        if n_features in TUNING.path_checkpoints:
            gains = search.within(limit=n_features + 1).gains(fit)
            fits.columns.at(outside(search, gains, TUNING.path_new))
            fit = search.improve(fit)[0]
        return fit

    def features(self, fit: Fit) -> Indices:
        """Features of a fit."""
        return self.search.fits.columns.features[fit.support]

    def best_for(self, cost: Callable[[Indices], float]) -> Indices:
        """Features of the fit with the lowest loss plus what its features cost.

        Fits are computed up to twice the best number, at most a hundred, or to a loss of zero.
        """
        fits, n_kept = self.search.fits, len(self._fits[0].support)
        best, lowest, n_features = self._fits[0], np.inf, 0
        while True:
            fit = self.reach(n_features)
            value = max(fit.value, fits.floor) + cost(self.features(fit))
            if value < lowest:
                best, lowest = fit, value
            is_short = len(fit.support) < n_kept + n_features
            enough = min(2 * len(best.support) + TUNING.path_beyond, TUNING.path_longest)
            if is_short or fits.finished(fit) or n_features >= enough:
                return self.features(best)
            n_features += 1
