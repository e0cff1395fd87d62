"""What the user passed, checked and turned into arrays.

Every check runs before any work is done; its error names the argument, the value and the remedy.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import validation
from sklearn.utils.validation import _check_sample_weight

from sksparse._interrupts import interruptible
from sksparse._typing import Array, Indices

# Squares of numbers up to this, and of one over it, are far inside the range of float64.
_LARGEST_SPREAD = 1e140
_NO_NAMES = "X has no column names: give positions, or a DataFrame (set_output of transformers)"


@contextmanager
def intact_on_failure(estimator: BaseEstimator) -> Iterator[None]:
    """Around a fit: should it raise, the estimator gets back the attributes it had.

    Signals from the keyboard wait until the fit asks for them.
    """
    saved = vars(estimator).copy()
    with interruptible():
        try:
            yield
        except BaseException:
            vars(estimator).clear()
            vars(estimator).update(saved)
            raise


def warn_unless_converged(message: str) -> None:
    """Issue a ``ConvergenceWarning`` for a non-empty message."""
    if message:
        warnings.warn(message, ConvergenceWarning, stacklevel=3)


def as_numpy(values: Any, name: str = "X") -> Any:
    """An array of any library as one of NumPy; frames, lists and sparse matrices stay as they are.

    Solvers compute with NumPy, also where scikit-learn is configured to dispatch to the library of
    the array (``array_api_dispatch``).

    Raises
    ------
    TypeError
        Where NumPy cannot read the array: it is on another device, or carries gradients.
    ValueError
        Where it holds what are no numbers, or masked entries.
    """
    if not isinstance(values, np.ndarray):
        is_frame = hasattr(values, "iloc") or hasattr(values, "__dataframe__")
        is_array = hasattr(values, "__array__") or hasattr(values, "__array_namespace__")
        if sparse.issparse(values) or is_frame or not is_array:
            return values
        try:
            values = np.asarray(values)
        except Exception as error:
            # each library has errors of its own
            raise TypeError(
                f"{name} is a {type(values).__module__}.{type(values).__name__} that NumPy cannot "
                f"read: {str(error).rstrip('.')}. Give a NumPy array; of a torch tensor, "
                f"{name}.detach().cpu().numpy()."
            ) from error
    if isinstance(values, np.ma.MaskedArray):
        if np.ma.is_masked(values):
            raise ValueError(
                f"{name} is a masked array with {np.ma.count_masked(values)} masked entries, "
                "whose values would be used: fill them, for example with nan and then an imputer."
            )
        return values.data
    if values.dtype.kind in "MmV" and name == "X":
        raise ValueError(
            f"X has dtype {values.dtype}, which is no number; give numbers, or a DataFrame whose "
            "columns a ColumnTransformer encodes."
        )
    return values


def validate_data(
    estimator: BaseEstimator, X: Any, y: Any = "no_validation", **options: Any
) -> Any:
    """scikit-learn's ``validate_data``, for arrays of every library."""
    if not isinstance(y, str):
        y = as_numpy(y, "y")
    return validation.validate_data(estimator, as_numpy(X), y, **options)


def check_data(
    estimator: BaseEstimator, X: Any, y: Any, sample_weight: Any, *, y_numeric: bool
) -> tuple[Any, Any, Array]:
    """Features as float32 or float64 (dense or CSC), targets, weights with sum one."""
    X, y = validate_data(
        estimator,
        X,
        y,
        accept_sparse="csc",
        dtype=[np.float64, np.float32],
        y_numeric=y_numeric,
    )
    weights = check_weights(sample_weight, X)
    return X, y, weights / weights.sum()


def check_target_scale(y: Any) -> None:
    """Refuse numeric targets whose squared errors float64 cannot hold."""
    with np.errstate(over="ignore"):
        spread = float(np.abs(np.asarray(y, dtype=np.float64) - float(y[0])).max())
    if not (spread == 0.0 or 1.0 / _LARGEST_SPREAD < spread < _LARGEST_SPREAD):
        raise ValueError(
            f"y spreads over {spread:.3g}: its squares are beyond the range of float64. Scale y, "
            "to unit variance for example."
        )


def check_weights(sample_weight: Any, X: Any) -> Array:
    """Non-negative sample weights, not all zero, as they were given."""
    if sample_weight is None:
        return np.ones(X.shape[0])
    sample_weight = as_numpy(sample_weight, "sample_weight")
    if not np.any(np.asarray(sample_weight)):
        raise ValueError(
            "sample_weight is zero for every sample; give at least one sample a positive weight."
        )
    weights: Array = _check_sample_weight(sample_weight, X, dtype=np.float64)
    if (weights < 0).any():
        raise ValueError(
            f"sample_weight is {weights.min()} at position {weights.argmin()}; weights must be "
            "zero or positive."
        )
    return weights


def check_start(coef: Any, n_features: int) -> Array | None:
    """Coefficients of an earlier fit as a warm start, if they fit the data."""
    if coef is None or np.shape(coef) != (n_features,):
        return None
    return np.asarray(coef, dtype=np.float64)


@dataclass(frozen=True)
class Groups:
    """Groups of features as the user named them.

    Parameters
    ----------
    names : ndarray of shape (n_groups,)
        Labels, positions in the list, or keys of the dict, in that order.
    labels : ndarray of shape (n_features,)
        Position in ``names`` of each feature's group.
    """

    names: Any
    labels: Indices

    @property
    def root_sizes(self) -> Array:
        """Square root of the number of features of each group."""
        return np.sqrt(np.bincount(self.labels))


def check_groups(groups: Any, n_features: int, feature_names: Any) -> Groups:
    """Resolve the ``groups`` parameter to a partition of the features.

    Parameters
    ----------
    groups : None, array-like of shape (n_features,), list of index lists, or dict
        None puts every feature in a group of its own. A dict maps a name to columns, given as
        positions or as names.
    n_features : int
        Number of features.
    feature_names : ndarray of shape (n_features,) or None
        Names of the features, where X had them.

    Raises
    ------
    ValueError
        Where a column is unknown, in two groups or in none.
    """
    if groups is None:
        return Groups(np.arange(n_features), np.arange(n_features, dtype=np.intp))
    if isinstance(groups, Mapping):
        names = np.array(list(groups), dtype=object)
        return Groups(names, _from_members(groups, n_features, feature_names))
    groups = list(groups)
    if groups and all(np.ndim(g) == 1 for g in groups):
        members = dict(enumerate(groups))
        labels = _from_members(members, n_features, feature_names)
        return Groups(np.arange(len(groups)), labels)
    if len(groups) != n_features or any(np.ndim(g) != 0 for g in groups):
        raise ValueError(
            f"groups must hold one label per feature ({n_features}), index lists, or be a dict of "
            f"name -> columns; got {len(groups)} entries: {_short(groups)}."
        )
    if len({isinstance(g, str) for g in groups}) > 1 or any(g is None or g != g for g in groups):
        raise ValueError(
            f"groups must hold labels of one kind, all names or all numbers, none missing; got "
            f"{_short(groups)}."
        )
    names, labels = np.unique(np.asarray(groups), return_inverse=True)
    return Groups(names, labels.astype(np.intp))


def _from_members(members: Mapping[Any, Any], n_features: int, feature_names: Any) -> Indices:
    labels = np.full(n_features, -1, dtype=np.intp)
    known = {} if feature_names is None else {n: j for j, n in enumerate(feature_names)}
    for number, (name, columns) in enumerate(members.items()):
        columns = (
            list(columns) if np.iterable(columns) and not isinstance(columns, str) else [columns]
        )
        if not columns:
            raise ValueError(f"groups: group {name!r} is empty; leave it out.")
        for column in columns:
            j = _position(column, name, n_features, known)
            if labels[j] >= 0:
                other = list(members)[labels[j]]
                raise ValueError(
                    f"groups overlap: column {column!r} is in groups {other!r} and {name!r}; "
                    "every feature belongs to exactly one group."
                )
            labels[j] = number
    missing = np.flatnonzero(labels < 0)
    if missing.size:
        left = [feature_names[j] if known else int(j) for j in missing]
        raise ValueError(
            f"groups are incomplete: no group holds column(s) {_short(left)}; every feature "
            "belongs to exactly one group, so add a group of one for each feature on its own."
        )
    return labels


def _position(column: Any, group: Any, n_features: int, known: dict[Any, int]) -> int:
    if isinstance(column, str):
        if column not in known:
            names = f"the columns are {_short(list(known))}" if known else _NO_NAMES
            raise ValueError(
                f"groups: unknown column {column!r} in group {group!r}; {names}. If it encodes a "
                "category that these samples lack, give the encoder its categories."
            )
        return known[column]
    if isinstance(column, (bool, np.bool_)) or not isinstance(column, (int, np.integer)):
        raise ValueError(
            f"groups: column {column!r} in group {group!r} is neither a position nor a name; give "
            "integers, or column names of a DataFrame."
        )
    if not 0 <= column < n_features:
        raise ValueError(
            f"groups: column {column!r} in group {group!r} is out of range; positions go from 0 "
            f"to {n_features - 1}."
        )
    return int(column)


def check_penalty_weights(penalty_weights: Any, n: int, *, per: str) -> Array | None:
    """Non-negative finite factors of a penalty, as many as there are features or groups.

    Parameters
    ----------
    penalty_weights : array-like of shape (n,) or None
        What the user passed; None stays None.
    n : int
        How many there are.
    per : str
        What each factor is for: "feature" or "group".

    Raises
    ------
    ValueError
        Where they cannot be used.
    """
    if penalty_weights is None:
        return None
    try:
        weights = np.asarray(penalty_weights, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"penalty_weights must be numbers, one per {per}; got {_short(penalty_weights)}."
        ) from error
    if weights.shape != (n,):
        raise ValueError(
            f"penalty_weights must hold one factor per {per}, shape ({n},); got shape "
            f"{weights.shape}."
        )
    if not np.all(np.isfinite(weights)) or np.any(weights < 0):
        raise ValueError(
            f"penalty_weights must be finite and non-negative; got a smallest of {weights.min()} "
            f"and a largest of {weights.max()}."
        )
    return weights


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 120 else text[:117] + "..."
