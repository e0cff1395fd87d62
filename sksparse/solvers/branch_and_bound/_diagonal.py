"""The largest diagonal whose subtraction leaves a matrix of correlations semidefinite."""

from __future__ import annotations

import numpy as np
import scipy.linalg

from sksparse._interrupts import check
from sksparse._typing import Array
from sksparse.solvers.branch_and_bound._tuning import TUNING


def diagonal_share(gram: Array, known: Array) -> Array:
    """A large d with ``gram - diag(d)`` positive semidefinite, by a barrier method.

    Maximises the sum of d, which tightens the perspective relaxation (Dong, Chen and Linderoth,
    2015), starting from a multiple of the smallest eigenvalue. Returns ``known``, for which the
    matrix must be so, where that eigenvalue is not larger.
    """
    least = float(scipy.linalg.eigvalsh(gram, subset_by_index=[0, 0])[0])
    needed = max(TUNING.barrier_gain * float(known.max()), TUNING.smallest_eigenvalue)
    if least <= needed:
        return known
    share = np.full(len(gram), TUNING.boundary_step * least)
    for barrier in TUNING.barriers:
        for _ in range(TUNING.barrier_steps):
            check()
            share = _newton_step(gram, share, barrier)
    return share * (1.0 - TUNING.diagonal_margin)


def _newton_step(gram: Array, share: Array, barrier: float) -> Array:
    """Step on ``sum(d) + barrier * (log det(gram - diag(d)) + sum(log(d)))``, kept inside."""
    inverse = scipy.linalg.inv(gram - np.diag(share))
    gradient = 1.0 - barrier * np.diag(inverse) + barrier / share
    curvature = barrier * (inverse * inverse + np.diag(share**-2.0))
    step = scipy.linalg.solve(curvature, gradient, assume_a="pos")
    length = 1.0
    while length > TUNING.shortest_step:
        trial = share + length * step
        if trial.min() > 0.0 and _is_definite(gram - np.diag(trial)):
            return share + (1.0 if length == 1.0 else TUNING.boundary_step * length) * step
        length *= 0.6
    return share


def _is_definite(matrix: Array) -> bool:
    try:
        scipy.linalg.cholesky(matrix, lower=True, check_finite=False)
    except scipy.linalg.LinAlgError:
        return False
    return True
