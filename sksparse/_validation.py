"""What the user passed, checked and turned into arrays.

Every check runs before any work is done; its error names the argument, the value and the remedy.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from numbers import Real
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import validation
from sklearn.utils.validation import _check_sample_weight

from sksparse._interrupts import interruptible
from sksparse._typing import Array

# Squares of numbers up to this, and of one over it, are far inside the range of float64.
_LARGEST_SPREAD = 1e140


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
                f"{name}.detach().cpu().to_dense().float().numpy()."
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
    """scikit-learn's ``validate_data``, for arrays of every library and targets as objects."""
    if not isinstance(y, str):
        y = targets_of_one_type(as_numpy(y, "y"))
    return validation.validate_data(estimator, as_numpy(X), y, **options)


def check_data(
    estimator: BaseEstimator,
    X: Any,
    y: Any,
    sample_weight: Any,
    *,
    y_numeric: bool,
    multi_output: bool = False,
    finite: bool = True,
) -> tuple[Any, Any, Array]:
    """Features as float32 or float64 (dense or CSC), targets, weights with sum one.

    Features are not seen to be finite unless ``finite``, which takes a pass over X: a caller that
    measures them anyway calls :func:`refuse_missing` where the result is not.
    """
    X, y = validate_data(
        estimator,
        X,
        y,
        accept_sparse="csc",
        dtype=[np.float64, np.float32],
        y_numeric=y_numeric,
        multi_output=multi_output,
        ensure_all_finite=finite,
    )
    weights = check_weights(sample_weight, X)
    return X, y, weights / weights.sum()


def refuse_missing(estimator: BaseEstimator, X: Any) -> None:
    """Raise scikit-learn's error where features are not finite."""
    name = type(estimator).__name__
    validation.assert_all_finite(X, estimator_name=name, input_name="X")


def targets_of_one_type(y: Any) -> Any:
    """Targets that are held as Python objects: numbers become numbers, names stay.

    Parameters
    ----------
    y : object
        Targets as the user passed them.

    Returns
    -------
    y : object
        The same, unless it is an array or table of objects that are all numbers.

    Raises
    ------
    ValueError
        Where it holds numbers and names.
    """
    types = getattr(y, "dtypes", getattr(y, "dtype", None))
    if sparse.issparse(y) or not np.all(np.asarray(types, dtype=object) == np.dtype(object)):
        return y
    array = np.asarray(y)
    values = array.ravel().tolist()
    if all(isinstance(value, Real | np.bool_) for value in values):
        return np.array(values).reshape(array.shape)
    kinds = {type(value) for value in values}
    is_missing = any(isinstance(value, float) and value != value for value in values)
    if len(kinds) > 1 and not is_missing:
        names = sorted(kind.__name__ for kind in kinds)
        raise ValueError(
            f"y holds objects of several types, {', '.join(names)}; give targets of one type, all "
            "numbers or all names: y.astype(str) makes names of all."
        )
    return y


def check_target_scale(y: Any) -> None:
    """Refuse numeric targets whose squared errors float64 cannot hold."""
    with np.errstate(over="ignore"):
        values = np.asarray(y, dtype=np.float64)
        spreads = np.abs(values - values[0]).max(axis=0)
    moderate = (spreads > 1.0 / _LARGEST_SPREAD) & (spreads < _LARGEST_SPREAD)
    if not np.all(moderate | (spreads == 0.0)):
        spread = float(np.max(spreads))
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
    if weights.max() > np.finfo(np.float64).max / len(weights):
        raise ValueError(
            f"sample_weight reaches {weights.max():g}, and the sum over {len(weights)} samples is "
            "beyond the range of float64; divide the weights by their mean."
        )
    if (weights < 0).any():
        raise ValueError(
            f"sample_weight is {weights.min()} at position {weights.argmin()}; weights must be "
            "zero or positive."
        )
    return weights


def warn_if_more_than_all(name: str, value: Any, n_features: int, remedy: str = "") -> None:
    """Say that a number of features, or the largest of several, is more than there are.

    Parameters
    ----------
    name, value : str, int or ndarray of int
        The parameter.
    n_features : int
        Number of columns of X.
    remedy : str, default=""
        What to give instead, after "give at most so many".
    """
    if np.max(value) > n_features:
        shown = value.tolist() if isinstance(value, np.ndarray) else value
        warnings.warn(
            f"{name}={_short(shown)} is more than X has, n_features={n_features}, and stands for "
            f"all of them; give at most {n_features}{remedy}.",
            UserWarning,
            stacklevel=_level_of_the_user(),
        )


def _level_of_the_user() -> int:
    """Stack level, for a warning of the caller, of the first frame outside of this package."""
    frame, level = inspect.currentframe(), 0
    while frame is not None and frame.f_globals.get("__name__", "").startswith("sksparse."):
        frame, level = frame.f_back, level + 1
    return level


def check_start(coef: Any, n_features: int) -> Array | None:
    """Coefficients of an earlier fit as a warm start, if they fit the data."""
    if coef is None or np.shape(coef) != (n_features,):
        return None
    return np.asarray(coef, dtype=np.float64)


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


def check_layer_sizes(hidden_layer_sizes: Any) -> list[int]:
    """Numbers of units of hidden layers, positive integers."""
    sizes = np.atleast_1d(np.asarray(hidden_layer_sizes, dtype=object))
    if sizes.ndim != 1 or not all(isinstance(n, int | np.integer) and n >= 1 for n in sizes):
        raise ValueError(
            f"hidden_layer_sizes={hidden_layer_sizes!r} is not a sequence of positive "
            "integers; give the number of units of each hidden layer, such as (100,) or "
            "(300, 100)."
        )
    return [int(n) for n in sizes]


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 120 else text[:117] + "..."
