"""The sorted L1 penalty of SLOPE and OSCAR, and of GrOWL for several outputs."""

from __future__ import annotations

from typing import Any

import numpy as np

from sksparse._typing import Array, Indices
from sksparse.penalties._base import ConvexPenalty, check_factors
from sksparse.penalties._operators import divide, sorted_magnitudes
from sksparse.penalties._sorted_prox import shrink_sorted
from sksparse.penalties._sorted_weights import check_sorted
from sksparse.penalties._tensors import apply_to

# Norms of several outputs that are this close, in units of the float type's epsilon, are equal: a
# row of a norm is off by a few when it is scaled, rounded to the type, and measured again.
_EQUAL_NORMS = 32.0


class SortedL1(ConvexPenalty):
    """``sum_i weights_i |w|_(i)`` with ``|w|_(1) >= |w|_(2) >= ...`` (Bogdan et al., 2015).

    For several outputs the coefficients have shape (n_outputs, n_features), and ``|w|_j`` is the
    Euclidean norm of those of a feature (Zhang et al., 2018).

    Parameters
    ----------
    weights : ndarray of shape (n_features,)
        Non-negative and non-increasing.

    Raises
    ------
    ValueError
        For weights that are negative, not finite or increasing.
    """

    def __init__(self, weights: Array) -> None:
        self.weights = np.asarray(weights, dtype=np.float64)
        check_sorted(self.weights)

    def check_features(self, n_features: int) -> None:
        check_factors("weights", self.weights, n_features)

    def value(self, coef: Array) -> float:
        sizes = magnitudes(coef)
        ranked = _descending(sizes[sizes > 0.0])
        return float(self.weights[: len(ranked)] @ ranked)

    def prox(self, v: Any, step: float) -> Any:
        """As in :class:`Penalty`; `v` may be a torch tensor on any device, such as a layer's."""
        return apply_to(v, lambda array: self._prox(array, step * self.weights))

    def _prox(self, v: Array, thresholds: Array) -> Array:
        if v.ndim not in (1, 2) or v.shape[-1] != len(thresholds):
            raise ValueError(
                f"v must have shape ({len(thresholds)},) or (n_outputs, {len(thresholds)}), as "
                f"there are so many weights; got shape {v.shape}."
            )
        if v.ndim == 1:
            return shrink_sorted(v, thresholds)
        before = magnitudes(v)
        return v * divide(sorted_magnitudes(before, thresholds), before) + 0.0

    def dual_norm(self, gradient: Array) -> float:
        # The largest ratio of a sum of the first pulls to that of as many weights. A pull below the
        # smallest weight that it can meet, times a ratio that there is, ends no larger one: few
        # have to be sorted.
        budget, pulls, bound = np.cumsum(self.weights), magnitudes(gradient), 0.0
        if not self.weights.any():
            return bound
        known = 2 * len(pulls)
        while 0 < len(pulls) <= 0.9 * known:
            known = len(pulls)
            bound = max(bound, float(pulls.sum() / budget[known - 1]))
            pulls = pulls[pulls > bound * self.weights[known - 1]]
        load = np.cumsum(_descending(pulls))
        return max(bound, float(np.max(load / budget[: len(load)], initial=0.0)))

    def violations(
        self, coef: Array, gradient: Array, alpha: float, scales: Array | None = None
    ) -> Array:
        # The subdifferential factors over clusters of tied magnitudes: in each, every sum of the k
        # largest pulls along the coefficients stays below the sum of the first k weights of the
        # cluster, and for non-zero clusters the total is equal. Features that move together are at
        # most as long as all of them side by side. Across the coefficients nothing may pull.
        from sksparse._kernels.sorted_l1 import sorted_violations

        scales = np.ones(coef.shape[-1]) if scales is None else scales
        levels, across = np.abs(coef), np.zeros(coef.shape[-1])
        pull = np.where(coef == 0.0, np.abs(gradient), -np.sign(coef) * gradient)
        if coef.ndim > 1:
            labels, pull = cluster_labels(coef), magnitudes(gradient)
            levels = np.where(labels < 0, 0.0, labels.max(initial=-1) + 1.0 - labels)
            used = np.flatnonzero(levels)
            pull[used], across[used] = _along_and_across(coef[:, used], -gradient[:, used])
        result = np.empty(len(levels))
        sorted_violations(levels, pull, self.weights, alpha, scales, result)
        return np.hypot(result, divide(across, scales)) if coef.ndim > 1 else result

    def unpenalised(self) -> Indices:
        return np.arange(0 if self.weights.any() else len(self.weights))


def magnitudes(coef: Array) -> Array:
    """What the penalty sorts: absolute values, or of several outputs the norms of the features.

    Parameters
    ----------
    coef : ndarray of shape (n_features,) or (n_outputs, n_features)
        Coefficients.

    Returns
    -------
    magnitudes : ndarray of shape (n_features,)
        In float64.
    """
    coef = np.asarray(coef, dtype=np.float64)
    return np.abs(coef) if coef.ndim == 1 else np.sqrt(np.sum(coef * coef, axis=0))


def cluster_labels(coef: Array) -> Indices:
    """Which features share a magnitude.

    Absolute values are equal when they are equal bit for bit. Norms over several outputs are
    results of rounding: in sorted order, one belongs to the cluster of the next larger one when
    they differ by at most 32 machine epsilons of the float type of the coefficients.

    Parameters
    ----------
    coef : ndarray of shape (n_features,) or (n_outputs, n_features)
        Coefficients.

    Returns
    -------
    labels : ndarray of shape (n_features,)
        Number of the cluster of each feature, from 0 for the largest magnitude on; -1 for
        features that are zero.
    """
    sizes = magnitudes(coef)
    labels = np.full(len(sizes), -1, dtype=np.intp)
    used = np.flatnonzero(sizes)
    order = used[np.argsort(-sizes[used], kind="stable")]
    ranked = sizes[order]
    tolerance = 0.0 if np.ndim(coef) == 1 else _EQUAL_NORMS * float(np.finfo(coef.dtype).eps)
    labels[order] = np.cumsum(np.diff(ranked, prepend=ranked[:1]) < -tolerance * ranked)
    return labels


def _along_and_across(coef: Array, pull: Array) -> tuple[Array, Array]:
    """Components of pulls along coefficients that are not zero, and lengths of what is left."""
    directions = coef / magnitudes(coef)
    along = np.sum(directions * pull, axis=0)
    return along, magnitudes(pull - along * directions)


def _descending(values: Array) -> Array:
    return np.sort(values)[::-1]
