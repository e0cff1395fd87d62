"""What the network classifiers share: labels, class weights and targets of a teacher."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.base import ClassifierMixin, _fit_context
from sklearn.utils import Tags
from sklearn.utils._param_validation import HasMethods, StrOptions
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from sksparse._typing import Array, Indices
from sksparse._validation import check_weights, intact_on_failure
from sksparse.neural_network._base import BaseSparseNet
from sksparse.neural_network._targets import teacher_outputs, validate, validate_more
from sksparse.neural_network._training import TrainingTarget
from sksparse.neural_network.training._held_out import HeldOut, Validation
from sksparse.neural_network.training._objectives import (
    DistilledCrossEntropy,
    WeightedCrossEntropy,
    soften,
    weighted_accuracy,
)


class NetClassifierMixin(ClassifierMixin, BaseSparseNet):
    """Fits and predictions of a network with one output for each class."""

    _parameter_constraints: dict = {
        **BaseSparseNet._parameter_constraints,
        "class_weight": [dict, StrOptions({"balanced"}), None],
        "teacher": [HasMethods("predict_proba"), None],
    }

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        X_val: ArrayLike | None = None,
        y_val: ArrayLike | None = None,
        sample_weight_val: ArrayLike | None = None,
        groups: ArrayLike | None = None,
    ) -> Self:
        """Train the network and make it sparse.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Features, of any number of dimensions for a network of your own. Converted to
            float32; a sparse matrix is made dense one batch at a time.
        y : array-like of shape (n_samples,)
            Class labels, of two or more classes.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the samples in the loss, not negative. A weight of 2 is the same as
            the sample twice, a weight of 0 the same as no sample. None weighs all equally.
        X_val : {array-like, sparse matrix} of shape (n_val, n_features), default=None
            Rows of your own to validate with, in place of a share of X. Needs
            ``early_stopping=True``. In a pipeline they are transformed as X is where the pipeline
            has ``transform_input=["X_val"]``.
        y_val : array-like of shape (n_val,), default=None
            Their targets.
        sample_weight_val : array-like of shape (n_val,), default=None
            Their weights. None weighs all equally.
        groups : array-like of shape (n_samples,), default=None
            Groups of the samples: `early_stopping` sets whole groups aside, the share
            `validation_fraction` of them.

        Returns
        -------
        self : object
            The fitted classifier.
        """
        with self._fitting(X, y, sample_weight):
            classes = self.classes_ if self.warm_start and hasattr(self, "classes_") else None
            validation = Validation(X_val, y_val, sample_weight_val, groups)
            self._learn(X, y, sample_weight, classes, validation, partial=False)
        return self

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        classes: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Train for one epoch on some data, without changing which weights are zero.

        After ``fit`` it adapts a sparse network to new data. Without an earlier fit it trains
        a dense one, which ``fit`` with ``warm_start=True`` makes sparse.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Features.
        y : array-like of shape (n_samples,)
            Class labels.
        classes : array-like of shape (n_classes,), default=None
            All labels that can ever occur; needed in the first call.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the samples in the loss, not negative.

        Returns
        -------
        self : object
            The classifier after one more epoch.
        """
        known = getattr(self, "classes_", None)
        if classes is None and known is None:
            raise ValueError(
                "classes=None in the first call of partial_fit; give all labels that can occur."
            )
        given: Any = known if classes is None else np.unique(classes)
        if known is not None and not np.array_equal(known, given):
            raise ValueError(
                f"classes={np.asarray(classes).tolist()} differ from those of the earlier fit, "
                f"{known.tolist()}; leave classes=None or fit a new estimator."
            )
        with intact_on_failure(self):
            self._learn(X, y, sample_weight, given, Validation(), partial=True)
        return self

    def predict_proba(self, X: ArrayLike) -> Array:
        """Probabilities of the classes.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Features.

        Returns
        -------
        proba : ndarray of shape (n_samples, n_classes)
            Probabilities, in the order of ``classes_``.
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
            Log probabilities, in the order of ``classes_``.
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

    def _learn(
        self,
        raw: Any,
        y: Any,
        sample_weight: Any,
        known: np.ndarray | None,
        validation: Validation,
        *,
        partial: bool,
    ) -> None:
        validation.check(early_stopping=self.early_stopping)
        reset = not (partial and hasattr(self, "module_"))
        X, y = validate(self, raw, y, reset=reset)
        check_classification_targets(y)
        weight = check_weights(sample_weight, X)
        classes = _classes_of(y, weight, known, partial=partial)
        # a sample without weight may carry a label of no class: its number is never used
        labels = np.searchsorted(classes, y).clip(max=len(classes) - 1)
        factors = _class_factors(self.class_weight, classes, labels, weight)
        target = self._training_target(raw, labels, classes)
        target.attributes["classes_"] = classes
        held_out = None
        if validation.X is not None:
            of_class = np.zeros(len(classes))
            of_class[labels] = factors
            held_out = self._held_out(validation, classes, of_class)
        options: dict[str, Any] = {"held_out": held_out, "groups": validation.groups}
        self._train(X, weight * factors, target, **options, partial=partial)

    def _held_out(self, validation: Validation, classes: np.ndarray, factors: Array) -> HeldOut:
        """The validation rows of the user, encoded as the training rows are."""
        X, y = validate_more(self, validation.X, validation.y)
        weight = check_weights(validation.sample_weight, X)
        strange = np.setdiff1d(y[weight > 0], classes)
        if len(strange):
            raise ValueError(
                f"y_val holds {strange.tolist()}, which are not among the classes of y, "
                f"{classes.tolist()}; leave these rows out."
            )
        labels = np.searchsorted(classes, y).clip(max=len(classes) - 1)
        target = self._training_target(validation.X, labels, classes)
        return HeldOut(X, target.y, weight * factors[labels])

    def _training_target(self, raw: Any, labels: Indices, classes: np.ndarray) -> TrainingTarget:
        if self.teacher is None or self.distill_weight == 0:
            return TrainingTarget(
                labels, len(classes), WeightedCrossEntropy(), weighted_accuracy, labels
            )
        taught = getattr(self.teacher, "classes_", classes)
        if not np.array_equal(taught, classes):
            raise ValueError(
                f"The teacher {self.teacher!r} knows the classes {np.asarray(taught).tolist()}, "
                f"but y holds {classes.tolist()}; give a teacher of the same classes."
            )
        teacher_targets = teacher_outputs(self.teacher, "predict_proba", raw, len(classes))
        soft = soften(torch.from_numpy(teacher_targets), self.temperature).numpy()
        y = np.column_stack([labels, soft]).astype(np.float32)
        criterion = DistilledCrossEntropy(self.temperature, self.distill_weight)
        return TrainingTarget(y, len(classes), criterion, weighted_accuracy, labels)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def _classes_of(
    y: np.ndarray, weight: Array, known: np.ndarray | None, *, partial: bool
) -> np.ndarray:
    """The classes that have weight, checked against those of an earlier fit."""
    found = np.unique(y[weight > 0])
    if known is None:
        if len(found) < 2:
            raise ValueError(
                f"y holds 1 class, {found.tolist()}, among the samples of positive weight; a "
                "classifier needs samples of at least 2 classes."
            )
        return found
    if partial:
        strange = np.setdiff1d(found, known)
        if len(strange):
            raise ValueError(
                f"y holds {strange.tolist()}, which are not among the classes {known.tolist()}; "
                "name all labels in the first call of partial_fit."
            )
    elif not np.array_equal(known, found):
        raise ValueError(
            f"warm_start=True cannot continue: the classes were {known.tolist()} and are "
            f"now {found.tolist()}. Give the same classes or set warm_start=False."
        )
    return known


def _class_factors(
    class_weight: dict[Any, float] | str | None, classes: np.ndarray, y: Indices, weight: Array
) -> Array:
    """The factor of each sample: that of its class."""
    if class_weight == "balanced":
        totals = np.bincount(y, weights=weight, minlength=len(classes))
        present = np.maximum(totals, np.finfo(float).tiny)
        return (weight.sum() / (np.count_nonzero(totals) * present))[y]
    factors = compute_class_weight(class_weight, classes=classes, y=classes[y])
    if (factors < 0).any():
        raise ValueError(
            f"class_weight={class_weight!r} gives a class a negative weight; weights must be zero "
            "or positive."
        )
    if not factors[y].any():
        raise ValueError(
            f"class_weight={class_weight!r} is zero for every class of y; at least one must be "
            "positive."
        )
    return factors[y]
