"""Growth of a working set."""

from __future__ import annotations

import numpy as np

from sksparse._typing import Array, Indices


def enlarge(current: Indices, violations: Array, first: int) -> Indices:
    """Add the units that violate optimality most, at most doubling the set.

    All units that share the largest violation enter: for a penalty that couples them only the
    whole prefix is sure to make progress.

    Parameters
    ----------
    current : ndarray
        Units of the working set.
    violations : ndarray of shape (n_units,)
        How much each unit violates optimality.
    first : int
        Units that may enter while the set is small.
    """
    outside = violations.copy()
    outside[current] = 0.0
    largest = outside.max()
    most = max(first, len(current), np.count_nonzero(outside == largest))
    new = np.argsort(-outside, kind="stable")[:most]
    return np.concatenate((current, new[outside[new] > 0])).astype(np.intp)
