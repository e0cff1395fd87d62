"""Which features a fitted estimator uses, and how much: ours, scikit-learn's, pipelines."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse
from sklearn.pipeline import Pipeline

from sksparse._typing import Array, Mask


class FeatureUse(NamedTuple):
    """The features that an estimator uses.

    Parameters
    ----------
    mask : ndarray of shape (n_features,)
        Which ones.
    sizes : ndarray of shape (n_features,) or None
        How much each is used, larger for more; None where the estimator does not say.
    """

    mask: Mask
    sizes: Array | None


def features_in_use(model: Any, getter: str | Callable[[Any], Any], n_features: int) -> FeatureUse:
    """Which features a fitted estimator uses.

    Parameters
    ----------
    model : estimator
        A fitted estimator; of a pipeline the last step is asked.
    getter : "auto", str or callable
        "auto" takes the mask of ``get_support()`` or ``support_``, or else what is not zero in
        ``feature_importances_`` or ``coef_``. Otherwise what is not zero in the attribute of that
        name, with dots for attributes of attributes, or in what the callable returns.
    n_features : int
        Number of features of X.

    Raises
    ------
    ValueError
        Where the estimator does not say, or says it of other columns than those of X.
    """
    if getter == "auto":
        use = _own_use(model[-1] if isinstance(model, Pipeline) else model)
    else:
        read = getter if callable(getter) else attrgetter(getter)
        sizes = _sizes(read(model))
        use = FeatureUse(np.asarray(sizes != 0.0), sizes)
    if use.mask.shape != (n_features,):
        raise ValueError(
            f"estimator: {type(model).__name__} says of {use.mask.size} columns which ones it "
            f"uses, and X has {n_features}. Steps of a pipeline must keep the columns; otherwise "
            "give what leads them back to those of X as importance_getter."
        )
    return use


def _own_use(model: Any) -> FeatureUse:
    """What an estimator says by itself."""
    mask, sizes = _own_mask(model), _own_sizes(model)
    if mask is not None:
        fits = sizes is not None and sizes.shape == mask.shape
        return FeatureUse(mask, sizes if fits else None)
    if sizes is not None:
        return FeatureUse(np.asarray(sizes != 0.0), sizes)
    raise ValueError(
        f"estimator: a fitted {type(model).__name__} has none of coef_, feature_importances_, "
        "get_support and support_, which say which features it uses; give another, or what says "
        "it as importance_getter."
    )


def _own_mask(model: Any) -> Mask | None:
    """The mask that a selector has."""
    ask = getattr(model, "get_support", None)
    mask = getattr(model, "support_", None) if ask is None else ask()
    mask = None if mask is None else np.asarray(mask)
    # support vectors are positions of samples
    return mask if mask is not None and mask.dtype == np.bool_ else None


def _own_sizes(model: Any) -> Array | None:
    """Importances or coefficients, or the ranks of a selector, turned round, where no two tie."""
    for name in ("feature_importances_", "coef_"):
        values = getattr(model, name, None)
        if values is not None:
            return _sizes(values)
    ranks = np.asarray(getattr(model, "ranking_", ()), dtype=np.float64)
    return 1.0 / ranks if ranks.size and np.unique(ranks).size == ranks.size else None


def _sizes(values: Any) -> Array:
    """Magnitudes of features, Euclidean norms over outputs."""
    dense = values.toarray() if sparse.issparse(values) else np.asarray(values)
    sizes = np.abs(np.nan_to_num(dense.astype(np.float64)))
    if sizes.ndim < 2:
        return np.asarray(sizes)
    return np.asarray(np.linalg.norm(sizes.reshape(-1, sizes.shape[-1]), axis=0))
