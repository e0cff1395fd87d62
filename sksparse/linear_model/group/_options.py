"""The parameters of the group lasso family, and the checks that they share."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions

from sksparse._groups import GROUP_FORMS, OVERLAP_FORMS
from sksparse._typing import Array
from sksparse._validation import _short

#: Parameters of every estimator of the family.
GROUP_CONSTRAINTS: dict[str, list[Any]] = {
    "groups": GROUP_FORMS,
    "overlap": OVERLAP_FORMS,
    "l1_ratio": [Interval(Real, 0, 1, closed="both")],
    "l2": [Interval(Real, 0, None, closed="left")],
    "penalty_weights": ["array-like", None],
    "missing_columns": [StrOptions({"error", "ignore"})],
    "positive": ["boolean", "array-like"],
    "bounds": [tuple, list, None],
    "relax": ["boolean"],
    "adaptive": [StrOptions({"ridge"}), HasMethods(["fit", "get_params"]), None],
    "fit_intercept": ["boolean"],
    "max_iter": [Interval(Integral, 1, None, closed="left")],
    "tol": [Interval(Real, 0, None, closed="left")],
    "verbose": ["verbose"],
}
#: Parameters of a grid of strengths.
GRID_CONSTRAINTS: dict[str, list[Any]] = {
    "alphas": [Interval(Integral, 1, None, closed="left"), "array-like"],
    "eps": [Interval(Real, 0, 1, closed="neither")],
}
#: Parameters of the losses of quantities.
LOSS_CONSTRAINTS: dict[str, list[Any]] = {
    "epsilon": [Interval(Real, 0, None, closed="neither")],
    "ties": [StrOptions({"breslow", "efron"})],
}
#: Names of the parameters that describe a :class:`GroupModel`.
MODEL_PARAMETERS = (
    "groups",
    "missing_columns",
    "overlap",
    "penalty_weights",
    "l1_ratio",
    "l2",
    "positive",
    "bounds",
)


def check_bounds(positive: Any, bounds: Any, n_features: int) -> tuple[Array, Array] | None:
    """Bounds of every coefficient, or None where there are none.

    Parameters
    ----------
    positive : bool or array-like of shape (n_features,)
        Coefficients that must not be negative, all or by a mask.
    bounds : pair of float, array-like of shape (n_features,) or None; or None
        Lower and upper bounds, one for all or one per feature.
    n_features : int
        Number of features.

    Raises
    ------
    ValueError
        Where they cannot be used.
    """
    lower, upper = (-np.inf, np.inf) if bounds is None else _pair(bounds, n_features)
    low = np.broadcast_to(lower, n_features).copy()
    high = np.broadcast_to(upper, n_features).copy()
    mask = np.asarray(positive)
    if mask.dtype != np.bool_ or mask.shape not in ((), (n_features,)):
        raise ValueError(
            f"positive must be True, False or a boolean mask of shape ({n_features},); got "
            f"{_short(positive)}."
        )
    low[np.broadcast_to(mask, n_features)] = 0.0
    if np.isneginf(low).all() and np.isposinf(high).all():
        return None
    return low, high


def _pair(bounds: Any, n_features: int) -> tuple[Array, Array]:
    remedy = (
        "give a pair (lower, upper) of numbers or arrays of shape "
        f"({n_features},), with lower <= 0 <= upper; None is no bound"
    )
    if len(bounds) != 2:
        raise ValueError(f"bounds={_short(bounds)} has {len(bounds)} entries: {remedy}.")
    open_ends = (-np.inf, np.inf)
    sides = [end if side is None else side for side, end in zip(bounds, open_ends, strict=True)]
    try:
        lower, upper = (np.asarray(side, dtype=np.float64) for side in sides)
    except (TypeError, ValueError) as error:
        raise ValueError(f"bounds={_short(bounds)} are not numbers: {remedy}.") from error
    shapes = {lower.shape, upper.shape} - {(), (n_features,)}
    # nan is on neither side of zero
    if shapes or not np.all(lower <= 0.0) or not np.all(upper >= 0.0):
        raise ValueError(f"bounds={_short(bounds)} cannot be used: {remedy}.")
    return lower, upper
