"""Which numbers of features, or which strengths, to try."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from sksparse._typing import Array, Indices
from sksparse.linear_model._path_protocol import Grid, check_alphas, is_count
from sksparse.linear_model.l0._task import SubsetTask


class Tuning(NamedTuple):
    """The grids that are tried by default.

    Parameters
    ----------
    largest : int
        Number of features up to which the grid goes at most.
    lowest : float
        Share of the largest strength at which a grid ends, unless the loss of the null model
        divided by the number of samples is more.
    most_dominant : int
        Largest number of dominant features, each of which has a strength of its own in the grid.
    exact : float
        A loss below this share of the null model's is rounding.
    together : float
        Share of a loss that several such features leave at most; a first one leaves ``lowest``.
    """

    largest: int = 100
    lowest: float = 1e-3
    most_dominant: int = 3
    exact: float = 1e-24
    together: float = 1e-7


TUNING = Tuning()


def make_grid(
    task: SubsetTask, max_features: Any, alphas: Any, n_candidates: int | None = None
) -> Grid:
    """The grid that the parameters describe.

    Raises
    ------
    ValueError
        Where both are given, or a value cannot be used.
    """
    if alphas is None:
        return Grid(max_features=_limits(task, max_features, n_candidates))
    if max_features is not None:
        raise ValueError(
            f"max_features={max_features!r} and alphas={alphas!r} exclude each other: give the "
            "numbers of features to try, or the strengths."
        )
    if is_count(alphas):
        return Grid(alphas=_geometric_alphas(task, int(alphas)))
    return Grid(alphas=check_alphas(alphas))


def candidates(task: SubsetTask, n_candidates: int | None) -> int:
    """Number of features with a positive penalty weight, in X and left out of it before.

    Raises
    ------
    ValueError
        Where there are said to be fewer than X has.
    """
    known, given = task.design.n_features, n_candidates
    if given is not None and given < known:
        raise ValueError(
            f"n_candidates={given} is less than X has: n_features={known}; give the number of "
            "features before the selection that led to X, or None where there was none."
        )
    return int(task.penalised.sum()) + (0 if given is None else given - known)


def largest_limit(task: SubsetTask, n_candidates: int | None = None) -> int:
    """``n / (log(p) log(log(n)))``, at most 100, the number of features, or what data determine.

    The logarithms are at least one.
    """
    n, p, searched = task.sample_count, int(task.penalised.sum()), candidates(task, n_candidates)
    # an intercept, and one residual degree of freedom to measure the error by
    reserved = int(task.fit_intercept) + 1
    known = task.distinct(TUNING.largest + reserved) - reserved
    slow = max(np.log(max(np.log(max(n, 1.0)), 1.0)), 1.0)
    bound = n / (max(np.log(max(searched, 1)), 1.0) * slow)
    return max(min(int(bound), p, known, TUNING.largest), min(p, 1))


def _limits(task: SubsetTask, max_features: Any, n_candidates: int | None) -> Indices:
    p = int(task.penalised.sum())
    if max_features is None:
        return np.arange(largest_limit(task, n_candidates) + 1)
    limits = np.asarray(max_features)
    if limits.dtype.kind not in "iu" or limits.ndim > 1 or not limits.size:
        raise ValueError(
            f"max_features={max_features!r} must be the largest number of features, or a list of "
            "numbers: integers."
        )
    if limits.ndim == 0:
        limits = np.arange(min(int(limits), p) + 1)
    if limits.min() < 0 or limits.max() > p:
        raise ValueError(
            f"max_features={max_features!r} holds a number that is not from 0 to {p}, the number "
            "of features with a positive penalty weight."
        )
    return np.unique(limits).astype(np.intp)


def _geometric_alphas(task: SubsetTask, number: int) -> Array:
    """Evenly spaced in the logarithm, from where the first feature enters that does not dominate.

    Those that do, such as a column of ones without an intercept, have a strength of their own.
    """
    if not task.penalised.any():
        return np.geomspace(1.0, 0.1, number)
    values = _first_values(task, TUNING.most_dominant + 1)
    weights = task.penalty.factors(task.design.n_features)[task.penalised]
    gains = -np.diff(values) / float(weights.min())
    first, most = 0, min(TUNING.most_dominant, len(gains) - 1, number - 1)
    for k in range(most):
        if _dominates(values, k, TUNING.lowest if k == first else TUNING.together):
            first = k + 1
    highest = float(gains[first]) if gains[first] > 0.0 else 1.0
    lowest = min(max(TUNING.lowest * highest, values[first] / task.sample_count), 0.1 * highest)
    entered = np.sort(np.maximum(gains[:first], highest))[::-1]
    return np.concatenate((entered, np.geomspace(highest, lowest, number - first)))


def _first_values(task: SubsetTask, most: int) -> Array:
    """Loss and norms of the best fits of at most 0, 1, 2, ... features."""
    limits = np.arange(min(most, int(task.penalised.sum())) + 1)
    fits = task.fit_along(Grid(max_features=limits))
    return task.losses(fits) + task.norms(fits)


def _dominates(values: Array, k: int, share: float) -> bool:
    """Whether the next feature explains all but a share of a loss that is more than rounding."""
    before, after = values[k : k + 2]
    return bool(TUNING.exact * values[0] < after < share * before)
