"""The parameters that say what a subset may be, checked."""

from __future__ import annotations

from typing import Any

import numpy as np

from sksparse._typing import Array, Mask
from sksparse.penalties import L0


def check_subset_penalty(
    n_features: int,
    *,
    max_features: int | None,
    l1: float,
    l2: float,
    scaled_l2: float = 0.0,
    penalty_weights: Any,
    positive: Any,
    n_outputs: int = 1,
) -> L0:
    """The penalty for so many features and outputs, from the parameters of an estimator."""
    if max_features is not None and max_features > n_features:
        raise ValueError(
            f"max_features={max_features} is more than X has: n_features={n_features}; give a "
            "number up to that, or None to let alpha decide."
        )
    return L0(
        max_features=None if max_features is None else int(max_features),
        l1=float(l1),
        l2=float(l2),
        scaled_l2=scaled_l2,
        penalty_weights=_check_prices(penalty_weights, n_features),
        positive=_check_positive(positive, n_features, n_outputs),
    )


def _check_prices(penalty_weights: Any, n_features: int) -> Array | None:
    if penalty_weights is None:
        return None
    try:
        prices = np.asarray(penalty_weights, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"penalty_weights must be numbers, one per feature; got {penalty_weights!r}."
        ) from error
    if prices.shape != (n_features,):
        raise ValueError(
            f"penalty_weights must hold one factor per feature, shape ({n_features},); got shape "
            f"{prices.shape}."
        )
    if not np.all(np.isfinite(prices)) or np.any(prices < 0):
        raise ValueError(
            "penalty_weights must be finite and non-negative; got a smallest of "
            f"{prices.min()} and a largest of {prices.max()}."
        )
    return prices


def _check_positive(positive: Any, n_features: int, n_outputs: int) -> Mask | None:
    mask = np.asarray(positive)
    if mask.dtype != np.bool_ or mask.shape not in ((), (n_features,)):
        raise ValueError(
            f"positive must be True, False or a boolean mask of shape ({n_features},); got "
            f"{positive!r}."
        )
    if not mask.any():
        return None
    if n_outputs > 1:
        raise ValueError(
            f"positive={positive!r} is for two classes, and y has {n_outputs}: each feature has a "
            "coefficient for every class. Leave it at False."
        )
    return np.broadcast_to(mask, n_features).copy()
