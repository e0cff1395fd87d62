"""What the estimators of the group lasso family share: how they are posed, fitted and read."""

from __future__ import annotations

from typing import Any

from sklearn.utils.validation import check_is_fitted

from sksparse._typing import Indices, Mask
from sksparse._validation import check_weights
from sksparse.linear_model._base import Attributes, LinearSelectorMixin
from sksparse.linear_model._convex_path import EPS, ConvexEstimator, ConvexEstimatorMixin, Posed
from sksparse.linear_model.group._model import GroupModel
from sksparse.linear_model.group._pilot import make_pilot
from sksparse.linear_model.group._task import GroupTask
from sksparse.losses import Loss


class GroupSelectorMixin(LinearSelectorMixin, ConvexEstimatorMixin[GroupTask]):
    """Selects the features of the groups that a fit keeps, and poses the problem of a fit."""

    fit_intercept: bool
    max_iter: int
    tol: float
    verbose: Any
    # an estimator without these parameters does neither
    relax: bool = False
    adaptive: Any = None
    eps: float = EPS

    _support: Mask

    def _get_support_mask(self) -> Mask:
        check_is_fitted(self)
        return self._support

    def _measures(self, X: Any) -> bool:
        return self.adaptive is None and super()._measures(X)

    def _posed(
        self,
        X: Any,
        y: Any,
        loss: Loss,
        sample_weight: Any,
        plain: Attributes,
        sources: Indices | None = None,
    ) -> Posed[GroupTask]:
        """The task that the loss and the validated parameters describe.

        Parameters
        ----------
        X, y : array-like
            Data as they were checked.
        loss : Loss
            Data term.
        sample_weight : array-like or None
            Sample weights as the user gave them.
        plain : callable
            How answers become fitted attributes of a model without groups.
        sources : ndarray or None, default=None
            As in :meth:`GroupModel.of`.
        """
        model = GroupModel.for_estimator(self, sources)
        task = GroupTask.of(
            model.design(X),
            loss,
            model,
            pilot=make_pilot(self.adaptive, X, y, check_weights(sample_weight, X)),
            relax=self.relax,
            fit_intercept=self.fit_intercept,
            max_iter=self.max_iter,
            tol=self.tol,
            verbose=int(self.verbose),
            eps=self.eps,
        )
        self._measure(task, X)
        return Posed(X, y, task, task.model.attributes(plain))


class GroupLassoEstimator(GroupSelectorMixin, ConvexEstimator[GroupTask]):
    """A fit of one strength."""
