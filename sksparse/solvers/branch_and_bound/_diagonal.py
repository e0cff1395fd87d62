"""The diagonal that can be taken out of a matrix of correlations."""

from __future__ import annotations

import numpy as np
import scipy.linalg

from sksparse._interrupts import check
from sksparse._typing import Array

# Share of the diagonal that is given back, so that rounding cannot make a matrix indefinite.
_BACK = 1e-6
_BARRIERS = 10.0 ** -np.arange(1.0, 5.0)
_STEPS = 3
_SMALLEST_STEP = 1e-3


def diagonal_share(gram: Array, known: Array) -> Array:
    """A large d with ``gram - diag(d)`` positive semidefinite, by a barrier method.

    Maximises the sum of d, which tightens the perspective relaxation (Dong, Chen and Linderoth,
    2015), starting from a multiple of the smallest eigenvalue. Returns ``known``, for which the
    matrix must be so, where that eigenvalue is not larger.
    """
    least = float(scipy.linalg.eigvalsh(gram, subset_by_index=[0, 0])[0])
    if least <= 1.1 * float(known.max()) or least <= 1e-7:
        return known
    share = np.full(len(gram), 0.9 * least)
    for barrier in _BARRIERS:
        for _ in range(_STEPS):
            check()
            share = _newton_step(gram, share, barrier)
    return share * (1.0 - _BACK)


def _newton_step(gram: Array, share: Array, barrier: float) -> Array:
    """Step on ``sum(d) + barrier * (log det(gram - diag(d)) + sum(log(d)))``, kept inside."""
    inverse = scipy.linalg.inv(gram - np.diag(share))
    gradient = 1.0 - barrier * np.diag(inverse) + barrier / share
    curvature = barrier * (inverse * inverse + np.diag(share**-2.0))
    step = scipy.linalg.solve(curvature, gradient, assume_a="pos")
    length = 1.0
    while length > _SMALLEST_STEP:
        trial = share + length * step
        if trial.min() > 0.0 and _is_definite(gram - np.diag(trial)):
            # A shorter step stays away from the boundary.
            return share + (length if length == 1.0 else 0.9 * length) * step
        length *= 0.6
    return share


def _is_definite(matrix: Array) -> bool:
    try:
        scipy.linalg.cholesky(matrix, lower=True, check_finite=False)
    except scipy.linalg.LinAlgError:
        return False
    return True
