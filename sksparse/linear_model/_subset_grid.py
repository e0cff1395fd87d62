"""Which sizes or prices to try."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np

from .._typing import Array, Indices
from ._subset_task import Grid, SubsetTask

_LARGEST_SIZE = 100
# Prices go down to this share of the largest, but not below what the null model loses a sample.
_LOWEST_PRICE = 1e-3


def make_grid(task: SubsetTask, max_features: Any, alphas: Any, n: float) -> Grid:
    """The grid that the parameters describe; ``n`` is the sum of the sample weights.

    Raises
    ------
    ValueError
        Where both are given, or a value cannot be used.
    """
    if alphas is None:
        return Grid(sizes=_sizes(task, max_features, n))
    if max_features is not None:
        raise ValueError(
            f"max_features={max_features!r} and alphas={alphas!r} exclude each other: give the "
            "sizes to try, or the prices."
        )
    if isinstance(alphas, Integral):
        return Grid(alphas=_price_grid(task, int(alphas), n))
    return Grid(alphas=_prices(alphas))


def largest_size(task: SubsetTask, n: float) -> int:
    """``n / (log(p) log(log(n)))``, at most 100, the number of features, or what data determine.

    The logarithms are at least one.
    """
    p = int(task.priced.sum())
    known = np.count_nonzero(task.loss.weights) - task.fit_intercept - 1
    bound = n / (max(np.log(max(p, 1)), 1.0) * max(np.log(max(np.log(max(n, 1.0)), 1.0)), 1.0))
    return max(min(int(bound), p, int(known), _LARGEST_SIZE), min(p, 1))


def _sizes(task: SubsetTask, max_features: Any, n: float) -> Indices:
    p = int(task.priced.sum())
    if max_features is None:
        return np.arange(largest_size(task, n) + 1)
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
    """Geometric, from where the first feature enters."""
    highest = 1.0
    if task.priced.any():
        ends = task.over(Grid(sizes=np.array([0, 1])))
        values = task.losses(ends) + task.norms(ends)
        prices = task.rules.factors(task.design.n_features)
        gain = float(values[0] - values[1]) / float(prices[task.priced].min())
        highest = gain if gain > 0.0 else highest
    lowest = min(max(_LOWEST_PRICE * highest, task.null_loss / n), 0.1 * highest)
    return np.geomspace(highest, lowest, number)
