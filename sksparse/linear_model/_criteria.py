"""Information criteria, in units of twice the log-likelihood.

Throughout, n is the number of samples that the weights stand for; D is the deviance, ``n log(mse)``
for a squared loss, whose variance is estimated by the weighted mean squared error of the fit
itself, and ``2 n`` times the weighted mean log loss otherwise; df is the number of coefficients
that are not zero, the intercept left out; k is the number of features that were chosen among the p
with a positive penalty weight: those without one are always kept, so they count in df but not in k
and p.

A criterion is meaningful as long as the search among subsets does not use up the samples; numbers
of features at which it does are excluded by :func:`trusted`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.special import gammaln

from sksparse._typing import Array, Mask


def aic(deviance: Array, df: Array, n: float, k: Array, p: int) -> Array:
    """Akaike's criterion, ``D + 2 df``."""
    return deviance + 2.0 * df


def bic(deviance: Array, df: Array, n: float, k: Array, p: int) -> Array:
    """Bayesian information criterion, ``D + df log(n)``."""
    return deviance + df * np.log(n)


def ebic(deviance: Array, df: Array, n: float, k: Array, p: int) -> Array:
    """Extended BIC, ``D + df log(n) + 2 k log(p)``."""
    return bic(deviance, df, n, k, p) + 2.0 * k * np.log(max(p, 1))


def gic(deviance: Array, df: Array, n: float, k: Array, p: int) -> Array:
    """Generalised criterion, ``D + df log(p) log(log(n))``; the logarithms are at least 0."""
    return deviance + df * np.log(max(p, 1)) * np.log(max(np.log(n), 1.0))


# An upper bound on the relative rounding error of a predictor.
_ROUNDING = 1e-13

#: A criterion takes deviance, df, n, k and p, and is to be minimised.
CRITERIA: dict[str, Callable[[Array, Array, float, Array, int], Array]] = {
    "aic": aic,
    "bic": bic,
    "ebic": ebic,
    "gic": gic,
}


def deviance(losses: Array, n: float, null_loss: float, *, squared: bool) -> Array:
    """Deviance of weighted mean losses, half the mean squared error or the log loss.

    A loss is at least what rounding of the predictor may leave of a perfect fit.
    """
    losses = np.maximum(losses, (_ROUNDING**2 if squared else _ROUNDING) * null_loss)
    if not squared:
        return 2.0 * n * losses
    # A constant target is fitted by every model alike.
    return n * np.log(2.0 * losses) if null_loss > 0.0 else np.zeros_like(losses)


def sample_count(weights: Array) -> float:
    """How many samples the weights stand for.

    Whole numbers are repetitions, and their sum is the number. The scale of others has no meaning:
    they stand for the effective number of samples, ``(sum w)^2 / sum w^2`` (Kish, 1965), which does
    not depend on it.
    """
    if np.array_equal(weights, np.round(weights)):
        return float(weights.sum())
    shares = weights / weights.max()
    return float(shares.sum() ** 2 / (shares @ shares))


def trusted(
    deviance: Array, df: Array, n: float, k: Array, p: int, *, intercept: bool, information: float
) -> Mask:
    """At which points of a path a criterion is meaningful.

    The best of the ``C(p, k)`` subsets of k features fits noise as if it had ``2 log C(p, k)`` more
    coefficients. Where these and the intercept are not fewer than the samples, a good fit is no
    evidence: noise would fit as well. Such a k counts only if it improves on all smaller ones by
    more than noise would, by the extended BIC with the term for each feature multiplied by the
    samples per residual degree of freedom (as in the corrected AIC).

    Parameters
    ----------
    deviance, df, k : ndarrays of shape (n_points,)
        As above.
    n, p : float and int
        As above.
    intercept : bool
        Whether there is an intercept.
    information : float
        Effective number of samples in the targets: n, or less where classes are unbalanced.

    Returns
    -------
    trusted : ndarray of shape (n_points,)
        True where a criterion can be used; always for the smallest number of features.
    """
    searched = 2.0 * (gammaln(p + 1.0) - gammaln(k + 1.0) - gammaln(p - k + 1.0))
    plain = df + intercept + searched < information
    left = information - intercept - 1.0 - (df - k)
    with np.errstate(divide="ignore", invalid="ignore"):
        features = -n * np.log1p(-k / left)
    features = np.where((left > 0.0) & (k < left), features, np.inf)
    value = deviance + features * (np.log(n) + 2.0 * np.log(max(p, 1)))
    better = np.array([value[i] < value[k < k[i]].min(initial=np.inf) for i in range(len(k))])
    return np.asarray(plain | (better & np.isfinite(value)) | (k == k.min()))
