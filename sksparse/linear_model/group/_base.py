"""What the estimators of the group lasso family share: how they are posed, fitted and read."""

from __future__ import annotations

from typing import Any

from sklearn.utils.validation import check_is_fitted

from sksparse._estimator import SparseEstimator
from sksparse._scaling import ScaleError
from sksparse._typing import Indices, Mask
from sksparse._validation import check_weights, refuse_missing
from sksparse.linear_model._base import Attributes, LinearSelectorMixin
from sksparse.linear_model._convex_path import EPS, ConvexEstimatorMixin, Posed
from sksparse.linear_model.group._model import GroupModel
from sksparse.linear_model.group._pilot import make_pilot
from sksparse.linear_model.group._task import GroupTask
from sksparse.losses import Loss
from sksparse.solvers import Solution
from sksparse.solvers._dense_design import DenseDesign


class GroupSelectorMixin(LinearSelectorMixin):
    """Selects the features of the groups that a fit keeps, and poses the problem of a fit."""

    fit_intercept: bool
    max_iter: int
    tol: float
    verbose: Any
    # an estimator without these parameters does neither
    relax: bool = False
    adaptive: Any = None
    eps: float = EPS

    dual_gap_: float
    n_iter_: int
    optimality_: float
    _support: Mask

    def _get_support_mask(self) -> Mask:
        check_is_fitted(self)
        return self._support

    def _measures(self, X: Any) -> bool:
        """Whether moments of all of X come before all else, and show what is not finite."""
        return self.adaptive is None and DenseDesign.reads(X)

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
        if self._measures(X):
            try:
                task.measure()
            except ScaleError:
                # squares of finite numbers may be beyond the range as well
                refuse_missing(self, X)
        return Posed(X, y, task, task.model.attributes(plain))

    def _store_certificate(self, solution: Solution) -> None:
        """Set what a solution says of itself."""
        self.n_iter_ = solution.n_iter
        self.optimality_ = solution.certificate.value
        self.dual_gap_ = solution.gap


class GroupLassoEstimator(ConvexEstimatorMixin[GroupTask], GroupSelectorMixin, SparseEstimator):
    """A fit of one strength."""

    alpha: float
    warm_start: bool

    _n_fit_levels = 1

    def _fit(self, X: Any, y: Any, sample_weight: Any) -> str:
        """Fit, given the arguments of ``fit``; text of a warning, or empty."""
        with self._fitting(X, y, sample_weight) as fit:
            self._validate_params()
            again = self.warm_start and "coef_" in vars(self)
            before = self._dense_coef() if again else None
            posed = self._pose(X, y, sample_weight)
            task = posed.task
            fit.describe(task.design, task.loss, posed.attributes)
            start = None if before is None else task.model.start(before, task.loss.n_outputs)
            solution = task.solve(float(self.alpha), start)
            self._adopt(posed.attributes(solution.coef, solution.intercept))
            self._store_certificate(solution)
        return solution.message
