"""What a picture of clusters shows of a fitted model: features, correlations, an order."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.sparse import issparse
from scipy.spatial.distance import squareform
from sklearn.model_selection._search import BaseSearchCV
from sklearn.pipeline import Pipeline

from sksparse._typing import Array, Indices
from sksparse._validation import check_weights, validate_data
from sksparse.inspection._common import fitted_attribute, fitted_network
from sksparse.inspection._path_choice import names_of_inputs
from sksparse.inspection._path_lines import names_of_features

# Columns of largest magnitude one whose deviations are no larger are constant.
_ROUNDING = 16 * np.finfo(np.float64).eps


class ClusteredFeatures(NamedTuple):
    """The features of a model that are drawn.

    Parameters
    ----------
    coef : ndarray of shape (n_drawn,) or (n_outputs, n_drawn)
        Their coefficients.
    correlation : ndarray of shape (n_drawn, n_drawn)
        Their correlations.
    clusters : list of ndarray
        Their clusters, as positions among them.
    names : list of str
        Their names.
    n_left_out : int
        How many more features are in use.
    """

    coef: Array
    correlation: Array
    clusters: list[Indices]
    names: list[str]
    n_left_out: int


def features_of(
    estimator: Any, X: Any, sample_weight: ArrayLike | None, names: Any, most: int
) -> ClusteredFeatures:
    """The features in use of a fitted estimator, at most so many, and their correlations in X."""
    clusters = fitted_attribute(
        estimator, "clusters_", "give a fitted OSCAR, SLOPE or another one that ties coefficients"
    )
    if most < 1:
        raise ValueError(f"n_features={most} must be at least 1.")
    model = fitted_network(estimator)
    coef = model.coef_
    X = validate_data(
        model,
        _at_the_model(estimator, X),
        reset=False,
        accept_sparse="csc",
        dtype=[np.float64, np.float32],
    )
    weights = check_weights(sample_weight, X)
    used = np.concatenate([np.empty(0, dtype=np.intp), *clusters])
    drawn = used[:most]
    sizes = np.diff([0, *np.minimum(np.cumsum([len(c) for c in clusters]), len(drawn))])
    cuts = np.cumsum(sizes[sizes > 0])[:-1]
    all_names = names_of_features(
        names_of_inputs(estimator) if names is None else names, X.shape[1]
    )
    return ClusteredFeatures(
        # classifiers may store coefficients as a sparse matrix
        coef=np.asarray(coef.toarray() if issparse(coef) else coef)[..., drawn],
        correlation=_correlation(X[:, drawn], weights / weights.sum()),
        clusters=np.split(np.arange(len(drawn)), cuts) if len(drawn) else [],
        names=[all_names[feature] for feature in drawn],
        n_left_out=len(used) - len(drawn),
    )


def _at_the_model(estimator: Any, X: Any) -> Any:
    """X as the model inside pipelines and searches is given it."""
    if isinstance(estimator, BaseSearchCV):
        return _at_the_model(estimator.best_estimator_, X)
    if not isinstance(estimator, Pipeline):
        return X
    return _at_the_model(estimator[-1], estimator[:-1].transform(X) if len(estimator) > 1 else X)


def _correlation(X: Any, weights: Array) -> Array:
    """Correlations of columns; zero with a column that is constant."""
    peak = abs(X).max(axis=0)
    peak = np.asarray(peak.toarray() if issparse(peak) else peak, dtype=np.float64).ravel()
    unit = np.divide(1.0, peak, out=np.zeros_like(peak), where=peak > 0.0)
    if issparse(X):
        X = X.multiply(unit).tocsc()
        mean = np.asarray(X.T @ weights, dtype=np.float64).ravel()
        covariance = (X.T @ X.multiply(weights[:, None])).toarray() - np.outer(mean, mean)
        rounding = _ROUNDING * mean**2
    else:
        centred = X * unit
        centred -= weights @ centred
        covariance = centred.T @ (centred * weights[:, None])
        rounding = np.full(X.shape[1], _ROUNDING**2)
    variances = np.diag(covariance)
    varies = variances > rounding
    scale = np.where(varies, 1.0 / np.sqrt(np.where(varies, variances, 1.0)), 0.0)
    return np.clip(covariance * np.outer(scale, scale), -1.0, 1.0)


def signs_between(coef: Array) -> Array:
    """For each two columns of coefficients 1 where they agree in sign, else -1.

    Of several outputs, where their inner product is not negative.
    """
    return np.where(coef.T @ coef < 0.0, -1.0, 1.0)


def ordered(matrix: Array, clusters: Iterable[Indices]) -> Indices:
    """Features by cluster, and within a cluster those that are alike next to each other."""
    parts = [_by_likeness(matrix, cluster) for cluster in clusters]
    return np.concatenate([np.empty(0, dtype=np.intp), *parts])


def _by_likeness(matrix: Array, cluster: Indices) -> Indices:
    if len(cluster) < 3:
        return cluster
    distance = np.maximum(1.0 - matrix[np.ix_(cluster, cluster)], 0.0)
    np.fill_diagonal(distance, 0.0)
    return cluster[leaves_list(linkage(squareform(distance, checks=False), "average"))]
