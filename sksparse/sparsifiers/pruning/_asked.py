"""How much is to be left, where `alpha` is the logarithm of the compression."""

from __future__ import annotations

import math

from sksparse.sparsifiers._task import Task
from sksparse.sparsifiers.structure._target import Target

#: The logarithm of the compression where neither a strength nor a sparsity is asked for.
DEFAULT_LOG_COMPRESSION = math.log(10.0)


def asked_sparsity(task: Task) -> float:
    """The sparsity asked for, where `alpha` is the logarithm of the compression.

    Parameters
    ----------
    task : Task
        What the estimator asks for.

    Returns
    -------
    sparsity : float
        `target_sparsity`, or ``1 - exp(-alpha)``.
    """
    if task.target_sparsity is not None:
        return task.target_sparsity
    return -math.expm1(-(DEFAULT_LOG_COMPRESSION if task.alpha is None else task.alpha))


def asked_target(task: Task) -> Target:
    """The target, or that of ``asked_sparsity``."""
    return task.target or Target("weights", 1.0 - asked_sparsity(task))
