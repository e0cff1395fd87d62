r"""How many features of low selection probability a stability selection keeps, at most on average.

Of p features, let a base procedure select q on average from half of the samples. Then
:math:`\theta = q / p` is the mean selection probability, and features whose own is at most that are
the ones that should not be kept. B pairs of disjoint halves are drawn, and what at least a share
:math:`\tau` of the 2B halves select is kept. A feature of low probability is selected by *both*
halves of a pair with a probability of at most :math:`\theta^2`, since they are disjoint; so the
share of pairs that select it twice, which is at least :math:`2\tau - 1` where it is kept, has a
mean of at most :math:`\theta^2`. Each bound is p times the largest probability of that:

"none"
    Markov's inequality, :math:`\theta^2 p / (2\tau - 1) = q^2 / ((2\tau - 1) p)`: the bound of
    Meinshausen and Bühlmann (2010), which Shah and Samworth (2013, theorem 1) prove for pairs
    without assuming that features are exchangeable.
"unimodal"
    The same where the distribution of that share is unimodal (Shah and Samworth, theorem 2).
"r-concave"
    The same where that distribution is r-concave for r = -1/2, and that of the share of halves
    for r = -1/4 (Shah and Samworth, equation 8): the smaller one of the two.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from sksparse._typing import Array, Mask

#: The shapes of the distribution of selections that may be assumed, the weakest first.
ASSUMPTIONS = ("none", "unimodal", "r-concave")

# Bisections of the logarithm of a shape parameter between the two limits: to 1e-13 of it.
_N_BISECTIONS, _SMALLEST, _LARGEST = 50, 1e-9, 1e9


def votes_needed(threshold: float, n_pairs: int) -> int:
    """How many of the 2B halves must select a feature for a share of at least the threshold.

    The threshold is above one half, and so is this.
    """
    return max(int(np.ceil(threshold * 2 * n_pairs * (1.0 - 1e-12))), n_pairs + 1)


def error_bound(q: float, n_features: int, n_votes: int, n_pairs: int, assumption: str) -> float:
    """Bound on the expected number of kept features of low selection probability.

    Parameters
    ----------
    q : float
        Number of features that the base procedure selects from half of the samples, on average.
    n_features : int
        Number of features.
    n_votes : int
        How many of the halves must select a feature that is kept, more than half of them.
    n_pairs : int
        Number of pairs of halves.
    assumption : {"none", "unimodal", "r-concave"}
        What is assumed of the distribution of the selections.

    Returns
    -------
    bound : float
        At most ``n_features``, and 0 where nothing is ever selected.
    """
    theta = min(q / n_features, 1.0)
    if theta == 0.0:
        return 0.0
    n_twice = n_votes - n_pairs
    tail = min(1.0, theta**2 * n_pairs / n_twice)
    if assumption == "unimodal":
        tail = min(tail, unimodal_tail(theta**2, n_twice, n_pairs))
    elif assumption == "r-concave":
        twice = r_concave_tails(theta**2, n_pairs, -0.5)[n_twice]
        once = r_concave_tails(theta, 2 * n_pairs, -0.25)[n_votes]
        tail = min(tail, float(twice), float(once))
    return n_features * tail


def unimodal_tail(mean: float, least: int, n: int) -> float:
    """Largest P(X >= least / n) of a unimodal X on 0, 1/n, ..., 1 whose mean is at most ``mean``.

    Shah and Samworth's bound, which is 1 where it does not apply: for means above a third, and for
    a tail that begins near the mean.
    """
    share = least / n
    if mean > 1.0 / 3.0 or share <= min(2.0 * mean, 1.5 * mean + 1.0 / n):
        return 1.0
    if share <= 0.5:
        return mean / (2.0 * share - 1.0 / n)
    return 2.0 * mean * (1.0 - share + 1.0 / n) / (1.0 + 1.0 / n)


@lru_cache(maxsize=256)
def r_concave_tails(mean: float, n: int, r: float) -> Array:
    r"""Largest P(X >= k / n), k = 0, ..., n, of an r-concave X on 0, 1/n, ..., 1.

    A probability f is r-concave, for r < 0, where :math:`f^r` is convex. Among those of one mean
    the tail is largest where :math:`f^r` is a straight line up to some last value, and nothing lies
    beyond: the shapes :math:`(1 + i / a)^{1/r}`, falling or rising. All last values are tried.

    Parameters
    ----------
    mean : float
        The largest mean of X.
    n : int
        Number of steps.
    r : float
        Exponent, below zero.

    Returns
    -------
    tails : ndarray of shape (n + 1,)
        The probabilities; 1 up to the mean.
    """
    target = mean * n
    lasts = np.arange(int(np.floor(target)) + 1, n + 1)
    steps = np.arange(n + 1.0)
    if not lasts.size:
        return np.ones(n + 1)
    inside = steps <= lasts[:, None]
    # a mean in the upper half of the support is that of the same shape, mirrored
    mirrored = target > lasts / 2.0
    goals = np.where(mirrored, lasts - target, target)
    low, high = np.full(lasts.size, np.log(_SMALLEST)), np.full(lasts.size, np.log(_LARGEST))
    for _ in range(_N_BISECTIONS):
        middle = 0.5 * (low + high)
        too_large = _falling(middle, steps, inside, r) @ steps > goals
        high, low = np.where(too_large, middle, high), np.where(too_large, low, middle)
    shapes = _falling(low, steps, inside, r)
    for row in np.flatnonzero(mirrored):
        shapes[row, : lasts[row] + 1] = shapes[row, lasts[row] :: -1]
    beyond = np.cumsum(shapes[:, ::-1], axis=1)[:, ::-1].max(axis=0)
    return np.where(steps <= target, 1.0, np.minimum(beyond, 1.0))


def _falling(log_scales: Array, steps: Array, inside: Mask, r: float) -> Array:
    """Probabilities proportional to (1 + i / a)^(1/r), a row for each scale a."""
    shapes = np.where(inside, (1.0 + steps * np.exp(-log_scales)[:, None]) ** (1.0 / r), 0.0)
    return np.asarray(shapes / shapes.sum(axis=1, keepdims=True))


def most_features(
    error: float, n_features: int, n_votes: int, n_pairs: int, assumption: str
) -> int:
    """The largest q whose bound is at most an error; 0 where that of q = 1 is above it."""
    low, high = 0, n_features + 1
    while high - low > 1:
        middle = (low + high) // 2
        if error_bound(middle, n_features, n_votes, n_pairs, assumption) <= error:
            low = middle
        else:
            high = middle
    return low


def fewest_votes(q: float, error: float, n_features: int, n_pairs: int, assumption: str) -> int:
    """The smallest number of votes whose bound is at most an error; 2B + 1 where there is none."""
    candidates = range(n_pairs + 1, 2 * n_pairs + 1)
    bounds = (error_bound(q, n_features, votes, n_pairs, assumption) for votes in candidates)
    kept = (votes for votes, bound in zip(candidates, bounds, strict=True) if bound <= error)
    return next(kept, 2 * n_pairs + 1)
