"""Which sizes or prices to try."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np

from sksparse._typing import Array, Indices
from sksparse.linear_model.l0._task import Grid, SubsetTask

_LARGEST_SIZE = 100
# Prices go down to this share of the largest, but not below what the null model loses a sample.
_LOWEST_PRICE = 1e-3
# So many features may explain all but that share of what is left, if not all but rounding; several
# together, all but that share.
_MOST_DOMINANT, _EXACT, _TOGETHER = 3, 1e-24, 1e-7


def make_grid(
    task: SubsetTask, max_features: Any, alphas: Any, n: float, n_candidates: int | None = None
) -> Grid:
    """The grid that the parameters describe; ``n`` is the number of samples.

    Raises
    ------
    ValueError
        Where both are given, or a value cannot be used.
    """
    if alphas is None:
        return Grid(sizes=_sizes(task, max_features, n, n_candidates))
    if max_features is not None:
        raise ValueError(
            f"max_features={max_features!r} and alphas={alphas!r} exclude each other: give the "
            "sizes to try, or the prices."
        )
    if isinstance(alphas, Integral):
        return Grid(alphas=_price_grid(task, int(alphas), n))
    return Grid(alphas=_prices(alphas))


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


def largest_size(task: SubsetTask, n: float, n_candidates: int | None = None) -> int:
    """``n / (log(p) log(log(n)))``, at most 100, the number of features, or what data determine.

    The logarithms are at least one.
    """
    p, searched = int(task.priced.sum()), candidates(task, n_candidates)
    beside = int(task.fit_intercept) + 1
    known = task.distinct(_LARGEST_SIZE + beside) - beside
    slow = max(np.log(max(np.log(max(n, 1.0)), 1.0)), 1.0)
    bound = n / (max(np.log(max(searched, 1)), 1.0) * slow)
    return max(min(int(bound), p, known, _LARGEST_SIZE), min(p, 1))


def _sizes(task: SubsetTask, max_features: Any, n: float, n_candidates: int | None) -> Indices:
    p = int(task.priced.sum())
    if max_features is None:
        return np.arange(largest_size(task, n, n_candidates) + 1)
    sizes = np.asarray(max_features)
    if sizes.dtype.kind not in "iu" or sizes.ndim > 1 or not sizes.size:
        raise ValueError(
            f"max_features={max_features!r} must be the largest size, or a list of sizes: integers."
        )
    if sizes.ndim == 0:
        sizes = np.arange(min(int(sizes), p) + 1)
    if sizes.min() < 0 or sizes.max() > p:
        raise ValueError(
            f"max_features={max_features!r} holds a size that is not from 0 to {p}, the number of "
            "features with a positive price."
        )
    return np.unique(sizes).astype(np.intp)


def _prices(alphas: Any) -> Array:
    try:
        prices = np.asarray(alphas, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"alphas={alphas!r} must be numbers.") from error
    if prices.ndim != 1 or not prices.size or not np.all(np.isfinite(prices) & (prices >= 0)):
        raise ValueError(
            f"alphas={alphas!r} must be a list of prices, finite and non-negative, or how many to "
            "try."
        )
    return np.unique(prices)[::-1].copy()


def _price_grid(task: SubsetTask, number: int, n: float) -> Array:
    """Geometric, from where the first feature enters that does not explain nearly all.

    Those that do, such as a column of ones without an intercept, have a price of their own.
    """
    if not task.priced.any():
        return np.geomspace(1.0, 0.1, number)
    values = _first_values(task, _MOST_DOMINANT + 1)
    gains = -np.diff(values) / float(
        task.penalty.factors(task.design.n_features)[task.priced].min()
    )
    first, most = 0, min(_MOST_DOMINANT, len(gains) - 1, number - 1)
    for size in range(most):
        if _dominates(values, size, _LOWEST_PRICE if size == first else _TOGETHER):
            first = size + 1
    highest = float(gains[first]) if gains[first] > 0.0 else 1.0
    lowest = min(max(_LOWEST_PRICE * highest, values[first] / n), 0.1 * highest)
    entered = np.sort(np.maximum(gains[:first], highest))[::-1]
    return np.concatenate((entered, np.geomspace(highest, lowest, number - first)))


def _first_values(task: SubsetTask, size: int) -> Array:
    """Loss and norms of the best fits of sizes from 0 to this."""
    points = task.over(Grid(sizes=np.arange(min(size, int(task.priced.sum())) + 1)))
    return task.losses(points) + task.norms(points)


def _dominates(values: Array, size: int, share: float) -> bool:
    """Whether the next feature explains all but a share of a loss that is more than rounding."""
    before, after = values[size : size + 2]
    return bool(_EXACT * values[0] < after < share * before)
