"""The fits along a path of best subsets, as they are returned to the user."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sksparse._typing import Array, Indices
from sksparse.linear_model._path_protocol import RegularizationPath


@dataclass(frozen=True)
class L0Path(RegularizationPath):
    """The fits of :func:`l0_path`, in order of increasing number of features.

    Parameters
    ----------
    n_features : ndarray of shape (n_points,)
        Number of features with a positive penalty weight that each fit uses.
    alphas : ndarray of shape (n_points,)
        Penalties per feature, decreasing. Where numbers of features were asked for, a penalty at
        which this number is the best of the path, in the middle of such penalties; nan where there
        is none.
    coefs : ndarray of shape (n_features, n_points) or (n_classes, n_features, n_points)
        Coefficients, in the float type of the features; the latter shape for more than two
        classes.
    intercepts : ndarray of shape (n_points,) or (n_classes, n_points)
        Intercepts.
    losses : ndarray of shape (n_points,)
        Weighted mean loss of each fit, without what is added to it: half the mean squared error,
        the log loss, or half the mean Poisson deviance.
    optimality : ndarray of shape (n_points,)
        What `optimality_` says of a single fit; nan where it was not computed.
    sizes : ndarray of shape (n_points,) or None
        The numbers of features asked for, increasing; None where penalties were.
    """

    sizes: Indices | None = None


def implied_alphas(values: Array, costs: Array) -> Array:
    """Penalty per feature at which each point has the smallest ``values + alpha * costs``.

    It is in the middle of such penalties, or twice the smallest where none is the largest; nan
    where there is none.
    """
    rise = values[None, :] - values[:, None]
    saved = costs[:, None] - costs[None, :]
    with np.errstate(divide="ignore", invalid="ignore"):
        alpha = rise / saved
    upper = np.where(saved > 0, alpha, np.inf).min(axis=1)
    lower = np.maximum(np.where(saved < 0, alpha, 0.0).max(axis=1), 0.0)
    beaten = ((saved == 0) & (rise < 0)).any(axis=1)
    middle = np.where(np.isinf(upper), 2.0 * lower, 0.5 * (lower + upper))
    return np.where((lower <= upper) & ~beaten, middle, np.nan)
