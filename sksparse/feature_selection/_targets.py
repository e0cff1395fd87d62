"""What the targets of a selector are: quantities, or the classes of a log loss."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from sklearn.utils.multiclass import check_classification_targets, type_of_target

from sksparse._typing import Array
from sksparse._validation import check_target_scale
from sksparse.linear_model._base import Attributes, attributes_in
from sksparse.linear_model.group._regression import make_loss
from sksparse.losses import LOSSES, Loss, Multinomial

# Whole numbers of at most so many distinct values may be codes of classes.
_MOST_CLASSES = 20

#: The losses of a selector, by name.
SELECTOR_LOSSES: dict[str, type[Loss]] = {**LOSSES, "multinomial": Multinomial}


class Targets(NamedTuple):
    """Targets in the coding of a loss.

    Parameters
    ----------
    loss : str
        Name of the loss.
    values : ndarray of shape (n_samples,) or (n_samples, n_targets)
        Numbers, or codes of classes.
    classes : ndarray or None
        The classes, where there are any.
    """

    loss: str
    values: Array
    classes: Any

    def as_loss(self, weights: Array, *, epsilon: float, ties: str) -> Loss:
        """The loss, for sample weights with sum one."""
        kind = SELECTOR_LOSSES[self.loss]
        if kind.for_classes:
            return kind(self.values, weights)
        return make_loss(self.loss, self.values, weights, epsilon=epsilon, ties=ties)

    def attributes(self, dtype: Any) -> Attributes:
        """How answers become fitted attributes, the classes among them where there are any."""
        plain = attributes_in(dtype)
        if self.classes is None:
            return plain
        return lambda coef, intercept: {**plain(coef, intercept), "classes_": self.classes}


def in_domain(kind: type[Loss], target: float) -> bool:
    """Whether a target is in the domain of a loss."""
    try:
        kind(np.array([target]), np.ones(1))
    except ValueError:
        return False
    return True


def check_targets(y: Any, loss: str, weights: Array) -> Targets:
    """Targets as a loss takes them, and which one "auto" is.

    Parameters
    ----------
    y : ndarray of shape (n_samples,) or (n_samples, n_targets)
        Targets as the user passed them.
    loss : str
        Name of a loss, or "auto".
    weights : ndarray of shape (n_samples,)
        Sample weights; classes need a sample with a positive one.

    Raises
    ------
    ValueError
        Where they are not what the loss needs, or where it is not clear what they are.
    """
    if loss != "auto" and not SELECTOR_LOSSES[loss].for_classes:
        return Targets(loss, _as_numbers(y, loss), None)
    with np.errstate(invalid="ignore"):
        # it asks whether numbers beyond the range of integers are some
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
            return Targets("squared", _as_numbers(y, "squared"), None)
        loss = "logistic" if len(values) == 2 else "multinomial"
    check_classification_targets(y)
    if loss == "logistic" and len(values) != 2:
        raise ValueError(
            "The log loss of loss='logistic' needs exactly two classes among the samples with "
            f"positive weight, {got}. Use loss='multinomial' for more, or loss='squared' if these "
            "are quantities."
        )
    if len(values) < 2:
        raise ValueError(
            "loss='multinomial' needs at least two classes among the samples with positive weight, "
            f"{got}."
        )
    codes = np.minimum(np.searchsorted(values, y), len(values) - 1)
    return Targets(loss, codes.astype(np.float64), values)


def check_labels(targets: Targets) -> None:
    """Refuse several columns of classes, unless each is a label that a sample has or not.

    Raises
    ------
    ValueError
        Where they are more than two classes.
    """
    if targets.classes is not None and targets.values.ndim == 2 and targets.loss != "logistic":
        raise ValueError(
            f"y has {targets.values.shape[1]} columns of classes, {targets.classes[:5].tolist()}: "
            "several columns must be 0 and 1 for each of several labels, and their loss is "
            "'logistic'. Choose loss='squared' where they are quantities, or select for each "
            "column by itself."
        )


def _are_classes(y: Any, kind: str, n_values: int) -> bool:
    """Whether targets are names of classes rather than quantities."""
    if y.dtype.kind in "iu" and not looks_like_classes(y, kind, n_values):
        raise ValueError(
            f"loss='auto' cannot tell what y is: whole numbers with {n_values} distinct values are "
            "many for classes. Choose loss='multinomial' for classes, or a loss for quantities, "
            "such as 'squared'."
        )
    return looks_like_classes(y, kind, n_values)


def looks_like_classes(y: Any, kind: str, n_values: int) -> bool:
    """Whether targets may be classes: names, or numbers of few distinct values.

    Parameters
    ----------
    y : ndarray of shape (n_samples,)
        Targets.
    kind : str
        What scikit-learn's ``type_of_target`` says of them.
    n_values : int
        How many distinct values they have.
    """
    few = n_values <= min(_MOST_CLASSES, np.sqrt(len(y)))
    if y.dtype.kind == "f":
        return kind == "binary" or (kind == "multiclass" and bool(few))
    return y.dtype.kind not in "iu" or n_values == 2 or bool(few)


def _as_numbers(y: Any, loss: str) -> Array:
    try:
        numbers = y.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"loss={loss!r} needs numeric targets, got y of dtype {y.dtype} with values like "
            f"{y[0]!r}; use loss='logistic' for two classes, 'multinomial' for more."
        ) from error
    check_target_scale(numbers)
    return np.asarray(numbers)
