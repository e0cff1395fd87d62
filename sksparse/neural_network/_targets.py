"""What a user passes to learn from, checked: features, weights, a teacher."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.utils import assert_all_finite
from skorch.callbacks import Callback

from sksparse._typing import Array
from sksparse._validation import validate_data
from sksparse.neural_network._standardisation import (
    FEW_ROWS,
    Standardisation,
    feature_standardisation,
    loses_columns,
)


def validate(
    estimator: BaseEstimator, X: Any, y: Any, *, reset: bool, **options: Any
) -> tuple[Any, Any]:
    """Features in float32 or float64, and targets."""
    given = getattr(X, "dtype", None)
    is_short = isinstance(given, np.dtype) and given.kind in "biu" and given.itemsize <= 2
    return validate_data(
        estimator,
        X,
        y,
        accept_sparse="csr",
        # images need no float64 on the way; longer integers do, such as time stamps
        dtype=(np.float32, np.float64) if is_short else (np.float64, np.float32),
        allow_nd=estimator.__sklearn_tags__().input_tags.three_d_array,
        reset=reset,
        **options,
    )


def strip_features(
    X: Any, weight: Array, earlier: Standardisation | None, *, continues: bool, partial: bool
) -> tuple[Any, Standardisation | None]:
    """Features in float32, and how they were standardised, where they had to be.

    Parameters
    ----------
    X : {ndarray, csr_array} of shape (n_samples, n_features, ...)
        Features.
    weight : ndarray of shape (n_samples,)
        Weights of the samples.
    earlier : Standardisation or None
        That of the earlier fit.
    continues : bool
        Whether the network of the earlier fit is trained further, with its standardisation.
    partial : bool
        Whether more rows may come.

    Returns
    -------
    X : {ndarray, csr_array}
        What the network sees.
    scaling : Standardisation or None
        How it was standardised.
    """
    is_small = partial and X.shape[0] < FEW_ROWS
    scaling = earlier if continues else feature_standardisation(X, weight, few=is_small)
    if scaling is not None and not sparse.issparse(X):
        X = scaling.standardise(X)
    if sparse.issparse(X) and scaling is not None:
        scaling = None
        _warn_of_lost_columns("X is sparse and has")
    elif continues and not is_small and loses_columns(X, weight):
        _warn_of_lost_columns("Unlike those of the earlier fit, the features have")
    return in_float32(X), scaling


def _warn_of_lost_columns(beginning: str) -> None:
    warnings.warn(
        f"{beginning} columns whose spread is small next to their distance from zero, or that are "
        "of extreme scale: float32, in which the network is trained, loses them. Scale X, for "
        "example with StandardScaler (MaxAbsScaler for sparse X).",
        ConvergenceWarning,
        stacklevel=7,
    )


def in_float32(X: Any) -> Any:
    """Features in the precision of training; what is beyond its range is refused."""
    if X.dtype == np.float32:
        return X
    with np.errstate(over="ignore", invalid="ignore"):
        X = X.astype(np.float32)
        assert_all_finite(X, input_name="X")
    return X


def check_callbacks(callbacks: list[Any] | None) -> None:
    """Refuse what is neither a callback of skorch nor a pair of a name and one."""
    for given in callbacks or []:
        callback = given[1] if isinstance(given, tuple) and len(given) == 2 else given
        if not isinstance(callback, Callback):
            raise ValueError(
                f"callbacks holds {given!r}; give instances of skorch.callbacks.Callback, or pairs "
                "of a name and one."
            )


def teacher_outputs(teacher: Any, method: str, X: Any, n_outputs: int) -> Array:
    """Predictions of a teacher for the training samples, of shape (n_samples, n_outputs)."""
    try:
        predicted = getattr(teacher, method)(X)
    except NotFittedError as error:
        raise ValueError(
            f"The teacher {teacher!r} is not fitted; fit it first. Where the student is cloned, as "
            "in a grid search, wrap it: teacher=sklearn.frozen.FrozenEstimator(fitted_teacher)."
        ) from error
    except ValueError as error:
        raise ValueError(
            f"The teacher {teacher!r} cannot read X: {error} Give a teacher of the same features."
        ) from error
    try:
        outputs = np.asarray(predicted, dtype=np.float64).reshape(len(predicted), -1)
    except ValueError as error:
        raise ValueError(
            f"The teacher {teacher!r} returns by {method} what are no numbers ({error}); give a "
            "teacher of the same targets."
        ) from error
    if outputs.shape[1] != n_outputs:
        raise ValueError(
            f"The teacher {teacher!r} returns {outputs.shape[1]} outputs by {method}, but the "
            f"network has {n_outputs}; give a teacher of the same targets."
        )
    return outputs
