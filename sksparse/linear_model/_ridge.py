"""The ridge of a classifier: given, or derived from the numbers of features and samples."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from sksparse._typing import Array
from sksparse.linear_model._criteria import sample_count

#: A ridge that changes no coefficient that the samples determine, but bounds all others.
LEAST = 1e-8


class Ridge(NamedTuple):
    """``1/2 sum_j (l2 + scaled_l2 v_j) w_j^2`` for features of variance v_j."""

    l2: float = 0.0
    scaled_l2: float = 0.0

    @property
    def strength(self) -> float:
        """Whichever of ``l2`` and ``scaled_l2`` is not zero."""
        return self.l2 or self.scaled_l2

    def once_separated(self, n: float) -> Ridge | None:
        """The stronger ridge for a refit where features separate the classes; None for no refit."""
        if self.l2 > 0.0 or self.scaled_l2 != LEAST:
            return None
        return Ridge(scaled_l2=default_strength(n, n))


def check_ridge(l2: Any, n_features: int, counts: Array) -> Ridge:
    """What the parameter ``l2`` asks for; ``counts`` are the sample weights as they were given."""
    if isinstance(l2, str):
        return Ridge(scaled_l2=default_strength(n_features, sample_count(counts)))
    return Ridge(l2=float(l2))


def default_strength(n_features: float, n: float) -> float:
    """Strength of the ridge on features of unit variance that ``l2="auto"`` stands for.

    With more samples than features it is negligible, and only keeps coefficients finite. With fewer
    samples, some features fit the classes by chance, and the coefficients of the best of them are
    too large, more so the more features there are: the ridge grows with their number. Where
    features separate the classes in spite of more samples, it is that for as many features as
    samples.
    """
    return float(np.log(4.0 * n_features / n)) / n if n_features >= n else LEAST
