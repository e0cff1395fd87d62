"""Fits with a sorted L1 norm: problems, paths, and clusters of features."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from sksparse._typing import Array, Indices
from sksparse.linear_model._base import Attributes
from sksparse.linear_model._convex_path import ConvexPath, ConvexTask
from sksparse.linear_model._path_protocol import Grid, PathFits
from sksparse.penalties import SortedL1, cluster_labels


@dataclass(frozen=True)
class SLOPEPath(ConvexPath):
    """The fits of a sorted L1 norm at decreasing strengths.

    Parameters
    ----------
    n_features : ndarray of shape (n_points,)
        Number of features that each fit uses.
    alphas : ndarray of shape (n_points,)
        Strengths of the penalty, decreasing.
    coefs : ndarray of shape (n_features, n_points) or (n_outputs, n_features, n_points)
        Coefficients, in the float type of the features; the latter shape for several targets or
        more than two classes.
    intercepts : ndarray of shape (n_points,) or (n_outputs, n_points)
        Intercepts.
    losses : ndarray of shape (n_points,)
        Weighted mean loss of each fit, without the penalty.
    optimality : ndarray of shape (n_points,)
        Largest violation of the optimality conditions of each fit, as a correlation.
    dual_gaps : ndarray of shape (n_points,)
        Duality gap of each fit, in units of the objective; nan where ``alpha`` is 0.
    weights : ndarray of shape (n_features,)
        Weights of the norm, the largest first.
    alpha_max : float
        The smallest strength at which nothing is selected.
    n_clusters : ndarray of shape (n_points,)
        Number of clusters of each fit: of magnitudes that are not zero.
    """

    weights: Array
    alpha_max: float
    n_clusters: Indices


@dataclass(frozen=True, kw_only=True)
class SortedTask(ConvexTask):
    """A linear model with a sorted L1 norm, to be fitted at one strength or at many."""

    penalty: SortedL1

    def n_clusters(self, coef: Array) -> int:
        """Number of clusters of coefficients as a solver has them, in the type of the features."""
        return int(labels_of(coef.astype(self.design.dtype)).max(initial=-1)) + 1

    def n_used(self, coef: Array) -> int:
        """Number of features with such coefficients that are not zero."""
        return int(np.count_nonzero(np.atleast_2d(coef.astype(self.design.dtype)).any(axis=0)))

    def path(self, grid: Grid, fits: PathFits) -> SLOPEPath:
        return SLOPEPath(
            **self.common_results(fits, self.losses(fits)),
            alphas=grid.points[: len(fits)],
            dual_gaps=fits.gaps,
            weights=self.penalty.weights,
            alpha_max=self.alpha_max,
            n_clusters=np.array([self.n_clusters(coef) for coef, _ in fits.each()], dtype=np.intp),
        )


class Clustered:
    """How coefficients become fitted attributes: clusters beside what is plain."""

    def attributes(self, plain: Attributes) -> Attributes:
        """The attributes, and the clusters of the coefficients among them."""

        def describe(coef: Array, intercept: Any) -> dict[str, Any]:
            known = plain(coef, intercept)
            return {**known, **clusters(known["coef_"])}

        return describe

    def of_columns(self, coef: Array) -> Array:
        """The same."""
        return coef


def labels_of(coef: Array) -> Indices:
    """Cluster of each feature as in :func:`cluster_labels`; a single row is a vector."""
    return cluster_labels(coef[0] if coef.ndim == 2 and len(coef) == 1 else coef)


def clusters(coef: Array) -> dict[str, Any]:
    """Fitted attributes that describe the clusters of coefficients."""
    labels = labels_of(coef)
    n_clusters = int(labels.max(initial=-1)) + 1
    used = np.flatnonzero(labels >= 0)
    order = used[np.argsort(labels[used], kind="stable")]
    starts = np.searchsorted(labels[order], np.arange(n_clusters))
    bounds = np.append(starts, len(order))
    first = coef[..., order[starts]].astype(np.float64)
    sizes = np.abs(first) if first.ndim == 1 else np.linalg.norm(first, axis=0)
    return {
        "clusters_": [order[a:b] for a, b in pairwise(bounds)],
        "cluster_coef_": sizes.astype(coef.dtype),
        "n_clusters_": n_clusters,
        "n_features_": len(used),
    }
