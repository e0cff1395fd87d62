"""Means, variances and covariances with a target of all columns, in one pass over X."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .._scaling import ScaleError
from .._typing import Array, Mask
from ._design import Design

#: A standard deviation at most this share of the mean is rounding; of sparse columns, whose
#: variance is a difference of squares, the variance itself of its square.
CONSTANT = 1e-13
# A variance below this may have lost its digits.
_UNDERFLOW = 1e-280
_CHUNK = 256
# Above this ratio of mean to standard deviation, columns are centred before they are multiplied.
_FAR_FROM_ZERO = 100.0


@dataclass(frozen=True)
class Moments:
    """Weighted moments of the columns of a design, around their means or around zero.

    Parameters
    ----------
    means : ndarray of shape (n_features,)
        Weighted means; zero where the moments are those around zero.
    variances, covariances : ndarrays of shape (n_features,)
        Weighted variances, and covariances with the target.
    noise : ndarray of shape (n_features,)
        What rounding leaves of the variance of a constant column.
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
        _check_underflow(design, variances)
        noise = CONSTANT * means**2 if design.is_sparse else (CONSTANT * means) ** 2
        return cls(means, np.maximum(variances, 0.0), covariances, noise)

    @cached_property
    def varying(self) -> Mask:
        """Columns that are not constant."""
        return self.variances > self.noise

    @property
    def far_from_zero(self) -> bool:
        """Whether products of columns lose too many digits unless these are centred first."""
        deviations = np.sqrt(self.variances[self.varying])
        return bool(np.any(np.abs(self.means[self.varying]) > _FAR_FROM_ZERO * deviations))


def _check_underflow(design: Design, variances: Array) -> None:
    """Refuse columns of which no variance is left, but that are not zero."""
    suspect = np.flatnonzero(variances < _UNDERFLOW)
    for start in range(0, len(suspect), _CHUNK):
        features = suspect[start : start + _CHUNK]
        largest = abs(design.columns(features)).max(axis=0)
        largest = largest.toarray().ravel() if design.is_sparse else largest
        tiny = features[(largest > 0.0) & (largest < np.sqrt(_UNDERFLOW))]
        if tiny.size:
            raise ScaleError(
                f"The squares of the features in column {tiny[0]} are below the smallest number of "
                "float64, or those of others above the largest. Scale X, to unit variance for "
                "example."
            )


def _of_sparse(
    design: Design, weights: Array, target: Array, centre: bool
) -> tuple[Array, Array, Array]:
    X, weighted = design.X, weights * target
    means = np.asarray(X.T @ weights) if centre else np.zeros(design.n_features)
    covariances = np.asarray(X.T @ weighted) - means * weighted.sum()
    return means, design.variances(weights, means), covariances


def _of_dense(
    design: Design, weights: Array, target: Array, centre: bool
) -> tuple[Array, Array, Array]:
    from .._kernels.moments import moments_by_columns, moments_by_rows

    X = design.X
    measure = moments_by_columns if X.strides[0] < X.strides[1] else moments_by_rows
    means, variances, covariances = measure(X, weights, target, centre)
    return means, variances, covariances
