"""What the targets of a selector are: quantities, or the two classes of the log loss."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils.multiclass import check_classification_targets, type_of_target

from sksparse._typing import Array
from sksparse._validation import check_target_scale
from sksparse.losses import LOSSES, Loss

# Whole real numbers of at most so many distinct values may be codes of classes.
_MOST_CLASSES = 20


def in_domain(kind: type[Loss], target: float) -> bool:
    """Whether a target is in the domain of a loss."""
    try:
        kind(np.array([target]), np.ones(1))
    except ValueError:
        return False
    return True


def check_targets(y: Any, loss: str, weights: Array) -> tuple[str, Array, Any]:
    """Name of the loss, targets in its coding, and the classes of the log loss."""
    if loss != "auto" and not LOSSES[loss].for_classes:
        return loss, _as_numbers(y, loss), None
    kind = type_of_target(y, input_name="y", raise_unknown=True)
    values = np.unique(y[weights > 0])
    got = f"got {len(values)} class(es): {values[:5].tolist()}"
    if loss == "auto":
        if len(values) < 2:
            raise ValueError(
                f"loss='auto' needs y with at least two values, {got}; give samples of more, or "
                "choose loss='squared' if a constant numeric target is meant."
            )
        if not _are_classes(y, kind, len(values)):
            return "squared", _as_numbers(y, "squared"), None
    check_classification_targets(y)
    if len(values) != 2:
        raise ValueError(
            "The log loss needs exactly two classes among the samples with positive weight, "
            f"{got}. Only binary classification is supported: select one class against the rest, "
            "or use loss='squared' if these are quantities."
        )
    return "logistic", (y == values[1]).astype(np.float64), values


def _are_classes(y: Any, kind: str, n_values: int) -> bool:
    """Whether targets are names of classes rather than quantities."""
    if y.dtype.kind != "f":
        return True
    few = n_values <= min(_MOST_CLASSES, np.sqrt(len(y)))
    return kind == "binary" or (kind == "multiclass" and few)


def _as_numbers(y: Any, loss: str) -> Array:
    try:
        numbers = y.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"loss={loss!r} needs numeric targets, got y of dtype {y.dtype} with values like "
            f"{y[0]!r}; use loss='logistic' for two classes."
        ) from error
    check_target_scale(numbers)
    return np.asarray(numbers)
