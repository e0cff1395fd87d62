"""What the user passed to a meta-estimator: rows that can be taken, weights, arguments of a fit."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from sklearn.utils import check_consistent_length, get_tags
from sklearn.utils.metadata_routing import _routing_enabled, process_routing
from sklearn.utils.validation import has_fit_parameter

from sksparse._typing import Indices
from sksparse._validation import as_numpy, check_weights, validate_data
from sksparse.feature_selection._encoding import is_frame

# Two halves of two samples.
_FEWEST = 4


class Samples(NamedTuple):
    """Samples as an estimator inside of another takes them.

    Parameters
    ----------
    X : {ndarray, DataFrame, csr_matrix} of shape (n_samples, n_features)
        Features; a DataFrame as it was passed.
    y : array-like or None
        Targets, with rows.
    rows : ndarray
        Those of positive weight.
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
    params = _fit_params(selector, estimator, sample_weight, fit_params)
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
    y = as_numpy(y, "y")
    y = np.asarray(y) if isinstance(y, list | tuple) else y
    check_consistent_length(X, y)
    rows = np.flatnonzero(check_weights(sample_weight, X))
    if len(rows) < _FEWEST:
        raise ValueError(
            f"X has {len(rows)} sample(s) with positive weight, and two halves of two samples need "
            f"a minimum of {_FEWEST}; give more."
        )
    return Samples(X, y, rows, params)


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
