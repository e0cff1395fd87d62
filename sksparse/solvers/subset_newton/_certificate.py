"""What changing a single coefficient gains, straight from the objective.

The quadratic model that proposes moves has formulas of its own; an answer is therefore judged by
other ones, which come from the loss, the norms and the penalties alone.
"""

from __future__ import annotations

import numpy as np

from sksparse.solvers.subset_newton._local_search import SubsetSearch
from sksparse.solvers.subset_newton._newton_refit import Fit


def single_change(search: SubsetSearch, fit: Fit) -> float:
    """A fall of the objective that some change of one feature's coefficients is sure to bring.

    All other coefficients are held. For a squared loss it is the largest there is; for others the
    loss lies below a parabola with its largest curvature, whose minimum is what is counted.
    """
    return max(_of_entering(search, fit), _of_leaving(search, fit), 0.0)


def _of_entering(search: SubsetSearch, fit: Fit) -> float:
    """Bringing in a feature, where one may enter; for a squared loss, also moving one in use."""
    fits, columns, l1 = search.fits, search.fits.columns, search.fits.penalty.l1
    loss = fits.problem.loss
    enters = search.capacity(fit.support, search.budget.limit) > 0
    if not (enters or loss.quadratic):
        return 0.0
    gradient, bound = fits.outputs.gradient(fit.z), loss.curvature_bound()
    if fits.problem.fit_intercept:
        gradient = gradient - np.outer(bound / bound.sum(), gradient.sum(axis=0))
    in_use, best = columns.features[fit.support], 0.0
    coef = np.zeros((fits.problem.design.n_features, fits.outputs.n_outputs))
    coef[in_use] = fit.coef
    for block, found in columns.all_beside(bound, np.empty((0, len(bound))), gradient):
        penalties, w = search.penalties(block), coef[block]
        used = np.asarray(w.any(axis=1))
        changes = (used & loss.quadratic) | (~used & enters)
        counts = np.flatnonzero(changes & penalties.usable & (found.squares > 0.0))
        l2 = penalties.l2[counts, None]
        curvature = found.squares[counts, None] + l2
        slope, w = found.descent[counts] - l2 * w[counts], w[counts]
        # the minimiser of ``curvature v^2 / 2 - (slope + curvature w) v + l1 |v|``
        magnitude = np.maximum(np.abs(slope + curvature * w) - l1, 0.0) / curvature
        new = np.copysign(magnitude, slope + curvature * w)
        new[penalties.positive[counts]] = np.maximum(new[penalties.positive[counts]], 0.0)
        falls = (new - w) * (slope - 0.5 * curvature * (new - w))
        falls += l1 * (np.abs(w) - np.abs(new))
        falls = falls.sum(axis=1) - np.where(used[counts], 0.0, penalties.per_feature[counts])
        best = max(best, falls.max(initial=0.0))
    return float(best)


def _of_leaving(search: SubsetSearch, fit: Fit) -> float:
    """Leaving a feature out."""
    fits, best = search.fits, 0.0
    columns, l1 = fits.columns, fits.penalty.l1
    penalties = search.penalties(columns.features[fit.support])
    before = fits.outputs.value(fit.z)
    for position in np.flatnonzero(~penalties.free & (penalties.per_feature > 0.0)):
        w = fit.coef[position]
        after = fits.outputs.value(fit.z - np.outer(columns.rows[fit.support[position]], w))
        norms = l1 * np.abs(w).sum() + 0.5 * penalties.l2[position] * w @ w
        best = max(best, float(norms + penalties.per_feature[position] - (after - before)))
    return best
