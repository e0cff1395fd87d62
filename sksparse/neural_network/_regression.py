"""What the network regressors share: one or several targets, and those of a teacher."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import RegressorMixin, _fit_context
from sklearn.utils import Tags
from sklearn.utils._param_validation import HasMethods
from sklearn.utils.validation import check_is_fitted
from torch import nn

from sksparse._typing import Array
from sksparse._validation import check_weights, intact_on_failure
from sksparse.neural_network._base import BaseSparseNet
from sksparse.neural_network._targets import teacher_outputs, validate, validate_more
from sksparse.neural_network._training import TrainingTarget
from sksparse.neural_network.fitted._size import Size
from sksparse.neural_network.training._held_out import HeldOut, Validation
from sksparse.neural_network.training._objectives import (
    DistilledSquaredError,
    WeightedSquaredError,
    weighted_r2,
)
from sksparse.neural_network.training._standardisation import (
    Standardisation,
    target_standardisation,
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
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
            Targets, in any units: each is standardised inside.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the samples in the loss, not negative. A weight of 2 is the same as
            the sample twice, a weight of 0 the same as no sample. None weighs all equally.
        X_val : {array-like, sparse matrix} of shape (n_val, n_features), default=None
            Rows of your own to validate with, in place of a share of X. Needs
            ``early_stopping=True``. In a pipeline they are transformed as X is where the pipeline
            has ``transform_input=["X_val"]``.
        y_val : array-like of shape (n_val,) or (n_val, n_targets), default=None
            Their targets.
        sample_weight_val : array-like of shape (n_val,), default=None
            Their weights. None weighs all equally.
        groups : array-like of shape (n_samples,), default=None
            Groups of the samples: `early_stopping` sets whole groups aside, the share
            `validation_fraction` of them.

        Returns
        -------
        self : object
            The fitted regressor.
        """
        with self._fitting(X, y, sample_weight):
            validation = Validation(X_val, y_val, sample_weight_val, groups)
            self._learn(X, y, sample_weight, validation, partial=False)
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
            self._learn(X, y, sample_weight, Validation(), partial=True)
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

    def _outputs_of_head(self) -> dict[str, Any]:
        return {"link": "identity", "is_flat": not self._is_multi_output}

    def _learn(
        self, raw: Any, y: Any, sample_weight: Any, validation: Validation, *, partial: bool
    ) -> None:
        validation.check(early_stopping=self.early_stopping)
        reset = not (partial and hasattr(self, "_network"))
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
        target.attributes.update(
            _target_scaling=scaling,
            _target_known=known,
            _is_multi_output=y.ndim == 2,
            n_outputs_=values.shape[1],
        )
        held_out = None if validation.X is None else self._held_out(validation, scaling)
        options: dict[str, Any] = {"held_out": held_out, "groups": validation.groups}
        self._train(X, weight, target, **options, partial=partial)

    def _output_scaling(self) -> Standardisation | None:
        return self._target_scaling

    def _held_out(self, validation: Validation, scaling: Standardisation) -> HeldOut:
        """The validation rows of the user, encoded as the training rows are."""
        options = {"multi_output": True, "y_numeric": True}
        X, y = validate_more(self, validation.X, validation.y, **options)
        weight = check_weights(validation.sample_weight, X)
        values = np.asarray(y, dtype=np.float64).reshape(len(y), -1)
        if values.shape[1] != len(scaling.shift):
            raise ValueError(
                f"y_val has {values.shape[1]} targets, but y has {len(scaling.shift)}; give "
                "as many."
            )
        teacher_targets = self._teacher_targets(validation.X, values.shape[1])
        target = self._training_target(values, teacher_targets, scaling)
        return HeldOut(X, target.y, weight)

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


class RestoredOutputs(BaseSparseNet):
    """A module that returns standardised targets: the estimator holds their units."""

    def _predict_values(self, X: Any) -> Array:
        check_is_fitted(self)
        scaling = self._target_scaling
        # float32 would lose what is small relative to a large shift
        outputs = self._forward(X, double=scaling.is_wide)
        return scaling.restore(outputs).astype(outputs.dtype)

    def _describe(
        self, module: nn.Module, scaling: Standardisation | None, size: Size
    ) -> dict[str, Any]:
        if scaling is None:
            return {}
        return {"target_shift_": scaling.shift, "target_scale_": scaling.scale}
