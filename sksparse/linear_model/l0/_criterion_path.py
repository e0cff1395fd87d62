"""Information criteria along a path of best subsets."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from sksparse._typing import Array
from sksparse.linear_model._criteria import CRITERIA, deviance, trusted
from sksparse.linear_model._path_protocol import PathFits
from sksparse.linear_model.l0._grid import candidates
from sksparse.linear_model.l0._task import SubsetTask


def criterion_path(
    task: SubsetTask,
    fits: PathFits,
    name: str,
    n_candidates: int | None,
    degrees: Callable[[SubsetTask, PathFits], Array] | None = None,
) -> Array:
    """The information criterion of each fit, infinite where it means nothing.

    ``n_candidates`` is the number of features that X was chosen from. ``degrees`` tells the degrees
    of freedom; None counts the coefficients that are not zero.
    """
    n, squared = task.sample_count, task.loss.quadratic
    fit = deviance(task.losses(fits), n, task.null_loss, squared=squared)
    df = max(len(fits.coefs) - 1, 1) * fits.used.sum(axis=0)
    k, p = fits.used[task.penalised].sum(axis=0), candidates(task, n_candidates)
    # a sample of two balanced classes holds one bit, and one of unbalanced classes less
    information = n * task.null_loss / float(np.log(2.0)) if task.loss.for_classes else n
    counts = trusted(fit, df, n, k, p, intercept=task.fit_intercept, information=information)
    df = df if degrees is None else degrees(task, fits)
    return np.where(counts, CRITERIA[name](fit, df, n, k, p), np.inf)
