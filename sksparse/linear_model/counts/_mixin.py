"""What the linear models of counts share: means, and the share of the deviance explained."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.utils import Tags
from sklearn.utils.extmath import safe_sparse_dot
from sklearn.utils.validation import check_is_fitted

from sksparse._typing import Array
from sksparse._validation import validate_data
from sksparse.linear_model._base import LinearSelectorMixin, explained_deviance


class SparseCountMixin(LinearSelectorMixin, RegressorMixin):
    """Prediction, score and selection by a linear model of the logarithm of a mean."""

    intercept_: float
    n_features_in_: int

    def _link(self) -> str:
        return "exp"

    def predict(self, X: Any) -> Array:
        """Predict the mean, ``exp(X @ coef_ + intercept_)``.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        y : ndarray of shape (n_samples,)
            Means, in the float type of ``X``; infinite where they are beyond its range.
        """
        with np.errstate(over="ignore"):
            return np.exp(self._predictor(X))

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Share of the Poisson deviance of the mean of ``y`` that the model explains.

        Known as D^2; at most 1, and negative where the model is worse than that mean.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Samples.
        y : array-like of shape (n_samples,)
            Counts or rates, not negative.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights.

        Returns
        -------
        score : float
            The share; for constant ``y`` 1 where the model has no deviance, and 0 otherwise.
        """
        return explained_deviance(y, self._predictor(X), sample_weight)

    def _predictor(self, X: Any) -> Array:
        check_is_fitted(self)
        X = validate_data(
            self, X, accept_sparse=["csr", "csc"], dtype=[np.float64, np.float32], reset=False
        )
        return np.asarray(safe_sparse_dot(X, self.coef_) + self.intercept_)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.positive_only = True
        return tags
