"""Means, variances and covariances with a target of all columns, in one pass over X."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from sksparse._scaling import ScaleError
from sksparse._typing import Array, Indices, Mask
from sksparse.solvers._design import Design


@dataclass(frozen=True)
class Tuning:
    """What counts as rounding, and where digits would be lost.

    Parameters
    ----------
    constant : float
        A standard deviation at most this share of the mean is rounding, of a target or a dense
        column that was computed.
    constant_column : float
        Columns of a subset that vary by at most this share of their mean count as constant.
    epsilons : float
        All columns do that vary by so many machine epsilons of their mean.
    smallest : float
        Variances below this have lost digits, or vanished.
    far_from_zero : float
        Ratio of mean to standard deviation above which columns are centred before they are
        multiplied: products lose the digits in which they differ from their means otherwise.
    columns : int
        Columns copied at once to see whether they vary.
    """

    constant: float = 1e-13
    constant_column: float = 1e-8
    epsilons: float = 8.0
    smallest: float = 1e-250
    far_from_zero: float = 100.0
    columns: int = 64


TUNING = Tuning()


class Moments(NamedTuple):
    """Weighted moments of the columns of a design, around their means or around zero.

    Parameters
    ----------
    means : ndarray of shape (n_features,)
        Weighted means; zero where the moments are those around zero.
    variances, covariances : ndarrays of shape (n_features,)
        Weighted variances, and covariances with the target.
    """

    means: Array
    variances: Array
    covariances: Array

    @classmethod
    def of(cls, design: Design, weights: Array, target: Array, centre: bool) -> Moments:
        """Measure a design, for weights with sum one.

        Raises
        ------
        ScaleError
            Where squares leave the range of float64.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            means, variances, covariances = design.moments(weights, target, centre)
        if not (np.isfinite(variances).all() and np.isfinite(covariances).all()):
            raise ScaleError(
                "The squares of some features, or their products with y, are beyond the largest "
                "number of float64. Scale X and y, to unit variance for example."
            )
        small = np.flatnonzero(variances < TUNING.smallest)
        if small.size and _varies(design, small, weights, centre):
            raise ScaleError(
                "The squares of some features are below the smallest number of float64. Scale X, "
                "to unit variance for example."
            )
        return cls(means, np.maximum(variances, 0.0), covariances)

    def varying(self, constant: float, eps: float) -> Mask:
        """Columns that vary by more than a share of their mean, and by more than rounding.

        ``eps`` is the machine epsilon of the design.
        """
        share = max(constant, TUNING.epsilons * eps)
        # without squares: those of huge means would overflow
        return (self.variances > 0.0) & (np.sqrt(self.variances) > share * np.abs(self.means))


def _varies(design: Design, features: Indices, weights: Array, centre: bool) -> bool:
    """Whether some of the columns vary, or are not zero, by more than rounding.

    Those that vary widely have lost their variance to the weights, not to their scale.
    """
    used = np.flatnonzero(weights)
    for start in range(0, len(features), TUNING.columns):
        columns = design.columns(features[start : start + TUNING.columns])
        columns = (columns.toarray() if design.is_sparse else columns)[used]
        magnitudes = np.abs(columns).max(axis=0)
        ranges = columns.max(axis=0) - columns.min(axis=0) if centre else magnitudes
        if np.any(
            (ranges > TUNING.constant_column * magnitudes) & (ranges < np.sqrt(TUNING.smallest))
        ):
            return True
    return False
