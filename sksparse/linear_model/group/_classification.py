"""What the classifiers of the group lasso family share: classes, and the log loss."""

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
from sksparse.linear_model.group._base import GroupSelectorMixin
from sksparse.linear_model.group._task import GroupTask


class GroupClassifierMixin(SparseClassifierMixin, GroupSelectorMixin):
    """Probabilities and selection by a linear classifier with the log loss."""

    class_weight: Any

    classes_: Any
    coef_: Array
    intercept_: Array

    def _pose(self, X: Any, y: Any, sample_weight: Any) -> Posed[GroupTask]:
        """The task that the data and the validated parameters describe."""
        finite = not self._measures(X)
        X, y, weights = check_data(self, X, y, sample_weight, y_numeric=False, finite=finite)
        self.classes_, codes, weights = check_classes(y, weights, self.class_weight)
        plain = class_attributes(self.classes_, X.dtype)
        return self._posed(X, y, log_loss(codes, weights), sample_weight, plain)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        # the penalty makes signs of the coefficients of all classes well defined
        tags.classifier_tags.multi_class = True
        return tags
