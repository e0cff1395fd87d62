"""What the linear classifiers share: probabilities, and classes as a loss takes them."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import expit, log_softmax, softmax
from sklearn.linear_model._base import LinearClassifierMixin, SparseCoefMixin
from sklearn.utils import Tags
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.extmath import safe_sparse_dot
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from sksparse._typing import Array
from sksparse._validation import as_numpy, validate_data
from sksparse.linear_model._base import Attributes, LinearSelectorMixin
from sksparse.losses import Logistic, Loss, Multinomial


class SparseClassifierMixin(LinearSelectorMixin, SparseCoefMixin, LinearClassifierMixin):
    """Probabilities, decisions and selection by a linear classifier with a log loss."""

    # an estimator without this parameter has no signs
    positive: Any = False

    intercept_: Array

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        # signs are defined for the coefficients of two classes only
        tags.classifier_tags.multi_class = not np.any(self.positive)
        return tags

    def _link(self) -> str:
        return "logistic" if len(self.coef_) == 1 else "softmax"

    def decision_function(self, X: Any) -> Array:
        """Predictor of each class, or of the second of two.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        z : ndarray of shape (n_samples,) or (n_samples, n_classes)
            ``X @ coef_.T + intercept_``.
        """
        check_is_fitted(self)
        X = validate_data(self, X, accept_sparse="csr", dtype=[np.float64, np.float32], reset=False)
        z = np.asarray(safe_sparse_dot(X, self.coef_.T, dense_output=True) + self.intercept_)
        return z.ravel() if z.shape[1] == 1 else z

    def predict(self, X: Any) -> Any:
        """The most probable classes.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        labels : ndarray of shape (n_samples,)
            Class labels.
        """
        # scikit-learn would look for the library of the array
        return super().predict(as_numpy(X))

    def predict_proba(self, X: Any) -> Array:
        """Probability of each class.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        probabilities : ndarray of shape (n_samples, n_classes)
            One column for each of ``classes_``.
        """
        z = self.decision_function(X)
        if z.ndim == 1:
            return np.column_stack((expit(-z), expit(z)))
        return np.asarray(softmax(z, axis=1))

    def predict_log_proba(self, X: Any) -> Array:
        """Logarithm of the probability of each class.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        probabilities : ndarray of shape (n_samples, n_classes)
            One column for each of ``classes_``.
        """
        z = self.decision_function(X)
        if z.ndim == 1:
            return -np.logaddexp(0.0, np.column_stack((z, -z)))
        return np.asarray(log_softmax(z, axis=1))


def class_attributes(classes: Any, dtype: Any) -> Attributes:
    """How coefficients and intercepts become fitted attributes of a classifier, in a float type."""
    return lambda coef, intercept: {
        "classes_": classes,
        "coef_": np.atleast_2d(coef).astype(dtype),
        "intercept_": np.atleast_1d(intercept).astype(dtype),
    }


def check_classes(y: Any, weights: Array, class_weight: Any) -> tuple[Any, Array, Array]:
    """Classes among samples with a weight, codes of y, weights with the classes' factors."""
    check_classification_targets(y)
    used = weights > 0
    classes = np.unique(y[used])
    if len(classes) < 2:
        raise ValueError(
            "y needs samples of at least two classes with a positive sample weight; got "
            f"{len(classes)} class: {classes.tolist()}."
        )
    codes = np.where(used, np.searchsorted(classes, y), 0)
    codes = np.minimum(codes, len(classes) - 1)
    if class_weight == "balanced":
        weights = weights / np.bincount(codes, weights)[codes]
    elif class_weight is not None:
        weights = weights * compute_class_weight(class_weight, classes=classes, y=y[used])[codes]
    if not np.all(np.bincount(codes, weights) > 0) or np.any(weights < 0):
        raise ValueError(
            f"class_weight={class_weight!r} must give every class of y a positive factor."
        )
    # Not divided once more where nothing changed: the last digit can decide between local optima.
    total = 1.0 if class_weight is None else weights.sum()
    return classes, codes.astype(np.float64), weights / total


def log_loss(codes: Array, weights: Array) -> Loss:
    """The log loss of two classes, or of more, for targets 0, 1, 2, ..."""
    return (Logistic if codes.max() < 2.0 else Multinomial)(codes, weights)
