"""Sequences of weights for the sorted L1 norm."""

from __future__ import annotations

from numbers import Integral, Real

import numpy as np
from scipy.special import ndtri

from sksparse._typing import Array
from sksparse.penalties._base import check_factors

KINDS = ("bh", "gaussian", "lasso")
#: Ranks over which the first half of the fall is spent where features outnumber samples.
STEEP_RANKS = 10


def oscar_weights(n_features: int, pairwise: float, ranks: int | None = None) -> Array:
    """Weights that make the sorted L1 norm the OSCAR penalty.

    ``sum_{j<k} max(|w_j|, |w_k|)`` counts the i-th largest magnitude ``n_features - i`` times, so a
    share ``pairwise`` of its mean over partners and a share ``1 - pairwise`` of the L1 norm make
    ``(1 - pairwise) + pairwise * (n_features - i) / (n_features - 1)``. With fewer ``ranks`` they
    fall as far over the first so many features, and the others share the smallest weight.

    Parameters
    ----------
    n_features : int
        Number of features.
    pairwise : float
        Share of the pairwise term, from 0 to 1.
    ranks : int or None, default=None
        Features over which the weights fall; None is all of them.

    Returns
    -------
    weights : ndarray of shape (n_features,)
        Non-increasing from 1 to ``1 - pairwise``; the weight of a single feature is 1.

    Raises
    ------
    ValueError
        For a bad argument.

    See Also
    --------
    slope_weights : The sequences of SLOPE.

    Examples
    --------
    >>> from sksparse.penalties import oscar_weights
    >>> oscar_weights(5, pairwise=0.5)
    array([1.   , 0.875, 0.75 , 0.625, 0.5  ])
    >>> oscar_weights(5, pairwise=0.5, ranks=3)
    array([1.  , 0.75, 0.5 , 0.5 , 0.5 ])
    """
    _check_count("n_features", n_features)
    _check_count("ranks", 1 if ranks is None else ranks)
    if not (isinstance(pairwise, Real) and 0.0 <= pairwise <= 1.0):
        raise ValueError(f"pairwise must be a number from 0 to 1; got {pairwise!r}.")
    last = max((n_features if ranks is None else min(ranks, n_features)) - 1, 1)
    below = np.maximum(last - np.arange(n_features, dtype=np.float64), 0.0)
    return (1.0 - pairwise) + pairwise * below / last


def steep_oscar_weights(n_features: int, pairwise: float) -> Array:
    """Weights of OSCAR for features that outnumber samples: most of the fall is at the first ranks.

    What is tied depends on the fall from rank to rank. Evenly over many ranks that is next to
    nothing, and OSCAR is the lasso; but the fall in all is bias, and a long steep one admits many
    small coefficients in one cluster. So half of the fall is spent on the ten largest magnitudes.
    The other half, over the rest, still ties equal columns wherever they rank.

    Parameters
    ----------
    n_features : int
        Number of features.
    pairwise : float
        How far the weights fall in all, from 0 to 1.

    Returns
    -------
    weights : ndarray of shape (n_features,)
        Non-increasing from 1 to ``1 - pairwise``; for up to 21 features those of
        :func:`oscar_weights`.
    """
    last = n_features - 1
    knots = [0.0, min(STEEP_RANKS, last / 2), float(last)]
    heights = [1.0, 1.0 - pairwise / 2, 1.0 - pairwise]
    return np.asarray(np.interp(np.arange(n_features), knots, heights))


def slope_weights(
    n_features: int, kind: str = "bh", q: float = 0.1, n_samples: int | None = None
) -> Array:
    r"""Sequences of weights that control the share of false discoveries of SLOPE.

    The weights :math:`\lambda_1 \ge \dots \ge \lambda_p` of p features are, by `kind`,

    * "bh", the thresholds of Benjamini and Hochberg,
      :math:`\lambda_i = \Phi^{-1}(1 - q i / (2 p))`;
    * "gaussian", the same corrected for correlations by chance among the features of a Gaussian
      design of n samples, :math:`\mu_i = \lambda_i \sqrt{1 + \sum_{j<i} \mu_j^2 / (n - i)}` as long
      as this falls and i < n, and constant from there;
    * "lasso", :math:`\lambda_i = 1`.

    Parameters
    ----------
    n_features : int
        Number of features.
    kind : {"bh", "gaussian", "lasso"}, default="bh"
        Which sequence.
    q : float, default=0.1
        Share of false discoveries aimed at, above 0 and below 1; "lasso" has none.
    n_samples : int or None, default=None
        Number of samples; only "gaussian" depends on it, and needs it.

    Returns
    -------
    weights : ndarray of shape (n_features,)
        Non-negative and non-increasing.

    Raises
    ------
    ValueError
        For a bad argument.

    See Also
    --------
    oscar_weights : Weights that fall evenly.
    SortedL1 : The penalty.

    Notes
    -----
    They are quantiles of the standard normal distribution. In an objective with the mean of the
    squared errors, halved, and features of variance one the strength that belongs to them is
    :math:`\sigma / \sqrt{n}`, with :math:`\sigma` the standard deviation of the noise. Then the
    expected share of false discoveries is at most :math:`q p_0 / p` for orthogonal features
    ("bh"), of which :math:`p_0` have coefficient zero, and close to that for independent
    Gaussian ones with few discoveries ("gaussian").

    References
    ----------
    M. Bogdan, E. van den Berg, C. Sabatti, W. Su and E. J. Candes (2015). "SLOPE: adaptive
    variable selection via convex optimization". Annals of Applied Statistics 9, 1103-1140;
    Section 3.2.2 for "gaussian".

    Examples
    --------
    >>> from sksparse.penalties import slope_weights
    >>> slope_weights(5).round(3)
    array([2.326, 2.054, 1.881, 1.751, 1.645])
    >>> slope_weights(5, "gaussian", n_samples=20).round(3)
    array([2.326, 2.326, 2.326, 2.326, 2.326])
    >>> slope_weights(5, "gaussian", n_samples=60).round(3)
    array([2.326, 2.147, 2.039, 1.96 , 1.895])
    """
    _check_count("n_features", n_features)
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(map(repr, KINDS))}; got {kind!r}.")
    if not (isinstance(q, Real) and 0.0 < q < 1.0):
        raise ValueError(f"q must be a number above 0 and below 1; got {q!r}.")
    if kind == "lasso":
        return np.ones(n_features)
    # q i / (2 p) stays a tail, which 1 - q i / (2 p) would round to none.
    tails = np.arange(1, n_features + 1) * (q / (2.0 * n_features))
    weights = np.maximum(-ndtri(np.maximum(tails, np.finfo(np.float64).tiny)), 0.0)
    if kind == "bh":
        return weights
    if n_samples is None:
        raise ValueError('kind="gaussian" depends on n_samples; got None.')
    _check_count("n_samples", n_samples)
    return _corrected(weights, n_samples)


def _corrected(weights: Array, n_samples: int) -> Array:
    """Weights for Gaussian designs, constant from where they would rise."""
    result = weights.copy()
    squares, end = 0.0, min(len(weights), max(n_samples - 1, 1))
    for i in range(1, end):
        squares += float(result[i - 1]) ** 2
        result[i] = weights[i] * np.sqrt(1.0 + squares / (n_samples - i - 1))
        if result[i] > result[i - 1]:
            end = i
            break
    result[end:] = result[end - 1]
    return result


def check_sorted(weights: Array, n_features: int | None = None) -> None:
    """Raise a ValueError unless weights are finite, non-negative, non-increasing and so many."""
    check_factors("weights", weights, n_features)
    if weights.ndim != 1:
        raise ValueError(f"weights must have one dimension; got shape {weights.shape}.")
    rises = np.flatnonzero(np.diff(weights) > 0.0)
    if rises.size:
        i = int(rises[0])
        raise ValueError(
            f"weights must not increase; got {weights[i]} followed by {weights[i + 1]} at position "
            f"{i + 1}. Sort them, largest first."
        )


def _check_count(name: str, value: object) -> None:
    if not isinstance(value, Integral) or value < 1:
        raise ValueError(f"{name} must be an integer of at least 1; got {value!r}.")
