"""The sparse multilayer perceptron for classification."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import ClassifierMixin, _fit_context
from sklearn.utils import Tags
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from sksparse._typing import Array, Indices
from sksparse.neural_network._base import BaseSparseMLP, Problem
from sksparse.neural_network._modules import WeightedCrossEntropy, weighted_accuracy
from sksparse.sparsifiers import Sparsifier


class SparseMLPClassifier(ClassifierMixin, BaseSparseMLP):
    """X."""

    _parameter_constraints: dict = {
        **BaseSparseMLP._parameter_constraints,
        "class_weight": [dict, StrOptions({"balanced"}), None],
    }

    def __init__(
        self,
        hidden_layer_sizes: int | Sequence[int] = (100,),
        *,
        sparsifier: str | Sparsifier | None = "l0",
        alpha: float | None = None,
        target_sparsity: float | None = None,
        weight_decay: float = 1e-4,
        activation: str = "relu",
        batch_size: int | str = "auto",
        learning_rate_init: float = 1e-3,
        max_iter: int = 200,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        tol: float = 1e-4,
        class_weight: dict[Any, float] | str | None = None,
        warm_start: bool = False,
        device: str = "auto",
        verbose: bool | int = 0,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.sparsifier = sparsifier
        self.alpha = alpha
        self.target_sparsity = target_sparsity
        self.weight_decay = weight_decay
        self.activation = activation
        self.batch_size = batch_size
        self.learning_rate_init = learning_rate_init
        self.max_iter = max_iter
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.class_weight = class_weight
        self.warm_start = warm_start
        self.device = device
        self.verbose = verbose
        self.random_state = random_state

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> SparseMLPClassifier:
        """Train the network and make it sparse.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Features. Converted to float32; a sparse matrix is made dense one batch at a time.
        y : array-like of shape (n_samples,)
            Class labels, of two or more classes.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the samples in the loss, not negative. A weight of 2 is the same as
            the sample twice, a weight of 0 the same as no sample. None weighs all equally.

        Returns
        -------
        self : SparseMLPClassifier
            The fitted classifier.
        """
        return self._fit_on_copy(X, y, sample_weight)

    def predict_proba(self, X: ArrayLike) -> Array:
        """Probabilities of the classes.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Features.

        Returns
        -------
        proba : ndarray of shape (n_samples, n_classes)
            Probabilities in float32, in the order of ``classes_``.
        """
        return self._forward(X).softmax(dim=1).numpy()

    def predict_log_proba(self, X: ArrayLike) -> Array:
        """Logarithms of the probabilities of the classes.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Features.

        Returns
        -------
        log_proba : ndarray of shape (n_samples, n_classes)
            Log probabilities in float32, in the order of ``classes_``.
        """
        return self._forward(X).log_softmax(dim=1).numpy()

    def predict(self, X: ArrayLike) -> np.ndarray:
        """The most probable classes.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Features.

        Returns
        -------
        labels : ndarray of shape (n_samples,)
            Class labels.
        """
        check_is_fitted(self)
        return self.classes_[self._forward(X).argmax(dim=1).numpy()]

    def _fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None) -> None:
        X, y = validate_data(self, X, y, accept_sparse="csr", dtype=np.float32)
        check_classification_targets(y)
        weight = _check_weights(sample_weight, X)
        classes, y = _encode(y, weight)
        previous = getattr(self, "classes_", None) if self.warm_start else None
        if previous is not None and not np.array_equal(previous, classes):
            raise ValueError(
                f"warm_start=True cannot continue: the classes were {previous.tolist()} and are "
                f"now {classes.tolist()}. Give the same classes or set warm_start=False."
            )
        weight = weight * _class_factors(self.class_weight, classes, y, weight)
        problem = Problem(y, len(classes), WeightedCrossEntropy, weighted_accuracy, stratify=True)
        self._train(X, weight, problem)
        self.classes_ = classes

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def _check_weights(sample_weight: ArrayLike | None, X: Array) -> Array:
    weight = _check_sample_weight(sample_weight, X, dtype=np.float64)
    if (weight < 0).any():
        raise ValueError(
            f"Negative values in sample_weight: {weight.min()} at position {weight.argmin()}; "
            "weights must be zero or positive."
        )
    if not weight.any():
        raise ValueError("All values of sample_weight are zero; at least one must be positive.")
    return weight


def _encode(y: np.ndarray, weight: Array) -> tuple[np.ndarray, Indices]:
    """The classes that have weight, and for each sample the number of its class."""
    classes = np.unique(y[weight > 0])
    if len(classes) < 2:
        raise ValueError(
            f"y holds 1 class, {classes.tolist()}, among the samples of positive weight; a "
            "classifier needs samples of at least 2 classes."
        )
    # a sample without weight may carry a label of no class: its number is never used
    return classes, np.searchsorted(classes, y).clip(max=len(classes) - 1)


def _class_factors(
    class_weight: dict[Any, float] | str | None, classes: np.ndarray, y: Indices, weight: Array
) -> Array:
    """The factor of each sample: that of its class."""
    if class_weight == "balanced":
        totals = np.bincount(y, weights=weight, minlength=len(classes))
        return (weight.sum() / (len(classes) * totals))[y]
    return compute_class_weight(class_weight, classes=classes, y=classes[y])[y]
