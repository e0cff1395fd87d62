"""What the linear regressors share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from numbers import Integral, Real
from typing import Any

import numpy as np
from scipy.sparse import issparse
from sklearn.base import RegressorMixin
from sklearn.utils import Tags, check_consistent_length, column_or_1d
from sklearn.utils._param_validation import Interval
from sklearn.utils.extmath import safe_sparse_dot
from sklearn.utils.validation import check_is_fitted

from sksparse._estimator import SparseEstimator
from sksparse._selection import FeatureSelectorMixin
from sksparse._typing import Array, Mask
from sksparse._validation import (
    check_data,
    check_start,
    check_weights,
    validate_data,
    warn_unless_converged,
)
from sksparse.losses import Poisson, Squared
from sksparse.serving._head import Head
from sksparse.serving._linear_parts import LinearParts
from sksparse.solvers import Design, Solution

#: Parameters of every estimator that fits one strength.
FIT_CONSTRAINTS: dict[str, list[Any]] = {
    "alpha": [Interval(Real, 0, None, closed="left")],
    "fit_intercept": ["boolean"],
    "max_iter": [Interval(Integral, 1, None, closed="left")],
    "tol": [Interval(Real, 0, None, closed="left")],
    "warm_start": ["boolean"],
    "verbose": ["verbose"],
}


#: Takes coefficients and intercept as a solver has them; fitted attributes.
Attributes = Callable[[Array, Any], dict[str, Any]]


def attributes_in(dtype: Any) -> Attributes:
    """How coefficients and intercept become fitted attributes of a regressor, in a float type."""
    return lambda coef, intercept: {
        "coef_": coef.astype(dtype),
        "intercept_": np.asarray(intercept, dtype=dtype)[()],
    }


def count_chosen(coef: Any, penalty_weights: Any) -> int:
    """Number of features in use, those of penalty weight zero not counted: they are always kept."""
    used = (np.atleast_2d(coef) != 0).any(axis=0)
    if penalty_weights is not None:
        used &= np.asarray(penalty_weights, dtype=np.float64) > 0
    return int(used.sum())


def explained_deviance(y: Any, z: Any, sample_weight: Any) -> float:
    """Share of the Poisson deviance of the mean of ``y`` that predictors ``z`` explain."""
    z = np.asarray(z, dtype=np.float64)
    y = column_or_1d(y, dtype=np.float64)
    check_consistent_length(z, y)
    weights = check_weights(sample_weight, z[:, None])
    loss = Poisson(y, weights / weights.sum())
    left, mean = loss.value(z), float(loss.weights @ y)
    null = loss.value(np.full(len(y), np.log(mean))) if mean > 0.0 else 0.0
    if null == 0.0:
        return float(left == 0.0)
    return 1.0 - left / null


class LinearSelectorMixin(FeatureSelectorMixin):
    """Selects the features with a coefficient that is not zero, and takes sparse data."""

    coef_: Array
    intercept_: Any

    def _get_support_mask(self) -> Mask:
        check_is_fitted(self)
        used: Mask = (np.atleast_2d(self._dense_coef()) != 0).any(axis=0)
        return used

    def _link(self) -> str:
        """From outputs to predictions, as :class:`sksparse.serving.Head` calls it."""
        return "identity"

    def _parts(self) -> LinearParts:
        coef = self._dense_coef()
        table = np.atleast_2d(coef)
        fitted = vars(self)
        return LinearParts(
            table,
            np.broadcast_to(np.atleast_1d(self.intercept_), len(table)),
            Head(
                self._link(),
                table.shape[1:],
                classes=fitted.get("classes_"),
                names=tuple(fitted.get("feature_names_in_", ())),
                is_flat=coef.ndim == 1,
            ),
        )

    def _dense_coef(self) -> Array:
        coef: Any = self.coef_
        dense: Array = coef.toarray() if issparse(coef) else coef
        return dense

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


class SparseRegressorMixin(LinearSelectorMixin, RegressorMixin):
    """Prediction and selection by a linear regressor."""

    intercept_: float
    n_features_in_: int

    def predict(self, X: Any) -> Array:
        """Predict ``X @ coef_ + intercept_``.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        y : ndarray of shape (n_samples,)
            Predictions, in the float type of ``X``.
        """
        check_is_fitted(self)
        X = validate_data(
            self, X, accept_sparse=["csr", "csc"], dtype=[np.float64, np.float32], reset=False
        )
        return np.asarray(safe_sparse_dot(X, self.coef_) + self.intercept_)


class SparseLinearRegressor(SparseRegressorMixin, SparseEstimator, ABC):
    """Fit, prediction and selection of a squared-loss regressor.

    A subclass names its parameters and says how the validated problem is solved.
    """

    fit_intercept: bool
    warm_start: bool

    @abstractmethod
    def _solve(self, design: Design, loss: Squared, start: Array | None) -> Solution:
        """Solve the problem that the parameters describe."""

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> SparseLinearRegressor:
        """Fit the model.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training features, float32 or float64, dense in any memory order or sparse; other
            types are converted. Never modified.
        y : array-like of shape (n_samples,)
            Targets.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights; an integer weight equals so many repetitions of the sample.

        Returns
        -------
        self : object
            The fitted estimator.
        """
        with self._fitting(X, y, sample_weight) as fit:
            self._validate_params()
            X, y, weights = check_data(self, X, y, sample_weight, y_numeric=True)
            start = check_start(getattr(self, "coef_", None), X.shape[1])
            design, loss, attributes = Design(X), Squared(y, weights), attributes_in(X.dtype)
            fit.describe(design, loss, attributes)
            solution = self._solve(design, loss, start if self.warm_start else None)
            self._adopt(attributes(solution.coef, solution.intercept))
            self.n_iter_ = solution.n_iter
            self._store(solution)
        warn_unless_converged(solution.message)
        return self

    @abstractmethod
    def _store(self, solution: Solution) -> None:
        """Set the fitted attributes of the family."""
