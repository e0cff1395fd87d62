"""The parameters of the sorted L1 family, and the weights that they describe."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.utils._param_validation import Interval, StrOptions

from sksparse._typing import Array
from sksparse._validation import _short, warn_if_more_than_all
from sksparse.linear_model._base import FIT_CONSTRAINTS
from sksparse.losses import Loss
from sksparse.penalties import oscar_weights, slope_weights
from sksparse.penalties._sorted_weights import steep_oscar_weights
from sksparse.solvers import Design
from sksparse.solvers._distinct import distinct_samples

#: The losses of quantities that a regressor of the family takes.
REGRESSION_LOSSES = ("squared", "poisson")
#: Sequences of weights by name.
SEQUENCES = ("bh", "oscar", "lasso", "gaussian")

#: How the weights of OSCAR fall.
OSCAR_CONSTRAINTS: dict[str, list[Any]] = {
    "pairwise": [Interval(Real, 0, 1, closed="both")],
    "ranks": [StrOptions({"auto", "all"}), Interval(Integral, 2, None, closed="left")],
}
#: Which weights SLOPE has.
SLOPE_CONSTRAINTS: dict[str, list[Any]] = {
    **OSCAR_CONSTRAINTS,
    "lambdas": [StrOptions(set(SEQUENCES)), "array-like"],
    "q": [Interval(Real, 0, 1, closed="neither")],
}
#: Parameters of every estimator that fits one strength.
SINGLE_CONSTRAINTS: dict[str, list[Any]] = {
    **FIT_CONSTRAINTS,
    "max_features": [Interval(Integral, 1, None, closed="left"), None],
    "max_clusters": [Interval(Integral, 1, None, closed="left"), None],
    "agglomerate": ["boolean"],
}
#: Parameters of a grid of strengths.
GRID_CONSTRAINTS: dict[str, list[Any]] = {
    "alphas": [Interval(Integral, 1, None, closed="left"), "array-like"],
    "eps": [Interval(Real, 0, 1, closed="neither")],
}
#: Parameters of paths, besides those of a grid and of the weights.
PATH_CONSTRAINTS: dict[str, list[Any]] = {
    **GRID_CONSTRAINTS,
    **{name: FIT_CONSTRAINTS[name] for name in ("fit_intercept", "max_iter", "tol", "verbose")},
}
LOSS_CONSTRAINTS: dict[str, list[Any]] = {"loss": [StrOptions(set(REGRESSION_LOSSES))]}
CLASS_CONSTRAINTS: dict[str, list[Any]] = {
    "class_weight": [dict, StrOptions({"balanced"}), None],
}


@dataclass(frozen=True)
class Sequence:
    """A sequence of weights, by name or by number.

    Parameters
    ----------
    lambdas : {"bh", "oscar", "lasso", "gaussian"} or array-like of shape (n_features,)
        Which one.
    q : float
        Of "bh" and "gaussian": the share of false discoveries.
    pairwise : float
        Of "oscar": the share of the pairwise term.
    ranks : {"auto", "all"} or int
        Of "oscar": over how many of the largest magnitudes the weights fall.
    """

    lambdas: Any
    q: float
    pairwise: float
    ranks: str | int

    def weights(self, design: Design, loss: Loss) -> Array:
        """The weights for features and samples, shape (n_features,).

        Raises
        ------
        ValueError
            Where weights that were listed cannot be used.
        """
        p = design.n_features
        if not isinstance(self.lambdas, str):
            return check_lambdas(self.lambdas, p)
        if self.lambdas == "oscar":
            return self._falling(design, loss)
        n_samples = None
        if self.lambdas == "gaussian":
            n_samples = _distinct(design, loss, design.n_samples)
        return slope_weights(p, self.lambdas, q=self.q, n_samples=n_samples)

    def _falling(self, design: Design, loss: Loss) -> Array:
        p = design.n_features
        if self.ranks == "all":
            return oscar_weights(p, self.pairwise)
        if self.ranks == "auto":
            if _distinct(design, loss, p) == p:
                return oscar_weights(p, self.pairwise)
            return steep_oscar_weights(p, self.pairwise)
        warn_if_more_than_all("ranks", self.ranks, p)
        return oscar_weights(p, self.pairwise, int(self.ranks))


def _distinct(design: Design, loss: Loss, most: int) -> int:
    """Number of different samples with a weight, as far as ``most``: so weights equal copies."""
    # features that are not finite are refused once they are measured
    with np.errstate(invalid="ignore", over="ignore"):
        return distinct_samples(design, loss.y, np.flatnonzero(loss.weights > 0.0), most)


def check_lambdas(lambdas: Any, n_features: int) -> Array:
    """Weights of a sorted L1 norm as the user lists them.

    Raises
    ------
    ValueError
        Where they cannot be used.
    """
    remedy = (
        f"give {n_features} weights, one for each feature of X, that are not negative and do not "
        "increase, the largest positive, or the name of a sequence"
    )
    try:
        weights = np.asarray(lambdas, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"lambdas={_short(lambdas)} are not numbers: {remedy}.") from error
    fault = ""
    if weights.shape != (n_features,):
        fault = f"have shape {weights.shape}"
    elif not np.all(np.isfinite(weights)):
        fault = "are not all finite"
    elif weights.min() < 0.0:
        fault = f"have a negative entry, {weights.min():.6g}"
    elif np.any(np.diff(weights) > 0.0):
        first = int(np.argmax(np.diff(weights) > 0.0))
        fault = f"increase from {weights[first]:.6g} to {weights[first + 1]:.6g}"
    elif not weights.any():
        fault = "are all zero"
    if fault:
        raise ValueError(f"lambdas={_short(lambdas)} {fault}: {remedy}.")
    return weights
