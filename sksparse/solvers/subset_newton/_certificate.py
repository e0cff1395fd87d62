"""What changing the coefficients of one feature gains, computed from the objective alone.

The search uses a quadratic model; its answer is checked by formulas that do not, and use only the
loss and the penalty.
"""

from __future__ import annotations

import numpy as np

from sksparse._typing import Array, Indices, Mask
from sksparse.solvers.subset_newton._columns import ColumnProducts
from sksparse.solvers.subset_newton._local_search import SubsetSearch
from sksparse.solvers.subset_newton._move_gains import ColumnPenalties, Metric
from sksparse.solvers.subset_newton._newton_refit import Fit
from sksparse.solvers.subset_newton._tuning import TUNING


def single_change(search: SubsetSearch, fit: Fit) -> float:
    """A decrease of the objective that changing one feature's coefficients gives for certain.

    All other coefficients are held. For a squared loss it is the largest there is; for others it is
    what the objective falls by when the most promising features enter, their coefficients from the
    second-order model of the loss.
    """
    return max(_of_entering(search, fit), _of_leaving(search, fit), 0.0)


def _of_entering(search: SubsetSearch, fit: Fit) -> float:
    """Adding a feature, where one may enter; for a squared loss, also moving one in use."""
    fits, p = search.fits, search.fits.problem.design.n_features
    exact = fits.problem.loss.quadratic
    enters = search.capacity(fit.support, search.budget.limit) > 0
    if not (enters or exact):
        return 0.0
    metric, coef = fits.metric(fit), np.zeros((p, fits.outputs.n_outputs))
    coef[fits.columns.features[fit.support]] = fit.coef
    falls, after = np.full(p, -np.inf), coef.copy()
    none = np.empty((0, len(fit.z)))
    for block, found in fits.columns.all_products(metric.curvature, none, metric.gradient):
        penalties = search.penalties(block)
        used = np.asarray(coef[block].any(axis=1))
        changes = (used & exact) | (~used & enters)
        seen = found.squares > 0.0
        at = np.flatnonzero(changes & penalties.usable & seen)
        hidden = changes & penalties.usable & ~seen & found.descent.any(axis=1)
        if hidden.any() and not (exact or fits.problem.loss.unbounded_if):
            return np.inf  # flat where these columns vary, the loss has no model of them
        falls[block][at], after[block][at] = _best_changes(penalties, found, coef[block], used, at)
    if exact:
        return float(falls.max(initial=0.0))
    promising = np.argsort(-falls, kind="stable")[: TUNING.certified]
    entered = (_fall(search, fit, metric, j, after[j]) for j in promising if falls[j] > 0.0)
    return max(entered, default=0.0)


def _best_changes(
    penalties: ColumnPenalties, found: ColumnProducts, coef: Array, used: Mask, at: Indices
) -> tuple[Array, Array]:
    """Decreases of the model, and the coefficients of some features that give them."""
    w, l1, l2 = coef[at], penalties.l1, penalties.l2[at, None]
    curvature = found.squares[at, None] + l2
    slope = found.descent[at] - l2 * w
    # the minimiser of ``curvature v^2 / 2 - (slope + curvature w) v + l1 |v|``
    magnitude = np.maximum(np.abs(slope + curvature * w) - l1, 0.0) / curvature
    new = np.copysign(magnitude, slope + curvature * w)
    new[penalties.positive[at]] = np.maximum(new[penalties.positive[at]], 0.0)
    falls = (new - w) * (slope - 0.5 * curvature * (new - w))
    falls += l1 * (np.abs(w) - np.abs(new))
    return falls.sum(axis=1) - np.where(used[at], 0.0, penalties.per_feature[at]), new


def _fall(search: SubsetSearch, fit: Fit, metric: Metric, feature: int, coef: Array) -> float:
    """How far the objective falls as a feature enters, at its coefficients or some of their halves.

    Where a loss is flat its model is far too long; a short step still falls.
    """
    fits, alone = search.fits, np.array([feature])
    columns = fits.problem.design.columns(alone)
    column = (columns.toarray() if fits.problem.design.is_sparse else columns)[:, 0]
    if metric.centred:
        column = column - metric.curvature @ column / metric.curvature.sum()
    penalties, before = search.penalties(alone), fits.outputs.value(fit.z)
    falls = []
    for w in (coef * 0.5**halvings for halvings in range(TUNING.halvings)):
        after = fits.outputs.value(fit.z + np.outer(column, w))
        norms = penalties.l1 * np.abs(w).sum() + 0.5 * penalties.l2[0] * w @ w
        falls.append(float(before - after - norms - penalties.per_feature[0]))
    return max(falls)


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
