"""Means, variances and covariances with a target of all columns, in one pass over X."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from sksparse._scaling import ScaleError
from sksparse._typing import Array, Indices, Mask
from sksparse.solvers._design import Design

#: A standard deviation at most this share of the mean is rounding, of a target or a dense column
#: that was computed.
CONSTANT = 1e-13
# Columns that vary by this share of their mean, or by so many machine epsilons, count as constant.
_CONSTANT_COLUMN, _EPSILONS = 1e-8, 8.0
#: Above this ratio of mean to standard deviation, columns are centred before they are multiplied.
FAR_FROM_ZERO = 100.0
# Above this one, sparse columns are measured once more; so many at once.
_DOUBTFUL, _CHUNK = 10.0, 64

# Smaller variances have lost digits, or vanished.
_SMALLEST = 1e-250


@dataclass(frozen=True)
class Moments:
    """Weighted moments of the columns of a design, around their means or around zero.

    Measuring raises :class:`ScaleError` where squares leave the range of float64.

    Parameters
    ----------
    means : ndarray of shape (n_features,)
        Weighted means; zero where the moments are those around zero.
    variances, covariances : ndarrays of shape (n_features,)
        Weighted variances, and covariances with the target.
    noise : ndarray of shape (n_features,)
        What the variance must exceed; infinite for columns that vary by no more than rounding.
    """

    means: Array
    variances: Array
    covariances: Array
    noise: Array

    @classmethod
    def of(cls, design: Design, weights: Array, target: Array, centre: bool) -> Moments:
        """Measure a design, for weights with sum one."""
        measure = _of_sparse if design.is_sparse else _of_dense
        with np.errstate(over="ignore", invalid="ignore"):
            means, variances, covariances = measure(design, weights, target, centre)
        if not (np.isfinite(variances).all() and np.isfinite(covariances).all()):
            raise ScaleError(
                "The squares of some features, or their products with y, are beyond the largest "
                "number of float64. Scale X and y, to unit variance for example."
            )
        small = np.flatnonzero(variances < _SMALLEST)
        if small.size and _varies(design, small, weights, centre):
            raise ScaleError(
                "The squares of some features are below the smallest number of float64. Scale X, "
                "to unit variance for example."
            )
        share = max(_CONSTANT_COLUMN, _EPSILONS * float(np.finfo(design.dtype).eps))
        noise = np.zeros(len(means))
        # without squares: those of huge means would overflow
        constant = np.sqrt(np.maximum(variances, 0.0)) <= share * np.abs(means)
        noise[constant] = np.inf
        return cls(means, np.maximum(variances, 0.0), covariances, noise)

    @cached_property
    def varying(self) -> Mask:
        """Columns that are not constant."""
        return self.variances > self.noise

    @property
    def far_from_zero(self) -> bool:
        """Whether products of columns lose too many digits unless these are centred first."""
        return bool(self.far.any())

    @cached_property
    def far(self) -> Mask:
        """Columns that are far from zero for what they vary."""
        return self.varying & (np.abs(self.means) > FAR_FROM_ZERO * np.sqrt(self.variances))


def _of_sparse(
    design: Design, weights: Array, target: Array, centre: bool
) -> tuple[Array, Array, Array]:
    X, weighted = design.X, weights * target
    means = np.asarray(X.T @ weights, dtype=np.float64) if centre else np.zeros(design.n_features)
    covariances = np.asarray(X.T @ weighted, dtype=np.float64) - means * weighted.sum()
    variances = design.variances(weights, means)
    # differences of squares, and of float32 products, say nothing where the mean is large
    doubtful = np.flatnonzero((variances * _DOUBTFUL**2 <= means**2) & centre)
    for start in range(0, len(doubtful), _CHUNK):
        part = doubtful[start : start + _CHUNK]
        columns = X[:, part].toarray().astype(np.float64)
        shift = columns[0].copy()
        columns -= shift
        middle = weights @ columns
        columns -= middle
        means[part] = shift + middle
        variances[part], covariances[part] = weights @ columns**2, weighted @ columns
    return means, variances, covariances


def _of_dense(
    design: Design, weights: Array, target: Array, centre: bool
) -> tuple[Array, Array, Array]:
    from sksparse._kernels.moments import moments_by_columns, moments_by_rows

    X = design.X
    measure = moments_by_columns if X.strides[0] < X.strides[1] else moments_by_rows
    means, variances, covariances = measure(X, weights, target, centre)
    return means, variances, covariances


def _varies(design: Design, features: Indices, weights: Array, centre: bool) -> bool:
    """Whether some of the columns vary, or are not zero, by more than rounding.

    Those that vary widely have lost their variance to the weights, not to their scale.
    """
    used = np.flatnonzero(weights)
    for start in range(0, len(features), _CHUNK):
        columns = design.X[:, features[start : start + _CHUNK]]
        columns = (columns.toarray() if design.is_sparse else columns)[used]
        sizes = np.abs(columns).max(axis=0)
        ranges = columns.max(axis=0) - columns.min(axis=0) if centre else sizes
        if np.any((ranges > _CONSTANT_COLUMN * sizes) & (ranges < np.sqrt(_SMALLEST))):
            return True
    return False
