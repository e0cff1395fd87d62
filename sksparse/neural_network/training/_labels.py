"""Class labels: what kinds there are, which classes, and how much each counts."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d

from sksparse._typing import Array, Indices


def check_labels(y: Any) -> tuple[np.ndarray, bool]:
    """Class labels, or 0 and 1 for each of several labels; and which of the two.

    Parameters
    ----------
    y : {ndarray, sparse matrix} of shape (n_samples,) or (n_samples, n_labels)
        Validated targets.

    Returns
    -------
    y : ndarray
        A single column is made one-dimensional.
    is_multilabel : bool
        Whether a sample may have several labels.
    """
    if sparse.issparse(y):
        y = y.toarray()
    if y.ndim == 1 or y.shape[1] == 1:
        y = column_or_1d(y, warn=True)
        check_classification_targets(y)
        return y, False
    values = np.unique(y.astype(str) if y.dtype == object else y)
    if values.dtype.kind not in "biuf" or not np.isin(values, [0, 1]).all():
        raise ValueError(
            "y should be a 1d array of class labels, or a matrix with a column of 0 and 1 for each "
            f"of several labels; got a matrix of shape {y.shape} with the values "
            f"{values[:5].tolist()}. Fit a classifier for each column, for example with "
            "sklearn.multioutput.MultiOutputClassifier."
        )
    return y, True


def kind_of_labels(is_multilabel: bool) -> str:
    return "several labels for each sample" if is_multilabel else "one label for each sample"


def classes_of(
    y: np.ndarray, weight: Array, known: np.ndarray | None, *, partial: bool
) -> np.ndarray:
    """The classes that have weight, checked against those of an earlier fit."""
    found = np.unique(y[weight > 0])
    if known is None:
        if len(found) < 2:
            raise ValueError(
                f"y holds 1 class, {found.tolist()}, among the samples of positive weight; a "
                "classifier needs samples of at least 2 classes."
            )
        return found
    if partial:
        strange = np.setdiff1d(found, known)
        if len(strange):
            raise ValueError(
                f"y holds {strange.tolist()}, which are not among the classes {known.tolist()}; "
                "name all labels in the first call of partial_fit."
            )
    elif not np.array_equal(known, found):
        raise ValueError(
            f"warm_start=True cannot continue: the classes were {known.tolist()} and are "
            f"now {found.tolist()}. Give the same classes or set warm_start=False."
        )
    return known


def class_factors(
    class_weight: dict[Any, float] | str | None, classes: np.ndarray, y: Indices, weight: Array
) -> Array:
    """The factor on the weights of the samples of each class."""
    if class_weight == "balanced":
        totals = np.bincount(y, weights=weight, minlength=len(classes))
        present = np.maximum(totals, np.finfo(float).tiny)
        return np.where(totals > 0, weight.sum() / (np.count_nonzero(totals) * present), 0.0)
    factors = compute_class_weight(class_weight, classes=classes, y=classes[y])
    if (factors < 0).any():
        raise ValueError(
            f"class_weight={class_weight!r} gives a class a negative weight; weights must be zero "
            "or positive."
        )
    if not factors[y].any():
        raise ValueError(
            f"class_weight={class_weight!r} is zero for every class of y; at least one must be "
            "positive."
        )
    return np.asarray(factors)
