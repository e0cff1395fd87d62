"""What the user passed to a meta-estimator: rows that can be drawn, and arguments of a fit."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy import sparse
from sklearn.utils import _safe_indexing, check_consistent_length, get_tags
from sklearn.utils.metadata_routing import _routing_enabled, process_routing
from sklearn.utils.validation import has_fit_parameter

from sksparse._typing import Array, Indices
from sksparse._validation import as_numpy, check_weights, targets_of_one_type, validate_data
from sksparse.feature_selection._encoding import is_frame

# Two halves of two samples.
_FEWEST = 4
# Whole weights are repetitions up to so many for each sample, on average.
_MOST_COPIES = 10
# Numbers that are read at a time.
_BLOCK = 2_000_000


class Samples(NamedTuple):
    """Samples as an estimator inside of another takes them.

    Parameters
    ----------
    X : {ndarray, DataFrame, csr_matrix} of shape (n_samples, n_features)
        Features; a DataFrame as it was passed.
    y : {ndarray, sparse matrix} or None
        Targets.
    rows : ndarray
        The rows to draw from: those of positive weight, some repeated, in an order that depends on
        what is in them alone.
    params : dict
        Further arguments of ``fit``.
    """

    X: Any
    y: Any
    rows: Indices
    params: dict[str, Any]


def read_samples(
    selector: Any, estimator: Any, X: Any, y: Any, sample_weight: Any, fit_params: dict[str, Any]
) -> Samples:
    """Check what can be checked before the estimator itself sees it.

    Weights that are whole numbers are repetitions, so that they mean the same as repeated samples
    do, which may fall into both halves. Others are arguments of the fit.

    Raises
    ------
    ValueError
        Where there are too few samples, no targets for an estimator that needs them, or weights
        for one that takes none.
    """
    tags = get_tags(estimator)
    if y is None and tags.target_tags.required:
        raise ValueError(
            f"This {type(selector).__name__} requires y to be passed, but the target y is None: "
            f"its estimator, {type(estimator).__name__}, needs one."
        )
    X = as_numpy(X)
    if is_frame(X):
        X = validate_data(selector, X, skip_check_array=True)
    else:
        kinds = tags.input_tags
        X = validate_data(
            selector,
            X,
            accept_sparse="csr" if kinds.sparse else False,
            dtype=None if kinds.string or kinds.categorical else "numeric",
            ensure_all_finite="allow-nan" if kinds.allow_nan else True,
            ensure_min_samples=_FEWEST,
        )
    y = targets_of_one_type(as_numpy(y, "y"))
    y = y if y is None or sparse.issparse(y) else np.asarray(y)
    check_consistent_length(X, y)
    weights = check_weights(sample_weight, X)
    copies = _copies(weights)
    rows = _in_order(X, y, np.repeat(np.arange(len(copies)), copies))
    if len(rows) < _FEWEST:
        raise ValueError(
            f"X has {len(rows)} sample(s) with positive weight, and two halves of two samples need "
            f"a minimum of {_FEWEST}; give more."
        )
    params = _fit_params(selector, estimator, sample_weight, fit_params)
    if "sample_weight" in params and np.array_equal(copies, weights):
        del params["sample_weight"]
    return Samples(X, y, rows, params)


def _copies(weights: Array) -> Indices:
    """How often a sample can be drawn."""
    are_counts = np.array_equal(weights, np.floor(weights))
    if are_counts and weights.sum() <= _MOST_COPIES * len(weights):
        return weights.astype(np.intp)
    return (weights > 0.0).astype(np.intp)


def _in_order(X: Any, y: Any, rows: Indices) -> Indices:
    """Rows sorted by what is in them, so that what is drawn does not depend on their order.

    A table with others than numbers stays as it is.
    """
    try:
        keys: list[Any] = [_projections(X)]
        if y is not None:
            keys.append(np.unique(y, return_inverse=True)[1] if y.ndim == 1 else _projections(y))
    except (TypeError, ValueError):
        return rows
    return rows[np.lexsort([key[rows] for key in keys])]


def _projections(X: Any) -> Array:
    """A number for each row: the same for rows that are equal bit for bit."""
    n_rows, n_columns = X.shape
    direction = np.random.RandomState(0).uniform(1.0, 2.0, size=n_columns)
    projections = np.empty(n_rows)
    step = max(1, _BLOCK // max(1, n_columns))
    for start in range(0, n_rows, step):
        block = _safe_indexing(X, slice(start, start + step))
        dense = block.toarray() if sparse.issparse(block) else block
        values = np.nan_to_num(np.ascontiguousarray(dense, dtype=np.float64))
        # sums of products, where a product of matrices might round by the position of a row
        projections[start : start + step] = (values * direction).sum(axis=1)
    return projections


def _fit_params(
    selector: Any, estimator: Any, sample_weight: Any, fit_params: dict[str, Any]
) -> dict[str, Any]:
    """Arguments of the estimator's ``fit``, by scikit-learn's metadata routing if it is on."""
    weights = {} if sample_weight is None else {"sample_weight": sample_weight}
    if _routing_enabled():
        routed = process_routing(selector, "fit", **weights, **fit_params)
        return dict(routed["estimator"]["fit"])
    if weights and not has_fit_parameter(estimator, "sample_weight"):
        raise ValueError(
            f"sample_weight: the fit of estimator, {type(estimator).__name__}, takes none. Leave "
            "it out; of a pipeline give it to a step, as in fit(X, y, lasso__sample_weight=...), "
            "or call sklearn.set_config(enable_metadata_routing=True) and request it there."
        )
    return weights | fit_params
