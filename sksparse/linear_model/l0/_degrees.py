"""Effective degrees of freedom of ridge fits."""

from __future__ import annotations

import numpy as np

from sksparse._typing import Array
from sksparse.linear_model._path_protocol import PathFits
from sksparse.linear_model.l0._task import SubsetTask


def effective_degrees(task: SubsetTask, fits: PathFits) -> Array:
    """``trace(H (H + R)^-1)`` at each point, for H the second derivatives and R the ridge.

    H is that of the loss over the coefficients in use, the intercept minimised out. Without a
    ridge this is the number of coefficients in use, for m > 2 classes m - 1 a feature.
    """
    return np.array([_degrees(task, *fit) for fit in fits.each()])


def _degrees(task: SubsetTask, coef: Array, intercept: Array) -> float:
    used, m = np.flatnonzero(coef.any(axis=0)), len(coef)
    columns = task.design.columns(used)
    columns = columns if isinstance(columns, np.ndarray) else columns.toarray()
    hessians = _second_derivatives(task, columns @ coef[:, used].T + intercept)
    rows = columns - task.loss.weights @ columns if task.fit_intercept else columns
    rows = np.column_stack((rows, np.ones((len(rows), int(task.fit_intercept)))))
    size = rows.shape[1]
    matrix = np.einsum("ij,iab,ik->ajbk", rows, hessians, rows, optimize=True)
    matrix = matrix.reshape(m * size, m * size)
    ridge = np.tile(np.append(task.ridge(used), np.zeros(size - len(used))), m)
    # the intercepts have one degree each, for each class but one: they are not counted
    inverse = np.linalg.pinv(matrix + np.diag(ridge), hermitian=True)
    free = max(m - 1, 1) * int(task.fit_intercept)
    return float(np.trace(inverse @ matrix)) - free


def _second_derivatives(task: SubsetTask, z: Array) -> Array:
    """Over the outputs of each sample, of shape (n_samples, n_outputs, n_outputs)."""
    if z.shape[1] == 1:
        return task.loss.metric(np.ascontiguousarray(z[:, 0]))
    metric = task.loss.metric(z)
    # `metric` has the mean curvature in the direction that does not change the loss
    return np.asarray(metric - task.loss.curvature(z)[:, None, None] / z.shape[1])
