"""What changing a single coefficient gains, straight from the objective.

The quadratic model that proposes moves has formulas of its own; an answer is therefore judged by
other ones, which come from the loss and the penalty alone.
"""

from __future__ import annotations

import numpy as np

from sksparse._typing import Array, Indices, Mask
from sksparse.solvers.subset_newton._columns import Beside
from sksparse.solvers.subset_newton._local_search import SubsetSearch
from sksparse.solvers.subset_newton._move_gains import Metric, Norms
from sksparse.solvers.subset_newton._newton_refit import Fit

# Features that are entered to see what their entering gains.
_TRIED = 3


def single_change(search: SubsetSearch, fit: Fit) -> float:
    """A fall of the objective that some change of one feature's coefficients is sure to bring.

    All other coefficients are held. For a squared loss it is the largest there is; for others it is
    what the objective falls by when the most promising features enter, their coefficients from the
    second-order model of the loss.
    """
    return max(_of_entering(search, fit), _of_leaving(search, fit), 0.0)


def _of_entering(search: SubsetSearch, fit: Fit) -> float:
    """Bringing in a feature, where there is room; for a squared loss, also moving one in use."""
    exact, p = search.problem.loss.quadratic, search.problem.design.n_features
    enters = search.room(fit.support, search.limit) > 0
    if not (enters or exact):
        return 0.0
    metric, coef = search.metric(fit), np.zeros((p, search.outputs.n_outputs))
    coef[search.columns.features[fit.support]] = fit.coef
    falls, after = np.full(p, -np.inf), coef.copy()
    none = np.empty((0, len(fit.z)))
    for block, beside in search.columns.all_beside(metric.curvature, none, metric.gradient):
        norms = search.norms(block)
        used = np.asarray(coef[block].any(axis=1))
        changes = (used & exact) | (~used & enters)
        at = np.flatnonzero(changes & norms.usable & (beside.squares > 0.0))
        falls[block][at], after[block][at] = _best_changes(norms, beside, coef[block], used, at)
    if exact:
        return float(falls.max(initial=0.0))
    promising = np.argsort(-falls, kind="stable")[:_TRIED]
    return max(
        (_fall(search, fit, metric, j, after[j]) for j in promising if falls[j] > 0.0), default=0.0
    )


def _best_changes(
    norms: Norms, beside: Beside, coef: Array, used: Mask, at: Indices
) -> tuple[Array, Array]:
    """Falls of the model, and the coefficients of some features that bring them."""
    w, l1, l2 = coef[at], norms.l1, norms.l2[at, None]
    curvature = beside.squares[at, None] + l2
    slope = beside.descent[at] - l2 * w
    # the minimiser of ``curvature v^2 / 2 - (slope + curvature w) v + l1 |v|``
    magnitude = np.maximum(np.abs(slope + curvature * w) - l1, 0.0) / curvature
    new = np.copysign(magnitude, slope + curvature * w)
    new[norms.positive[at]] = np.maximum(new[norms.positive[at]], 0.0)
    falls = (new - w) * (slope - 0.5 * curvature * (new - w))
    falls += l1 * (np.abs(w) - np.abs(new))
    return falls.sum(axis=1) - np.where(used[at], 0.0, norms.prices[at]), new


def _fall(search: SubsetSearch, fit: Fit, metric: Metric, feature: int, coef: Array) -> float:
    """How far the objective falls as a feature enters, at its whole or half its coefficients."""
    columns = search.problem.design.columns(np.array([feature]))
    column = (columns.toarray() if search.problem.design.is_sparse else columns)[:, 0]
    if metric.centred:
        column = column - metric.curvature @ column / metric.curvature.sum()
    norms, before = search.norms(np.array([feature])), search.outputs.value(fit.z)
    falls = []
    for w in (coef, 0.5 * coef):
        after = search.outputs.value(fit.z + np.outer(column, w))
        paid = norms.l1 * np.abs(w).sum() + 0.5 * norms.l2[0] * w @ w + norms.prices[0]
        falls.append(float(before - after - paid))
    return max(falls)


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
