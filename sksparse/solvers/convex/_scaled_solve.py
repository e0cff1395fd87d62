"""Positive semidefinite systems whose rows and columns differ in scale."""

from __future__ import annotations

import numpy as np
import scipy.linalg

from sksparse._typing import Array

# Added to the diagonal, for rows and columns of one scale.
_JITTER = 1e-13


def scaled_solve(matrix: Array, right: Array) -> Array | None:
    """Solution of a system; one of large norm where it is singular, None where it is indefinite."""
    roots = np.sqrt(np.maximum(np.diag(matrix), 0.0))
    if not (roots > 0.0).all():
        return None
    scaled = matrix / np.outer(roots, roots)
    scaled[np.diag_indices_from(scaled)] += _JITTER
    try:
        factor = scipy.linalg.cho_factor(scaled, overwrite_a=True, check_finite=False)
    except np.linalg.LinAlgError:
        return None
    x = scipy.linalg.cho_solve(factor, right / roots, check_finite=False) / roots
    # one refinement against the system without the jitter
    left = (right - matrix @ x) / roots
    return np.asarray(x + scipy.linalg.cho_solve(factor, left, check_finite=False) / roots)
