"""What the regressors of the group lasso family share: losses, predictions, scores."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils import Tags, check_consistent_length

from sksparse._typing import Array
from sksparse._validation import check_weights, validate_data
from sksparse.linear_model._base import attributes_in
from sksparse.linear_model._convex_path import Posed
from sksparse.linear_model._loss_regression import LossRegressorMixin
from sksparse.linear_model._survival import check_survival, concordance
from sksparse.linear_model.group._base import GroupSelectorMixin
from sksparse.linear_model.group._task import GroupTask
from sksparse.losses import LOSSES, Loss

#: The losses of quantities that a regressor of the family takes.
REGRESSION_LOSSES = ("squared", "huber", "poisson", "cox")


def make_loss(name: str, y: Array, weights: Array, *, epsilon: float, ties: str) -> Loss:
    """A loss by name, with the parameters that it takes."""
    options: dict[str, dict[str, Any]] = {"huber": {"epsilon": epsilon}, "cox": {"ties": ties}}
    return LOSSES[name](y, weights, **options.get(name, {}))


def check_survival_data(
    estimator: Any, X: Any, y: Any, sample_weight: Any
) -> tuple[Any, Any, Array, Array]:
    """Features, survival times as a structured array and as a table, weights with sum one."""
    X = validate_data(
        estimator,
        X,
        None if y is None else "no_validation",
        accept_sparse="csc",
        dtype=[np.float64, np.float32],
    )
    times, events = check_survival(y)
    check_consistent_length(X, times)
    weights = check_weights(sample_weight, X)
    if not events[weights > 0.0].any():
        raise ValueError(
            "y has no event among the samples with a positive sample_weight: give samples with an "
            "event."
        )
    fields = [("event", np.bool_), ("time", np.float64)]
    records = np.array(list(zip(events > 0.0, times, strict=True)), dtype=fields)
    return X, records, np.column_stack((times, events)), weights / weights.sum()


class GroupRegressorMixin(LossRegressorMixin, GroupSelectorMixin):
    """Prediction and score by a linear model with one of several losses."""

    loss: str
    epsilon: float
    ties: str

    def _pose(self, X: Any, y: Any, sample_weight: Any) -> Posed[GroupTask]:
        """The task that the data and the validated parameters describe."""
        if self.loss == "cox":
            X, y, targets, weights = check_survival_data(self, X, y, sample_weight)
            plain = attributes_in(X.dtype)
        else:
            finite = not self._measures(X)
            X, y, targets, weights, plain = self._numbers(
                X, y, sample_weight, several=self.loss == "squared", finite=finite
            )
        loss = make_loss(self.loss, targets, weights, epsilon=self.epsilon, ties=self.ties)
        return self._posed(X, y, loss, sample_weight, plain)

    def predict(self, X: Any) -> Array:
        """Predict the target: its mean, or for ``loss="cox"`` the logarithm of the risk.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_targets)
            ``X @ coef_.T + intercept_``, or its exponential for ``loss="poisson"``, infinite where
            that is beyond the range; in the float type of ``X``.
        """
        return super().predict(X)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """How well the model predicts, at most 1.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Samples.
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
            Targets, as in `fit`.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights.

        Returns
        -------
        score : float
            R^2, the mean over targets, for the losses "squared" and "huber"; for "poisson" D^2, the
            share of the Poisson deviance of the mean that is explained; for "cox" the concordance
            index: the share of comparable pairs that the risk orders as the times, 0.5 for none.
        """
        if self.loss == "cox":
            return concordance(y, self._predictor(X), sample_weight)
        return super().score(X, y, sample_weight)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = self.loss == "squared"
        return tags
