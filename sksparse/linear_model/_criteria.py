"""Information criteria, in units of twice the log-likelihood.

Throughout, n is the sum of the sample weights, so that an integer weight equals so many repetitions
of the sample; D is the deviance, ``n log(mse)`` for a squared loss, whose variance is estimated by
the weighted mean squared error of the fit itself, and ``2 n`` times the weighted mean log loss
otherwise; df is the number of coefficients that are not zero, the intercept left out; k is the
number of features that were chosen among the p with a price: those without one are always kept, so
they count in df but not in k and p.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .._typing import Array


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


#: A criterion takes deviance, df, n, k and p, and is to be minimised.
CRITERIA: dict[str, Callable[[Array, Array, float, Array, int], Array]] = {
    "aic": aic,
    "bic": bic,
    "ebic": ebic,
    "gic": gic,
}


def deviance(losses: Array, n: float, null_loss: float, *, squared: bool, eps: float) -> Array:
    """Deviance of weighted mean losses, half the mean squared error or the log loss.

    A loss below the rounding error of the null model's, ``eps`` times it, counts as that.
    """
    losses = np.maximum(losses, eps * null_loss)
    if not squared:
        return 2.0 * n * losses
    # A constant target is fitted by every model alike.
    return n * np.log(2.0 * losses) if null_loss > 0.0 else np.zeros_like(losses)
