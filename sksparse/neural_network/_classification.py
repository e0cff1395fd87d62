"""What the network classifiers share: labels, class weights and targets of a teacher."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy.special import expit, log_expit
from sklearn.base import ClassifierMixin, _fit_context
from sklearn.utils import Tags
from sklearn.utils._param_validation import HasMethods, StrOptions
from sklearn.utils.validation import check_is_fitted

from sksparse._typing import Array, Indices
from sksparse._validation import check_weights, intact_on_failure
from sksparse.neural_network._base import BaseSparseNet
from sksparse.neural_network._targets import teacher_outputs, validate, validate_more
from sksparse.neural_network._training import TrainingTarget
from sksparse.neural_network.training._held_out import HeldOut, Validation
from sksparse.neural_network.training._labels import (
    check_labels,
    class_factors,
    classes_of,
    kind_of_labels,
)
from sksparse.neural_network.training._objectives import (
    DistilledBinaryCrossEntropy,
    DistilledCrossEntropy,
    WeightedBinaryCrossEntropy,
    WeightedCrossEntropy,
    soften,
    soften_labels,
    weighted_accuracy,
    weighted_subset_accuracy,
)


class NetClassifierMixin(ClassifierMixin, BaseSparseNet):
    """Fits and predictions of a network with one output for each class or label."""

    _is_multilabel: bool

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
        """Train the network, and make it sparse where that is asked for.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Features, of any number of dimensions for a network of your own. Converted to
            float32; a sparse matrix is made dense one batch at a time.
        y : {array-like, sparse matrix} of shape (n_samples,) or (n_samples, n_labels)
            Class labels, of two or more classes; or, where a sample may have several labels or
            none, a column for each label that is 1 for the samples that have it and 0 for others.
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
        y : {array-like, sparse matrix} of shape (n_samples,) or (n_samples, n_labels)
            Class labels, or a column of 0 and 1 for each label.
        classes : array-like of shape (n_classes,), default=None
            All labels that can ever occur; needed in the first call. The numbers of the columns,
            ``range(n_labels)``, where y has several.
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
            Probabilities, in the order of ``classes_``; those of a row sum to one, unless a
            sample may have several labels.
        """
        check_is_fitted(self)
        logits = self._forward(X)
        return expit(logits) if self._is_multilabel else _softmax(logits)

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
        check_is_fitted(self)
        logits = self._forward(X)
        return log_expit(logits) if self._is_multilabel else _log_softmax(logits)

    def predict(self, X: ArrayLike) -> np.ndarray:
        """The most probable classes.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Features.

        Returns
        -------
        labels : ndarray of shape (n_samples,) or (n_samples, n_labels)
            Class labels; or 0 and 1 for each label, where a sample may have several.
        """
        check_is_fitted(self)
        logits = self._forward(X)
        if self._is_multilabel:
            return (logits > 0).astype(self.classes_.dtype)
        return self.classes_[_largest(logits)]

    def _outputs_of_head(self) -> dict[str, Any]:
        link = "sigmoid" if self._is_multilabel else "softmax"
        return {"link": link, "classes": self.classes_}

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
        reset = not (partial and hasattr(self, "_network"))
        X, y = validate(self, raw, y, reset=reset, multi_output=True)
        y, is_multilabel = check_labels(y)
        weight = check_weights(sample_weight, X)
        if known is not None and is_multilabel != getattr(self, "_is_multilabel", is_multilabel):
            verb = "partial_fit" if partial else "warm_start=True"
            raise ValueError(
                f"{verb} cannot continue: y holds {kind_of_labels(is_multilabel)}, but held "
                f"{kind_of_labels(not is_multilabel)} in the earlier fit; fit a new estimator."
            )
        factors: Array = np.ones(1)
        if is_multilabel:
            classes = self._label_numbers(y.shape[1], known)
            target = self._multilabel_target(raw, y)
        else:
            classes = classes_of(y, weight, known, partial=partial)
            # a sample without weight may carry a label of no class: its number is never used
            labels = np.searchsorted(classes, y).clip(max=len(classes) - 1)
            factors = class_factors(self.class_weight, classes, labels, weight)
            weight = weight * factors[labels]
            target = self._training_target(raw, labels, classes)
        target.attributes.update(classes_=classes, _is_multilabel=is_multilabel)
        held_out = None
        if validation.X is not None:
            held_out = self._held_out(validation, classes, factors, is_multilabel)
        options: dict[str, Any] = {"held_out": held_out, "groups": validation.groups}
        self._train(X, weight, target, **options, partial=partial)

    def _held_out(
        self, validation: Validation, classes: np.ndarray, factors: Array, is_multilabel: bool
    ) -> HeldOut:
        """The validation rows of the user, encoded as the training rows are."""
        X, y = validate_more(self, validation.X, validation.y, multi_output=True)
        y, is_same = check_labels(y)
        weight = check_weights(validation.sample_weight, X)
        if is_same != is_multilabel or (is_multilabel and y.shape[1] != len(classes)):
            raise ValueError(
                f"y_val of shape {y.shape} holds {kind_of_labels(is_same)}, but y holds "
                f"{kind_of_labels(is_multilabel)} of {len(classes)} classes; give both alike."
            )
        if is_multilabel:
            return HeldOut(X, self._multilabel_target(validation.X, y).y, weight)
        strange = np.setdiff1d(y[weight > 0], classes)
        if len(strange):
            raise ValueError(
                f"y_val holds {strange.tolist()}, which are not among the classes of y, "
                f"{classes.tolist()}; leave these rows out."
            )
        labels = np.searchsorted(classes, y).clip(max=len(classes) - 1)
        target = self._training_target(validation.X, labels, classes)
        return HeldOut(X, target.y, weight * factors[labels])

    def _label_numbers(self, n_labels: int, known: np.ndarray | None) -> np.ndarray:
        """What stands for the classes where y has a column for each label."""
        if self.class_weight is not None:
            raise ValueError(
                f"class_weight={self.class_weight!r} is for samples of one class each, but y has "
                f"{n_labels} columns of labels; use class_weight=None, and sample_weight for "
                "weights of the samples."
            )
        numbers = np.arange(n_labels)
        if known is not None and not np.array_equal(known, numbers):
            raise ValueError(
                f"y has {n_labels} columns of labels, but the classes are {known.tolist()}; the "
                f"classes of such a y are the numbers of its columns, {numbers.tolist()}."
            )
        return numbers

    def _multilabel_target(self, raw: Any, y: np.ndarray) -> TrainingTarget:
        n_labels = y.shape[1]
        values = y.astype(np.float32)
        if self.teacher is None or self.distill_weight == 0:
            return TrainingTarget(
                values, n_labels, WeightedBinaryCrossEntropy(), weighted_subset_accuracy
            )
        taught = torch.from_numpy(teacher_outputs(self.teacher, "predict_proba", raw, n_labels))
        soft = soften_labels(taught, self.temperature).numpy().astype(np.float32)
        criterion = DistilledBinaryCrossEntropy(self.temperature, self.distill_weight)
        return TrainingTarget(
            np.column_stack([values, soft]), n_labels, criterion, weighted_subset_accuracy
        )

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
        tags.classifier_tags.multi_label = True
        return tags


def _softmax(logits: Array) -> Array:
    if logits.shape[1] == 2:
        # reductions over two columns take most of the time of a prediction
        both = np.empty((2, len(logits)), logits.dtype)
        # infinite odds are probabilities of one, and their reciprocals of zero
        with np.errstate(over="ignore", divide="ignore"):
            odds = np.exp(logits[:, 0] - logits[:, 1])
            np.divide(1, 1 + odds, out=both[1])
            np.divide(1, 1 + 1 / odds, out=both[0])
        return both.T
    proba = logits - logits.max(axis=1, keepdims=True)
    np.exp(proba, out=proba)
    proba /= proba.sum(axis=1, keepdims=True)
    return proba


def _largest(logits: Array) -> Indices:
    if logits.shape[1] == 2:
        return (logits[:, 1] > logits[:, 0]).astype(np.intp)
    return logits.argmax(axis=1)


def _log_softmax(logits: Array) -> Array:
    shifted = logits - logits.max(axis=1, keepdims=True)
    shifted -= np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return shifted
