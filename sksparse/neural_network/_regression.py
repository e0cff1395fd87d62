"""What the network regressors share: one or several targets, and those of a teacher."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import RegressorMixin, _fit_context
from sklearn.utils import Tags
from sklearn.utils._param_validation import HasMethods

from sksparse._typing import Array
from sksparse._validation import check_weights, intact_on_failure
from sksparse.neural_network._base import BaseSparseNet, TrainingTarget
from sksparse.neural_network._standardisation import Standardisation, target_standardisation
from sksparse.neural_network._targets import teacher_outputs, validate
from sksparse.neural_network.training._objectives import (
    DistilledSquaredError,
    WeightedSquaredError,
    weighted_r2,
)


class NetRegressorMixin(RegressorMixin, BaseSparseNet):
    """Fits and predictions of a network with one output for each target."""

    _parameter_constraints: dict = {
        **BaseSparseNet._parameter_constraints,
        "teacher": [HasMethods("predict"), None],
    }

    _target_scaling: Standardisation
    _target_known: bool

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Train the network and make it sparse.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Features, of any number of dimensions for a network of your own. Converted to
            float32; a sparse matrix is made dense one batch at a time.
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
            Targets, in any units: each is standardised inside.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the samples in the loss, not negative. A weight of 2 is the same as
            the sample twice, a weight of 0 the same as no sample. None weighs all equally.

        Returns
        -------
        self : object
            The fitted regressor.
        """
        with self._fitting(X, y, sample_weight):
            self._learn(X, y, sample_weight, partial=False)
        return self

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Train for one epoch on some data, without changing which weights are zero.

        After ``fit`` it adapts a sparse network to new data. Without an earlier fit it trains
        a dense one, which ``fit`` with ``warm_start=True`` makes sparse.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Features.
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
            Targets.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the samples in the loss, not negative.

        Returns
        -------
        self : object
            The regressor after one more epoch.
        """
        with intact_on_failure(self):
            self._learn(X, y, sample_weight, partial=True)
        return self

    def predict(self, X: ArrayLike) -> Array:
        """The predicted targets.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Features.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_targets)
            Predictions, in the units of the targets.
        """
        output = self._predict_values(X)
        return output if self._is_multi_output else output[:, 0]

    def _learn(self, raw: Any, y: Any, sample_weight: Any, *, partial: bool) -> None:
        reset = not (partial and hasattr(self, "module_"))
        X, y = validate(self, raw, y, reset=reset, multi_output=True, y_numeric=True)
        weight = check_weights(sample_weight, X)
        values = np.asarray(y, dtype=np.float64).reshape(len(y), -1)
        teacher_targets = self._teacher_targets(raw, values.shape[1])
        share = 0.0 if teacher_targets is None else self.distill_weight
        fitted = values
        if teacher_targets is not None:
            # the minimiser of the loss is the mean of both
            fitted = (1 - share) * values + share * teacher_targets
        scaling, known = target_standardisation(fitted, weight)
        if partial and getattr(self, "_target_known", False):
            if len(scaling.shift) != len(self._target_scaling.shift):
                raise ValueError(
                    f"partial_fit cannot continue: y has {len(scaling.shift)} targets, but the "
                    f"earlier fit had {len(self._target_scaling.shift)}; fit a new estimator."
                )
            scaling, known = self._target_scaling, True
        target = self._training_target(values, teacher_targets, scaling)
        self._train(X, weight, target, partial=partial)
        self._target_scaling, self._target_known = scaling, known
        self._is_multi_output = y.ndim == 2
        self.n_outputs_ = values.shape[1]

    def _teacher_targets(self, raw: Any, n_outputs: int) -> Array | None:
        if self.teacher is None or self.distill_weight == 0:
            return None
        return teacher_outputs(self.teacher, "predict", raw, n_outputs)

    def _training_target(
        self, values: Array, teacher_targets: Array | None, scaling: Standardisation
    ) -> TrainingTarget:
        # rows of no weight may hold anything
        with np.errstate(over="ignore"):
            y = scaling.standardise(values).astype(np.float32)
        if teacher_targets is None:
            return TrainingTarget(
                y, y.shape[1], WeightedSquaredError(), weighted_r2, scaling=scaling
            )
        taught = DistilledSquaredError(self.distill_weight)
        both = np.column_stack([y, scaling.standardise(teacher_targets).astype(np.float32)])
        return TrainingTarget(both, y.shape[1], taught, weighted_r2, scaling=scaling)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.target_tags.multi_output = True
        return tags
