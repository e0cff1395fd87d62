"""Codebooks: k-means of numbers, optimal or from a start of one's choice."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

#: How the clusters are found or started.
INITS = ("optimal", "linear", "density", "random")
#: More different numbers than this are pooled before the optimum is looked for.
_MOST_POINTS = 1 << 13
#: Lloyd's iterations at most; they are few on a line.
_MAX_ITER = 300


def kmeans_1d(
    values: ArrayLike,
    n_levels: int,
    *,
    weights: ArrayLike | None = None,
    init: str = "optimal",
    random_state: int | np.random.Generator | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    r"""Levels that numbers are rounded to with the least squared error.

    Minimises :math:`\sum_i s_i \min_j (v_i - c_j)^2` over levels :math:`c_1 < \dots < c_k`.

    Parameters
    ----------
    values : array-like of shape (n,)
        Finite numbers :math:`v_i`.
    n_levels : int
        Number of levels k, one or more. There are fewer where there are fewer different values.
    weights : array-like of shape (n,), default=None
        Weights :math:`s_i`, not negative and not all zero. None weighs all equally.
    init : {"optimal", "linear", "density", "random"}, default="optimal"
        "optimal" finds the minimum by dynamic programming in ``O(k n log n)``; where more than
        8192 values are different, those of equal shares are pooled first and Lloyd's iterations
        follow, so that the answer is within a hair of the minimum. The others are starts of
        Lloyd's iterations: levels at equal distances, at equal shares of the values, or at values
        drawn at random (Forgy).
    random_state : int, Generator or None, default=None
        For ``init="random"``.

    Returns
    -------
    levels : ndarray of shape (n_found,)
        The levels that some value is rounded to, in increasing order.
    labels : ndarray of shape (n,)
        The number of the level of each value.

    Raises
    ------
    ValueError
        Where there are no values or some are not finite, `n_levels` is less than one, or the
        weights or `init` are not as said.

    References
    ----------
    S. Han, H. Mao and W. J. Dally, "Deep compression: compressing deep neural networks with
    pruning, trained quantization and Huffman coding", ICLR 2016.

    H. Wang and M. Song, "Ckmeans.1d.dp: optimal k-means clustering in one dimension by dynamic
    programming", The R Journal, 2011.

    Examples
    --------
    >>> from sksparse.coding import kmeans_1d
    >>> levels, labels = kmeans_1d([0.9, 1.1, -2.0, 1.0, -2.2], 2)
    >>> levels, labels
    (array([-2.1,  1. ]), array([1, 1, 0, 1, 0]))
    """
    points, given = _checked(values, n_levels, weights, init)
    distinct, place = np.unique(points, return_inverse=True)
    mass = np.bincount(place, weights=given, minlength=len(distinct)).astype(np.float64)
    if len(distinct) <= n_levels:
        return distinct, place
    # sums of squares around a middle lose no digits
    shift = float(mass @ distinct / mass.sum())
    centres = _START[init](distinct - shift, mass, n_levels, np.random.default_rng(random_state))
    labels = _lloyd(distinct - shift, mass, centres)
    used, labels = np.unique(labels, return_inverse=True)
    return centres[used] + shift, labels[place]


def _checked(
    values: ArrayLike, n_levels: int, weights: ArrayLike | None, init: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    points = np.asarray(values, dtype=np.float64)
    if points.ndim != 1 or points.size == 0 or not np.isfinite(points).all():
        raise ValueError(
            f"values of shape {points.shape} must be one or more finite numbers in one dimension."
        )
    if n_levels < 1:
        raise ValueError(f"n_levels={n_levels!r} must be one or more.")
    if init not in INITS:
        raise ValueError(f"init={init!r} must be one of {', '.join(map(repr, INITS))}.")
    given = np.ones(len(points)) if weights is None else np.asarray(weights, dtype=np.float64)
    is_weight = given.shape == points.shape and np.isfinite(given).all()
    if not is_weight or given.min() < 0 or given.max() == 0:
        raise ValueError(
            f"weights of shape {given.shape} must be {len(points)} finite numbers, not negative "
            "and not all zero."
        )
    return points, given


def _optimal(
    points: NDArray[np.float64], mass: NDArray[np.float64], k: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    points, mass = _pooled(points, mass, max(_MOST_POINTS, k))
    from sksparse._kernels.coding.clusters import best_partition

    sums = np.zeros((3, len(points) + 1))
    sums[:, 1:] = np.cumsum([mass, mass * points, mass * points**2], axis=1)
    cut = np.zeros((k, len(points) + 1), dtype=np.int64)
    work = np.zeros((2, len(points) + 1)), np.zeros((64, 4), dtype=np.int64)
    best_partition(sums, k, work[0], cut, work[1])
    centres, end = np.empty(k), len(points)
    for c in reversed(range(k)):
        first = cut[c, end]
        weight = sums[0, end] - sums[0, first]
        # points without weight are as good as their middle
        total = sums[1, end] - sums[1, first]
        centres[c] = total / weight if weight > 0 else points[(first + end) // 2]
        end = first
    return centres


def _pooled(
    points: NDArray[np.float64], mass: NDArray[np.float64], most: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Neighbours as one point each, where there are more than so many."""
    if len(points) <= most:
        return points, mass
    # half of the groups have equal shares of the mass, half equal widths: tails stay apart
    share = (np.cumsum(mass) / mass.sum() * (most // 2)).astype(np.intp)
    width = ((points - points[0]) / np.ptp(points) * (most // 2 - 1)).astype(np.intp)
    group = np.unique(share + width, return_inverse=True)[1]
    total = np.bincount(group, weights=mass).astype(np.float64)
    middle = np.bincount(group, weights=points) / np.bincount(group)
    mean = np.bincount(group, weights=mass * points) / np.where(total > 0, total, 1.0)
    return np.where(total > 0, mean, middle), total


def _linear(
    points: NDArray[np.float64], mass: NDArray[np.float64], k: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    return np.linspace(points[0], points[-1], k)


def _density(
    points: NDArray[np.float64], mass: NDArray[np.float64], k: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    shares = (np.arange(k) + 0.5) / k
    return np.interp(shares, (np.cumsum(mass) - mass / 2) / mass.sum(), points)


def _random(
    points: NDArray[np.float64], mass: NDArray[np.float64], k: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    n_used = int(np.count_nonzero(mass))
    drawn = rng.choice(points, min(k, n_used), replace=False, p=mass / mass.sum())
    return np.sort(drawn)


_START: dict[str, Any] = {
    "optimal": _optimal,
    "linear": _linear,
    "density": _density,
    "random": _random,
}


def _lloyd(
    points: NDArray[np.float64], mass: NDArray[np.float64], centres: NDArray[np.float64]
) -> NDArray[np.intp]:
    """Labels of the points; the centres are moved in place."""
    from sksparse._kernels.coding.clusters import lloyd

    labels = np.zeros(len(points), dtype=np.intp)
    lloyd(points, mass, centres, labels, np.zeros((2, len(centres))), _MAX_ITER)
    return labels
