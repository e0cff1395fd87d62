"""What every estimator of this package is."""

from __future__ import annotations

from sklearn.base import BaseEstimator


class SparseEstimator(BaseEstimator):
    """The base of all estimators: what does not depend on how they learn."""
