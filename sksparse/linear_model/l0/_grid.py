"""Which numbers of features, or which strengths, to try."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np

from sksparse._typing import Array, Indices
from sksparse.linear_model._path_protocol import Grid, check_alphas
from sksparse.linear_model.l0._task import SubsetTask

_LARGEST_LIMIT = 100
# Strengths go down to this share of the largest, but not below what the null model loses a sample.
_LOWEST_ALPHA = 1e-3
# So many features may explain all but that share of what is left, if not all but rounding; several
# together, all but that share.
_MOST_DOMINANT, _EXACT, _TOGETHER = 3, 1e-24, 1e-7


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
    if isinstance(alphas, Integral):
        return Grid(alphas=_geometric_alphas(task, int(alphas)))
    return Grid(alphas=check_alphas(alphas))


def candidates(task: SubsetTask, n_candidates: int | None) -> int:
    """Number of features with a price among which was chosen, before and in X.

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
    return int(task.priced.sum()) + (0 if given is None else given - known)


def largest_limit(task: SubsetTask, n_candidates: int | None = None) -> int:
    """``n / (log(p) log(log(n)))``, at most 100, the number of features, or what data determine.

    The logarithms are at least one.
    """
    n, p, searched = task.sample_count, int(task.priced.sum()), candidates(task, n_candidates)
    beside = int(task.fit_intercept) + 1
    known = task.distinct(_LARGEST_LIMIT + beside) - beside
    slow = max(np.log(max(np.log(max(n, 1.0)), 1.0)), 1.0)
    bound = n / (max(np.log(max(searched, 1)), 1.0) * slow)
    return max(min(int(bound), p, known, _LARGEST_LIMIT), min(p, 1))


def _limits(task: SubsetTask, max_features: Any, n_candidates: int | None) -> Indices:
    p = int(task.priced.sum())
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
    """Geometric, from where the first feature enters that does not explain nearly all.

    Those that do, such as a column of ones without an intercept, have a strength of their own.
    """
    if not task.priced.any():
        return np.geomspace(1.0, 0.1, number)
    values = _first_values(task, _MOST_DOMINANT + 1)
    gains = -np.diff(values) / float(
        task.penalty.factors(task.design.n_features)[task.priced].min()
    )
    first, most = 0, min(_MOST_DOMINANT, len(gains) - 1, number - 1)
    for size in range(most):
        if _dominates(values, size, _LOWEST_ALPHA if size == first else _TOGETHER):
            first = size + 1
    highest = float(gains[first]) if gains[first] > 0.0 else 1.0
    lowest = min(max(_LOWEST_ALPHA * highest, values[first] / task.sample_count), 0.1 * highest)
    entered = np.sort(np.maximum(gains[:first], highest))[::-1]
    return np.concatenate((entered, np.geomspace(highest, lowest, number - first)))


def _first_values(task: SubsetTask, most: int) -> Array:
    """Loss and norms of the best fits of at most 0, 1, 2, ... features."""
    limits = np.arange(min(most, int(task.priced.sum())) + 1)
    fits = task.fit_along(Grid(max_features=limits))
    return task.losses(fits) + task.norms(fits)


def _dominates(values: Array, size: int, share: float) -> bool:
    """Whether the next feature explains all but a share of a loss that is more than rounding."""
    before, after = values[size : size + 2]
    return bool(_EXACT * values[0] < after < share * before)
