"""What the generators share: room among the columns, shuffling them, and noise of classes."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.utils._param_validation import Interval

from sksparse._typing import Array, Indices

Rng = np.random.RandomState

#: What the common arguments may be.
COMMON_CONSTRAINTS: dict[str, list[Any]] = {
    "n_samples": [Interval(Integral, 1, None, closed="left")],
    "n_features": [Interval(Integral, 1, None, closed="left")],
    "shuffle": ["boolean"],
    "random_state": ["random_state"],
}
SHARE = [Interval(Real, 0, 1, closed="both")]
POSITIVE = [Interval(Integral, 1, None, closed="left")]
NOISE = [Interval(Real, 0, None, closed="left")]


def check_room(n_features: int, n_needed: int, what: str) -> None:
    """Raise where there are fewer columns than those that hold the answer."""
    if n_features < n_needed:
        raise ValueError(
            f"n_features={n_features} has no room for the {n_needed} columns of {what}; give at "
            f"least {n_needed}."
        )


def arranged(X: Array, informative: Indices, shuffle: bool, rng: Rng) -> tuple[Array, Indices]:
    """The columns in random order, and where the informative ones went."""
    if not shuffle:
        return X, informative
    order = rng.permutation(X.shape[1])
    places = np.empty_like(order)
    places[order] = np.arange(len(order))
    return X[:, order], places[informative]


def flipped(y: Indices, flip_y: float, rng: Rng) -> Indices:
    """Classes 0 and 1, a share of them drawn anew by lot, as in scikit-learn's generators."""
    drawn = rng.uniform(size=len(y)) < flip_y
    return np.where(drawn, rng.randint(2, size=len(y)), y)
