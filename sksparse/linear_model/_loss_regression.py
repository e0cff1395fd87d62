"""What the regressors with several losses share: targets, predictions, scores, folds."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.utils import Tags
from sklearn.utils.extmath import safe_sparse_dot
from sklearn.utils.validation import check_is_fitted

from sksparse._typing import Array
from sksparse._validation import check_data, check_target_scale, validate_data
from sksparse.linear_model._base import (
    Attributes,
    LinearSelectorMixin,
    attributes_in,
    explained_deviance,
)
from sksparse.linear_model._cross_validation import ONLY_ZEROS, Fold, require_samples
from sksparse.losses import Loss


class Numbers(NamedTuple):
    """Data with numeric targets, checked.

    Parameters
    ----------
    X, y : array-like
        Features and targets as folds and scorers take them.
    targets : ndarray of shape (n_samples,) or (n_samples, n_targets)
        Targets as a loss takes them: one column is a vector.
    weights : ndarray of shape (n_samples,)
        Sample weights with sum one.
    attributes : callable
        Takes coefficients and intercept as a solver has them; fitted attributes.
    """

    X: Any
    y: Any
    targets: Array
    weights: Array
    attributes: Attributes


def table_attributes(dtype: Any) -> Attributes:
    """The attributes of several targets, as a table also where there is one."""
    return lambda coef, intercept: {
        "coef_": np.atleast_2d(coef).astype(dtype),
        "intercept_": np.atleast_1d(intercept).astype(dtype),
    }


class LossRegressorMixin(LinearSelectorMixin, RegressorMixin):
    """Prediction and score by a linear model with the squared loss, that of counts, or others."""

    loss: str

    coef_: Array
    intercept_: Any
    n_features_in_: int

    def _numbers(
        self, X: Any, y: Any, sample_weight: Any, *, several: bool, finite: bool
    ) -> Numbers:
        """Data as the user passed them, checked.

        Parameters
        ----------
        X, y, sample_weight
            The arguments of ``fit``.
        several : bool
            Whether there may be several targets.
        finite : bool
            Whether features are to be seen to be finite, as in :func:`check_data`.
        """
        X, y, weights = check_data(
            self, X, y, sample_weight, y_numeric=True, multi_output=several, finite=finite
        )
        check_target_scale(y)
        targets = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
        attributes = table_attributes(X.dtype) if y.ndim == 2 else attributes_in(X.dtype)
        return Numbers(X, y, targets, weights, attributes)

    def _link(self) -> str:
        return "exp" if self.loss == "poisson" else "identity"

    def predict(self, X: Any) -> Array:
        """Predict the target, or its mean for ``loss="poisson"``.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_targets)
            ``X @ coef_.T + intercept_``, or its exponential for ``loss="poisson"``, infinite where
            that is beyond the range; in the float type of ``X``.
        """
        z = self._predictor(X)
        if self.loss != "poisson":
            return z
        with np.errstate(over="ignore"):
            return np.exp(z)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """How well the model predicts, at most 1.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Samples.
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
            Targets, as in `fit`.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights.

        Returns
        -------
        score : float
            R^2, the mean over targets; for ``loss="poisson"`` D^2, the share of the Poisson
            deviance of the mean that is explained.
        """
        if self.loss == "poisson":
            return explained_deviance(y, self._predictor(X), sample_weight)
        return float(super().score(X, y, sample_weight))

    def _predictor(self, X: Any) -> Array:
        check_is_fitted(self)
        X = validate_data(
            self, X, accept_sparse=["csr", "csc"], dtype=[np.float64, np.float32], reset=False
        )
        return np.asarray(safe_sparse_dot(X, self.coef_.T) + self.intercept_)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.positive_only = self.loss == "poisson"
        return tags


class LossSearchMixin:
    """What a search of such a regressor compares: squared errors, deviances, or the loss."""

    loss: str

    deviance_path_: Array
    mse_path_: Array
    score_path_: Array

    _only_sometimes: ClassVar[frozenset[str]] = frozenset(
        {"deviance_path_", "mse_path_", "score_path_"}
    )

    def _usable(self, folds: list[Fold], loss: Loss) -> list[Fold]:
        if self.loss == "poisson":
            require_samples(folds, loss.y > 0.0, "train", ONLY_ZEROS)
        return folds

    def _errors_of(self, loss: Loss) -> tuple[str, float]:
        if self.loss == "squared":
            return "mean squared error", 2.0 / loss.n_outputs
        return ("mean Poisson deviance", 2.0) if self.loss == "poisson" else (loss.title, 1.0)

    def _store_losses(self, errors: Array) -> None:
        if self.loss == "squared":
            self.mse_path_ = errors
        elif self.loss == "poisson":
            self.deviance_path_ = errors
        else:
            self.score_path_ = -errors
