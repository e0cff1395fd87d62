"""What changing a single coefficient gains, straight from the objective.

The quadratic model that proposes moves has formulas of its own; an answer is therefore judged by
other ones, which come from the loss, the norms and the prices alone.
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
    """Bringing in a feature, where there is room; for a squared loss, also moving one in use."""
    loss, columns, penalty = search.problem.loss, search.columns, search.penalty
    enters = search.room(fit.support, search.limit) > 0
    if not (enters or loss.quadratic):
        return 0.0
    gradient, bound = search.outputs.gradient(fit.z), loss.curvature_bound()
    if search.problem.fit_intercept:
        gradient = gradient - np.outer(bound / bound.sum(), gradient.sum(axis=0))
    in_use, best = columns.features[fit.support], 0.0
    coef = np.zeros((search.problem.design.n_features, search.outputs.n_outputs))
    coef[in_use] = fit.coef
    for block, beside in columns.all_beside(bound, np.empty((0, len(bound))), gradient):
        norms, w = search.norms(block), coef[block]
        used = np.asarray(w.any(axis=1))
        changes = (used & loss.quadratic) | (~used & enters)
        counts = np.flatnonzero(changes & norms.usable & (beside.squares > 0.0))
        l2 = norms.l2[counts, None]
        curvature = beside.squares[counts, None] + l2
        slope, w = beside.descent[counts] - l2 * w[counts], w[counts]
        # the minimiser of ``curvature v^2 / 2 - (slope + curvature w) v + l1 |v|``
        size = np.maximum(np.abs(slope + curvature * w) - penalty.l1, 0.0) / curvature
        new = np.copysign(size, slope + curvature * w)
        new[norms.positive[counts]] = np.maximum(new[norms.positive[counts]], 0.0)
        falls = (new - w) * (slope - 0.5 * curvature * (new - w))
        falls += penalty.l1 * (np.abs(w) - np.abs(new))
        falls = falls.sum(axis=1) - np.where(used[counts], 0.0, norms.prices[counts])
        best = max(best, falls.max(initial=0.0))
    return float(best)


def _of_leaving(search: SubsetSearch, fit: Fit) -> float:
    """Leaving a feature out."""
    penalty, best = search.penalty, 0.0
    norms = search.norms(search.columns.features[fit.support])
    before = search.outputs.value(fit.z)
    for position in np.flatnonzero(~norms.free & (norms.prices > 0.0)):
        w = fit.coef[position]
        after = search.outputs.value(
            fit.z - np.outer(search.columns.rows[fit.support[position]], w)
        )
        saved = (
            penalty.l1 * np.abs(w).sum() + 0.5 * norms.l2[position] * w @ w + norms.prices[position]
        )
        best = max(best, float(saved - (after - before)))
    return best
