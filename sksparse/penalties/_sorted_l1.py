"""The sorted L1 penalty of SLOPE and OSCAR."""

from __future__ import annotations

from typing import Any

import numpy as np

from sksparse._typing import Array, Indices
from sksparse.penalties._base import ConvexPenalty, check_factors
from sksparse.penalties._operators import divide
from sksparse.penalties._sorted_prox import shrink_sorted
from sksparse.penalties._sorted_weights import check_sorted
from sksparse.penalties._tensors import apply_to


class SortedL1(ConvexPenalty):
    """``sum_i weights_i |w|_(i)`` with ``|w|_(1) >= |w|_(2) >= ...`` (Bogdan et al., 2015).

    Parameters
    ----------
    weights : ndarray of shape (n_features,)
        Non-negative and non-increasing.
    """

    def __init__(self, weights: Array) -> None:
        self.weights = np.asarray(weights, dtype=np.float64)
        check_sorted(self.weights)

    def check_features(self, n_features: int) -> None:
        check_factors("weights", self.weights, n_features)

    def value(self, coef: Array) -> float:
        return float(self.weights @ _descending(np.abs(coef)))

    def prox(self, v: Any, step: float) -> Any:
        """As in :class:`Penalty`; v may be a torch tensor on any device."""
        return apply_to(v, lambda array: shrink_sorted(array, step * self.weights))

    def dual_norm(self, gradient: Array) -> float:
        budget = np.cumsum(self.weights)
        used = budget > 0
        load = np.cumsum(_descending(np.abs(gradient)))
        return float(np.max(load[used] / budget[used], initial=0.0))

    def violations(
        self, coef: Array, gradient: Array, alpha: float, scales: Array | None = None
    ) -> Array:
        # The subdifferential factors over clusters of tied magnitudes: in each, every sum of the k
        # largest aligned gradients stays below the sum of the first k weights of the cluster, and
        # for non-zero clusters the total is equal. Features that move together are at most as long
        # as all of them side by side.
        scales = np.ones(len(coef)) if scales is None else scales
        magnitudes = np.abs(coef)
        aligned = np.where(coef == 0, np.abs(gradient), -np.sign(coef) * gradient)
        order = np.lexsort((-aligned, -magnitudes))
        excess = np.cumsum(aligned[order] - alpha * self.weights)
        ends = np.append(np.flatnonzero(np.diff(magnitudes[order])), len(order) - 1)
        starts = np.concatenate(([0], ends[:-1] + 1))
        before = np.concatenate(([0.0], excess[ends[:-1]]))
        result = np.zeros(len(coef))
        alone = (starts == ends) & (magnitudes[order[ends]] > 0.0)
        result[order[ends[alone]]] = divide(
            np.abs(excess[ends] - before)[alone], scales[order[ends[alone]]]
        )
        for k in np.flatnonzero(~alone):
            cluster = order[starts[k] : ends[k] + 1]
            share = divide(excess[starts[k] : ends[k] + 1] - before[k], np.cumsum(scales[cluster]))
            # A feature is a candidate to move as far as some prefix that holds it is over-full.
            over_full = np.maximum.accumulate(share[::-1])[::-1]
            result[cluster] = np.maximum(over_full, 0.0)
            if magnitudes[cluster[0]] > 0:
                result[cluster] = np.maximum(result[cluster], abs(share[-1]))
        return np.where(scales > 0.0, result, 0.0)

    def unpenalised(self) -> Indices:
        return np.empty(0, dtype=np.intp)


def _descending(values: Array) -> Array:
    return np.sort(values)[::-1]
