"""What a user passes to learn from, checked: features, weights, a teacher."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import _check_sample_weight, validate_data
from skorch.callbacks import Callback

from sksparse._typing import Array


def validate(
    estimator: BaseEstimator, X: Any, y: Any, *, reset: bool, **options: Any
) -> tuple[Any, Any]:
    """Features in float32, and targets."""
    # what overflows becomes infinite, which is refused
    with np.errstate(over="ignore"):
        return validate_data(
            estimator,
            X,
            y,
            accept_sparse="csr",
            dtype=np.float32,
            allow_nd=estimator.__sklearn_tags__().input_tags.three_d_array,
            reset=reset,
            **options,
        )


def check_callbacks(callbacks: list[Any] | None) -> None:
    """Refuse what is neither a callback of skorch nor a pair of a name and one."""
    for given in callbacks or []:
        callback = given[1] if isinstance(given, tuple) and len(given) == 2 else given
        if not isinstance(callback, Callback):
            raise ValueError(
                f"callbacks holds {given!r}; give instances of skorch.callbacks.Callback, or pairs "
                "of a name and one."
            )


def check_weights(sample_weight: Any, X: Any) -> Array:
    """Weights of the samples in float64, not negative and not all zero."""
    if sample_weight is not None and not np.any(np.asarray(sample_weight)):
        raise ValueError("sample_weight is zero for every sample; at least one must be positive.")
    weight = _check_sample_weight(sample_weight, X, dtype=np.float64)
    if (weight < 0).any():
        raise ValueError(
            f"sample_weight is {weight.min()} at position {weight.argmin()}; weights must be zero "
            "or positive."
        )
    return weight


def lesson_of(teacher: Any, method: str, X: Any, n_outputs: int) -> Array:
    """What a teacher says of the training samples, of shape (n_samples, n_outputs)."""
    try:
        said = getattr(teacher, method)(X)
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
        lesson = np.asarray(said, dtype=np.float64).reshape(len(said), -1)
    except ValueError as error:
        raise ValueError(
            f"The teacher {teacher!r} gives by {method} what are no numbers ({error}); give a "
            "teacher of the same targets."
        ) from error
    if lesson.shape[1] != n_outputs:
        raise ValueError(
            f"The teacher {teacher!r} gives {lesson.shape[1]} outputs by {method}, but the network "
            f"has {n_outputs}; give a teacher of the same targets."
        )
    return lesson
