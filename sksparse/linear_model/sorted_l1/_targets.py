"""What the regressors and the classifiers of the sorted L1 family do with targets."""

from __future__ import annotations

from typing import Any

from sklearn.utils import Tags

from sksparse._typing import Array
from sksparse._validation import check_data
from sksparse.linear_model._classes import (
    SparseClassifierMixin,
    check_classes,
    class_attributes,
    log_loss,
)
from sksparse.linear_model._convex_path import Posed
from sksparse.linear_model._loss_regression import LossRegressorMixin
from sksparse.linear_model.sorted_l1._base import SortedSelectorMixin
from sksparse.linear_model.sorted_l1._task import SortedTask
from sksparse.losses import LOSSES


class SortedRegressorMixin(LossRegressorMixin, SortedSelectorMixin):
    """Prediction and score by a linear model of quantities or counts."""

    #: Whether there may be several targets.
    _several = False

    def _pose(self, X: Any, y: Any, sample_weight: Any) -> Posed[SortedTask]:
        """The task that the data and the validated parameters describe."""
        if not self._several:
            refuse_table(y)
        finite = not self._measures(X)
        X, y, targets, weights, plain = self._numbers(
            X, y, sample_weight, several=self._several, finite=finite
        )
        return self._posed(X, y, LOSSES[self.loss](targets, weights), plain)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = self._several
        return tags


def refuse_table(y: Any) -> None:
    """Point from several targets to the estimator that fits them."""
    shape: tuple[int, ...] = getattr(y, "shape", ())
    if len(shape) == 2 and shape[1] > 1:
        raise ValueError(
            f"y should be a 1d array, got an array of shape {shape} instead. GrOWL fits several "
            "targets together; or fit each column alone."
        )


class SortedClassifierMixin(SparseClassifierMixin, SortedSelectorMixin):
    """Probabilities and selection by a linear classifier with the log loss."""

    class_weight: Any

    classes_: Any
    coef_: Array
    intercept_: Array

    def _pose(self, X: Any, y: Any, sample_weight: Any) -> Posed[SortedTask]:
        """The task that the data and the validated parameters describe."""
        finite = not self._measures(X)
        X, y, weights = check_data(self, X, y, sample_weight, y_numeric=False, finite=finite)
        self.classes_, codes, weights = check_classes(y, weights, self.class_weight)
        plain = class_attributes(self.classes_, X.dtype)
        return self._posed(X, y, log_loss(codes, weights), plain)
