"""Sequences of weights for the sorted L1 norm."""

from __future__ import annotations

import numpy as np

from sksparse._typing import Array


def oscar_weights(n_features: int, pairwise: float, ranks: int | None = None) -> Array:
    """Weights that make the sorted L1 norm the OSCAR penalty.

    ``sum_{j<k} max(|w_j|, |w_k|)`` counts the i-th largest magnitude ``n_features - i`` times, so a
    share ``pairwise`` of its mean over partners and a share ``1 - pairwise`` of the L1 norm make
    ``(1 - pairwise) + pairwise * (n_features - i) / (n_features - 1)``. With fewer ``ranks`` they
    fall as far over the first so many features, and the others share the smallest weight.

    Parameters
    ----------
    n_features : int
        Number of features.
    pairwise : float
        Share of the pairwise term, from 0 to 1.
    ranks : int or None, default=None
        Features over which the weights fall; None is all of them.

    Returns
    -------
    weights : ndarray of shape (n_features,)
        Non-increasing from 1 to ``1 - pairwise``.
    """
    last = (n_features if ranks is None else min(ranks, n_features)) - 1
    below = np.maximum(last - np.arange(n_features, dtype=np.float64), 0.0)
    return (1.0 - pairwise) + pairwise * below / max(last, 1)
