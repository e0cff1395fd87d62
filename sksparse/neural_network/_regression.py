"""What the network regressors share: one or several targets, and lessons of a teacher."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import RegressorMixin, _fit_context
from sklearn.utils import Tags
from sklearn.utils._param_validation import HasMethods

from sksparse._typing import Array
from sksparse._validation import intact_on_failure
from sksparse.neural_network._base import BaseSparseNet, Problem
from sksparse.neural_network._targets import check_weights, lesson_of, validate
from sksparse.neural_network._units import Units, target_units
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

    _targets: Units
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
        with intact_on_failure(self):
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
        lesson = self._lesson(raw, values.shape[1])
        share = 0.0 if lesson is None else self.distill_weight
        # with a teacher the network learns the mean of what both say
        learnt = values if lesson is None else (1 - share) * values + share * lesson
        units, known = target_units(learnt, weight)
        if partial and getattr(self, "_target_known", False):
            if len(units.shift) != len(self._targets.shift):
                raise ValueError(
                    f"partial_fit cannot continue: y has {len(units.shift)} targets, but the "
                    f"earlier fit had {len(self._targets.shift)}; fit a new estimator."
                )
            units, known = self._targets, True
        problem = self._problem(values, lesson, units)
        self._train(X, weight, problem, partial=partial)
        self._targets, self._target_known = units, known
        self._is_multi_output = y.ndim == 2
        self.n_outputs_ = values.shape[1]

    def _lesson(self, raw: Any, n_outputs: int) -> Array | None:
        if self.teacher is None or self.distill_weight == 0:
            return None
        return lesson_of(self.teacher, "predict", raw, n_outputs)

    def _problem(self, values: Array, lesson: Array | None, units: Units) -> Problem:
        # rows of no weight may hold anything
        with np.errstate(over="ignore"):
            y = units.into(values).astype(np.float32)
        if lesson is None:
            return Problem(y, y.shape[1], WeightedSquaredError(), weighted_r2, units=units)
        taught = DistilledSquaredError(self.distill_weight)
        both = np.column_stack([y, units.into(lesson).astype(np.float32)])
        return Problem(both, y.shape[1], taught, weighted_r2, units=units)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.target_tags.multi_output = True
        return tags
