"""The parameters that constrain a subset, checked, and those of its search."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.utils._param_validation import Interval

from sksparse._typing import Mask
from sksparse._validation import check_penalty_weights, warn_if_more_than_all
from sksparse.penalties import L0
from sksparse.solvers import Solver, StepwiseNewton, SubsetNewton

#: Parameters that constrain a subset, of every estimator that chooses one.
SUBSET_CONSTRAINTS: dict[str, list[Any]] = {
    "l1": [Interval(Real, 0, None, closed="left")],
    "l2": [Interval(Real, 0, None, closed="left")],
    "positive": ["boolean", "array-like"],
    "penalty_weights": ["array-like", None],
    "effort": [Interval(Integral, 1, None, closed="left")],
}


def check_subset_penalty(
    n_features: int,
    *,
    max_features: int | None,
    l1: float,
    l2: float,
    scaled_l2: float = 0.0,
    penalty_weights: Any,
    positive: Any,
    n_outputs: int = 1,
) -> L0:
    """The penalty for so many features and outputs, from the parameters of an estimator."""
    if max_features is not None:
        remedy = ", or None to let alpha decide"
        warn_if_more_than_all("max_features", max_features, n_features, remedy)
        max_features = min(int(max_features), n_features)
    return L0(
        max_features=max_features,
        l1=float(l1),
        l2=float(l2),
        scaled_l2=scaled_l2,
        penalty_weights=check_penalty_weights(penalty_weights, n_features, per="feature"),
        positive=_check_positive(positive, n_features, n_outputs),
    )


def _check_positive(positive: Any, n_features: int, n_outputs: int) -> Mask | None:
    mask = np.asarray(positive)
    if mask.dtype != np.bool_ or mask.shape not in ((), (n_features,)):
        raise ValueError(
            f"positive must be True, False or a boolean mask of shape ({n_features},); got "
            f"{positive!r}."
        )
    if not mask.any():
        return None
    if n_outputs > 1:
        raise ValueError(
            f"positive={positive!r} is for two classes, and y has {n_outputs}: each feature has a "
            "coefficient for every class. Leave it at False."
        )
    return np.broadcast_to(mask, n_features).copy()


def newton_solver(estimator: Any) -> Solver:
    """The solver of losses other than the squared one that the parameters of an estimator name."""
    budget = {name: getattr(estimator, name) for name in ("tol", "max_iter", "verbose")}
    if estimator.solver in {"forward", "backward"}:
        return StepwiseNewton(backward=estimator.solver == "backward", **budget)
    return SubsetNewton(effort=estimator.effort * (estimator.solver == "auto"), **budget)
